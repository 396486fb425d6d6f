import type { Codec } from '../../../lib/index.js';
import { natsDecoder } from '../../../demo/nats/decoder.js';
import { encode } from '../../../demo/nats/encode.js';
import type { Incoming, Outgoing } from '../../../demo/nats/protocol.js';

/** The codec of the client. Nobody asks a decoder for anything once it has thrown: from then on this one is silent, as `outcomeOf` wants it. */
export function natsCodec(maxPayload = 1_048_576): Codec<Incoming, Outgoing> {
  return {
    encode: (message) => encode(message, maxPayload),
    decoder: (report) => {
      const decoder = natsDecoder(maxPayload, report);
      let over = false;
      return {
        push: (chunk) => decoder.push(chunk),
        next: () => {
          try {
            return decoder.next();
          } catch (error) {
            over = true;
            throw error;
          }
        },
        end: () => {
          if (!over) decoder.end();
        },
      };
    },
  };
}

/** What a server makes of a message that was published to it, for the subscription of this id. */
export function relayed(published: Uint8Array, sid = '1'): Buffer {
  const wire = Buffer.from(published);
  const end = wire.indexOf('\r\n');
  const [op = '', subject, ...words] = wire.toString('utf8', 0, end).split(' ');
  const first = [op.replace('PUB', 'MSG'), subject, sid, ...words].join(' ');
  return Buffer.concat([Buffer.from(first), wire.subarray(end)]);
}
