import { once } from 'node:events';
import { expect } from 'chai';
import { ConnectionLostError, lengthPrefixed, tcpSocket, WriteError, type TcpSocketConfig } from '../../lib/index.js';
import { numbered, resettingServer } from '../support/child-server.js';
import { FakeDials, FakeStream, nodeError, type OnWrite } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { seededRandom } from '../support/random.js';
import { deadPort, listen, neverReading, recordingServer, resetAfter } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const MIB = 1024 * 1024;
/** More than the kernels take for a peer that does not read. */
const HUGE = 12 * MIB;
const soon: TcpSocketConfig = { host, settle: 0, reconnect: { initialDelay: 1, maxDelay: 2 } };

describe('order', () => {
  leavesNothingOpen();

  it('takes next(), write() and writeAll() in the order of the calls [S1]', async () => {
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port }));
    socket.outbound.next('a');
    void socket.write('b');
    void socket.writeAll(['c', 'd']);
    socket.outbound.next('e');
    await socket.flush();
    socket.outbound.next('f');
    void socket.write('g');
    const recording = await server.recording(0);
    await recording.has(7);
    expect(recording.text).to.equal('abcdefg');
  });

  it('keeps it among frames smaller and larger than a batch, and empty ones [S1]', async () => {
    const random = seededRandom(1);
    const sizes = [0, 1, 65_535, 65_536, 65_537, 10, 0, 300_000, 5, 32_768, 32_768, 1, 200_000, 64];
    const frames = sizes.map((size, i) => Buffer.alloc(size, random.int(0, 255) ^ i));
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port }));
    const written = frames.map((frame) => socket.write(frame));
    await Promise.all(written);
    const all = Buffer.concat(frames);
    const recording = await server.recording(0);
    await recording.has(all.length);
    expect(recording.bytes.equals(all)).to.be.true;
  });

  it('keeps it for frames that are queued from inside subscribers [S1]', async () => {
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port, writeBuffer: 4 }));
    let inside = 0;
    const more = (): void => {
      if (inside < 3) socket.outbound.next(`<${String(inside++)}>`);
    };
    socket.status.subscribe(({ type }) => {
      if (type === 'open') more();
    });
    socket.connections.subscribe(more);
    socket.writable.subscribe((room) => {
      if (room) more();
    });
    socket.outbound.next('end');
    const recording = await server.recording(0);
    await recording.has(12);
    const order = recording.text;
    expect(order.replace('end', '')).to.equal('<0><1><2>');
    expect(order).to.match(/^<0>.*end/); // subscribing to `writable` came before it, and tells the value at once
  });

  it('never has more than one batch of 64 KiB, or one larger frame, in flight [S2]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ dial: dials.dial }));
    const frames = [...Array.from({ length: 100 }, () => Buffer.alloc(1000)), Buffer.alloc(100_000), Buffer.alloc(1)];
    for (const frame of frames) socket.outbound.next(frame);
    await tape(socket.status).first(({ type }) => type === 'open');
    const stream = dials.streams[0]!;
    const sizes: number[] = [];
    while (sizes.reduce((sum, size) => sum + size, 0) < 200_001) {
      await new Promise((resolve) => setImmediate(resolve));
      const writes = stream.writes.slice(sizes.length);
      expect(writes).to.have.length(1);
      expect(socket.stats().inFlightFrames).to.be.greaterThan(0);
      sizes.push(writes[0]!.bytes.length);
      writes[0]!.done();
    }
    expect(sizes).to.deep.equal([65_000, 35_000, 100_000, 1]);
    await socket.flush();
    expect(socket.stats()).to.include({ framesWritten: 102, bytesWritten: 200_001, queuedFrames: 0, queuedBytes: 0 });
  });
});

describe('resending', () => {
  leavesNothingOpen();

  it('redials after a reset and writes the frame that was cut again from its first byte, and what waited after it [S1][S2]', async () => {
    const server = await recordingServer((socket, index) => {
      if (index === 0) resetAfter(socket);
      return index === 0;
    });
    const socket = kept(tcpSocket({ ...soon, port: server.port, writeBuffer: { bytes: 2 * HUGE } }));
    const errors = tape(socket.errors);
    const huge = Buffer.alloc(HUGE, 'h');
    const small = Array.from({ length: 50 }, (_, i) => `${String(i)},`);
    const written = [huge, ...small].map((message) => socket.write(message));
    await Promise.all(written);
    const expected = Buffer.concat([huge, Buffer.from(small.join(''))]);
    const recording = await server.recording(1);
    await recording.has(expected.length);
    expect(recording.bytes.equals(expected)).to.be.true;
    expect(errors.values.map(({ code }) => code)).to.deep.equal(['TCP_CONNECTION_LOST']);
    expect(errors.values[0]).to.include({ clean: false, unconfirmed: 1 });
    expect(socket.stats()).to.include({ framesRetried: 1, framesWritten: 51, drops: 1, epoch: 2 });
  });

  it('writes the oldest unconfirmed frame alone after a drop, and batches again once that is confirmed [S2]', async () => {
    const dials = new FakeDials(
      (index) => new FakeStream(({ done }) => (index === 0 ? done(nodeError('ECONNRESET')) : done())),
    );
    const socket = kept(tcpSocket({ ...soon, host: undefined, dial: dials.dial }));
    for (const frame of ['a', 'b', 'c', 'd']) socket.outbound.next(frame);
    await socket.flush();
    expect(dials.streams.map(({ texts }) => texts)).to.deep.equal([['abcd'], ['a', 'bcd']]);
    expect(socket.stats()).to.include({ framesRetried: 4, framesWritten: 4 });
  });

  it('gives a frame that kills every connection up, and takes no other along [S2][S3]', async () => {
    const dials = new FakeDials(() => new FakeStream(killedBy('X')));
    const socket = kept(tcpSocket({ ...soon, host: undefined, dial: dials.dial, retryLimit: 3 }));
    const frames = ['a', 'X', 'b', 'c'];
    const outcomes = await Promise.all(frames.map((frame) => outcome(socket.write(frame))));
    expect(outcomes.map((how) => how === 'written')).to.deep.equal([true, false, true, true]);
    expect(outcomes[1]).to.be.instanceOf(WriteError).and.to.include({ fate: 'unknown', attempts: 4, undelivered: 'X' });
    expect(socket.stats()).to.include({ framesWritten: 3, framesUndelivered: 1, drops: 4 });
  });

  it('gives several poisonous frames in a row up, each alone [S2]', async () => {
    const dials = new FakeDials(() => new FakeStream(killedBy('X')));
    const socket = kept(tcpSocket({ ...soon, host: undefined, dial: dials.dial, retryLimit: 1 }));
    const frames = ['X1', 'X2', 'X3', 'a', 'b'];
    const outcomes = await Promise.all(frames.map((frame) => outcome(socket.write(frame))));
    expect(outcomes.slice(3)).to.deep.equal(['written', 'written']);
    expect(outcomes.slice(0, 3).map((error) => (error as WriteError).attempts)).to.deep.equal([2, 2, 2]);
  });

  it('lets a frame that kills every connection take no other along, not even one that has a single try left [S2]', async () => {
    const dials = new FakeDials(() => new FakeStream(killedBy('X')));
    const socket = kept(tcpSocket({ ...soon, host: undefined, dial: dials.dial, retryLimit: 1 }));
    const frames = ['a', 'X', 'b', 'c'];
    const outcomes = await Promise.all(frames.map((frame) => outcome(socket.write(frame))));
    expect(outcomes.map((how) => how === 'written')).to.deep.equal([true, false, true, true]);
  });

  it('writes a frame again at most retryLimit times, each write() with its own [S2]', async () => {
    const dials = new FakeDials(() => new FakeStream(({ done }) => done(nodeError('EPIPE'))));
    const socket = kept(tcpSocket({ ...soon, host: undefined, dial: dials.dial, retryLimit: 2 }));
    const outcomes = await Promise.all([
      outcome(socket.write('never again', { retryLimit: 0 })),
      outcome(socket.write('twice')),
      outcome(socket.write('4 times', { retryLimit: 4 })),
    ]);
    expect(outcomes.map((error) => (error as WriteError).attempts)).to.deep.equal([1, 3, 5]);
    expect(outcomes.map((error) => (error as WriteError).fate)).to.deep.equal(['unknown', 'unknown', 'unknown']);
    for (const error of outcomes) expect((error as WriteError).cause).to.be.instanceOf(ConnectionLostError);
    const handed = dials.streams.flatMap(({ texts }) => texts).join('|');
    expect(handed.match(/never again/g)).to.have.length(1);
    expect(handed.match(/twice/g)).to.have.length(3);
    expect(handed.match(/4 times/g)).to.have.length(5);
  });

  it('is at most once with retryLimit 0: what was in flight is "unknown" and not written again, what waited goes on [S2][S3]', async () => {
    const server = await recordingServer((socket, index) => {
      if (index === 0) resetAfter(socket);
      return index === 0;
    });
    const socket = kept(tcpSocket({ ...soon, port: server.port, retryLimit: 0, writeBuffer: { bytes: 2 * HUGE } }));
    const huge = outcome(socket.write(Buffer.alloc(HUGE, 'h')));
    const small = ['b', 'c'].map((message) => outcome(socket.write(message)));
    expect(await huge)
      .to.be.instanceOf(WriteError)
      .and.to.include({ fate: 'unknown', attempts: 1 });
    expect(await Promise.all(small)).to.deep.equal(['written', 'written']);
    const recording = await server.recording(1);
    await recording.has(2);
    expect(recording.text).to.equal('bc');
  });

  it('counts no attempt while a frame waits through failed dials [S2]', async () => {
    const port = await deadPort();
    const socket = kept(tcpSocket({ ...soon, port, retryLimit: 0 }));
    const written = outcome(socket.write('patient'));
    await tape(socket.errors).at(9);
    const server = await recordingServer(undefined, port);
    expect(await written).to.equal('written');
    const recording = await server.recording(0);
    await recording.has('patient');
    expect(socket.stats().framesRetried).to.equal(0);
  });

  it('counts no attempt for a connection that was lost before the frame was handed to it [S2]', async () => {
    const server = await recordingServer((socket, index) => {
      if (index < 3) socket.resetAndDestroy();
      return index < 3;
    });
    // So long that only a connection that stays gets the frame.
    const socket = kept(tcpSocket({ ...soon, port: server.port, retryLimit: 0, settle: 50 }));
    const errors = tape(socket.errors);
    await errors.at(0);
    expect(await outcome(socket.write('x'))).to.equal('written');
    await (await server.recording(3)).has('x');
  });

  it('stops writing at the FIN of the peer and writes the rest on the next connection [S1][S2]', async () => {
    const server = await recordingServer((socket, index) => {
      if (index > 0) return false;
      socket.resume();
      socket.end();
      return true;
    });
    const socket = kept(tcpSocket({ ...soon, port: server.port }));
    const fin = tape(socket.errors).at(0);
    const first = await server.socket(0);
    await fin;
    const written = ['1', '2', '3'].map((frame) => socket.write(frame));
    await Promise.all(written);
    await (await server.recording(1)).has('123');
    expect(first.bytesRead).to.equal(0);
  });

  it('hands nothing over to a connection whose peer has sent its FIN, while what it sent is still unread [S2]', async () => {
    const dials = new FakeDials();
    const config = { ...soon, host: undefined, endTimeout: 60_000, retryLimit: 0 };
    const socket = kept(tcpSocket({ ...config, dial: dials.dial }));
    await socket.write('before');
    const stream = dials.streams[0]!;
    stream._final = () => undefined; // it never gets to the end of its own FIN
    stream.push(null);
    await once(stream, 'end');
    const written = outcome(socket.write('after'));
    await turns(2);
    expect(socket.stats()).to.include({ queuedFrames: 1, inFlightFrames: 0, drops: 0 });
    stream.destroy();
    expect(await written).to.equal('written');
    expect(dials.streams.map(({ texts }) => texts)).to.deep.equal([['before'], ['after']]);
  });

  it('survives a server that never reads and is killed, with a frame in flight again and again [S2]', async () => {
    const server = await listen(neverReading);
    const socket = kept(tcpSocket({ ...soon, port: server.port, retryLimit: 2, writeBuffer: { bytes: 2 * HUGE } }));
    const written = outcome(socket.write(Buffer.alloc(HUGE)));
    for (let i = 0; i < 3; i++) {
      const peer = await server.socket(i);
      await once(peer, 'readable');
      peer.resetAndDestroy();
    }
    expect(await written).to.include({ fate: 'unknown', attempts: 3 });
  });

  for (const seed of [1, 2]) {
    it(`writes 2,000 numbered frames through resets: none torn, no gap in a connection, one outcome each, seed ${String(seed)} [S1][S2][S3]`, async () => {
      const server = await resettingServer({ frames: 2000, resets: 12, seed });
      const random = seededRandom(seed);
      const codec = lengthPrefixed();
      const reconnect = { initialDelay: 1, maxDelay: 5, random: () => random.next() };
      const socket = kept(tcpSocket({ host, port: server.port, codec, retryLimit: 50, settle: 1, reconnect }));
      socket.inbound.subscribe();
      let settled = 0;
      let written = 0;
      for (let number = 0; number < 2000; number++) {
        void outcome(socket.write(numbered(number, 4 + random.int(0, 500)))).then((how) => {
          settled++;
          if (how === 'written') written++;
        });
        if (number % 20 !== 19) continue;
        await socket.flush();
        await server.report();
      }
      await socket.end();
      const { connections, resetsLeft } = await server.report();
      expect(resetsLeft).to.equal(0);
      expect(connections.filter(({ gaps, torn }) => gaps + torn > 0)).to.deep.equal([]);
      const firsts = connections.filter(({ count }) => count > 0).map(({ first }) => first);
      expect(firsts).to.deep.equal([...firsts].sort((a, b) => a - b));
      expect([settled, written]).to.deep.equal([2000, 2000]);
      expect(socket.stats()).to.include({ framesWritten: 2000, framesUndelivered: 0, framesRefused: 0 });
    });
  }
});

/** Writes succeed, but one that holds the poison resets the connection. */
function killedBy(poison: string): OnWrite {
  return ({ bytes, done }) => (bytes.includes(poison) ? done(nodeError('ECONNRESET')) : done());
}
