import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Readable, type Duplex } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { ConnectError, ConnectionLostError, tcpSocket, toDuplex, type TcpSocketConfig } from '../../lib/index.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { settled, until } from '../support/leaks.js';
import { seededRandom } from '../support/random.js';
import { deadPort, echo, listen, neverReading, recordingServer, socketPath } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const MIB = 1024 * 1024;

/** A stream over a socket of its own, to that server. */
function streamTo(server: { readonly port: number }, config: TcpSocketConfig = {}) {
  const socket = tcpSocket({ host, port: server.port, reconnect: false, ...config });
  return { socket, stream: kept(toDuplex(socket)) };
}

/** Random chunks of up to 200 KB, the same for a seed, and the hash of what is made of them so far. */
function source(bytes: number, seed = 1) {
  const random = seededRandom(seed);
  const noise = Buffer.from(Array.from({ length: 200_003 }, () => random.int(0, 255)));
  const hash = createHash('sha256');
  function* chunks(): Generator<Buffer> {
    for (let left = bytes; left > 0;) {
      const at = random.int(0, noise.length - 1);
      const chunk = noise.subarray(at, Math.min(noise.length, at + left));
      hash.update(chunk);
      left -= chunk.length;
      yield chunk;
    }
  }
  return { chunks: () => Readable.from(chunks()), digest: () => hash.digest('hex') };
}

/** Where bytes are counted and hashed, as fast or slow as `pace` says. */
function sink(pace: () => Promise<void> = async () => undefined) {
  const hash = createHash('sha256');
  const state = { bytes: 0, digest: () => hash.digest('hex'), take };
  async function take(chunks: AsyncIterable<Buffer>): Promise<void> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      state.bytes += chunk.length;
      await pace();
    }
  }
  return state;
}

/** Notes the events of a stream's end, in order. */
function endings(stream: Duplex): string[] {
  const seen: string[] = [];
  for (const name of ['end', 'finish', 'close', 'error']) stream.on(name, () => seen.push(name));
  return seen;
}

describe('toDuplex() on real sockets', function () {
  this.timeout(60_000);
  leavesNothingOpen();

  it('carries 32 MiB to an echo server and back through one pipeline, byte for byte [S1]', async () => {
    const { stream } = streamTo(await listen(echo));
    const [from, to] = [source(32 * MIB), sink()];
    await pipeline(from.chunks(), stream, (chunks: AsyncIterable<Buffer>) => to.take(chunks));
    expect(to.bytes).to.equal(32 * MIB);
    expect(to.digest()).to.equal(from.digest());
  });

  it('stops its peer when its reader stops, holds little meanwhile, and loses nothing [S5][S6]', async () => {
    const from = source(64 * MIB);
    const server = await listen((peer) => void pipeline(from.chunks(), peer).catch(() => undefined));
    const { socket, stream } = streamTo(server);
    const peer = await server.socket(0);
    const to = sink(async () => {
      if (to.bytes < 4 * MIB || stopped !== 0) return;
      stopped = await settled(() => peer.bytesWritten);
      most = stream.readableLength + socket.stats().heldBytes;
    });
    let [stopped, most] = [0, 0];
    await to.take(stream);
    expect(stopped).to.be.within(4 * MIB, 60 * MIB);
    expect(most).to.be.within(1, 512 * 1024);
    expect(to.digest()).to.equal(from.digest());
  });

  it('stalls its writer when its peer does not read, and goes on when it does, byte for byte [S5]', async () => {
    let pull: () => void = () => undefined;
    const to = sink();
    const server = await listen((peer) => {
      neverReading(peer, 0);
      pull = () => void to.take(peer).then(() => peer.end());
    });
    const { socket, stream } = streamTo(server);
    const from = source(48 * MIB);
    let made = 0;
    const counted = from.chunks().on('data', (chunk: Buffer) => (made += chunk.length));
    const all = pipeline(counted.pause(), stream.resume());
    const stopped = await settled(() => made);
    expect(stopped).to.be.below(40 * MIB);
    expect(stream.writableNeedDrain).to.be.true;
    expect(stream.writableLength + socket.stats().queuedBytes).to.be.below(2 * MIB);
    pull();
    await all;
    await once(stream, 'close');
    expect(to.digest()).to.equal(from.digest());
  });

  it('reads on after its own end until the peer ends, past any endTimeout', async () => {
    const server = await recordingServer((peer) => {
      peer.resume().once('end', () => peer.emit('asked'));
      return true;
    });
    const { stream } = streamTo(server, { endTimeout: 0 });
    const seen = endings(stream);
    const peer = await server.socket(0);
    stream.end('question');
    await once(peer, 'asked');
    await turns(100);
    expect(seen).to.eql(['finish']);
    peer.write('answer, ');
    await turns(100);
    peer.end('and the rest');
    const to: string[] = [];
    for await (const chunk of stream) to.push(String(chunk));
    expect(to.join('')).to.equal('answer, and the rest');
    expect(await until(() => seen.includes('close'))).to.be.true;
    expect(seen).to.eql(['finish', 'end', 'close']);
  });

  it('is read by for await, and leaving the loop destroys the socket', async () => {
    const server = await listen((peer) => void peer.resume().write('one'));
    const { socket, stream } = streamTo(server);
    const peer = await server.socket(0);
    for await (const chunk of stream) {
      expect(String(chunk)).to.equal('one');
      break;
    }
    expect(stream.destroyed).to.be.true;
    await socket.end();
    expect(await until(() => peer.readableEnded)).to.be.true;
  });

  it('takes what was written before it was open, over a unix socket too', async () => {
    const path = socketPath();
    const server = await recordingServer(undefined, path);
    const stream = kept(toDuplex(tcpSocket({ path, reconnect: false })));
    stream.resume().end('early');
    await once(stream, 'close');
    expect((await server.recording(0)).text).to.equal('early');
  });

  it('knows where its peer is', async () => {
    const server = await listen();
    const { stream } = streamTo(server);
    await once(stream, 'connect');
    expect(stream).to.include({ remoteAddress: host, remotePort: server.port });
  });

  const phases: Record<string, (stream: Duplex, connected: Promise<unknown>) => unknown> = {
    'before it is constructed': () => undefined,
    'while it connects': () => new Promise((resolve) => process.nextTick(resolve)),
    'when it is open': (_stream, connected) => connected,
    'while it writes what nobody reads': async (stream, connected) => {
      await connected;
      stream.write(Buffer.alloc(32 * MIB));
      stream.write('more');
      await turns();
    },
    'while it holds what it has not read': async (stream, connected) => {
      await connected;
      stream.read(0);
      expect(await until(() => stream.readableLength > 0)).to.be.true;
    },
    'while it waits for the FIN of its peer': async (stream) => {
      stream.end();
      await once(stream, 'finish');
    },
  };
  for (const [name, reach] of Object.entries(phases)) {
    for (const reason of [undefined, new Error('enough')]) {
      it(`destroyed ${name}, with ${reason === undefined ? 'no' : 'an'} error, closes once and leaves nothing open [S11]`, async () => {
        const server = await listen((peer) => {
          neverReading(peer, 0);
          peer.write(Buffer.alloc(200_000));
        });
        const { socket, stream } = streamTo(server);
        const seen = endings(stream);
        const connected = once(stream, 'connect').catch(() => undefined);
        await reach(stream, connected);
        seen.length = 0;
        const failed = new Promise((resolve) => stream.once('error', resolve));
        stream.destroy(reason);
        await new Promise((resolve) => stream.once('close', resolve));
        if (reason !== undefined) expect(await failed).to.equal(reason);
        await socket.end();
        await turns();
        expect(seen).to.eql(reason === undefined ? ['close'] : ['error', 'close']);
        expect(tape(socket.status).values).to.have.nested.property('[0].type', 'closed');
      });
    }
  }

  it('settles a pipeline with the error of a dial that fails', async () => {
    const { stream } = streamTo({ port: await deadPort() });
    const error = await outcome(pipeline(source(MIB).chunks(), stream, sink().take));
    expect(error).to.be.instanceOf(ConnectError);
  });

  it('settles finished() with the error of a dial that fails, though nobody reads or writes', async () => {
    const { stream } = streamTo({ port: await deadPort() });
    expect(await outcome(finished(stream))).to.be.instanceOf(ConnectError);
  });

  for (const ours of ['open', 'ended'] as const) {
    it(`settles a pipeline with the loss when the peer resets it while our side is ${ours}: cut short is not ended`, async () => {
      const server = await listen((peer) => {
        peer.write(Buffer.alloc(100_000));
        if (ours === 'ended') peer.resume().once('end', () => peer.resetAndDestroy());
      });
      const { stream } = streamTo(server);
      const seen = endings(stream);
      const to = sink();
      const all = outcome(pipeline(stream, (chunks: AsyncIterable<Buffer>) => to.take(chunks)));
      await until(() => to.bytes === 100_000);
      if (ours === 'ended') stream.end();
      else (await server.socket(0)).resetAndDestroy();
      expect(await all)
        .to.be.instanceOf(ConnectionLostError)
        .with.property('clean', false);
      expect(seen.filter((name) => name !== 'finish')).to.eql(['error', 'close']);
    });
  }

  it('is aborted by the signal of a pipeline, and the socket with it [S11]', async () => {
    const { socket, stream } = streamTo(await listen(echo));
    const stop = new AbortController();
    const to = sink(async () => stop.abort());
    const all = pipeline(source(64 * MIB).chunks(), stream, to.take, { signal: stop.signal });
    expect(await outcome(all)).to.have.property('name', 'AbortError');
    await socket.end();
  });

  it('goes on over resets, in both directions, and tells each between the bytes of two connections [S2][S8]', async () => {
    const server = await listen((peer, index) => {
      let heard = '';
      peer.on('data', (chunk: Buffer) => {
        heard += chunk.toString();
        if (!heard.endsWith('.')) return;
        peer.write(`${String(index)}:${heard}`, () => index < 5 && peer.emit('answered'));
        heard = '';
      });
    });
    const { stream } = streamTo(server, { settle: 0, reconnect: { initialDelay: 1, maxDelay: 1 } });
    const seen: string[] = [];
    stream.on('data', (chunk: Buffer) => seen.push(chunk.toString()));
    stream.on('reconnect', () => seen.push('reconnect'));
    for (let i = 0; i < 5; i++) {
      const count = seen.length;
      stream.write(`hello ${String(i)}.`);
      await until(() => seen.length > count);
      const again = once(stream, 'reconnect');
      (await server.socket(i)).resetAndDestroy();
      await again;
    }
    expect(seen).to.eql([0, 1, 2, 3, 4].flatMap((i) => [`${String(i)}:hello ${String(i)}.`, 'reconnect']));
  });

  it('is no more awake than its socket: unref lets go of the process, and ref takes it back', async () => {
    const { socket, stream } = streamTo(await listen());
    await once(stream, 'connect');
    const { raw } = await tape(socket.connections).at(0);
    const net = stream as Duplex & Pick<Socket, 'ref' | 'unref'>;
    const tcp = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
    const before = tcp();
    net.unref();
    expect(tcp()).to.equal(before - 1);
    net.ref();
    expect(tcp()).to.equal(before);
    expect(raw.destroyed).to.be.false;
  });
});
