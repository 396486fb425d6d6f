/** Of a deque that nothing was put into yet: most never hold anything. */
const NONE: never[] = [];

/**
 * A double-ended queue in a ring, every operation in constant time (amortised). It holds no reference to what left it.
 *
 *     slots  [ c d . . a b ]      length 4
 *                  tail^ ^head    index = (head + i) & mask
 */
export class Deque<T> {
  #slots: (T | undefined)[] = NONE;
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The oldest item. */
  get first(): T | undefined {
    return this.#slots[this.#head];
  }

  push(item: T): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length++) & (this.#slots.length - 1)] = item;
  }

  /** Puts an item before the oldest one. */
  unshift(item: T): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#slots.length - 1);
    this.#slots[this.#head] = item;
    this.#length++;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    if (this.#slots.length > 1024 && this.#length < this.#slots.length / 8) this.#resize(this.#slots.length / 4);
    return item;
  }

  /** Takes the newest item out. */
  pop(): T | undefined {
    if (this.#length === 0) return undefined;
    const at = (this.#head + --this.#length) & (this.#slots.length - 1);
    const item = this.#slots[at];
    this.#slots[at] = undefined;
    return item;
  }

  /** Keeps only the items that pass, in their order. */
  retain(keep: (item: T) => boolean): void {
    const kept: T[] = [];
    for (let item = this.shift(); item !== undefined; item = this.shift()) if (keep(item)) kept.push(item);
    for (const item of kept) this.push(item);
  }

  clear(): void {
    this.#slots = NONE;
    this.#head = this.#length = 0;
  }

  #grow(): void {
    this.#resize(Math.max(8, this.#length * 2));
  }

  #resize(size: number): void {
    const slots = new Array<T | undefined>(size);
    for (let i = 0; i < this.#length; i++) slots[i] = this.#slots[(this.#head + i) & (this.#slots.length - 1)];
    this.#slots = slots;
    this.#head = 0;
  }
}
