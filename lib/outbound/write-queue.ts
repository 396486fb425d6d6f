import type { WriteLimits } from '../config.js';
import { Deque } from '../deque.js';
import type { FrameTerms, Loss, QueueConfig, QueuedFrame, QueueEvents } from './queued-frame.js';
import { afterLoss, fateOf } from './write-retry.js';

/**
 * Accepted messages until their outcome, bounded in frames and bytes, in the order of acceptance.
 *
 *     inFlight [ a b c ]   waiting [ d e f ]          frames = 6
 *              └ confirm: written  └ take: the next batch moves to inFlight
 *     rewind:  [       ]           [ a b c d e f ]    a goes alone until it is confirmed
 *
 * A frame that is withdrawn leaves a gap in `waiting`, which is closed when half of it is gaps.
 */
export class WriteQueue {
  readonly #limits: WriteLimits;
  readonly #overflow: 'dropNewest' | 'dropOldest';
  readonly #retryLimit: number;
  readonly #events: QueueEvents;
  readonly #waiting = new Deque<QueuedFrame>();
  /** Frames that are out and whose outcome is still to be told. */
  readonly #leaving = new Deque<[QueuedFrame, Loss]>();
  #inFlight: QueuedFrame[] = [];
  #inFlightBytes = 0;
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
    return this.#inFlight.length;
  }

  get waitingFrames(): number {
    return this.#frames - this.#inFlight.length;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** The place of the newest frame accepted, 0 before the first. */
  get newest(): number {
    return this.#accepted;
  }

  /** The place of the oldest frame without an outcome, `Infinity` if there is none. */
  get oldest(): number {
    return this.#inFlight[0]?.place ?? this.#waiting.first?.place ?? Infinity;
  }

  /** Whether one more frame of this size would fit. */
  hasRoom(bytes: number): boolean {
    return this.#frames < this.#limits.frames && this.#bytes + bytes <= this.#limits.bytes;
  }

  /**
   * Accepts a message, or answers `undefined` if there is no room; under `dropOldest` it makes room where that is enough. What is evicted is
   * reported last: whoever hears of it may end the socket, and then the new message is in the queue and gets its outcome.
   */
  enqueue(bytes: Uint8Array, message: unknown, terms: FrameTerms | undefined): QueuedFrame | undefined {
    if (!this.hasRoom(bytes.length) && !this.#makeRoom(bytes.length)) return undefined;
    const frame: QueuedFrame = { bytes, message, terms, attempts: 0, place: ++this.#accepted, state: 'waiting' };
    this.#frames++;
    this.#bytes += bytes.length;
    this.#waiting.push(frame);
    this.#tellLeaving();
    return frame;
  }

  /** Moves the next batch into flight: whole frames up to `limit` bytes together, or one larger frame. Empty while a batch is in flight. */
  take(limit: number): readonly QueuedFrame[] {
    if (this.#inFlight.length > 0) return [];
    const batch = this.#inFlight;
    let bytes = 0;
    let full = false;
    for (let frame = this.#waiting.first; frame !== undefined && !full; frame = this.#waiting.first) {
      if (frame.state === 'done') this.#gaps--;
      else {
        full = this.#cautious || this.#onLastTry(frame);
        if (batch.length > 0 && (full || bytes + frame.bytes.length > limit)) break;
        frame.state = 'in-flight';
        bytes += frame.bytes.length;
        batch.push(frame);
      }
      this.#waiting.shift();
    }
    this.#trim();
    this.#inFlightBytes = bytes;
    return batch;
  }

  /** One more loss would give it up: it goes alone, so that it cannot be the fault of another. */
  #onLastTry({ attempts, terms }: QueuedFrame): boolean {
    return attempts > 0 && attempts >= (terms?.retryLimit ?? this.#retryLimit);
  }

  /** The kernel took the batch in flight: its frames are written. */
  confirm(): void {
    const batch = this.#inFlight;
    const bytes = this.#inFlightBytes;
    this.#inFlight = [];
    this.#inFlightBytes = 0;
    this.#cautious = false;
    this.#frames -= batch.length;
    this.#bytes -= bytes;
    this.#events.written(batch.length, bytes);
    for (const frame of batch) {
      frame.state = 'done';
      frame.terms?.settled?.();
    }
  }

  /** The connection is lost, by this cause: what was in flight is put back in front, in order, save what may not be written again. Returns how many are put back. */
  rewind(cause?: unknown): number {
    const batch = this.#inFlight;
    this.#inFlight = [];
    this.#inFlightBytes = 0;
    this.#cautious = true;
    const lost: [QueuedFrame, Loss][] = [];
    for (let i = batch.length - 1; i >= 0; i--) {
      const frame = batch[i];
      if (frame === undefined) continue;
      frame.attempts++;
      const { withdrawn, retryLimit = this.#retryLimit } = frame.terms ?? {};
      if (withdrawn !== undefined) lost.push([frame, { why: 'withdrawn', cause: withdrawn.cause }]);
      else if (afterLoss(frame.attempts, retryLimit) === 'give-up') lost.push([frame, { why: 'retries', cause }]);
      else {
        frame.state = 'waiting';
        this.#waiting.unshift(frame);
      }
    }
    for (const [frame, loss] of lost.reverse()) this.#lose(frame, loss);
    this.#tellLeaving();
    return batch.length - lost.length;
  }

  /** Takes a frame out that is not in flight; one in flight goes out if its connection is lost. */
  withdraw(frame: QueuedFrame, cause: unknown): void {
    if (frame.state === 'done' || frame.terms === undefined) return;
    frame.terms.withdrawn = { cause };
    if (frame.state !== 'waiting') return;
    this.#gaps++;
    this.#lose(frame, { why: 'withdrawn', cause });
    this.#trim();
    this.#tellLeaving();
  }

  /** Gives every frame up: the socket is closed, so that nothing comes in between and each is told at once. */
  clear(cause: unknown): void {
    const loss: Loss = { why: 'closed', cause };
    const batch = this.#inFlight;
    this.#inFlight = [];
    this.#inFlightBytes = 0;
    for (const frame of batch) {
      frame.attempts++;
      this.#lose(frame, loss);
    }
    this.#tellLeaving();
    for (let frame = this.#waiting.shift(); frame !== undefined; frame = this.#waiting.shift()) {
      if (frame.state !== 'done') this.#lose(frame, loss);
      this.#tellLeaving();
    }
    this.#gaps = 0;
  }

  /** Takes out as many of the oldest as a frame of this size needs; none if that would not be enough. */
  #makeRoom(size: number): boolean {
    const { frames, bytes } = this.#limits;
    const enough = this.#inFlightBytes + size <= bytes && this.#inFlight.length < frames;
    if (this.#overflow !== 'dropOldest' || !enough) return false;
    while (!this.hasRoom(size)) {
      const oldest = this.#waiting.shift();
      if (oldest === undefined) break;
      if (oldest.state === 'done') this.#gaps--;
      else this.#lose(oldest, { why: 'evicted' });
    }
    this.#trim();
    return true;
  }

  /** No gap stands in front, so that `oldest` is true, and gaps are never the most. */
  #trim(): void {
    if (this.#gaps > 32 && this.#gaps > this.#waiting.length / 2) {
      this.#waiting.retain((frame) => frame.state !== 'done');
      this.#gaps = 0;
    }
    while (this.#waiting.first?.state === 'done') {
      this.#waiting.shift();
      this.#gaps--;
    }
  }

  /** Who hears of one of them may close the socket: then the others are told before it is closed, and none twice. */
  #tellLeaving(): void {
    for (let item = this.#leaving.shift(); item !== undefined; item = this.#leaving.shift()) {
      const [frame, loss] = item;
      this.#events.undelivered(frame, fateOf(frame.attempts), loss);
    }
  }

  /** Takes a frame out of the account; its outcome is told by `#tellLeaving`, once all is in order. */
  #lose(frame: QueuedFrame, loss: Loss): void {
    frame.state = 'done';
    this.#frames--;
    this.#bytes -= frame.bytes.length;
    this.#leaving.push([frame, loss]);
  }
}
