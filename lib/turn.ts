const NOW = Promise.resolve();

/** A microtask as a promise makes it: Node's `queueMicrotask` makes an AsyncResource for each, which takes five times as long. */
function microtask(action: () => void): void {
  void NOW.then(action);
}

/** Something that is done once at the end of a turn, in a microtask, however often it was asked for. */
export class TurnEnd {
  /**
   * Queues an action for the end of the turn. It is not RxJS's `asapScheduler`, which forgets the actions of everybody when one of them
   * throws; a test under virtual time puts a scheduler here.
   */
  static queue: (action: () => void) => void = microtask;

  /** Queues an action for the next turn of the event loop, after timers and sockets had theirs; a test may put its own here. */
  static yield: (action: () => void) => void = setImmediate;

  /** Calls an action once all microtasks that come of this moment are done; a test may put its own here. */
  static calm: (action: () => void) => void = (action) => microtask(() => process.nextTick(action));

  readonly #run: () => void;
  #asked = false;
  #queued = false;

  constructor(action: () => void) {
    this.#run = () => {
      this.#queued = false;
      if (!this.#asked) return;
      this.#asked = false;
      action();
    };
  }

  ask(): void {
    this.#asked = true;
    if (this.#queued) return;
    this.#queued = true;
    TurnEnd.queue(this.#run);
  }

  cancel(): void {
    this.#asked = false;
  }
}
