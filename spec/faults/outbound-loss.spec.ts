/** Rows 1, 2, 3, 4 and 12 of the fault matrix: what becomes of messages when their connection is lost. */
import type * as net from 'node:net';
import { expect } from 'chai';
import {
  ConnectionLostError,
  lengthPrefixed,
  tcpSocket,
  WriteError,
  type Connection,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { numbered } from '../support/child-server.js';
import { faultProxy, type FaultProxyConfig, type ProxiedConnection } from '../support/fault-proxy.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { eventually, live, settled } from '../support/peers.js';
import { seededRandom, seedsInTens } from '../support/random.js';
import { recordingServer, type Recording } from '../support/servers.js';
import { tape } from '../support/tape.js';

const MIB = 1024 * 1024;
/** More than the kernels take for a peer that does not read. */
const HUGE = 12 * MIB;
const HEADER = 4;
const soon: TcpSocketConfig = { settle: 0, reconnect: { initialDelay: 1, maxDelay: 2 } };

/** A server that records what comes through a proxy, and a socket that writes frames with a length in front. */
async function writer(faults: FaultProxyConfig = {}, config: TcpSocketConfig = {}) {
  const server = await recordingServer();
  const proxy = await faultProxy(server.port, faults);
  const { reconnect } = soon;
  const options = { host: '127.0.0.1', port: proxy.port, codec: lengthPrefixed({ maxFrameLength: 2 * HUGE }) };
  const socket = kept(
    tcpSocket({ ...options, settle: 0, reconnect, writeBuffer: { bytes: 2 * HUGE, frames: 1e6 }, ...config }),
  );
  return { server, proxy, socket, errors: tape(socket.errors), statuses: tape(socket.status) };
}

type Writer = Awaited<ReturnType<typeof writer>>;

/** The plan of a proxy that lets so many bytes of the first connection pass, and everything of the others. */
function firstStallsAt(bytes: number): FaultProxyConfig {
  return { plan: (index) => (index === 0 ? { up: { limit: { bytes, then: 'stall' } } } : {}) };
}

/** The numbers of the whole frames of one connection, which must begin with a header, and how many bytes of a further one there are. */
function framesOf(bytes: Buffer): { readonly numbers: number[]; readonly rest: number } {
  const numbers: number[] = [];
  let at = 0;
  while (bytes.length - at >= HEADER && at + HEADER + bytes.readUInt32BE(at) <= bytes.length) {
    const end = at + HEADER + bytes.readUInt32BE(at);
    const number = bytes.readUInt32BE(at + HEADER);
    expect(bytes.subarray(at + HEADER, end).equals(numbered(number, end - at - HEADER)), 'a whole frame').to.be.true;
    numbers.push(number);
    at = end;
  }
  return { numbers, rest: bytes.length - at };
}

/** Resolves once a frame of this number has come whole. */
async function arrived(recording: Recording, bytes: number): Promise<number[]> {
  await recording.has(bytes);
  const { numbers, rest } = framesOf(recording.bytes);
  expect(rest).to.equal(0);
  return numbers;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/** Resolves when the server has what may pass on the first connection, and the socket has one frame in flight. */
async function stuck({ proxy, server, socket }: Writer, passed: number): Promise<void> {
  await proxy.connection(0);
  await (await server.recording(0)).has(passed);
  await eventually(() => socket.stats().inFlightFrames === 1);
}

/** What the server has read of its first connection, once that is over. */
async function onFirst({ server }: Writer): Promise<ReturnType<typeof framesOf>> {
  await eventually(() => server.sockets[0]!.closed);
  return framesOf((await server.recording(0)).bytes);
}

/** Resolves once the socket is on its second connection. */
async function onSecond({ statuses }: Writer): Promise<void> {
  await statuses.first((status) => status.type === 'open' && status.epoch === 2);
}

describe('row 1: a reset with one frame in flight and 50 queued', () => {
  leavesNothingOpen();
  const sizes = [HUGE, ...range(1, 51).map((number) => 4 + number)];
  const wire = (from: number): number => sizes.slice(from).reduce((sum, size) => sum + HEADER + size, 0);

  async function lost(retryLimit: number | undefined) {
    const passed = 100_000;
    const parts = await writer(firstStallsAt(passed), retryLimit === undefined ? {} : { retryLimit });
    const { socket, proxy, server } = parts;
    const outcomes = sizes.map((size, number) => outcome(socket.write(numbered(number, size))));
    await stuck(parts, passed);
    expect(socket.stats()).to.include({ framesWritten: 0, queuedFrames: 51 });
    proxy.connections[0]!.reset();
    const results = await Promise.all(outcomes);
    expect((await server.recording(0)).bytes).to.have.length(passed);
    return { ...parts, results, second: await server.recording(1) };
  }

  it('writes the one again from its first byte and the 50 after it, each once [S1][S2]', async () => {
    const { socket, results, second, errors } = await lost(undefined);
    expect(await arrived(second, wire(0))).to.deep.equal(range(0, 51));
    expect(new Set(results)).to.deep.equal(new Set(['written']));
    expect(errors.values).to.have.length(1);
    expect(errors.values[0])
      .to.be.instanceOf(ConnectionLostError)
      .and.to.include({ clean: false, endedBy: 'peer', unconfirmed: 1, bytesWritten: 0, epoch: 1 });
    expect(socket.stats()).to.include({ framesWritten: 51, framesRetried: 1, framesUndelivered: 0, drops: 1 });
  });

  it('with retryLimit 0 gives the one up as "unknown", and writes the 50 [S2][S3]', async () => {
    const { socket, results, second, errors } = await lost(0);
    expect(await arrived(second, wire(1))).to.deep.equal(range(1, 51));
    expect(new Set(results.slice(1))).to.deep.equal(new Set(['written']));
    expect(errors.values).to.have.length(2);
    expect(errors.values[0]).to.be.instanceOf(ConnectionLostError).and.to.include({ unconfirmed: 1 });
    expect(errors.values[1]).to.be.instanceOf(WriteError).and.to.include({ fate: 'unknown', attempts: 1 });
    expect(results[0]).to.equal(errors.values[1]);
    expect(socket.stats()).to.include({ framesWritten: 50, framesRetried: 0, framesUndelivered: 1, drops: 1 });
  });

  for (const ten of seedsInTens(50)) {
    for (const retryLimit of [5, 0]) {
      it(`keeps order and outcomes wherever it comes, with retryLimit ${retryLimit}, seeds ${ten.join(' ')} [S1][S2][S3]`, async () => {
        for (const seed of ten) await race(seed, retryLimit);
      });
    }
  }

  /** Resets the first connection after a random number of bytes, while random frames are written at a random pace. */
  async function race(seed: number, retryLimit: number): Promise<void> {
    const replay = `SEED=${String(seed)}`;
    const random = seededRandom(seed);
    // Every other seed has more than the kernels take, so that the reset meets frames in flight.
    const heavy = seed % 2 === 1;
    const size = (): number =>
      heavy ? random.int(100_000, 300_000) : random.int(4, random.pick([10, 1_000, 100_000]));
    const frames = range(0, 60).map((number) => numbered(number, size()));
    const total = frames.reduce((sum, frame) => sum + HEADER + frame.length, 0);
    const limit = { bytes: random.int(0, heavy ? 1_000_000 : total), then: 'reset' as const };
    const slice = random.pick([undefined, 1_000, 50_000]);
    const parts = await writer(
      { seed, plan: (index) => (index === 0 ? { up: { limit, ...(slice === undefined ? {} : { slice }) } } : {}) },
      { retryLimit },
    );
    const { socket, server, proxy } = parts;
    const outcomes: Promise<unknown>[] = [];
    for (const frame of frames) {
      outcomes.push(outcome(socket.write(frame)));
      if (random.next() < 0.3) await turns(random.int(1, 5));
    }
    await onSecond(parts);
    const results = await Promise.all(outcomes);
    await socket.end();
    const first = await onFirst(parts);
    const second = framesOf((await server.recording(1)).bytes);
    // On each connection whole frames, in order, without a gap; on the second from its first byte to its last.
    expect(first.numbers, replay).to.deep.equal(range(0, first.numbers.length));
    expect(second.rest, replay).to.equal(0);
    const resumed = second.numbers[0] ?? frames.length;
    const failed = results.flatMap((result, number) => (result === 'written' ? [] : [number]));
    expect(second.numbers, replay).to.deep.equal(range(resumed, frames.length));
    if (retryLimit > 0) expect(failed, replay).to.be.empty;
    else expect(failed, replay).to.deep.equal(range(resumed - failed.length, resumed));
    if (retryLimit === 0) expect(resumed, `${replay}: twice`).to.be.at.least(first.numbers.length);
    for (const number of failed) expect(results[number], replay).to.include({ fate: 'unknown', attempts: 1 });
    const told = [...parts.errors.values].filter(({ code }) => code !== 'TCP_WRITE').map(({ code }) => code);
    expect(told, replay).to.deep.equal(['TCP_CONNECTION_LOST']);
    expect(socket.stats(), replay).to.include({
      framesWritten: frames.length - failed.length,
      framesUndelivered: failed.length,
      queuedFrames: 0,
    });
    await proxy.close();
    await server.close();
  }
});

describe('row 2: a destroy while 16 MB are in flight to a server that does not read', () => {
  leavesNothingOpen();
  const message = Buffer.alloc(16_000_000, 'm');

  async function inFlight(config: TcpSocketConfig = {}) {
    const parts = await writer(firstStallsAt(0), config);
    const written = outcome(parts.socket.write(message));
    await stuck(parts, 0);
    return { ...parts, written };
  }

  it('never counts the message as written: its fate is "unknown" [S3][S4]', async () => {
    const { socket, written, server } = await inFlight();
    socket.destroy();
    expect(await written)
      .to.be.instanceOf(WriteError)
      .and.to.include({ fate: 'unknown', attempts: 1 });
    await turns();
    expect(socket.stats()).to.include({ framesWritten: 0, bytesWritten: 0, framesUndelivered: 1, queuedFrames: 0 });
    expect((await server.recording(0)).bytes).to.have.length(0);
  });

  for (const [what, destroy] of [
    ['redial()', (socket) => socket.redial()],
    ['destroy() of the connection', (_socket, connection) => connection.destroy()],
    ['destroy() of the stream beneath', (_socket, connection) => void connection.raw.destroy()],
  ] satisfies [string, (socket: TcpSocket, connection: Connection) => void][]) {
    it(`writes it again, whole, after ${what}, and counts it once [S2][S3][S4]`, async () => {
      const parts = await inFlight();
      destroy(parts.socket, await live(parts.socket));
      const second = await parts.server.recording(1);
      await second.has(HEADER + message.length);
      expect(await parts.written).to.equal('written');
      expect(second.bytes.subarray(HEADER).equals(message)).to.be.true;
      expect(parts.socket.stats()).to.include({ framesWritten: 1, framesRetried: 1, framesUndelivered: 0 });
    });

    it(`gives it up after ${what} with retryLimit 0 [S2][S3][S4]`, async () => {
      const parts = await inFlight({ retryLimit: 0 });
      destroy(parts.socket, await live(parts.socket));
      expect(await parts.written)
        .to.be.instanceOf(WriteError)
        .and.to.include({ fate: 'unknown', attempts: 1 });
      expect(parts.socket.stats()).to.include({ framesWritten: 0, framesUndelivered: 1 });
    });
  }

  for (const [what, endedBy, destroy] of [
    ['destroy() of the connection', 'us', (connection) => connection.destroy()],
    ['destroy() of the stream beneath', 'us', (connection) => void connection.raw.destroy()],
    ['a reset', 'peer', (_connection, proxied) => proxied.reset()],
  ] satisfies [string, string, (connection: Connection, proxied: ProxiedConnection) => void][]) {
    it(`rejects what was written past the queue with the loss, after ${what} [S4]`, async () => {
      const { socket, proxy } = await writer(firstStallsAt(0));
      const connection = await live(socket);
      const written = outcome(connection.write(message));
      const proxied = await proxy.connection(0);
      await settled(() => (connection.raw as net.Socket).bytesWritten);
      destroy(connection, proxied);
      expect(await written)
        .to.be.instanceOf(ConnectionLostError)
        .and.to.include({ endedBy, unconfirmed: 1, bytesWritten: 0 });
      expect(socket.stats().framesWritten).to.equal(0);
    });
  }
});

describe('row 3: a reset while merged writes are in flight', () => {
  leavesNothingOpen();
  const FRAMES = 12_000;

  /** Many small frames, of which one batch is stuck in the kernel. */
  async function stuckBatch(retryLimit: number) {
    const parts = await writer(firstStallsAt(0), { retryLimit });
    const { socket, proxy } = parts;
    const outcomes = range(0, FRAMES).map((number) => outcome(socket.write(numbered(number, 1020))));
    await proxy.connection(0);
    await settled(() => socket.stats().framesWritten);
    const { inFlightFrames: batch } = socket.stats();
    expect(batch).to.be.within(63, 64); // of 64 KiB and no more: a codec may need room for a byte more than it writes
    proxy.connections[0]!.reset();
    return { ...parts, batch, results: await Promise.all(outcomes) };
  }

  it('counts none of the batch as written: with retryLimit 0 each of its frames is "unknown", and all others are written [S3][S4]', async () => {
    const { socket, server, batch, results, errors } = await stuckBatch(0);
    const failed = results.flatMap((result, number) => (result === 'written' ? [] : [number]));
    const [first = -1] = failed;
    expect(failed).to.deep.equal(range(first, first + batch));
    for (const number of failed)
      expect(results[number]).to.be.instanceOf(WriteError).and.to.include({ fate: 'unknown', attempts: 1 });
    expect(errors.values[0]).to.include({
      code: 'TCP_CONNECTION_LOST',
      unconfirmed: batch,
      bytesWritten: first * 1024,
    });
    const after = range(first + batch, FRAMES);
    expect(await arrived(await server.recording(1), after.length * 1024)).to.deep.equal(after);
    expect(socket.stats()).to.include({ framesWritten: FRAMES - batch, framesUndelivered: batch });
  });

  it('writes all of the batch again, in order and before the rest [S1][S2][S4]', async () => {
    const { socket, server, batch, results, errors } = await stuckBatch(5);
    expect(new Set(results)).to.deep.equal(new Set(['written']));
    const { bytesWritten } = errors.values[0] as ConnectionLostError;
    const again = range(bytesWritten / 1024, FRAMES);
    expect(await arrived(await server.recording(1), again.length * 1024)).to.deep.equal(again);
    expect(socket.stats()).to.include({ framesWritten: FRAMES, framesRetried: batch });
  });

  it('rejects each of several writes past the queue that Node has merged into one [S4]', async () => {
    const { socket, proxy } = await writer(firstStallsAt(0));
    const connection = await live(socket);
    connection.raw.cork();
    const outcomes = range(0, 4).map(() => outcome(connection.write(Buffer.alloc(4_000_000))));
    connection.raw.uncork();
    await settled(() => (connection.raw as net.Socket).bytesWritten);
    (await proxy.connection(0)).reset();
    for (const result of await Promise.all(outcomes))
      expect(result).to.be.instanceOf(ConnectionLostError).and.to.include({ unconfirmed: 4, bytesWritten: 0 });
    expect(socket.stats()).to.include({ framesWritten: 0, bytesWritten: 0 });
  });
});

describe('row 4: a peer that closes while messages are being written', () => {
  leavesNothingOpen();

  it('gets nothing after its FIN was seen: two messages of that very moment go to the next connection [S1][S4]', async () => {
    const { socket, proxy, server, errors } = await writer();
    const connection = await live(socket);
    await socket.write(numbered(0, 4));
    await (await server.recording(0)).has(8);
    const outcomes = new Promise<unknown[]>((resolve) => {
      connection.raw.once('end', () => resolve(Promise.all([1, 2].map((n) => outcome(socket.write(numbered(n, 4)))))));
    });
    proxy.connections[0]!.fin('down');
    expect(await outcomes).to.deep.equal(['written', 'written']);
    expect(await arrived(await server.recording(1), 16)).to.deep.equal([1, 2]);
    expect((await server.recording(0)).bytes).to.have.length(8);
    expect(proxy.connections[0]!.up.passed).to.equal(8);
    expect(errors.values).to.have.length(1);
    expect(errors.values[0]).to.include({ code: 'TCP_CONNECTION_LOST', clean: true, endedBy: 'peer', unconfirmed: 0 });
  });

  it('rejects a write past the queue after its FIN was seen, and hands nothing over [S4]', async () => {
    const { socket, proxy } = await writer();
    const connection = await live(socket);
    await proxy.connection(0);
    const written = new Promise<unknown>((resolve) => {
      connection.raw.once('end', () => resolve(outcome(connection.write(numbered(0, 4)))));
    });
    proxy.connections[0]!.fin('down');
    expect(await written)
      .to.be.instanceOf(ConnectionLostError)
      .and.to.include({ clean: true });
    await proxy.connections[0]!.closed;
    expect(proxy.connections[0]!.up.passed).to.equal(0);
  });

  it('carries the queue over when its FIN comes while a frame is in flight: that is still written, no other is [S1][S2]', async () => {
    const parts = await writer(firstStallsAt(0));
    const { socket, proxy, server } = parts;
    const outcomes = [HUGE, 4, 4].map((size, number) => outcome(socket.write(numbered(number, size))));
    const connection = await live(socket);
    await stuck(parts, 0);
    const ended = new Promise((resolve) => connection.raw.once('end', resolve));
    proxy.connections[0]!.fin('down');
    await ended;
    proxy.connections[0]!.up.faults = {};
    expect(await Promise.all(outcomes)).to.deep.equal(['written', 'written', 'written']);
    expect(await arrived(await server.recording(0), HEADER + HUGE)).to.deep.equal([0]);
    expect(await arrived(await server.recording(1), 16)).to.deep.equal([1, 2]);
    expect(socket.stats()).to.include({ framesRetried: 0, framesWritten: 3 });
  });

  for (const ten of seedsInTens(50)) {
    it(`loses at most what was written before its FIN was seen, seeds ${ten.join(' ')} [S1][S3][S4]`, async () => {
      for (const seed of ten) await race(seed);
    });
  }

  /** The server closes at a random moment while messages are written at a random pace. */
  async function race(seed: number): Promise<void> {
    const replay = `SEED=${String(seed)}`;
    const random = seededRandom(seed);
    const parts = await writer({ seed }, { retryLimit: 0 });
    const { socket, server, proxy } = parts;
    const connection = await live(socket);
    await proxy.connection(0);
    const closeAt = random.int(0, 30);
    const outcomes: Promise<unknown>[] = [];
    let seenAt = Infinity;
    connection.raw.once('end', () => (seenAt = Math.min(seenAt, outcomes.length)));
    connection.raw.once('error', () => (seenAt = Math.min(seenAt, outcomes.length)));
    for (const number of range(0, 40)) {
      if (number === closeAt) (await server.socket(0)).destroy();
      outcomes.push(outcome(socket.write(numbered(number, 4))));
      if (random.next() < 0.5) await turns(random.int(1, 4));
    }
    await connection.closed;
    const results = await Promise.all(outcomes);
    await onSecond(parts); // also when nothing was left for it
    await socket.end();
    const first = await onFirst(parts);
    const second = framesOf((await server.recording(1)).bytes);
    expect(first.numbers, replay).to.deep.equal(range(0, first.numbers.length));
    const resumed = second.numbers[0] ?? 40;
    expect(second.numbers, replay).to.deep.equal(range(resumed, 40));
    // None is on both, and whatever was accepted once the end was seen is on the second.
    expect(resumed, replay).to.be.within(first.numbers.length, Math.min(seenAt, 40));
    for (const [number, result] of results.entries())
      if (result !== 'written') expect(number, `${replay}: ${String(result)}`).to.be.lessThan(resumed);
    await proxy.close();
    await server.close();
  }
});

describe('row 12: a loss inside an outbound message', () => {
  leavesNothingOpen();
  const size = 9;

  it('at every byte of it: the next connection starts with a header [S1]', async () => {
    const wire = HEADER + size;
    for (let cut = 0; cut <= 2 * wire; cut++) {
      const limit = { bytes: cut, then: 'reset' as const };
      const parts = await writer({
        plan: (index) => (index === 0 ? { up: { limit, slice: 3 } } : {}),
      });
      const { socket, server, proxy } = parts;
      const written = range(0, 3).map((number) => socket.write(numbered(number, size)));
      await onSecond(parts);
      await Promise.all([...written, socket.write(numbered(3, size))]);
      await socket.end();
      const first = await onFirst(parts);
      const second = framesOf((await server.recording(1)).bytes);
      expect([first.numbers.length, first.rest], `cut at ${cut}`).to.deep.equal([Math.floor(cut / wire), cut % wire]);
      expect(second.rest, `cut at ${cut}`).to.equal(0);
      expect(second.numbers.at(-1), `cut at ${cut}`).to.equal(3);
      expect(second.numbers, `cut at ${cut}`).to.deep.equal(range(second.numbers[0]!, 4));
      await proxy.close();
      await server.close();
    }
  });

  for (const cut of [1, HEADER - 1, HEADER, HEADER + 1, 65_535, 65_536, 1_000_000]) {
    it(`after ${String(cut)} bytes of one that is in flight: it is written again from its header [S1][S2]`, async () => {
      const parts = await writer(firstStallsAt(cut));
      const { socket, server, proxy, errors } = parts;
      const written = socket.write(numbered(7, HUGE));
      await stuck(parts, cut);
      proxy.connections[0]!.reset();
      await written;
      expect((await server.recording(0)).bytes).to.have.length(cut);
      expect(await arrived(await server.recording(1), HEADER + HUGE)).to.deep.equal([7]);
      expect(errors.values[0]).to.include({ code: 'TCP_CONNECTION_LOST', unconfirmed: 1 });
    });
  }
});
