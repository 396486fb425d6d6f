import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { expect } from 'chai';
import {
  ClosedError,
  ConfigError,
  FrameError,
  lines,
  OverflowError,
  tcpSocket,
  toDuplex,
  type Bytes,
  type Codec,
  type TcpSocketConfig,
} from '../lib/index.js';
import { FakeDials, FakeStream, nodeError } from './support/fake-stream.js';
import { kept, leavesNothingOpen, outcome, turns } from './support/fixture.js';
import { tape } from './support/tape.js';

const SOON: TcpSocketConfig = { settle: 0, reconnect: { initialDelay: 1, maxDelay: 1 } };
/** What a library that is given a stream may ask of it, as if it were a net.Socket. */
type Given = Duplex &
  Pick<Socket, 'connect' | 'connecting' | 'setTimeout' | 'setNoDelay' | 'setKeepAlive'> &
  Pick<Socket, 'ref' | 'unref' | 'remoteAddress' | 'remotePort'>;

/** A stream over a socket that dials fakes. */
function over(dials: Pick<FakeDials, 'dial'> = new FakeDials(), config: TcpSocketConfig = {}) {
  const socket = tcpSocket({ dial: dials.dial, reconnect: false, ...config });
  const stream = kept(toDuplex(socket)) as Given;
  return { socket, stream };
}

async function opened(dials = new FakeDials(), config: TcpSocketConfig = {}) {
  const made = over(dials, config);
  await once(made.stream, 'connect');
  return { ...made, peer: dials.streams[0]! };
}

/** Notes what a stream emits, in order: its data as text, anything else by name. */
function journal(stream: Duplex, ...names: string[]): string[] {
  const seen: string[] = [];
  stream.on('data', (chunk: Buffer) => seen.push(chunk.toString()));
  for (const name of names) stream.on(name, () => seen.push(name));
  return seen;
}

/** Writes that stay in flight until the spec answers them. */
const stalled = (): FakeDials => new FakeDials(() => new FakeStream(() => undefined));

describe('toDuplex() as a reader', () => {
  leavesNothingOpen();

  it('reads nothing before its first read, and then what waited [S6]', async () => {
    const { socket, stream, peer } = await opened();
    peer.push('waits');
    await turns();
    expect(stream.readableLength).to.equal(0);
    expect(socket.stats()).to.include({ heldBytes: 5, holds: 1 });
    const seen = journal(stream);
    await turns();
    expect(seen).to.eql(['waits']);
    expect(socket.stats()).to.include({ heldBytes: 0, holds: 0 });
  });

  it('holds the socket while its own buffer is full, and goes on with the very next byte [S6]', async () => {
    const { socket, stream, peer } = await opened();
    const chunks = Array.from({ length: 40 }, (_, i) => String(i % 10).repeat(4096));
    stream.read(0);
    for (const chunk of chunks) peer.push(chunk);
    await turns(100);
    expect(stream.readableLength).to.be.within(stream.readableHighWaterMark, stream.readableHighWaterMark + 4096);
    expect(socket.stats().holds).to.equal(1);
    const seen = journal(stream);
    await turns(100);
    expect(seen.join('')).to.equal(chunks.join(''));
    expect(socket.stats().holds).to.equal(0);
  });

  it('gives its hold back when it is destroyed, so that others of the socket end too [S6][S11]', async () => {
    const { socket, stream, peer } = await opened();
    const other = tape(socket.inbound);
    peer.push('unread');
    stream.destroy();
    await once(stream, 'close');
    expect(other.ended).to.equal('completed');
    expect(socket.stats().holds).to.equal(0);
  });

  it('takes text in the encoding that is set, also where a chunk cuts a character', async () => {
    const { stream, peer } = await opened();
    stream.setEncoding('utf8');
    const seen: unknown[] = [];
    stream.on('data', (text: unknown) => seen.push(text));
    const bytes = Buffer.from('grüße');
    for (const byte of bytes) peer.push(Buffer.of(byte));
    peer.push(null);
    await once(stream, 'end');
    expect(seen).to.eql(['g', 'r', 'ü', 'ß', 'e']);
  });

  it('ends when inbound ends, and closes once; it can not be written to then', async () => {
    const { socket, stream, peer } = await opened();
    const seen = journal(stream, 'end', 'finish', 'close', 'error');
    peer.push('last words');
    peer.push(null);
    await once(stream, 'close');
    await turns();
    expect(seen).to.eql(['last words', 'end', 'finish', 'close']);
    expect(tape(socket.status).values).to.have.nested.property('[0].type', 'closed');
  });

  it('is destroyed by the error of inbound, the very same', async () => {
    const { socket, stream } = await opened();
    const seen = journal(stream, 'end', 'close');
    const failed = outcome(finished(stream));
    const reason = new Error('enough');
    socket.destroy(reason);
    expect(await failed).to.equal(reason);
    await turns();
    expect(seen).to.eql(['close']);
  });

  it('is destroyed by the error of a socket that was over before', async () => {
    const socket = tcpSocket({ dial: new FakeDials().dial });
    const reason = new Error('enough');
    socket.destroy(reason);
    const stream = toDuplex(socket);
    expect(await outcome(finished(stream))).to.equal(reason);
    expect(await outcome(finished(stream))).to.equal(reason);
  });

  it('ends when the owner of the socket destroys it without an error', async () => {
    const { socket, stream } = await opened();
    const seen = journal(stream, 'end', 'close', 'error');
    socket.destroy();
    await once(stream, 'close');
    expect(seen).to.eql(['end', 'close']);
  });

  it('is destroyed with a ConfigError when the socket gives something else than bytes', async () => {
    const dials = new FakeDials();
    const codec = lines() as unknown as Codec<Buffer, Bytes>;
    const { stream, peer } = await opened(dials, { codec });
    const failed = outcome(finished(stream.resume()));
    peer.push('a line\n');
    expect(await failed)
      .to.be.instanceOf(ConfigError)
      .with.property('message')
      .that.includes('must give bytes, got string');
  });

  for (const value of [undefined, null, 7, 'socket', {}, new FakeStream(), tcpSocket]) {
    it(`refuses ${Object.prototype.toString.call(value)}, which is no socket`, () => {
      expect(() => toDuplex(value as never)).to.throw(ConfigError, '`socket` must be a socket of tcpSocket()');
    });
  }
});

describe('toDuplex() as a writer', () => {
  leavesNothingOpen();

  it('calls back when a write is written, one after the other, and not before [S4]', async () => {
    const { stream, peer } = await opened(stalled());
    const called: string[] = [];
    stream.write('a', () => called.push('a'));
    stream.write('b', () => called.push('b'));
    await turns();
    expect([peer.texts, called]).to.eql([['a'], []]);
    peer.writes[0]!.done();
    await turns();
    expect([peer.texts, called]).to.eql([['a', 'b'], ['a']]);
    peer.writes[1]!.done();
    await turns();
    expect(called).to.eql(['a', 'b']);
  });

  it('hands over in one batch, in order, what was written while it was corked, or while it waited [S1]', async () => {
    const { stream, peer } = await opened(stalled());
    const called: number[] = [];
    stream.cork();
    for (let i = 0; i < 100; i++) stream.write(`${String(i)},`, () => called.push(i));
    stream.uncork();
    await turns();
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    expect(peer.texts).to.eql([numbers.map((i) => `${String(i)},`).join('')]);
    for (const text of ['x', 'y', 'z']) stream.write(text);
    expect(called).to.eql([]);
    peer.writes[0]!.done();
    await turns();
    expect(called).to.eql(numbers);
    expect(peer.texts.slice(1)).to.eql(['xyz']);
  });

  it('tells with false that its peer does not read, and drains when it does [S5]', async () => {
    const { stream, peer } = await opened(stalled());
    let count = 1;
    while (stream.write(Buffer.alloc(1024))) count++;
    expect(count * 1024).to.equal(stream.writableHighWaterMark);
    expect(stream.writableNeedDrain).to.be.true;
    const drained = once(stream, 'drain');
    await turns();
    expect(peer.writes.reduce((sum, { bytes }) => sum + bytes.length, 0)).to.equal(1024);
    peer.writes[0]!.done();
    await turns();
    peer.writes[1]!.done();
    await drained;
  });

  it('waits for room while the queue is full of the messages of others [S5]', async () => {
    const { socket, stream, peer } = await opened(stalled(), { writeBuffer: 2 });
    const errors = tape(socket.errors);
    void socket.write('1');
    void socket.write('2');
    const written = new Promise((resolve) => stream.write('ours', resolve));
    await turns();
    expect(socket.stats().queuedFrames).to.equal(2);
    // An array that grows while it is walked: the next batch is there once the last is written.
    for (const { done } of peer.writes) {
      done();
      await turns();
    }
    expect(await written).not.to.exist;
    expect(peer.texts.join('')).to.equal('12ours');
    expect(errors.values).to.eql([]);
  });

  it('writes a chunk that is larger than the whole write buffer, in parts [S5]', async () => {
    const dials = new FakeDials();
    const { socket, stream } = await opened(dials, { writeBuffer: { bytes: 1024 * 1024 } });
    const chunk = Buffer.alloc(3_000_000).map((_, i) => i % 251);
    await new Promise((resolve) => stream.write(chunk, resolve));
    expect(Buffer.concat(dials.streams[0]!.writes.map(({ bytes }) => bytes)).equals(chunk)).to.be.true;
    expect(socket.stats()).to.include({ framesRefused: 0, framesWritten: 3 });
  });

  it('is destroyed by an OverflowError if the write buffer could never take one part', async () => {
    const { stream } = await opened(new FakeDials(), { writeBuffer: { bytes: 10 } });
    const failed = outcome(finished(stream));
    stream.write('more than ten bytes');
    expect(await failed).to.be.instanceOf(OverflowError);
  });

  it('is destroyed by the error of a message that could not be encoded, and the socket with it', async () => {
    const codec: Codec<Buffer, Bytes> = {
      decoder: () => ({ push: () => undefined, next: () => undefined, end: () => undefined }),
      encode: () => {
        throw new Error('mine');
      },
    };
    const { socket, stream } = await opened(new FakeDials(), { codec });
    const failed = outcome(finished(stream));
    const called = new Promise((resolve) => stream.write('x', resolve));
    const error = await failed;
    expect(error).to.be.instanceOf(FrameError);
    expect(await called).to.equal(error);
    await socket.end();
    expect(await tape(socket.status).at(0)).to.include({ type: 'closed' });
  });

  it('writes nothing for a chunk of no bytes, and calls back', async () => {
    const { stream, peer } = await opened();
    await new Promise((resolve) => stream.write('', resolve));
    expect(peer.writes).to.eql([]);
  });

  it('is destroyed by ClosedError when it is written to after the socket has ended', async () => {
    const { socket, stream } = await opened();
    await socket.end();
    const failed = outcome(finished(stream, { readable: false }));
    stream.write('late');
    expect(await failed).to.be.instanceOf(ClosedError);
  });

  it('throws what a listener throws as any stream does, not as a rejection', async () => {
    const { stream } = await opened();
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught = new Promise((resolve) => process.once('uncaughtException', (...args) => resolve(args)));
    const rejections: unknown[] = [];
    const note = (error: unknown): unknown => rejections.push(error);
    process.prependListener('unhandledRejection', note);
    const reason = new Error('mine');
    stream.write('x', () => {
      throw reason;
    });
    const args = await uncaught;
    process.off('unhandledRejection', note);
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect([args, rejections]).to.eql([[reason, 'uncaughtException'], []]);
  });

  it('ends as the socket does: all that was written, then FIN, then finish; reading goes on [S3]', async () => {
    const stream = new FakeStream(() => undefined);
    stream._final = (done) => done(); // answers no FIN
    const { stream: duplex, peer } = await opened(new FakeDials(() => stream));
    const seen = journal(duplex, 'finish', 'end', 'close');
    duplex.write('a');
    duplex.end('b');
    await turns();
    expect([peer.texts, seen]).to.eql([['a'], []]);
    peer.writes[0]!.done();
    await turns();
    expect(peer.writableEnded).to.be.false;
    peer.writes[1]!.done();
    await once(duplex, 'finish');
    expect(peer.writableEnded).to.be.true;
    peer.push('still here');
    await turns();
    peer.push(null);
    await once(duplex, 'close');
    expect(seen).to.eql(['finish', 'still here', 'end', 'close']);
  });

  it('that ends while it still connects waits for that, and reads what comes', async () => {
    let connect: (stream: FakeStream) => void = () => undefined;
    const raw = new FakeStream();
    raw._final = (done) => done();
    const { stream } = over({ dial: () => new Promise<FakeStream>((resolve) => (connect = resolve)) as never });
    const seen = journal(stream, 'connect', 'finish', 'end');
    stream.end();
    await turns();
    expect(seen).to.eql([]);
    connect(raw);
    await once(stream, 'finish');
    expect(raw.writableEnded).to.be.true;
    raw.push('welcome');
    raw.push(null);
    await once(stream, 'close');
    expect(seen).to.eql(['connect', 'finish', 'welcome', 'end']);
  });
});

describe('toDuplex() over a socket that reconnects', () => {
  leavesNothingOpen();

  /** Loses the connection, as by a reset, and waits for the next one. */
  async function drop(dials: FakeDials): Promise<FakeStream> {
    const at = dials.streams.length;
    dials.streams[at - 1]!.destroy(nodeError('ECONNRESET'));
    while (dials.streams.length === at) await turns(1);
    await turns();
    return dials.streams[at]!;
  }

  it('goes on over a drop, and tells it between the bytes of the two connections [S8]', async () => {
    const dials = new FakeDials();
    const { stream } = await opened(dials, SOON);
    const seen = journal(stream, 'connect', 'reconnect', 'end', 'close', 'error');
    dials.streams[0]!.push('one');
    await turns();
    const second = await drop(dials);
    expect(seen).to.eql(['one', 'reconnect']);
    second.push('two');
    await turns();
    (await drop(dials)).push('three');
    await turns();
    expect(seen).to.eql(['one', 'reconnect', 'two', 'reconnect', 'three']);
  });

  it('writes on the next connection what the lost one had not confirmed, with no word to the writer [S2]', async () => {
    const dials = new FakeDials((index) => new FakeStream(index === 0 ? () => undefined : undefined));
    const { stream } = await opened(dials, SOON);
    const written = new Promise((resolve) => stream.write('whole', resolve));
    await turns();
    const second = await drop(dials);
    expect(await written).not.to.exist;
    expect(second.texts).to.eql(['whole']);
  });

  it('tells it only when a slow reader has taken all of the lost connection [S6]', async () => {
    const dials = new FakeDials();
    const { stream } = await opened(dials, SOON);
    const seen: string[] = [];
    stream.on('reconnect', () => seen.push('reconnect'));
    stream.read(0);
    for (let i = 0; i < 30; i++) dials.streams[0]!.push('1'.repeat(4096));
    await turns();
    (await drop(dials)).push('2222');
    await turns();
    expect(seen).to.eql([]); // its buffer is full, and the socket holds the rest
    const take = (): Buffer | null => (stream.read(1024) ?? stream.read()) as Buffer | null;
    stream.on('readable', () => {
      for (let chunk = take(); chunk !== null; chunk = take()) seen.push(chunk.toString());
    });
    await turns(200);
    const at = seen.indexOf('reconnect');
    expect(seen.slice(0, at).join('')).to.equal('1'.repeat(30 * 4096));
    expect(seen.slice(at)).to.eql(['reconnect', '2222']);
  });

  it('tells each connection, also one of which nothing was read before the next came [S6]', async () => {
    const dials = new FakeDials();
    const { stream } = await opened(dials, SOON);
    stream.read(0);
    dials.streams[0]!.push('one');
    await turns();
    (await drop(dials)).push('two');
    await turns();
    (await drop(dials)).push('three');
    await turns();
    const seen = journal(stream, 'reconnect');
    await turns(100);
    expect(seen).to.eql(['one', 'reconnect', 'two', 'reconnect', 'three']);
  });

  it('tells nothing of a connection that was lost before it was made of the socket', async () => {
    const dials = new FakeDials();
    const socket = tcpSocket({ dial: dials.dial, ...SOON });
    const connections = tape(socket.connections);
    await connections.at(0);
    dials.streams[0]!.push('left behind,');
    await turns();
    await drop(dials);
    const stream = kept(toDuplex(socket));
    const seen = journal(stream, 'connect', 'reconnect');
    dials.streams[1]!.push('and new');
    await turns();
    expect(seen).to.eql(['connect', 'left behind,', 'and new']);
  });

  it('lets go of all when it is destroyed before the reader has taken the last byte [S11]', async () => {
    const dials = new FakeDials();
    const { socket, stream } = await opened(dials, SOON);
    stream.read(0);
    dials.streams[0]!.push('one');
    await turns();
    await drop(dials);
    expect(socket.stats().holds).to.equal(1);
    stream.destroy();
    await once(stream, 'close');
    expect(socket.stats().holds).to.equal(0);
  });
});

describe('toDuplex() where a net.Socket is expected', () => {
  leavesNothingOpen();

  it("emits 'connect' and 'ready' once it is open, and is connecting until then", async () => {
    let connect: (stream: FakeStream) => void = () => undefined;
    const { stream } = over({ dial: () => new Promise<FakeStream>((resolve) => (connect = resolve)) as never });
    const seen = journal(stream, 'connect', 'ready');
    await turns();
    expect([stream.connecting, seen]).to.eql([true, []]);
    connect(new FakeStream());
    await once(stream, 'ready');
    expect([stream.connecting, seen]).to.eql([false, ['connect', 'ready']]);
  });

  it("emits 'connect' on a later tick if the socket was open already", async () => {
    const socket = tcpSocket({ dial: new FakeDials().dial });
    await tape(socket.connections).at(0);
    const stream = kept(toDuplex(socket)) as Given;
    expect(stream.connecting).to.be.true;
    await once(stream, 'connect');
    expect(stream.connecting).to.be.false;
  });

  it('takes connect(), dials nothing for it, and calls back when it is open', async () => {
    const dials = new FakeDials();
    const { stream } = over(dials);
    await new Promise<void>((resolve) => expect(stream.connect(5432, 'localhost', resolve)).to.equal(stream));
    expect(dials.streams).to.have.lengthOf(1);
  });

  it("emits 'connect' again for a connect() that comes when it is open: its caller listens only now", async () => {
    const { stream } = await opened();
    stream.connect(5432, 'localhost');
    await once(stream, 'connect');
    await new Promise<void>((resolve) => stream.connect({ port: 5432 }, resolve));
  });

  it("emits no 'connect' once it is destroyed, before it was open or after", async () => {
    const socket = tcpSocket({ dial: new FakeDials().dial });
    await tape(socket.connections).at(0);
    const before = toDuplex(socket) as Given;
    const { stream: after } = await opened();
    for (const stream of [before, after]) {
      const seen = journal(stream, 'connect', 'close');
      stream.destroy();
      await once(stream, 'close');
      stream.connect(1);
      await turns();
      expect([stream.connecting, seen]).to.eql([false, ['close']]);
    }
  });

  it('sets what it is told on the open connection, and on each one that follows, the latest of a kind', async () => {
    const calls: string[] = [];
    const note =
      (name: string) =>
      (...args: unknown[]): unknown =>
        calls.push([name, ...args].join(' '));
    const notes = { setNoDelay: note('setNoDelay'), setKeepAlive: note('setKeepAlive'), ref: note('ref') };
    const dials = new FakeDials(() => Object.assign(new FakeStream(), { ...notes, unref: note('unref') }));
    const { stream } = over(dials, SOON);
    stream.setNoDelay().setKeepAlive(true, 1000).unref();
    await once(stream, 'connect');
    expect(calls.splice(0)).to.eql(['setNoDelay true', 'setKeepAlive true 1000', 'unref']);
    stream.setNoDelay(false).setKeepAlive().ref();
    expect(calls.splice(0)).to.eql(['setNoDelay false', 'setKeepAlive false 0', 'ref']);
    dials.streams[0]!.destroy(nodeError('ECONNRESET'));
    await once(stream, 'reconnect');
    expect(calls).to.eql(['setNoDelay false', 'setKeepAlive false 0', 'ref']);
  });

  it('takes all of it over a stream that can do none of it', async () => {
    const { stream } = await opened();
    expect(stream.setNoDelay().setKeepAlive().ref().unref()).to.equal(stream);
    expect([stream.remoteAddress, stream.remotePort]).to.eql([undefined, undefined]);
  });

  it("emits 'timeout' after silence, as often as silence comes, and ends nothing", async () => {
    const { stream, peer } = await opened();
    let calls = 0;
    expect(stream.setTimeout(1, () => calls++)).to.equal(stream);
    await once(stream, 'timeout');
    stream.resume();
    for (const act of [() => peer.push('in'), () => stream.write('out')]) {
      const again = once(stream, 'timeout');
      act();
      await again;
    }
    expect([calls, stream.destroyed]).to.eql([1, false]);
  });

  it("counts a write for 'timeout' when it begins and when it is written", async () => {
    const { stream, peer } = await opened(stalled());
    stream.setTimeout(1);
    await once(stream, 'timeout');
    stream.write('slow');
    await once(stream, 'timeout');
    const again = once(stream, 'timeout');
    peer.writes[0]!.done();
    await again;
  });

  it('takes its timeout and the listener back with 0, and leaves no timer when it is destroyed [S11]', async () => {
    const { stream } = await opened();
    const never = (): void => expect.fail('it was taken back');
    stream.setTimeout(1, never).setTimeout(0, never);
    expect(stream.listenerCount('timeout')).to.equal(0);
    stream.setTimeout(100_000);
    stream.destroy();
    await once(stream, 'close');
  });

  for (const bad of [-1, NaN, 2 ** 31, '5']) {
    it(`refuses ${String(bad)} (${typeof bad}) as a timeout`, async () => {
      const { stream } = await opened();
      expect(() => stream.setTimeout(bad as number)).to.throw(ConfigError, '`timeout`');
    });
  }
});
