/** The packets of MQTT 3.1.1 that a broker writes to a client without QoS 2, out of bytes; what is not as it must be is a `FrameError`. */
import { isUtf8 } from 'node:buffer';
import { FrameError } from '../../lib/index.js';
import type { Message } from './packets.js';
import { isTopic } from './topics.js';

export type Packet =
  /** The id is 0 with QoS 0, which has none. */
  | (Message & { readonly type: 'publish'; readonly dup: boolean; readonly id: number })
  | { readonly type: 'connack'; readonly sessionPresent: boolean; readonly returnCode: number }
  | { readonly type: 'puback' | 'unsuback'; readonly id: number }
  /** For each filter the QoS that was granted, or `REFUSED`. */
  | { readonly type: 'suback'; readonly id: number; readonly granted: readonly number[] }
  | { readonly type: 'pingresp' };

export const REFUSED = 0x80;

/** By the first byte, which is type and flags. */
export const PARSERS = new Map<number, (body: Buffer) => Packet>([
  [0x20, (body) => ({ type: 'connack', sessionPresent: sized(body)[0] === 1, returnCode: body.readUInt8(1) })],
  [0x40, (body) => ({ type: 'puback', id: idAt(sized(body)) })],
  [0x90, suback],
  [0xb0, (body) => ({ type: 'unsuback', id: idAt(sized(body)) })],
  [0xd0, (body) => sized(body, 0) && { type: 'pingresp' }],
]);
for (const first of [0x30, 0x31, 0x32, 0x33, 0x3a, 0x3b]) PARSERS.set(first, (body) => publish(first, body));

/** `detail` has nothing of the peer's but numbers. */
export function corrupt(detail: string): never {
  throw new FrameError('corrupt', detail);
}

function publish(first: number, body: Buffer): Packet {
  const qos = (first & 0b0010) === 0 ? 0 : 1;
  const end = body.length < 2 ? Infinity : 2 + body.readUInt16BE();
  if (end + 2 * qos > body.length) corrupt('a topic goes beyond the end of its packet');
  const name = body.subarray(2, end);
  const topic = name.toString();
  if (!isUtf8(name) || !isTopic(topic)) corrupt('a topic that MQTT does not allow');
  const [id, payload] = qos === 0 ? [0, body.subarray(end)] : [idAt(body, end), body.subarray(end + 2)];
  return { type: 'publish', topic, payload, qos, id, dup: (first & 0b1000) !== 0, retain: (first & 0b0001) !== 0 };
}

function suback(body: Buffer): Packet {
  const granted = [...body.subarray(2)];
  const isSound = granted.length > 0 && granted.every((qos) => qos <= 2 || qos === REFUSED);
  if (!isSound) corrupt('SUBACK without an answer, or with one that is none');
  return { type: 'suback', id: idAt(body), granted };
}

const sized = (body: Buffer, length = 2) =>
  body.length === length ? body : corrupt(`a body of ${body.length} bytes where ${length} belong`);
const idAt = (body: Buffer, at = 0) => body.readUInt16BE(at) || corrupt('a packet id of 0');
