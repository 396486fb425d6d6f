import { clock } from '../clock.js';
import { TurnEnd } from '../turn.js';

/**
 * Demand, in one place: frames flow while there is at least one subscriber and no hold.
 *
 *     subscribers  0   1────────────────0   1──
 *     holds        0      1──2──1──0    0
 *     open         ░   ███░░░░░░░░░███░░░   ███     closes at once, opens in a later microtask
 *
 * Demand ends within the call that ends it, so that not one more frame is emitted. It begins in a later microtask, so that all who
 * subscribe in one turn get the same first frame.
 */
export class Gate {
  #subscribers = 0;
  #holds = 0;
  #draining = false;
  #open = false;
  readonly #opening: TurnEnd;
  #openSince = Infinity;
  /** Where its subscribers and holds are counted now. */
  #heir: Gate | undefined;

  /** `opened` is called each time that demand begins. */
  constructor(opened: () => void) {
    this.#opening = new TurnEnd(() => {
      this.#open = true;
      this.#openSince = clock.now();
      opened();
    });
  }

  /** Whether a frame may be emitted now. */
  get open(): boolean {
    return this.#open;
  }

  /** Since when somebody reads, by the clock; `Infinity` while nobody does: what is drained and discarded is read by nobody. */
  get openSince(): number {
    return this.#open && this.#subscribers > 0 ? this.#openSince : Infinity;
  }

  get subscribers(): number {
    return this.#subscribers;
  }

  get holds(): number {
    return this.#holds;
  }

  enter(): void {
    this.#subscribers++;
    this.#update();
  }

  leave(): void {
    if (this.#heir !== undefined) return this.#heir.leave();
    this.#subscribers--;
    this.#update();
  }

  /** Takes a hold; the function that it returns gives it back, once. */
  hold(): () => void {
    let held = true;
    this.#holds++;
    this.#update();
    return () => {
      if (!held) return;
      held = false;
      this.#release();
    };
  }

  /** Takes over the subscribers and holds of another gate, which shuts for good. */
  absorb(other: Gate): void {
    other.#heir = this;
    this.#subscribers += other.#subscribers;
    this.#holds += other.#holds;
    other.close();
    this.#update();
  }

  /** From now on the absence of subscribers counts as demand: what comes is discarded. Holds of subscribers still count. */
  drain(): void {
    this.#draining = true;
    this.#update();
  }

  /** Shut for good. */
  close(): void {
    this.#open = false;
    this.#opening.cancel();
  }

  #release(): void {
    if (this.#heir !== undefined) return this.#heir.#release();
    this.#holds--;
    this.#update();
  }

  #update(): void {
    const demand = this.#subscribers > 0 ? this.#holds === 0 : this.#draining;
    if (!demand) {
      this.#open = false;
      this.#opening.cancel();
    } else if (!this.#open) this.#opening.ask();
  }
}
