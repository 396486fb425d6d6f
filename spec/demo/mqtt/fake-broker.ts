/** A broker of the specs' own: it keeps what clients write, in words, and answers as it is told. */
import { Subject } from 'rxjs';
import { type Codec, type Connection, tcpServer } from '../../../lib/index.js';
import { atEnd } from '../../support/fixture.js';
import { type Tape, tape } from '../../support/tape.js';

/** One packet of a client. */
export interface Said {
  /** From 1. */
  readonly connection: number;
  readonly name: string;
  /** 0 without one. */
  readonly id: number;
  /** All of it that matters, such as `1 PUBLISH a/b hi, QoS 1, dup`: the number of its connection comes first, its id is left out. */
  readonly words: string;
}

/** What a broker does with a packet: bytes are its answer, in Latin-1. */
export type Answer = (said: Said, client: Client) => string | undefined;
export type Client = Connection<Frame, Buffer>;

export interface FakeBroker {
  readonly port: number;
  readonly said: Tape<Said>;
  /** The words of all that was said so far. */
  readonly words: readonly string[];
  readonly clients: Tape<Client>;
  /** Does something else instead of what brokers do, for packets of this name. */
  answer(name: string, answer: Answer): void;
}

interface Frame {
  readonly first: number;
  readonly body: Buffer;
}

const NAMES = [
  '',
  'CONNECT',
  '',
  'PUBLISH',
  'PUBACK',
  '',
  '',
  '',
  'SUBSCRIBE',
  '',
  'UNSUBSCRIBE',
  '',
  'PINGREQ',
  '',
  'DISCONNECT',
];

/** Listens on a free port; closed when the running spec is over. */
export async function fakeBroker(): Promise<FakeBroker> {
  const server = tcpServer({ codec: frames });
  atEnd(() => server.close({ timeout: 0 }));
  const answers = new Map<string, Answer>([
    ['CONNECT', () => '\x20\x02\0\0'],
    ['PUBLISH', ({ id }) => (id === 0 ? undefined : `\x40\x02${idBytes(id)}`)],
    [
      'SUBSCRIBE',
      ({ id, words }) =>
        suback(
          id,
          words.split(',').map(() => 1),
        ),
    ],
    ['UNSUBSCRIBE', ({ id }) => `\xb0\x02${idBytes(id)}`],
    ['PINGREQ', () => '\xd0\0'],
  ]);
  const packets = new Subject<Said>();
  const said = tape(packets);
  const clients = tape(server.connections);
  server.connections.subscribe((client) => {
    client.inbound.subscribe((frame) => {
      const packet = understood(frame, client.epoch);
      packets.next(packet);
      const answer = answers.get(packet.name)?.(packet, client);
      if (answer !== undefined) void write(client, answer);
    });
  });
  const { port } = await server.listening;
  return {
    port,
    said,
    clients,
    get words() {
      return said.values.map(({ words }) => words);
    },
    answer: (name, answer) => void answers.set(name, answer),
  };
}

/** Bytes in Latin-1. */
export function write(client: Client, bytes: string): Promise<void> {
  return client.write(Buffer.from(bytes, 'latin1'));
}

export function suback(id: number, codes: readonly number[]): string {
  return `\x90${String.fromCharCode(2 + codes.length)}${idBytes(id)}${String.fromCharCode(...codes)}`;
}

/** A short one; with an id of QoS 1, else of QoS 0. */
export function published(topic: string, text: string, id = 0): string {
  const body = `\0${String.fromCharCode(topic.length)}${topic}${id === 0 ? '' : idBytes(id)}${text}`;
  return `${id === 0 ? '\x30' : '\x32'}${String.fromCharCode(body.length)}${body}`;
}

function idBytes(id: number): string {
  return String.fromCharCode(id >> 8, id & 255);
}

function understood({ first, body }: Frame, connection: number): Said {
  const name = NAMES[first >> 4] ?? '';
  const said = (id: number, ...words: string[]) => ({
    connection,
    name,
    id,
    words: [connection, name, ...words].join(' '),
  });
  const fields = (at: number, behind: number): string[] => {
    if (at >= body.length) return [];
    const end = at + 2 + body.readUInt16BE(at);
    return [body.toString('utf8', at + 2, end), ...fields(end + behind, behind)];
  };
  if (name === 'CONNECT') {
    const [clientId = '', ...login] = fields(10, 0);
    const clean = (body.readUInt8(7) & 2) === 0 ? 'kept' : 'clean';
    return said(0, [`"${clientId}"`, clean, `${body.readUInt16BE(8)} s`, ...login].join(', '));
  }
  if (name === 'PUBLISH') {
    const qos = (first >> 1) & 3;
    const end = 2 + body.readUInt16BE();
    const text = body.toString('utf8', end + (qos === 0 ? 0 : 2));
    const flags = [`QoS ${qos}`, ...((first & 8) === 0 ? [] : ['dup']), ...((first & 1) === 0 ? [] : ['retain'])];
    return said(qos === 0 ? 0 : body.readUInt16BE(end), body.toString('utf8', 2, end), [text, ...flags].join(', '));
  }
  if (name === 'PUBACK') return said(body.readUInt16BE(), String(body.readUInt16BE()));
  if (name === 'SUBSCRIBE') return said(body.readUInt16BE(), fields(2, 1).join(', '));
  if (name === 'UNSUBSCRIBE') return said(body.readUInt16BE(), fields(2, 0).join(', '));
  return said(0);
}

/** Packets whose bodies nobody looks at yet. */
const frames: Codec<Frame, Buffer> = {
  encode: (bytes) => bytes,
  decoder: () => {
    let bytes = Buffer.alloc(0);
    return {
      push: (chunk) => void (bytes = Buffer.concat([bytes, chunk])),
      next: () => {
        const header = /^.([\x80-\xff]{0,3}[\0-\x7f])/s.exec(bytes.toString('latin1', 0, 5))?.[1] ?? '';
        if (header === '') return undefined;
        const length = [...Buffer.from(header, 'latin1')].reduceRight((sum, byte) => sum * 128 + (byte & 127), 0);
        const from = 1 + header.length;
        if (bytes.length < from + length) return undefined;
        const frame = { first: bytes.readUInt8(), body: bytes.subarray(from, from + length) };
        bytes = bytes.subarray(from + length);
        return frame;
      },
      end: () => undefined,
    };
  },
};
