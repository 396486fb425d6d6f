/**
 *     PUB subject [reply] length CRLF payload CRLF
 *     HPUB subject [reply] headers total CRLF headers payload CRLF      `total` is the length of both
 */
import { bytes, delimited, FrameError } from '../../lib/index.js';
import { writeHeaders } from './headers.js';
import type { Outgoing } from './protocol.js';

/** A longer line would cost the connection. */
const lines = delimited({ delimiter: '\r\n', maxFrameLength: 4_096 });
const text = bytes();
/** Tokens with dots between them. Lone surrogates are no text. */
const SUBJECT = /^[^.\s\p{Cc}\p{Cs}]+(\.[^.\s\p{Cc}\p{Cs}]+)*$/u;

export function encode(message: Outgoing, maxPayload: number): Uint8Array {
  if (typeof message === 'string') return lines.encode(message);
  const { subject, reply, headers, payload } = message;
  const block = text.encode(headers === undefined ? '' : writeHeaders(headers));
  const body = text.encode(payload);
  const total = block.length + body.length;
  if (total > maxPayload) throw new FrameError('too-large', `a message is longer than ${maxPayload} bytes`);
  const to = subjects(subject, reply);
  const first = block.length === 0 ? `PUB ${to} ${total}` : `HPUB ${to} ${block.length} ${total}`;
  return Buffer.concat([lines.encode(first), block, body, text.encode('\r\n')]);
}

/** Looks at each word: a line break in a subject would begin a line of whoever gave it to us. */
export function subjects(...words: (string | undefined)[]): string {
  const given = words.filter((word) => word !== undefined);
  if (given.every((word) => SUBJECT.test(word))) return given.join(' ');
  throw new FrameError('encode', 'a subject is tokens with dots between them, and has no spaces');
}
