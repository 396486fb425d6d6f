/** Where an item stands in a line. */
export class Spot<T> {
  constructor(
    readonly item: T,
    public before: Spot<T> | undefined,
    public behind: Spot<T> | undefined,
  ) {}
}

/** A queue that an item may leave from any place, in constant time. */
export class Line<T> {
  #first: Spot<T> | undefined;
  #last: Spot<T> | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get first(): T | undefined {
    return this.#first?.item;
  }

  /** Puts an item at the end; what it returns is for `leave`. */
  push(item: T): Spot<T> {
    const spot = new Spot(item, this.#last, undefined);
    if (this.#last === undefined) this.#first = spot;
    else this.#last.behind = spot;
    this.#last = spot;
    this.#length++;
    return spot;
  }

  /** Puts an item before the first. */
  unshift(item: T): Spot<T> {
    const spot = new Spot(item, undefined, this.#first);
    if (this.#first === undefined) this.#last = spot;
    else this.#first.before = spot;
    this.#first = spot;
    this.#length++;
    return spot;
  }

  /**
   * Takes the item out that stands here; once. The spot lets go of its neighbours: an old one that is dead already would keep the next
   * alive until V8 collects old objects, that one the next, and so all that ever stood behind it.
   */
  leave(spot: Spot<T>): void {
    const { before, behind } = spot;
    spot.before = spot.behind = undefined;
    if (before === undefined) this.#first = behind;
    else before.behind = behind;
    if (behind === undefined) this.#last = before;
    else behind.before = before;
    this.#length--;
  }

  /** Those that stand in it now, in order. */
  all(): T[] {
    const items: T[] = [];
    for (let spot = this.#first; spot !== undefined; spot = spot.behind) items.push(spot.item);
    return items;
  }
}
