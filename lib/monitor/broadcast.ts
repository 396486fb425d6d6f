import { Observable, Subject, type Subscriber } from 'rxjs';
import { InTurn } from './in-turn.js';

/**
 * A hot stream that tells late subscribers what they missed, and everybody the same order.
 *
 * A Subject whose subscriber emits again tells the next subscriber the second value first; here values wait in a queue until
 * everybody has heard the one before. What a late subscriber gets is for `replay` to say, also after completion.
 */
export class Broadcast<T> {
  readonly values: Observable<T>;
  readonly #live = new Subject<T>();
  readonly #remember: (value: T, observed: boolean) => void;
  readonly #turns: InTurn;

  /**
   * `remember` hears each value just before the subscribers do, and whether there are any; `replay` gives what a new one is told first.
   * Broadcasts that share their `turns` are heard in one order.
   */
  constructor(
    remember: (value: T, observed: boolean) => void,
    replay: (subscriber: Subscriber<T>) => void,
    turns = new InTurn(),
  ) {
    this.#remember = remember;
    this.#turns = turns;
    this.values = new Observable((subscriber) => {
      // Whoever emits in answer to what it is told first hears that too: nothing is emitted until it has joined.
      turns.now(() => {
        replay(subscriber);
        subscriber.add(this.#live.subscribe(subscriber));
      });
    });
  }

  emit(value: T): void {
    this.#turns.do(() => {
      this.#remember(value, this.#live.observed);
      this.#live.next(value);
    });
  }

  complete(): void {
    this.#turns.do(() => this.#live.complete());
  }
}
