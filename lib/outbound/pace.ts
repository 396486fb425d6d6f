import { TurnEnd } from '../turn.js';

/**
 * When messages go out that do not fill a batch.
 *
 *     turn of the loop   | callback  callback  callback        |
 *     message              1         2 3       4
 *     written              1 at once                 2 3 4 at the end
 *
 * The first of a turn of the event loop goes at once, in that turn's microtasks; what other callbacks of the same turn add goes
 * together, at its end. Whoever waited for the write before is not kept waiting: there is nothing to go together with.
 */
export class Pace {
  readonly #go: () => void;
  /** Something was written in this turn. */
  #wrote = false;
  /** The outcome of a write is being told. */
  #told = false;
  #asked = false;

  /** `go` is called at the end of a turn in which somebody had to `wait`. */
  constructor(go: () => void) {
    this.#go = go;
  }

  /** Whether a batch may go that is not full. */
  get free(): boolean {
    return !this.#wrote || this.#told;
  }

  wrote(): void {
    if (this.#wrote) return;
    this.#wrote = true;
    TurnEnd.yield(this.#turnOver);
  }

  /** An outcome is told by `outcome`, which answers whether anybody heard it; what comes of it before all microtasks are done goes at once. */
  tell(outcome: () => boolean): void {
    const telling = this.#told;
    this.#told = true;
    const heard = outcome();
    if (telling) return;
    if (heard) TurnEnd.calm(this.#calm);
    else this.#told = false;
  }

  /** Something is left for the end of the turn. */
  wait(): void {
    this.#asked = true;
  }

  readonly #calm = (): void => {
    this.#told = false;
  };

  readonly #turnOver = (): void => {
    this.#wrote = false;
    if (!this.#asked) return;
    this.#asked = false;
    this.#go();
  };
}
