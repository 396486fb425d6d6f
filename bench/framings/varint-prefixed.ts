import { varintPrefixed as varintPrefixedCodec } from '../../lib/index.js';
import type { Framing } from '../framing.js';

const message = Buffer.alloc(64, 'x');

export const varintPrefixed: Framing<Buffer> = {
  name: 'varintPrefixed',
  codec: varintPrefixedCodec(),
  message,
  wire: Buffer.concat([Buffer.of(message.length), message]),
  size: (body) => body.length,
  encode: (body) => {
    const header: number[] = [];
    let rest = body.length;
    for (; rest >= 128; rest >>>= 7) header.push((rest & 127) | 128);
    header.push(rest);
    const frame = Buffer.allocUnsafe(header.length + body.length);
    frame.set(header);
    frame.set(body, header.length);
    return frame;
  },
  decoder: (frame) => {
    let rest: Buffer | undefined;
    return (chunk) => {
      const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      while (at < bytes.length) {
        let [length, shift, header, byte] = [0, 0, at, 128];
        while (byte >= 128 && header < bytes.length) {
          byte = bytes[header++] ?? 0;
          length |= (byte & 127) << shift;
          shift += 7;
        }
        if (byte >= 128 || header + length > bytes.length) break;
        frame(bytes.subarray(header, header + length));
        at = header + length;
      }
      rest = at < bytes.length ? bytes.subarray(at) : undefined;
    };
  },
};
