import type { WriteLimits } from '../config.js';
import { Deque } from '../deque.js';
import { takeBatch, type Batch } from './batch.js';
import { FrameRing } from './frame-ring.js';
import type { FrameTerms, LostFrame, Loss, QueueConfig, QueueEvents } from './queued-frame.js';
import { giveBack, FrameSlabs } from './slabs.js';
import { afterLoss, fateOf } from './write-retry.js';

/**
 * Accepted messages until their outcome, bounded in frames and bytes, in the order of acceptance.
 *
 *     [ a b c | d e f ]          frames = 6
 *     ^head   ^cursor  ^tail     before the cursor: in flight; behind it: waiting
 *     confirm: a b c are written, head = cursor      take: the cursor moves over the next batch
 *     rewind:  cursor = head; a goes alone until it is confirmed
 *
 * A frame that is withdrawn leaves a gap; the gaps are closed when half of what waits is gaps.
 */
export class WriteQueue {
  /** Where the next message is encoded. */
  readonly slabs = new FrameSlabs(() => this.waitingFrames);
  readonly #limits: WriteLimits;
  readonly #overflow: 'dropNewest' | 'dropOldest';
  readonly #retryLimit: number;
  readonly #events: QueueEvents;
  readonly #ring = new FrameRing();
  /** Frames that are out and whose outcome is still to be told. */
  readonly #leaving = new Deque<[LostFrame, Loss]>();
  #cursor = 0;
  #inFlight: Batch | undefined;
  #frames = 0;
  #bytes = 0;
  #gaps = 0;
  #accepted = 0;
  /** A connection was lost: the oldest frame may have killed it, so it takes no other along. */
  #cautious = false;

  constructor(config: QueueConfig, events: QueueEvents) {
    this.#limits = config.writeBuffer;
    this.#overflow = config.overflow;
    this.#retryLimit = config.retryLimit;
    this.#events = events;
  }

  /** Frames without an outcome. */
  get frames(): number {
    return this.#frames;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  get inFlightFrames(): number {
    return this.#inFlight?.frames ?? 0;
  }

  get waitingFrames(): number {
    return this.#frames - this.inFlightFrames;
  }

  get inFlightBytes(): number {
    return this.#inFlight?.length ?? 0;
  }

  get waitingBytes(): number {
    return this.#bytes - this.inFlightBytes;
  }

  /** The place of the newest frame accepted, 0 before the first. */
  get newest(): number {
    return this.#accepted;
  }

  /** The place of the oldest frame without an outcome, `Infinity` if there is none. */
  get oldest(): number {
    const { places, mask, head } = this.#ring;
    return this.#frames === 0 ? Infinity : (places[head & mask] ?? Infinity);
  }

  /** Whether one more frame of this size would fit. */
  hasRoom(bytes: number): boolean {
    return this.#frames < this.#limits.frames && this.#bytes + bytes <= this.#limits.bytes;
  }

  /**
   * Accepts a message, whose bytes are `memory[start..end)`, and answers its place; or 0 if there is no room; under `dropOldest` it makes room where that
   * is enough. What is evicted is reported last: whoever hears of it may end the socket, and then the new message is in the queue and gets its outcome.
   */
  enqueue(memory: Uint8Array, start: number, end: number, message: unknown, terms: FrameTerms | undefined): number {
    const bytes = end - start;
    if (!this.hasRoom(bytes) && !this.#makeRoom(bytes)) return 0;
    const place = ++this.#accepted;
    this.#frames++;
    this.#bytes += bytes;
    this.#ring.push(place, message, terms, memory, start, bytes);
    this.slabs.commit(end);
    if (this.#leaving.length > 0) this.#tellLeaving();
    return place;
  }

  /** Moves the next batch into flight: whole frames up to `limit` bytes together, or one larger frame. `undefined` while a batch is in flight, or if nothing waits. */
  take(limit: number): Uint8Array | undefined {
    if (this.#inFlight !== undefined || this.#frames === 0) return undefined;
    const batch = takeBatch(this.#ring, this.#cursor, limit, (slot) => this.#cautious || this.#onLastTry(slot));
    this.#gaps -= batch.gaps;
    this.#cursor = batch.to;
    this.#inFlight = batch;
    return batch.bytes;
  }

  /** One more loss would give it up: it goes alone, so that it cannot be the fault of another. */
  #onLastTry(slot: number): boolean {
    const { attempts, terms } = this.#ring;
    const tried = attempts[slot] ?? 0;
    return tried > 0 && tried >= (terms[slot]?.retryLimit ?? this.#retryLimit);
  }

  /** The kernel took the batch in flight: its frames are written. Answers whether anybody waited for one of them. */
  confirm(): boolean {
    const batch = this.#inFlight;
    if (batch === undefined) return false;
    const settled = this.#letGo(batch);
    if (batch.slab !== undefined) giveBack(batch.slab);
    this.#inFlight = undefined;
    this.#cautious = false;
    this.#frames -= batch.frames;
    this.#bytes -= batch.length;
    this.#trim();
    this.rest();
    this.#events.written(batch.frames, batch.length);
    if (settled === undefined) return false;
    for (const terms of settled) terms.settled?.();
    return true;
  }

  /** The connection is lost, by this cause: what was in flight waits again, in order, save what may not be written again. Returns how many wait again. */
  rewind(cause?: unknown): number {
    const batch = this.#inFlight;
    this.#inFlight = undefined;
    this.#cautious = true;
    this.slabs.forget();
    if (batch === undefined) return 0;
    const { head, mask, memory, attempts, terms } = this.#ring;
    let lost = 0;
    for (let position = head; position < batch.to; position++) {
      const slot = position & mask;
      if (memory[slot] === undefined) continue;
      const tried = (attempts[slot] = (attempts[slot] ?? 0) + 1);
      const { withdrawn, retryLimit = this.#retryLimit } = terms[slot] ?? {};
      if (withdrawn === undefined && afterLoss(tried, retryLimit) === 'again') continue;
      lost++;
      this.#lose(
        slot,
        withdrawn === undefined ? { why: 'retries', cause } : { why: 'withdrawn', cause: withdrawn.cause },
      );
    }
    this.#gaps += this.#cursor - head - batch.frames + lost;
    this.#cursor = head;
    this.#trim();
    this.rest();
    this.#tellLeaving();
    return batch.frames - lost;
  }

  /** Takes a frame out that is not in flight; one in flight goes out if its connection is lost. */
  withdraw(place: number, cause: unknown): void {
    const { mask, terms, head } = this.#ring;
    const position = this.#ring.find(place, head);
    if (position === undefined) return;
    const slot = position & mask;
    const its = terms[slot];
    if (its !== undefined) its.withdrawn = { cause };
    if (position < this.#cursor) return;
    this.#gaps++;
    this.#lose(slot, { why: 'withdrawn', cause });
    this.#trim();
    this.slabs.skipped();
    this.rest();
    this.#tellLeaving();
  }

  /** Gives every frame up: the socket is closed, so that nothing comes in between and each is told at once. */
  clear(cause: unknown): void {
    const loss: Loss = { why: 'closed', cause };
    const ring = this.#ring;
    const flown = this.#inFlight === undefined ? ring.head : this.#cursor;
    this.#inFlight = undefined;
    this.slabs.forget();
    this.#tellLeaving();
    for (; ring.head < ring.tail; ring.head++) {
      const slot = ring.head & ring.mask;
      if (ring.memory[slot] === undefined) continue;
      if (ring.head < flown) ring.attempts[slot] = (ring.attempts[slot] ?? 0) + 1;
      this.#lose(slot, loss);
      this.#tellLeaving();
    }
    this.#cursor = ring.head;
    this.#gaps = 0;
    this.#trim();
    this.rest();
  }

  /** Takes out as many of the oldest as a frame of this size needs; none if that would not be enough. */
  #makeRoom(size: number): boolean {
    const { frames, bytes } = this.#limits;
    const enough = this.inFlightBytes + size <= bytes && this.inFlightFrames < frames;
    if (this.#overflow !== 'dropOldest' || !enough) return false;
    const { memory, mask, tail } = this.#ring;
    for (; !this.hasRoom(size) && this.#cursor < tail; this.#cursor++) {
      const slot = this.#cursor & mask;
      if (memory[slot] === undefined) this.#gaps--;
      else this.#lose(slot, { why: 'evicted' });
    }
    this.#trim();
    this.slabs.skipped();
    return true;
  }

  /** The frames of a batch leave the ring; returns who wants to hear of it. */
  #letGo(batch: Batch): readonly FrameTerms[] | undefined {
    const ring = this.#ring;
    let settled: FrameTerms[] | undefined;
    let last: Uint8Array | undefined;
    for (let position = ring.head; position < batch.to; position++) {
      const slot = position & ring.mask;
      const memory = ring.memory[slot];
      const terms = ring.terms[slot];
      if (terms !== undefined) (settled ??= []).push(terms);
      if (memory !== undefined && memory !== last) this.slabs.passed(memory);
      last = memory;
      ring.clear(slot);
    }
    return settled;
  }

  /** Gives memory back if it is empty: an idle socket holds none. */
  rest(): void {
    if (this.#frames > 0) return;
    this.slabs.done();
    this.#ring.shrink();
  }

  /** Nothing stands before the first frame, so that `oldest` is true, and gaps are never the most. */
  #trim(): void {
    const ring = this.#ring;
    if (this.#gaps > 32 && this.#gaps > (ring.tail - this.#cursor) / 2) {
      ring.closeGaps(this.#cursor);
      this.#gaps = 0;
    }
    for (; this.#cursor < ring.tail && ring.memory[this.#cursor & ring.mask] === undefined; this.#cursor++)
      this.#gaps--;
    if (this.#inFlight === undefined) ring.head = this.#cursor;
  }

  /** Who hears of one of them may close the socket: then the others are told before it is closed, and none twice. */
  #tellLeaving(): void {
    for (let item = this.#leaving.shift(); item !== undefined; item = this.#leaving.shift()) {
      const [frame, loss] = item;
      this.#events.undelivered(frame, fateOf(frame.attempts), loss);
    }
  }

  /** Takes a frame out of the account; its outcome is told by `#tellLeaving`, once all is in order. */
  #lose(slot: number, loss: Loss): void {
    const { messages, terms, attempts, lengths } = this.#ring;
    this.#frames--;
    this.#bytes -= lengths[slot] ?? 0;
    this.#leaving.push([{ message: messages[slot], terms: terms[slot], attempts: attempts[slot] ?? 0 }, loss]);
    this.#ring.clear(slot);
  }
}
