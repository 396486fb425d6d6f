import type { Observable } from 'rxjs';
import { Broadcast } from './broadcast.js';
import type { InTurn } from './in-turn.js';

/** A value that changes, as a stream: the current one first, to late subscribers too, also after completion. Equal values in a row are told once. */
export class Current<T> {
  readonly #broadcast: Broadcast<T>;
  #told: T;
  #latest: T;

  constructor(initial: T, turns?: InTurn) {
    this.#told = this.#latest = initial;
    this.#broadcast = new Broadcast<T>(
      (value) => (this.#told = value),
      (subscriber) => subscriber.next(this.#told),
      turns,
    );
  }

  /** The newest value, which subscribers may be about to hear. */
  get value(): T {
    return this.#latest;
  }

  get values(): Observable<T> {
    return this.#broadcast.values;
  }

  set(value: T): void {
    if (value === this.#latest) return;
    this.#latest = value;
    this.#broadcast.emit(value);
  }

  complete(): void {
    this.#broadcast.complete();
  }
}
