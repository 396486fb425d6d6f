import { flag, given, integer } from '../check.js';
import { FrameError } from '../errors.js';
import type { Bytes, Codec } from './codec.js';
import { type Prefix, UNFINISHED, UNSOUND } from './prefix.js';
import { PrefixedDecoder } from './prefixed-decoder.js';
import { prefixedEncoder } from './prefixed-encoder.js';

/** Options of `netstrings()`. */
export interface NetstringsConfig {
  /** The longest body in bytes, without its length and comma; 1 to 2,147,483,647. @default 1_048_576 */
  readonly maxFrameLength?: number;
  /** Whether each frame has memory of its own. `false` decodes faster, and a frame that is kept may pin its whole chunk. @default false */
  readonly copy?: boolean;
}

/**
 * Frames that begin with their length in decimal digits, so that a stream of them can be read with the bare eye.
 *
 * ```
 * bytes   5:hello,0:,2:hi,       →   'hello'  ''  'hi'       an empty frame is a frame
 * ```
 *
 * A frame is handed out once its comma has come. One that lies within one chunk is a part of that chunk and not copied: a small
 * frame that you keep pins its whole chunk, 64 KiB. With `copy: true` each frame has memory of exactly its size instead. Nothing is
 * allocated for a length that was merely announced.
 *
 * Decoding raises a `FrameError` after the frames before it: `too-large` at the first digit that puts the length above
 * `maxFrameLength`, `corrupt` for anything else than digits and a colon, for a zero in front of other digits, and for another byte than a
 * comma behind the body; and `truncated` if the stream ends inside a frame.
 *
 * Encoding copies the message once. `FrameError` of kind `too-large`: above `maxFrameLength`. Of kind `encode`: neither bytes nor a
 * string, or a lone surrogate.
 *
 * @example
 * import { netstrings } from 'rx-tcp';
 * const codec = netstrings();
 * console.log(String(codec.encode('hi'))); // 2:hi,
 * const decoder = codec.decoder(() => undefined);
 * decoder.push(Buffer.from('2:hi'));
 * console.log(decoder.next()); // undefined
 * decoder.push(Buffer.from(','));
 * console.log(String(decoder.next())); // hi
 */
export function netstrings(config: NetstringsConfig = {}): Codec<Buffer, Bytes> {
  const options = given('netstrings', config, ['maxFrameLength', 'copy']);
  const prefix = decimal(integer('maxFrameLength', options.maxFrameLength, 1024 * 1024, 1, 2 ** 31 - 1));
  const handOut = { strip: true, copy: flag('copy', options.copy, false) };
  return { decoder: () => new PrefixedDecoder(prefix, handOut), encode: prefixedEncoder(prefix) };
}

const ZERO = 48;
const COLON = 58;
const COMMA = 44;

function decimal(max: number): Prefix {
  return {
    what: 'netstrings()',
    most: max,
    least: 2,
    terminator: COMMA,
    width: (body) => digitsOf(body) + 1,
    read: (bytes, at, end) => {
      const body = readDecimal(bytes, at, end, max);
      return body <= max ? body : UNSOUND;
    },
    fault: (bytes, at, end) =>
      readDecimal(bytes, at, end, max) > max
        ? new FrameError('too-large', `an announced length is above ${max}`)
        : new FrameError('corrupt', 'a length is not made of digits without a zero in front, and a colon'),
    write: (bytes, at, body) => {
      let to = at + digitsOf(body);
      bytes[to] = COLON;
      let rest = body;
      while (to > at) {
        bytes[--to] = ZERO + (rest % 10);
        rest = Math.floor(rest / 10);
      }
    },
  };
}

/** Reads no further than to the digit that makes it too large. */
function readDecimal(bytes: Buffer, at: number, end: number, max: number): number {
  let length = 0;
  for (let i = at; i < end; i++) {
    const digit = (bytes[i] ?? 0) - ZERO;
    if (digit === COLON - ZERO && i > at) return length;
    if (digit < 0 || digit > 9 || (length === 0 && i > at)) return UNSOUND;
    length = 10 * length + digit;
    if (length > max) return length;
  }
  return UNFINISHED;
}

function digitsOf(length: number): number {
  let digits = 1;
  for (let power = 10; power <= length; power *= 10) digits++;
  return digits;
}
