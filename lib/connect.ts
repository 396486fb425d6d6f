import { Observable, tap, type Subscriber } from 'rxjs';
import type { ConnectionConfig, ResolvedStreams } from './config.js';
import type { Connection } from './connection/connection.js';
import { dial, sharedOf } from './connection/dial.js';
import type { Link } from './connection/link.js';
import { upgradeAsClient } from './connection/upgrade.js';
import type { TcpError } from './errors.js';
import { LiveConnection } from './framed.js';
import type { Ending, LiveConfig } from './framed/live-config.js';
import { Handshake, handshakeFailure } from './handshake.js';
import { Receiver } from './inbound/receive.js';
import { newCounters } from './monitor/stats.js';
import { resolveConnection } from './resolve-config.js';

/** How a link becomes a connection. */
export interface OpeningConfig<In, Out> {
  readonly config: Pick<ResolvedStreams<In, Out>, 'codec' | 'handshake' | 'scheduler'>;
  /** ms for the handshake, counted from the begin of the dial. */
  readonly timeout: number;
  /** How many connections were opened by now, for errors. */
  readonly epoch: () => number;
  readonly live: (link: Link) => Omit<LiveConfig<In, Out>, 'ended' | 'tap'>;
  /** The error that an end is, if it is one. */
  readonly tell: (how: Ending) => TcpError | undefined;
  /** The attempt failed before the connection was open. */
  readonly failed?: (error: TcpError) => void;
}

/**
 * Makes a connection of the link that a dial gives, once its handshake is done. Errors with what went wrong before, then with what `tell` makes of its end, or
 * completes if that is nothing.
 */
export function liveOver<In, Out>(
  dialled: Observable<Link>,
  opening: OpeningConfig<In, Out>,
): Observable<LiveConnection<In, Out>> {
  return new Observable((subscriber) => new Opening(dialled, opening, subscriber).start());
}

/** One attempt. */
class Opening<In, Out> {
  readonly #dialled: Observable<Link>;
  readonly #opening: OpeningConfig<In, Out>;
  readonly #subscriber: Subscriber<LiveConnection<In, Out>>;
  #handshake: Handshake<In, Out> | undefined;
  #connection: LiveConnection<In, Out> | undefined;
  #open = false;

  constructor(
    dialled: Observable<Link>,
    opening: OpeningConfig<In, Out>,
    subscriber: Subscriber<LiveConnection<In, Out>>,
  ) {
    this.#dialled = dialled;
    this.#opening = opening;
    this.#subscriber = subscriber;
  }

  start(): void {
    const { timeout, config } = this.#opening;
    const { handshake, scheduler } = config;
    if (handshake !== undefined) {
      const events = { done: () => this.#opened(), failed: (error: TcpError) => this.#failed(error) };
      this.#handshake = new Handshake({ handshake, timeout, scheduler }, events);
    }
    this.#subscriber.add(() => {
      this.#handshake?.stop();
      this.#connection?.destroy();
    });
    this.#subscriber.add(
      this.#dialled.subscribe({
        next: (link) => this.#linked(link),
        error: (error: TcpError) => this.#failed(error),
      }),
    );
  }

  #linked(link: Link): void {
    const live = this.#opening.live(link);
    const tap = this.#handshake && new Receiver<In>(live.config.codec, { report: (error) => live.report?.(error) });
    const connection = new LiveConnection<In, Out>(link, { ...live, tap, ended: (how) => this.#ended(how) });
    this.#connection = connection;
    if (this.#handshake === undefined) this.#opened();
    else this.#handshake.run(connection, this.#opening.epoch());
  }

  #opened(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const cause = connection.join();
    if (cause !== undefined) {
      const where = { endpoint: connection.endpoint, epoch: this.#opening.epoch() };
      return this.#failed(handshakeFailure(cause, where));
    }
    this.#open = true;
    this.#subscriber.next(connection);
  }

  #ended(how: Ending): void {
    if (!this.#open && this.#handshake !== undefined) {
      const where = { endpoint: how.lost.endpoint, epoch: this.#opening.epoch() };
      return this.#failed(handshakeFailure(how.reason ?? how.lost, where));
    }
    const error = this.#opening.tell(how);
    if (error === undefined) this.#subscriber.complete();
    else this.#subscriber.error(error);
  }

  #failed(error: TcpError): void {
    if (this.#subscriber.closed) return;
    this.#opening.failed?.(error);
    this.#subscriber.error(error);
  }
}

/**
 * One connection, cold: subscribing dials, unsubscribing destroys, in every phase.
 *
 * It emits the {@link Connection} once it is open, after its `handshake`. It errors with a {@link ConnectError}, {@link ConnectTimeoutError} or {@link TlsError} of the dial, or with a
 * {@link ConnectionLostError} on any end that its own `end()` did not ask for (`clean` for a FIN), and completes only after its own `end()`.
 * Every subscription is a connection of its own. Bad options throw a {@link ConfigError}. Frames that a codec skips, and a
 * `heartbeat` whose `message` throws, are told to nobody here.
 *
 * @example
 * import { connection, echoServer } from 'rx-tcp';
 * const server = echoServer({ port: 0 });
 * const { port } = await server.listening;
 * connection({ host: 'localhost', port }).subscribe({
 *   next: (link) => {
 *     link.inbound.subscribe((chunk) => {
 *       console.log(chunk.toString()); // hello
 *       void link.end();
 *     });
 *     void link.write('hello');
 *   },
 *   complete: () => void server.close(),
 * });
 */
export function connection<In, Out>(
  config: ConnectionConfig<In, Out> & Required<Pick<ConnectionConfig<In, Out>, 'codec'>>,
): Observable<Connection<In, Out>>;
export function connection(config: ConnectionConfig): Observable<Connection>;
export function connection<In, Out>(config: ConnectionConfig<In, Out>): Observable<Connection<In, Out>> {
  const resolved = resolveConnection(config);
  const shared = sharedOf(resolved);
  return new Observable((subscriber) => {
    const receiver = new Receiver<In>(resolved.codec, { report: () => undefined });
    const opening = liveOver<In, Out>(
      dial(resolved, () => 0, shared),
      {
        config: resolved,
        timeout: resolved.connectTimeout,
        epoch: () => 0,
        live: () => ({
          config: resolved,
          receiver,
          upgrade: upgradeAsClient,
          epoch: 1,
          counters: newCounters(),
          halfOpen: resolved.socket.allowHalfOpen === true,
          ending: (asked) => {
            if (asked) receiver.gate.drain();
          },
        }),
        tell: ({ lost, asAsked }) => {
          // What was read and waits for its reader outlives the connection.
          receiver.end(() => undefined);
          return asAsked ? undefined : lost;
        },
        failed: ({ endpoint }) => endpoint && shared.endpoints?.failed(endpoint),
      },
    );
    return opening.pipe(tap(({ endpoint }) => shared.endpoints?.opened(endpoint))).subscribe(subscriber);
  });
}
