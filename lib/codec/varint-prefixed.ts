import { flag, given, integer } from '../check.js';
import { FrameError } from '../errors.js';
import type { Bytes, Codec } from './codec.js';
import { type Prefix, UNFINISHED, UNSOUND } from './prefix.js';
import { PrefixedDecoder } from './prefixed-decoder.js';
import { prefixedEncoder } from './prefixed-encoder.js';

/** Options of `varintPrefixed()`. */
export interface VarintPrefixedConfig {
  /** The longest body in bytes, without its length; 1 to 2,147,483,647. @default 1_048_576 */
  readonly maxFrameLength?: number;
  /** Whether each frame has memory of its own. `false` decodes faster, and a frame that is kept may pin its whole chunk. @default false */
  readonly copy?: boolean;
}

/**
 * Frames that begin with their length as a varint, as protobuf's delimited messages do.
 *
 * ```
 *           1 0101100  0 0000010                       7 bits a byte, the lowest first; 1 in front: one more follows
 *             └──── 0000010 0101100 = 300
 * bytes   [ ac 02 | 300 bytes | 00 | 02 | 68 69 ]      an empty frame is a frame
 * ```
 *
 * A frame that lies within one chunk is handed out as a part of that chunk and not copied: a small frame that you keep pins
 * its whole chunk, 64 KiB. With `copy: true` each frame has memory of exactly its size instead. Nothing is allocated for a length
 * that was merely announced.
 *
 * Decoding raises a `FrameError` at the length, after the frames before it: `too-large` above `maxFrameLength`, `corrupt` for more
 * than 5 bytes or 32 bits, and for a length in more bytes than it needs (`80 00`); and `truncated` if the stream ends inside a frame.
 *
 * Encoding copies the message once, behind its length. `FrameError` of kind `too-large`: above `maxFrameLength`. Of kind `encode`:
 * neither bytes nor a string, or a lone surrogate.
 *
 * @example
 * import { varintPrefixed } from 'rx-tcp';
 * const codec = varintPrefixed();
 * console.log(codec.encode('hi')); // <Buffer 02 68 69>
 * const decoder = codec.decoder(() => undefined);
 * decoder.push(Buffer.from([2, 0x68]));
 * console.log(decoder.next()); // undefined
 * decoder.push(Buffer.from([0x69]));
 * console.log(String(decoder.next())); // hi
 */
export function varintPrefixed(config: VarintPrefixedConfig = {}): Codec<Buffer, Bytes> {
  const options = given('varintPrefixed', config, ['maxFrameLength', 'copy']);
  const prefix = varint(integer('maxFrameLength', options.maxFrameLength, 1024 * 1024, 1, 2 ** 31 - 1));
  const handOut = { strip: true, copy: flag('copy', options.copy, false) };
  return { decoder: () => new PrefixedDecoder(prefix, handOut), encode: prefixedEncoder(prefix) };
}

/** Each byte but the last has this bit; the others are a digit to the base 128. */
const MORE = 0x80;
/** As many bytes as 32 bits need. */
const LONGEST = 5;

function varint(max: number): Prefix {
  return {
    what: 'varintPrefixed()',
    most: max,
    least: 1,
    width: (body) => (body < 2 ** 7 ? 1 : body < 2 ** 14 ? 2 : body < 2 ** 21 ? 3 : body < 2 ** 28 ? 4 : 5),
    read: (bytes, at, end) => {
      if (at >= end) return UNFINISHED;
      const first = bytes[at] ?? 0;
      const body = first < MORE ? first : readOn(bytes, at, end);
      return body <= max ? body : UNSOUND;
    },
    fault: (bytes, at, end) => {
      const body = readOn(bytes, at, end);
      return body > max
        ? new FrameError('too-large', `the announced length ${body} is above ${max}`)
        : new FrameError('corrupt', 'a length has more bytes than it needs, or more than 32 bits');
    },
    write: (bytes, at, body) => {
      let rest = body;
      let to = at;
      for (; rest >= MORE; rest >>>= 7) bytes[to++] = rest | MORE;
      bytes[to] = rest;
    },
  };
}

/** A length of any number of bytes, whatever the limit. */
function readOn(bytes: Buffer, at: number, end: number): number {
  let length = 0;
  const most = Math.min(LONGEST, end - at);
  for (let i = 0, unit = 1; i < most; i++, unit *= MORE) {
    const byte = bytes[at + i] ?? 0;
    length += (byte % MORE) * unit;
    if (byte >= MORE) continue;
    return (byte === 0 && i > 0) || length >= 2 ** 32 ? UNSOUND : length;
  }
  return most < LONGEST ? UNFINISHED : UNSOUND;
}
