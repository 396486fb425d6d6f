import { fixedLength as fixedLengthCodec } from '../../lib/index.js';
import type { Framing } from '../framing.js';

const message = Buffer.alloc(64, 'x');

export const fixedLength: Framing<Buffer> = {
  name: 'fixedLength',
  codec: fixedLengthCodec({ length: message.length }),
  message,
  wire: message,
  size: (body) => body.length,
  encode: (body) => body,
  decoder: (frame) => {
    let rest: Buffer | undefined;
    return (chunk) => {
      const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      for (; at + message.length <= bytes.length; at += message.length) frame(bytes.subarray(at, at + message.length));
      rest = at < bytes.length ? bytes.subarray(at) : undefined;
    };
  },
};
