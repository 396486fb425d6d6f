/** Rows 5 and 6 of the fault matrix: one end is slower than the other. */
import type * as net from 'node:net';
import { expect } from 'chai';
import { Subject, type Observable } from 'rxjs';
import {
  lengthPrefixed,
  OverflowError,
  pacedMap,
  tcpSocket,
  WriteError,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { numbered } from '../support/child-server.js';
import { faultProxy } from '../support/fault-proxy.js';
import { kept, leavesNothingOpen, turns } from '../support/fixture.js';
import { memoryWatch } from '../support/memory.js';
import { eventually, live, settled } from '../support/peers.js';
import { seededRandom, seedsInTens } from '../support/random.js';
import { listen, recordingServer } from '../support/servers.js';
import { tape } from '../support/tape.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const HEADER = 4;
const host = '127.0.0.1';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe('row 5: a server that never reads, and a producer that goes on', () => {
  leavesNothingOpen();
  const size = 64 * KIB;
  const bytes = 8 * MIB;
  /** 128 MiB: 16 times what may be held. */
  const total = 2048;

  async function flooded(config: TcpSocketConfig) {
    const server = await recordingServer();
    const proxy = await faultProxy(server.port, { plan: () => ({ up: { stall: true } }) });
    const socket = kept(tcpSocket({ host, port: proxy.port, writeBuffer: { bytes, frames: 1e6 }, ...config }));
    const writable = tape(socket.writable);
    await live(socket);
    await proxy.connection(0);
    let [refused, undelivered] = [0, 0];
    const others: unknown[] = [];
    socket.errors.subscribe((error) => {
      if (error instanceof OverflowError) refused++;
      else if (error instanceof WriteError) undelivered++;
      else others.push(error);
    });
    const memory = memoryWatch();
    for (let number = 0; number < total; number++) {
      socket.outbound.next(numbered(number, size));
      if (number % 16 === 0) await turns(1);
      if (number % 256 === 0) memory.look();
      expect(socket.stats().queuedBytes).to.be.at.most(bytes);
    }
    memory.look();
    const counts = () => ({ refused, undelivered, others });
    return { server, proxy, socket, writable, memory, counts };
  }

  it('holds no more than the write buffer, says that there is no room, and refuses the rest, each with its error [S3][S5]', async () => {
    const { server, proxy, socket, writable, memory, counts } = await flooded({});
    const { framesRefused, framesWritten, queuedFrames } = socket.stats();
    expect(writable.values.at(-1)).to.be.false;
    expect(framesRefused).to.be.greaterThan(total / 2);
    expect(framesRefused + framesWritten + queuedFrames).to.equal(total);
    expect(counts()).to.deep.equal({ refused: framesRefused, undelivered: 0, others: [] });
    // The buffer, what Node and the proxy hold, one message; the rest is for the errors and the code.
    expect(memory.most).to.be.lessThan(bytes + 4 * MIB);
    // What was accepted was lost to nobody.
    proxy.set('up', {});
    await socket.flush();
    const recording = await server.recording(0);
    await recording.has(size * (total - framesRefused));
    const wire = recording.bytes;
    const numbers = range(0, total - framesRefused).map((at) => wire.readUInt32BE(at * size));
    expect(numbers).to.deep.equal([...numbers].sort((a, b) => a - b));
    expect(new Set(numbers).size).to.equal(total - framesRefused);
    expect(writable.values.at(-1)).to.be.true;
  });

  it('with dropOldest gives way to the newest, and memory stays as flat [S3][S5]', async () => {
    const { socket, memory, counts } = await flooded({ overflow: 'dropOldest' });
    const { framesRefused, framesUndelivered, framesWritten, queuedFrames } = socket.stats();
    expect(framesRefused).to.equal(0);
    expect(framesUndelivered).to.be.greaterThan(total / 2);
    expect(framesUndelivered + framesWritten + queuedFrames).to.equal(total);
    expect(counts()).to.deep.equal({ refused: framesUndelivered, undelivered: 0, others: [] });
    expect(memory.most).to.be.lessThan(bytes + 4 * MIB);
    await socket.end({ timeout: 0 });
    expect(counts().undelivered).to.equal(queuedFrames);
  });

  it('stops a source that can be pulled, and refuses none of it [S5]', async () => {
    const server = await recordingServer();
    const proxy = await faultProxy(server.port, { plan: () => ({ up: { stall: true } }) });
    const socket = kept(tcpSocket({ host, port: proxy.port, writeBuffer: { bytes, frames: 1e6 } }));
    await proxy.connection(0);
    const memory = memoryWatch();
    let pulled = 0;
    function* source(): Generator<Buffer> {
      for (; pulled < total; pulled++) yield numbered(pulled, size);
    }
    const written = socket.writeAll(source());
    await settled(() => pulled);
    memory.look();
    const { queuedBytes, framesWritten } = socket.stats();
    expect(queuedBytes).to.be.within(bytes - size, bytes);
    expect(pulled * size).to.be.within(queuedBytes, (framesWritten + 2) * size + bytes);
    expect(memory.most).to.be.lessThan(bytes + 4 * MIB);
    proxy.set('up', { blackhole: true });
    await written;
    expect(socket.stats()).to.include({ framesWritten: total, framesRefused: 0 });
  });
});

describe('row 6: a subscriber that is slower than the flood of its server', () => {
  leavesNothingOpen();
  const size = 1020;
  /** 32 MiB: more than the kernels take. */
  const total = 32 * KIB;

  /** A server that writes numbered frames as fast as they are taken, through a proxy. */
  async function flood(frames = total, seed = 1, slice?: number) {
    const wire = Buffer.alloc(frames * (HEADER + size));
    for (const number of range(0, frames)) {
      wire.writeUInt32BE(size, number * (HEADER + size));
      wire.set(numbered(number, size), number * (HEADER + size) + HEADER);
    }
    const server = await listen((socket) => void socket.resume().end(wire));
    const proxy = await faultProxy(server.port, { seed, plan: () => ({ down: slice === undefined ? {} : { slice } }) });
    const socket = kept(tcpSocket({ host, port: proxy.port, codec: lengthPrefixed(), reconnect: false }));
    return { server, proxy, socket };
  }

  it('the socket is paused, little is held here, the server’s write blocks, and all comes in order on resume [S5][S6]', async () => {
    const { server, socket } = await flood();
    const numbers: number[] = [];
    let release = (): void => undefined;
    socket.inbound.subscribe((frame) => {
      numbers.push(frame.readUInt32BE());
      if (numbers.length % 8192 === 100) release = socket.pause();
    });
    const { raw } = await live(socket);
    for (const round of range(0, 4)) {
      await eventually(() => numbers.length === round * 8192 + 100);
      const taken = await settled(() => (raw as net.Socket).bytesRead);
      expect(numbers.length).to.equal(round * 8192 + 100);
      expect(raw.isPaused()).to.be.true;
      expect(socket.stats().heldBytes).to.be.at.most(64 * KIB);
      expect(raw.readableLength).to.be.at.most(128 * KIB);
      expect(taken).to.be.at.most((round * 8192 + 100) * (HEADER + size) + 192 * KIB);
      if (round === 0) expect(server.sockets[0]!.writableLength).to.be.greaterThan(0);
      release();
    }
    await tape(socket.inbound).end;
    expect(numbers).to.deep.equal(range(0, total));
  });

  it('through pacedMap no more is read ahead than readBuffer says, and memory stays flat [S5][S6]', async () => {
    const { server, proxy, socket } = await flood();
    const memory = memoryWatch();
    const steps = new Subject<void>();
    const started: number[] = [];
    const done = tape(
      socket.inbound.pipe(
        pacedMap(socket, (frame): Observable<void> | Promise<void> => {
          started.push(frame.readUInt32BE());
          return started.length === 1 ? steps : Promise.resolve();
        }),
      ),
    );
    await eventually(() => started.length === 1);
    await settled(() => proxy.connections[0]!.down.passed);
    memory.look();
    expect(started).to.have.length(1);
    expect(socket.stats()).to.include({ framesRead: 100, holds: 1 });
    expect(server.sockets[0]!.writableLength).to.be.greaterThan(0);
    expect(memory.most).to.be.lessThan(2 * MIB);
    steps.complete();
    await done.end;
    expect(done.ended).to.equal('completed');
    expect(started).to.deep.equal(range(0, total));
  });

  for (const ten of seedsInTens(50)) {
    it(`whoever holds and releases when: no frame under a hold, none lost, none out of order, seeds ${ten.join(' ')} [S6]`, async () => {
      for (const seed of ten) await race(seed);
    });
  }

  async function race(seed: number): Promise<void> {
    const replay = `SEED=${String(seed)}`;
    const [random, holds] = [seededRandom(seed), seededRandom(seed + 1_000)];
    const frames = random.int(1, 300);
    const { server, proxy, socket } = await flood(frames, seed, random.pick([undefined, 200, 5_000]));
    const numbers: number[] = [];
    const releases: (() => void)[] = [];
    let underHold = 0;
    socket.inbound.subscribe((frame) => {
      if (releases.length > 0) underHold++;
      numbers.push(frame.readUInt32BE());
      while (holds.next() < 0.1) releases.push(socket.pause());
    });
    const over = tape(socket.status).first(({ type }) => type === 'closed');
    let closed = false;
    void over.then(() => (closed = true));
    while (!closed) {
      await turns(random.int(1, 4));
      releases.splice(random.int(0, releases.length)).forEach((release) => release());
      expect(socket.stats().heldBytes, replay).to.be.at.most(64 * KIB);
    }
    expect(underHold, replay).to.equal(0);
    expect(numbers, replay).to.deep.equal(range(0, frames));
    await proxy.close();
    await server.close();
  }
});
