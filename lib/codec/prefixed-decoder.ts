import { FrameError } from '../errors.js';
import { Accumulator } from './accumulator.js';
import { ChunkCursor } from './chunk-cursor.js';
import { ChunkParts } from './chunk-parts.js';
import type { Decoder } from './codec.js';
import { ownedCopy } from './owned-copy.js';
import { type Prefix, UNSOUND } from './prefix.js';

/** What a frame is handed out as. */
export interface HandOut {
  /** The body alone, or the header too. */
  readonly strip: boolean;
  /** With memory of its own, or as a part of its chunk. */
  readonly copy: boolean;
}

/**
 * Cuts bytes into frames that begin with their length.
 *
 * ```
 * held [ he ]  chunk [ ader body | header body | header bo ]
 *        └──────────────────┘      within the      └─────┘──→ held, by what came, never by what was announced
 *             one frame             chunk
 * ```
 *
 * A frame within its chunk is a part of it, unless it is to be copied; one that chunks cut is collected in memory of its own.
 * After an error it has let go of all bytes and takes no more: nothing can be read behind a frame of unknown length.
 */
export class PrefixedDecoder implements Decoder<Buffer> {
  readonly #prefix: Prefix;
  readonly #strip: boolean;
  readonly #copy: boolean;
  /** Bytes behind the body: 1 if there is a terminator. */
  readonly #tail: number;
  readonly #cursor = new ChunkCursor();
  readonly #parts = new ChunkParts();
  /** The beginning of a frame that is cut over chunks, from its header on. */
  readonly #held = new Accumulator();
  /** There if each frame is copied. */
  readonly detach: (() => void) | undefined;

  constructor(prefix: Prefix, { strip, copy }: HandOut) {
    this.#prefix = prefix;
    this.#strip = strip;
    this.#copy = copy;
    this.#tail = prefix.terminator === undefined ? 0 : 1;
    if (copy) this.detach = () => this.#cursor.detach();
  }

  push(chunk: Buffer): void {
    this.#cursor.push(chunk);
  }

  next(): Buffer | undefined {
    if (this.#held.length > 0) return this.#nextCut();
    const cursor = this.#cursor;
    const { bytes, at } = cursor;
    const length = this.#read(bytes, at, bytes.length);
    if (length < 0) return this.#nextCut();
    const body = at + this.#prefix.width(length);
    const end = body + length;
    const next = end + this.#tail;
    if (next > bytes.length) return this.#nextCut();
    if (next > end) this.#checkTerminator(bytes, end);
    cursor.at = next;
    const from = this.#strip ? body : at;
    return this.#copy ? ownedCopy(bytes, from, end) : this.#parts.part(bytes, from, end);
  }

  end(): void {
    const left = this.#held.length + this.#cursor.left;
    if (left > 0) throw new FrameError('truncated', `the stream ended inside a frame, after ${left} bytes of it`);
  }

  /** The frame that a chunk boundary cuts: first its header is completed, then its body. */
  #nextCut(): Buffer | undefined {
    const held = this.#held;
    this.#parts.clear();
    if (!this.#hold(this.#prefix.least)) return undefined;
    let length = this.#read(held.bytes, 0, held.length);
    while (length < 0) {
      if (!this.#hold(held.length + 1)) return undefined;
      length = this.#read(held.bytes, 0, held.length);
    }
    const body = this.#prefix.width(length);
    const end = body + length;
    if (!this.#hold(end + this.#tail)) return undefined;
    if (this.#tail > 0) this.#checkTerminator(held.bytes, end);
    return this.#takeHeld(this.#strip ? body : 0, end);
  }

  /** The length that the header at `at` announces, below 0 if it goes on behind `end`. */
  #read(bytes: Buffer, at: number, end: number): number {
    const length = this.#prefix.read(bytes, at, end);
    if (length === UNSOUND) throw this.#broken(this.#prefix.fault(bytes, at, end));
    return length;
  }

  /** Moves bytes of the chunk to those held until there are `length`; tells whether there are. */
  #hold(length: number): boolean {
    const missing = length - this.#held.length;
    if (missing > 0) this.#cursor.moveTo(this.#held, Math.min(missing, this.#cursor.left), length);
    return this.#held.length >= length;
  }

  #takeHeld(from: number, end: number): Buffer {
    const held = this.#held;
    if (!this.#copy) {
      const frame = held.take(from);
      return this.#tail > 0 ? frame.subarray(0, end - from) : frame;
    }
    const frame = ownedCopy(held.bytes, from, end);
    held.clear();
    return frame;
  }

  #checkTerminator(bytes: Buffer, at: number): void {
    if (bytes[at] === this.#prefix.terminator) return;
    throw this.#broken(new FrameError('corrupt', 'a body does not end where its header said'));
  }

  /** Nothing can be read behind a frame of unknown length. */
  #broken(error: FrameError): FrameError {
    this.#held.clear();
    this.#cursor.close();
    this.#parts.clear();
    return error;
  }
}
