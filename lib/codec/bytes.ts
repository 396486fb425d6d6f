import { flag, given } from '../check.js';
import type { Bytes, Codec, Decoder } from './codec.js';
import { encoder } from './encode-into.js';
import { ownedCopy } from './owned-copy.js';
import { toBytes } from './to-bytes.js';
import { roomForText, writeText } from './write-text.js';

/** Options of `bytes()`. */
export interface BytesConfig {
  /** Whether a chunk is only lent: good until your `next` returns, when its memory is read into again. @default false */
  readonly lend?: boolean;
}

/**
 * No framing at all: what the socket read is what you get, and what you send is what it writes.
 *
 * A frame is a chunk as it was read, by reference and never empty; its boundaries mean nothing, since TCP joins and cuts
 * as it likes. Outgoing Buffers and Uint8Arrays are not copied, so do not change them until they have their outcome; only
 * SharedArrayBuffer and resizable memory is. Strings are written as UTF-8. Anything else, and a string with a lone
 * surrogate, is a `FrameError` of kind `encode`. Nothing is ever truncated, as no frame is longer than its chunk.
 *
 * `lend: true` is for those who are done with a chunk when they return, having hashed, counted or searched it: a chunk costs no
 * memory then. Whoever keeps one finds other bytes in it. So do not use it with `for await`, `pacedMap`, `toDuplex` or an operator that
 * holds values back, and write only copies of its chunks.
 *
 * @example
 * import { bytes } from 'rx-tcp';
 * const decoder = bytes().decoder(() => undefined);
 * decoder.push(Buffer.from([1, 2, 3]));
 * console.log(decoder.next(), decoder.next()); // <Buffer 01 02 03> undefined
 * console.log(bytes().encode('€')); // <Buffer e2 82 ac>
 */
export function bytes(config: BytesConfig = {}): Codec<Buffer, Bytes> {
  const lends = flag('lend', given('bytes', config, ['lend']).lend, false);
  return { decoder: () => new BytesDecoder(lends), encode };
}

const encode = encoder<Bytes>((message, target) => {
  if (typeof message !== 'string') return target.refer(toBytes(message, 'bytes()'));
  const at = target.reserve(roomForText(message));
  return writeText(message, target.bytes, at, 'bytes()');
});

// #chunks:  [ . . . | c d e ]    given out | waiting; a driver that drains after each push never has more than one
//                     ^#head
class BytesDecoder implements Decoder<Buffer> {
  readonly #chunks: (Buffer | undefined)[] = [];
  #head = 0;
  /** There if chunks need not be ours to keep: those that were not given out are copied. */
  readonly detach: (() => void) | undefined;

  constructor(lends: boolean) {
    if (lends) this.detach = () => this.#own();
  }

  push(chunk: Buffer): void {
    if (chunk.length > 0) this.#chunks.push(chunk);
  }

  next(): Buffer | undefined {
    const chunk = this.#chunks[this.#head];
    if (chunk === undefined) {
      this.#chunks.length = 0;
      this.#head = 0;
    } else {
      this.#chunks[this.#head++] = undefined; // a frame that was given out is not ours to keep alive
    }
    return chunk;
  }

  end(): void {
    // every chunk is whole
  }

  #own(): void {
    for (let i = this.#head; i < this.#chunks.length; i++) {
      const chunk = this.#chunks[i];
      this.#chunks[i] = chunk && ownedCopy(chunk, 0, chunk.length);
    }
  }
}
