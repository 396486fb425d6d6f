import type { FrameRing } from './frame-ring.js';
import type { FrameTerms } from './queued-frame.js';
import { BY_REFERENCE, giveBack, takeSlab, type FrameSlabs } from './slabs.js';

const NOTHING = new Uint8Array(0);

/** Frames that go to the link together. */
export interface Batch {
  /** What is written. */
  readonly bytes: Uint8Array;
  /** The sum of the frames as they were accepted. */
  readonly length: number;
  readonly frames: number;
  /** Gaps that were passed over. */
  readonly gaps: number;
  /** The position behind the last of them. */
  readonly to: number;
  /** Memory that the frames were copied into. */
  readonly slab: Buffer | undefined;
}

/**
 * The next batch of what waits in a ring, which is not nothing: whole frames from the cursor on, up to `limit` bytes together, or one larger frame.
 *
 *     memory   [ a b c d . . ]              one slab, one behind the other   ──> a part of the slab
 *     memory   [a]  [b]  [c]                each its own, and short          ──> copied into one slab
 *     memory   [a]  [ b ............. ]     16 KiB and more                  ──> by reference, on its own
 *
 * A frame that is `alone` shares its batch with no other. A batch that has to be copied ends, from 16 KiB on, where the next could go on
 * in one piece.
 */
export function takeBatch(ring: FrameRing, limit: number, alone?: (slot: number) => boolean): Batch {
  const { cursor, memory, starts, lengths, mask, tail } = ring;
  let position = cursor;
  let length = 0;
  let frames = 0;
  let gaps = 0;
  let begin = 0;
  let end = 0;
  let last: Uint8Array | undefined;
  let inOnePiece = true;
  for (let full = false; position < tail && !full; position++) {
    const slot = position & mask;
    const its = memory[slot];
    if (its === undefined) {
      gaps++;
      continue;
    }
    const start = starts[slot] ?? 0;
    const more = lengths[slot] ?? 0;
    full = alone?.(slot) === true;
    const joins = its === last && start === end;
    if (frames > 0) {
      const separate = joins !== inOnePiece && length >= BY_REFERENCE;
      if (full || separate || (!joins && more >= BY_REFERENCE) || length + more > limit) break;
      inOnePiece &&= joins;
    } else begin = start;
    frames++;
    length += more;
    last = its;
    end = start + more;
  }
  const slab = inOnePiece || last === undefined ? undefined : takeSlab(length);
  const bytes = slab === undefined ? part(last ?? NOTHING, begin, end) : pack(ring, cursor, position, slab);
  return { bytes, length, frames, gaps, to: position, slab };
}

/** The frames of a batch are written and leave the ring; returns who wants to hear of it. */
export function leaveWritten(ring: FrameRing, batch: Batch, slabs: FrameSlabs): readonly FrameTerms[] | undefined {
  let settled: FrameTerms[] | undefined;
  let last: Uint8Array | undefined;
  for (let position = ring.head; position < batch.to; position++) {
    const slot = position & ring.mask;
    const memory = ring.memory[slot];
    const terms = ring.terms[slot];
    if (terms?.settled !== undefined) (settled ??= []).push(terms);
    if (memory !== undefined && memory !== last) slabs.passed(memory);
    last = memory;
    ring.clear(slot);
  }
  if (batch.slab !== undefined) giveBack(batch.slab);
  return settled;
}

/** Of memory that its owner has transferred nothing is left to write. */
function part(memory: Uint8Array, start: number, end: number): Uint8Array {
  if (end > memory.length) return NOTHING;
  return start === 0 && end === memory.length ? memory : memory.subarray(start, end);
}

function pack({ memory, starts, lengths, mask }: FrameRing, from: number, to: number, slab: Buffer): Buffer {
  let end = 0;
  for (let position = from; position < to; position++) {
    const slot = position & mask;
    const its = memory[slot];
    if (its === undefined) continue;
    const start = starts[slot] ?? 0;
    const bytes = part(its, start, start + (lengths[slot] ?? 0));
    slab.set(bytes, end);
    end += bytes.length;
  }
  return slab.subarray(0, end);
}
