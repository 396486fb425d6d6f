import { Deque } from '../deque.js';

interface Waiter {
  readonly bytes: number;
  readonly go: () => void;
  /** It waits no more. */
  left: boolean;
}

/** Those who wait until so many bytes fit, first come, first served. */
export class WaitingRoom {
  readonly #waiters = new Deque<Waiter>();
  readonly #letsIn: (bytes: number) => boolean;
  #admitting = false;

  constructor(letsIn: (bytes: number) => boolean) {
    this.#letsIn = letsIn;
  }

  /** Whether one who comes now would wait. */
  mustWait(bytes: number): boolean {
    return this.#waiters.length > 0 || !this.#letsIn(bytes);
  }

  /** Calls `go` when it is let in: now, or in a later `admit`, unless the function that this returns is called before. */
  enter(bytes: number, go: () => void): () => void {
    const waiter = { bytes, go, left: false };
    this.#waiters.push(waiter);
    this.admit();
    return () => {
      waiter.left = true;
      this.admit();
    };
  }

  /** Lets in whom it can. Not entered twice: who is let in asks again behind the others, so that several sources take turns. */
  admit(): void {
    if (this.#admitting) return;
    this.#admitting = true;
    for (let next = this.#waiters.first; next !== undefined; next = this.#waiters.first) {
      if (!next.left && !this.#letsIn(next.bytes)) break;
      this.#waiters.shift();
      if (!next.left) next.go();
    }
    this.#admitting = false;
  }
}
