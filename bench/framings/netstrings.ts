import { netstrings as netstringsCodec } from '../../lib/index.js';
import type { Framing } from '../framing.js';

const COLON = ':'.charCodeAt(0);
const message = Buffer.alloc(64, 'x');

export const netstrings: Framing<Buffer> = {
  name: 'netstrings',
  codec: netstringsCodec(),
  message,
  wire: Buffer.from(`${String(message.length)}:${message.toString()},`),
  size: (body) => body.length,
  encode: (body) => Buffer.concat([Buffer.from(`${String(body.length)}:`), body, Buffer.from(',')]),
  decoder: (frame) => {
    let rest: Buffer | undefined;
    return (chunk) => {
      const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      while (at < bytes.length) {
        const colon = bytes.indexOf(COLON, at);
        if (colon < 0) break;
        const end = colon + 1 + Number(bytes.toString('latin1', at, colon));
        if (end >= bytes.length) break;
        frame(bytes.subarray(colon + 1, end));
        at = end + 1;
      }
      rest = at < bytes.length ? bytes.subarray(at) : undefined;
    };
  },
};
