/**
 * One connection after another: dials, lets the queue flow into what opens, takes the frames back when it is lost, and dials again.
 *
 *     dial ──> LiveConnection ──settle──> writeTo            one subscription owns all of it:
 *       ^            │ lost: report, rewind                  unsubscribing destroys the connection, the dial or the wait
 *       └─ reconnect ┘
 */
import { defer, NEVER, Subject, Subscription, tap, timer, type Observable } from 'rxjs';
import { MAX_TIMER } from './check.js';
import type { ResolvedSocket } from './config.js';
import { liveOver } from './connect.js';
import type { Connection } from './connection/connection.js';
import { sharedOf, type dial, type DialShared } from './connection/dial.js';
import type { Link } from './connection/link.js';
import { reconnectWith } from './connection/reconnect.js';
import { upgradeAsClient } from './connection/upgrade.js';
import type { Endpoint, ErrorContext, TcpError } from './errors.js';
import { flowInto } from './flow.js';
import type { LiveConnection } from './framed.js';
import type { LiveConfig } from './framed/live-config.js';
import type { Receiver } from './inbound/receive.js';
import type { Monitor } from './monitor/monitor.js';
import type { ConnectionStatus } from './monitor/status.js';
import type { Outlet } from './outbound/outlet.js';
import type { WriteSession } from './outbound/write-to.js';

/** What a lifeline joins. */
export interface LifelineParts<In, Out> {
  readonly config: ResolvedSocket<In, Out>;
  /** One attempt; `dial`, or links that a test makes. */
  readonly dial: typeof dial;
  readonly receiver: Receiver<In>;
  readonly outlet: Outlet<Out>;
  readonly monitor: Monitor<Connection<In, Out>>;
  /** Whether the socket was asked to end: then connections come and go without a word, and one that ends as asked is the last. */
  readonly closing: () => boolean;
  /** A connection is ready to be written to, or is lost, or a dial failed. */
  readonly changed: () => void;
  /** No connection follows. */
  readonly over: (error?: TcpError) => void;
}

/** The connections of one socket. */
export class Lifeline<In, Out> {
  readonly #parts: LifelineParts<In, Out>;
  readonly #hurry = new Subject<void>();
  readonly #subscription = new Subscription();
  #settling = Subscription.EMPTY;
  #live: LiveConnection<In, Out> | undefined;
  #session: WriteSession | undefined;
  #waiting = false;
  readonly #shared: DialShared;
  #attempt = 0;
  #endpoint: Endpoint;

  constructor(parts: LifelineParts<In, Out>) {
    this.#parts = parts;
    this.#shared = { ...sharedOf(parts.config), chosen: (endpoint) => this.#connecting(endpoint) };
    this.#endpoint = parts.config.endpoint;
  }

  /** Where it was dialled last, and how many connections it has had. */
  get where(): ErrorContext {
    return { endpoint: this.#endpoint, epoch: this.#parts.monitor.counters.epoch };
  }

  /** Whether there is an open connection. */
  get connected(): boolean {
    return this.#live !== undefined;
  }

  start(): void {
    const { over } = this.#parts;
    this.#subscription.add(
      this.#connections().subscribe({
        next: (connection) => this.#opened(connection),
        error: (error: TcpError) => over(error),
        complete: () => over(),
      }),
    );
  }

  /** Something was queued. */
  wake(): void {
    this.#session?.wake();
  }

  /** Dials at once: after destroying the live connection, or instead of waiting on. */
  redial(): void {
    const live = this.#live; // a dial that is granted may open before the next line
    this.#hurry.next();
    live?.destroy();
  }

  /** Cuts a running wait short. */
  hurry(): void {
    if (this.#waiting) this.#hurry.next();
  }

  /** Ends the live connection gracefully, however long it takes: the socket has a deadline of its own. */
  endLive(): void {
    void this.#live?.end(MAX_TIMER);
  }

  /** Hands nothing more over, and lets no late callback change anything. */
  detach(): void {
    this.#live = undefined;
    this.#parts.monitor.lost();
    this.#settling.unsubscribe();
    this.#session?.stop();
    this.#session = undefined;
  }

  stop(): void {
    this.detach();
    this.#subscription.unsubscribe();
  }

  #connections(): Observable<LiveConnection<In, Out>> {
    const { config, monitor, closing } = this.#parts;
    const connections = liveOver<In, Out>(this.#dialled(), {
      ...{ config, timeout: config.connectTimeout, epoch: () => monitor.counters.epoch },
      live: () => this.#liveConfig(),
      tell: ({ lost, asAsked, reason }) => (asAsked && closing() ? undefined : (reason ?? lost)),
      failed: ({ endpoint }) => endpoint && this.#shared.endpoints?.failed(endpoint),
    });
    return connections.pipe(
      tap({ error: (error: TcpError) => this.#failed(error) }),
      reconnectWith(config.reconnect, {
        scheduler: config.scheduler,
        dialling: (attempt) => this.#dialling(attempt),
        waiting: (attempt, delay, cause) => {
          this.#waiting = true;
          this.#tell({ type: 'backoff', attempt, delay, cause });
        },
        answered: ({ tally }) => tally.answered,
        elsewhere: (error) => this.#shared.endpoints?.refused(error) === true,
        hurry: this.#hurry,
      }),
    );
  }

  #dialled(): Observable<Link> {
    const { config, dial, monitor } = this.#parts;
    // Whoever hears of 'connecting' may have ended the socket.
    return defer(() => (this.#subscription.closed ? NEVER : dial(config, () => monitor.counters.epoch, this.#shared)));
  }

  #dialling(attempt: number): void {
    const { config, monitor } = this.#parts;
    this.#waiting = false;
    this.#attempt = attempt;
    monitor.counters.dials++;
    if (config.endpoints === undefined) this.#connecting(config.endpoint);
  }

  #connecting(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
    this.#tell({ type: 'connecting', attempt: this.#attempt, endpoint });
  }

  #liveConfig(): Omit<LiveConfig<In, Out>, 'ended'> {
    const { config, receiver, outlet, monitor } = this.#parts;
    return {
      config,
      receiver,
      upgrade: upgradeAsClient,
      epoch: monitor.counters.epoch + 1,
      counters: monitor.counters,
      halfOpen: config.socket.allowHalfOpen === true,
      report: (error) => monitor.errors.report(error),
      unconfirmed: () => outlet.queue.inFlightFrames,
      ending: () => {
        this.#settling.unsubscribe();
        this.#session?.finish();
      },
    };
  }

  #opened(connection: LiveConnection<In, Out>): void {
    const { config, monitor } = this.#parts;
    this.#live = connection;
    monitor.counters.epoch = connection.epoch;
    this.#shared.endpoints?.opened(connection.endpoint);
    this.#tell({ type: 'open', endpoint: connection.endpoint, epoch: connection.epoch });
    if (this.#live === connection) monitor.opened(connection);
    if (this.#live !== connection) return; // a subscriber of one of these two has ended it
    // What accepts for a server that is dead would swallow the whole queue: wait a little to see whether it stays.
    const settle = monitor.counters.dials > 1 ? config.settle : 0;
    if (settle === 0) this.#flowInto(connection);
    else this.#settling = timer(settle, config.scheduler).subscribe(() => this.#flowInto(connection));
  }

  #flowInto(connection: LiveConnection<In, Out>): void {
    const { outlet, changed } = this.#parts;
    this.#session = flowInto(connection, outlet);
    changed();
  }

  /** A dial failed or the connection is lost. What it had not confirmed goes back in front of the queue. */
  #failed(error: TcpError): void {
    const { monitor, outlet, changed } = this.#parts;
    const dropped = this.#live !== undefined;
    this.detach();
    if (dropped) monitor.counters.drops++;
    monitor.errors.report(error);
    if (dropped) monitor.counters.framesRetried += outlet.rewind(error);
    changed();
  }

  #tell(status: ConnectionStatus): void {
    if (!this.#parts.closing()) this.#parts.monitor.status.set(status);
  }
}
