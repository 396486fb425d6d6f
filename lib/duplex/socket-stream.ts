import { Duplex } from 'node:stream';
import { concat, concatMap, defer, finalize, first, ignoreElements, of, pairwise } from 'rxjs';
import { Subject, Subscription, take, tap, type Observable } from 'rxjs';
import { MAX_TIMER } from '../check.js';
import type { Connection } from '../connection/connection.js';
import { ConfigError } from '../errors.js';
import type { TcpSocket } from '../socket.js';

/** Bytes. A longer chunk is written in parts, since the queue refuses a message that is larger than all of its room. */
const MAX_PIECE = 1024 * 1024;

/**
 * The bytes of a socket as a Node stream.
 *
 *     inbound ──chunk──> push() ──false──> hold until _read()
 *     _write(), _writev() ──pieces──> writeAll() ──written──> callback
 *
 *     connection 1 ──last byte──> all of it taken by the reader ──> 'reconnect' ──> first byte of connection 2
 */
export class SocketStream extends Duplex {
  protected live: Connection | undefined;
  readonly #socket: TcpSocket;
  readonly #subscription = new Subscription();
  /** The reader has taken everything that was pushed. */
  readonly #emptied = new Subject<void>();
  /** Gives the hold back, while there is one: no byte before the first read, and none after `push()` has answered false. */
  #release: (() => void) | undefined;

  constructor(socket: TcpSocket) {
    super({ allowHalfOpen: false }); // a socket whose peer has ended takes nothing more
    this.#socket = socket;
    this.#release = socket.pause();
    const inbound = socket.inbound.subscribe({
      next: (chunk) => this.#chunk(chunk),
      error: (error: Error) => this.destroy(error),
      complete: () => this.#inboundEnded(),
    });
    this.#subscription.add(inbound);
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    if (this.readableLength === 0 && this.#emptied.observed) {
      process.nextTick(() => this.readableLength === 0 && this.#emptied.next()); // once its caller has the chunk
    }
    return chunk;
  }

  /** Node calls it on the next tick, when whoever made the stream listens to it, and before the first read or write. */
  override _construct(callback: () => void): void {
    const reconnected = this.#socket.connections.pipe(
      tap((connection) => this.opened(connection)),
      pairwise(),
      concatMap(([before]) => concat(before.inbound.pipe(ignoreElements()), this.#drained)),
    );
    this.#subscription.add(reconnected.subscribe(() => this.emit('reconnect')));
    callback();
  }

  override _read(): void {
    const release = this.#release;
    this.#release = undefined;
    release?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    this.#write([{ chunk }], callback);
  }

  override _writev(chunks: { readonly chunk: Buffer }[], callback: (error?: Error) => void): void {
    this.#write(chunks, callback);
  }

  /** All of ours is written: FIN, or after a dial that is under way. */
  override _final(callback: () => void): void {
    const dialled = this.#socket.status.pipe(first(({ type }) => type !== 'connecting'));
    const ending = dialled.subscribe(() => {
      void this.#socket.end({ timeout: MAX_TIMER }); // a deadline would cut off what is still to come, and call it the end
      void this.#socket.flush().then(() => process.nextTick(callback));
    });
    this.#subscription.add(ending);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#subscription.unsubscribe();
    this._read();
    this.#socket.destroy(error ?? undefined);
    // 'close' comes once the connection is closed, as with net.Socket: TLS on top of it tells its own error before.
    void (this.live?.closed ?? Promise.resolve()).then(() => process.nextTick(callback, error));
  }

  /** A connection is open. */
  protected opened(connection: Connection): void {
    this.live = connection;
  }

  /** Bytes came, or are being written, or were. */
  protected active(): void {
    return;
  }

  #chunk(chunk: unknown): void {
    this.active();
    if (!(chunk instanceof Uint8Array)) {
      this.destroy(new ConfigError(`\`socket\` must give bytes, got ${typeof chunk}: leave its \`codec\` out`));
    } else if (!this.push(chunk)) this.#release ??= this.#socket.pause();
  }

  /** After our `end()` the socket completes however its connection went; what the peer or the network cut short is no end of a stream. */
  #inboundEnded(): void {
    const ended = this.live?.closed ?? Promise.resolve(undefined);
    void ended.then((lost) => {
      if (lost !== undefined && !lost.clean && lost.endedBy !== 'us') this.destroy(lost);
      else this.push(null);
    });
  }

  #write(chunks: readonly { readonly chunk: Buffer }[], callback: (error?: Error) => void): void {
    this.active();
    const written = (error?: Error): void => {
      this.active();
      process.nextTick(callback, error); // on a tick of its own: what a listener throws is no rejection
    };
    this.#socket.writeAll(piecesOf(chunks)).then(() => written(), written);
  }

  /** Emits once the reader has what was pushed so far, and holds back what follows until that is told. */
  readonly #drained: Observable<void> = defer(() => {
    if (this.readableLength === 0) return of(undefined);
    return this.#emptied.pipe(take(1), finalize(this.#socket.pause()));
  });
}

function* piecesOf(chunks: readonly { readonly chunk: Buffer }[]): Generator<Buffer> {
  for (const { chunk } of chunks) {
    for (let at = 0; at < chunk.length; at += MAX_PIECE) yield chunk.subarray(at, at + MAX_PIECE);
  }
}
