import type { WriteLimits } from '../config.js';
import { leaveWritten, takeBatch, type Batch } from './batch.js';
import { FrameRing } from './frame-ring.js';
import { Leaving } from './leaving.js';
import type { FrameTerms, Loss, QueueConfig, QueueEvents } from './queued-frame.js';
import { FrameSlabs } from './slabs.js';
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
  /** The place of the newest frame accepted, 0 before the first. */
  newest = 0;
  /** The place of the newest frame that was ever handed to a link. */
  handed = 0;
  readonly #limits: WriteLimits;
  readonly #overflow: 'dropNewest' | 'dropOldest';
  readonly #retryLimit: number;
  readonly #events: QueueEvents;
  readonly #ring = new FrameRing();
  readonly #leaving: Leaving;
  #inFlight: Batch | undefined;
  #frames = 0;
  #bytes = 0;
  /** A connection was lost: the oldest frame may have killed it, so it takes no other along. */
  #cautious = false;
  /** Up to this place a frame may have been handed to a connection that is lost. */
  #tried = 0;

  constructor(config: QueueConfig, events: QueueEvents) {
    ({ writeBuffer: this.#limits, overflow: this.#overflow, retryLimit: this.#retryLimit } = config);
    this.#events = events;
    this.#leaving = new Leaving((frame, loss) => events.undelivered(frame, fateOf(frame.attempts), loss));
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

  /** The place of the oldest frame without an outcome, `Infinity` if there is none. */
  get oldest(): number {
    return this.#frames === 0 ? Infinity : this.#ring.oldest;
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
    const place = ++this.newest;
    this.#frames++;
    this.#bytes += bytes;
    this.#ring.push(place, message, terms, memory, start, bytes);
    this.slabs.commit(end);
    terms?.queued?.(place);
    this.#leaving.tell();
    return place;
  }

  /** Moves the next batch into flight: whole frames up to `limit` bytes together, or one larger frame. `undefined` while a batch is in flight, or if nothing waits. */
  take(limit: number): Uint8Array | undefined {
    if (this.#inFlight !== undefined || this.#frames === 0) return undefined;
    const ring = this.#ring;
    const careful = this.#cautious || this.oldest <= this.#tried;
    const batch = takeBatch(ring, limit, careful ? (slot) => this.#cautious || this.#onLastTry(slot) : undefined);
    ring.gaps -= batch.gaps;
    ring.cursor = ring.landing = batch.to;
    this.#inFlight = batch;
    this.handed = Math.max(this.handed, ring.places[(batch.to - 1) & ring.mask] ?? 0);
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
    const settled = leaveWritten(this.#ring, batch, this.slabs);
    this.#inFlight = undefined;
    this.#cautious = false;
    this.#frames -= batch.frames;
    this.#bytes -= batch.length;
    this.#ring.trim(this.#inFlight !== undefined);
    this.rest();
    this.#events.written(batch.frames, batch.length);
    for (const terms of settled ?? []) terms.settled?.();
    return settled !== undefined;
  }

  /** The connection is lost, by this cause: what was in flight waits again, in order, save what may not be written again. Returns how many wait again. */
  rewind(cause?: unknown): number {
    const batch = this.#inFlight;
    this.#inFlight = undefined;
    this.#cautious = true;
    this.#tried = this.newest;
    this.slabs.forget();
    if (batch === undefined) return 0;
    const { head, mask, memory, terms } = this.#ring;
    let lost = 0;
    for (let position = head; position < batch.to; position++) {
      const slot = position & mask;
      if (memory[slot] === undefined) continue;
      const tried = this.#ring.countLoss(position);
      const { withdrawn, retryLimit = this.#retryLimit } = terms[slot] ?? {};
      if (withdrawn === undefined && afterLoss(tried, retryLimit) === 'again') continue;
      lost++;
      this.#lose(slot, withdrawn ? { why: 'withdrawn', cause: withdrawn.cause } : { why: 'retries', cause });
    }
    this.#ring.gaps += this.#ring.cursor - head - batch.frames + lost;
    this.#ring.cursor = head;
    this.#ring.trim(this.#inFlight !== undefined);
    this.rest();
    this.#leaving.tell();
    return batch.frames - lost;
  }

  /** Takes a frame out that is not in flight; one in flight goes out if its connection is lost. */
  withdraw(place: number, cause: unknown, silently = false): void {
    const { mask, terms, head } = this.#ring;
    const position = this.#ring.find(place, head);
    if (position === undefined) return;
    const slot = position & mask;
    const its = terms[slot];
    if (its !== undefined) its.withdrawn = { cause, silently };
    if (position < this.#ring.cursor) return;
    this.#ring.gaps++;
    this.#lose(slot, { why: 'withdrawn', cause });
    this.#ring.trim(this.#inFlight !== undefined);
    this.slabs.skipped();
    this.rest();
    this.#leaving.tell();
  }

  /** Gives every frame up: the socket is closed, so that nothing comes in between and each is told at once. */
  clear(cause: unknown): void {
    const loss: Loss = { why: 'closed', cause };
    const ring = this.#ring;
    const flown = this.#inFlight === undefined ? ring.head : ring.cursor;
    for (let position = ring.head; position < flown; position++) ring.countLoss(position);
    this.#inFlight = undefined;
    ring.cursor = ring.head; // now all of them wait: who is told of one may withdraw any other
    ring.gaps = 0;
    this.slabs.forget();
    this.#leaving.tell();
    while (ring.head < ring.tail) {
      const slot = ring.head++ & ring.mask;
      if (ring.memory[slot] === undefined) continue;
      this.#lose(slot, loss);
      this.#leaving.tell();
    }
    ring.cursor = ring.head;
    ring.gaps = 0;
    this.rest();
  }

  /** Takes out as many of the oldest as a frame of this size needs; none if that would not be enough. */
  #makeRoom(size: number): boolean {
    const { frames, bytes } = this.#limits;
    const enough = this.inFlightBytes + size <= bytes && this.inFlightFrames < frames;
    if (this.#overflow !== 'dropOldest' || !enough) return false;
    const { memory, mask, tail } = this.#ring;
    for (; !this.hasRoom(size) && this.#ring.cursor < tail; this.#ring.cursor++) {
      const slot = this.#ring.cursor & mask;
      if (memory[slot] === undefined) this.#ring.gaps--;
      else this.#lose(slot, { why: 'evicted' });
    }
    this.#ring.trim(this.#inFlight !== undefined);
    this.slabs.skipped();
    return true;
  }

  /** Gives memory back if it is empty: an idle socket holds none. */
  rest(): void {
    if (this.#frames > 0) return;
    this.slabs.done();
    this.#ring.shrink();
  }

  /** Takes a frame out of the account; its outcome is told by `#leaving`, once all is in order. */
  #lose(slot: number, loss: Loss): void {
    this.#frames--;
    this.#bytes -= this.#ring.lengths[slot] ?? 0;
    this.#leaving.add(this.#ring, slot, loss);
  }
}
