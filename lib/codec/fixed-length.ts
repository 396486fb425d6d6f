import { flag, given, integer, refused } from '../check.js';
import { FrameError } from '../errors.js';
import { Accumulator } from './accumulator.js';
import { ChunkCursor } from './chunk-cursor.js';
import type { Bytes, Codec, Decoder } from './codec.js';
import { ownedCopy } from './owned-copy.js';
import { toBytes } from './to-bytes.js';

/** Options of `fixedLength()`. */
export interface FixedLengthConfig {
  /** The bytes of each frame, 1 to 2,147,483,647; there is no default. It is also the most that one peer can make you hold. */
  readonly length: number;
  /** Whether each frame has memory of its own. `false` is faster, and a frame that is kept may pin its chunk. @default false */
  readonly copy?: boolean;
}

/**
 * Frames that all have the same length, with nothing between them.
 *
 * ```
 * length: 3    a b c d e f g     →  'abc'  'def'     the `g` waits for two bytes more
 * ```
 *
 * A frame that lies within one chunk is handed out as a part of that chunk and not copied: a small frame that you keep pins
 * its whole chunk, 64 KiB. With `copy: true` each frame has memory of exactly its size. Memory for a cut frame grows with what came, up to `length`.
 *
 * Decoding raises a `FrameError` of kind `truncated` if the stream ends inside a frame, and no other.
 *
 * Encoding takes exactly `length` bytes and copies nothing, so do not change them until they have their outcome; only SharedArrayBuffer and
 * resizable memory is copied, and strings are written as UTF-8. Anything else is a `FrameError` of kind `encode`.
 *
 * @example
 * import { fixedLength } from 'rx-tcp';
 * const codec = fixedLength({ length: 3 });
 * console.log(codec.encode('abc')); // <Buffer 61 62 63>
 * const decoder = codec.decoder(() => undefined);
 * decoder.push(Buffer.from('abcd'));
 * console.log(String(decoder.next()), decoder.next()); // abc undefined
 * decoder.push(Buffer.from('ef'));
 * console.log(String(decoder.next())); // def
 */
export function fixedLength(config: FixedLengthConfig): Codec<Buffer, Bytes> {
  const { length, copy } = resolve(config);
  return {
    decoder: () => new FixedLengthDecoder(length, copy),
    encode: (message) => {
      const frame = toBytes(message, 'fixedLength()');
      if (frame.length === length) return frame;
      throw new FrameError('encode', `a frame has ${length} bytes, not ${frame.length}`);
    },
  };
}

function resolve(config: FixedLengthConfig): Required<FixedLengthConfig> {
  const options = given('fixedLength', config, ['length', 'copy']);
  const [least, most] = [1, 2 ** 31 - 1];
  if (options.length === undefined) throw refused('length', `a whole number from ${least} to ${most}`, undefined);
  return {
    length: integer('length', options.length, least, least, most),
    copy: flag('copy', options.copy, false),
  };
}

class FixedLengthDecoder implements Decoder<Buffer> {
  /** Present if no frame shares memory with a chunk. */
  readonly detach?: () => void;
  readonly #length: number;
  readonly #copy: boolean;
  readonly #cursor = new ChunkCursor();
  /** The beginning of a frame that is cut over chunks. */
  readonly #held = new Accumulator();

  constructor(length: number, copy: boolean) {
    this.#length = length;
    this.#copy = copy;
    if (copy) {
      this.detach = () => {
        this.#cursor.detach();
      };
    }
  }

  push(chunk: Buffer): void {
    this.#cursor.push(chunk);
  }

  next(): Buffer | undefined {
    const { bytes, at, left } = this.#cursor;
    if (this.#held.length > 0 || left < this.#length) return this.#nextCut();
    const end = at + this.#length;
    this.#cursor.at = end;
    return this.#copy ? ownedCopy(bytes, at, end) : bytes.subarray(at, end);
  }

  end(): void {
    const left = this.#held.length + this.#cursor.left;
    if (left > 0) throw new FrameError('truncated', `the stream ended inside a frame, after ${left} bytes of it`);
  }

  /** The frame that a chunk boundary cuts. */
  #nextCut(): Buffer | undefined {
    const missing = this.#length - this.#held.length;
    this.#cursor.moveTo(this.#held, Math.min(missing, this.#cursor.left), this.#length);
    if (this.#held.length < this.#length) return undefined;
    const frame = this.#held.take(0);
    return this.#copy && frame.buffer.byteLength > frame.length ? ownedCopy(frame, 0, frame.length) : frame;
  }
}
