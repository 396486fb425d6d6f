/** MQTT 3.1.1 as a codec, seen from the client. */
import { type Codec, type Decoder, FrameError } from '../../lib/index.js';
import { corrupt, type Packet, PARSERS } from './parse.js';

/** Packets come in parsed, and go out as they were made. One whose body is longer than `maxPacketSize` costs the connection. */
export function mqttCodec(maxPacketSize = 4 * 1024 * 1024): Codec<Packet, Buffer> {
  return { decoder: () => packetDecoder(maxPacketSize), encode: (packet) => packet };
}

function packetDecoder(longest: number): Decoder<Packet> {
  /** What waits to be parsed is from `at` to `to`; what is before was handed out, and nothing is written over it. */
  let bytes = Buffer.alloc(0);
  let [at, to, isBroken] = [0, 0, false];

  /** Memory grows with what has come, and not with a length that was merely announced. */
  function push(chunk: Buffer): void {
    if (to + chunk.length > bytes.length) {
      const waiting = bytes.subarray(at, to);
      bytes = Buffer.allocUnsafe(2 * (waiting.length + chunk.length));
      [at, to] = [0, waiting.copy(bytes)];
    }
    to += chunk.copy(bytes, to);
  }

  function next(): Packet | undefined {
    if (isBroken || at === to) return undefined;
    isBroken = true; // unless all goes well: nothing follows an error
    const first = bytes.readUInt8(at);
    const parse = PARSERS.get(first) ?? corrupt(`no packet for a client begins with ${first}`);
    const body = takeBody();
    const packet = body && parse(body);
    isBroken = false;
    return packet;
  }

  /** `undefined` as long as it is not all there. */
  function takeBody(): Buffer | undefined {
    let length = 0;
    for (let from = at + 2; from <= to; from++) {
      const byte = bytes.readUInt8(from - 1);
      length += (byte % 128) * 128 ** (from - at - 2);
      if (byte >= 128 && from === at + 5) corrupt('a length of more than 4 bytes');
      if (byte >= 128) continue;
      if (length > longest) throw new FrameError('too-large', `the length ${length} is above ${longest}`);
      if (from + length > to) return undefined;
      at = from + length;
      return bytes.subarray(from, at);
    }
    return undefined;
  }

  function end(): void {
    if (!isBroken && at < to) throw new FrameError('truncated', 'the stream ended inside a packet');
  }

  return { push, next, end };
}
