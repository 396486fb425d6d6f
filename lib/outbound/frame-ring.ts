import type { FrameTerms } from './queued-frame.js';

/** Slots of a ring that something was put into, and what an empty one shrinks to at the least. */
const SMALLEST = 16;
const KEPT = 2048;

/** So many gaps cost nothing. */
const FEW = 32;

/** Of a ring that nothing was put into yet. */
const NONE: never[] = [];
const NO_NUMBERS = new Float64Array(0);
const NO_COUNTS = new Uint32Array(0);

/**
 * The frames of a queue, in order, each field in a ring of its own: accepting a message allocates nothing.
 *
 *     position     head .. landing .. cursor .. tail    slot = position & mask
 *     messages   [  m   m   -   m   .   . ]          the user's values
 *     memory     [  b   b   -   b   .   . ]          where a frame's bytes are; `undefined` is a gap: it has left
 *     starts, lengths, places, attempts              numbers
 *
 * Positions only rise. A message is known by its place in the order of acceptance, which does not change when gaps are closed.
 */
export class FrameRing {
  head = 0;
  /** Where those in flight end. */
  landing = 0;
  /** Where those that wait begin. */
  cursor = 0;
  tail = 0;
  /** Gaps behind the cursor. */
  gaps = 0;
  messages: unknown[] = NONE;
  memory: (Uint8Array | undefined)[] = NONE;
  terms: (FrameTerms | undefined)[] = NONE;
  starts = NO_NUMBERS;
  lengths = NO_NUMBERS;
  places = NO_NUMBERS;
  attempts = NO_COUNTS;
  mask = -1;

  /** The place of the frame at the head. */
  get oldest(): number {
    return this.places[this.head & this.mask] ?? Infinity;
  }

  /** Puts a frame at the tail. */
  push(
    place: number,
    message: unknown,
    terms: FrameTerms | undefined,
    memory: Uint8Array,
    start: number,
    length: number,
  ): void {
    if (this.tail - this.head > this.mask) this.#resize(Math.max(SMALLEST, 2 * (this.mask + 1)));
    const slot = this.tail++ & this.mask;
    this.messages[slot] = message;
    this.memory[slot] = memory;
    this.terms[slot] = terms;
    this.starts[slot] = start;
    this.lengths[slot] = length;
    this.places[slot] = place;
    this.attempts[slot] = 0;
  }

  /** Lets go of what a slot refers to; it is a gap from now on. */
  clear(slot: number): void {
    this.messages[slot] = this.memory[slot] = this.terms[slot] = undefined;
  }

  /** One more connection was lost with the frame at this position; returns how many. */
  countLoss(position: number): number {
    const slot = position & this.mask;
    return (this.attempts[slot] = (this.attempts[slot] ?? 0) + 1);
  }

  /** The position of the frame with this place, from `from` on; `undefined` if it has left. */
  find(place: number, from: number): number | undefined {
    let low = from;
    for (let high = this.tail; low < high;) {
      const middle = low + Math.floor((high - low) / 2);
      if ((this.places[middle & this.mask] ?? 0) < place) low = middle + 1;
      else high = middle;
    }
    const slot = low & this.mask;
    return low < this.tail && this.places[slot] === place && this.memory[slot] !== undefined ? low : undefined;
  }

  /** Closes the gaps from a position on. A frame that moves gets memory of its own, so that few survivors of many do not keep all their slabs alive. */
  closeGaps(from: number): void {
    let to = from;
    for (let position = from; position < this.tail; position++) {
      const slot = position & this.mask;
      if (this.memory[slot] === undefined) continue;
      if (to !== position) this.#move(slot, to & this.mask);
      to++;
    }
    this.tail = to;
  }

  /**
   * Lets no gap stand before the first frame that waits, nor gaps be the most of what is behind those in flight: a batch that is stuck must not
   * make the ring grow with whatever leaves behind it. Without frames in flight the first that waits is the first of all.
   */
  trim(inFlight: boolean): void {
    const first = inFlight ? this.landing : this.cursor;
    const gaps = this.gaps + this.cursor - first;
    if (gaps > FEW && gaps > (this.tail - first) / 2) {
      this.closeGaps(first);
      this.cursor = first;
      this.gaps = 0;
    }
    for (; this.cursor < this.tail && this.memory[this.cursor & this.mask] === undefined; this.cursor++) this.gaps--;
    if (!inFlight) this.head = this.cursor;
  }

  /** It is empty: its memory must not stay as large as the longest outage made it. */
  shrink(): void {
    if (this.mask >= KEPT) this.#resize(KEPT);
  }

  #move(from: number, to: number): void {
    const memory = this.memory[from];
    const start = this.starts[from] ?? 0;
    const length = this.lengths[from] ?? 0;
    const shared = memory !== undefined && length < memory.length;
    this.messages[to] = this.messages[from];
    this.memory[to] = shared ? new Uint8Array(memory.subarray(start, start + length)) : memory;
    this.terms[to] = this.terms[from];
    this.starts[to] = shared ? 0 : start;
    this.lengths[to] = length;
    this.places[to] = this.places[from] ?? 0;
    this.attempts[to] = this.attempts[from] ?? 0;
    this.clear(from);
  }

  #resize(size: number): void {
    const { head, tail, mask } = this;
    this.messages = rotated(this.messages, new Array<unknown>(size), head, tail, mask);
    this.memory = rotated(this.memory, new Array<Uint8Array | undefined>(size), head, tail, mask);
    this.terms = rotated(this.terms, new Array<FrameTerms | undefined>(size), head, tail, mask);
    this.starts = rotated(this.starts, new Float64Array(size), head, tail, mask);
    this.lengths = rotated(this.lengths, new Float64Array(size), head, tail, mask);
    this.places = rotated(this.places, new Float64Array(size), head, tail, mask);
    this.attempts = rotated(this.attempts, new Uint32Array(size), head, tail, mask);
    this.mask = size - 1;
  }
}

/** The same positions in a ring of another size. */
function rotated<R extends Record<number, unknown> & { readonly length: number }>(
  from: R,
  to: R,
  head: number,
  tail: number,
  mask: number,
): R {
  const target: Record<number, unknown> = to;
  for (let position = head; position < tail; position++) target[position & (to.length - 1)] = from[position & mask];
  return to;
}
