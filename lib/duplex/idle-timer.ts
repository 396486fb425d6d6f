import { Subscription, timer } from 'rxjs';

/** Tells when nothing has happened for a while, once until something happens again. It is one timer, whatever happens meanwhile. */
export class IdleTimer {
  readonly #fire: () => void;
  /** ms; 0 is never. */
  #after = 0;
  #activeAt = 0;
  #timer = Subscription.EMPTY;

  constructor(fire: () => void) {
    this.#fire = fire;
  }

  /** Starts anew, for so many ms; 0 stops it. */
  set(after: number): void {
    this.#after = after;
    this.#timer.unsubscribe();
    this.active();
  }

  /** Something happened. */
  active(): void {
    if (this.#after === 0) return;
    this.#activeAt = performance.now();
    if (this.#timer.closed) this.#wait(this.#after);
  }

  #wait(within: number): void {
    this.#timer = timer(within).subscribe(() => {
      const left = this.#activeAt + this.#after - performance.now();
      if (left > 0) this.#wait(left);
      else this.#fire();
    });
  }
}
