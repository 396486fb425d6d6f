import { Deque } from '../deque.js';

/** Does one thing after the other: what is asked for while something is being done waits until that is over. */
export class InTurn {
  readonly #waiting = new Deque<() => void>();
  #busy = false;

  do(action: () => void): void {
    this.#waiting.push(action);
    this.now(() => undefined);
  }

  /** Does something at once, also while something else is being done; what it asks for waits all the same. */
  now(action: () => void): void {
    if (this.#busy) return action();
    this.#busy = true;
    try {
      action();
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) next();
    } finally {
      this.#busy = false;
    }
  }
}
