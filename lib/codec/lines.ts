import { constants } from 'node:buffer';
import { flag, given, integer, oneOf } from '../check.js';
import { FrameError } from '../errors.js';
import type { Codec } from './codec.js';
import { encoder, type EncodeTarget } from './encode-into.js';
import { LineDecoder, type LineRules } from './line-decoder.js';
import { textEncoding } from './text-encoding.js';

const LF = 10;
const CR = 13;

/** Options of `lines()`. */
export interface LinesConfig {
  /** How text is written as bytes. In `'ascii'` a byte above 0x7f reads as U+FFFD. @default 'utf8' */
  readonly encoding?: 'utf8' | 'latin1' | 'ascii';
  /** Whether malformed bytes are an error instead of U+FFFD; every byte is well-formed `'latin1'`. @default false */
  readonly fatal?: boolean;
  /** The longest line in bytes as encoded, without its CR and LF; 1 up to Node's longest string. @default 1_048_576 */
  readonly maxFrameLength?: number;
  /** Whether a longer line ends the connection, or is skipped up to its LF and reported. @default 'error' */
  readonly onTooLarge?: 'error' | 'discard';
  /** Whether a line that is kept keeps at most 1 KiB of its neighbours alive. `false` decodes faster, and it may keep the text of its chunk, 64 KiB. @default true */
  readonly copy?: boolean;
}

/**
 * One string per line: LF or CRLF ends a line on the way in, LF on the way out.
 *
 * ```
 * in    h i \r \n   \n a \r b \n      →  'hi'  ''  'a\rb'     only the one CR right before the LF is the delimiter's
 * out   'hi'                          →  h i \n
 * ```
 *
 * An empty line is a frame, and a BOM is kept. Only whole lines are decoded, so no chunk boundary breaks a character. Short
 * lines are decoded 1 KiB at a time, with `copy: false` all of a chunk in one go, and handed out as slices of that text; the lines are the same.
 *
 * Decoding raises a `FrameError` of kind `too-large` as soon as a line is certainly longer than `maxFrameLength`, after the
 * lines before it; with `onTooLarge: 'discard'` that line is lost, reported once, and decoding goes on after its LF. Further
 * `decode` with `fatal`, and `truncated` if the stream ends inside a line; a line that is being discarded was reported already.
 *
 * Encoding refuses what the decoder could not read back. `FrameError` of kind `encode`: not a string, an LF inside, a CR at
 * the end, a character that the encoding lacks, a lone surrogate. Of kind `too-large`: longer than `maxFrameLength`.
 *
 * @example
 * import { lines } from 'rx-tcp';
 * const codec = lines({ maxFrameLength: 80 });
 * console.log(codec.encode('hi')); // <Buffer 68 69 0a>
 * const decoder = codec.decoder((skipped) => console.warn(skipped.message));
 * decoder.push(Buffer.from('one\r\ntw'));
 * console.log(decoder.next(), decoder.next()); // one undefined
 * decoder.push(Buffer.from('o\n'));
 * console.log(decoder.next()); // two
 * decoder.end(); // would throw inside a line
 */
export function lines(config: LinesConfig = {}): Codec<string, string> {
  const rules = resolve(config);
  return {
    decoder: (report) => new LineDecoder(rules, report),
    encode: encoder((line, target) => writeLine(rules, line, target)),
  };
}

function resolve(config: LinesConfig): LineRules {
  const options = given('lines', config, ['encoding', 'fatal', 'maxFrameLength', 'onTooLarge', 'copy']);
  const encoding = oneOf('encoding', options.encoding, 'utf8', ['utf8', 'latin1', 'ascii']);
  return {
    text: textEncoding(encoding, flag('fatal', options.fatal, false)),
    max: integer('maxFrameLength', options.maxFrameLength, 1024 * 1024, 1, constants.MAX_STRING_LENGTH),
    discard: oneOf('onTooLarge', options.onTooLarge, 'error', ['error', 'discard']) === 'discard',
    copy: flag('copy', options.copy, true),
  };
}

function writeLine({ text, max }: LineRules, line: unknown, target: EncodeTarget): number {
  if (typeof line !== 'string') throw new FrameError('encode', 'lines() takes a string');
  if (line.includes('\n')) throw new FrameError('encode', 'a line has a line feed inside');
  if (line.charCodeAt(line.length - 1) === CR)
    throw new FrameError('encode', 'a line ends with a carriage return, as of a CRLF');
  if (line.length > max) throw tooLong(max); // a character is at least one byte: spares to encode the hopeless
  const at = target.reserve(text.room(line) + 1);
  const { bytes } = target;
  const end = text.write(line, bytes, at);
  if (end < 0) throw new FrameError('encode', 'a line has a character that its encoding lacks');
  if (end - at > max) throw tooLong(max);
  bytes[end] = LF;
  return end + 1;
}

function tooLong(max: number): FrameError {
  return new FrameError('too-large', `a line is longer than ${max} bytes`);
}
