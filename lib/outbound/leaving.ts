import { Deque } from '../deque.js';
import type { FrameRing } from './frame-ring.js';
import type { LostFrame, Loss } from './queued-frame.js';

/**
 * Frames that are out of the queue unwritten, and whose outcome is still to be told.
 *
 * Who hears of one of them may close the socket: then the others are told before it is closed, and none twice.
 */
export class Leaving {
  readonly #frames = new Deque<readonly [LostFrame, Loss]>();
  readonly #tell: (frame: LostFrame, loss: Loss) => void;

  constructor(tell: (frame: LostFrame, loss: Loss) => void) {
    this.#tell = tell;
  }

  /** Takes a frame out of the ring; nothing is told of one that is taken back silently. */
  add(ring: FrameRing, slot: number, loss: Loss): void {
    const terms = ring.terms[slot];
    const attempts = (ring.attempts[slot] ?? 0) + (terms?.attempts ?? 0);
    if (terms?.withdrawn?.silently !== true)
      this.#frames.push([{ message: ring.messages[slot], terms, attempts }, loss]);
    ring.clear(slot);
  }

  /** Tells the outcomes, now that all is in order. */
  tell(): void {
    for (let next = this.#frames.shift(); next !== undefined; next = this.#frames.shift()) this.#tell(...next);
  }
}
