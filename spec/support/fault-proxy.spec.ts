import { once } from 'node:events';
import * as net from 'node:net';
import { expect } from 'chai';
import { faultProxy, type Direction, type FaultProxy, type FaultProxyConfig } from './fault-proxy.js';
import { kept, leavesNothingOpen, turns } from './fixture.js';
import { openHandles, until } from './leaks.js';
import { seededRandom, seeds } from './random.js';
import { echo, listen, neverReading, record, recordingServer, type Recording, type TestServer } from './servers.js';

const MIB = 1024 * 1024;

/** How a plain socket has ended: with a FIN, or with an error. */
interface Ending {
  readonly fin: boolean;
  readonly code: string | undefined;
}

/** A plain client of a port, both of whose halves stay open until it ends its own. */
async function dial(port: number): Promise<net.Socket> {
  const socket = kept(net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }));
  await once(socket, 'connect');
  return socket;
}

/** Resolves at the first sign of the end, a FIN or an error. */
function ending(socket: net.Socket): Promise<Ending> {
  return new Promise((resolve) => {
    socket.once('end', () => resolve({ fin: true, code: undefined }));
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve({ fin: false, code }));
    socket.once('close', () => resolve({ fin: false, code: undefined }));
  });
}

const RESET: Ending = { fin: false, code: 'ECONNRESET' };
const FIN: Ending = { fin: true, code: undefined };

/** One connection through a proxy, with what the far end of a direction has read. */
interface Line {
  readonly proxy: FaultProxy;
  readonly target: TestServer;
  readonly client: net.Socket;
  readonly server: net.Socket;
  /** The end that a direction comes from. */
  readonly from: (direction: Direction) => net.Socket;
  readonly to: (direction: Direction) => net.Socket;
  readonly read: (direction: Direction) => Recording;
}

async function line(config?: FaultProxyConfig): Promise<Line> {
  const target = await listen();
  const proxy = await faultProxy(target.port, config);
  const client = await dial(proxy.port);
  const server = await target.socket(0);
  await proxy.connection(0);
  const recordings = { up: record(server), down: record(client) };
  const ends = { up: [client, server], down: [server, client] } as const;
  return {
    ...{ proxy, target, client, server },
    from: (direction) => ends[direction][0],
    to: (direction) => ends[direction][1],
    read: (direction) => recordings[direction],
  };
}

describe('faultProxy()', () => {
  leavesNothingOpen();

  for (const direction of ['up', 'down'] as const) {
    describe(direction, () => {
      it('passes bytes, then the FIN, and then those of the other direction', async () => {
        const { proxy, from, to, read } = await line();
        const ended = ending(to(direction));
        from(direction).end('abc');
        expect(await ended).to.deep.equal(FIN);
        await proxy.connections[0]!.closed;
        expect(read(direction).text).to.equal('abc');
        expect(proxy.connections[0]![direction]).to.include({ passed: 3, held: 0, discarded: 0 });
      });

      it('passes a RST', async () => {
        const { proxy, from, to } = await line();
        const ended = ending(to(direction));
        from(direction).resetAndDestroy();
        expect(await ended).to.deep.equal(RESET);
        await proxy.connections[0]!.closed;
      });

      for (const size of [4, 5, 6]) {
        for (const then of ['reset', 'fin'] as const) {
          it(`${then}s after exactly 5 bytes, with ${String(size)} written`, async () => {
            const { proxy, from, to, read } = await line();
            const pipe = proxy.connections[0]![direction];
            pipe.faults = { limit: { bytes: 5, then } };
            const [ended, endedAtSource] = [ending(to(direction)), ending(from(direction))];
            from(direction).write('abcdef'.slice(0, size));
            await read(direction).has(Math.min(size, 5));
            if (size < 5) {
              await turns();
              expect(to(direction)).to.include({ destroyed: false, readableEnded: false });
              from(direction).write('e');
            }
            // A RST right behind bytes is a FIN for Node up to 22; at the other end, where none came, it cannot be mistaken.
            const how = await (then === 'fin' ? ended : endedAtSource);
            expect(how).to.deep.equal(then === 'fin' ? FIN : RESET);
            await ended;
            expect(read(direction).text).to.equal('abcde');
            expect(pipe.passed).to.equal(5);
            if (then === 'fin' && size > 5) expect(await until(() => pipe.discarded === 1)).to.be.true;
          });
        }

        it(`stalls after exactly 5 bytes, with ${String(size)} written, until the limit goes`, async () => {
          const { proxy, from, to, read } = await line();
          const pipe = proxy.connections[0]![direction];
          pipe.faults = { limit: { bytes: 5, then: 'stall' } };
          from(direction).write('abcdef'.slice(0, size));
          await read(direction).has(Math.min(size, 5));
          await turns();
          expect(read(direction).text).to.equal('abcdef'.slice(0, Math.min(size, 5)));
          expect(pipe.held).to.equal(Math.max(0, size - 5));
          expect(to(direction).readableEnded).to.be.false;
          from(direction).write('!');
          pipe.faults = {};
          await read(direction).has('!');
          expect(read(direction).text).to.equal(`${'abcdef'.slice(0, size)}!`);
        });
      }

      for (const then of ['reset', 'fin'] as const) {
        it(`${then}s before the first byte with a limit of 0`, async () => {
          const target = await listen();
          const proxy = await faultProxy(target.port, { plan: () => ({ [direction]: { limit: { bytes: 0, then } } }) });
          const client = kept(net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })).resume();
          const ended = ending(client);
          const server = await target.socket(0);
          const endedThere = ending(server.resume());
          const told = direction === 'up' ? endedThere : ended;
          expect(await told).to.deep.equal(then === 'fin' ? FIN : RESET);
          expect(proxy.connections[0]![direction].passed).to.equal(0);
        });
      }

      it('stalls: nothing passes, reading stops, the FIN waits; then all goes on where it stopped', async () => {
        const { proxy, from, to, read } = await line();
        const pipe = proxy.connections[0]![direction];
        proxy.set(direction, { stall: true });
        const big = seededRandom(1).bytes(64 * 1024);
        const all = Buffer.concat(Array.from({ length: 256 }, () => big));
        from(direction).end(all);
        const ended = ending(to(direction));
        // More than the kernels take: what is left shows that the proxy does not read.
        await turns(200);
        expect(read(direction).bytes).to.have.length(0);
        expect(pipe.held).to.be.at.most(128 * 1024);
        expect(from(direction).writableLength).to.be.greaterThan(0);
        proxy.set(direction, {});
        expect(await ended).to.deep.equal(FIN);
        expect(read(direction).bytes.equals(all)).to.be.true;
      });

      it('keeps back pressure when the reader does not read, and holds little itself', async () => {
        const target = await listen(neverReading);
        const proxy = await faultProxy(target.port);
        const client = await dial(proxy.port);
        const server = await target.socket(0);
        const [from, to] = direction === 'up' ? [client, server] : [server, client];
        to.pause();
        const pipe = (await proxy.connection(0))[direction];
        from.write(Buffer.alloc(32 * MIB));
        await turns(500);
        expect(from.writableLength).to.be.greaterThan(0);
        expect(pipe.held).to.be.at.most(128 * 1024);
        const passed = pipe.passed;
        await turns(100);
        expect(pipe.passed).to.equal(passed);
      });

      it('discards what comes in a black hole, its FIN too, and loses nothing after it', async () => {
        const { proxy, from, to, read } = await line();
        const pipe = proxy.connections[0]![direction];
        from(direction).write('before');
        await read(direction).has('before');
        pipe.faults = { blackhole: true };
        from(direction).write('nothing');
        expect(await until(() => pipe.discarded === 7)).to.be.true;
        pipe.faults = {};
        from(direction).write('after');
        await read(direction).has('after');
        expect(read(direction).text).to.equal('beforeafter');
        pipe.faults = { blackhole: true };
        from(direction).end('x');
        expect(await until(() => pipe.discarded === 8)).to.be.true;
        await turns();
        expect(to(direction).readableEnded).to.be.false;
      });

      it('slices down to single bytes, so that the reader gets many chunks', async () => {
        const { proxy, from, to, read } = await line();
        const pipe = proxy.connections[0]![direction];
        proxy.set(direction, { slice: 1 });
        let chunks = 0;
        to(direction).on('data', () => chunks++);
        from(direction).write('x'.repeat(200));
        await read(direction).has(200);
        expect([pipe.passed, pipe.pieces]).to.deep.equal([200, 200]);
        expect(chunks).to.be.greaterThan(1);
      });

      it('slices at the same places for the same seed, at others for another', async () => {
        const cuts = async (seed: number): Promise<number> => {
          const { proxy, from, read } = await line({ seed, plan: () => ({ [direction]: { slice: 9 } }) });
          from(direction).write(Buffer.alloc(300));
          await read(direction).has(300);
          return proxy.connections[0]![direction].pieces;
        };
        const pieces = [await cuts(1), await cuts(2), await cuts(3)];
        expect([await cuts(1), await cuts(2), await cuts(3)]).to.deep.equal(pieces);
        expect(new Set(pieces).size).to.be.greaterThan(1);
        for (const count of pieces) expect(count).to.be.within(34, 299);
      });

      it('is late by the latency and keeps the order under jitter', async () => {
        const { proxy, from, read } = await line();
        const pipe = proxy.connections[0]![direction];
        pipe.faults = { latency: 60_000 };
        from(direction).write('0');
        expect(await until(() => pipe.held === 1)).to.be.true;
        await turns();
        expect([pipe.passed, read(direction).text]).to.deep.equal([0, '']);
        pipe.faults = { latency: 1, jitter: 10 };
        for (let i = 1; i < 10; i++) {
          from(direction).write(String(i));
          await turns(2);
        }
        await read(direction).has(10);
        expect(read(direction).text).to.equal('0123456789');
      });

      it('hands on a hundredth of the bandwidth at a time', async () => {
        const { proxy, from, read } = await line({ plan: () => ({ [direction]: { bandwidth: 100_000 } }) });
        from(direction).write(Buffer.alloc(5_000));
        await read(direction).has(5_000);
        expect(proxy.connections[0]![direction].pieces).to.equal(5);
      });

      it('sends a FIN one way, discards what follows there, and passes the other way on', async () => {
        const { proxy, target, from, to, client, server } = await line();
        expect([from('up'), to('up')]).to.deep.equal([client, server]);
        const connection = proxy.connections[0]!;
        // A plain recording would answer the FIN with a FIN.
        to(direction).removeAllListeners('end');
        const ended = ending(to(direction));
        connection.fin(direction);
        expect(await ended).to.deep.equal(FIN);
        from(direction).write('lost');
        expect(await until(() => connection[direction].discarded === 4)).to.be.true;
        const back = new Promise((resolve) => void from(direction).once('data', resolve));
        to(direction).write('back');
        expect(String(await back)).to.equal('back');
        expect(target.sockets).to.have.length(1);
      });

      it('loses no byte while faults come, change and go', async () => {
        for (const seed of seeds(10)) {
          const random = seededRandom(seed);
          const { proxy, from, to, read } = await line({ seed });
          const bytes = random.bytes(100_000);
          const ended = ending(to(direction));
          for (let at = 0; at < bytes.length;) {
            const next = Math.min(bytes.length, at + random.int(1, 10_000));
            from(direction).write(bytes.subarray(at, next));
            at = next;
            proxy.set(
              direction,
              random.pick([
                ...[{}, { stall: true }, { slice: random.int(1, 50) }, { latency: random.int(0, 2), jitter: 2 }],
                ...[{ bandwidth: 1_000_000 }, { limit: { bytes: next - 1, then: 'stall' as const } }],
              ]),
            );
            await turns(random.int(0, 20));
          }
          proxy.set(direction, {});
          from(direction).end();
          expect(await ended, `SEED=${String(seed)}`).to.deep.equal(FIN);
          expect(read(direction).bytes.equals(bytes), `SEED=${String(seed)}`).to.be.true;
          expect(proxy.connections[0]![direction], `SEED=${String(seed)}`).to.include({ passed: 100_000, held: 0 });
        }
      });
    });
  }

  it('resets both sides at once when idle', async () => {
    const { proxy, client, server } = await line();
    const ended = [ending(client), ending(server)];
    proxy.connections[0]!.reset();
    expect(await Promise.all(ended)).to.deep.equal([RESET, RESET]);
    await proxy.connections[0]!.closed;
  });

  it('resets both sides while both directions are stalled and full', async () => {
    const { proxy, client, server } = await line();
    proxy.set('up', { stall: true });
    proxy.set('down', { stall: true });
    client.write(Buffer.alloc(MIB));
    server.write(Buffer.alloc(MIB));
    await turns();
    const ended = [ending(client), ending(server)];
    proxy.connections[0]!.reset();
    expect((await Promise.all(ended)).map(({ fin }) => fin)).to.deep.equal([false, false]);
  });

  it('sends a FIN both ways when told no direction', async () => {
    const { proxy, client, server } = await line();
    const ended = [ending(client), ending(server)];
    proxy.connections[0]!.fin();
    expect(await Promise.all(ended)).to.deep.equal([FIN, FIN]);
  });

  it('refuses who dials, leaves connections alone, and comes back on the same port', async () => {
    const target = await listen(echo);
    const proxy = await faultProxy(target.port);
    const { port } = proxy;
    const first = await dial(port);
    const heard = record(first);
    await proxy.connection(0);
    proxy.refuse();
    const refused = kept(net.connect(port, '127.0.0.1'));
    expect(await ending(refused)).to.deep.equal({ fin: false, code: 'ECONNREFUSED' });
    first.write('still there');
    await heard.has('still there');
    await proxy.listen();
    await dial(port);
    await proxy.connection(1);
    expect([proxy.port, proxy.accepted]).to.deep.equal([port, 2]);
  });

  for (const [welcome, expected] of [
    ['close', FIN],
    ['reset', RESET],
  ] as const) {
    it(`accepts and ${welcome}s, and the target hears nothing of it`, async () => {
      const target = await recordingServer();
      const proxy = await faultProxy(target.port);
      proxy.welcome = welcome;
      const socket = kept(net.connect({ port: proxy.port, host: '127.0.0.1' })).resume();
      expect(await ending(socket)).to.deep.equal(expected);
      proxy.welcome = 'forward';
      await dial(proxy.port);
      await proxy.connection(0);
      expect([proxy.accepted, target.sockets.length]).to.deep.equal([2, 1]);
    });
  }

  it('resets who dials while the target refuses', async () => {
    const target = await listen();
    const proxy = await faultProxy(target.port);
    await target.close();
    const socket = kept(net.connect({ port: proxy.port, host: '127.0.0.1' })).resume();
    expect(await ending(socket)).to.deep.equal(RESET);
    expect(proxy.connections).to.have.length(0);
  });

  it('gives each connection its own faults', async () => {
    const target = await recordingServer();
    const proxy = await faultProxy(target.port, { plan: (index) => (index === 0 ? { up: { blackhole: true } } : {}) });
    (await dial(proxy.port)).write('first');
    (await dial(proxy.port)).write('second');
    await (await target.recording(1)).has('second');
    const { up } = await proxy.connection(0);
    expect(await until(() => up.discarded === 5)).to.be.true;
    expect((await target.recording(0)).text).to.equal('');
  });

  it('leaves no timer when it is closed with latency and bandwidth at work', async () => {
    const before = openHandles();
    const { proxy, client, server, target } = await line();
    proxy.set('up', { latency: 60_000 });
    proxy.set('down', { bandwidth: 1 });
    client.write('late');
    server.write('slow');
    await until(() => proxy.connections[0]!.up.held === 4 && proxy.connections[0]!.down.held === 3);
    await proxy.close();
    await target.close();
    client.destroy();
    expect(await until(() => openHandles().length <= before.length)).to.be.true;
  });
});
