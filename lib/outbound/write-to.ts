/**
 * From the queue to the kernel: one batch at a time, the next when the kernel has taken the one before.
 *
 *     take ──> batch (64 KiB, or one larger frame) ──write──> kernel ──done──> confirm ──> take …
 *
 * Waiting for `done` is what honours backpressure: Node never holds more than one batch of ours, where ignoring `drain` let 121 of
 * 125 MiB pile up.
 */
import type { Link } from '../connection/link.js';
import { TurnEnd } from '../turn.js';
import { Pace } from './pace.js';
import { SLAB_BYTES } from './slabs.js';

/** Batches, 1 MiB of them, after which the event loop gets a turn. */
const BATCHES_IN_ROW = 16;

/** Where batches come from. */
export interface BatchSource {
  /** Bytes that wait to be taken. */
  readonly waitingBytes: number;
  take(limit: number): Uint8Array | undefined;
  /** The batch taken last is written. Answers whether anybody waited for that. */
  confirm(): boolean;
}

/** The writing into one link. */
export interface WriteSession {
  /** Something was queued: write it at the end of this turn's microtasks, or with the rest of this turn. */
  wake(): void;
  /** Hand nothing more over; what is in flight may still be confirmed. */
  finish(): void;
  /** The link is over: no late callback of it change anything. */
  stop(): void;
}

/** Drains the source into the link from now until `stop()`. `failed` hears of a write that the link refused; the link is then of no use. */
export function writeTo(link: Link, source: BatchSource, failed: (error: Error) => void): WriteSession {
  return new Writer(link, source, failed);
}

class Writer implements WriteSession {
  readonly #link: Link;
  readonly #source: BatchSource;
  readonly #failed: (error: Error) => void;
  readonly #turnEnd = new TurnEnd(() => this.#drain());
  readonly #pace = new Pace(() => this.#drain());
  /** Counts batches, so that an answer that comes twice or late is known. */
  #batch = 0;
  #busy = false;
  #finished = false;
  #stopped = false;
  #yielding = false;
  #inRow = 0;
  #looping = false;

  constructor(link: Link, source: BatchSource, failed: (error: Error) => void) {
    this.#link = link;
    this.#source = source;
    this.#failed = failed;
  }

  wake(): void {
    if (this.#busy || this.#finished) return;
    if (this.#pace.free) this.#turnEnd.ask();
    else this.#pace.wait();
  }

  finish(): void {
    this.#finished = true;
    this.#turnEnd.cancel();
  }

  stop(): void {
    this.#stopped = true;
    this.finish();
  }

  /** A loop, because a link may call back before `write` returns. */
  #drain(): void {
    if (this.#looping) return;
    this.#looping = true;
    while (!this.#busy && !this.#finished && !this.#yielding && this.#mayGo() && this.#writeNext()) this.#giveWay();
    this.#looping = false;
  }

  #mayGo(): boolean {
    if (this.#pace.free || this.#source.waitingBytes >= SLAB_BYTES) return true;
    this.#pace.wait();
    return false;
  }

  #writeNext(): boolean {
    const bytes = this.#source.take(SLAB_BYTES);
    if (bytes === undefined) return false;
    this.#busy = true;
    const batch = this.#batch;
    this.#pace.wrote();
    this.#link.write(bytes, (error) => this.#answered(batch, error));
    return true;
  }

  #answered(batch: number, error: Error | null | undefined): void {
    if (this.#stopped || batch !== this.#batch) return;
    this.#batch++;
    if (error) return this.#failed(error);
    if (this.#link.destroyed) return; // taken or not: the loss that follows rewinds the batch
    this.#busy = false;
    this.#pace.tell(this.#confirm);
  }

  readonly #confirm = (): boolean => {
    const awaited = this.#source.confirm();
    this.#drain();
    return awaited;
  };

  /** A kernel that takes everything at once calls back before the event loop turns: others must have their turn too. */
  #giveWay(): void {
    if (++this.#inRow < BATCHES_IN_ROW) return;
    this.#inRow = 0;
    this.#yielding = true;
    TurnEnd.yield(() => {
      this.#yielding = false;
      this.#drain();
    });
  }
}
