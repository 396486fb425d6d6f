import { flag, given, integer, oneOf, refused } from '../check.js';
import { FrameError } from '../errors.js';
import { Accumulator } from './accumulator.js';
import { ChunkCursor } from './chunk-cursor.js';
import type { Bytes, Codec, Decoder } from './codec.js';
import {
  type Delimiter,
  delimiterOf,
  DelimiterSearch,
  indexOfDelimiter,
  LONGEST_DELIMITER,
} from './delimiter-search.js';
import { encoder, type EncodeTarget } from './encode-into.js';
import { ownedCopy } from './owned-copy.js';
import { toBytes } from './to-bytes.js';

/** Options of `delimited()`. */
export interface DelimitedConfig {
  /** What ends a frame: 1 to 250 bytes, or a string of as many in UTF-8. It is copied. */
  readonly delimiter: Bytes;
  /** The longest frame in bytes, without its delimiter; 1 to 2,147,483,647. @default 1_048_576 */
  readonly maxFrameLength?: number;
  /** Whether a longer frame ends the connection, or is skipped up to its delimiter and reported. @default 'error' */
  readonly onTooLarge?: 'error' | 'discard';
  /** Whether each frame has memory of its own. `false` is faster, and a frame that is kept may pin its chunk. @default false */
  readonly copy?: boolean;
}

/**
 * Frames that end with a delimiter, which is any sequence of bytes.
 *
 * ```
 * delimiter  a a b
 * bytes      h i a a b a a b a a a b a     →  'hi'  ''  'a'     the last `a` may begin a delimiter: more bytes are needed
 *                └───┘ └───┘   └───┘
 * ```
 *
 * The delimiter that begins first ends the frame, and the next frame begins right behind it; how chunks cut it does not matter.
 * A frame is what stands before it, and may be empty. Each byte is searched with `Buffer.indexOf`: far below 1 ns where the bytes look little
 * like the delimiter, up to 8 ns where a peer makes them look much like it (Node 20). That holds for delimiters of up to 250 bytes, hence the limit.
 *
 * A frame that lies within one chunk is handed out as a part of that chunk and not copied: a small frame that you keep pins
 * its whole chunk, 64 KiB. With `copy: true` each frame has memory of exactly its size.
 *
 * Decoding raises a `FrameError` of kind `too-large` as soon as a frame is certainly longer than `maxFrameLength`, after the
 * frames before it; with `onTooLarge: 'discard'` that frame is lost, reported once, and decoding goes on behind its delimiter. Of kind
 * `truncated` if the stream ends inside a frame or a delimiter; a frame that is being discarded was reported already.
 *
 * Encoding copies the message once, before its delimiter, and refuses what the decoder could not read back. `FrameError` of kind `encode`:
 * neither bytes nor a string, a delimiter inside, or an end with which it would begin too early: `a` before `aa` reads as an empty frame and an `a`.
 * Of kind `too-large`: longer than `maxFrameLength`.
 *
 * @example
 * import { delimited } from 'rx-tcp';
 * const codec = delimited({ delimiter: '\r\n.\r\n', maxFrameLength: 4096 });
 * console.log(codec.encode('hi').length); // 7
 * const decoder = codec.decoder((skipped) => console.warn(skipped.message));
 * decoder.push(Buffer.from('one\r\n.\r'));
 * console.log(decoder.next()); // undefined
 * decoder.push(Buffer.from('\ntw'));
 * console.log(String(decoder.next()), decoder.next()); // one undefined
 */
export function delimited(config: DelimitedConfig): Codec<Buffer, Bytes> {
  const rules = resolve(config);
  return {
    decoder: (report) => new DelimitedDecoder(rules, report),
    encode: encoder((message, target) => encodeInto(rules, message, target)),
  };
}

interface DelimitedRules {
  readonly delimiter: Delimiter;
  readonly max: number;
  readonly discard: boolean;
  readonly copy: boolean;
}

function resolve(config: DelimitedConfig): DelimitedRules {
  const options = given('delimited', config, ['delimiter', 'maxFrameLength', 'onTooLarge', 'copy']);
  return {
    delimiter: delimiterOf(delimiterBytes(options.delimiter)),
    max: integer('maxFrameLength', options.maxFrameLength, 1024 * 1024, 1, 2 ** 31 - 1),
    discard: oneOf('onTooLarge', options.onTooLarge, 'error', ['error', 'discard']) === 'discard',
    copy: flag('copy', options.copy, false),
  };
}

function delimiterBytes(value: unknown): Buffer {
  let bytes: Buffer;
  try {
    bytes = toBytes(value, 'delimited()');
  } catch {
    throw refused('delimiter', 'bytes or a well-formed string', value);
  }
  const { length } = bytes;
  if (length > 0 && length <= LONGEST_DELIMITER) return ownedCopy(bytes, 0, length);
  throw refused('delimiter', `1 to ${LONGEST_DELIMITER} bytes long`, length);
}

function encodeInto({ delimiter, max }: DelimitedRules, message: unknown, target: EncodeTarget): number {
  if (typeof message === 'string' && message.length > max) throw tooLong(max); // a character is at least one byte
  const body = toBytes(message, 'delimited()');
  if (body.length > max) throw tooLong(max);
  const at = target.reserve(body.length + delimiter.bytes.length);
  const end = at + body.length;
  const { bytes } = target;
  bytes.set(body, at);
  bytes.set(delimiter.bytes, end);
  // The one just written is found at the latest, and at all costs the first.
  if (indexOfDelimiter(delimiter, bytes, at) === end) return end + delimiter.bytes.length;
  throw new FrameError('encode', 'a frame has a delimiter inside, or one that begins at its end');
}

class DelimitedDecoder implements Decoder<Buffer> {
  /** Present if no frame shares memory with a chunk. */
  readonly detach?: () => void;
  readonly #rules: DelimitedRules;
  readonly #report: (skipped: FrameError) => void;
  readonly #cursor = new ChunkCursor();
  readonly #search: DelimiterSearch;
  /** The beginning of a frame whose delimiter has not come, or not whole: never searched again. */
  readonly #held = new Accumulator();
  /** Inside a frame that was reported as too long. */
  #skipping = false;

  constructor(rules: DelimitedRules, report: (skipped: FrameError) => void) {
    this.#rules = rules;
    this.#report = report;
    this.#search = new DelimiterSearch(rules.delimiter);
    if (rules.copy) {
      this.detach = () => {
        this.#cursor.detach();
      };
    }
  }

  push(chunk: Buffer): void {
    this.#cursor.push(chunk);
  }

  next(): Buffer | undefined {
    const { delimiter, max } = this.#rules;
    for (;;) {
      const { bytes, at } = this.#cursor;
      const end = this.#search.endOf(bytes, at);
      if (end === -1) {
        this.#holdRest();
        return undefined;
      }
      this.#cursor.at = end;
      const length = this.#held.length + end - at - delimiter.bytes.length;
      if (this.#skipping) this.#skipping = false;
      else if (length > max) this.#tooLarge();
      else return this.#frame(bytes, at, length);
    }
  }

  end(): void {
    const left = this.#held.length + this.#cursor.left;
    if (left > 0) throw new FrameError('truncated', `the stream ended inside a frame, after ${left} bytes of it`);
  }

  /** The frame of `length` bytes, with those that are held, whose others begin at `at`. */
  #frame(bytes: Buffer, at: number, length: number): Buffer {
    const { copy, max } = this.#rules;
    if (this.#held.length === 0) return copy ? ownedCopy(bytes, at, at + length) : bytes.subarray(at, at + length);
    const missing = length - this.#held.length; // below 0 if the delimiter began among those held
    if (missing > 0) this.#held.append(bytes, at, at + missing, max);
    const frame = this.#held.take(0).subarray(0, length);
    return copy && frame.buffer.byteLength > length ? ownedCopy(frame, 0, length) : frame;
  }

  /** No delimiter ends in the chunk. */
  #holdRest(): void {
    const { left } = this.#cursor;
    const { delimiter, max } = this.#rules;
    const sure = this.#held.length + left - this.#search.matched; // bytes that may be the delimiter's are not counted yet
    if (!this.#skipping && sure <= max) {
      this.#cursor.moveTo(this.#held, left, max + delimiter.bytes.length - 1);
      return;
    }
    this.#cursor.clear();
    if (this.#skipping) return;
    this.#skipping = true;
    this.#tooLarge();
  }

  /** The frame is out of the way already: only the report, or the end, is left to do. */
  #tooLarge(): void {
    const { max, discard } = this.#rules;
    this.#held.clear();
    if (!discard) this.#cursor.close();
    const error = tooLong(max);
    if (!discard) throw error;
    this.#report(error);
  }
}

function tooLong(max: number): FrameError {
  return new FrameError('too-large', `a frame is longer than ${max} bytes`);
}
