import type { Accumulator } from './accumulator.js';

const NOTHING = Buffer.alloc(0);

/**
 * Where a decoder stands in the newest chunk.
 *
 * ```
 * bytes   [ frame | frame | frame | fra ]
 *                         ^at             all before is decoded and never looked at again
 * ```
 *
 * A driver drains the decoder before it pushes again, so normally a chunk replaces a chunk that was read to its end and
 * no byte is copied. Chunks that are pushed on top of unread bytes are joined with them in memory that doubles: a frame
 * that was handed out as a part of it is never written over.
 */
export class ChunkCursor {
  /** Readable from `at` to its end. */
  bytes: Buffer = NOTHING;
  at = 0;
  /** Memory of ours that `bytes` is the beginning of, if chunks had to be joined. */
  #room = NOTHING;
  #closed = false;

  /** How many bytes are not decoded yet. */
  get left(): number {
    return this.bytes.length - this.at;
  }

  push(chunk: Buffer): void {
    if (this.#closed || chunk.length === 0) return;
    if (this.left > 0) {
      this.#join(chunk);
      return;
    }
    this.clear();
    this.bytes = chunk;
  }

  /** Copies `count` bytes to `held`, and lets go of a chunk that is then read to its end. */
  moveTo(held: Accumulator, count: number, limit: number): void {
    const from = this.at;
    this.at += count;
    held.append(this.bytes, from, this.at, limit);
    if (this.left === 0) this.clear();
  }

  /** Lets go of the memory of the chunks: what is left is copied. */
  detach(): void {
    if (this.left === 0) this.clear();
    else if (this.#room === NOTHING) this.#move(this.left);
  }

  /** Drops what is left. */
  clear(): void {
    this.bytes = NOTHING;
    this.at = 0;
    this.#room = NOTHING;
  }

  /** The stream is broken: drops what is left and all that follows, so that nothing is decoded out of step. */
  close(): void {
    this.clear();
    this.#closed = true;
  }

  #join(chunk: Buffer): void {
    if (this.bytes.length + chunk.length > this.#room.length) this.#move(2 * (this.left + chunk.length));
    chunk.copy(this.#room, this.bytes.length);
    this.bytes = this.#room.subarray(0, this.bytes.length + chunk.length);
  }

  /** Moves what is left into memory of ours. */
  #move(room: number): void {
    const { left } = this;
    this.#room = Buffer.allocUnsafeSlow(room);
    this.bytes.copy(this.#room, 0, this.at);
    this.bytes = this.#room.subarray(0, left);
    this.at = 0;
  }
}
