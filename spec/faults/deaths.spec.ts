/** Rows 41 and 42 of the fault matrix: servers that die, in processes of their own. */
import { expect } from 'chai';
import { ConnectionLostError, FrameError, lines, tcpSocket, type TcpSocket } from '../../lib/index.js';
import { neverAccepting, otherProcess, PLACES } from '../support/child-server.js';
import { kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { recordingServer } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const reconnect = { initialDelay: 20, maxDelay: 50 };
const settle = 0;

describe('row 41: a server that is killed with a full accept queue', () => {
  leavesNothingOpen();

  it('was connected to and never there: the loss is told, what was in flight is written to the next, and whoever waited connects [S2][S4][S8]', async () => {
    const server = await neverAccepting();
    const open = () => kept(tcpSocket({ host, port: server.port, reconnect, settle }));
    const queued = Array.from({ length: PLACES }, open);
    for (const socket of queued) await tape(socket.connections).at(0);
    const waiting = open();
    const written = queued.map((socket) => outcome(socket.write('the kernel takes it')));
    expect(await Promise.all(written)).to.deep.equal(['written', 'written']);
    // More than the kernels take: of this one the server could not have had the end.
    const large = Buffer.alloc(12 * 1024 * 1024, 'large');
    const inFlight = queued.map((socket) => outcome(socket.write(large)));
    const watched = [...queued, waiting].map((socket) => ({
      inbound: tape(socket.inbound),
      errors: tape(socket.errors),
    }));

    await server.kill();
    const losses = await Promise.all(watched.slice(0, PLACES).map(({ errors }) => errors.at(0)));
    const next = await recordingServer(() => false, server.port);
    expect(await Promise.all([...inFlight, outcome(waiting.write('late'))])).to.deep.equal([
      'written',
      'written',
      'written',
    ]);

    for (const loss of losses) {
      expect(loss).to.be.instanceOf(ConnectionLostError);
      expect(loss).to.include({ epoch: 1, clean: false, unconfirmed: 1, answered: false });
    }
    const sizes = [];
    for (let i = 0; i <= PLACES; i++) {
      const recording = await next.recording(i);
      await recording.has(1);
      if (recording.text.startsWith('late')) await recording.has(4);
      else await recording.has(large.length);
      sizes.push(recording.bytes.length);
      expect([large.length, 4]).to.include(recording.bytes.length);
      if (recording.bytes.length > 4) expect(recording.bytes.equals(large), 'whole, from its first byte').to.be.true;
    }
    expect(sizes.sort((a, b) => a - b)).to.deep.equal([4, large.length, large.length]);
    for (const { inbound } of watched) expect(inbound.ended).to.be.undefined;
    for (const socket of queued) expect(socket.stats()).to.include({ drops: 1, epoch: 2, framesWritten: 2 });
    expect(waiting.stats()).to.include({ drops: 0, epoch: 1 });
  });
});

describe('row 42: a server that goes away', () => {
  leavesNothingOpen();

  const roles = ['reading', 'writing', 'idle'] as const;
  const deaths = ['SIGKILL', 'SIGTERM', 'FIN', 'RST'] as const;

  for (const role of roles) {
    for (const death of deaths) {
      it(`by ${death}, the client ${role}: one loss is told, the socket dials again, and inbound goes on [S8][S9]`, async () => {
        const server = await otherProcess<{ busy: true }>('mortal-server', { role });
        const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), reconnect, settle, writeBuffer: 64 }));
        const [inbound, errors, statuses] = [tape(socket.inbound), tape(socket.errors), tape(socket.status)];
        const writer = role === 'writing' ? writeNumbers(socket) : undefined;
        await server.report();
        if (role === 'reading') await inbound.at(100);

        if (death === 'FIN' || death === 'RST') server.tell(death);
        else {
          await server.kill(death);
          await otherProcess('mortal-server', { role: 'echo', port: server.port });
        }
        const next = await tape(socket.connections).first(({ epoch }) => epoch === 2);
        if (role === 'writing') await inbound.first((line) => line.startsWith('0'));
        expect(await writer?.stop()).to.equal(role === 'writing' ? 'written' : undefined);
        await next.write('works');
        await inbound.first((line) => line === 'works');

        expect(inbound.ended).to.be.undefined;
        expectConsecutive(inbound.values.filter((line) => line !== 'works'));
        const told = errors.values.filter(({ code }) => code !== 'TCP_CONNECT');
        const lost = told.pop();
        expect(lost).to.be.instanceOf(ConnectionLostError).and.to.include({ epoch: 1, unread: 0 });
        // Behind bytes that are being read Node 20 takes a reset for a FIN.
        if (death === 'RST' && role !== 'reading') expect(lost).to.include({ clean: false, endedBy: 'peer' });
        if (death === 'FIN' || death === 'SIGTERM') expect(lost).to.include({ clean: true, endedBy: 'peer' });
        if (role !== 'reading') expect(told).to.deep.equal([]);
        for (const cut of told)
          expect(cut).to.be.instanceOf(FrameError).and.to.include({ kind: 'truncated', epoch: 1 });
        expect(told).to.have.length.within(0, 1);
        const types = statuses.values.map(({ type }) => type);
        expect(types.slice(0, 3)).to.deep.equal(['connecting', 'open', 'backoff']);
        expect(types.filter((type) => type === 'open')).to.have.length(2);
        expect(types.at(-1)).to.equal('open');
        expect(socket.stats()).to.include({ drops: 1, epoch: 2, framesUndelivered: 0, framesRefused: 0 });
        await socket.end();
        expect(inbound.ended).to.equal('completed');
      });
    }
  }
});

/** Writes numbered lines until it is stopped, always as many as there is room for. */
function writeNumbers(socket: TcpSocket<string, string>): { stop(): Promise<unknown> } {
  let stopped = false;
  function* numbers(): Generator<string> {
    for (let number = 0; !stopped; number++) yield line(number);
  }
  const written = outcome(socket.writeAll(numbers()));
  return {
    stop: () => {
      stopped = true;
      return written;
    },
  };
}

/** As `mortal-server.mjs` makes them. */
function line(number: number): string {
  return String(number).padStart(1_000, '0');
}

function expectConsecutive(all: readonly string[]): void {
  const first = Number(all[0] ?? 0);
  const wrong = all.findIndex((text, i) => text !== line(first + i));
  expect(wrong, wrong < 0 ? '' : `after ${String(all[wrong - 1]?.length)}: ${String(all[wrong])}`).to.equal(-1);
}
