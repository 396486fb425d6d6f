import { Deque } from '../deque.js';

/** Those who wait until so many bytes fit, first come, first served. */
export class WaitingRoom {
  readonly #waiters = new Deque<{ readonly bytes: number; readonly go: () => void }>();
  readonly #letsIn: (bytes: number) => boolean;
  #admitting = false;

  constructor(letsIn: (bytes: number) => boolean) {
    this.#letsIn = letsIn;
  }

  /** Whether one who comes now would wait. */
  mustWait(bytes: number): boolean {
    return this.#waiters.length > 0 || !this.#letsIn(bytes);
  }

  /** Calls `go` when it is let in: now, or in a later `admit`. */
  enter(bytes: number, go: () => void): void {
    this.#waiters.push({ bytes, go });
    this.admit();
  }

  /** Lets in whom it can. Not entered twice: who is let in asks again behind the others, so that several sources take turns. */
  admit(): void {
    if (this.#admitting) return;
    this.#admitting = true;
    for (let next = this.#waiters.first; next !== undefined && this.#letsIn(next.bytes); next = this.#waiters.first) {
      this.#waiters.shift();
      next.go();
    }
    this.#admitting = false;
  }
}
