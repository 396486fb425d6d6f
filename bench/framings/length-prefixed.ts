import { lengthPrefixed as lengthPrefixedCodec } from '../../lib/index.js';
import { sending, type Sender } from '../bursts.js';
import { BURST } from '../encoding.js';
import { flushed } from '../ends.js';
import { receiving } from '../frames.js';
import type { Framing } from '../framing.js';
import { rsocket, rsocketPayload, rsocketWire } from '../npm.js';

const message = Buffer.alloc(64, 'x');
const wire = Buffer.concat([Buffer.of(0, 0, 0, message.length), message]);
const rsocketFrame = rsocketWire(message);

export const lengthPrefixed: Framing<Buffer> = {
  name: 'lengthPrefixed',
  codec: lengthPrefixedCodec(),
  message,
  wire,
  size: (body) => body.length,
  encode: (body) => {
    const frame = Buffer.allocUnsafe(4 + body.length);
    frame.writeUInt32BE(body.length, 0);
    frame.set(body, 4);
    return frame;
  },
  decoder: (frame) => {
    let rest: Buffer | undefined;
    return (chunk) => {
      const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      while (bytes.length - at >= 4) {
        const end = at + 4 + bytes.readUInt32BE(at);
        if (end > bytes.length) break;
        frame(bytes.subarray(at + 4, end));
        at = end;
      }
      rest = at < bytes.length ? bytes.subarray(at) : undefined;
    };
  },
  encodeRivals: [
    {
      name: 'rsocket-tcp-client',
      needs: 'rsocket-tcp-client',
      run: sending({ messages: BURST, size: rsocketFrame.length }, rsocketSender),
    },
  ],
  decodeRivals: [
    {
      name: 'rsocket-tcp-client',
      needs: 'rsocket-tcp-client',
      run: receiving({ wire: rsocketFrame, size: message.length }, (port, frame) => {
        const connection = rsocket(port);
        connection.receive().subscribe({
          onSubscribe: (subscription) => subscription.request(Number.MAX_SAFE_INTEGER),
          onNext: ({ data }) => frame(data.length),
          onError: () => undefined,
        });
        connection.connect();
      }),
    },
  ],
  decodeGoals: [{ against: 'raw', bound: 0.9 }],
};

async function rsocketSender(port: number): Promise<Sender> {
  const connection = rsocket(port);
  connection.connect();
  await new Promise((resolve) => connection._socket.once('connect', resolve));
  const frame = rsocketPayload(message);
  return {
    burst: () => {
      for (let i = 0; i < BURST; i++) connection.sendOne(frame);
      return flushed(connection._socket);
    },
    end: () => connection.close(),
  };
}
