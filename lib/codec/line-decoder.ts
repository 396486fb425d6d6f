import { FrameError } from '../errors.js';
import { Accumulator } from './accumulator.js';
import { ChunkCursor } from './chunk-cursor.js';
import type { Decoder } from './codec.js';
import type { TextEncoding } from './text-encoding.js';

/** The options of `lines()`, checked and complete. */
export interface LineRules {
  /** How bytes become text. */
  readonly text: TextEncoding;
  /** The longest line in bytes, without its CR and LF. */
  readonly max: number;
  /** Whether a longer one is skipped and reported instead of thrown. */
  readonly discard: boolean;
  /** Whether a line that is kept keeps no more than a few others alive. */
  readonly copy: boolean;
}

const LF = 10;
const CR = 13;

/** Bytes of short lines that are decoded together: enough to make the calls into Node cheap, little enough to be kept alive by one of them. */
const BLOCK = 1024;

/**
 * Cuts bytes into lines for `lines()`: short ones as a block of text of up to 1 KiB, long ones one by one. With `copy: false` all whole
 * lines of a chunk are one block.
 *
 * ```
 * held [ tw ]  chunk [ o\n | three\nfour\n | fi ]
 *        └─────────────┘      block           └──→ held, never more than `max` and a CR that may be the delimiter's
 * ```
 *
 * V8 cuts a text without copying it, so a line keeps the text of its block alive.
 *
 * Each byte is searched for an LF once, decoded once (twice if a block had to be given up), and copied only if its line is
 * cut. After an error it has let go of all bytes and takes no more.
 */
export class LineDecoder implements Decoder<string> {
  readonly #rules: LineRules;
  readonly #report: (skipped: FrameError) => void;
  readonly #cursor = new ChunkCursor();
  /** The beginning of a line whose LF has not come; it has none, so it is never scanned again. */
  readonly #held = new Accumulator();
  /** Whole lines, the last LF included, of which those before `#blockAt` are handed out. */
  #block = '';
  #blockAt = 0;
  /** Whether blocks may be tried in this chunk: until one of them fails, so that no byte is decoded over and over. */
  #inBlocks = false;
  /** Inside a line that was reported as too long. */
  #skipping = false;

  constructor(rules: LineRules, report: (skipped: FrameError) => void) {
    this.#rules = rules;
    this.#report = report;
  }

  push(chunk: Buffer): void {
    if (this.#cursor.left === 0) this.#inBlocks = true;
    this.#cursor.push(chunk);
  }

  next(): string | undefined {
    for (;;) {
      const line = this.#block === '' ? this.#lineOfChunk() : this.#lineOfBlock();
      if (line !== null) return line;
    }
  }

  end(): void {
    const left = this.#held.length + this.#cursor.left;
    if (left > 0) throw new FrameError('truncated', `the stream ended inside a line, after ${left} bytes of it`);
  }

  detach(): void {
    this.#cursor.detach(); // a text shares no memory with bytes
  }

  /** A line; `undefined` if more bytes are needed; `null` to go round again. */
  #lineOfChunk(): string | undefined | null {
    const { bytes, at } = this.#cursor;
    const lf = bytes.indexOf(LF, at);
    if (lf === -1) {
      this.#holdRest();
      return undefined;
    }
    if (this.#skipping) {
      this.#skipping = false;
      this.#cursor.at = lf + 1;
      return null;
    }
    if (this.#inBlocks && this.#held.length === 0 && this.#openBlock(lf)) return null;
    this.#cursor.at = lf + 1;
    const last = lf > at ? bytes[lf - 1] : this.#held.last;
    const length = this.#held.length + lf - at - (last === CR ? 1 : 0);
    return length > this.#rules.max ? this.#tooLarge() : this.#read(bytes, at, lf, length);
  }

  /** The line that ends at `lf`, of `length` bytes with those that are held. */
  #read(bytes: Buffer, at: number, lf: number, length: number): string {
    const { text, max } = this.#rules;
    let line: string | undefined;
    if (this.#held.length === 0) line = text.read(bytes, at, at + length);
    else {
      this.#held.append(bytes, at, lf, max + 1);
      line = text.read(this.#held.bytes, 0, length);
      this.#held.clear();
    }
    if (line !== undefined) return line;
    this.#cursor.close();
    throw new FrameError('decode', `a line of ${length} bytes is malformed in its encoding`);
  }

  /** Decodes whole lines together, the first of which ends at `lf`, unless that could hide which line is too long or malformed. */
  #openBlock(lf: number): boolean {
    const { text, max, copy } = this.#rules;
    const { bytes, at } = this.#cursor;
    const last = copy ? Math.min(at + BLOCK, bytes.length) : bytes.length;
    if (lf >= last) return false;
    const end = bytes.lastIndexOf(LF, last - 1) + 1;
    const block = text.read(bytes, at, end);
    // a character comes of one byte or more, so equal counts mean one byte each, and a line's length shows in its text
    if (block === undefined || (end - at > max && block.length < end - at)) {
      this.#inBlocks = false;
      return false;
    }
    this.#cursor.at = end;
    this.#block = block;
    this.#blockAt = 0;
    return true;
  }

  #lineOfBlock(): string | null {
    const block = this.#block;
    const at = this.#blockAt;
    const lf = block.indexOf('\n', at);
    this.#blockAt = lf + 1;
    if (lf + 1 === block.length) this.#block = '';
    const end = block.charCodeAt(lf - 1) === CR ? lf - 1 : lf; // of an empty line this is the LF before it, or nothing
    return end - at > this.#rules.max ? this.#tooLarge() : block.slice(at, end);
  }

  /** No LF is left in the chunk. */
  #holdRest(): void {
    const { bytes, left } = this.#cursor;
    const { max } = this.#rules;
    if (left === 0 || this.#skipping) {
      this.#cursor.clear();
      return;
    }
    // a CR at the very end is not counted yet: it may be the delimiter's
    const sure = this.#held.length + left - (bytes[bytes.length - 1] === CR ? 1 : 0);
    if (sure <= max) {
      this.#cursor.moveTo(this.#held, left, max + 1);
      return;
    }
    this.#skipping = true;
    this.#cursor.clear();
    this.#tooLarge();
  }

  /** The line is out of the way already: only the report, or the end, is left to do. */
  #tooLarge(): null {
    const { max, discard } = this.#rules;
    this.#held.clear();
    const error = new FrameError('too-large', `a line is longer than ${max} bytes`);
    if (!discard) {
      this.#block = '';
      this.#cursor.close();
      throw error;
    }
    this.#report(error);
    return null;
  }
}
