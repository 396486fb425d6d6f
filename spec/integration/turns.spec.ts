import * as net from 'node:net';
import { duplexPair, PassThrough, type Duplex } from 'node:stream';
import { expect } from 'chai';
import { lines, tcpSocket, type TcpSocket } from '../../lib/index.js';
import { FrameRing } from '../../lib/outbound/frame-ring.js';
import { FakeDials, FakeStream } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, turns } from '../support/fixture.js';
import { until } from '../support/leaks.js';
import { deadPort, listen, recordingServer } from '../support/servers.js';

const host = '127.0.0.1';
type LineSocket = TcpSocket<string, string>;

/** A socket of lines over a stream that takes all at once, and that stream. */
async function faked(): Promise<{ socket: LineSocket; stream: FakeStream }> {
  const { dial, streams } = new FakeDials();
  const socket = kept(tcpSocket({ host, port: 1, codec: lines(), dial }));
  await until(() => socket.stats().epoch === 1);
  await turns(3);
  return { socket, stream: streams[0]! };
}

/** The same over a real connection to a server that notes what it gets; `writes` counts the calls of the stream's `write`. */
async function wired() {
  const server = await recordingServer();
  let count = 0;
  const dial = (): net.Socket => {
    const raw = net.connect(server.port, host);
    const write = raw.write.bind(raw) as (...args: unknown[]) => boolean;
    raw.write = (...args: unknown[]) => {
      count++;
      return write(...args);
    };
    return raw;
  };
  const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), dial }));
  await socket.write('open');
  await turns(3);
  const recording = await server.recording(0);
  return { socket, recording, writes: () => count };
}

/** How many turns of the event loop something takes. */
async function turnsOf(action: () => Promise<unknown>): Promise<number> {
  let [count, over] = [0, false];
  const counted = until(() => (count++, over));
  await action();
  over = true;
  await counted;
  return count - 1;
}

describe('a message in a turn of the event loop', () => {
  leavesNothingOpen();

  it('is written in the microtasks of the turn if it is the first: before a timer, an immediate or a socket of the same turn', async () => {
    const { socket, stream } = await faked();
    const order: string[] = [];
    stream._write = (chunk: Buffer, _encoding, done) => {
      order.push(`write ${String(chunk).trim()}`);
      done();
    };
    const over = Promise.all([
      new Promise<void>((resolve) => setImmediate(() => resolve(void order.push('immediate')))),
      new Promise<void>((resolve) => setTimeout(() => resolve(void order.push('timer')))),
    ]);
    socket.outbound.next('a');
    order.push('sync');
    await Promise.resolve();
    socket.outbound.next('b');
    await over;
    await turns(2);
    expect(order.slice(0, 2)).to.eql(['sync', 'write a']);
    expect(order).to.have.members(['sync', 'write a', 'immediate', 'timer', 'write b']);
  });

  it('goes with all that were made at the same time', async () => {
    const { socket, stream } = await faked();
    for (let i = 0; i < 1_000; i++) socket.outbound.next('x');
    await turns(2);
    expect(stream.texts).to.eql(['x\n'.repeat(1_000)]);
  });

  for (const [kind, schedule] of Object.entries<(callback: () => void) => void>({
    'immediates of one turn': (callback) => void setImmediate(callback),
    'timers that are due together': (callback) => void setTimeout(callback, 1),
  })) {
    it(`leaves with those of other callbacks: a hundred ${kind} make two writes [S1]`, async () => {
      const { socket, stream } = await faked();
      let called = 0;
      for (let i = 0; i < 100; i++) {
        schedule(() => {
          called++;
          socket.outbound.next(`m${i}`);
        });
      }
      await until(() => called === 100);
      await socket.flush();
      expect(stream.texts.join('')).to.equal(Array.from({ length: 100 }, (_, i) => `m${i}\n`).join(''));
      expect(stream.texts).to.have.lengthOf.at.most(2);
    });
  }

  it('leaves with those of other sockets’ data: what a hundred peers say at once makes two writes a turn [S1]', async () => {
    const { socket, recording, writes } = await wired();
    const peers = await listen((peer) => void peer.resume());
    let now = 0;
    const told = new Set<number>();
    for (let i = 0; i < 100; i++) {
      const peer = kept(net.connect(peers.port, host));
      peer.on('data', () => {
        told.add(now);
        socket.outbound.next('x');
      });
    }
    await peers.socket(99);
    await turns(5);
    const before = writes();
    for (const peer of peers.sockets) peer.write('!');
    await until(() => (now++, recording.text === `open\n${'x\n'.repeat(100)}`));
    expect(recording.text).to.equal(`open\n${'x\n'.repeat(100)}`);
    expect(told.size, 'turns in which they were heard').to.be.below(20);
    expect(writes() - before).to.be.at.most(2 * told.size);
  });

  it('needs no turn of its own when the one before it is awaited', async () => {
    const { socket, writes } = await wired();
    const before = writes();
    const needed = await turnsOf(async () => {
      for (let i = 0; i < 320; i++) await socket.write(`m${i}`);
    });
    expect(writes() - before).to.equal(320);
    expect(needed).to.be.below(30); // others must have their turn too, one in 16 batches
  });

  it('needs none either when the kernel is a stream of ours, and flush() is awaited', async () => {
    const { socket, stream } = await faked();
    const needed = await turnsOf(async () => {
      for (let i = 0; i < 320; i++) {
        socket.outbound.next('x');
        await socket.flush();
      }
    });
    expect(stream.texts).to.have.length(320);
    expect(needed).to.be.below(30);
  });

  it('is not forgotten at the end of a turn in which the connection is lost: the next one has it, in order [S1] [S2]', async () => {
    const { dial, streams } = new FakeDials();
    const reconnect = { initialDelay: 1, maxDelay: 1 };
    const socket = kept(tcpSocket({ host, port: 1, codec: lines(), dial, settle: 0, reconnect }));
    await until(() => socket.stats().epoch === 1);
    await turns(3);
    setImmediate(() => socket.outbound.next('a'));
    setImmediate(() => socket.outbound.next('b'));
    setImmediate(() => streams[0]!.destroy());
    setImmediate(() => socket.outbound.next('c'));
    await until(() => streams.length === 2 && streams[1]!.texts.join('').endsWith('c\n'));
    const all = streams.map(({ texts }) => texts.join(''));
    expect(all[0]).to.equal('a\n');
    expect(all[1]!.replace(/^a\n/, '')).to.equal('b\nc\n');
  });
});

describe('the memory of what is written', () => {
  leavesNothingOpen();

  type Ends = readonly [near: Duplex, far: Duplex | undefined];
  for (const [what, ends] of Object.entries<() => Ends>({
    'a PassThrough': () => [new PassThrough(), undefined],
    'duplexPair()': () => duplexPair(),
  })) {
    it(`is not written over by ${what}, which calls back before it is done with it [S1]`, async () => {
      const [near, far] = ends();
      const socket = kept(tcpSocket({ host, port: 1, codec: lines(), dial: () => near }));
      let sent = '';
      for (let round = 0; round < 10; round++) {
        for (let i = 0; i < 20; i++) {
          sent += `${round}-${i}\n`;
          socket.outbound.next(`${round}-${i}`);
        }
        await turns(2);
      }
      let got = '';
      if (far === undefined) socket.inbound.subscribe((line) => (got += `${line}\n`));
      else far.on('data', (chunk: Buffer) => (got += chunk.toString()));
      await until(() => got.length >= sent.length);
      expect(got).to.equal(sent);
    });
  }
});

describe('a backlog', () => {
  leavesNothingOpen();
  const writeBuffer = { frames: 2_000_000, bytes: 2 ** 30 };

  it('takes as much work a frame to write as it is long or short', async () => {
    const workFor = async (count: number): Promise<number> => {
      let open: (stream: FakeStream) => void = () => undefined;
      const dial = (): Promise<FakeStream> => new Promise((resolve) => (open = resolve));
      const socket = kept(tcpSocket({ host, port: 1, codec: lines(), dial, writeBuffer }));
      let work = 0;
      const undo = [
        tapped(FrameRing.prototype, 'push', () => work++),
        tapped(FrameRing.prototype, 'clear', () => work++),
        tapped(FrameRing.prototype, 'closeGaps', () => (work += count)),
        tapped(Uint8Array.prototype, 'set', () => work++),
        tapped(Buffer.prototype as object, 'subarray', () => work++),
      ];
      try {
        for (let i = 0; i < count; i++) socket.outbound.next('fifteen letters');
        open(new FakeStream());
        await socket.flush();
      } finally {
        for (const each of undo) each();
      }
      expect(socket.stats().framesWritten).to.equal(count);
      socket.destroy();
      return work / count;
    };
    await workFor(100); // leaves a slab spare, from whose beginning the next are encoded
    const [short, long] = [await workFor(20_000), await workFor(40_000)];
    expect(short).to.be.below(3);
    expect(long).to.be.within(short * 0.95, short * 1.05);
  });

  // `SHOWS=full npm test` has a million of them.
  const count = process.env.SHOWS === 'full' ? 1_000_000 : 200_000;
  it(`of ${count} messages that were made in an outage arrives, all of it and in order [S1] [S2]`, async () => {
    const port = await deadPort();
    const reconnect = { initialDelay: 1, maxDelay: 1 };
    const socket = kept(tcpSocket({ host, port, codec: lines(), writeBuffer, reconnect }));
    await until(() => socket.stats().dials > 1);
    for (let i = 0; i < count; i++) socket.outbound.next(String(i).padStart(15, '0'));
    expect(socket.stats()).to.include({ queuedFrames: count, queuedBytes: 16 * count });
    const server = await listen(undefined, port);
    const peer = await server.socket(0);
    let [rest, next, wrong] = ['', 0, ''];
    peer.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString('latin1')).split('\n');
      rest = parts.pop()!;
      for (const part of parts) if (Number(part) !== next++ || part.length !== 15) wrong ||= `${part} for ${next - 1}`;
    });
    await socket.flush();
    await until(() => next === count);
    expect([next, rest, wrong]).to.eql([count, '', '']);
    expect(socket.stats()).to.include({ framesWritten: count, queuedFrames: 0, queuedBytes: 0 });
  }).timeout(60_000);
});

/** Calls this with each call of a method; the returned function ends that. */
function tapped(owner: object, name: string, called: () => void): () => void {
  const own = Object.getOwnPropertyDescriptor(owner, name);
  const original = Reflect.get(owner, name) as (...args: unknown[]) => unknown;
  const value = function (this: unknown, ...args: unknown[]): unknown {
    called();
    return Reflect.apply(original, this, args);
  };
  Object.defineProperty(owner, name, { value, configurable: true, writable: true });
  return () => (own === undefined ? Reflect.deleteProperty(owner, name) : Object.defineProperty(owner, name, own));
}
