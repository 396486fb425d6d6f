import { Subscription, timer, type SchedulerLike } from 'rxjs';
import { clock } from './clock.js';

/** Tells when nothing has happened for a while, once until something happens again. It is one timer, whatever happens meanwhile. */
export class IdleTimer {
  readonly #fire: () => void;
  readonly #scheduler: SchedulerLike | undefined;
  /** ms; 0 is never. */
  #after = 0;
  #activeAt = 0;
  #timer = Subscription.EMPTY;

  constructor(fire: () => void, scheduler?: SchedulerLike) {
    this.#fire = fire;
    this.#scheduler = scheduler;
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
    this.#activeAt = clock.now();
    if (this.#timer.closed) this.#wait(this.#after);
  }

  #wait(within: number): void {
    this.#timer = timer(within, this.#scheduler).subscribe(() => {
      const left = this.#activeAt + this.#after - clock.now();
      if (left > 0) return this.#wait(left);
      this.#timer.unsubscribe(); // what is told of it may be what happens next
      this.#fire();
    });
  }
}
