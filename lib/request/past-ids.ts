import type { RequestId } from './request-config.js';

/** How many ids are remembered that were answered, and how many that were not. */
const ANSWERED = 1024;
const UNANSWERED = 65_536;

/** Ids of requests that are over on this connection: none of them is given again while there are others, for a reply to it may still come. */
export class PastIds {
  /** Oldest first, as the other. */
  readonly #answered = new Map<RequestId, true>();
  /** The value tells whether one reply is all that may come. */
  readonly #unanswered = new Map<RequestId, boolean>();

  get size(): number {
    return this.#answered.size + this.#unanswered.size;
  }

  has(id: RequestId): boolean {
    return this.#answered.has(id) || this.#unanswered.has(id);
  }

  /** Its last reply came. */
  answered(id: RequestId): void {
    this.#answered.set(id, true);
    forget(this.#answered, ANSWERED);
  }

  /** Nobody waits for its reply any more, or for its replies. */
  unanswered(id: RequestId, single: boolean): void {
    this.#unanswered.set(id, single);
    forget(this.#unanswered, UNANSWERED);
  }

  /** A reply with this id came. */
  heard(id: RequestId): 'late' | 'duplicate' | 'unknown' {
    const single = this.#unanswered.get(id);
    if (single === undefined) return this.#answered.has(id) ? 'duplicate' : 'unknown';
    if (single) {
      this.#unanswered.delete(id);
      this.answered(id);
    }
    return 'late';
  }

  /** There are so few ids that one of these is given again: that which was answered longest ago, or else given up longest ago. */
  takeOldest(): RequestId | undefined {
    for (const ids of [this.#answered, this.#unanswered]) {
      for (const oldest of ids.keys()) {
        ids.delete(oldest);
        return oldest;
      }
    }
    return undefined;
  }

  clear(): void {
    this.#answered.clear();
    this.#unanswered.clear();
  }
}

function forget(ids: Map<RequestId, unknown>, kept: number): void {
  if (ids.size <= kept) return;
  for (const oldest of ids.keys()) {
    ids.delete(oldest);
    if (ids.size <= kept) return;
  }
}
