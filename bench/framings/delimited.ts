import { delimited as delimitedCodec } from '../../lib/index.js';
import type { Framing } from '../framing.js';

const delimiter = Buffer.from('\r\n');
const message = Buffer.alloc(64, 'x');

export const delimited: Framing<Buffer> = {
  name: 'delimited',
  codec: delimitedCodec({ delimiter }),
  message,
  wire: Buffer.concat([message, delimiter]),
  size: (body) => body.length,
  encode: (body) => Buffer.concat([body, delimiter]),
  decoder: (frame) => {
    let rest: Buffer | undefined;
    return (chunk) => {
      const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      for (let end; (end = bytes.indexOf(delimiter, at)) >= 0; at = end + delimiter.length) {
        frame(bytes.subarray(at, end));
      }
      rest = at < bytes.length ? bytes.subarray(at) : undefined;
    };
  },
};
