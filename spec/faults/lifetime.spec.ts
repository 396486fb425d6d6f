import { getEventListeners, once } from 'node:events';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect } from 'chai';
import { timer } from 'rxjs';
import type { LinkEvents } from '../../lib/connection/link.js';
import { lines, tcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { FakeLink } from '../support/fake-link.js';
import { nodeError } from '../support/fake-stream.js';
import { socketFds } from '../support/fds.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { journal, LAST_WORDS } from '../support/journal.js';
import { openHandles, stillAlive, until } from '../support/leaks.js';
import { seededRandom, seeds } from '../support/random.js';
import { deadPort, listen, resetAfter } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { virtualSocket, virtualTurns, type Play, type VirtualStage } from '../support/virtual-socket.js';

const host = '127.0.0.1';
const soon = { initialDelay: 1, maxDelay: 1 };
const collectGarbage = globalThis.gc!;

/** Weak references to all client sockets that this process makes while the spec runs, whoever makes them. */
function socketsMade(): WeakRef<Socket>[] {
  const made: WeakRef<Socket>[] = [];
  const onSocket = (message: unknown): void => {
    made.push(new WeakRef((message as { readonly socket: Socket }).socket));
  };
  subscribe('net.client.socket', onSocket);
  atEnd(() => unsubscribe('net.client.socket', onSocket));
  return made;
}

function heapAfterCollection(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** What this process holds at one moment. */
interface Holding {
  readonly fds: number;
  readonly handles: number;
  readonly heap: number;
  readonly signalListeners: number;
}

function holding(signal: AbortSignal): Holding {
  return {
    fds: socketFds(),
    handles: openHandles().length,
    heap: heapAfterCollection(),
    signalListeners: getEventListeners(signal, 'abort').length,
  };
}

/** Its listeners by event, as one text. */
function listenersOf(socket: Socket): string {
  return socket
    .eventNames()
    .map((name) => `${String(name)} ${socket.listenerCount(name)}`)
    .sort()
    .join(', ');
}

/** A server that resets each connection at its first byte, and remembers none: what is in memory is counted. */
async function resettingServer(): Promise<{ readonly port: number; readonly accepted: () => number }> {
  let accepted = 0;
  const server = createServer((peer) => {
    accepted++;
    peer.on('error', () => undefined);
    resetAfter(peer);
  });
  atEnd(() => new Promise((resolve) => void server.close(resolve)));
  server.listen(0, host);
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, accepted: () => accepted };
}

const kib = (bytes: number): string => (bytes / 1024).toFixed(0);

describe('row 26: many reconnect cycles', function () {
  this.timeout(60_000);
  leavesNothingOpen();

  it('1,000 of them by RST leave descriptors, handles, listeners and heap as they were [S5][S11]', async () => {
    const cycles = 1_000;
    const warm = 200;
    const server = await resettingServer();
    const raws = socketsMade();
    const connections: WeakRef<object>[] = [];
    const shapes = new Set<string>();
    const abort = new AbortController();
    const config = { host, port: server.port, settle: 0, reconnect: soon, retryLimit: Infinity };
    const socket = kept(tcpSocket({ ...config, signal: abort.signal }));
    socket.inbound.subscribe();
    const holdings: Holding[] = [];
    let reached = (): void => {};
    const done = new Promise<void>((resolve) => (reached = resolve));
    socket.connections.subscribe((connection) => {
      connections.push(new WeakRef(connection));
      const { epoch } = connection;
      // Once the server has it too and all is in place: how it listens, what there is, and then the byte that kills it.
      void until(() => server.accepted() >= epoch, Infinity).then(() => {
        shapes.add(listenersOf(connection.raw as Socket));
        if (epoch === warm || epoch === cycles) holdings.push(holding(abort.signal));
        if (epoch >= cycles) reached();
        else void socket.write('x');
      });
    });
    await done;
    const [first, last] = holdings as [Holding, Holding];
    const { drops, dials } = socket.stats();
    const left = { raws: await stillAlive(raws, 1), connections: await stillAlive(connections, 1) };
    socket.destroy();
    const after = { raws: await stillAlive(raws, 0), connections: await stillAlive(connections, 0) };
    console.log(
      `[figure] row 26: ${cycles} cycles by RST: sockets of the kernel ${first.fds} and ${last.fds}, heap ${kib(last.heap - first.heap)} KiB more ` +
        `between cycle ${warm} and ${cycles}, ${left.raws} raw sockets and ${left.connections} connections in memory`,
    );
    expect([drops, dials]).to.deep.equal([cycles - 1, cycles]);
    expect([...shapes], 'listeners of each raw socket').to.have.length(1);
    // Some of the peers' ends may be closing just then.
    expect(last.handles).to.be.at.most(first.handles + 3);
    expect([first.signalListeners, last.signalListeners]).to.deep.equal([1, 1]);
    expect(getEventListeners(abort.signal, 'abort')).to.have.length(0);
    expect(last.fds).to.be.at.most(first.fds + 3);
    // 100 errors are kept for replay, and none of them keeps the socket that it is about.
    expect(tape(socket.errors).values).to.have.length(100);
    expect(Math.max(...Object.values(left)), 'in memory beside the live one').to.be.at.most(3);
    expect(Math.max(...Object.values(after)), 'in memory after the end').to.be.at.most(2);
    expect(last.heap - first.heap).to.be.below(1024 * 1024);
  });

  it('400 dials that fail leave descriptors, handles, listeners and heap as they were [S5][S11]', async () => {
    const dials = 400;
    const warm = 100;
    const raws = socketsMade();
    const port = await deadPort();
    const abort = new AbortController();
    // Two addresses, so that each dial makes attempts with timers of their own.
    const lookup: NonNullable<TcpSocketConfig['socket']>['lookup'] = (_host, options, callback) => {
      const addresses = [host, '127.0.0.2'].map((address) => ({ address, family: 4 }));
      if (options.all === true) callback(null, addresses);
      else callback(null, host, 4);
    };
    const before = socketFds();
    const config = { host: 'dead.invalid', port, socket: { lookup }, reconnect: soon, signal: abort.signal };
    const socket = kept(tcpSocket(config));
    const holdings: Holding[] = [];
    let reached = (): void => {};
    const done = new Promise<void>((resolve) => (reached = resolve));
    socket.status.subscribe((status) => {
      if (status.type !== 'connecting') return;
      if (status.attempt === warm || status.attempt === dials + 1) holdings.push(holding(abort.signal));
      if (status.attempt > dials) reached();
    });
    await done;
    const [first, last] = holdings as [Holding, Holding];
    const errors = tape(socket.errors).values.map(({ code }) => code);
    socket.destroy();
    const left = await stillAlive(raws, 0);
    console.log(
      `[figure] row 26: ${dials} failed dials: sockets of the kernel ${first.fds} and ${last.fds}, heap ${kib(last.heap - first.heap)} KiB more ` +
        `between dial ${warm} and ${dials}, ${left} raw sockets in memory`,
    );
    expect(raws.length).to.equal(dials + 1);
    expect(new Set(errors)).to.deep.equal(new Set(['TCP_CONNECT']));
    // Some of the peers' ends may be closing just then.
    expect(last.handles).to.be.at.most(first.handles + 3);
    expect([first.signalListeners, last.signalListeners]).to.deep.equal([1, 1]);
    expect(getEventListeners(abort.signal, 'abort')).to.have.length(0);
    expect(last.fds).to.be.at.most(before + 3);
    expect(left).to.be.at.most(2);
    expect(last.heap - first.heap).to.be.below(1024 * 1024);
  });
});

/** A link that goes on talking after its end, as none may. */
class GhostLink extends FakeLink {
  #ghost: LinkEvents | undefined;

  override listen(events: LinkEvents): void {
    this.#ghost = events;
    super.listen(events);
  }

  get ghost(): LinkEvents {
    return this.#ghost!;
  }
}

/** Everything that can come late of a link. */
const LATE: Record<string, (link: GhostLink) => void> = {
  'a chunk with a frame': ({ ghost }) => ghost.chunk(Buffer.from('late\n')),
  'a chunk with half a frame': ({ ghost }) => ghost.chunk(Buffer.from('la')),
  'a chunk that no codec takes': ({ ghost }) => ghost.chunk(Buffer.alloc(2 * 1024 * 1024, 'x')),
  'a FIN': ({ ghost }) => ghost.fin(),
  'a loss': ({ ghost }) => ghost.lost(undefined),
  'a loss with an error': ({ ghost }) => ghost.lost(nodeError('ECONNRESET')),
  'a FIN and a loss': ({ ghost }) => {
    ghost.fin();
    ghost.lost(undefined);
  },
  'the success of each write': ({ writes }) => writes.forEach(({ done }) => done(null)),
  'the success of each write, from a link that denies its end': (link) => {
    link.destroyed = false;
    for (const { done } of link.writes) done(null);
  },
  'the failure of each write': ({ writes }) => writes.forEach(({ done }) => done(nodeError('EPIPE'))),
};

/** How a link is given up. */
const GIVEN_UP: Record<string, (stage: VirtualStage) => void> = {
  'lost by a reset': ({ dials }) => dials[0]!.link.lost(nodeError('ECONNRESET')),
  'ended by its peer': ({ dials }) => {
    dials[0]!.link.fin();
    dials[0]!.link.lost();
  },
  'given up by redial()': ({ socket }) => socket.redial(),
  'given up by a write that failed': ({ dials }) => dials[0]!.link.fail(nodeError('EPIPE')),
};

describe('row 27: late news of an old link', () => {
  describe('in virtual time', () => {
    virtualTurns();

    for (const [how, giveUp] of Object.entries(GIVEN_UP)) {
      it(`that was ${how} changes nothing, whatever comes and whenever: in the wait, while dialling, settling, open, closing, closed [S3][S10]`, () => {
        for (const [what, late] of Object.entries(LATE)) {
          const links: GhostLink[] = [];
          const makeLink = (): GhostLink => {
            links.push(new GhostLink());
            return links.at(-1)!;
          };
          const play: Play = (dialled, index) => {
            if (index === 0) dialled.open();
            else timer(60).subscribe(() => dialled.open());
          };
          virtualSocket(
            { settle: 20 },
            play,
            (stage) => {
              const { socket, at } = stage;
              const told = journal(socket);
              for (const message of ['a', 'b']) void socket.write(message);
              at(10, () => giveUp(stage));
              // Given up at 10; redialled at once or at 60; open 60 ms after that, and written to 20 ms later.
              for (const ms of [11, 40, 65, 75, 125, 145, 200]) {
                at(ms, () => {
                  const before = {
                    stats: socket.stats(),
                    told: [...told],
                    writes: links.map(({ texts }) => texts.length),
                  };
                  late(links[0]!);
                  const after = {
                    stats: socket.stats(),
                    told: [...told],
                    writes: links.map(({ texts }) => texts.length),
                  };
                  expect(after, `${what} at ${ms} ms`).to.deep.equal(before);
                });
              }
              at(210, () => {
                expect(links[1]!.texts, what).to.deep.equal(['a\n']); // the oldest goes alone
                links[1]!.chunk('fresh\n');
                links[1]!.confirm(1);
              });
              at(220, () => {
                links[1]!.confirm(1);
                expect(
                  told.filter((word) => word === 'frame'),
                  what,
                ).to.have.length(1);
                expect(socket.stats(), what).to.include({
                  framesWritten: 2,
                  framesRetried: 2,
                  framesRead: 1,
                  drops: 1,
                  epoch: 2,
                });
                void socket.end({ timeout: 50 });
                late(links[0]!);
              });
              at(300, () => {
                const { length } = told;
                expect(told.slice(-LAST_WORDS.length), what).to.deep.equal(LAST_WORDS);
                for (const link of links) late(link);
                expect(told.length, what).to.equal(length);
              });
            },
            makeLink,
          );
        }
      });
    }
  });

  describe('on real sockets', () => {
    leavesNothingOpen();

    it('mixes nothing of two connections, over 50 seeds of the moment at which one is given up [S1][S3][S7][S10]', async () => {
      for (const seed of seeds(50)) {
        const [random, talks] = [seededRandom(seed), seededRandom(seed + 1_000)];
        const where = `SEED=${seed}`;
        const received: string[] = [];
        let talking = true;
        const server = await listen((peer, index) => {
          received.push('');
          peer.on('data', (chunk: Buffer) => (received[index] = (received[index] ?? '') + chunk.toString('latin1')));
          let number = 0;
          const talk = (): void => {
            if (peer.destroyed || peer.writableEnded || !talking) return;
            // Cut at any byte, so that a connection given up leaves half a frame.
            const text = `${index}:${number++}:${'.'.repeat(talks.int(0, 3_000))}\n`;
            const cut = talks.int(0, text.length);
            peer.write(text.slice(0, cut));
            peer.write(text.slice(cut), () => setImmediate(talk));
          };
          talk();
          peer.once('end', () => peer.end());
        });
        const config = { host, port: server.port, codec: lines(), settle: 0, reconnect: soon, retryLimit: Infinity };
        const socket = kept(tcpSocket<string, string>(config));
        const [frames, connections] = [tape(socket.inbound), tape(socket.connections)];
        const written: Promise<unknown>[] = [];
        for (let round = 0; round < 4; round++) {
          const connection = await connections.at(round);
          for (let i = random.int(1, 20); i > 0; i--) {
            written.push(outcome(socket.write(`${written.length} ${'-'.repeat(random.int(0, 2_000))}`)));
          }
          await turns(random.int(0, 6));
          const peer = await server.socket(round);
          const how = random.pick(['redial', 'destroy', 'reset', 'fin'] as const);
          if (how === 'redial') socket.redial();
          else if (how === 'destroy') connection.destroy();
          else if (how === 'reset') peer.resetAndDestroy();
          else peer.end();
        }
        await connections.at(4);
        await socket.flush();
        talking = false;
        await socket.end();
        expect(new Set(await Promise.all(written)), where).to.deep.equal(new Set(['written']));
        expectInOrder(frames.values, where);
        // Each connection was written whole messages in order, each beginning where the one before had not been confirmed.
        for (const text of received) {
          const numbers = text
            .split('\n')
            .slice(0, -1)
            .map((line) => Number(/^(\d+) -*$/.exec(line)?.[1]));
          expect(numbers, where).to.deep.equal(numbers.map((_, i) => numbers[0]! + i));
        }
        const { epoch, drops, framesWritten } = socket.stats();
        expect([epoch, drops, framesWritten], where).to.deep.equal([5, 4, written.length]);
        await server.close();
      }
    });
  });

  /** Frames `connection:number:dots`: whole ones, no connection after a later one, none left out within a connection. */
  function expectInOrder(frames: readonly string[], where: string): void {
    let [connection, number] = [-1, -1];
    for (const frame of frames) {
      const [, c, n] = /^(\d+):(\d+):\.*$/.exec(frame) ?? [];
      expect(c, `${where}: a frame of one connection alone`).to.be.a('string');
      if (Number(c) === connection) expect(Number(n), where).to.equal(number + 1);
      else {
        expect(Number(c), where).to.be.above(connection);
        expect(Number(n), where).to.equal(0);
      }
      [connection, number] = [Number(c), Number(n)];
    }
    expect(frames.length, where).to.be.above(0);
  }
});
