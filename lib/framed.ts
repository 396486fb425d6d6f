/**
 * Joins a Link and a codec into a Connection: for tcpSocket, which gives all its connections one Receiver, and for connection() and
 * tcpServer, where each has its own.
 *
 *     open ──end()──> FIN after the writes ──peer's FIN──> over, as asked
 *       │ peer's FIN ──> FIN after the writes ───────────> over, clean
 *       └ reset, drop, destroy(), deadline ──────────────> over, lost
 */
import type { Duplex } from 'node:stream';
import { Subscription, timer, type Observable } from 'rxjs';
import type { BufferLimits, ResolvedConnection, WriteLimits } from './config.js';
import type { Connection } from './connection/connection.js';
import type { Link } from './connection/link.js';
import { whoEnded } from './connection/who-ended.js';
import { ClosedError, ConnectionLostError, FrameError, OverflowError } from './errors.js';
import type { ConnectionFacts, Endpoint, ErrorContext, TcpError } from './errors.js';
import type { Intake } from './inbound/intake.js';
import { iterate } from './inbound/iterate.js';
import type { Receiver } from './inbound/receive.js';
import type { Counters } from './monitor/stats.js';
import { Tally } from './monitor/tally.js';
import { DirectWrites } from './outbound/direct-writes.js';
import { encodeMessage } from './outbound/encode.js';
import { quiet } from './quiet.js';

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
  readonly config: Pick<ResolvedConnection<In, Out>, 'codec' | 'readBuffer' | 'writeBuffer' | 'endTimeout'>;
  readonly receiver: Receiver<In>;
  readonly epoch: number;
  readonly counters: Counters;
  /** Frames that the socket's queue handed to the link and that are not confirmed. */
  readonly unconfirmed?: () => number;
  /** Hand nothing more over: the peer has ended, or `end()` was called (`asked`). */
  readonly ending: (asked: boolean) => void;
  /** After the peer's FIN our side stays open until `end()`. */
  readonly halfOpen?: boolean;
  readonly ended: (how: Ending) => void;
}

/** A Connection over a link. */
export class LiveConnection<In, Out> implements Connection<In, Out> {
  readonly link: Link;
  readonly epoch: number;
  readonly readBuffer: BufferLimits;
  readonly inbound: Observable<In>;
  readonly closed: Promise<ConnectionLostError | undefined>;
  readonly #live: LiveConfig<In, Out>;
  readonly #intake: Intake<In>;
  readonly #tally: Tally;
  readonly #direct = new DirectWrites();
  #peerEnded = false;
  #asked = false;
  #over = false;
  #deadline = Subscription.EMPTY;
  #resolveClosed: (lost: ConnectionLostError | undefined) => void = () => undefined;

  constructor(link: Link, live: LiveConfig<In, Out>) {
    this.link = link;
    this.#live = live;
    this.epoch = live.epoch;
    this.readBuffer = live.config.readBuffer;
    this.#tally = new Tally(live.counters);
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    this.#intake = live.receiver.attach(link, this.#where(), {
      decoded: () => this.#tally.decoded(),
      failed: (error) => this.drop(error),
    });
    this.inbound = live.receiver.framesOf(this.#intake);
    link.listen({
      chunk: (chunk, keep) => this.#chunk(chunk, keep),
      fin: () => this.#fin(),
      lost: (error) => this.#finish({ error, endedBy: whoEnded(error, this.#peerEnded) }),
    });
  }

  get endpoint(): Endpoint {
    return this.link.endpoint;
  }

  get raw(): Duplex {
    return this.link.raw;
  }

  /** Whether a frame came in after one of ours was written: proof of a peer that works. */
  get answered(): boolean {
    return this.#tally.answered;
  }

  /** Messages written past the queue that have no outcome yet. */
  get pendingWrites(): WriteLimits {
    return this.#direct.pending;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<In> {
    return iterate(this, this.#live.receiver);
  }

  pause(): () => void {
    return this.#live.receiver.gate.hold();
  }

  write(message: Out): Promise<void> {
    if (this.#asked) return quiet(Promise.reject(new ClosedError(this.#where())));
    if (this.#over || (this.#peerEnded && this.#live.halfOpen !== true)) return quiet(this.#rejectedWhenClosed());
    const { config } = this.#live;
    try {
      const bytes = encodeMessage(config.codec, message);
      if (!this.#direct.hasRoom(bytes.length, config.writeBuffer))
        throw new OverflowError('unsent', this.#where(), message);
      return quiet(this.#direct.write(this.link, bytes, (written, error) => this.#wroteDirectly(written, error)));
    } catch (error) {
      return quiet(Promise.reject(error instanceof FrameError ? error.at(this.#where()) : (error as Error)));
    }
  }

  async end(timeout = this.#live.config.endTimeout): Promise<void> {
    if (!this.#over && !this.#asked) {
      this.#asked = true;
      this.#live.ending(true);
      this.#closeWithin(timeout);
    }
    await this.closed;
  }

  destroy(error?: Error): void {
    this.#finish({ error, endedBy: 'us' });
  }

  /** A write to it failed. */
  failed(error: Error): void {
    this.#finish({ error, endedBy: whoEnded(error, this.#peerEnded) });
  }

  /** Ends it now for a reason of ours. */
  drop(reason: TcpError): void {
    this.#finish({ error: undefined, endedBy: 'us', reason });
  }

  /** Bytes of the socket's queue were written to it. */
  wrote(bytes: number): void {
    this.#tally.wrote(bytes);
  }

  /** The peer has ended: what is written now is lost with the connection. */
  async #rejectedWhenClosed(): Promise<never> {
    throw (await this.closed) ?? new ClosedError(this.#where());
  }

  #wroteDirectly(bytes: number, error: Error | null | undefined): void {
    if (error) return this.failed(error);
    this.#tally.wroteDirectly(bytes);
  }

  #chunk(chunk: Buffer, keep: (() => Buffer) | undefined): void {
    if (this.#over) return;
    this.#tally.read(chunk.length);
    this.#live.receiver.chunk(this.#intake, chunk, keep);
  }

  /** After the peer's FIN nothing is handed over any more: the first write would "succeed" even if nobody is there. */
  #fin(): void {
    if (this.#over) return;
    this.#peerEnded = true;
    if (this.#asked) return;
    if (this.#live.halfOpen === true) return void this.#live.receiver.over(this.#intake);
    this.#live.ending(false);
    this.#closeWithin(this.#live.config.endTimeout);
  }

  #closeWithin(timeout: number): void {
    this.link.end();
    if (this.#over) return;
    this.#deadline.unsubscribe();
    this.#deadline = timer(timeout).subscribe(() => {
      this.#finish({ error: undefined, endedBy: this.#peerEnded ? 'peer' : 'us' });
    });
  }

  #finish(how: { error: Error | undefined; endedBy: ConnectionFacts['endedBy']; reason?: TcpError }): void {
    if (this.#over) return;
    this.#over = true;
    const { error, endedBy, reason } = how;
    this.#deadline.unsubscribe();
    this.link.destroy();
    const rest = this.link.rest();
    if (rest.length > 0) this.#tally.read(rest.length);
    const unconfirmed = (this.#live.unconfirmed?.() ?? 0) + this.#direct.pending.frames;
    const { unread, cut } = this.#live.receiver.over(this.#intake, rest);
    const asAsked = this.#asked && this.#peerEnded && error === undefined && reason === undefined;
    const facts = this.#tally.facts({
      clean: asAsked || (this.#peerEnded && endedBy === 'peer' && error === undefined),
      endedBy: asAsked ? 'us' : endedBy,
      unconfirmed,
      unread,
    });
    const lost = new ConnectionLostError(facts, { ...this.#where(), cause: reason ?? error ?? cut });
    this.#direct.fail(lost);
    this.#resolveClosed(asAsked ? undefined : lost);
    this.#live.ended({ lost, asAsked, reason });
  }

  #where(): ErrorContext {
    return { endpoint: this.link.endpoint, epoch: this.epoch };
  }
}
