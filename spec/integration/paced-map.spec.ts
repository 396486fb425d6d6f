import { expect } from 'chai';
import { firstValueFrom, map, NEVER, Subject, take, throwError } from 'rxjs';
import { lines, pacedMap, tcpSocket, type TcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { collect, eventually, live, peers, settled, SOON, turns, type Peers } from '../support/peers.js';

/** Work that waits until the spec finishes it, piece by piece. */
function workshop() {
  const started: string[] = [];
  const pending = new Map<string, Subject<string>>();
  return {
    started,
    get running() {
      return pending.size;
    },
    project: (value: string): Subject<string> => {
      const work = new Subject<string>();
      started.push(value);
      pending.set(value, work);
      return work;
    },
    finish: (value: string): void => {
      const work = pending.get(value)!;
      pending.delete(value);
      work.next(`did ${value}`);
      work.complete();
    },
    fail: (value: string, error: unknown): void => {
      const work = pending.get(value)!;
      pending.delete(value);
      work.error(error);
    },
  };
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

describe('pacedMap on a socket', () => {
  const { serve, track } = peers();
  let server: Peers;

  beforeEach(async () => {
    server = await serve();
  });

  async function opened(config: TcpSocketConfig<string, string> = {}) {
    const socket: TcpSocket<string, string> = track(
      tcpSocket({ port: server.port, codec: lines(), reconnect: SOON, settle: 0, ...config }),
    );
    return { socket, peer: await server.accepted() };
  }

  const holds = (socket: TcpSocket<string, string>): number => socket.stats().holds;

  it('gives the results in order, one piece of work at a time [S6]', async () => {
    const { socket, peer } = await opened({ readBuffer: 10 });
    let running = 0;
    let most = 0;
    const work = async (line: string): Promise<string> => {
      most = Math.max(most, ++running);
      await turns(1);
      running--;
      return line;
    };
    const all = collect(socket.inbound.pipe(pacedMap(socket, work)));
    await peer.send(`${numbers(500).join('\n')}\n`);
    expect(await all.reach(500)).to.eql(numbers(500));
    expect(most).to.equal(1);
    expect(holds(socket)).to.equal(0);
  });

  it('holds at readBuffer values, releases at half of it, and never has more [S5][S6]', async () => {
    const { socket, peer } = await opened({ readBuffer: 4 });
    const work = workshop();
    const all = collect(socket.inbound.pipe(pacedMap(socket, work.project)));
    await peer.send(`${numbers(12).join('\n')}\n`);
    await eventually(() => holds(socket) === 1);
    await turns();
    // 4 reached it, 0 are finished
    expect([socket.stats().framesRead, holds(socket), work.started]).to.eql([4, 1, ['0']]);
    work.finish('0');
    await turns();
    expect([socket.stats().framesRead, holds(socket)]).to.eql([4, 1]);
    work.finish('1');
    // 2 pending: released, and filled up again
    await eventually(() => socket.stats().framesRead === 6);
    await turns();
    expect([socket.stats().framesRead, holds(socket)]).to.eql([6, 1]);
    for (const value of numbers(12).slice(2)) {
      await eventually(() => work.started.includes(value));
      expect(socket.stats().framesRead - all.values.length).to.be.at.most(4);
      work.finish(value);
    }
    expect(await all.reach(12)).to.eql(numbers(12).map((value) => `did ${value}`));
    expect(holds(socket)).to.equal(0);
  });

  it('slows the server down: what it cannot take stays in the kernel [S5][S6]', async () => {
    const { socket, peer } = await opened({ readBuffer: 10 });
    const work = workshop();
    collect(socket.inbound.pipe(pacedMap(socket, work.project)));
    const line = `${'x'.repeat(1023)}\n`;
    for (let i = 0; i < 64; i++) peer.raw.write(line.repeat(1024));
    const left = await settled(() => peer.raw.writableLength);
    expect(left).to.be.greaterThan(16 * 1024 * 1024);
    const { framesRead, bytesRead, heldBytes } = socket.stats();
    expect(framesRead).to.equal(10);
    expect(bytesRead).to.be.at.most(2 * 64 * 1024);
    expect(heldBytes).to.be.at.most(64 * 1024);
  });

  it('runs as many at a time as it is told, and gives results in the order of completion', async () => {
    const { socket, peer } = await opened();
    const work = workshop();
    const all = collect(socket.inbound.pipe(pacedMap(socket, work.project, 3)));
    await peer.send('a\nb\nc\nd\ne\n');
    await eventually(() => socket.stats().framesRead === 5);
    expect([work.started, work.running]).to.eql([['a', 'b', 'c'], 3]);
    work.finish('b');
    expect([work.started, work.running]).to.eql([['a', 'b', 'c', 'd'], 3]);
    work.finish('d');
    work.finish('a');
    work.finish('c');
    work.finish('e');
    expect(all.values).to.eql(['did b', 'did d', 'did a', 'did c', 'did e']);
  });

  it('gives the hold back when it is unsubscribed, and what is left goes to the next subscriber [S6]', async () => {
    const { socket, peer } = await opened({ readBuffer: 2 });
    const work = workshop();
    const all = collect(socket.inbound.pipe(pacedMap(socket, work.project)));
    await peer.send('a\nb\nc\nd\n');
    await eventually(() => holds(socket) === 1);
    all.stop();
    expect(holds(socket)).to.equal(0);
    await turns();
    expect(work.started).to.eql(['a']);
    expect(await firstValueFrom(socket.inbound)).to.equal('c');
  });

  it('unsubscribes the work that runs when it is unsubscribed', async () => {
    const { socket, peer } = await opened();
    const work = new Subject<string>();
    const all = collect(socket.inbound.pipe(pacedMap(socket, () => work)));
    await peer.send('a\n');
    await eventually(() => work.observed);
    all.stop();
    expect(work.observed).to.equal(false);
  });

  it('passes an error of the work on, gives the hold back, and leaves the socket alive [S9]', async () => {
    const { socket, peer } = await opened({ readBuffer: 2 });
    const errors = collect(socket.errors);
    const work = workshop();
    const all = collect(socket.inbound.pipe(pacedMap(socket, work.project)));
    await peer.send('a\nb\nc\n');
    await eventually(() => holds(socket) === 1);
    const reason = new Error('no disk');
    work.fail('a', reason);
    expect(all.end).to.eql({ error: reason });
    expect(holds(socket)).to.equal(0);
    expect(await firstValueFrom(socket.inbound)).to.equal('c');
    expect((await firstValueFrom(socket.status)).type).to.equal('open');
    await socket.write('alive');
    await peer.heard('alive\n');
    expect([errors.values, server.count]).to.eql([[], 1]);
  });

  it('passes on what project throws, or answers with an error, and leaves the socket alive [S9]', async () => {
    const { socket, peer } = await opened();
    const reason = new Error('cannot');
    const projects = [
      (): never => {
        throw reason;
      },
      () => throwError(() => reason),
      () => Promise.reject(reason),
    ];
    for (const project of projects) {
      const all = collect(socket.inbound.pipe(pacedMap(socket, project)));
      await peer.send('a\n');
      await all.ended;
      expect(all.end).to.eql({ error: reason });
    }
    expect((await firstValueFrom(socket.status)).type).to.equal('open');
    expect(holds(socket)).to.equal(0);
  });

  it('completes when the stream has ended and all work is done, and holds nothing then', async () => {
    const { socket, peer } = await opened({ reconnect: false, readBuffer: 2 });
    const work = workshop();
    const all = collect(socket.inbound.pipe(pacedMap(socket, work.project)));
    const closed = socket.connections.subscribe();
    track(closed);
    await peer.send('a\nb\n');
    await eventually(() => holds(socket) === 1);
    peer.fin();
    await peer.closed;
    expect(all.end).to.equal(undefined);
    work.finish('a');
    work.finish('b');
    await all.ended;
    expect([all.values, all.end]).to.eql([['did a', 'did b'], {}]);
    expect(holds(socket)).to.equal(0);
  });

  it('passes the error on that ends the stream, and holds nothing then', async () => {
    const { socket, peer } = await opened({ readBuffer: 1 });
    const all = collect(socket.inbound.pipe(pacedMap(socket, () => NEVER)));
    await peer.send('a\nb\n');
    await eventually(() => holds(socket) === 1);
    const reason = new Error('enough');
    socket.destroy(reason);
    await all.ended;
    expect(all.end).to.eql({ error: reason });
    expect(holds(socket)).to.equal(0);
  });

  it('sets the pace for all: the slowest of several decides [S6]', async () => {
    const { socket, peer } = await opened({ readBuffer: 2 });
    const slow = workshop();
    const fast = collect(socket.inbound.pipe(pacedMap(socket, async (line) => line)));
    collect(socket.inbound.pipe(pacedMap(socket, slow.project)));
    await peer.send('a\nb\nc\nd\n');
    await fast.reach(2);
    await turns();
    expect(fast.values).to.eql(['a', 'b']);
    slow.finish('a');
    await fast.reach(3);
    await turns();
    expect(fast.values).to.eql(['a', 'b', 'c']);
  });

  it('takes synchronous operators before it, and any other after it', async () => {
    const { socket, peer } = await opened({ readBuffer: 2 });
    const all = collect(
      socket.inbound.pipe(
        map((line) => Number(line)),
        pacedMap(socket, async (n) => n * 2),
        take(50),
      ),
    );
    await peer.send(`${numbers(60).join('\n')}\n`);
    await all.ended;
    expect(all.values).to.eql(numbers(50).map((n) => Number(n) * 2));
    expect(holds(socket)).to.equal(0);
  });

  it('goes on over a loss, in order [S6]', async () => {
    const { socket, peer } = await opened({ readBuffer: 2 });
    const work = workshop();
    const all = collect(socket.inbound.pipe(pacedMap(socket, work.project)));
    const { closed } = await live(socket);
    await peer.send('a\nb\nc\nd\n');
    await eventually(() => holds(socket) === 1);
    peer.reset();
    await closed;
    await (await server.accepted()).send('e\n');
    for (const value of ['a', 'b', 'c', 'd', 'e']) {
      await eventually(() => work.started.includes(value));
      work.finish(value);
    }
    expect(all.values).to.eql(['did a', 'did b', 'did c', 'did d', 'did e']);
  });

  it('survives ten thousand pieces of work that finish at once', async () => {
    const { socket, peer } = await opened();
    const all = collect(socket.inbound.pipe(pacedMap(socket, (line) => [line])));
    await peer.send(`${numbers(10_000).join('\n')}\n`);
    expect(await all.reach(10_000)).to.eql(numbers(10_000));
  });
});
