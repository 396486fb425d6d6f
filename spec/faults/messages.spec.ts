/** Rows 33, 50 and 51 of the fault matrix: messages that kill, messages that are none, messages that change. */
import { inspect } from 'node:util';
import { expect } from 'chai';
import { firstValueFrom } from 'rxjs';
import {
  bytes,
  ConnectionLostError,
  FrameError,
  lengthPrefixed,
  lines,
  mapCodec,
  tcpSocket,
  WriteError,
  type Codec,
} from '../../lib/index.js';
import { FakeDials, FakeStream, nodeError } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { record, listen, recordingServer, sink, type Recording } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const MIB = 1024 * 1024;
const soon = { settle: 0, reconnect: { initialDelay: 1, maxDelay: 2 } };

describe('row 33: a poison message, at which the server resets', () => {
  leavesNothingOpen();

  /** More than the kernels take, so that it is in flight when the reset comes. */
  const poison = Buffer.alloc(12 * MIB, 'X');

  for (const retryLimit of [0, 1, 5]) {
    it(`is given up after ${retryLimit + 1} connections and told once; every other one flows, in order [S1][S2][S3]`, async () => {
      const connections: Recording[] = [];
      const server = await listen((peer) => {
        connections.push(record(peer));
        peer.on('data', (chunk: Buffer) => {
          if (chunk.includes('X')) peer.resetAndDestroy();
        });
      });
      const socket = kept(tcpSocket({ host, port: server.port, ...soon, retryLimit }));
      const [errors, inbound] = [tape(socket.errors), tape(socket.inbound)];
      const messages = ['a', 'b', poison, 'c', 'd'];
      const outcomes = await Promise.all(messages.map((message) => outcome(socket.write(message))));

      const refused = outcomes[2];
      expect(outcomes.filter((how) => how !== refused)).to.deep.equal(['written', 'written', 'written', 'written']);
      expect(refused)
        .to.be.instanceOf(WriteError)
        .and.to.include({ fate: 'unknown', attempts: retryLimit + 1 });
      expect((refused as WriteError).undelivered).to.equal(poison);
      await server.socket(retryLimit + 1);
      await connections[retryLimit + 1]!.has(2);
      expect(connections.map(({ text }) => text.replace(/X+/, 'X'))).to.deep.equal([
        'abX',
        ...Array.from({ length: retryLimit }, () => 'X'),
        'cd',
      ]);
      const losses = errors.values.filter((error) => error instanceof ConnectionLostError);
      expect(losses.map(({ epoch, clean }) => [epoch, clean])).to.deep.equal(
        Array.from({ length: retryLimit + 1 }, (_, i) => [i + 1, false]),
      );
      expect(errors.values.filter((error) => !losses.includes(error as never))).to.deep.equal([refused]);
      expect(inbound.ended).to.be.undefined;
      expect(socket.stats()).to.include({ framesWritten: 4, framesUndelivered: 1, framesRetried: retryLimit });
      expect(socket.stats()).to.include({ drops: retryLimit + 1, epoch: retryLimit + 2, queuedBytes: 0 });
    });
  }

  it('that the kernel takes before the reset is written: it costs one connection, and is not written again [S4]', async () => {
    const server = await recordingServer((peer, index) => {
      if (index > 0) return false;
      peer.once('data', () => peer.resetAndDestroy());
      return true;
    });
    const socket = kept(tcpSocket({ host, port: server.port, ...soon }));
    const errors = tape(socket.errors);
    await socket.write('X');
    expect(await errors.at(0))
      .to.be.instanceOf(ConnectionLostError)
      .and.to.include({ unconfirmed: 0, bytesWritten: 1 });
    await socket.write('a');
    await (await server.recording(1)).has(1);
    expect((await server.recording(1)).text).to.equal('a');
    expect(socket.stats()).to.include({ framesWritten: 2, framesRetried: 0, drops: 1 });
  });
});

// ---- row 50

const thrown = new Error('secret');
const throwing = {
  get field(): string {
    throw thrown;
  },
};
const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(0x73);
const circular: Record<string, unknown> = {};
circular.self = circular;

/** No bytes and no text. */
const NO_BYTES: readonly unknown[] = [
  null,
  undefined,
  7,
  NaN,
  10n,
  true,
  Symbol('s'),
  {},
  { length: 3 },
  [],
  [1, 2, 3],
  new Date(0),
  () => 'x',
  Promise.resolve('x'),
  new String('x'),
  new ArrayBuffer(3),
  new SharedArrayBuffer(3),
  new DataView(new ArrayBuffer(3)),
  new Uint16Array(3),
  new Uint8ClampedArray(3),
  new Proxy(Buffer.from('x'), {}),
  Object.create(Uint8Array.prototype),
  throwing,
  new Proxy({}, { get: () => { throw thrown; }, getPrototypeOf: () => { throw thrown; } }), // prettier-ignore
];

const LONE: readonly string[] = ['\ud800', 'a\udc00b', `${'x'.repeat(70_000)}\ud800`];

/** What is written, and as which bytes. */
const WRITTEN: readonly [unknown, string][] = [
  ['', ''],
  [Buffer.alloc(0), ''],
  [new Uint8Array(0), ''],
  ['text', 'text'],
  ['\u{1f600}', '\u{1f600}'],
  ['\0', '\0'],
  [Buffer.from('buffer'), 'buffer'],
  [new Uint8Array(Buffer.from('.part.')).subarray(1, 5), 'part'],
  [shared, 'sss'],
  [Buffer.from(shared.buffer), 'sss'],
  [new Uint8Array(new ArrayBuffer(3, { maxByteLength: 8 })).fill(0x72), 'rrr'],
];

const framed = (text: string): string => {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(Buffer.byteLength(text));
  return header.toString('latin1') + text;
};

interface Messages {
  readonly codec: Codec<unknown, unknown>;
  readonly refused: readonly unknown[];
  readonly written: readonly [unknown, string][];
  /** How the messages around them look on the wire. */
  readonly wire: (text: string) => string;
}

const json = mapCodec(lines(), {
  decode: (line): unknown => JSON.parse(line),
  encode: (message: unknown) => JSON.stringify(message),
});

const CODECS: Record<string, Messages> = {
  'bytes()': {
    codec: bytes(),
    refused: [...NO_BYTES, ...LONE],
    written: WRITTEN,
    wire: (text) => text,
  },
  'lengthPrefixed()': {
    codec: lengthPrefixed(),
    refused: [...NO_BYTES, ...LONE, Buffer.alloc(MIB + 1)],
    written: WRITTEN.map(([message, text]) => [message, framed(text)]),
    wire: framed,
  },
  'lines()': {
    codec: lines(),
    refused: [...NO_BYTES, ...LONE, Buffer.from('x'), new Uint8Array(1), shared, 'a\nb', 'a\r', 'x'.repeat(MIB + 1)],
    written: WRITTEN.filter(([message]) => typeof message === 'string').map(([message, text]) => [
      message,
      `${text}\n`,
    ]),
    wire: (text) => `${text}\n`,
  },
  'mapCodec() of JSON over lines()': {
    codec: json,
    refused: [undefined, Symbol('s'), () => 'x', 10n, throwing, circular, { toJSON: () => { throw thrown; } }, 'x'.repeat(MIB)], // prettier-ignore
    written: [
      [null, 'null\n'],
      [7, '7\n'],
      [NaN, 'null\n'],
      [{}, '{}\n'],
      ['', '""\n'],
      ['\ud800', '"\\ud800"\n'],
      [Buffer.alloc(0), '{"type":"Buffer","data":[]}\n'],
      [shared, '{"0":115,"1":115,"2":115}\n'],
    ],
    wire: (text) => `"${text}"\n`,
  },
};

describe('row 50: messages of any kind', () => {
  leavesNothingOpen();

  const ways = ['next()', 'write()', 'writeAll()', 'Connection.write()'] as const;

  for (const [name, { codec, refused, written, wire }] of Object.entries(CODECS)) {
    for (const way of ways) {
      async function opened() {
        const server = await recordingServer();
        const socket = kept(tcpSocket({ host, port: server.port, codec }));
        const connection = await firstValueFrom(socket.connections);
        const errors = tape(socket.errors);
        const hand = async (message: unknown): Promise<unknown> => {
          if (way === 'write()') return outcome(socket.write(message));
          if (way === 'writeAll()') return outcome(socket.writeAll([message]));
          if (way === 'Connection.write()') return outcome(connection.write(message));
          const before = errors.values.length;
          socket.outbound.next(message);
          await socket.flush();
          return errors.values[before] ?? 'written';
        };
        return { socket, errors, hand, recording: await server.recording(0) };
      }

      it(`by ${way} through ${name}: each of ${refused.length} that cannot be written is refused alone [S3][S9]`, async () => {
        const { socket, errors, hand, recording } = await opened();
        const refusals: unknown[] = [];
        for (const [i, message] of refused.entries()) {
          const error = await hand(message);
          expect(error, `refused[${i}]`).to.be.instanceOf(FrameError).and.to.include({ epoch: 1 });
          expect((error as FrameError).kind).to.be.oneOf(['encode', 'too-large']);
          expect(`${String(error)} ${JSON.stringify(error)} ${inspect(error)}`).not.to.include('secret');
          expect((error as FrameError).detail).to.match(/\w+ \w+ \w+/);
          refusals.push(error);
        }
        expect(await hand('after')).to.equal('written');
        await recording.has(Buffer.byteLength(wire('after'), 'latin1'));
        expect(recording.text).to.equal(wire('after'));
        // Nothing but the promise of Connection.write() tells of what it refuses: the queue of the socket has no part in it.
        expect(errors.values).to.deep.equal(way === 'Connection.write()' ? [] : refusals);
        expect(socket.stats()).to.include({ drops: 0, epoch: 1, framesWritten: 1, queuedFrames: 0, queuedBytes: 0 });
      });

      it(`by ${way} through ${name}: each of ${written.length} that can be is written whole, the empty one too [S3]`, async () => {
        const { socket, errors, hand, recording } = await opened();
        for (const [i, [message]] of written.entries())
          expect(await hand(message), `written[${i}]`).to.equal('written');
        const wanted = Buffer.from(written.map(([, text]) => text).join('')).toString('latin1');
        expect(await hand('after')).to.equal('written');
        await recording.has(wanted.length + wire('after').length);
        expect(recording.text).to.equal(wanted + wire('after'));
        expect(errors.values).to.deep.equal([]);
        expect(socket.stats()).to.include({ drops: 0, framesWritten: written.length + 1, framesRefused: 0 });
      });
    }
  }

  it('what an encode of the user’s throws is the cause, and in no message of ours [S9]', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port, codec: json }));
    const error = (await outcome(socket.write(throwing))) as FrameError;
    expect(error.cause).to.equal(thrown);
    expect(error).to.include({ kind: 'encode', detail: 'the codec refused the message' });
  });

  it('writeAll() closes the source at the message that is refused, and pulls no further [S3]', async () => {
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port }));
    const pulled: unknown[] = [];
    let closed = 0;
    function* source(): Generator<never> {
      try {
        for (const message of ['a', 'b', { not: 'bytes' }, 'c']) {
          pulled.push(message);
          yield message as never;
        }
      } finally {
        closed++;
      }
    }
    expect(await outcome(socket.writeAll(source()))).to.be.instanceOf(FrameError);
    expect([pulled.length, closed]).to.deep.equal([3, 1]);
    await socket.flush();
    await (await server.recording(0)).has('ab');
    expect(socket.stats()).to.include({ framesWritten: 2, framesRefused: 1 });
  });
});

describe('row 51: a Buffer that changes after next()', () => {
  leavesNothingOpen();

  it('after its outcome is the caller’s again: one Buffer, small or large, carries any number of messages [S3][S4]', async () => {
    for (const size of [16, 1_024, 65_536, 65_537, 2 * MIB]) {
      const server = await recordingServer();
      const socket = kept(tcpSocket({ host, port: server.port }));
      const buffer = Buffer.alloc(size);
      const count = size > MIB ? 5 : 50;
      for (let i = 0; i < count; i++) {
        buffer.fill(i + 1);
        await socket.write(buffer);
      }
      buffer.fill(0xff);
      const recording = await server.recording(0);
      await recording.has(size * count);
      const wrong = Array.from({ length: count }).findIndex(
        (_, i) => !recording.bytes.subarray(i * size, (i + 1) * size).equals(Buffer.alloc(size, i + 1)),
      );
      expect(wrong, `of messages of ${size} bytes`).to.equal(-1);
      socket.destroy();
    }
  });

  it('is whole again on the next connection, if it did not change: what was in flight is written from the same bytes [S2]', async () => {
    const dials = new FakeDials((index) => new FakeStream(({ done }) => done(index === 0 ? nodeError('EPIPE') : null)));
    const socket = kept(tcpSocket({ dial: dials.dial, ...soon }));
    const [small, large] = [Buffer.from('small'), Buffer.alloc(100_000, 'large')];
    const outcomes = Promise.all([outcome(socket.write(small)), outcome(socket.write(large))]);
    expect(await outcomes).to.deep.equal(['written', 'written']);
    small.fill(0);
    large.fill(0);
    const last = Buffer.concat(dials.streams[1]!.writes.map((write) => write.bytes));
    expect(last.equals(Buffer.concat([Buffer.from('small'), Buffer.alloc(100_000, 'large')]))).to.be.true;
  });

  it('may be of shared or resizable memory: as a Uint8Array it is copied in the call, whatever becomes of it', async () => {
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port }));
    const resizable = new ArrayBuffer(4, { maxByteLength: 8 });
    for (const view of [new Uint8Array(new SharedArrayBuffer(4)), new Uint8Array(resizable)]) {
      view.fill(0x61);
      socket.outbound.next(view);
      view.fill(0x7a);
    }
    resizable.resize(0);
    await socket.flush();
    const recording = await server.recording(0);
    await recording.has(8);
    expect(recording.text).to.equal('aaaaaaaa');
    expect(socket.stats()).to.include({ queuedBytes: 0, bytesWritten: 8 });
  });

  it('is copied in the call by codecs that put something around it', async () => {
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port, codec: lengthPrefixed() }));
    const buffer = Buffer.from('mine');
    socket.outbound.next(buffer);
    buffer.fill('z');
    await socket.flush();
    const recording = await server.recording(0);
    await recording.has(8);
    expect(recording.text).to.equal(framed('mine'));
  });

  it('comes back as `undelivered`, the very object and not a copy of it [S3]', async () => {
    const stream = new FakeStream(() => undefined);
    const socket = kept(tcpSocket({ dial: () => stream }));
    const messages = [Buffer.from('small'), new Uint8Array(3), Buffer.alloc(100_000), 'text'];
    const errors = tape(socket.errors);
    for (const message of messages) socket.outbound.next(message);
    socket.destroy();
    const told = errors.values.map((error) => (error as WriteError).undelivered);
    expect(told).to.have.length(4);
    for (const [i, message] of messages.entries()) expect(told[i]).to.equal(message);
  });
});
