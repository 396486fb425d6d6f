/** Row 46 of the fault matrix: very many errors. */
import { expect } from 'chai';
import { config as rxjs, exhaustMap } from 'rxjs';
import { FrameError, lines, OverflowError, tcpSocket, type TcpSocket } from '../../lib/index.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { until } from '../support/leaks.js';
import { recordingServer, type Recording } from '../support/servers.js';
import { tape } from '../support/tape.js';

const MANY = 100_000;
const MIB = 1024 * 1024;

describe('row 46: 100,000 errors', () => {
  leavesNothingOpen();

  async function opened(): Promise<{ socket: TcpSocket<string, string>; recording: Recording }> {
    const server = await recordingServer();
    const config = { host: '127.0.0.1', port: server.port, codec: lines(), writeBuffer: { bytes: 1_000 } };
    const socket = kept(tcpSocket(config));
    await socket.write('before');
    return { socket, recording: await server.recording(0) };
  }

  /** Half of them messages that cannot be encoded, half of them messages for which there is no room, each with a payload of its own. */
  function fail(socket: TcpSocket<string, string>): void {
    for (let i = 0; i < MANY; i += 2) {
      socket.outbound.next(`${String(i)}\n`);
      socket.outbound.next(String(i + 1).padStart(1_001, 'x'));
    }
  }

  async function expectAlive({ socket, recording }: Awaited<ReturnType<typeof opened>>): Promise<void> {
    await socket.write('after');
    await recording.has('after\n');
    expect(recording.text).to.equal('before\nafter\n');
    expect(socket.stats()).to.include({ framesRefused: MANY, framesWritten: 2, framesUndelivered: 0, queuedBytes: 0 });
    expect(socket.stats()).to.include({ drops: 0, epoch: 1 });
  }

  it('without a subscriber: the newest 100 are kept without their payload, the others counted, and the socket goes on [S5][S9]', async () => {
    const { socket, recording } = await opened();
    fail(socket);
    expect(socket.stats().errorsDropped).to.equal(MANY - 100);
    const late = tape(socket.errors);
    expect(late.values).to.have.length(100);
    for (const [i, error] of late.values.entries()) {
      expect(error).to.be.instanceOf(i % 2 === 0 ? FrameError : OverflowError);
      expect((error as OverflowError).undelivered).to.be.undefined;
    }
    expect(late.ended).to.be.undefined;
    await expectAlive({ socket, recording });
    expect(socket.stats().errorsDropped, 'those that are kept were heard').to.equal(MANY - 100);
    fail(socket);
    expect(late.values).to.have.length(100 + MANY);
    expect(socket.stats().errorsDropped, 'all of these were heard').to.equal(MANY - 100);
  });

  it('without a subscriber take no memory, however many there are [S5][S9]', async () => {
    const { socket } = await opened();
    fail(socket);
    const before = alive();
    fail(socket);
    const grown = alive() - before;
    console.log(`[figure] row 46: 100,000 more errors that nobody hears: heap ${(grown / MIB).toFixed(1)} MiB more`);
    expect(grown, 'less than the errors alone would take').to.be.below(10 * MIB);
    expect(socket.stats().errorsDropped).to.equal(2 * MANY - 100);
  });

  it('with a subscriber that throws at each: it hears all, so does its sibling, RxJS is told of each throw, and the socket goes on [S9]', async () => {
    const unhandled: unknown[] = [];
    rxjs.onUnhandledError = (error) => unhandled.push(error);
    try {
      const { socket, recording } = await opened();
      const mine = new Error('mine');
      let heard = 0;
      socket.errors.subscribe(() => {
        heard++;
        throw mine;
      });
      const sibling = tape(socket.errors);
      fail(socket);
      expect([heard, sibling.values.length]).to.deep.equal([MANY, MANY]);
      const half = sibling.values.filter((error) => error instanceof FrameError);
      expect([half.length, sibling.ended]).to.deep.equal([MANY / 2, undefined]);
      await expectAlive({ socket, recording });
      expect(socket.stats().errorsDropped).to.equal(0);
      expect(await until(() => unhandled.length === MANY)).to.be.true;
      expect(new Set(unhandled)).to.deep.equal(new Set([mine]));
    } finally {
      rxjs.onUnhandledError = null;
    }
  });

  it('with a subscriber that is slow: nothing waits for it, what it leaves out is its own affair, and a sibling hears all [S5][S9]', async () => {
    const { socket, recording } = await opened();
    const release: (() => void)[] = [];
    const slow = tape(socket.errors.pipe(exhaustMap(() => new Promise<void>((resolve) => release.push(resolve)))));
    const sibling = tape(socket.errors);
    fail(socket);
    expect([slow.values.length, sibling.values.length, release.length]).to.deep.equal([0, MANY, 1]);
    expect(socket.stats().errorsDropped).to.equal(0);
    await expectAlive({ socket, recording });
    release[0]!();
    await slow.at(0);
    expect(slow.ended).to.be.undefined;
    await socket.end();
    expect(sibling.ended).to.equal('completed');
  });
});

function alive(): number {
  for (let i = 0; i < 2; i++) globalThis.gc!(); // what the first finds unused, the second frees
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
