/** Rows 44 and 45 of the fault matrix, F16 and F17: replies that are not what they should be, and requests that get none. */
import type * as net from 'node:net';
import { expect } from 'chai';
import { firstValueFrom } from 'rxjs';
import {
  ConnectionLostError,
  correlated,
  FrameError,
  lines,
  OverflowError,
  pipelined,
  RequestTimeoutError,
  tcpSocket,
  type RequestId,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { eachLine } from '../support/each-line.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { memoryWatch } from '../support/memory.js';
import { listen } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const MIB = 1024 * 1024;
const soon: TcpSocketConfig<string, string> = { settle: 0, reconnect: { initialDelay: 1, maxDelay: 2 } };

const BY_ID = {
  assign: (message: string, id: RequestId) => `${String(id)} ${message}`,
  idOf: (frame: string) => (frame.startsWith('*') ? undefined : Number(frame.split(' ')[0])),
};

/** Ids from 1 on. */
function fromOne(): () => number {
  let newest = 0;
  return () => ++newest;
}

const linesTo = (port: number, config: TcpSocketConfig<string, string> = {}) =>
  kept(tcpSocket({ host, port, codec: lines(), ...soon, ...config }));

describe('row 44: replies that are lost, late, doubled, unknown, or come after the timeout', () => {
  leavesNothingOpen();

  it('are counted and given to nobody; whoever was not answered hears so, and nothing is left [S3][S5][S11]', async () => {
    // `lost` is never answered, `late` after its timeout; all others twice, and with a reply that nobody asked for.
    let late = '';
    const { port } = await listen((peer) =>
      eachLine(peer, (line) => {
        if (line.endsWith('lost')) return;
        if (line.endsWith('late')) late = line;
        else peer.write(`${late === '' ? '' : `${late}\n`}${line}\n${line}\n9999 ${line}\nconstructor\n__proto__ x\n`);
      }),
    );
    const socket = linesTo(port);
    const requests = correlated(socket, { ...BY_ID, nextId: fromOne() });
    const others = tape(requests.unsolicited);
    const given = [tape(requests.request('lost', { timeout: 5 })), tape(requests.request('late', { timeout: 5 }))];
    await Promise.all(given.map(({ end }) => end));
    for (const { error, values } of given) {
      expect(error).to.be.instanceOf(RequestTimeoutError);
      expect(values).to.eql([]);
    }
    expect(requests.stats()).to.include({ inFlight: 0, timedOut: 2 });
    expect(await firstValueFrom(requests.request('a'))).to.equal('3 a');
    expect(await firstValueFrom(requests.request('b'))).to.equal('4 b');
    // The second `b`, and what is behind it, are read before this reply.
    expect(await firstValueFrom(requests.request('c'))).to.equal('5 c');
    expect(requests.stats()).to.include({ answered: 3, failed: 2, late: 1, inFlight: 0, waiting: 0, unsolicited: 0 });
    expect(requests.stats().duplicate).to.be.within(4, 5);
    expect(requests.stats().unknown).to.be.within(6, 9);
    expect([others.values, given.map(({ values }) => values)]).to.eql([[], [[], []]]);
  });

  it('leave the id of a request that is over alone: it is not given again while others are', async () => {
    let held = '';
    const { port } = await listen((peer) =>
      eachLine(peer, (line) => {
        if (line.endsWith('late')) held = line;
        else peer.write(`${line}\n`);
        if (line.endsWith('last')) peer.write(`${held}\n`);
      }),
    );
    let id = 0;
    const requests = correlated(linesTo(port), { ...BY_ID, nextId: () => id++ % 16 });
    await outcome(firstValueFrom(requests.request('late', { timeout: 5 })));
    const replies: string[] = [];
    for (let i = 0; i < 15; i++) replies.push(await firstValueFrom(requests.request(i === 14 ? 'last' : `m${i}`)));
    expect(replies.map((reply) => Number(reply.split(' ')[0]))).to.eql(Array.from({ length: 15 }, (_, i) => i + 1));
    expect(await firstValueFrom(requests.request('then'))).to.match(/then$/);
    expect(requests.stats()).to.include({ late: 1, answered: 16 });
  });

  it('keep no more than may wait: one more errs at once, and none is left at the end [S5][S11]', async () => {
    const { port } = await listen((peer) => void peer.resume());
    const socket = linesTo(port);
    const requests = pipelined(socket, { inFlight: 10, waiting: 20, timeout: 0 });
    const given = Array.from({ length: 40 }, (_, i) => tape(requests.request(`m${i}`)));
    expect(given.map(({ error }) => error instanceof OverflowError)).to.eql(
      Array.from({ length: 40 }, (_, i) => i >= 30),
    );
    expect(requests.stats()).to.include({ inFlight: 10, waiting: 20 });
    socket.destroy();
    expect(requests.stats()).to.include({ inFlight: 0, waiting: 0, failed: 40 });
  });
});

describe('row 45: requests that are pending at a loss', () => {
  leavesNothingOpen();

  /** Resets its connection when it has heard so many lines, and says how many connections there were. */
  const resetting = async (after: number) => {
    const heard: string[][] = [];
    const server = await listen((peer, index) => {
      const own: string[] = (heard[index] = []);
      eachLine(peer, (line) => {
        if (own.push(line.split(' ').at(-1)!) === after) peer.resetAndDestroy();
      });
    });
    return { ...server, heard };
  };

  for (const way of ['in order', 'by id'] as const) {
    const make = (socket: ReturnType<typeof linesTo>, config: object) =>
      way === 'in order' ? pipelined(socket, config) : correlated(socket, { ...BY_ID, ...config });

    it(`err once each with the loss, ${way}, and are written to no other connection [S3][S9]`, async () => {
      const { port, heard } = await resetting(3);
      const socket = linesTo(port);
      const errors = tape(socket.errors);
      const requests = make(socket, {});
      const given = ['a', 'b', 'c'].map((message) => tape(requests.request(message)));
      await Promise.all(given.map(({ end }) => end));
      const loss = await errors.at(0);
      expect(loss).to.be.instanceOf(ConnectionLostError).and.to.include({ epoch: 1 });
      expect(given.map(({ error }) => error === loss)).to.eql([true, true, true]);
      expect(requests.stats()).to.include({ failed: 3, resent: 0, inFlight: 0, waiting: 0 });
      const next = tape(socket.connections);
      await next.at(0);
      await turns();
      expect([heard.flat(), errors.values]).to.eql([['a', 'b', 'c'], [loss]]);
    });

    it(`are written again, ${way}, no more often than allowed where they are idempotent [S3]`, async () => {
      const { port, heard } = await resetting(1);
      const socket = linesTo(port);
      const requests = make(socket, { resend: 'always', retryLimit: 2 });
      expect(await outcome(firstValueFrom(requests.request('a')))).to.include({
        code: 'TCP_CONNECTION_LOST',
        epoch: 3,
      });
      expect([heard.flat(), requests.stats().resent]).to.eql([['a', 'a', 'a'], 2]);
    });
  }
});

describe('F16: replies that nobody asked for, twice, of another connection, or to ids that were guessed', () => {
  leavesNothingOpen();

  it('guessed before the request was made: they are nobody’s [S10]', async () => {
    const { port } = await listen((peer) => {
      peer.write(Array.from({ length: 50 }, (_, i) => `${i} guessed\n`).join(''));
      eachLine(peer, (line) => peer.write(`${line}\n`));
    });
    const socket = linesTo(port);
    const frames = tape(socket.inbound);
    const requests = correlated(socket, { ...BY_ID, nextId: fromOne() });
    await frames.at(49);
    expect(await firstValueFrom(requests.request('a'))).to.equal('1 a');
    expect(requests.stats()).to.include({ unknown: 50, answered: 1 });
  });

  it('of a connection that is lost, read after the next one opened: they are stale, in order and by id [S10]', async () => {
    for (const way of ['in order', 'by id'] as const) {
      const { port } = await listen((peer, index) =>
        eachLine(peer, (line) => {
          if (index === 0) peer.end(`${line} old\n`);
          else peer.write(`${line} new\n`);
        }),
      );
      const socket = linesTo(port);
      const config = { resend: 'always' as const };
      const requests =
        way === 'in order' ? pipelined(socket, config) : correlated(socket, { ...BY_ID, ...config, nextId: () => 7 }); // the same id again
      const connections = tape(socket.connections);
      await connections.at(0);
      const release = socket.pause();
      const answer = firstValueFrom(requests.request('a'));
      await connections.at(1);
      release();
      expect(await answer).to.match(/new$/);
      expect(requests.stats()).to.include({ stale: 1, answered: 1, resent: 1 });
    }
  });

  it('whose id throws when it is read: each is told by `errors`, and costs nothing else', async () => {
    const { port } = await listen((peer) => eachLine(peer, (line) => peer.write(`bad\n${line}\nbad\n`)));
    const socket = linesTo(port);
    const errors = tape(socket.errors);
    const idOf = (frame: string): number => {
      if (frame === 'bad') throw new Error('no id');
      return Number(frame.split(' ')[0]);
    };
    const requests = correlated(socket, { ...BY_ID, idOf });
    expect(await firstValueFrom(requests.request('a'))).to.match(/a$/);
    await errors.at(1);
    for (const error of errors.values)
      expect(error).to.be.instanceOf(FrameError).and.to.include({ kind: 'decode', epoch: 1 });
    expect(socket.stats().drops).to.equal(0);
  });

  it('in a flood: memory stays flat, and a request is answered behind it [S5]', async function () {
    this.timeout(60_000);
    const line = `* ${'x'.repeat(98)}\n`;
    const block = Buffer.from(line.repeat(10_000));
    const blocks = 40;
    const { port } = await listen((peer) => {
      let left = blocks;
      const flood = (): void => {
        while (left-- > 0 && peer.write(block));
      };
      peer.on('drain', flood);
      flood();
      eachLine(peer, (asked) => peer.write(`${asked}\n`));
    });
    const socket = linesTo(port);
    const requests = correlated(socket, BY_ID);
    const watch = memoryWatch();
    let frames = 0;
    await new Promise<void>((resolve) => {
      requests.unsolicited.subscribe(() => {
        if (++frames % 40_000 === 0) watch.look();
        if (frames === blocks * 10_000) resolve();
      });
    });
    expect(await firstValueFrom(requests.request('a'))).to.match(/a$/);
    expect(requests.stats().unsolicited).to.equal(blocks * 10_000);
    expect(watch.most, watch.text).to.be.below(12 * MIB); // of 38 MiB
  });
});

describe('F17: a server that answers one request for ever', () => {
  leavesNothingOpen();

  /** Answers `more` with replies without end, and everything else with one. */
  const endless = (peer: net.Socket): void => {
    const block = (line: string): string => `${line.split(' ')[0]!} and more\n`.repeat(1_000);
    eachLine(peer, (line) => {
      if (!line.endsWith('more')) return void peer.write(`${line}\n`);
      const flood = (): void => {
        while (!peer.destroyed && peer.write(block(line)));
      };
      peer.on('drain', flood);
      flood();
    });
  };

  it('is cut off after 100,000 replies where they come in order, and the next request has a connection of its own [S5]', async () => {
    const { port } = await listen(endless);
    const socket = linesTo(port);
    const errors = tape(socket.errors);
    const requests = pipelined(socket);
    let replies = 0;
    const error = await new Promise((resolve) => {
      requests.request('more', { until: () => false }).subscribe({ next: () => replies++, error: resolve });
    });
    expect(replies).to.equal(100_000);
    expect(error).to.be.instanceOf(FrameError).and.to.include({ kind: 'too-large', epoch: 1 });
    expect(await firstValueFrom(requests.request('a'))).to.equal('a');
    expect([errors.values[0] === error, socket.stats().epoch]).to.eql([true, 2]);
  });

  it('is ignored after as many replies as there may be where they have ids: others go on beside it [S5]', async () => {
    const { port } = await listen(endless);
    const socket = linesTo(port);
    const requests = correlated(socket, BY_ID);
    const options = { until: () => false, maxReplies: 5_000 };
    const more = tape(requests.request('more', options));
    await more.end;
    expect([more.values.length, (more.error as FrameError).kind]).to.eql([5_000, 'too-large']);
    expect(await firstValueFrom(requests.request('a'))).to.match(/a$/);
    expect(requests.stats().late).to.be.greaterThan(0);
    expect(socket.stats()).to.include({ drops: 0, epoch: 1 });
    socket.destroy();
  });

  it('is cut off when nobody listens any more, too: its replies are swallowed, but not for ever [S5]', async () => {
    const { port } = await listen(endless);
    const socket = linesTo(port);
    const requests = pipelined(socket);
    const errors = tape(socket.errors);
    await firstValueFrom(requests.request('more', { until: () => false, maxReplies: 3_000 }));
    expect(await errors.at(0)).to.include({ code: 'TCP_FRAME', kind: 'too-large' });
    expect(await firstValueFrom(requests.request('a'))).to.equal('a');
    expect(requests.stats()).to.include({ cancelled: 1, failed: 0, answered: 1, late: 2_999 });
  });
});
