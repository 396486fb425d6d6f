/** Rows 9, 10 and 11 of the fault matrix: what becomes of bytes that came before their connection was lost. */
import * as net from 'node:net';
import { expect } from 'chai';
import {
  bytes,
  ConnectionLostError,
  FrameError,
  lengthPrefixed,
  lines,
  tcpSocket,
  type Codec,
  type TcpError,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { numbered } from '../support/child-server.js';
import { faultProxy, type FaultProxyConfig, type Faults } from '../support/fault-proxy.js';
import { kept, leavesNothingOpen, turns } from '../support/fixture.js';
import { eventually, live } from '../support/peers.js';
import { seededRandom, seedsInTens } from '../support/random.js';
import { listen } from '../support/servers.js';
import { tape } from '../support/tape.js';

const soon = { settle: 0, reconnect: { initialDelay: 1, maxDelay: 2 } };
const HEADER = 4;

/** Both ways of reading: into a slab, where all that waits is held by us, and by events, where Node holds the rest. */
type Way = (typeof WAYS)[number];
const WAYS = ['a socket of ours', 'a dial'] as const;

/** A server that says something on each connection, and a socket that hears it through a proxy. */
async function reader<In>(
  codec: Codec<In, never>,
  says: (index: number) => Uint8Array | string,
  faults: FaultProxyConfig,
  config: TcpSocketConfig = {},
  way: Way = 'a socket of ours',
) {
  const server = await listen((socket, index) => {
    socket.write(says(index));
    socket.on('end', () => socket.end()).resume();
  });
  const proxy = await faultProxy(server.port, faults);
  const { settle, reconnect } = { ...soon, ...config };
  const dial = way === 'a dial' ? () => net.connect({ port: proxy.port, allowHalfOpen: true }) : undefined;
  const socket = kept(
    tcpSocket({ host: '127.0.0.1', port: proxy.port, codec, settle, reconnect, ...(dial && { dial }) }),
  );
  return { server, proxy, socket, errors: tape(socket.errors) };
}

/** The faults of the first connection alone. */
function onFirst(down: Faults): FaultProxyConfig {
  return { plan: (index) => (index === 0 ? { down } : {}) };
}

/** The frame of this number with its length in front. */
function framed(number: number, size: number): Buffer {
  const frame = Buffer.alloc(HEADER + size);
  frame.writeUInt32BE(size);
  frame.set(numbered(number, size), HEADER);
  return frame;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

const brief = (error: TcpError): string =>
  error instanceof FrameError
    ? `${error.code} ${error.kind} ${String(error.epoch)}`
    : `${error.code} ${String(error.epoch)}`;

describe('row 9: a reset while reading is held back', () => {
  leavesNothingOpen();
  const size = 100;
  const half = Buffer.concat(range(0, 10).map((number) => framed(number, size)));
  const rest = Buffer.concat(range(10, 20).map((number) => framed(number, size)));

  /** Twenty frames came under a hold, half of them after the others; then their connection was reset. */
  async function held(way: Way, config: TcpSocketConfig) {
    const says = (index: number): Buffer => (index === 0 ? half : framed(99, size));
    const parts = await reader(lengthPrefixed(), says, {}, config, way);
    const release = parts.socket.pause();
    const inbound = tape(parts.socket.inbound);
    const { raw } = await live(parts.socket);
    await eventually(() => parts.socket.stats().bytesRead === half.length);
    parts.server.sockets[0]!.write(rest);
    const ours = way === 'a dial' ? half.length : half.length + rest.length;
    await eventually(() => parts.socket.stats().heldBytes + raw.readableLength === half.length + rest.length);
    expect(parts.socket.stats()).to.include({ heldBytes: ours, framesRead: 0 });
    parts.proxy.connections[0]!.reset();
    const lost = (await parts.errors.at(0)) as ConnectionLostError;
    expect(inbound.values).to.be.empty;
    return { ...parts, inbound, release, lost };
  }

  for (const way of WAYS) {
    it(`delivers all that was held, by us and by Node, before the next connection’s first frame, on ${way} [S6]`, async () => {
      const { socket, inbound, release, lost } = await held(way, {});
      await eventually(() => socket.stats().epoch === 2);
      await turns();
      expect(inbound.values).to.be.empty;
      release();
      await inbound.at(20);
      expect(inbound.values.map((frame) => frame.readUInt32BE())).to.deep.equal([...range(0, 20), 99]);
      expect(lost).to.include({ code: 'TCP_CONNECTION_LOST', clean: false, endedBy: 'peer', unread: 0 });
      expect(lost.bytesRead).to.equal(half.length + rest.length);
    });

    it(`delivers it before inbound errors with the loss, with reconnect: false, on ${way} [S6][S8]`, async () => {
      const { inbound, release, lost } = await held(way, { reconnect: false });
      await turns();
      expect(inbound.ended).to.be.undefined;
      release();
      await inbound.end;
      expect(inbound.values.map((frame) => frame.readUInt32BE())).to.deep.equal(range(0, 20));
      expect(inbound.error).to.equal(lost);
      expect(lost).to.include({ unread: 0, bytesRead: half.length + rest.length });
    });
  }

  for (const ten of seedsInTens(50)) {
    it(`delivers every byte that Node had read, wherever it comes and whoever holds when, seeds ${ten.join(' ')} [S6][S7]`, async () => {
      for (const seed of ten) await race(seed);
    });
  }

  async function race(seed: number): Promise<void> {
    const replay = `SEED=${String(seed)}`;
    const random = seededRandom(seed);
    const sizes = range(0, 40).map(() => random.int(4, random.pick([20, 300, 20_000])));
    const wire = Buffer.concat(sizes.map((length, number) => framed(number, length)));
    const slice = random.pick([undefined, 100, 5_000]);
    const { socket, proxy, server, errors } = await reader(
      lengthPrefixed(),
      (index) => (index === 0 ? wire : framed(99, 4)),
      { seed, plan: (index) => (index === 0 && slice !== undefined ? { down: { slice } } : {}) },
    );
    const inbound = tape(socket.inbound);
    const connection = await live(socket);
    const raw = connection.raw as net.Socket;
    const { down } = await proxy.connection(0);
    let release = random.next() < 0.5 ? socket.pause() : (): void => undefined;
    const resetAt = random.int(0, wire.length);
    while (down.passed < resetAt) {
      await turns(random.int(1, 3));
      if (random.next() < 0.3) {
        release();
        release = random.next() < 0.5 ? socket.pause() : (): void => undefined;
      }
    }
    proxy.connections[0]!.reset();
    // Under a hold a reset is seen at once or not at all, as Node's buffer has room or is full.
    await turns(random.int(0, 20));
    release();
    await inbound.first((frame) => frame.readUInt32BE() === 99);
    const came = raw.bytesRead;
    const numbers = inbound.values.map((frame) => frame.readUInt32BE());
    const whole = numbers.length - 1;
    expect(numbers, replay).to.deep.equal([...range(0, whole), 99]);
    const used = sizes.slice(0, whole).reduce((sum, length) => sum + HEADER + length, 0);
    expect(came - used, replay).to.be.within(0, (sizes[whole] ?? 0) + HEADER - 1);
    const cut = errors.values.filter(({ code }) => code === 'TCP_FRAME') as FrameError[];
    if (came > used) expect(cut[0]?.detail, replay).to.include(` ${String(came - used)} bytes`);
    expect(cut, replay).to.have.length(came > used ? 1 : 0);
    expect((await connection.closed)?.bytesRead, replay).to.equal(came);
    expect((await connection.closed)?.unread, replay).to.equal(0);
    socket.destroy();
    await proxy.close();
    await server.close();
  }
});

describe('row 10: data and a reset right behind it, which may look like a clean end', () => {
  leavesNothingOpen();

  /** Whether Node said 'end' of the first connection: of a reset behind data, Node up to 22 does. */
  async function looksClean(socket: Awaited<ReturnType<typeof reader>>['socket']): Promise<() => boolean> {
    const { raw } = await live(socket);
    let clean = raw.readableEnded;
    raw.once('end', () => (clean = true));
    return () => clean;
  }

  for (const then of ['reset', 'fin'] as const) {
    it(`a ${then} inside a frame: the frame is told as truncated, the loss after it, and the socket dials again [S7][S8][S9]`, async () => {
      const { socket, errors } = await reader(
        lengthPrefixed(),
        (index) => Buffer.concat([framed(index, 10), framed(index + 10, 10)]),
        onFirst({ limit: { bytes: 20, then } }),
      );
      const inbound = tape(socket.inbound);
      await inbound.at(2);
      expect(inbound.values.map((frame) => frame.readUInt32BE())).to.deep.equal([0, 1, 11]);
      expect(errors.values.map(brief)).to.deep.equal(['TCP_FRAME truncated 1', 'TCP_CONNECTION_LOST 1']);
      expect((errors.values[0] as FrameError).detail).to.include(' 6 bytes');
      expect(inbound.ended).to.be.undefined;
    });

    it(`a ${then} without frames: the loss says what Node saw, and the socket dials again [S8]`, async () => {
      const { socket, errors } = await reader(
        bytes(),
        (index) => `${String(index)}23456789`,
        onFirst({ limit: { bytes: 5, then } }),
      );
      const inbound = tape(socket.inbound);
      const clean = await looksClean(socket);
      await inbound.at(1);
      const text = (): string => Buffer.concat(inbound.values).toString();
      await eventually(() => text().length === 14);
      expect(text()).to.equal('02345123456789');
      expect(errors.values).to.have.length(1);
      expect(errors.values[0])
        .to.be.instanceOf(ConnectionLostError)
        .and.to.include({ endedBy: 'peer', bytesRead: 5, unread: 0, clean: then === 'fin' || clean() });
      expect(inbound.ended).to.be.undefined;
    });

    it(`a ${then} behind 300 kB: whatever came is a beginning of it, and the next connection’s frames follow [S6][S7][S8]`, async () => {
      const frames = range(0, 400).map((number) => framed(number, 996));
      const { socket, errors } = await reader(
        lengthPrefixed(),
        (index) => (index === 0 ? Buffer.concat(frames) : framed(999, 996)),
        onFirst({ limit: { bytes: 300_000, then } }),
      );
      const inbound = tape(socket.inbound);
      await inbound.first((frame) => frame.readUInt32BE() === 999);
      const numbers = inbound.values.map((frame) => frame.readUInt32BE());
      expect(numbers).to.deep.equal([...range(0, numbers.length - 1), 999]);
      const lost = errors.values.at(-1) as ConnectionLostError;
      expect(Math.floor(lost.bytesRead / 1000)).to.equal(numbers.length - 1);
      if (then === 'fin') expect(lost).to.include({ clean: true, bytesRead: 300_000 });
      const cut = lost.bytesRead % 1000 === 0 ? [] : ['TCP_FRAME truncated 1'];
      expect(errors.values.map(brief)).to.deep.equal([...cut, 'TCP_CONNECTION_LOST 1']);
    });
  }
});

describe('row 11: a reconnect in the middle of an inbound frame', () => {
  leavesNothingOpen();

  const codecs = {
    lengthPrefixed: {
      codec: () => lengthPrefixed(),
      wire: (text: string) => Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)]),
    },
    lines: { codec: () => lines(), wire: (text: string) => Buffer.from(`${text}\r\n`) },
  } as const;

  for (const [name, { codec, wire }] of Object.entries(codecs)) {
    for (const then of ['reset', 'fin'] as const) {
      for (const slice of [undefined, 1]) {
        const how = `${then}${slice === undefined ? '' : ', byte by byte'}`;
        it(`at every byte of ${name} frames, with a ${how}: what came whole is delivered, the cut frame told, the next connection begins anew [S7][S8]`, async () => {
          const length = wire('a-0').length;
          for (let cut = 0; cut <= 2 * length; cut++) {
            const where = `cut at ${String(cut)}`;
            const limit = { bytes: cut, then };
            const { socket, errors, proxy, server } = await reader(
              codec() as Codec<string | Buffer, never>,
              (index) => Buffer.concat([wire(`a-${String(index)}`), wire(`b-${String(index)}`)]),
              { seed: cut + 1, ...onFirst(slice === undefined ? { limit } : { limit, slice }) },
            );
            const inbound = tape(socket.inbound);
            await inbound.first((frame) => String(frame) === 'b-1');
            const whole = ['a-0', 'b-0'].slice(0, Math.floor(cut / length));
            expect(inbound.values.map(String), where).to.deep.equal([...whole, 'a-1', 'b-1']);
            const rest = cut % length;
            const told = rest === 0 ? [] : ['TCP_FRAME truncated 1'];
            expect(errors.values.map(brief), where).to.deep.equal([...told, 'TCP_CONNECTION_LOST 1']);
            if (rest > 0)
              expect((errors.values[0] as FrameError).detail, where).to.match(new RegExp(`\\b${String(rest)} bytes`));
            expect(errors.values.at(-1), where).to.include({ bytesRead: cut });
            socket.destroy();
            await proxy.close();
            await server.close();
          }
        });
      }
    }
  }
});
