import { isUtf8 } from 'node:buffer';

/** How text is written as bytes. */
export type TextEncodingName = 'utf8' | 'latin1' | 'ascii';

/** Reads and writes text in one encoding. */
export interface TextEncoding {
  /** The text of `bytes[from..to)`; `undefined` if they are malformed and the encoding is fatal. A BOM is kept. */
  read(bytes: Buffer, from: number, to: number): string | undefined;
  /** The bytes of a text; `undefined` if the encoding lacks one of its characters. */
  write(text: string): Buffer | undefined;
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
  return { read: fatal ? refuseMalformed(READ[name], name) : READ[name], write: WRITE[name] };
}

type Read = (bytes: Buffer, from: number, to: number) => string;

const READ: Record<TextEncodingName, Read> = {
  utf8: (bytes, from, to) => bytes.toString('utf8', from, to),
  latin1: (bytes, from, to) => bytes.toString('latin1', from, to),
  ascii: (bytes, from, to) => bytes.toString('latin1', from, to).replace(/[\u0080-\u00ff]/g, '\ufffd'),
};

const WRITE: Record<TextEncodingName, TextEncoding['write']> = {
  utf8: (text) => (text.isWellFormed() ? Buffer.from(text, 'utf8') : undefined),
  latin1: (text) => (/[\u0100-\uffff]/.test(text) ? undefined : Buffer.from(text, 'latin1')),
  ascii: (text) => (/[\u0080-\uffff]/.test(text) ? undefined : Buffer.from(text, 'latin1')),
};

function refuseMalformed(read: Read, name: TextEncodingName): TextEncoding['read'] {
  if (name === 'latin1') return read;
  return (bytes, from, to) => {
    const text = read(bytes, from, to);
    if (!text.includes('\ufffd')) return text; // nothing was replaced; in a text of one-byte characters this costs nothing
    return name === 'utf8' && isUtf8(bytes.subarray(from, to)) ? text : undefined; // the peer may well send a real U+FFFD
  };
}
