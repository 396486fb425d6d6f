import { Deque } from '../deque.js';

/** Those who wait until everything accepted before them has its outcome. */
export class Flushes {
  readonly #waiting = new Deque<{ readonly place: number; readonly resolve: () => void }>();

  /** Resolves once the message with this place, and all before it, have left the queue. */
  until(place: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ place, resolve }));
  }

  /** The oldest message without an outcome is this one now. Answers whether somebody waited for that. */
  settle(oldest: number): boolean {
    let settled = false;
    for (let flush = this.#waiting.first; flush !== undefined && flush.place < oldest; flush = this.#waiting.first) {
      this.#waiting.shift();
      flush.resolve();
      settled = true;
    }
    return settled;
  }
}
