import type { Subscriber } from 'rxjs';
import { Deque } from '../deque.js';
import { TurnEnd } from '../turn.js';
import type { Unused } from './iterate.js';

/** Frames that were emitted to somebody who left without using them: they come before all others, in their order, and after the end too. */
export class Returned<In, Origin> {
  /** The one that is emitted just now. */
  emitted: Unused<In, Origin> | undefined;
  readonly #items = new Deque<Unused<In, Origin>>();

  get length(): number {
    return this.#items.length;
  }

  /** Takes frames in, in front of those that are there. */
  put(unused: Deque<Unused<In, Origin>>): void {
    for (let item = unused.pop(); item !== undefined; item = unused.pop()) this.#items.unshift(item);
  }

  shift(): Unused<In, Origin> | undefined {
    return this.#items.shift();
  }

  /** Emits one of them again. */
  emit(item: Unused<In, Origin>, audience: { hearOf(origin: Origin, frame: In): void }): void {
    this.emitted = item;
    audience.hearOf(item.origin, item.frame);
    this.emitted = undefined;
  }

  /** Takes over those of another, behind its own. */
  absorb(other: Returned<In, Origin>): void {
    for (let item = other.shift(); item !== undefined; item = other.shift()) this.#items.push(item);
  }

  /** Gives those of one origin, or all if none is given, to a subscriber who came after the end, and then the end; in a later microtask, if there are any. */
  giveTo(subscriber: Subscriber<In>, origin: Origin | undefined, end: () => void): void {
    const give = (): void => {
      while (!subscriber.closed) {
        this.emitted = this.#shiftOf(origin);
        if (this.emitted === undefined) return end();
        subscriber.next(this.emitted.frame);
        this.emitted = undefined;
      }
    };
    if (this.length === 0) give();
    else TurnEnd.queue(give);
  }

  clear(): void {
    this.#items.clear();
  }

  #shiftOf(origin: Origin | undefined): Unused<In, Origin> | undefined {
    if (origin === undefined || this.#items.first?.origin === origin) return this.#items.shift();
    let found: Unused<In, Origin> | undefined;
    this.#items.retain((item) => {
      if (found !== undefined || item.origin !== origin) return true;
      found = item;
      return false;
    });
    return found;
  }
}
