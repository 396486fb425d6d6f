import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as net from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { firstValueFrom } from 'rxjs';
import {
  ClosedError,
  connection,
  lines,
  tcpServer,
  tcpSocket,
  WriteError,
  type TcpError,
  type TcpSocket,
} from '../../lib/index.js';
import { unansweredPort } from '../support/child-server.js';
import { confirmAtOnce, fakeLink } from '../support/fake-link.js';
import { FakeStream, nodeError } from '../support/fake-stream.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { journal, LAST_WORDS } from '../support/journal.js';
import { seededRandom, seeds, type Random } from '../support/random.js';
import { listen, neverReading, sink } from '../support/servers.js';
import { tape } from '../support/tape.js';
import {
  hangs,
  opens,
  refuses,
  virtualSocket,
  virtualTurns,
  type Play,
  type VirtualStage,
} from '../support/virtual-socket.js';
import type { EndingsReport } from './ending.child.js';

const host = '127.0.0.1';
const KIB = 1024;
const MIB = 1024 * KIB;
const MINUTE = 60_000;
const soon = { initialDelay: 1, maxDelay: 1 };

/** Runs a script from its sources in a process of its own; resolves once it has exited by itself. */
async function ranToItsEnd(
  name: string,
  ...args: string[]
): Promise<{ code: number | null; out: string; err: string }> {
  const script = fileURLToPath(new URL(name, import.meta.url));
  const options = ['--no-warnings', '--loader', 'ts-node/esm', script, ...args];
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  const child = spawn(process.execPath, options, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close');
  atEnd(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  const text = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => (text.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text.err += chunk.toString()));
  const [code] = (await closed) as [number | null];
  return { code, ...text };
}

/** A phase of a socket's life in virtual time, at 100 ms. */
interface Phase {
  readonly play: Play;
  readonly settle?: number;
  /** What was queued is written at once. */
  readonly confirms?: boolean;
  /** Done at 50 ms. */
  readonly enter?: (stage: VirtualStage) => void;
  /** Done right after the call that ends the socket. */
  readonly after?: (stage: VirtualStage) => void;
}

const PHASES: Record<string, Phase> = {
  dialling: { play: hangs },
  'in backoff': { play: refuses },
  settling: { play: (dialled, index) => (index === 0 ? refuses : opens)(dialled, index), settle: MINUTE },
  'draining into a kernel that takes nothing': { play: opens },
  'waiting for a peer that never ends': { play: opens, confirms: true },
  'paused, with a frame held and the peer gone': {
    play: opens,
    confirms: true,
    enter: ({ socket, dials }) => {
      socket.pause();
      dials[0]!.link.chunk('held\n');
    },
    after: ({ dials }) => {
      dials[0]!.link.fin();
      dials[0]!.link.lost();
    },
  },
};

describe('row 19: end() and destroy() in each phase', () => {
  leavesNothingOpen();

  it('resolve, with no event after `closed`, and leave a process that exits by itself [S3][S11]', async function () {
    this.timeout(60_000);
    const { code, out, err } = await ranToItsEnd('ending.child.ts', String(await unansweredPort()));
    expect({ code, err }).to.deep.equal({ code: 0, err: '' });
    const { endings, left, warnings } = JSON.parse(out) as EndingsReport;
    expect({ left, warnings }).to.deep.equal({ left: [], warnings: [] });
    expect(endings).to.have.length(2 * 2 * 12 - 2);
    for (const { phase, how, told, queued } of endings) {
      const where = `${phase}, ${how}`;
      const last = [...(/idle|nobody reads/.test(phase) ? [] : ['inbound completed']), ...LAST_WORDS, 'over'];
      expect(told.slice(-last.length), where).to.deep.equal(last);
      expect(
        told.filter((word) => word.startsWith('clos')),
        where,
      ).to.deep.equal(['closing', 'closed']);
      const written = /^open|paused|nobody reads|never ends/.test(phase) ? 'written' : 'unsent';
      expect(queued, where).to.equal(how.includes('queued') ? written : undefined);
    }
  });

  describe('in virtual time', () => {
    virtualTurns();

    for (const [name, { play, settle = 10, confirms = false, enter, after }] of Object.entries(PHASES)) {
      for (const [how, at] of [
        ['end', 800],
        ['destroy', 100],
      ] as const) {
        it(`${how}() ${name} is over ${how === 'end' ? 'exactly at its deadline' : 'at once'}, and leaves no timer [S11]`, () => {
          let told: string[] = [];
          let closedAt = -1;
          const reconnect = { initialDelay: MINUTE, maxDelay: MINUTE, random: () => 1 };
          const end = virtualSocket(
            { settle, reconnect: name === 'settling' ? { random: () => 0 } : reconnect },
            play,
            (stage) => {
              const { socket, now } = stage;
              told = journal(socket);
              socket.status.subscribe({ complete: () => (closedAt = now()) });
              void socket.write('queued');
              stage.at(50, () => enter?.(stage));
              stage.at(100, () => {
                if (how === 'end') void socket.end({ timeout: 700 });
                else socket.destroy();
                after?.(stage);
              });
            },
            () => fakeLink(confirms ? confirmAtOnce : undefined),
          );
          expect([closedAt, end]).to.deep.equal([at, at]);
          expect(told.slice(-LAST_WORDS.length)).to.deep.equal(LAST_WORDS);
          expect(told.filter((word) => word === 'TCP_WRITE')).to.have.length(confirms ? 0 : 1);
        });
      }
    }
  });
});

describe('row 20: end() with a server that never reads', () => {
  leavesNothingOpen();

  /** A fate is what an outcome says of the message. */
  const fateOf = (result: unknown): string => (result instanceof WriteError ? result.fate : String(result));

  it('destroys the connection at its deadline, and what is unwritten gets a WriteError caused by the end [S3][S11]', async () => {
    const server = await listen(neverReading);
    const socket = kept(tcpSocket({ host, port: server.port, writeBuffer: { bytes: 32 * MIB } }));
    const { raw } = await firstValueFrom(socket.connections);
    const undelivered: unknown[] = [];
    socket.errors.subscribe((error: TcpError) => undelivered.push((error as WriteError).undelivered));
    await socket.write('taken by the kernel');
    const messages = [Buffer.alloc(16 * MIB), 'b', 'c'];
    const written = messages.map((message) => outcome(socket.write(message)));
    await turns();
    await socket.end({ timeout: 100 });
    expect(raw.destroyed).to.be.true;
    const results = await Promise.all(written);
    expect(results.map(fateOf)).to.deep.equal(['unknown', 'unsent', 'unsent']);
    for (const [i, result] of results.entries()) {
      expect(result).to.include({ code: 'TCP_WRITE', attempts: i === 0 ? 1 : 0, undelivered: messages[i] });
      expect((result as WriteError).cause).to.be.instanceOf(ClosedError);
    }
    expect(undelivered).to.deep.equal(messages);
    expect(socket.stats()).to.include({
      framesWritten: 1,
      framesUndelivered: 3,
      queuedFrames: 0,
      queuedBytes: 0,
      dials: 1,
    });
    await turns(50);
    expect(undelivered).to.have.length(3);
  });

  it('tells of many small messages which the kernel took, which are in doubt and which never left, in their order [S1][S3]', async () => {
    const server = await listen(neverReading);
    const socket = kept(tcpSocket({ host, port: server.port }));
    await firstValueFrom(socket.connections);
    const written = Array.from({ length: 15 * KIB }, () => outcome(socket.write(Buffer.alloc(KIB))));
    await turns(200);
    await socket.end({ timeout: 100 });
    const fates = (await Promise.all(written)).map(fateOf).join(' ');
    expect(fates).to.match(/^(written )*(unknown ){1,64}(unsent ?)+$/);
    const { framesWritten, framesUndelivered } = socket.stats();
    expect(framesWritten + framesUndelivered).to.equal(15 * KIB);
  });

  it('of a single connection destroys at endTimeout too, and rejects what is unwritten [S3]', async () => {
    const server = await listen(neverReading);
    const live = connection({ host, port: server.port, endTimeout: 100, writeBuffer: { bytes: 32 * MIB } });
    const opened = tape(live);
    atEnd(() => opened.stop());
    const link = await opened.at(0);
    const written = outcome(link.write(Buffer.alloc(16 * MIB)));
    await turns();
    await link.end();
    expect(link.raw.destroyed).to.be.true;
    const lost = await link.closed;
    expect(await written).to.equal(lost);
    expect(lost).to.include({ code: 'TCP_CONNECTION_LOST', clean: false, endedBy: 'us', unconfirmed: 1 });
  });
});

describe('row 21: end() with unread inbound data and 2 MB just written', () => {
  leavesNothingOpen();

  const bytes = seededRandom(21).bytes(2 * MIB);
  const CHUNK = 64 * KIB;
  const pieces = Array.from({ length: bytes.length / CHUNK }, (_, i) => bytes.subarray(i * CHUNK, (i + 1) * CHUNK));

  /** Writes so much that nobody has asked for, and reads once it may. */
  async function talker(unasked: number, mayRead: (peer: net.Socket, wrote: Promise<void>) => Promise<unknown>) {
    const received: Buffer[] = [];
    const server = await listen((peer) => {
      peer.pause();
      const wrote = new Promise<void>((resolve) => void peer.write(Buffer.alloc(unasked), () => resolve()));
      peer.on('data', (chunk: Buffer) => received.push(chunk));
      void mayRead(peer, wrote).then(() => peer.resume());
      peer.once('end', () => peer.end());
    });
    return { port: server.port, received: () => Buffer.concat(received) };
  }

  for (const [what, messages] of [
    ['one message', [bytes]],
    ['many messages', pieces],
  ] as const) {
    it(`of ${what} has the server receive all 2 MB, though nobody here reads [S4][S11]`, async () => {
      const { port, received } = await talker(300 * KIB, async () => undefined);
      const socket = kept(tcpSocket({ host, port }));
      const written = messages.map((message) => outcome(socket.write(message)));
      await socket.end({ timeout: MINUTE });
      expect(new Set(await Promise.all(written))).to.deep.equal(new Set(['written']));
      expect(received().equals(bytes)).to.be.true;
    });

    it(`of ${what} does so too when the server reads only after we began to end [S4][S11]`, async () => {
      let begin = (): void => {};
      const begun = new Promise<void>((resolve) => (begin = resolve));
      const { port, received } = await talker(300 * KIB, () => begun);
      const socket = kept(tcpSocket({ host, port }));
      await firstValueFrom(socket.connections);
      while (socket.stats().heldBytes === 0) await turns(1);
      for (const message of messages) socket.outbound.next(message);
      await turns();
      const ended = socket.end({ timeout: MINUTE });
      await turns();
      expect(received()).to.have.length(0);
      begin();
      await ended;
      expect(received().equals(bytes)).to.be.true;
      expect(socket.stats()).to.include({ framesWritten: messages.length, framesUndelivered: 0, drops: 0 });
    });
  }

  it('does so too when the server reads only once we have taken its 12 MB [S4][S11]', async () => {
    const { port, received } = await talker(12 * MIB, (_peer, wrote) => wrote);
    const socket = kept(tcpSocket({ host, port }));
    await firstValueFrom(socket.connections);
    for (const message of pieces) socket.outbound.next(message);
    await socket.end({ timeout: MINUTE });
    expect(received().equals(bytes)).to.be.true;
    expect(socket.stats()).to.include({ framesWritten: pieces.length, bytesRead: 12 * MIB });
  });

  it('keeps the frames of a reader who holds, has the server receive all, and ends once the hold is released [S4][S6][S11]', async () => {
    const { port, received } = await talker(300 * KIB, async () => undefined);
    const socket = kept(tcpSocket({ host, port }));
    const release = socket.pause();
    let read = 0;
    socket.inbound.subscribe((chunk) => (read += chunk.length));
    for (const message of pieces) socket.outbound.next(message);
    const ended = socket.end({ timeout: MINUTE });
    while (received().length < bytes.length) await turns(1);
    expect(read).to.equal(0);
    release();
    await ended;
    expect(read).to.equal(300 * KIB);
    expect(received().equals(bytes)).to.be.true;
  });
});

describe('row 24: a reset after we started to end', () => {
  leavesNothingOpen();

  /** Resets it, once its FIN is out if it has begun to end: before that Node fails to, and never closes the handle. */
  async function resets(peer: net.Socket): Promise<void> {
    if (peer.writableEnded && !peer.writableFinished && !peer.destroyed) {
      await new Promise((resolve) => peer.once('finish', resolve).once('close', resolve));
    }
    peer.resetAndDestroy();
  }

  /** When the peer resets, of the ending that `begin` starts and that `over` tells the end of. */
  const MOMENTS: Record<
    string,
    (
      peer: net.Socket,
      random: Random,
      ending: { readonly begin: () => void; readonly over: Promise<unknown> },
    ) => Promise<void>
  > = {
    'right before it': async (peer, _random, { begin }) => {
      peer.resetAndDestroy();
      begin();
    },
    'right after it': async (peer, _random, { begin }) => {
      begin();
      peer.resetAndDestroy();
    },
    'some turns later': async (peer, random, { begin }) => {
      begin();
      await turns(random.int(1, 8));
      peer.resetAndDestroy();
    },
    'at the FIN': async (peer, random, { begin, over }) => {
      peer.resume();
      const fin = once(peer, 'end');
      begin();
      await Promise.race([fin, over]);
      await turns(random.int(0, 2));
      peer.resetAndDestroy();
    },
    'after its own FIN': async (peer, random, { begin }) => {
      peer.resume();
      begin();
      peer.end();
      await turns(random.int(0, 4));
      await resets(peer);
    },
    'when all is over': async (peer, random, { begin, over }) => {
      if (random.pick([true, false])) peer.resume();
      peer.once('end', () => peer.end());
      begin();
      await over;
      await resets(peer);
    },
  };

  it('is no uncaught exception: the socket ends, every message has its outcome, nothing is told after `closed`, over 50 seeds [S3][S9][S11]', async () => {
    for (const seed of seeds(50)) {
      const random = seededRandom(seed);
      const [when, reset] = random.pick(Object.entries(MOMENTS));
      const how = random.pick(['end', 'complete', 'end, then destroy', 'destroy'] as const);
      const where = `SEED=${seed}: ${how}, reset ${when}`;
      const server = await listen((peer, index) => {
        if (index > 0)
          sink(peer, index); // what was unwritten is written here
        else if (random.pick([true, false])) peer.write('unread'.repeat(random.int(1, 20_000)));
      });
      const socket = kept(tcpSocket({ host, port: server.port, settle: 0, reconnect: soon, endTimeout: 200 }));
      const told = journal(socket, { reads: random.pick([true, false]) });
      const peer = await server.socket(0);
      await firstValueFrom(socket.connections);
      const sizes = Array.from({ length: random.int(0, 5) }, () => random.pick([1, 1_000, 300_000]));
      const written = sizes.map((size) => outcome(socket.write(Buffer.alloc(size))));
      await turns(random.int(0, 3));
      let begun = (): void => {};
      const beginning = new Promise<void>((resolve) => (begun = resolve));
      const begin = (): void => {
        if (how === 'complete') socket.outbound.complete();
        else if (how !== 'destroy') void socket.end();
        if (how.endsWith('destroy')) socket.destroy();
        begun();
      };
      const over = beginning.then(() => socket.end());
      await reset(peer, random, { begin, over });
      await over;
      await turns();
      expect(told.slice(-LAST_WORDS.length), where).to.deep.equal(LAST_WORDS);
      for (const result of await Promise.all(written)) {
        if (result !== 'written') expect(result, where).to.be.instanceOf(WriteError);
      }
      const { framesWritten, framesUndelivered, queuedFrames } = socket.stats();
      expect([framesWritten + framesUndelivered, queuedFrames], where).to.deep.equal([sizes.length, 0]);
      await server.close();
    }
  });

  it('is no uncaught exception when it comes out of the very destruction of the stream, which then emits an error [S9][S10]', async () => {
    for (const end of [
      (socket: TcpSocket) => socket.destroy(),
      (socket: TcpSocket) => void socket.end({ timeout: 1 }),
      (socket: TcpSocket) => socket.redial(),
    ]) {
      const streams: FakeStream[] = [];
      const dial = (): FakeStream => {
        const stream = new FakeStream();
        stream._final = () => undefined; // its FIN is never out
        stream._destroy = (_error, done) => void setImmediate(() => done(nodeError('ECONNRESET')));
        streams.push(stream);
        return stream;
      };
      const socket = kept(tcpSocket({ dial, settle: 0, reconnect: soon }));
      const told = journal(socket);
      await socket.write('x');
      // No listener for errors here: it would hear them for the library.
      const closed = new Promise<void>((resolve) => streams[0]!.once('close', () => resolve()));
      end(socket);
      await closed;
      await turns();
      expect(told).not.to.include('inbound errored');
      socket.destroy();
      await socket.end();
      expect(told.slice(-LAST_WORDS.length)).to.deep.equal(LAST_WORDS);
    }
  });

  it('is none either for one connection of ours or of a server, over 50 seeds [S9][S11]', async () => {
    for (const seed of seeds(50)) {
      const random = seededRandom(seed);
      const [when, reset] = random.pick(Object.entries(MOMENTS));
      const where = `SEED=${seed}: reset ${when}`;
      const server = tcpServer({ host, codec: lines(), endTimeout: 200 });
      const accepted = tape(server.connections);
      const { port } = await server.listening;
      const peer = kept(net.connect({ port, host, allowHalfOpen: true }));
      peer.on('error', () => undefined);
      const [theirs] = await Promise.all([accepted.at(0), once(peer, 'connect')]);
      for (let i = random.int(0, 3); i > 0; i--) void theirs.write('x'.repeat(random.pick([1, 100_000])));
      const closing = random.pick([() => theirs.end(), () => server.close({ timeout: 200 })]);
      let begun = (): void => {};
      const beginning = new Promise<void>((resolve) => (begun = resolve));
      const begin = (): void => {
        void closing();
        begun();
      };
      const over = beginning.then(() => theirs.closed);
      await reset(peer, random, { begin, over });
      const lost = await over;
      if (lost !== undefined) expect(lost.code, where).to.equal('TCP_CONNECTION_LOST');
      expect(theirs.raw.destroyed, where).to.be.true;
      await server.close();
    }
  });
});
