import { flag, given, integer, oneOf, refused } from '../check.js';
import { FrameError, type FrameErrorKind } from '../errors.js';
import { Accumulator } from './accumulator.js';
import { ChunkCursor } from './chunk-cursor.js';
import type { Bytes, Codec, Decoder } from './codec.js';
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
 * its whole chunk, 64 KiB; keep `Buffer.from(frame)` instead. Nothing is allocated for a length that was merely announced.
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
  return { decoder: () => new LengthPrefixedDecoder(layout), encode: (message) => encodeFrame(layout, message) };
}

interface Layout {
  readonly offset: number;
  readonly width: number;
  readonly header: number;
  readonly adjustment: number;
  readonly little: boolean;
  readonly strip: boolean;
  readonly max: number;
}

const LARGEST = 2 ** 31 - 1;
const NAMES = ['lengthFieldOffset', 'lengthFieldLength', 'lengthAdjustment', 'byteOrder', 'strip', 'maxFrameLength'];

function resolve(config: LengthPrefixedConfig): Layout {
  const options = given('lengthPrefixed', config, NAMES);
  const offset = integer('lengthFieldOffset', options.lengthFieldOffset, 0, 0, 65_535);
  const width = integer('lengthFieldLength', options.lengthFieldLength, 4, 1, 8);
  const strip = flag('strip', options.strip, true);
  if (offset > 0 && strip) throw refused('lengthFieldOffset', '0 unless `strip` is false', offset);
  return {
    offset,
    width,
    header: offset + width,
    adjustment: integer('lengthAdjustment', options.lengthAdjustment, 0, -LARGEST, LARGEST),
    little: oneOf('byteOrder', options.byteOrder, 'big', ['big', 'little']) === 'little',
    strip,
    max: integer('maxFrameLength', options.maxFrameLength, 1024 * 1024, 1, LARGEST),
  };
}

/** The unsigned number at `at`: exact up to 2^53 - 1, and above it never rounded below 2^53, hence always too large. */
function readField({ width, little }: Layout, bytes: Buffer, at: number): number {
  let field = 0;
  for (let i = 0; i < width; i++) field = field * 256 + (bytes[little ? at + width - 1 - i : at + i] ?? 0);
  return field;
}

function writeField({ offset, width, little }: Layout, frame: Buffer, field: number): void {
  let rest = field;
  for (let i = width - 1; i >= 0; i--) {
    frame[offset + (little ? width - 1 - i : i)] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

function encodeFrame(layout: Layout, message: unknown): Buffer {
  const { width, header, adjustment, strip, max } = layout;
  const bytes = toBytes(message, 'lengthPrefixed()');
  const body = strip ? bytes.length : bytes.length - header;
  if (body < 0) throw new FrameError('encode', `a frame is shorter than its header of ${header} bytes`);
  if (body > max) throw new FrameError('too-large', `a body of ${body} bytes is above ${max}`);
  const field = body - adjustment;
  if (field < 0) throw new FrameError('encode', `a body of ${body} bytes is shorter than \`lengthAdjustment\``);
  if (field >= 256 ** width) throw new FrameError('too-large', `${field} does not fit a field of ${width} bytes`);
  const frame = Buffer.allocUnsafe(header + body);
  frame.set(bytes, strip ? header : 0);
  writeField(layout, frame, field);
  return frame;
}

class LengthPrefixedDecoder implements Decoder<Buffer> {
  readonly #layout: Layout;
  readonly #cursor = new ChunkCursor();
  /** The beginning of a frame that is cut over chunks, from its header on. */
  readonly #held = new Accumulator();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  push(chunk: Buffer): void {
    this.#cursor.push(chunk);
  }

  next(): Buffer | undefined {
    const { header, strip } = this.#layout;
    const { bytes, at, left } = this.#cursor;
    if (this.#held.length > 0 || left < header) return this.#nextCut();
    const end = at + header + this.#bodyLength(bytes, at);
    if (end > bytes.length) return this.#nextCut();
    this.#cursor.at = end;
    return bytes.subarray(strip ? at + header : at, end);
  }

  end(): void {
    const left = this.#held.length + this.#cursor.left;
    if (left > 0) throw new FrameError('truncated', `the stream ended inside a frame, after ${left} bytes of it`);
  }

  /** The frame that a chunk boundary cuts: first its header is completed, then, if that is in order, its body. */
  #nextCut(): Buffer | undefined {
    const { header, strip } = this.#layout;
    if (!this.#hold(header)) return undefined;
    const length = header + this.#bodyLength(this.#held.bytes, 0);
    return this.#hold(length) ? this.#held.take(strip ? header : 0) : undefined;
  }

  /** Moves bytes of the chunk to those held until there are `length`; tells whether there are. */
  #hold(length: number): boolean {
    const missing = length - this.#held.length;
    if (missing > 0) this.#cursor.moveTo(this.#held, Math.min(missing, this.#cursor.left), length);
    return this.#held.length >= length;
  }

  /** What the header at `at` announces, once it is known to be sound. */
  #bodyLength(bytes: Buffer, at: number): number {
    const { offset, adjustment, max } = this.#layout;
    const field = readField(this.#layout, bytes, at + offset);
    const body = field + adjustment;
    if (body < 0) throw this.#broken('corrupt', `the announced length of the body is ${body}`);
    if (body > max) throw this.#broken('too-large', `the announced length ${body} is above ${max}`);
    return body;
  }

  /** Nothing can be read behind a frame of unknown length. */
  #broken(kind: FrameErrorKind, detail: string): FrameError {
    this.#held.clear();
    this.#cursor.close();
    return new FrameError(kind, detail);
  }
}
