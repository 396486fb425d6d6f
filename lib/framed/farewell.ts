import { Subscription, timer, type SchedulerLike } from 'rxjs';

/** The connection that takes its leave. */
export interface Leaving {
  /** Calls `go` once what was accepted before the end is handed over; at once without it. */
  readonly beforeFin?: (go: () => void) => void;
  readonly config: { readonly scheduler?: SchedulerLike | undefined };
}

/**
 * How a connection is ended: our FIN once everything is handed over that was accepted, and a deadline for all of it.
 *
 *     within ──what was accepted──> FIN ──the peer's FIN──> over
 *       └───────────── timeout ─────────────> late
 */
export class Farewell {
  readonly #live: Leaving;
  readonly #fin: () => void;
  readonly #late: () => void;
  #deadline = Subscription.EMPTY;
  #stopped = false;

  /** `fin` sends ours; `late` is called when time is up. */
  constructor(live: Leaving, fin: () => void, late: () => void) {
    this.#live = live;
    this.#fin = fin;
    this.#late = late;
  }

  /** Begins, or begins anew, with so many ms. */
  within(timeout: number): void {
    const { beforeFin, config } = this.#live;
    if (beforeFin === undefined) this.#fin();
    else beforeFin(this.#fin);
    if (this.#stopped) return;
    this.#deadline.unsubscribe();
    this.#deadline = timer(timeout, config.scheduler).subscribe(this.#late);
  }

  /** The connection is over. */
  stop(): void {
    this.#stopped = true;
    this.#deadline.unsubscribe();
  }
}
