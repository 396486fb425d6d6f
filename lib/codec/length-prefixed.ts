import { flag, given, integer, oneOf, refused } from '../check.js';
import { FrameError } from '../errors.js';
import type { Bytes, Codec } from './codec.js';
import { encoder, type EncodeTarget } from './encode-into.js';
import { fieldReader, fieldWriter } from './length-field.js';
import { type Prefix, UNFINISHED, UNSOUND } from './prefix.js';
import { type HandOut, PrefixedDecoder } from './prefixed-decoder.js';
import { prefixedEncoder } from './prefixed-encoder.js';
import { toBytes } from './to-bytes.js';

/** Options of `lengthPrefixed()`. */
export interface LengthPrefixedConfig {
  /** Bytes of the header before the length field; above 0 it needs `strip: false`. 0 to 65,535. @default 0 */
  readonly lengthFieldOffset?: number;
  /** Width of the length field in bytes, 1 to 8; the field is unsigned. @default 4 */
  readonly lengthFieldLength?: number;
  /** Bytes to add to the field to get the length of the body; -4 if a field of 4 bytes counts itself. @default 0 */
  readonly lengthAdjustment?: number;
  /** Which end of the length field comes first. @default 'big' */
  readonly byteOrder?: 'big' | 'little';
  /** Whether a message is the body alone, or the frame with its header. @default true */
  readonly strip?: boolean;
  /** The longest body in bytes, without the header; 1 to 2,147,483,647. @default 1_048_576 */
  readonly maxFrameLength?: number;
  /** Whether each frame has memory of its own. `false` decodes faster, and a frame that is kept may pin its whole chunk. @default false */
  readonly copy?: boolean;
}

/**
 * Frames that begin with their length.
 *
 * ```
 *            lengthFieldOffset  lengthFieldLength      body length = field + lengthAdjustment
 *           ├─────────────────┼───────────────────┼──────────────────────┤
 * bytes     │  (strip: false) │      00 00 00 02  │      68 69           │
 *           ├────────────── header ───────────────┼──────── body ────────┤
 * message                          strip: true →  [        hi            ]
 *           [                      strip: false →                        ]
 * ```
 *
 * A frame that lies within one chunk is handed out as a part of that chunk and not copied: a small frame that you keep pins
 * its whole chunk, 64 KiB. With `copy: true` each frame has memory of exactly its size instead. Nothing is allocated for a length
 * that was merely announced.
 *
 * Decoding raises a `FrameError` at the header, after the frames before it: `too-large` for a body above `maxFrameLength` or a
 * field above 2^53 - 1, `corrupt` for a body below 0; and `truncated` if the stream ends inside a frame.
 *
 * Encoding copies the message once, behind its header; with `strip: false` it takes the whole frame and writes the length
 * into a copy, whatever its length field held. `FrameError` of kind `too-large`: above `maxFrameLength`, or more than the field can say.
 * Of kind `encode`: neither bytes nor a string, shorter than its header, or a length minus `lengthAdjustment` below 0.
 *
 * @example
 * import { lengthPrefixed } from 'rx-tcp';
 * const codec = lengthPrefixed({ lengthFieldLength: 2 });
 * console.log(codec.encode('hi')); // <Buffer 00 02 68 69>
 * const decoder = codec.decoder(() => undefined);
 * decoder.push(Buffer.from([0, 2, 0x68]));
 * console.log(decoder.next()); // undefined
 * decoder.push(Buffer.from([0x69]));
 * console.log(String(decoder.next())); // hi
 */
export function lengthPrefixed(config: LengthPrefixedConfig = {}): Codec<Buffer, Bytes> {
  const layout = resolve(config);
  const prefix = prefixOf(layout);
  return {
    decoder: () => new PrefixedDecoder(prefix, layout),
    encode: layout.strip
      ? prefixedEncoder(prefix)
      : encoder((frame, target) => writeWhole(layout, prefix, frame, target)),
  };
}

interface Layout extends HandOut {
  readonly offset: number;
  readonly width: number;
  readonly header: number;
  readonly adjustment: number;
  readonly little: boolean;
  readonly max: number;
}

const LARGEST = 2 ** 31 - 1;
const NAMES = [
  ...['lengthFieldOffset', 'lengthFieldLength', 'lengthAdjustment', 'byteOrder', 'strip', 'maxFrameLength', 'copy'],
];

function resolve(config: LengthPrefixedConfig): Layout {
  const options = given('lengthPrefixed', config, NAMES);
  const offset = integer('lengthFieldOffset', options.lengthFieldOffset, 0, 0, 65_535);
  const width = integer('lengthFieldLength', options.lengthFieldLength, 4, 1, 8);
  const strip = flag('strip', options.strip, true);
  if (offset > 0 && strip) throw refused('lengthFieldOffset', '0 unless `strip` is false', offset);
  const max = integer('maxFrameLength', options.maxFrameLength, 1024 * 1024, 1, LARGEST);
  const adjustment = integer('lengthAdjustment', options.lengthAdjustment, 0, -LARGEST, LARGEST);
  const least = 1 - 256 ** width;
  if (adjustment > max || adjustment < least) {
    const room = `from ${String(Math.max(least, -LARGEST))} to ${String(max)}`;
    throw refused('lengthAdjustment', `${room}, for a field of ${width} bytes and that \`maxFrameLength\``, adjustment);
  }
  return {
    offset,
    width,
    header: offset + width,
    adjustment,
    little: oneOf('byteOrder', options.byteOrder, 'big', ['big', 'little']) === 'little',
    strip,
    max,
    copy: flag('copy', options.copy, false),
  };
}

function prefixOf({ offset, width, header, adjustment, little, max }: Layout): Prefix {
  const field = fieldReader(width, little);
  const writeField = fieldWriter(width, little);
  return {
    what: 'lengthPrefixed()',
    most: Math.min(max, 256 ** width - 1 + adjustment),
    least: header,
    width: () => header,
    read: (bytes, at, end) => {
      if (end - at < header) return UNFINISHED;
      const body = field(bytes, at + offset) + adjustment;
      return body >= 0 && body <= max ? body : UNSOUND;
    },
    fault: (bytes, at) => {
      const body = field(bytes, at + offset) + adjustment;
      return body < 0
        ? new FrameError('corrupt', `the announced length of the body is ${body}`)
        : new FrameError('too-large', `the announced length ${body} is above ${max}`);
    },
    write: (bytes, at, body) => {
      if (body < adjustment)
        throw new FrameError('encode', `a body of ${body} bytes is shorter than \`lengthAdjustment\``);
      writeField(bytes, at + offset, body - adjustment);
    },
  };
}

/** The message is the frame with its header, into whose copy the length is written. */
function writeWhole({ header }: Layout, prefix: Prefix, message: unknown, target: EncodeTarget): number {
  const frame = toBytes(message, prefix.what);
  const body = frame.length - header;
  if (body < 0) throw new FrameError('encode', `a frame is shorter than its header of ${header} bytes`);
  if (body > prefix.most) throw new FrameError('too-large', `a body of ${body} bytes is above ${prefix.most}`);
  const at = target.reserve(frame.length);
  target.bytes.set(frame, at);
  prefix.write(target.bytes, at, body);
  return at + frame.length;
}
