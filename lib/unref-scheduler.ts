import { Subscription, type SchedulerAction, type SchedulerLike } from 'rxjs';

/**
 * RxJS's timers, for a socket that does not keep its process: the same times, on timers of Node that are `unref`ed.
 *
 * RxJS's own scheduler keeps the process alive as long as anything is scheduled, and has no option for it.
 */
export const unrefScheduler: SchedulerLike = {
  now: () => Date.now(),
  schedule: <T>(work: (this: SchedulerAction<T>, state?: T) => void, delay = 0, state?: T): Subscription => {
    const action = new UnrefAction<T>(work);
    action.schedule(state, delay);
    return action;
  },
};

/** What is done once or, if it schedules itself anew, again. */
class UnrefAction<T> extends Subscription implements SchedulerAction<T> {
  readonly #work: (this: SchedulerAction<T>, state?: T) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(work: (this: SchedulerAction<T>, state?: T) => void) {
    super(() => clearTimeout(this.#timer));
    this.#work = work;
  }

  schedule(state?: T, delay = 0): Subscription {
    if (this.closed) return this;
    clearTimeout(this.#timer);
    // eslint-disable-next-line no-restricted-globals -- this is such a scheduler
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      try {
        this.#work(state);
      } finally {
        if (this.#timer === undefined) this.unsubscribe(); // it did not schedule itself anew
      }
    }, delay).unref();
    return this;
  }
}
