import { getEventListeners, once } from 'node:events';
import { inspect } from 'node:util';
import { expect } from 'chai';
import {
  ClosedError,
  ConfigError,
  FrameError,
  OverflowError,
  tcpSocket,
  WriteError,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { FakeDials, FakeStream, nodeError } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { deadPort, listen, neverReading, recordingServer, sink } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const MIB = 1024 * 1024;
const HUGE = 12 * MIB;
const soon: TcpSocketConfig = { settle: 0, reconnect: { initialDelay: 1, maxDelay: 2 } };
/** It stands in backoff for as long as the spec runs. */
const never: TcpSocketConfig = { reconnect: { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 } };

describe('the outcome of a message', () => {
  leavesNothingOpen();

  it('is "written" once the kernel took it, for next() and write() alike [S3]', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port }));
    socket.outbound.next('four');
    await socket.write('five!');
    expect(socket.stats()).to.include({ framesWritten: 2, bytesWritten: 9, queuedFrames: 0, framesUndelivered: 0 });
    await socket.write('');
    expect(socket.stats().framesWritten).to.equal(3);
  });

  it('comes once for each of them, over refusals, losses and the end of the socket [S3]', async () => {
    // Every third write kills its connection.
    let writes = 0;
    const dials = new FakeDials(
      () => new FakeStream(({ done }) => (++writes % 3 === 0 ? done(nodeError('ECONNRESET')) : setImmediate(done))),
    );
    const socket = kept(
      tcpSocket({ ...soon, dial: dials.dial, retryLimit: 1, writeBuffer: { frames: 40 }, overflow: 'dropOldest' }),
    );
    const errors = tape(socket.errors);
    let settlements = 0;
    const outcomes: Promise<unknown>[] = [];
    for (let i = 0; i < 300; i++) {
      const message = i % 25 === 24 ? (null as never) : `${String(i)};`.repeat(i % 7 === 0 ? 20_000 : 1);
      outcomes.push(outcome(socket.write(message)).finally(() => settlements++));
      if (i % 15 === 14) await turns(1);
    }
    socket.destroy();
    const results = await Promise.all(outcomes);
    expect(settlements).to.equal(300);
    const failed = results.filter((result) => result !== 'written');
    const aboutMessages = errors.values.filter(({ code }) => code !== 'TCP_CONNECTION_LOST');
    expect(failed).to.have.length.greaterThan(20).and.lessThan(300);
    expect(new Set(aboutMessages)).to.deep.equal(new Set(failed));
    expect(aboutMessages).to.have.length(failed.length);
    const { framesWritten, framesUndelivered, framesRefused, queuedFrames, queuedBytes } = socket.stats();
    expect(framesWritten).to.equal(300 - failed.length);
    expect(framesUndelivered + framesRefused).to.equal(failed.length);
    expect(framesRefused).to.equal(12);
    expect([queuedFrames, queuedBytes]).to.deep.equal([0, 0]);
  });

  it('is "unsent" if no link ever had it, caused by the end of the socket [S3]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never }));
    const errors = tape(socket.errors);
    const message = Buffer.from('secret');
    const written = outcome(socket.write(message));
    await errors.at(0);
    socket.destroy();
    const error = (await written) as WriteError;
    expect(error).to.be.instanceOf(WriteError).and.to.include({ fate: 'unsent', attempts: 0, code: 'TCP_WRITE' });
    expect(error.cause).to.be.instanceOf(ClosedError);
    expect(errors.values[1]).to.equal(error);
    expect(error.undelivered).to.equal(message);
    expect(Object.keys(error)).not.to.include('undelivered');
    expect(JSON.stringify(error) + inspect(error) + error.message).not.to.match(/secret|undelivered/);
  });

  it('is "unknown" if a link had it, whether its connection was lost before or is destroyed now [S3]', async () => {
    const server = await listen(neverReading);
    const socket = kept(tcpSocket({ host, port: server.port, ...never, writeBuffer: { bytes: 3 * HUGE } }));
    const inFlight = outcome(socket.write(Buffer.alloc(HUGE)));
    const waiting = outcome(socket.write('behind'));
    const peer = await server.socket(0);
    await once(peer, 'readable');
    peer.resetAndDestroy();
    await tape(socket.errors).at(0);
    socket.destroy();
    expect(await inFlight).to.include({ fate: 'unknown', attempts: 1 });
    expect(await waiting).to.include({ fate: 'unsent', attempts: 0 });
  });

  it('is never "written" for what is in flight when the socket is destroyed [S3][S4]', async () => {
    const server = await listen(neverReading);
    const socket = kept(tcpSocket({ host, port: server.port, writeBuffer: { bytes: 3 * HUGE } }));
    const written = outcome(socket.write(Buffer.alloc(HUGE)));
    await once(await server.socket(0), 'readable');
    socket.destroy();
    expect(await written)
      .to.be.instanceOf(WriteError)
      .and.to.include({ fate: 'unknown' });
    expect(socket.stats()).to.include({ framesWritten: 0, framesUndelivered: 1 });
  });

  it('is never "written" for a batch whose connection was destroyed in its callback [S3][S4]', async () => {
    const dials = new FakeDials((index) => {
      const stream = new FakeStream(({ done }) => {
        // What Node 20 does to a whole batch after a reset: the socket is gone, and the callback says success.
        if (index === 0) stream.destroy();
        done();
      });
      return stream;
    });
    const socket = kept(tcpSocket({ ...soon, dial: dials.dial }));
    await Promise.all(['a', 'b', 'c'].map((frame) => socket.write(frame)));
    expect(dials.streams.map(({ texts }) => texts)).to.deep.equal([['abc'], ['a', 'bc']]);
    expect(socket.stats()).to.include({ framesWritten: 3, framesRetried: 3 });
  });

  it('is never "written" if the link was destroyed by then, however early its callback comes [S3][S4]', async () => {
    const dials = new FakeDials((index) => {
      const stream = new FakeStream();
      if (index > 0) return stream;
      stream.write = ((_chunk: Buffer, done: () => void) => {
        stream.destroy();
        done();
        return true;
      }) as never;
      return stream;
    });
    const socket = kept(tcpSocket({ ...soon, dial: dials.dial }));
    await socket.write('x');
    expect(dials.streams[1]?.texts).to.deep.equal(['x']);
    expect(socket.stats()).to.include({ framesWritten: 1, framesRetried: 1 });
  });

  it('is never "written" because a lost connection\'s peer is dead: what waited is held back until the next one has stood for `settle` ms [S4]', async () => {
    const dials = new FakeDials();
    const socket = kept(tcpSocket({ dial: dials.dial, settle: 60_000, reconnect: { initialDelay: 1, maxDelay: 1 } }));
    await socket.write('at once');
    dials.streams[0]!.destroy(nodeError('ECONNRESET'));
    await tape(socket.status).first((status) => status.type === 'open' && status.epoch === 2);
    const held = outcome(socket.write('held'));
    await turns();
    expect(dials.streams.map(({ texts }) => texts)).to.deep.equal([['at once'], []]);
    expect(socket.stats().inFlightFrames).to.equal(0);
    dials.streams[1]!.destroy(nodeError('ECONNRESET'));
    await tape(socket.status).first((status) => status.type === 'open' && status.epoch === 3);
    socket.destroy();
    expect(await held).to.include({ fate: 'unsent', attempts: 0 });
  });

  it('comes for a message written while the server was down, once it is up [S3]', async () => {
    const port = await deadPort();
    const socket = kept(tcpSocket({ host, port, ...soon }));
    const errors = tape(socket.errors);
    await errors.at(1);
    const written = ['a', 'b'].map((message) => outcome(socket.write(message)));
    await errors.at(errors.values.length + 1);
    const server = await recordingServer(undefined, port);
    expect(await Promise.all(written)).to.deep.equal(['written', 'written']);
    await (await server.recording(0)).has('ab');
  });

  it('may be ignored, whatever it is: no rejection of this API is unhandled [S3][S9]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never, writeBuffer: 1 }));
    void socket.write('kept');
    void socket.write('refused');
    void socket.write(7 as never);
    void socket.writeAll(['refused']);
    void socket.writeAll('a string' as never);
    void socket.flush();
    void socket.end({ timeout: 0 });
    void socket.write('too late');
    void socket.writeAll(['too late']);
    await socket.end();
    await turns();
  });

  it('is told as a copy without the message to those who subscribe late [S3][S9]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never, writeBuffer: 1 }));
    const message = Buffer.from('payload');
    void socket.write('kept');
    const refusal = (await outcome(socket.write(message))) as OverflowError;
    socket.destroy();
    const late = tape(socket.errors);
    expect(late.ended).to.equal('completed');
    expect(refusal.undelivered).to.equal(message);
    const [overflow, lost] = late.values.filter(({ code }) => code !== 'TCP_CONNECT') as [OverflowError, WriteError];
    expect(overflow).to.include({ name: 'OverflowError', fate: 'unsent', undelivered: undefined });
    expect(lost).to.include({ name: 'WriteError', fate: 'unsent', undelivered: undefined });
  });
});

describe('a write that can be withdrawn', () => {
  leavesNothingOpen();

  it('goes when its signal aborts while it waits, with the reason as cause; the others stay in order [S3]', async () => {
    const port = await deadPort();
    const socket = kept(tcpSocket({ host, port, ...soon }));
    const errors = tape(socket.errors);
    const abort = new AbortController();
    const reason = new Error('changed my mind');
    const results = [
      outcome(socket.write('1')),
      outcome(socket.write('2', { signal: abort.signal })),
      outcome(socket.write('3')),
    ];
    abort.abort(reason);
    expect(await results[1])
      .to.be.instanceOf(WriteError)
      .and.to.include({ fate: 'unsent', attempts: 0, cause: reason });
    expect(errors.values).to.include(await results[1]);
    expect(socket.stats()).to.include({ queuedFrames: 2, queuedBytes: 2 });
    const server = await recordingServer(undefined, port);
    expect([await results[0], await results[2]]).to.deep.equal(['written', 'written']);
    const recording = await server.recording(0);
    await recording.has('13');
    expect(recording.text).to.equal('13');
    expect(getEventListeners(abort.signal, 'abort')).to.be.empty;
  });

  it('leaves no listener at its signal once it is written [S3][S11]', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port }));
    const { signal } = new AbortController();
    await socket.write('x', { signal });
    expect(getEventListeners(signal, 'abort')).to.be.empty;
  });

  it('is written if the abort comes while it is in flight [S3]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ ...soon, dial: dials.dial }));
    const abort = new AbortController();
    const written = outcome(socket.write('x', { signal: abort.signal }));
    await tape(socket.status).first(({ type }) => type === 'open');
    await turns(2);
    abort.abort();
    await turns(2);
    expect(socket.stats()).to.include({ queuedFrames: 1, inFlightFrames: 1 });
    dials.streams[0]!.writes[0]!.done();
    expect(await written).to.equal('written');
  });

  it('is not written again if it was aborted in flight and its connection is lost: its fate is "unknown" [S2][S3]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ ...soon, dial: dials.dial }));
    const abort = new AbortController();
    const written = outcome(socket.write('x', { signal: abort.signal }));
    const opened = tape(socket.status);
    await opened.first(({ type }) => type === 'open');
    await turns(2);
    abort.abort();
    dials.streams[0]!.destroy(nodeError('ECONNRESET'));
    expect(await written).to.include({ fate: 'unknown', attempts: 1, cause: abort.signal.reason as Error });
    await opened.first((status) => status.type === 'open' && status.epoch === 2);
    await turns(2);
    expect(dials.streams[1]!.texts).to.deep.equal([]);
  });

  it('goes between two connections, where it is not in flight: its fate is "unknown" if one had it [S2][S3]', async () => {
    const dials = new FakeDials(() => new FakeStream(({ done }) => done(nodeError('EPIPE'))));
    const socket = kept(tcpSocket({ ...never, dial: dials.dial }));
    const abort = new AbortController();
    const written = outcome(socket.write('x', { signal: abort.signal }));
    await tape(socket.status).first(({ type }) => type === 'backoff');
    abort.abort();
    expect(await written).to.include({ fate: 'unknown', attempts: 1, cause: abort.signal.reason as Error });
    expect(socket.stats().queuedFrames).to.equal(0);
  });

  it('is not queued at all if its signal is aborted already [S3]', async () => {
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port }));
    const signal = AbortSignal.abort(new Error('before'));
    const error = await outcome(socket.write('x', { signal }));
    expect(error)
      .to.be.instanceOf(WriteError)
      .and.to.include({ fate: 'unsent', cause: signal.reason as Error });
    await socket.write('y');
    const recording = await server.recording(0);
    await recording.has(1);
    expect(recording.text).to.equal('y');
  });

  it('evicts nobody if its signal is aborted already [S3]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never, writeBuffer: 1, overflow: 'dropOldest' }));
    const errors = tape(socket.errors);
    socket.outbound.next('first');
    const error = await outcome(socket.write('x', { signal: AbortSignal.abort() }));
    expect(error).to.include({ code: 'TCP_WRITE', fate: 'unsent' });
    expect(errors.values.map(({ code }) => code)).not.to.include('TCP_OVERFLOW');
    expect(socket.stats().queuedFrames).to.equal(1);
  });

  it('rejects with what refused it, as without a signal [S3]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never, writeBuffer: 1 }));
    const { signal } = new AbortController();
    socket.outbound.next('full');
    expect(await outcome(socket.write('refused', { signal }))).to.be.instanceOf(OverflowError);
    expect(await outcome(socket.write(null as never, { signal }))).to.be.instanceOf(FrameError);
    socket.destroy();
    expect(await outcome(socket.write('late', { signal }))).to.be.instanceOf(ClosedError);
    expect(getEventListeners(signal, 'abort')).to.be.empty;
  });

  it('throws a ConfigError for options that make no sense, and accepts nothing', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never }));
    const bad: unknown[] = [
      { retryLimit: -1 },
      { retryLimit: 1.5 },
      { retryLimit: NaN },
      { retryLimit: '1' },
      { signal: {} },
      { signal: null },
      { retrylimit: 1 },
      7,
    ];
    for (const options of bad) expect(() => void socket.write('x', options as never)).to.throw(ConfigError);
    expect(socket.stats().queuedFrames).to.equal(0);
  });
});

describe('outcomes under re-entrance', () => {
  leavesNothingOpen();

  for (const how of ['destroy', 'end'] as const) {
    it(`settles the message whose coming made a subscriber of errors ${how} the socket [S3]`, async () => {
      const socket = kept(
        tcpSocket({ host, port: await deadPort(), ...never, writeBuffer: 1, overflow: 'dropOldest', endTimeout: 50 }),
      );
      socket.errors.subscribe(({ code }) => {
        if (code === 'TCP_OVERFLOW') void socket[how]();
      });
      const written = [outcome(socket.write('evicted')), outcome(socket.write('coming'))];
      await socket.end({ timeout: 0 });
      expect(await written[0]).to.be.instanceOf(OverflowError);
      expect(await written[1]).to.be.instanceOf(Error);
      expect(socket.stats()).to.include({ queuedFrames: 0, queuedBytes: 0 });
    });
  }

  it('settles the message whose coming made a subscriber of writable destroy the socket [S3]', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port, writeBuffer: 1 }));
    socket.writable.subscribe((room) => {
      if (!room) socket.destroy();
    });
    const { signal } = new AbortController();
    expect(await outcome(socket.write('x', { signal }))).to.be.instanceOf(WriteError);
    expect(socket.stats().queuedFrames).to.equal(0);
  });

  it('settles what a subscriber of errors writes while the socket is being destroyed [S3]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never }));
    const late: Promise<unknown>[] = [];
    socket.errors.subscribe(({ code }) => {
      if (code === 'TCP_WRITE') late.push(outcome(socket.write('again')));
    });
    const written = [outcome(socket.write('a')), outcome(socket.write('b'))];
    socket.destroy();
    for (const result of await Promise.all(written)) expect(result).to.be.instanceOf(WriteError);
    for (const result of await Promise.all(late)) expect(result).to.be.instanceOf(ClosedError);
    expect(late).to.have.length(2);
  });
});

describe('flush()', () => {
  leavesNothingOpen();

  it('resolves at once when nothing waits, open, down or closed', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never }));
    await socket.flush();
    socket.destroy();
    await socket.flush();
  });

  it('waits through an outage until what was accepted before it has its outcome [S3]', async () => {
    const port = await deadPort();
    const socket = kept(tcpSocket({ host, port, ...soon }));
    let flushed = false;
    socket.outbound.next('a');
    const flush = socket.flush().then(() => (flushed = true));
    await tape(socket.errors).at(2);
    expect(flushed).to.be.false;
    await listen(sink, port);
    await flush;
    expect(socket.stats().framesWritten).to.equal(1);
  });

  it('does not wait for what was accepted after it [S3]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ dial: dials.dial }));
    socket.outbound.next(Buffer.alloc(65_536));
    const flush = socket.flush();
    socket.outbound.next('after');
    await tape(socket.status).first(({ type }) => type === 'open');
    await turns(2);
    dials.streams[0]!.writes[0]!.done();
    await flush;
    expect(socket.stats().queuedFrames).to.equal(1);
  });

  it('counts every outcome: evicted, withdrawn and given up, and never rejects [S3]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never, writeBuffer: 2, overflow: 'dropOldest' }));
    const abort = new AbortController();
    const done: string[] = [];
    void socket.write('a');
    const first = socket.flush().then(() => done.push('evicted'));
    void socket.write('b', { signal: abort.signal });
    const second = socket.flush().then(() => done.push('withdrawn'));
    void socket.write('c');
    await first;
    expect(done).to.deep.equal(['evicted']);
    abort.abort();
    await second;
    const third = socket.flush().then(() => done.push('destroyed'));
    socket.destroy();
    await third;
    expect(done).to.deep.equal(['evicted', 'withdrawn', 'destroyed']);
  });
});
