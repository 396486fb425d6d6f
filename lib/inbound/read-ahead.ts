import type { BufferLimits } from '../config.js';

/**
 * What was read ahead of somebody slow, in values and bytes: it holds the stream at either limit and releases it at half of both.
 *
 *     bytes  0 ──────── half ──────── limit ──>      one value above the limit comes through, and holds until it is done
 *                 release └<── hold ──┘
 */
export class ReadAhead {
  readonly #pause: () => () => void;
  readonly #limits: BufferLimits;
  #frames = 0;
  #bytes = 0;
  #release: (() => void) | undefined;

  constructor(pause: () => () => void, limits: BufferLimits) {
    this.#pause = pause;
    this.#limits = limits;
  }

  /** A value came. Returns its size, for `done`: by then the value may have another, if its memory was given away. Throws what `pause` throws. */
  came(value: unknown): number {
    const size = sizeOf(value);
    this.#frames++;
    this.#bytes += size;
    if (this.#frames >= this.#limits.frames || this.#bytes >= this.#limits.bytes) this.#release ??= this.#pause();
    return size;
  }

  /** A value of this size waits no longer. */
  done(size: number): void {
    this.#frames--;
    this.#bytes -= size;
    if (this.#frames <= this.#limits.frames / 2 && this.#bytes <= this.#limits.bytes / 2) this.#letGo();
  }

  /** None waits any longer. */
  clear(): void {
    this.#frames = this.#bytes = 0;
    this.#letGo();
  }

  /** Forgotten first: what comes while it is released may need a new hold. */
  #letGo(): void {
    const release = this.#release;
    this.#release = undefined;
    release?.();
  }
}

/** Bytes of what is bytes, the length of a string; of anything else it is not known, and counts as nothing. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  return ArrayBuffer.isView(value) ? value.byteLength : 0;
}
