/**
 * Joins the two streets: a socket that stays open.
 *
 *     inbound  <── Receiver <──chunks── Link ──┐
 *                                              ├─ LiveConnection, one at a time <── reconnect <── dial
 *     outbound ──> Outlet ──batches──> Link  ──┘
 *
 * The life of a socket, each state left in one direction only:
 *
 *     idle ──> running ──end()──> closing ──> finishing ──> reading the rest ──> closed
 *       └─────────┴───────────────────┴─destroy(), the last loss─^
 */
import { Subscription, timer, type Observable, type ObservableInput, type Subject } from 'rxjs';
import { asError, asTcpError } from './as-error.js';
import { given, milliseconds } from './check.js';
import type { BufferLimits, ResolvedSocket, TcpSocketConfig } from './config.js';
import type { Connection } from './connection/connection.js';
import { dial } from './connection/dial.js';
import { ClosedError, ConnectionLostError, ReconnectLimitError } from './errors.js';
import type { FrameError, TcpError } from './errors.js';
import { iterate } from './inbound/iterate.js';
import { Receiver } from './inbound/receive.js';
import { Lifeline } from './lifeline.js';
import { Monitor } from './monitor/monitor.js';
import { list, type Listed } from './monitor/registry.js';
import { readSnapshot, readStats, type SocketSnapshot, type SocketStats } from './monitor/stats.js';
import type { ConnectionStatus } from './monitor/status.js';
import { onAbort } from './on-abort.js';
import { entrance } from './outbound/entrance.js';
import { Outlet, type OutletEvents } from './outbound/outlet.js';
import { writeAll } from './outbound/write-all.js';
import type { WriteOptions } from './outbound/write-one.js';
import { quiet } from './quiet.js';
import { resolveConfig } from './resolve-config.js';
import type { TcpSocket } from './socket.js';
import { layStreets } from './streets.js';

/**
 * Opens a socket that stays open: it dials before it returns, dials again after a loss, and writes what was not written.
 *
 * Messages are bytes unless a `codec` says otherwise. Throws a {@link ConfigError} for a bad option; everything else that goes wrong is told by `errors`. What is
 * kept, written again, or lost is said by docs/semantics.md: in short, frames go out in order, whole, and may arrive twice or, if a
 * connection dies with them in the kernel, not at all.
 *
 * @example
 * import { echoServer, tcpSocket } from 'rx-tcp';
 * const server = echoServer({ port: 0 });
 * const { port } = await server.listening;
 * const socket = tcpSocket({ host: 'localhost', port });
 * socket.inbound.subscribe((chunk) => {
 *   console.log(chunk.toString()); // hi
 *   void socket.end();
 *   void server.close();
 * });
 * socket.outbound.next('hi');
 */
export function tcpSocket<In, Out>(
  config: TcpSocketConfig<In, Out> & Required<Pick<TcpSocketConfig<In, Out>, 'codec'>>,
): TcpSocket<In, Out>;
export function tcpSocket(config: TcpSocketConfig): TcpSocket;
export function tcpSocket<In, Out>(config: TcpSocketConfig<In, Out>): TcpSocket<In, Out> {
  return new StayingSocket(resolveConfig(config), dial);
}

/** The socket over any kind of dial: what tests give links of their own. */
export class StayingSocket<In, Out> implements TcpSocket<In, Out>, Listed {
  readonly inbound: Observable<In>;
  readonly outbound: Subject<Out>;
  readonly errors: Observable<TcpError>;
  readonly status: Observable<ConnectionStatus>;
  readonly writable: Observable<boolean>;
  readonly connections: Observable<Connection<In, Out>>;
  readonly readBuffer: BufferLimits;
  readonly name: string | undefined;
  readonly #config: ResolvedSocket<In, Out>;
  readonly #monitor: Monitor<Connection<In, Out>>;
  readonly #receiver: Receiver<In>;
  readonly #outlet: Outlet<Out>;
  readonly #lifeline: Lifeline<In, Out>;
  readonly #unlist = list(this);
  readonly #forgetSignal: (() => void) | undefined;
  #phase: 'idle' | 'running' | 'closing' | 'finishing' | 'reading' | 'closed' = 'idle';
  /** `destroy()` was called while the socket was finishing, or reading the rest. */
  #destroyed: { readonly error: Error | undefined } | undefined;
  #deadline = Subscription.EMPTY;
  readonly write = (message: Out, options?: WriteOptions): Promise<void> => this.#outlet.write(message, options);
  readonly flush = (): Promise<void> => this.#outlet.flush();
  readonly pause = (): (() => void) => this.#receiver.gate.hold();
  readonly [Symbol.asyncDispose] = (): Promise<void> => this.end();

  constructor(config: ResolvedSocket<In, Out>, dialLink: typeof dial) {
    const { signal } = (this.#config = config);
    this.name = config.name;
    this.readBuffer = config.readBuffer;
    const monitor = (this.#monitor = new Monitor(config.errorBuffer));
    this.errors = monitor.errors.errors;
    this.status = monitor.status.values;
    this.writable = monitor.writable.values;
    this.connections = monitor.connections;
    const receiver = (this.#receiver = new Receiver<In>(config.codec, {
      subscribed: () => this.#start(),
      report: (error) => monitor.errors.report(error),
    }));
    this.inbound = receiver.inbound;
    const outlet = (this.#outlet = new Outlet<Out>(config, this.#outletEvents()));
    this.#lifeline = new Lifeline({
      ...{ config, dial: dialLink, receiver, outlet, monitor },
      closing: () => this.#phase !== 'running',
      changed: () => this.#endIfWritten(),
      over: (error) => this.#over(error),
    });
    this.outbound = entrance({
      next: (message) => void outlet.offer(message),
      error: (error: unknown) => this.destroy(asError(error)),
      complete: () => void (this.#phase === 'idle' || this.#phase === 'running' ? this.end() : undefined),
    });
    this.#forgetSignal = signal && onAbort(signal, () => this.destroy(asError(signal.reason)));
    layStreets(this, { receiver, outlet, config, monitor, where: () => this.#lifeline.where });
    if (!config.lazyConnect) this.#start();
  }

  writeAll(source: ObservableInput<Out>): Promise<void> {
    return quiet(writeAll(this.#outlet, source));
  }

  stats(): SocketStats {
    const { counters, errors } = this.#monitor;
    return readStats(counters, { queue: this.#outlet.queue, receiver: this.#receiver, errorsDropped: errors.dropped });
  }

  snapshot(): SocketSnapshot {
    return readSnapshot(this.stats(), this.name, this.#monitor.status.value);
  }

  redial(): void {
    if (this.#phase === 'idle') this.#start();
    else if (this.#phase === 'running') this.#lifeline.redial();
  }

  end(options: { readonly timeout?: number } = {}): Promise<void> {
    const within = milliseconds('timeout', given('end', options, ['timeout']).timeout, this.#config.endTimeout);
    const late = (): void => (this.#phase === 'reading' ? this.#receiver.endNow() : this.destroy());
    if (this.#deadline.closed && this.#phase !== 'closed')
      this.#deadline = timer(within, this.#config.scheduler).subscribe(late);
    this.#receiver.gate.drain();
    if (this.#phase !== 'idle' && this.#phase !== 'running') return this.#monitor.ended;
    this.#phase = 'closing';
    this.#monitor.closing();
    this.#outlet.close();
    this.outbound.complete();
    this.#endIfWritten();
    this.#lifeline.hurry();
    return this.#monitor.ended;
  }

  destroy(error?: Error): void {
    if (this.#phase !== 'finishing' && this.#phase !== 'reading') return this.#finish(error, true, () => error);
    this.#destroyed = { error };
    if (this.#phase === 'reading') this.#receiver.close(error);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<In> {
    return iterate(this, this.#receiver);
  }

  #start(): void {
    if (this.#phase !== 'idle') return;
    this.#phase = 'running';
    this.#lifeline.start();
  }

  #outletEvents(): OutletEvents {
    const monitor = this.#monitor;
    return {
      accepted: () => {
        this.#start();
        this.#lifeline.wake();
        monitor.writable.set(this.#outlet.writable);
      },
      changed: () => {
        monitor.writable.set(this.#outlet.writable);
        this.#endIfWritten();
      },
      written: (frames, bytes) => monitor.written(frames, bytes),
      undelivered: (error) => monitor.undelivered(error),
      refused: (error) => monitor.refused(error),
      where: () => this.#lifeline.where,
    };
  }

  /** While closing: once everything is written the connection ends, and the socket with it. */
  #endIfWritten(): void {
    if (this.#phase !== 'closing' || this.#outlet.queue.frames > 0) return;
    if (this.#lifeline.connected) this.#lifeline.endLive();
    else this.#over();
  }

  /** No connection follows: as asked, or because of this error. What was read is still delivered, save where nobody reads a socket that gave up. */
  #over(error?: TcpError): void {
    const single = this.#config.reconnect === false;
    const clean = single && error instanceof ConnectionLostError && error.clean;
    if (this.#phase === 'closing') this.#finish(error, false, () => undefined);
    else if (clean) this.#finish(error, false, (cut) => cut);
    else this.#finish(error, !single && this.#receiver.gate.subscribers === 0, () => error);
  }

  /**
   * The end, in this order: outcomes of messages, `inbound`, `status`, the other streams, `end()`. `inbound` ends `now` or when the rest is
   * read, with the error that `errorFor` the frame that was cut off gives, if any.
   */
  #finish(error: Error | undefined, now: boolean, errorFor: (cut?: FrameError) => Error | undefined): void {
    if (this.#phase === 'finishing' || this.#phase === 'reading' || this.#phase === 'closed') return;
    this.#phase = 'finishing';
    const cause = error && asTcpError(error, this.#lifeline.where);
    this.#monitor.closing();
    this.#lifeline.detach();
    this.#outlet.clear(cause ?? new ClosedError(this.#lifeline.where));
    this.outbound.complete();
    if (cause instanceof ReconnectLimitError) this.#monitor.errors.report(cause);
    if (now) this.#receiver.discard();
    this.#lifeline.stop();
    this.#phase = 'reading';
    this.#receiver.end(errorFor, () => this.#close(this.#destroyed?.error ?? cause));
    if (this.#destroyed !== undefined) this.#receiver.close(this.#destroyed.error);
  }

  #close(error: Error | undefined): void {
    this.#phase = 'closed';
    this.#deadline.unsubscribe();
    this.#forgetSignal?.();
    this.#unlist();
    this.#monitor.close(error && asTcpError(error, this.#lifeline.where));
  }
}
