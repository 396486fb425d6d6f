/**
 * Reads of a net.Socket without `data` events: into one slab that all sockets of the process share, or into the socket's own while it reads in bulk.
 *
 *     kernel ──read──> shared slab ──lent──> decoder           nothing is allocated, nothing copied
 *                          └ keep() ──────> a copy             what has to stay; short, or the first of many
 *     kernel ──read──> own slab ── keep() ─> that part of it   in bulk, and the next read goes behind it
 *
 * A read fills the slab and is told of before any other read can begin, hence one slab serves them all. Measured on a bare
 * socket (Node 20, 24 and 26, chunks of 64 KiB): reading into memory that is used again takes 0.3 to 0.6 of the CPU of `data`,
 * which has memory of its own for each chunk.
 */
import type { OnReadOpts } from 'node:net';
import { ownedCopy } from '../codec/owned-copy.js';

/** The longest chunk, in bytes. */
export const SLAB_BYTES = 64 * 1024;

/** From so many bytes on a read counts as bulk: to give the slab away costs less than to copy. */
const BULK = 16 * 1024;

/**
 * Memory that a socket in bulk has of its own, in bytes: two chunks, so that one that is kept keeps no more than another alive. On Node 20 it
 * takes a tenth less CPU than memory for each chunk; memory for more chunks takes no less.
 */
const OWN_BYTES = 2 * SLAB_BYTES;

const NOTHING = Buffer.alloc(0);

let shared: Buffer | undefined;

/** Gets a chunk that is lent until it returns; `keep` gives the same bytes for good. */
export type TakeLent = (chunk: Buffer, keep: () => Buffer) => void;

/** The reading end of one socket. */
export class SlabReader {
  /** For `net.connect`. */
  readonly onread: OnReadOpts;
  #take: TakeLent | undefined;
  #limit = SLAB_BYTES;
  /** Where the next chunk comes to. */
  #slab: Buffer = NOTHING;
  /** Memory for this socket alone, of which what is before `#at` was given away. */
  #own: Buffer | undefined;
  #at = 0;
  /** The chunk that is lent just now. */
  #chunk: Buffer | undefined;
  #inBulk = false;

  constructor() {
    this.onread = {
      buffer: () => this.#next(),
      callback: (length) => {
        this.#took(length);
        return true;
      },
    };
  }

  /** Who gets the chunks from now on. */
  listen(take: TakeLent): void {
    this.#take = take;
  }

  /** The next read takes at most so many bytes, 1 or more. */
  limit(bytes: number): void {
    this.#limit = Math.min(bytes, SLAB_BYTES);
  }

  /** The memory of the next read; Node asks once the read before was told. */
  #next(): Buffer {
    if (!this.#inBulk) this.#own = undefined;
    else if (this.#own === undefined || this.#at + SLAB_BYTES > OWN_BYTES) {
      this.#own = Buffer.allocUnsafeSlow(OWN_BYTES);
      this.#at = 0;
    }
    this.#slab =
      this.#own?.subarray(this.#at, this.#at + SLAB_BYTES) ?? (shared ??= Buffer.allocUnsafeSlow(SLAB_BYTES));
    return this.#limit === SLAB_BYTES ? this.#slab : this.#slab.subarray(0, this.#limit);
  }

  #took(length: number): void {
    const chunk = (this.#chunk = length === SLAB_BYTES ? this.#slab : this.#slab.subarray(0, length));
    this.#limit = SLAB_BYTES;
    this.#inBulk = false;
    try {
      this.#take?.(chunk, this.#keep);
    } catch (error) {
      // Thrown from here, Node would not ask for other memory, and read over a slab that was kept.
      queueMicrotask(() => {
        throw error;
      });
    } finally {
      this.#chunk = undefined;
    }
  }

  readonly #keep = (): Buffer => {
    const chunk = this.#chunk;
    if (chunk === undefined) throw new Error('a chunk can be kept only until the call that lends it returns');
    this.#inBulk = chunk.length >= BULK;
    if (this.#own === undefined || !this.#inBulk) return ownedCopy(chunk, 0, chunk.length);
    this.#at += chunk.length; // given away
    return chunk;
  };
}
