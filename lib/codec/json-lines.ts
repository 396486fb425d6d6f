import { constants } from 'node:buffer';
import { given, integer, oneOf } from '../check.js';
import { FrameError } from '../errors.js';
import type { Codec, Decoder } from './codec.js';
import { nestsDeeper } from './json-depth.js';
import { faultIn } from './json-fault.js';
import { lines } from './lines.js';
import { mapCodec } from './map-codec.js';

/** Options of `jsonLines()`. */
export interface JsonLinesConfig {
  /** The longest line in bytes, without its CR and LF; 1 up to Node's longest string. @default 1_048_576 */
  readonly maxFrameLength?: number;
  /** How deep arrays and objects may nest: `[[]]` is 2 deep, a number 0; 1 to 1,000. @default 64 */
  readonly maxDepth?: number;
  /** Whether a longer line ends the connection, or is skipped up to its LF and reported. @default 'error' */
  readonly onTooLarge?: 'error' | 'discard';
}

/**
 * One JSON value per line: LF or CRLF ends a line on the way in, LF on the way out.
 *
 * ```
 * in    { " a " : 1 } \n   \r\n   null \n      →  { a: 1 }  null      a blank line is no frame: many peers send it as a sign of life
 * out   { a: 1 }                               →  { " a " : 1 } \n
 * ```
 *
 * The values are what `JSON.parse` makes and nobody has checked: `In` is a promise of yours, not of the peer's. `__proto__`
 * and `constructor` are keys like any other, the last of two equal keys wins, and an escaped lone surrogate is data. They share no memory with what was read.
 *
 * Decoding raises a `FrameError` of kind `decode` for a line that is no JSON, with the offset in characters and never the text; for one
 * that nests deeper than `maxDepth`, which is found out before it is parsed; and for malformed UTF-8. A BOM is no JSON. All three end the
 * stream, for a peer that breaks the format once is not to be trusted. Of kind `too-large` as soon as a line is certainly longer than
 * `maxFrameLength`, after the values before it; with `onTooLarge: 'discard'` that line is lost, reported once, and decoding goes on
 * after its LF. `truncated` if the stream ends inside a line, even a whole value: 12 may have been 123.
 *
 * Encoding writes what `JSON.stringify` makes, called once: `toJSON` counts, NaN becomes null. `FrameError` of kind `encode`: what JSON
 * cannot say (`undefined`, a function, a symbol, a BigInt, a circle), what a `toJSON` throws, and deeper than `maxDepth`. Of kind `too-large`: longer than `maxFrameLength`.
 *
 * @example
 * import { jsonLines } from 'rx-tcp';
 * const codec = jsonLines<{ id: number }>({ maxDepth: 8 });
 * console.log(String(codec.encode({ id: 1 })).trim()); // {"id":1}
 * const decoder = codec.decoder((skipped) => console.warn(skipped.message));
 * decoder.push(Buffer.from('{"id":2}\n{"id"'));
 * console.log(decoder.next()?.id, decoder.next()); // 2 undefined
 * decoder.push(Buffer.from(':3}\r\n'));
 * console.log(decoder.next()?.id); // 3
 */
export function jsonLines<In = unknown, Out = unknown>(config: JsonLinesConfig = {}): Codec<In, Out> {
  const { text, maxDepth } = resolve(config);
  const messages = mapCodec(text, { decode: String, encode: (message: Out) => stringify(message, maxDepth) });
  // the lines go to a decoder of our own: a mapping cannot skip the blank ones
  return { ...messages, decoder: (report) => new JsonDecoder<In>(text.decoder(report), maxDepth) };
}

interface JsonRules {
  /** Lines of text, which hold the values. JSON.parse copies what it keeps of a text, so no value pins that of its chunk. */
  readonly text: Codec<string, string>;
  readonly maxDepth: number;
}

function resolve(config: JsonLinesConfig): JsonRules {
  const options = given('jsonLines', config, ['maxFrameLength', 'maxDepth', 'onTooLarge']);
  const maxFrameLength = integer('maxFrameLength', options.maxFrameLength, 1024 * 1024, 1, constants.MAX_STRING_LENGTH);
  const onTooLarge = oneOf('onTooLarge', options.onTooLarge, 'error', ['error', 'discard']);
  return {
    text: lines({ fatal: true, copy: false, maxFrameLength, onTooLarge }),
    maxDepth: integer('maxDepth', options.maxDepth, 64, 1, 1000),
  };
}

class JsonDecoder<In> implements Decoder<In> {
  readonly #maxDepth: number;
  /** Let go of, with all its bytes, once a line was no value. */
  #lines: Decoder<string> | undefined;

  constructor(lines: Decoder<string>, maxDepth: number) {
    this.#lines = lines;
    this.#maxDepth = maxDepth;
  }

  push(chunk: Buffer): void {
    this.#lines?.push(chunk);
  }

  next(): In | undefined {
    for (;;) {
      const line = this.#lines?.next();
      if (line === undefined) return undefined;
      if (!isBlank(line)) return this.#parse(line);
    }
  }

  end(): void {
    this.#lines?.end();
  }

  detach(): void {
    this.#lines?.detach?.();
  }

  #parse(line: string): In {
    try {
      if (!nestsDeeper(line, this.#maxDepth)) return JSON.parse(line) as In;
    } catch {
      // JSON.parse quotes the line in its error: that must reach no log
      throw this.#broken(`a line is no JSON from character ${faultIn(line)} of ${line.length} on`);
    }
    throw this.#broken(tooDeep(this.#maxDepth));
  }

  #broken(detail: string): FrameError {
    this.#lines = undefined;
    return new FrameError('decode', detail);
  }
}

/** Whether there is nothing in a line but what JSON takes for space. */
function isBlank(line: string): boolean {
  return line.charCodeAt(0) > 32 ? false : /^[ \t\r]*$/.test(line);
}

function stringify(message: unknown, maxDepth: number): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(message);
  } catch (cause) {
    throw new FrameError('encode', 'jsonLines() got a message that JSON.stringify cannot write', { cause });
  }
  if (text === undefined) throw new FrameError('encode', `jsonLines() got ${typeof message}, which JSON cannot say`);
  if (nestsDeeper(text, maxDepth)) throw new FrameError('encode', tooDeep(maxDepth));
  return text;
}

function tooDeep(maxDepth: number): string {
  return `a line nests deeper than ${maxDepth}`;
}
