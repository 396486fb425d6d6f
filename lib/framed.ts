/**
 * Joins a Link and a codec into a Connection: for tcpSocket, which gives all its connections one Receiver, and for connection() and
 * tcpServer, where each has its own.
 *
 *     open ──end()──> FIN after the writes ──peer's FIN──> over, as asked
 *       │ peer's FIN ──> FIN after the writes ───────────> over, clean
 *       └ reset, drop, destroy(), deadline ──────────────> over, lost
 */
import type { Duplex } from 'node:stream';
import { Subscription, type Observable } from 'rxjs';
import type { BufferLimits } from './config.js';
import type { Connection } from './connection/connection.js';
import type { Link, LinkEvents } from './connection/link.js';
import { watchPeer } from './connection/liveness.js';
import { isTlsError } from './connection/secure.js';
import { WatchedLink } from './connection/watched-link.js';
import { whoEnded } from './connection/who-ended.js';
import { ClosedError, ConfigError, TlsError, WriteStallError } from './errors.js';
import type { ConnectionLostError, Endpoint, ErrorContext, TcpError } from './errors.js';
import { DirectStreet } from './framed/direct-street.js';
import { Farewell } from './framed/farewell.js';
import { InwardStreet } from './framed/inward-street.js';
import { endingOf, rejected, rejectedWhenClosed, type LastMoment, type LiveConfig } from './framed/live-config.js';
import { Upgrading } from './framed/upgrading.js';
import { Tally } from './monitor/tally.js';

/** A Connection over a link. */
export class LiveConnection<In, Out> implements Connection<In, Out> {
  readonly epoch: number;
  readonly readBuffer: BufferLimits;
  readonly inbound: Observable<In>;
  readonly closed: Promise<ConnectionLostError | undefined>;
  readonly #live: LiveConfig<In, Out>;
  /** Its account. */
  readonly tally: Tally;
  readonly #inward: InwardStreet<In>;
  #direct: DirectStreet<Out> | undefined;
  #link!: Link;
  #watch = Subscription.EMPTY;
  #upgrading: Upgrading | undefined;
  #peerEnded = false;
  #asked = false;
  #over = false;
  #farewell: Farewell | undefined;
  #resolveClosed: (lost: ConnectionLostError | undefined) => void = () => undefined;

  constructor(link: Link, live: LiveConfig<In, Out>) {
    this.#live = live;
    this.epoch = live.epoch;
    this.readBuffer = live.config.readBuffer;
    this.tally = new Tally(live.counters);
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    this.#inward = new InwardStreet<In>(link, {
      ...{ receiver: live.receiver, tap: live.tap, tally: this.tally },
      where: { endpoint: link.endpoint, epoch: live.epoch },
      failed: (error) => this.drop(error),
    });
    this.inbound = this.#inward.inbound;
    this.#use(link);
    if (live.tap === undefined) this.#watchPeer();
  }

  get link(): Link {
    return this.#link;
  }

  get endpoint(): Endpoint {
    return this.#link.endpoint;
  }

  get raw(): Duplex {
    return this.#link.raw;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<In> {
    return this.#inward.iterate(this);
  }

  pause(): () => void {
    return this.#inward.pause();
  }

  /** The handshake is done: from now on its frames are those of the socket. Answers why not, if it cannot be. */
  join(): Error | undefined {
    if (this.#upgrading?.pending === true) return new TypeError('`handshake` completed before its `upgrade`');
    if (this.#asked || (this.#peerEnded && this.#live.halfOpen !== true)) return new Error('the connection is ending');
    if (this.#live.tap !== undefined && !this.#over) this.#inward.join();
    if (this.#live.tap !== undefined) this.#watchPeer();
    return undefined;
  }

  upgrade(options?: unknown): Promise<void> {
    this.#upgrading ??= this.#makeUpgrading();
    return this.#upgrading.start(options);
  }

  write(message: Out): Promise<void> {
    if (this.#asked) return rejected(new ClosedError(this.#where()));
    if (this.#over || (this.#peerEnded && this.#live.halfOpen !== true))
      return rejectedWhenClosed(this.closed, this.#where());
    if (this.#upgrading?.pending === true) return rejected(new ConfigError('`write` must wait for `upgrade`'));
    return this.#past.write(message);
  }

  async end(timeout = this.#live.config.endTimeout): Promise<void> {
    if (!this.#over && !this.#asked) {
      this.#asked = true;
      this.#watch.unsubscribe(); // from now on the deadline judges
      this.#live.ending(true);
      this.#closeWithin(timeout);
    }
    await this.closed;
  }

  destroy(error?: Error): void {
    this.#finish({ error, endedBy: 'us', reason: undefined });
  }

  /** Calls it once all that was read has been handed out: now, or later. */
  whenSpent(go: () => void): void {
    this.#inward.whenSpent(go);
  }

  /** The link is over, or a write to it failed. */
  failed(error: Error | undefined): void {
    const reason = isTlsError(error) ? new TlsError({ ...this.#where(), cause: error }, true) : undefined;
    this.#finish({ error, endedBy: whoEnded(error, this.#peerEnded), reason });
  }

  /** Ends it now for a reason of ours. */
  drop(reason: TcpError): void {
    this.#finish({ error: undefined, endedBy: 'us', reason });
  }

  /** The way past the queue; most connections have no use for it. */
  get #past(): DirectStreet<Out> {
    return (this.#direct ??= new DirectStreet<Out>({
      ...{ live: this.#live, tally: this.tally, link: () => this.#link, where: () => this.#where() },
      ...{ failed: (error) => this.failed(error), ended: () => this.#over || this.#asked },
    }));
  }

  /** Everything from now on goes over this link. */
  #use(link: Link): void {
    const { writeTimeout = 0, scheduler } = this.#live.config;
    const stalled = (): void => this.drop(new WriteStallError(writeTimeout, this.#where()));
    this.#link = writeTimeout > 0 ? new WatchedLink(link, writeTimeout, stalled, scheduler) : link;
    this.#link.listen(this.#events);
  }

  readonly #events: LinkEvents = {
    chunk: (chunk, keep) => (this.#over ? undefined : this.#inward.chunk(chunk, keep)),
    fin: () => this.#fin(),
    lost: (error) => this.failed(error),
  };

  #makeUpgrading(): Upgrading {
    return new Upgrading(this.#live, {
      ...{ closed: this.closed, link: () => this.#link, where: () => this.#where() },
      ...{ settled: () => this.#past.settled, tapped: () => this.#inward.tapped },
      upgraded: (secure) => {
        this.#inward.restart(secure);
        this.#use(secure);
      },
      failed: (error) => this.drop(error),
    });
  }

  #watchPeer(): void {
    const { idleTimeout = 0, heartbeat } = this.#live.config;
    if (this.#over || this.#peerEnded || (idleTimeout === 0 && heartbeat === undefined)) return;
    this.#watch = watchPeer(this.#live.config, {
      where: this.#where(),
      heardAt: () => this.#inward.heardAt(),
      wantedSince: () => this.#inward.wantedSince(),
      ask: () => this.#past.beat(heartbeat?.message),
      silent: (error) => this.drop(error),
    });
  }

  /** After the peer's FIN nothing is handed over any more: the first write would "succeed" even if nobody is there. */
  #fin(): void {
    if (this.#over) return;
    this.#peerEnded = true;
    this.#watch.unsubscribe(); // nothing can be heard of it any more
    if (this.#asked) return;
    if (this.#live.halfOpen === true) return void this.#inward.over();
    this.#live.ending(false);
    this.#closeWithin(this.#live.config.endTimeout);
  }

  #closeWithin(timeout: number): void {
    const fin = (): void => (this.#over ? undefined : this.#link.end());
    const late = (): void =>
      this.#finish({ error: undefined, endedBy: this.#peerEnded ? 'peer' : 'us', reason: undefined });
    this.#farewell ??= new Farewell(this.#live, fin, late);
    this.#farewell.within(timeout);
  }

  #finish(how: Pick<LastMoment, 'error' | 'endedBy' | 'reason'>): void {
    if (this.#over) return;
    this.#over = true;
    this.#farewell?.stop();
    this.#watch.unsubscribe();
    this.#upgrading?.stop();
    this.#link.destroy();
    const rest = this.#link.rest();
    const unconfirmed = (this.#live.unconfirmed?.() ?? 0) + (this.#direct?.unconfirmed ?? 0);
    const { unread, cut } = this.#inward.over(rest);
    const last = { ...how, asked: this.#asked, peerEnded: this.#peerEnded, unconfirmed, unread, cut };
    const ending = endingOf(last, this.tally, this.#where());
    this.#direct?.fail(ending.lost);
    this.#resolveClosed(ending.asAsked ? undefined : ending.lost);
    this.#live.ended(ending);
  }

  #where(): ErrorContext {
    return { endpoint: this.#link.endpoint, epoch: this.epoch };
  }
}
