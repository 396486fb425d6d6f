/**
 * The mouth of the outbound street: what users hand over becomes queued frames, and every one of them gets its outcome.
 *
 *     next(), write(), writeAll() ──encode──> WriteQueue ──> writeTo ──> kernel
 *                │ refused                        │ undelivered   │ confirm: written
 *                └────────────> report <──────────┘               └──> settled
 */
import type { Codec } from '../codec/codec.js';
import type { EncodeInto } from '../codec/encode-into.js';
import { ClosedError, OverflowError, WriteError } from '../errors.js';
import type { ErrorContext, Fate, TcpError } from '../errors.js';
import { asFrameError, encodeInto } from './encode.js';
import { Flushes } from './flushes.js';
import type { FrameTerms, LostFrame, Loss, QueueConfig } from './queued-frame.js';
import { WriteQueue } from './write-queue.js';
import { WaitingRoom } from './waiting-room.js';
import { writeOne, type WriteOptions } from './write-one.js';
import type { BatchSource } from './write-to.js';

/** What an outlet is made of. */
export interface OutletConfig<Out> extends QueueConfig {
  readonly codec: Pick<Codec<unknown, Out>, 'encode'>;
}

/** What an outlet tells its owner. */
export interface OutletEvents {
  /** A message was accepted that is the first to wait, or after which there is no room. */
  accepted(): void;
  /** Messages have left the queue, or are free to be written again. */
  changed(): void;
  written(frames: number, bytes: number): void;
  /** A message was accepted and will not be written. */
  undelivered(error: TcpError): void;
  /** A message was not accepted. */
  refused(error: TcpError): void;
  /** Where the socket is now, for errors. */
  where(): ErrorContext;
}

/** Somebody whose messages a lost connection may have taken along. */
export interface Loser {
  /** It is lost, and what was in flight is so still. */
  losing(cause: TcpError | undefined): void;
  /** What was in flight waits again. */
  lost(): void;
}

/** Takes messages, and settles each one exactly once. */
export class Outlet<Out> implements BatchSource {
  readonly queue: WriteQueue;
  /** They hear of each connection that is lost. */
  readonly losers: Loser[] = [];
  readonly #config: OutletConfig<Out>;
  readonly #encodeInto: EncodeInto<Out>;
  readonly #events: OutletEvents;
  readonly #flushes = new Flushes();
  readonly #waitingRoom = new WaitingRoom(
    (bytes) => this.#closed || bytes > this.#config.writeBuffer.bytes || this.queue.hasRoom(bytes),
  );
  readonly #closing = new Set<(error: ClosedError) => void>();
  #closed = false;
  /** Why it is closed, if it was not asked to. */
  #cause: unknown;
  /** Bytes of the largest message that was refused for want of room, until that much is free. */
  #wanted = 1;

  constructor(config: OutletConfig<Out>, events: OutletEvents) {
    this.#config = config;
    this.#encodeInto = encodeInto(config.codec);
    this.#events = events;
    this.queue = new WriteQueue(config, {
      written: (frames, bytes) => this.#events.written(frames, bytes),
      undelivered: (frame, fate, loss) => {
        const error = this.#lossError(frame, fate, loss);
        this.#events.undelivered(error);
        tellUndelivered(frame.terms, error);
        if (loss.why === 'evicted') this.#changed();
      },
    });
  }

  /** Whether nothing more is accepted. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether there is room for a message, one as large as the last refused if there was one, and a socket to take it. */
  get writable(): boolean {
    return !this.#closed && this.queue.hasRoom(this.#wanted);
  }

  /**
   * Encodes and queues a message, and answers its place in the queue; 0 if it is refused, and its `settled` called at once, because it cannot be encoded or
   * there is no room. With `wait` it is not refused for want of room that may come: `wait` gets its bytes, for `whenRoom` and `enqueue`.
   */
  offer(message: Out, terms?: FrameTerms, wait?: (bytes: Uint8Array) => void): number {
    if (this.#closed) {
      tellUndelivered(terms, this.#closedError());
      return 0;
    }
    const { slabs } = this.queue;
    let end: number;
    try {
      end = this.#encodeInto(message, slabs);
    } catch (error) {
      this.#refuse(asFrameError(error).at(this.#events.where()), terms);
      return 0;
    }
    if (wait === undefined || !this.#waitingRoom.mustWait(end - slabs.start))
      return this.#enqueue(slabs.bytes, slabs.start, end, message, terms);
    wait(slabs.take(end));
    return 0;
  }

  /** Queues an encoded message, by reference; 0 if it is refused. */
  enqueue(message: Out, bytes: Uint8Array, terms: FrameTerms | undefined): number {
    this.queue.slabs.refer(bytes);
    return this.#enqueue(bytes, 0, bytes.length, message, terms);
  }

  /** Queues one message and tells its outcome. */
  write(message: Out, options: WriteOptions = {}): Promise<void> {
    return writeOne(this, message, options, this.#config.retryLimit);
  }

  /** Resolves when every message accepted so far has its outcome. */
  flush(): Promise<void> {
    return this.queue.frames === 0 ? Promise.resolve() : this.#flushes.until(this.queue.newest);
  }

  /**
   * Calls `go` once a message of that many bytes fits, those who asked first going first; at once if it could never fit. Whoever waits no more calls the
   * function that it returns.
   */
  whenRoom(bytes: number, go: () => void): () => void {
    return this.#waitingRoom.enter(bytes, go);
  }

  /** Calls `stop` if the outlet closes before the returned function is called. */
  whenClosed(stop: (error: ClosedError) => void): () => void {
    if (this.#closed) stop(this.#closedError());
    else this.#closing.add(stop);
    return () => this.#closing.delete(stop);
  }

  get waitingBytes(): number {
    return this.queue.waitingBytes;
  }

  take(limit: number): Uint8Array | undefined {
    return this.queue.take(limit);
  }

  /** The batch in flight is written. Answers whether anybody waited for that. */
  confirm(): boolean {
    const awaited = this.queue.confirm();
    return this.#changed() || awaited;
  }

  /** The connection is lost by this error; returns how many frames will be written again. */
  rewind(cause?: TcpError): number {
    for (const loser of this.losers) loser.losing(cause);
    const again = this.queue.rewind(cause);
    for (const loser of this.losers) loser.lost();
    this.#changed();
    return again;
  }

  /** Accepts nothing more; what is queued stays. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of [...this.#closing]) stop(this.#closedError());
    this.#changed();
  }

  /** Gives up what is queued. */
  clear(cause: unknown): void {
    this.#cause = cause;
    this.close();
    this.queue.clear(cause);
    this.#changed();
  }

  /** Takes back the message with this place, as soon as it is not in flight; `silently`, nothing is told of it. */
  withdraw(place: number, cause?: unknown, silently = false): void {
    this.queue.withdraw(place, cause, silently);
    this.#changed();
  }

  /** Refuses a message that was never queued, for this reason. */
  turnAway(message: Out, cause: unknown, terms?: FrameTerms): void {
    this.#refuse(new WriteError('unsent', 0, { ...this.#events.where(), cause }, message), terms);
  }

  #enqueue(memory: Uint8Array, start: number, end: number, message: Out, terms: FrameTerms | undefined): number {
    const { queue } = this;
    if (this.#closed) {
      tellUndelivered(terms, this.#closedError()); // what encodes may have closed it
      return 0;
    }
    const place = queue.enqueue(memory, start, end, message, terms);
    if (place === 0) {
      this.#want(end - start);
      this.#refuse(new OverflowError('unsent', this.#events.where(), message), terms);
    } else if (queue.waitingFrames === 1 || !queue.hasRoom(1)) this.#events.accepted();
    return place;
  }

  #refuse(error: TcpError, terms: FrameTerms | undefined): void {
    this.queue.rest(); // it may have been encoded
    this.#events.refused(error);
    tellUndelivered(terms, error);
  }

  /** A source that heeds `writable` must not be told that there is room, and then be refused again. */
  #want(bytes: number): void {
    if (bytes <= this.#wanted || bytes > this.#config.writeBuffer.bytes) return;
    const told = this.writable;
    this.#wanted = bytes;
    if (told) this.#events.changed();
  }

  /** Something has left the queue. Answers whether a `flush` is over by that. */
  #changed(): boolean {
    if (this.queue.hasRoom(this.#wanted)) this.#wanted = 1;
    const flushed = this.#flushes.settle(this.queue.oldest);
    this.#waitingRoom.admit();
    this.#events.changed();
    return flushed;
  }

  #closedError(): ClosedError {
    const cause = this.#cause;
    return cause instanceof ClosedError ? cause : new ClosedError({ ...this.#events.where(), cause });
  }

  #lossError(frame: LostFrame, fate: Fate, loss: Loss): TcpError {
    const where = this.#events.where();
    if (loss.why === 'evicted') return new OverflowError(fate, where, frame.message);
    return new WriteError(fate, frame.attempts, { ...where, cause: loss.cause }, frame.message);
  }
}

function tellUndelivered(terms: FrameTerms | undefined, error: TcpError): void {
  terms?.settled?.(error);
  terms?.undelivered?.(error);
}
