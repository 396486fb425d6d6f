/**
 * Joins a Link and a codec into a Connection: for tcpSocket, which gives all its connections one Receiver, and for connection() and
 * tcpServer, where each has its own.
 *
 *     open ──end()──> FIN after the writes ──peer's FIN──> over, as asked
 *       │ peer's FIN ──> FIN after the writes ───────────> over, clean
 *       └ reset, drop, destroy(), deadline ──────────────> over, lost
 */
import type { Duplex } from 'node:stream';
import { Observable, Subscription, timer } from 'rxjs';
import { clock } from './clock.js';
import type { BufferLimits, ResolvedStreams } from './config.js';
import type { Connection } from './connection/connection.js';
import type { Link, LinkEvents } from './connection/link.js';
import { watchPeer } from './connection/liveness.js';
import { isTlsError } from './connection/secure.js';
import type { Upgrade } from './connection/upgrade.js';
import { WatchedLink } from './connection/watched-link.js';
import { whoEnded } from './connection/who-ended.js';
import { asTcpError, ClosedError, ConfigError, ConnectionLostError, FrameError, OverflowError } from './errors.js';
import { TlsError, WriteStallError } from './errors.js';
import type { ConnectionFacts, Endpoint, ErrorContext, TcpError } from './errors.js';
import type { Intake } from './inbound/intake.js';
import { iterate } from './inbound/iterate.js';
import type { Receiver } from './inbound/receive.js';
import type { Counters } from './monitor/stats.js';
import { Tally } from './monitor/tally.js';
import { DirectWrites } from './outbound/direct-writes.js';
import { asFrameError, encodeMessage } from './outbound/encode.js';
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

/** A Connection over a link. */
export class LiveConnection<In, Out> implements Connection<In, Out> {
  readonly epoch: number;
  readonly readBuffer: BufferLimits;
  readonly inbound: Observable<In>;
  readonly closed: Promise<ConnectionLostError | undefined>;
  readonly #live: LiveConfig<In, Out>;
  readonly #intake: Intake<In>;
  readonly #tally: Tally;
  readonly #direct = new DirectWrites();
  #link!: Link;
  #receiver: Receiver<In>;
  #watch = Subscription.EMPTY;
  #upgrading = Subscription.EMPTY;
  /** The last message that was written past the queue. */
  #lastWrite: Promise<void> = Promise.resolve();
  #peerEnded = false;
  #asked = false;
  #over = false;
  #deadline = Subscription.EMPTY;
  #resolveClosed: (lost: ConnectionLostError | undefined) => void = () => undefined;

  constructor(link: Link, live: LiveConfig<In, Out>) {
    this.#live = live;
    this.epoch = live.epoch;
    this.readBuffer = live.config.readBuffer;
    this.#tally = new Tally(live.counters);
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    const receiver = (this.#receiver = live.tap ?? live.receiver);
    const where = { endpoint: link.endpoint, epoch: live.epoch };
    const intake = (this.#intake = receiver.attach(link, where, {
      decoded: () => this.#tally.decoded(),
      failed: (error) => this.drop(error),
    }));
    this.inbound = live.tap
      ? new Observable((to) => this.#receiver.framesOf(intake).subscribe(to))
      : receiver.framesOf(intake);
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

  /** Whether a frame came in after one of ours was written: proof of a peer that works. */
  get answered(): boolean {
    return this.#tally.answered;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<In> {
    const now = (): Receiver<In> => this.#receiver;
    return iterate(this, {
      get origin() {
        return now().origin;
      },
      giveBack: (unused) => now().giveBack(unused),
    });
  }

  pause(): () => void {
    return this.#receiver.gate.hold();
  }

  /** The handshake is done: from now on its frames are those of the socket. */
  join(): void {
    const { tap, receiver } = this.#live;
    if (tap === undefined || this.#over) return;
    this.#receiver = receiver;
    receiver.adopt(tap);
    this.#watchPeer();
  }

  upgrade(options?: unknown): Promise<void> {
    return quiet(this.#upgrade(options));
  }

  write(message: Out): Promise<void> {
    if (this.#asked) return quiet(Promise.reject(new ClosedError(this.#where())));
    if (this.#over || (this.#peerEnded && this.#live.halfOpen !== true)) return quiet(this.#rejectedWhenClosed());
    const { config } = this.#live;
    try {
      const bytes = encodeMessage(config.codec, message);
      if (!this.#direct.hasRoom(bytes.length, config.writeBuffer))
        throw new OverflowError('unsent', this.#where(), message);
      return (this.#lastWrite = quiet(this.#writeDirectly(bytes)));
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

  /** The link is over, or a write to it failed. */
  failed(error: Error | undefined): void {
    const reason = isTlsError(error) ? new TlsError({ ...this.#where(), cause: error }, true) : undefined;
    this.#finish({ error, endedBy: whoEnded(error, this.#peerEnded), reason });
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

  #writeDirectly(bytes: Uint8Array): Promise<void> {
    return this.#direct.write(this.#link, bytes, (written, error) => {
      if (error) this.failed(error);
      else this.#tally.wroteDirectly(written);
    });
  }

  /** Everything from now on goes over this link. */
  #use(link: Link): void {
    const { writeTimeout = 0, scheduler } = this.#live.config;
    const stalled = (): void => this.drop(new WriteStallError(writeTimeout, this.#where()));
    this.#link = writeTimeout > 0 ? new WatchedLink(link, writeTimeout, stalled, scheduler) : link;
    this.#link.listen(this.#events);
  }

  readonly #events: LinkEvents = {
    chunk: (chunk, keep) => this.#chunk(chunk, keep),
    fin: () => this.#fin(),
    lost: (error) => this.failed(error),
  };

  async #upgrade(options: unknown): Promise<void> {
    const { tap, upgrade, config } = this.#live;
    if (upgrade === undefined || this.#receiver !== tap)
      throw new ConfigError('`upgrade` is for a `handshake`; it is over');
    await this.#lastWrite.catch(() => undefined); // it leaves as it is
    if (this.#over) return this.#rejectedWhenClosed();
    const raw = this.#link.release?.();
    if (raw === undefined) throw new ConfigError('`upgrade` needs a stream that can carry another');
    await new Promise<void>((resolve, reject) => {
      void this.closed.then((lost) => reject(lost ?? new ClosedError(this.#where())));
      this.#upgrading = upgrade(raw, options, this.#where(), config.scheduler).subscribe({
        next: (link) => {
          this.#intake.restart(link);
          this.#use(link);
          resolve();
        },
        error: (error: Error) => {
          reject(error);
          this.drop(asTcpError(error, this.#where()));
        },
      });
    });
  }

  #watchPeer(): void {
    const { idleTimeout = 0, heartbeat } = this.#live.config;
    if (this.#over || (idleTimeout === 0 && heartbeat === undefined)) return;
    this.#watch = watchPeer(this.#live.config, {
      where: this.#where(),
      heardAt: () => (this.#intake.busy ? clock.now() : this.#tally.lastReadAt),
      wantedSince: () => this.#receiver.gate.openSince,
      ask: () => this.#beat(heartbeat?.message),
      silent: (error) => this.drop(error),
    });
  }

  /** Writes the heartbeat's message, unless something before it is not written yet: then another would not be either. */
  #beat(message: (() => Out) | undefined): void {
    if (message === undefined || this.#asked || this.#peerEnded || this.#direct.pending.frames > 0) return;
    try {
      quiet(this.#writeDirectly(encodeMessage(this.#live.config.codec, message())));
    } catch (error) {
      this.#live.report?.(asFrameError(error, 'the message of the heartbeat threw').at(this.#where()));
    }
  }

  #chunk(chunk: Buffer, keep: (() => Buffer) | undefined): void {
    if (this.#over) return;
    this.#tally.read(chunk.length);
    this.#receiver.chunk(this.#intake, chunk, keep);
  }

  /** After the peer's FIN nothing is handed over any more: the first write would "succeed" even if nobody is there. */
  #fin(): void {
    if (this.#over) return;
    this.#peerEnded = true;
    this.#watch.unsubscribe(); // nothing can be heard of it any more
    if (this.#asked) return;
    if (this.#live.halfOpen === true) return void this.#receiver.over(this.#intake);
    this.#live.ending(false);
    this.#closeWithin(this.#live.config.endTimeout);
  }

  #closeWithin(timeout: number): void {
    const fin = (): void => (this.#over ? undefined : this.#link.end());
    if (this.#live.beforeFin === undefined) fin();
    else this.#live.beforeFin(fin);
    if (this.#over) return;
    this.#deadline.unsubscribe();
    this.#deadline = timer(timeout, this.#live.config.scheduler).subscribe(() => {
      this.#finish({ error: undefined, endedBy: this.#peerEnded ? 'peer' : 'us' });
    });
  }

  #finish(how: { error: Error | undefined; endedBy: ConnectionFacts['endedBy']; reason?: TcpError | undefined }): void {
    if (this.#over) return;
    this.#over = true;
    const { error, endedBy, reason } = how;
    for (const running of [this.#deadline, this.#watch, this.#upgrading]) running.unsubscribe();
    this.#link.destroy();
    const rest = this.#link.rest();
    if (rest.length > 0) this.#tally.read(rest.length);
    const unconfirmed = (this.#live.unconfirmed?.() ?? 0) + this.#direct.pending.frames;
    const { unread, cut } = this.#receiver.over(this.#intake, rest);
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
    return { endpoint: this.#link.endpoint, epoch: this.epoch };
  }
}
