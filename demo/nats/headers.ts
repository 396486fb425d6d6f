import { FrameError } from '../../lib/index.js';
import type { NatsHeaders, NatsMessage } from './protocol.js';

/** Of all headers of a message, in bytes. */
const MAX_LENGTH = 65_536;
const BLOCK = /^NATS\/1\.0(?: +(?<status>\d{3})(?: [^\r\n]*)?)?\r\n(?<fields>(?:[!-9;-~]+:[^\r\n\0]*\r\n)*)\r\n$/;
const FIELD = /([^:]+):([^\r]*)\r\n/g;
/** Printable ASCII without a colon. */
const NAME = /^[!-9;-~]+$/;
/** With a line break it would be two headers, the second by whoever gave us the value. */
const VALUE = /^[^\p{Cc}\p{Cs}]*$/u;

/** Reads a block of headers, or says why it is none. */
export function readHeaders(block: Buffer): Pick<NatsMessage, 'headers' | 'status'> | FrameError {
  if (block.length > MAX_LENGTH) return new FrameError('too-large', `headers are longer than ${MAX_LENGTH} bytes`);
  const { status, fields } = BLOCK.exec(block.toString())?.groups ?? {};
  if (fields === undefined) return new FrameError('corrupt', 'the headers of a message are none');
  const headers = Array.from(fields.matchAll(FIELD), ([, name = '', value = '']) => [name, value.trim()] as const);
  return { headers, status: status === undefined ? undefined : Number(status) };
}

/** Spaces around a value belong to nobody: who reads it drops them. */
export function writeHeaders(headers: NatsHeaders): string {
  const isFine = headers.every(([name, value]) => NAME.test(name) && VALUE.test(value));
  if (!isFine) throw new FrameError('encode', 'a header has a name that is none, or a control character in its value');
  return `NATS/1.0\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}
