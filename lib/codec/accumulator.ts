/** Up to this size the memory of one frame is used for the next, in bytes; so much may an idle decoder hold. */
const KEPT = 4096;
/** The first allocation, in bytes: most frames that a chunk boundary cuts are short. */
const SMALLEST = 256;
const NOTHING = Buffer.alloc(0);

/**
 * Collects one frame that is cut over several chunks.
 *
 * ```
 * chunk 1  [ frame | frame | fra ]  chunk 2  [ me | frame ]
 *                            └─────────┐       │
 * accumulator                        [ fra ── me . . . . ]    its memory doubles, never beyond `limit`
 *                                              ^length
 * ```
 *
 * The bytes are copied, so the chunks are let go: a million chunks of one byte cost a million bytes, not 750 each. Doubling
 * keeps the copies of N bytes below 3 N. It grows by what came, never by what a peer announced.
 */
export class Accumulator {
  #bytes = NOTHING;
  #length = 0;

  /** How many bytes are held. */
  get length(): number {
    return this.#length;
  }

  /** Memory of which the first `length` bytes count; good until the next call of `append`, `take` or `clear`. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** The newest byte held. */
  get last(): number | undefined {
    return this.#length === 0 ? undefined : this.#bytes[this.#length - 1];
  }

  /** Copies `chunk[from..to)` behind what is held. `limit` is what the frame can still come to: no more is allocated. */
  append(chunk: Buffer, from: number, to: number, limit: number): void {
    const length = this.#length + to - from;
    if (length > this.#bytes.length) this.#grow(length, limit);
    chunk.copy(this.#bytes, this.#length, from, to);
    this.#length = length;
  }

  /** Gives the bytes from `from` on away, for good, and starts anew: a short frame as a copy, a long one with its memory. */
  take(from: number): Buffer {
    const frame = this.#bytes.subarray(from, this.#length);
    const long = this.#length > KEPT;
    if (long) this.#bytes = NOTHING;
    this.#length = 0;
    return long ? frame : Buffer.from(frame);
  }

  /** Forgets the bytes, and lets go of the memory if it is large. */
  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > KEPT) this.#bytes = NOTHING;
  }

  #grow(length: number, limit: number): void {
    const room = Math.max(length, Math.min(2 * length, limit), SMALLEST);
    const grown = Buffer.allocUnsafeSlow(room); // its own memory: a slice of Node's pool would pin 8 KiB for as long
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
