import { once } from 'node:events';
import { expect } from 'chai';
import { FrameError, lines, OverflowError, tcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { FakeDials, FakeStream, nodeError } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { deadPort, listen, neverReading, recordingServer, resetAfter } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const KIB = 1024;
const MIB = 1024 * KIB;
const never: Pick<TcpSocketConfig, 'reconnect'> = { reconnect: { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 } };

/** A socket that has no connection for as long as the spec runs. */
async function down(config: TcpSocketConfig) {
  return kept(tcpSocket({ host, port: await deadPort(), ...never, ...config }));
}

describe('the write buffer', () => {
  leavesNothingOpen();

  it('refuses the newest when its frames are full, each with its OverflowError [S5]', async () => {
    const socket = await down({ writeBuffer: 3 });
    const errors = tape(socket.errors);
    const outcomes = ['a', 'b', 'c', 'd', 'e'].map((message) => outcome(socket.write(message)));
    const refused = await Promise.all(outcomes.slice(3));
    for (const [i, error] of refused.entries()) {
      expect(error).to.be.instanceOf(OverflowError).and.to.include({ fate: 'unsent', undelivered: 'de'[i] });
    }
    const overflows = errors.values.filter((error) => error instanceof OverflowError);
    expect(overflows).to.deep.equal(refused);
    expect(socket.stats()).to.include({ queuedFrames: 3, queuedBytes: 3, framesRefused: 2 });
  });

  it('refuses the newest when its bytes are full, and takes a smaller one [S5]', async () => {
    const socket = await down({ writeBuffer: { bytes: 10 } });
    void socket.write('12345678');
    expect(await outcome(socket.write('123'))).to.be.instanceOf(OverflowError);
    void socket.write('12');
    expect(socket.stats()).to.include({ queuedFrames: 2, queuedBytes: 10 });
    void socket.write('');
    expect(socket.stats()).to.include({ queuedFrames: 3, queuedBytes: 10 });
  });

  it('counts bytes as encoded [S5]', async () => {
    const socket = kept(
      tcpSocket({ host, port: await deadPort(), ...never, codec: lines(), writeBuffer: { bytes: 8 } }),
    );
    void socket.write('€€');
    expect(socket.stats().queuedBytes).to.equal(7);
    expect(await outcome(socket.write('x'))).to.be.instanceOf(OverflowError);
    void socket.write('');
    expect(socket.stats().queuedBytes).to.equal(8);
  });

  for (const overflow of ['dropNewest', 'dropOldest'] as const) {
    it(`always refuses a message that is larger than all of it, and evicts nobody for it, with ${overflow} [S5]`, async () => {
      const socket = await down({ writeBuffer: { frames: 2, bytes: 4 }, overflow });
      void socket.write('a');
      expect(await outcome(socket.write('12345'))).to.include({
        code: 'TCP_OVERFLOW',
        fate: 'unsent',
        undelivered: '12345',
      });
      expect(socket.stats()).to.include({ queuedFrames: 1, framesRefused: 1, framesUndelivered: 0 });
    });
  }

  it('evicts the oldest with dropOldest, as many as it takes, and keeps the order of the rest [S5][S1]', async () => {
    const port = await deadPort();
    const socket = kept(
      tcpSocket({
        ...{ host, port, settle: 0, writeBuffer: { frames: 4, bytes: 10 }, overflow: 'dropOldest' },
        reconnect: { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 },
      }),
    );
    const errors = tape(socket.errors);
    await errors.at(0);
    const outcomes = ['a', 'b', 'cc', 'd', 'e', '666666'].map((message) => outcome(socket.write(message)));
    const evicted = errors.values.slice(1) as OverflowError[];
    expect(evicted.map(({ undelivered }) => undelivered)).to.deep.equal(['a', 'b']);
    expect(evicted.map(({ fate }) => fate)).to.deep.equal(['unsent', 'unsent']);
    expect(await Promise.all(outcomes.slice(0, 2))).to.deep.equal(evicted);
    expect(socket.stats()).to.include({ framesUndelivered: 2, framesRefused: 0, queuedFrames: 4, queuedBytes: 10 });
    const server = await recordingServer(undefined, port);
    socket.redial();
    const recording = await server.recording(0);
    await recording.has(10);
    expect(recording.text).to.equal('ccde666666');
    expect(await Promise.all(outcomes.slice(2))).to.deep.equal(Array(4).fill('written'));
  });

  it('evicts nothing that is in flight, and refuses the newest when that leaves no room [S5]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ dial: dials.dial, writeBuffer: 3, overflow: 'dropOldest' }));
    const errors = tape(socket.errors);
    await tape(socket.status).first(({ type }) => type === 'open');
    for (const frame of ['a', 'b']) socket.outbound.next(frame);
    await turns(2);
    expect(socket.stats().inFlightFrames).to.equal(2);
    for (const frame of ['c', 'd']) socket.outbound.next(frame);
    expect(errors.values.map((error) => (error as OverflowError).undelivered)).to.deep.equal(['c']);
    dials.streams[0]!.writes[0]!.done();
    await turns(2);
    expect(dials.streams[0]!.texts).to.deep.equal(['ab', 'd']);
    for (const frame of ['e', 'f', 'g']) socket.outbound.next(frame);
    expect(errors.values.slice(1).map((error) => (error as OverflowError).undelivered)).to.deep.equal(['e']);
    expect(socket.stats().queuedFrames).to.equal(3);
  });

  it('refuses the newest with dropOldest while everything is in flight [S5]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ dial: dials.dial, writeBuffer: 1, overflow: 'dropOldest' }));
    await tape(socket.status).first(({ type }) => type === 'open');
    socket.outbound.next('a');
    await turns(2);
    expect(await outcome(socket.write('b'))).to.include({ code: 'TCP_OVERFLOW', fate: 'unsent', undelivered: 'b' });
    expect(socket.stats()).to.include({ framesRefused: 1, framesUndelivered: 0, queuedFrames: 1 });
  });

  it('evicts with fate "unknown" what a lost connection had [S5][S3]', async () => {
    const server = await listen((socket) => resetAfter(socket));
    const huge = Buffer.alloc(12 * MIB);
    const config: TcpSocketConfig = { writeBuffer: { frames: 2, bytes: 2 * huge.length }, overflow: 'dropOldest' };
    const socket = kept(tcpSocket({ host, port: server.port, ...never, ...config }));
    const first = outcome(socket.write(huge));
    const second = outcome(socket.write('never handed over'));
    await tape(socket.status).first(({ type }) => type === 'backoff');
    void socket.write('c');
    void socket.write('d');
    expect(await first)
      .to.be.instanceOf(OverflowError)
      .and.to.include({ fate: 'unknown', undelivered: huge });
    expect(await second).to.include({ fate: 'unsent' });
  });

  it('counts what is in flight until its outcome [S5]', async () => {
    const server = await listen(neverReading);
    const socket = kept(tcpSocket({ host, port: server.port, writeBuffer: { bytes: 13 * MIB } }));
    void socket.write(Buffer.alloc(12 * MIB));
    await once(await server.socket(0), 'readable');
    expect(socket.stats()).to.include({ inFlightFrames: 1, queuedFrames: 1, queuedBytes: 12 * MIB });
    expect(await outcome(socket.write(Buffer.alloc(2 * MIB)))).to.be.instanceOf(OverflowError);
  });

  it('tells by `writable` when it is full and when there is room again [S5]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ dial: dials.dial, writeBuffer: 2 }));
    const writable = tape(socket.writable);
    expect(writable.values).to.deep.equal([true]);
    socket.outbound.next('a');
    socket.outbound.next('b');
    expect(writable.values).to.deep.equal([true, false]);
    expect(tape(socket.writable).values).to.deep.equal([false]);
    await tape(socket.status).first(({ type }) => type === 'open');
    await turns(2);
    dials.streams[0]!.writes[0]!.done();
    expect(await writable.at(2)).to.be.true;
    socket.destroy();
    expect(writable.ended).to.equal('completed');
  });

  it('holds 100,000 frames and 16 MiB by default [S5]', async () => {
    const byFrames = await down({});
    for (let i = 0; i < 100_002; i++) byFrames.outbound.next('');
    expect(byFrames.stats()).to.include({ queuedFrames: 100_000, framesRefused: 2 });
    const byBytes = await down({});
    const megabyte = Buffer.alloc(MIB);
    for (let i = 0; i < 18; i++) byBytes.outbound.next(megabyte);
    expect(byBytes.stats()).to.include({ queuedBytes: 16 * MIB, framesRefused: 2 });
  });

  it('does not grow with the length of an outage, nor do the errors [S5]', async () => {
    const socket = await down({ writeBuffer: { frames: 50 }, overflow: 'dropOldest', errorBuffer: 10 });
    for (let i = 0; i < 10_000; i++) socket.outbound.next(String(i));
    expect(socket.stats()).to.include({ queuedFrames: 50, framesUndelivered: 9_950 });
    const late = tape(socket.errors);
    expect(late.values).to.have.length(10);
    expect(socket.stats().errorsDropped).to.be.within(9_940, 9_941); // the failed dial may have come by now
    socket.outbound.next('x');
    expect((late.values[10] as OverflowError).undelivered).to.equal('9950');
  });

  it('is asked by flush(), writeAll() and write() alike: the room of one is the room of all [S5]', async () => {
    const socket = await down({ writeBuffer: 2 });
    void socket.writeAll(['a', 'b', 'c', 'd']);
    expect(await outcome(socket.write('e'))).to.be.instanceOf(OverflowError);
    expect(socket.stats()).to.include({ queuedFrames: 2, framesRefused: 1 });
  });
});

describe('what was read and not asked for', () => {
  leavesNothingOpen();

  it('is one chunk at most, the rest stays in the kernel [S5][S6]', async () => {
    let sent = 0;
    const server = await listen((socket) => {
      const chunk = Buffer.alloc(64 * KIB);
      const more = (): void => {
        while (sent < 64 * MIB && !socket.destroyed) {
          sent += chunk.length;
          if (!socket.write(chunk)) return void socket.once('drain', more);
        }
      };
      more();
    });
    const socket = kept(tcpSocket({ host, port: server.port }));
    const peer = await server.socket(0);
    let before = -1;
    while (sent !== before) {
      before = sent;
      await turns(200);
    }
    expect(peer.writableLength).to.be.greaterThan(0);
    expect(socket.stats().heldBytes).to.be.within(1, 64 * KIB);
    expect(socket.stats().bytesRead).to.be.at.most(64 * KIB);
  });

  it('is a frame of at most maxFrameLength: a longer one costs its connection, not memory [S5][S12]', async () => {
    const server = await listen((socket) => void socket.write(Buffer.alloc(4 * KIB, 'x')));
    const socket = kept(tcpSocket({ host, port: server.port, ...never, codec: lines({ maxFrameLength: KIB }) }));
    socket.inbound.subscribe();
    const error = await tape(socket.errors).at(0);
    expect(error).to.be.instanceOf(FrameError).and.to.include({ kind: 'too-large' });
    expect(socket.stats().heldBytes).to.equal(0);
  });
});

describe('the error buffer', () => {
  leavesNothingOpen();

  it('of 0 keeps nothing, and live subscribers hear all [S5][S9]', async () => {
    const socket = await down({ errorBuffer: 0, writeBuffer: 1 });
    const live = tape(socket.errors);
    for (const message of ['a', 'b', 'c']) socket.outbound.next(message);
    expect(live.values).to.have.length(2);
    expect(tape(socket.errors).values).to.have.length(0);
    expect(socket.stats().errorsDropped).to.equal(0);
  });

  it('keeps the newest 100 by default [S5][S9]', async () => {
    const socket = await down({ writeBuffer: 1 });
    for (let i = 0; i < 151; i++) socket.outbound.next(String(i));
    expect(tape(socket.errors).values).to.have.length(100);
    expect(socket.stats().errorsDropped).to.equal(50);
  });
});

describe('bounds over a drop', () => {
  leavesNothingOpen();

  it('hold for what is put back, and for what came meanwhile [S5][S2]', async () => {
    const dials = new FakeDials((index) => new FakeStream(index === 0 ? () => undefined : undefined));
    const socket = kept(tcpSocket({ dial: dials.dial, ...never, settle: 0, writeBuffer: 3 }));
    const statuses = tape(socket.status);
    await statuses.first(({ type }) => type === 'open');
    const written = ['a', 'b', 'c'].map((frame) => socket.write(frame));
    await turns(2);
    dials.streams[0]!.destroy(nodeError('ECONNRESET'));
    await statuses.first(({ type }) => type === 'backoff');
    expect(socket.stats()).to.include({ queuedFrames: 3, inFlightFrames: 0 });
    expect(await outcome(socket.write('d'))).to.be.instanceOf(OverflowError);
    socket.redial();
    await Promise.all(written);
    expect(dials.streams[1]!.texts).to.deep.equal(['a', 'bc']);
    await socket.write('e');
  });
});
