import { timer, type SchedulerLike, type Subscription } from 'rxjs';
import { clock } from '../clock.js';
import { Line, type Spot } from './line.js';

/** What has to be over in time. */
export interface Timed {
  /** Milliseconds that it may take; 0 is for ever. */
  readonly timeout: number;
  /** When they are over, by the clock. */
  dueAt: number;
  /** In the line of those that have as much time, while it is not over. */
  deadline: Spot<this> | undefined;
}

/** So many timers may wait for nothing, for the next that may take as long. */
const KEPT = 16;

interface Lane<T> {
  readonly line: Line<T>;
  timer: Subscription | undefined;
}

/**
 * Deadlines of many requests with few timers: those that may take equally long become due in the order in which they came, so that one
 * timer does for all of them.
 *
 *     lane  5,000 ms   [ a b c d … ]      a timer for `a`; when it fires, and `a` was answered, one for the first that still waits
 *     lane 30,000 ms   [ x y ]
 */
export class Deadlines<T extends Timed> {
  readonly #lanes = new Map<number, Lane<T>>();
  readonly #missed: (item: T) => void;
  readonly #scheduler: SchedulerLike | undefined;

  constructor(missed: (item: T) => void, scheduler: SchedulerLike | undefined) {
    this.#missed = missed;
    this.#scheduler = scheduler;
  }

  add(item: T): void {
    const { timeout } = item;
    if (timeout === 0) return;
    item.dueAt = clock.now() + timeout;
    const lane = this.#lanes.get(timeout) ?? this.#open(timeout);
    item.deadline = lane.line.push(item);
    lane.timer ??= this.#wait(timeout, lane, timeout);
  }

  /** It is over. */
  settled(item: T): void {
    if (item.deadline === undefined) return;
    const { timeout, deadline } = item;
    const lane = this.#lanes.get(timeout);
    item.deadline = undefined;
    lane?.line.leave(deadline);
    if (lane?.line.length === 0 && this.#lanes.size > KEPT) this.#close(timeout, lane);
  }

  stop(): void {
    for (const { timer } of this.#lanes.values()) timer?.unsubscribe();
    this.#lanes.clear();
  }

  #close(timeout: number, lane: Lane<T>): void {
    lane.timer?.unsubscribe();
    this.#lanes.delete(timeout);
  }

  #open(timeout: number): Lane<T> {
    const lane = { line: new Line<T>(), timer: undefined };
    this.#lanes.set(timeout, lane);
    return lane;
  }

  #wait(timeout: number, lane: Lane<T>, ms: number): Subscription {
    return timer(ms, this.#scheduler).subscribe(() => this.#look(timeout, lane));
  }

  /** Whoever hears of one that is late may settle others, or stop all of this. */
  #look(timeout: number, lane: Lane<T>): void {
    while (this.#lanes.get(timeout) === lane) {
      const { first } = lane.line;
      const left = first === undefined ? 0 : first.dueAt - clock.now();
      if (first === undefined) this.#lanes.delete(timeout);
      else if (left <= 0) this.#missed(first);
      else {
        lane.timer = this.#wait(timeout, lane, left);
        return;
      }
    }
  }
}
