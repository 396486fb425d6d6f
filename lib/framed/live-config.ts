import type { ResolvedStreams } from '../config.js';
import type { Upgrade } from '../connection/upgrade.js';
import { ClosedError, ConnectionLostError, type ConnectionFacts, type ErrorContext, type TcpError } from '../errors.js';
import { quiet } from '../quiet.js';
import type { Receiver } from '../inbound/receive.js';
import type { Counters } from '../monitor/stats.js';
import type { Tally } from '../monitor/tally.js';

/** How a connection ended. */
export interface Ending {
  readonly lost: ConnectionLostError;
  /** Whether `end()` was called and the peer has ended too: then it is no loss. */
  readonly asAsked: boolean;
  /** The error that made us drop it, if it was not the peer or the network. */
  readonly reason: TcpError | undefined;
}

/** What a connection needs of the one that opened it. */
export interface LiveConfig<In, Out> {
  readonly config: Omit<ResolvedStreams<In, Out>, 'handshake'>;
  readonly receiver: Receiver<In>;
  /** Has the frames until `join()`: a handshake comes first. */
  readonly tap?: Receiver<In> | undefined;
  /** How TLS is put over the stream, where that can be asked for. */
  readonly upgrade?: Upgrade | undefined;
  readonly epoch: number;
  readonly counters: Counters;
  /** Frames that the socket's queue handed to the link and that are not confirmed. */
  readonly unconfirmed?: () => number;
  /** Hand nothing more over: the peer has ended, or `end()` was called (`asked`). */
  readonly ending: (asked: boolean) => void;
  /** Calls `go` once what was accepted before the end is handed over; at once without it. */
  readonly beforeFin?: (go: () => void) => void;
  /** After the peer's FIN our side stays open until `end()`. */
  readonly halfOpen?: boolean;
  /** Something went wrong that ends nothing. */
  readonly report?: (error: TcpError) => void;
  readonly ended: (how: Ending) => void;
}

/** What is known when a connection ends. */
export interface LastMoment {
  readonly error: Error | undefined;
  readonly endedBy: ConnectionFacts['endedBy'];
  readonly reason: TcpError | undefined;
  /** Whether `end()` was called. */
  readonly asked: boolean;
  readonly peerEnded: boolean;
  readonly unconfirmed: number;
  readonly unread: number;
  /** The error for a frame that was cut off, if that is known already. */
  readonly cut: TcpError | undefined;
}

/** How a connection ended, by what is known of it. */
export function endingOf(last: LastMoment, tally: Tally, where: ErrorContext): Ending {
  const { error, endedBy, reason, asked, peerEnded, unconfirmed, unread, cut } = last;
  const asAsked = asked && peerEnded && error === undefined && reason === undefined;
  const facts = tally.facts({
    clean: asAsked || (peerEnded && endedBy === 'peer' && error === undefined),
    endedBy: asAsked ? 'us' : endedBy,
    unconfirmed,
    unread,
  });
  return { lost: new ConnectionLostError(facts, { ...where, cause: reason ?? error ?? cut }), asAsked, reason };
}

/** The peer has ended: what is written now is lost with the connection. */
export function rejectedWhenClosed(
  closed: Promise<ConnectionLostError | undefined>,
  where: ErrorContext,
): Promise<never> {
  return quiet(closed.then((lost) => Promise.reject(lost ?? new ClosedError(where))));
}

/** A promise that is rejected, and may be ignored. */
export function rejected(error: Error): Promise<never> {
  return quiet(Promise.reject(error));
}
