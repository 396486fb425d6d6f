import { TurnEnd } from '../turn.js';

/** Frames that are emitted in one go. */
const FRAMES = 4096;

/**
 * How much is emitted before timers and other sockets have a turn: a chunk of many tiny frames must not keep them waiting.
 *
 *     read │ 4,096 frames │ turn of the others │ 4,096 frames │ turn of the others │ the rest
 *
 * It is the allowance of a turn, however often demand ends and begins in it.
 */
export class Slice {
  #left = FRAMES;
  readonly #goOn: () => void;

  /** `goOn` is called in the next turn, once a slice is used up. */
  constructor(goOn: () => void) {
    this.#goOn = goOn;
  }

  /** Whether the others come first. */
  get usedUp(): boolean {
    return this.#left === 0;
  }

  /** A new turn has begun: a chunk was read. */
  renew(): void {
    this.#left = FRAMES;
  }

  /** One frame was emitted. Tells whether it was the last for now. */
  count(): boolean {
    if (--this.#left > 0) return false;
    TurnEnd.yield(() => {
      this.renew();
      this.#goOn();
    });
    return true;
  }
}
