/** From so many bytes on a chunk that is ours is kept as it is; shorter ones are gathered. */
const WHOLE = 4096;
const SMALLEST = 256;
const NOTHING = Buffer.alloc(0);

/**
 * Bytes that wait to be decoded, in order.
 *
 *     whole [ chunk  chunk ]   gathered [ c h u n k s . . . ]     the memory doubles
 *
 * A chunk of one byte costs Node 750 B, so short ones are copied together: a million of them cost a million bytes.
 */
export class HeldBytes {
  #whole: Buffer[] = [];
  #gathered = NOTHING;
  #used = 0;
  #length = 0;

  /** How many. */
  get length(): number {
    return this.#length;
  }

  /** Puts a chunk behind the others. One that is `lent` is copied. */
  push(chunk: Buffer, lent: boolean): void {
    this.#length += chunk.length;
    if (!lent && chunk.length >= WHOLE) {
      this.#seal();
      this.#whole.push(chunk);
      return;
    }
    const used = this.#used + chunk.length;
    if (used > this.#gathered.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(used, 2 * this.#used, SMALLEST));
      this.#gathered.copy(grown, 0, 0, this.#used);
      this.#gathered = grown;
    }
    chunk.copy(this.#gathered, this.#used);
    this.#used = used;
  }

  /** Takes the oldest out, for good. */
  shift(): Buffer | undefined {
    if (this.#length === 0) return undefined;
    if (this.#whole.length === 0) this.#seal();
    const chunk = this.#whole.shift();
    this.#length -= chunk?.length ?? 0;
    return chunk;
  }

  clear(): void {
    this.#whole = [];
    this.#gathered = NOTHING;
    this.#used = this.#length = 0;
  }

  #seal(): void {
    if (this.#used > 0) this.#whole.push(this.#gathered.subarray(0, this.#used));
    this.#gathered = NOTHING;
    this.#used = 0;
  }
}
