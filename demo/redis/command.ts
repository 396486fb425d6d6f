import { bytes, FrameError, type Bytes } from '../../lib/index.js';

/** Its name and its arguments, such as `['SET', 'key', 1]`. */
export type Command = readonly (string | number | bigint | Uint8Array)[];
/** One command, or several that go to the same connection with nothing between them. */
export type Message = Command | readonly Command[];

/** For most texts, faster than a call into Node. */
const NON_ASCII = /[\u0080-\uffff]/;

/** The bytes of a message; as text, which costs no memory of its own, unless one of the arguments is bytes. */
export function wireOf(message: Message): string | Buffer {
  if (Array.isArray(message[0])) return joined((message as readonly Command[]).map(wireOf));
  if (!Array.isArray(message) || message.length === 0) throw new FrameError('encode', 'a command begins with its name');
  const parts: Bytes[] = [];
  let text = `*${message.length}\r\n`;
  for (const argument of message as Command) {
    if (argument instanceof Uint8Array) {
      parts.push(`${text}$${argument.length}\r\n`, argument);
      text = '\r\n';
    } else text += bulkOf(argument);
  }
  return parts.length === 0 ? text : joined([...parts, text]);
}

function bulkOf(argument: unknown): string {
  if (typeof argument !== 'string' && typeof argument !== 'bigint' && !Number.isFinite(argument))
    throw new FrameError('encode', 'an argument of a command is a text, a finite number or bytes');
  const text = String(argument);
  return `$${NON_ASCII.test(text) ? Buffer.byteLength(text) : text.length}\r\n${text}\r\n`;
}

function joined(parts: readonly Bytes[]): string | Buffer {
  if (parts.every((part) => typeof part === 'string')) return parts.join('');
  return Buffer.concat(parts.map((part) => bytes().encode(part)));
}
