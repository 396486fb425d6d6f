/**
 * From the queue to the kernel: one batch at a time, the next when the kernel has taken the one before.
 *
 *     take ──> [ frame frame frame ] ──copy──> slab (64 KiB) ──write──> kernel ──done──> confirm ──> take …
 *
 * Waiting for `done` is what honours backpressure: Node never holds more than one batch of ours, where ignoring `drain` let 121 of
 * 125 MiB pile up. Messages of one turn leave together, in a microtask at its end.
 */
import type { Link } from '../connection/link.js';
import { TurnEnd } from '../turn.js';
import type { QueuedFrame } from './queued-frame.js';

/** Bytes of a batch: what a slab holds. A larger frame goes alone, by reference. */
export const BATCH_BYTES = 64 * 1024;

/** Slabs that no write is using. A few serve any number of sockets, because most writes are over within their turn. */
const spare: Buffer[] = [];
const SPARE_SLABS = 16;

/** Batches, 1 MiB of them, after which the event loop gets a turn. */
const BATCHES_IN_ROW = 16;

/** Where batches come from. */
export interface BatchSource {
  take(limit: number): readonly QueuedFrame[];
  confirm(): void;
}

/** The writing into one link. */
export interface WriteSession {
  /** Something was queued: write it at the end of this turn. */
  wake(): void;
  /** Hand nothing more over; what is in flight may still be confirmed. */
  finish(): void;
  /** The link is over: no late callback of it change anything. */
  stop(): void;
}

/** Drains the source into the link from now until `stop()`. `failed` hears of a write that the link refused; the link is then of no use. */
export function writeTo(link: Link, source: BatchSource, failed: (error: Error) => void): WriteSession {
  let busy = false;
  let finished = false;
  let yielding = false;
  let inRow = 0;
  let stopped = false;
  let looping = false;

  const writeNext = (): boolean => {
    const frames = source.take(BATCH_BYTES);
    if (frames.length === 0) return false;
    busy = true;
    const only = frames.length === 1 ? frames[0]?.bytes : undefined;
    const slab = only === undefined ? (spare.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES)) : undefined;
    let answered = false;
    link.write(only ?? pack(frames, slab as Buffer), (error) => {
      if (stopped || answered) return;
      answered = true;
      if (error) return failed(error);
      if (link.destroyed) return; // taken or not: the loss that follows rewinds the batch
      // Only a slab whose write came to its end is used again: of any other the kernel may still be reading.
      if (slab !== undefined && spare.length < SPARE_SLABS) spare.push(slab);
      busy = false;
      source.confirm();
      drain();
    });
    return true;
  };

  // A kernel that takes everything at once calls back before the event loop turns: others must have their turn too.
  const giveWay = (): void => {
    if (++inRow < BATCHES_IN_ROW) return;
    inRow = 0;
    yielding = true;
    TurnEnd.yield(() => {
      yielding = false;
      drain();
    });
  };

  // A loop, because a link may call back before `write` returns.
  const drain = (): void => {
    if (looping) return;
    looping = true;
    while (!busy && !finished && !yielding && writeNext()) giveWay();
    looping = false;
  };
  const turnEnd = new TurnEnd(drain);

  return {
    wake() {
      if (!busy && !finished) turnEnd.ask();
    },
    finish() {
      finished = true;
      turnEnd.cancel();
    },
    stop() {
      finished = stopped = true;
      turnEnd.cancel();
    },
  };
}

function pack(frames: readonly QueuedFrame[], slab: Buffer): Buffer {
  let end = 0;
  for (const { bytes } of frames) {
    slab.set(bytes, end);
    end += bytes.length;
  }
  return slab.subarray(0, end);
}
