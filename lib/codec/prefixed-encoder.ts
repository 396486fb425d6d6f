import { FrameError } from '../errors.js';
import type { Bytes } from './codec.js';
import { encoder, type Encoder } from './encode-into.js';
import type { Prefix } from './prefix.js';
import { toBytes } from './to-bytes.js';
import { roomForText, writeText } from './write-text.js';

/**
 * Writes messages behind their headers, straight to where they go out from.
 *
 * ```
 * first   [ header | body ]        the header as wide as it is if each character is one byte
 * moved   [ header. | body ]       rarely: characters of more bytes made the body, and so the header, longer
 * ```
 *
 * To write a text tells its length; to count its bytes beforehand would cost a third of that to as much again.
 */
export function prefixedEncoder(prefix: Prefix): Encoder<Bytes> {
  const { what, most, terminator } = prefix;
  return encoder((message, target) => {
    const body = typeof message === 'string' ? message : toBytes(message, what);
    if (body.length > most) throw tooLarge(body.length, most); // a character is at least one byte: spares to encode the hopeless
    const room = typeof body === 'string' ? roomForText(body) : body.length;
    const at = target.reserve(prefix.width(room) + room + 1);
    const { bytes } = target;
    const first = at + prefix.width(body.length);
    const last = typeof body === 'string' ? writeText(body, bytes, first, what) : writeBytes(body, bytes, first);
    const length = last - first;
    if (length > most) throw tooLarge(length, most);
    const from = at + prefix.width(length);
    if (from !== first) bytes.copyWithin(from, first, last);
    prefix.write(bytes, at, length);
    const end = from + length;
    if (terminator === undefined) return end;
    bytes[end] = terminator;
    return end + 1;
  });
}

function writeBytes(body: Buffer, bytes: Buffer, at: number): number {
  bytes.set(body, at); // for short messages faster than `copy`, on Node 20 to 26
  return at + body.length;
}

function tooLarge(length: number, most: number): FrameError {
  return new FrameError('too-large', `a body of ${length} bytes is above ${most}`);
}
