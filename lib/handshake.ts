import { from, type Observable, Subscription, timer, type SchedulerLike } from 'rxjs';
import type { StreamConfig } from './config.js';
import type { Connection } from './connection/connection.js';
import { ConnectError, ConnectTimeoutError, TlsError, type ErrorContext, type TcpError } from './errors.js';

/** What comes between a link that is open and a connection that is. */
export interface HandshakeConfig<In, Out> {
  readonly handshake: NonNullable<StreamConfig<In, Out>['handshake']>;
  /** ms, counted from the begin of the dial. */
  readonly timeout: number;
  readonly scheduler: SchedulerLike | undefined;
}

/** What becomes of a handshake. */
export interface HandshakeEvents {
  done(): void;
  /** It failed, or took too long: then the connection is of no use. */
  failed(error: TcpError): void;
}

/**
 * One handshake, from the begin of its dial on: the one deadline runs over both.
 *
 *     begin ──dial──> link ──run──> done
 *       └──────── timeout ─────┴───> failed        while there is no connection yet, the deadline is the dial's own
 */
export class Handshake<In, Out> {
  readonly #config: HandshakeConfig<In, Out>;
  readonly #events: HandshakeEvents;
  readonly #running = new Subscription();
  #where: ErrorContext | undefined;
  /** Time was over before there was a link: the dial is about to say so, unless the link comes just now. */
  #isLate = false;

  constructor(config: HandshakeConfig<In, Out>, events: HandshakeEvents) {
    this.#config = config;
    this.#events = events;
    this.#running.add(timer(config.timeout, config.scheduler).subscribe(() => this.#late()));
  }

  /** The link is open: the user has the word. */
  run(connection: Connection<In, Out>, epoch: number): void {
    const where = (this.#where = { endpoint: connection.endpoint, epoch });
    if (this.#isLate) return this.#late();
    try {
      const answer: Observable<unknown> = from(this.#config.handshake(connection));
      this.#running.add(
        answer.subscribe({
          error: (error: unknown) => this.#over(() => this.#events.failed(handshakeFailure(error, where))),
          complete: () => this.#over(() => this.#events.done()),
        }),
      );
    } catch (error) {
      this.#over(() => this.#events.failed(handshakeFailure(error, where)));
    }
  }

  /** Nobody waits for it any more; its function is unsubscribed. */
  stop(): void {
    this.#running.unsubscribe();
  }

  #late(): void {
    const where = this.#where;
    if (where === undefined) {
      this.#isLate = true;
      return;
    }
    this.#over(() => this.#events.failed(new ConnectTimeoutError(this.#config.timeout, 'handshake', where)));
  }

  #over(outcome: () => void): void {
    if (this.#running.closed) return;
    try {
      this.#running.unsubscribe();
    } finally {
      outcome(); // whatever the user's teardown throws
    }
  }
}

/** The error of an attempt whose handshake failed: TLS's own if that was it. */
export function handshakeFailure(cause: unknown, where: ErrorContext): TcpError {
  const isTls = cause instanceof TlsError || (cause instanceof ConnectError && cause.phase === 'tls');
  return isTls ? cause : new ConnectError('handshake', { ...where, cause });
}
