import type { EncodeTarget } from '../codec/encode-into.js';

/** Bytes of a slab, and of a batch. */
export const SLAB_BYTES = 64 * 1024;

/** From so many bytes on a frame goes by reference: to copy it costs more than a system call of its own. */
export const BY_REFERENCE = 16 * 1024;

/** Frames that must wait before a slab is made for them if none is spare: thousands of sockets with a message each need none. */
const WORTH_A_SLAB = 8;

/** A batch up to this size has memory of Node's own pool if no slab is spare. */
const POOLED = 4096;

/** Slabs that no write is using. A few serve any number of sockets, because most writes are over within their turn. */
const spare: Buffer[] = [];
const SPARE_SLABS = 16;

/** Memory for a batch of that many bytes. */
export function takeSlab(bytes: number): Buffer {
  return spare.pop() ?? (bytes <= POOLED ? Buffer.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(SLAB_BYTES));
}

/** No write is using it any more: of a slab whose write did not come to its end the kernel may still be reading, and that one is never given back. */
export function giveBack(slab: Buffer): void {
  if (slab.length === SLAB_BYTES && spare.length < SPARE_SLABS) spare.push(slab);
}

const NOTHING = Buffer.alloc(0);

/**
 * The slabs that the frames of one queue are encoded into, one behind the other.
 *
 *     #slabs [ full ] [ full ] [ frame frame frame . . . . ]
 *              ^passed: given back          ^#end
 */
export class FrameSlabs implements EncodeTarget {
  bytes: Uint8Array & Buffer = NOTHING;
  /** Where the frame begins that is being encoded. */
  start = 0;
  /** In use, the oldest first. */
  #slabs: Buffer[] = [];
  /** The last of them, which is being filled up to here. */
  #open: Buffer | undefined;
  #end = 0;
  readonly #waiting: () => number;

  /** `waiting` tells how many frames wait. */
  constructor(waiting: () => number) {
    this.#waiting = waiting;
  }

  reserve(size: number): number {
    if (this.#open === undefined || this.#end + size > SLAB_BYTES) return this.#reserveAnew(size);
    this.bytes = this.#open;
    return (this.start = this.#end);
  }

  refer(bytes: Uint8Array): number {
    this.bytes = bytes as Buffer;
    this.start = 0;
    return bytes.length;
  }

  /** The frame that was encoded last is in the queue; it ends there. */
  commit(end: number): void {
    if (this.bytes === this.#open) this.#end = end;
  }

  /** The bytes of the frame that was encoded last, which ends there, in memory that is not written over. */
  take(end: number): Uint8Array {
    const { bytes, start } = this;
    return bytes === this.#open ? Buffer.from(bytes.subarray(start, end)) : bytes.subarray(start, end);
  }

  /** Frames in this memory are written, hence all before it. */
  passed(memory: Uint8Array): void {
    if (this.#slabs.length < 2 || memory === this.#slabs[0]) return;
    for (let older = this.#slabs.indexOf(memory as Buffer); older > 0; older--)
      giveBack(this.#slabs.shift() ?? NOTHING);
  }

  /** Frames have left unwritten: the full slabs are let go, each with the last frame in it. */
  skipped(): void {
    if (this.#slabs.length > 1) this.#slabs.splice(0, this.#slabs.length - 1);
  }

  /** All frames are written, or were never handed over. */
  done(): void {
    for (const slab of this.#slabs) giveBack(slab);
    this.forget();
  }

  /** Gives none of them back: the kernel may still be reading. */
  forget(): void {
    if (this.#slabs.length > 0) this.#slabs = [];
    this.#open = undefined;
    this.bytes = NOTHING;
  }

  #reserveAnew(size: number): number {
    this.start = 0;
    if (size >= BY_REFERENCE) this.bytes = Buffer.allocUnsafeSlow(size);
    else {
      const slab = spare.pop() ?? (this.#waiting() >= WORTH_A_SLAB ? Buffer.allocUnsafeSlow(SLAB_BYTES) : undefined);
      this.bytes = slab ?? Buffer.allocUnsafe(size);
      if (slab !== undefined) {
        this.#slabs.push(slab);
        this.#open = slab;
        this.#end = 0;
      }
    }
    return 0;
  }
}
