import type { Duplex } from 'node:stream';
import type { Observable, ObservableInput } from 'rxjs';
import type { Bytes } from './codec/codec.js';
import type { ResolvedStreams } from './config.js';
import type { Connection } from './connection/connection.js';
import { ConfigError, TcpError, WriteError } from './errors.js';
import type { ConnectionLostError, Endpoint, ErrorContext } from './errors.js';
import { flowInto } from './flow.js';
import type { LiveConnection } from './framed.js';
import { rejectedWhenClosed } from './framed/live-config.js';
import type { Receiver } from './inbound/receive.js';
import type { Listed } from './monitor/registry.js';
import { readSnapshot, readStats, type Counters, type SocketSnapshot, type SocketStats } from './monitor/stats.js';
import { Outlet } from './outbound/outlet.js';
import { writeAll } from './outbound/write-all.js';
import type { WriteSession } from './outbound/write-to.js';
import { quiet } from './quiet.js';

/** A connection of a server: what is written goes through a queue of its own, as bounded and as fast as that of a client. */
export interface ServerConnection<In = Buffer, Out = Bytes> extends Connection<In, Out> {
  /**
   * Writes all that a source gives, pulling an item when there is room; an Observable's values meet the bounds of `writeBuffer`. Resolves when the source has ended and
   * its messages are written; rejects with the first that was not, with an error of the source, or at the connection's end.
   */
  writeAll(source: ObservableInput<Out>): Promise<void>;
  /** Resolves when every message accepted so far has its outcome; never rejects. */
  flush(): Promise<void>;
  /** A frozen snapshot. */
  stats(): SocketStats;
}

/** What a served connection is made of. */
export interface ServedParts<In, Out> {
  readonly config: ResolvedStreams<In, Out>;
  readonly receiver: Receiver<In>;
  readonly counters: Counters;
  readonly name: string | undefined;
  /** A message was refused, or was accepted and is not written. */
  readonly report: (error: TcpError) => void;
}

/** One connection of a server, from its opening to its end. */
export class ServedConnection<In, Out> implements ServerConnection<In, Out>, Listed {
  readonly name: string | undefined;
  readonly #parts: ServedParts<In, Out>;
  readonly #outlet: Outlet<Out>;
  #live: LiveConnection<In, Out> | undefined;
  #session: WriteSession | undefined;
  #asked = false;
  /** Sends the FIN, once all is written. */
  #fin: (() => void) | undefined;

  constructor(parts: ServedParts<In, Out>) {
    const { config, counters, report, name } = parts;
    this.#parts = parts;
    this.name = name;
    const { codec, writeBuffer } = config;
    this.#outlet = new Outlet<Out>(
      { codec, writeBuffer, overflow: 'dropNewest', retryLimit: 0 },
      {
        accepted: () => this.#session?.wake(),
        changed: () => this.#finIfWritten(),
        written: (frames, bytes) => {
          counters.framesWritten += frames;
          counters.bytesWritten += bytes;
        },
        undelivered: (error) => {
          counters.framesUndelivered++;
          report(error);
        },
        refused: (error) => {
          counters.framesRefused++;
          report(error);
        },
        where: () => this.#where(),
      },
    );
  }

  get endpoint(): Endpoint {
    return this.#open.endpoint;
  }

  get epoch(): number {
    return this.#parts.counters.epoch;
  }

  get closed(): Promise<ConnectionLostError | undefined> {
    return this.#open.closed;
  }

  get raw(): Duplex {
    return this.#open.raw;
  }

  get readBuffer(): { readonly frames: number; readonly bytes: number } {
    return this.#parts.config.readBuffer;
  }

  get inbound(): Observable<In> {
    return this.#open.inbound;
  }

  /** Frames that were handed to the link and are not confirmed. */
  get unconfirmed(): number {
    return this.#outlet.queue.inFlightFrames;
  }

  /** The connection is open. */
  opened(live: LiveConnection<In, Out>): void {
    this.#live = live;
    this.#session = flowInto(live, this.#outlet);
  }

  /** The connection ends: nothing more is accepted, save what is written in answer to frames that came before the peer's FIN. */
  ending(asked: boolean): void {
    if (!asked) return;
    this.#asked = true;
    this.#parts.receiver.gate.drain();
    this.#outlet.close();
  }

  /** Calls it once all that was accepted is written. */
  beforeFin(fin: () => void): void {
    this.#fin = fin;
    if (this.#live === undefined || this.#asked) return this.#closeOutlet();
    this.#live.whenSpent(() => this.#closeOutlet());
  }

  /** It is over. */
  ended(lost: ConnectionLostError): void {
    this.#session?.stop();
    this.#fin = undefined;
    this.#outlet.clear(lost);
  }

  write(message: Out): Promise<void> {
    if (this.#outlet.closed && !this.#asked) return rejectedWhenClosed(this.closed, this.#where());
    return quiet(
      new Promise((resolve, reject) => {
        const settled = (error?: TcpError): void => (error === undefined ? resolve() : reject(reasonOf(error)));
        this.#outlet.offer(message, { settled, retryLimit: undefined });
      }),
    );
  }

  writeAll(source: ObservableInput<Out>): Promise<void> {
    return quiet(writeAll(this.#outlet, source));
  }

  flush(): Promise<void> {
    return this.#outlet.flush();
  }

  pause(): () => void {
    return this.#open.pause();
  }

  upgrade(): Promise<void> {
    return quiet(Promise.reject(new ConfigError('`upgrade` is for a `handshake`; it is over')));
  }

  end(timeout?: number): Promise<void> {
    return this.#open.end(timeout);
  }

  destroy(error?: Error): void {
    this.#open.destroy(error);
  }

  stats(): SocketStats {
    const { counters, receiver } = this.#parts;
    return readStats(counters, { queue: this.#outlet.queue, receiver, errorsDropped: 0 });
  }

  snapshot(): SocketSnapshot {
    return readSnapshot(this.stats(), this.name, { type: 'open', endpoint: this.endpoint, epoch: this.epoch });
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<In> {
    return this.#open[Symbol.asyncIterator]();
  }

  get #open(): LiveConnection<In, Out> {
    if (this.#live === undefined) throw new ConfigError('the connection is not open yet');
    return this.#live;
  }

  #closeOutlet(): void {
    this.#outlet.close();
    this.#finIfWritten();
  }

  #finIfWritten(): void {
    const fin = this.#fin;
    if (fin === undefined || !this.#outlet.closed || this.#outlet.queue.frames > 0) return;
    this.#fin = undefined;
    this.#session?.finish();
    fin();
  }

  #where(): ErrorContext {
    return { endpoint: this.#live?.endpoint, epoch: this.epoch };
  }
}

/** What ended the connection, rather than that the message was lost by it: that is what the rejection says already. */
function reasonOf(error: TcpError): TcpError {
  return error instanceof WriteError && error.cause instanceof TcpError ? error.cause : error;
}
