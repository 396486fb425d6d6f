/** The packets of MQTT 3.1.1 that a client writes, QoS 2 aside, as bytes. */
import { FrameError } from '../../lib/index.js';
import { isFilter, isText, isTopic } from './topics.js';

export interface Message {
  readonly topic: string;
  readonly payload: Buffer;
  /** 0: it may be lost. 1: it comes at least once. */
  readonly qos: 0 | 1;
  /** Published: the broker keeps it for those who subscribe later. Received: it is such a kept one. */
  readonly retain: boolean;
}

/** Who a client is. */
export interface Identity {
  /** '' leaves it to the broker to make one up, for a clean session. */
  readonly clientId: string;
  /** Whether to begin anew, rather than with what the broker has kept under this name: subscriptions, messages of QoS 1. */
  readonly clean: boolean;
  /** In seconds; the broker gives up a client that is silent for one and a half times as long. */
  readonly keepAlive: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

export const PINGREQ = packet(0xc0);
export const DISCONNECT = packet(0xe0);
export const puback = (id: number) => packet(0x40, uint16(id));
export const unsubscribe = (id: number, topics: string) => packet(0xa2, uint16(id), filter(topics));

/** Messages come with the QoS that they were published with. */
export const subscribe = (id: number, filters: readonly string[]) =>
  packet(0x82, uint16(id), ...filters.flatMap((topics) => [filter(topics), Buffer.of(1)]));

/** `dup`: it may have come before. With QoS 0 the id is of no account. */
export function publish({ topic, payload, qos, retain }: Message, id = 0, dup = false): Buffer {
  const first = 0x30 | (dup ? 0b1000 : 0) | (qos << 1) | (retain ? 0b0001 : 0);
  return packet(first, text('a topic', topic, isTopic), ...(qos === 0 ? [] : [uint16(id)]), payload);
}

export function connect({ clientId, clean, keepAlive, username, password }: Identity): Buffer {
  if (keepAlive > 0xffff) throw new RangeError(`\`keepAlive\` is at most 65,535 seconds, not ${keepAlive}`);
  const flags = (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40) | (clean ? 0x02 : 0);
  const names = [clientId, username, password].flatMap((name) => (name === undefined ? [] : text('a name', name)));
  // First the name of the protocol, and 4 for 3.1.1.
  return packet(0x10, Buffer.from('\0\x04MQTT\x04'), Buffer.of(flags), uint16(keepAlive), ...names);
}

/**
 *     [ type | flags ][ length ][ body ............ ]      the length in 1 to 4 bytes, seven bits in each, the lowest first
 *        4       4
 */
function packet(first: number, ...body: readonly Uint8Array[]): Buffer {
  const length = body.reduce((sum, field) => sum + field.length, 0);
  if (length >= 128 ** 4) throw new FrameError('too-large', `a packet of ${length} bytes`);
  return Buffer.concat([Buffer.of(first, ...varint(length)), ...body]);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [128 + (value % 128), ...varint(value >> 7)];
}

function text(what: string, value: string, isSound = isText): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length > 0xffff || !isSound(value)) throw new FrameError('encode', `${what} that MQTT does not allow`);
  return Buffer.concat([uint16(bytes.length), bytes]);
}

const filter = (topics: string) => text('a filter', topics, isFilter);
const uint16 = (value: number) => Buffer.of(value >> 8, value & 0xff);
