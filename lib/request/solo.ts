import { Subscription, timer, type SchedulerLike } from 'rxjs';

/** Milliseconds in which a request shows whether it kills its connection. */
const PROBATION = 1000;

/**
 * A request on its last try goes alone: one more loss would give it up, and shall neither be another's fault nor take another along.
 *
 *     others aloft ──answered, or a second without a loss──> it ──first reply, or a second without a loss──> others
 */
export class Solo<T> {
  readonly #over: () => void;
  readonly #handed: (request: T) => boolean;
  readonly #scheduler: SchedulerLike | undefined;
  /** It waits for others to prove themselves, or they have. */
  #first: T | undefined;
  #proved = false;
  #alone: T | undefined;
  #timer = Subscription.EMPTY;

  /** `over` is called when a wait is; `handed` tells whether a link has a request. */
  constructor(over: () => void, handed: (request: T) => boolean, scheduler: SchedulerLike | undefined) {
    this.#over = over;
    this.#handed = handed;
    this.#scheduler = scheduler;
  }

  /** Whether all others wait. */
  get busy(): boolean {
    return this.#alone !== undefined;
  }

  /** Whether it may go now, others being aloft; if not, `over` tells when it may. */
  mayFollow(request: T): boolean {
    if (this.#first !== request) {
      this.stop();
      this.#first = request;
      this.#wait(() => (this.#proved = true));
    }
    return this.#proved;
  }

  start(request: T): void {
    this.stop();
    this.#alone = request;
    const known = this.#handed(request); // by the time that the wait is over
    this.#wait(() => (known ? this.stop() : this.start(request)));
  }

  /** It is answered, or will not be. */
  end(request: T): void {
    if (this.#alone === request) this.stop();
  }

  /** Nobody waits for anybody. */
  stop(): void {
    this.#timer.unsubscribe();
    this.#first = this.#alone = undefined;
    this.#proved = false;
  }

  #wait(then: () => void): void {
    this.#timer = timer(PROBATION, this.#scheduler).subscribe(() => {
      then();
      this.#over();
    });
  }
}
