import { isUtf8 } from 'node:buffer';

/** How text is written as bytes. */
export type TextEncodingName = 'utf8' | 'latin1' | 'ascii';

/** Reads and writes text in one encoding. */
export interface TextEncoding {
  /** The text of `bytes[from..to)`; `undefined` if they are malformed and the encoding is fatal. A BOM is kept. */
  read(bytes: Buffer, from: number, to: number): string | undefined;
  /** The most bytes that a text can come to; the very number if it is long. */
  room(text: string): number;
  /** Writes a text to `bytes`, where there is `room` from `at` on, and returns where it ends; -1 if the encoding lacks one of its characters. */
  write(text: string, bytes: Buffer, at: number): number;
}

/**
 * The encodings of text frames, under two rules that Node's own `toString` lacks for them: a byte that is no character reads
 * as U+FFFD (Node's `ascii` drops the eighth bit instead, and so makes a line feed of 0x8a), and nothing is written that
 * could not be read back. `fatal` gives `undefined` instead of U+FFFD; every byte is a character of `latin1`.
 *
 * Each byte below 0x80 reads as itself in all of them, whatever surrounds it. Hence to cut the text at its line feeds is to
 * cut the bytes there.
 */
export function textEncoding(name: TextEncodingName, fatal: boolean): TextEncoding {
  return { read: fatal ? refuseMalformed(READ[name], name) : READ[name], room, write: WRITE[name] };
}

type Read = (bytes: Buffer, from: number, to: number) => string;

const READ: Record<TextEncodingName, Read> = {
  utf8: (bytes, from, to) => bytes.toString('utf8', from, to),
  latin1: (bytes, from, to) => bytes.toString('latin1', from, to),
  ascii: (bytes, from, to) => bytes.toString('latin1', from, to).replace(/[\u0080-\u00ff]/g, '\ufffd'),
};

const WRITE: Record<TextEncodingName, TextEncoding['write']> = {
  utf8: writeUtf8,
  latin1: (text, bytes, at) => (/[\u0100-\uffff]/.test(text) ? -1 : at + bytes.write(text, at, 'latin1')),
  ascii: (text, bytes, at) => {
    const end = writeUtf8(text, bytes, at);
    return end === at + text.length ? end : -1;
  },
};

/** Up to so many characters counting the bytes costs more than room for the most there can be: three each. */
const SHORT = 256;
/** Up to so many characters a loop is faster than the way into Node's native code, on Node 20 and 26 alike. */
const TINY = 12;

function room(text: string): number {
  return text.length > SHORT ? Buffer.byteLength(text, 'utf8') : 3 * text.length;
}

function writeUtf8(text: string, bytes: Buffer, at: number): number {
  if (text.length <= TINY) {
    const end = writeAscii(text, bytes, at);
    if (end >= 0) return end;
  }
  const length = bytes.write(text, at);
  // a lone surrogate comes to the three bytes of U+FFFD: where each character came to one, there is none
  return length === text.length || text.isWellFormed() ? at + length : -1;
}

/** Gives up with -1 at the first character that is more than one byte. */
function writeAscii(text: string, bytes: Buffer, at: number): number {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return -1;
    bytes[at + i] = code;
  }
  return at + text.length;
}

function refuseMalformed(read: Read, name: TextEncodingName): TextEncoding['read'] {
  if (name === 'latin1') return read;
  return (bytes, from, to) => {
    const text = read(bytes, from, to);
    if (!text.includes('\ufffd')) return text; // nothing was replaced; in a text of one-byte characters this costs nothing
    return name === 'utf8' && isUtf8(bytes.subarray(from, to)) ? text : undefined; // the peer may well send a real U+FFFD
  };
}
