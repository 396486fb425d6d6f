/** Rows 7 and 8 of the fault matrix, and part E49: what a connection costs that is not read from, what it still notices, and what too many frames at once keep waiting. */
import * as net from 'node:net';
import { expect } from 'chai';
import { firstValueFrom, type Subscription } from 'rxjs';
import {
  ConnectionLostError,
  lengthPrefixed,
  lines,
  pacedMap,
  tcpServer,
  tcpSocket,
  type Connection,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { FakeStream } from '../support/fake-stream.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { memoryWatch } from '../support/memory.js';
import { eventually, live, settled } from '../support/peers.js';
import { listen } from '../support/servers.js';
import { tape } from '../support/tape.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const host = '127.0.0.1';
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe('row 7: a million chunks of one byte for a reader who does not read', function () {
  this.timeout(60_000);
  leavesNothingOpen();
  const total = 1_000_000;

  /** Writes a byte a turn, so that each is a chunk, until reading stops; then all the rest. */
  async function drip(peer: net.Socket, reader: net.Socket): Promise<void> {
    peer.setNoDelay(true);
    let sent = 0;
    for (; sent - reader.bytesRead < 100; sent++) {
      peer.write(Uint8Array.of(sent));
      await turn();
    }
    peer.end(Uint8Array.from({ length: total - sent }, (_, i) => sent + i));
    await settled(() => reader.bytesRead);
  }

  /** A socket, its raw stream, and the other end. */
  async function opened(): Promise<{ socket: TcpSocket; raw: net.Socket; peer: net.Socket }> {
    const server = await listen();
    const socket = kept(tcpSocket({ host, port: server.port, reconnect: false }));
    const { raw } = await live(socket);
    return { socket, raw: raw as net.Socket, peer: await server.socket(0) };
  }

  /** What came is each byte, once, in order. */
  function expectAll(chunks: readonly Uint8Array[]): void {
    const came = Buffer.concat(chunks);
    expect(came).to.have.length(total);
    expect(came.findIndex((byte, i) => byte !== (i & 255))).to.equal(-1);
  }

  it('under a hold they cost little more than their bytes, and come in order once it is released [S5][S6]', async () => {
    const { socket, raw, peer } = await opened();
    const release = socket.pause();
    const inbound = tape(socket.inbound);
    const memory = memoryWatch();
    await drip(peer, raw);
    memory.look();
    expect(socket.stats()).to.include({ heldBytes: 64 * KIB, bytesRead: 64 * KIB });
    expect(memory.most).to.be.lessThan(3 * MIB);
    release();
    await inbound.end;
    expectAll(inbound.values);
  });

  it('so they do for a `for await` whose body does not return [S5][S6]', async () => {
    const { socket, raw, peer } = await opened();
    const memory = memoryWatch();
    const chunks: Buffer[] = [];
    let dripped: Promise<void> | undefined;
    const first = (async () => {
      for await (const chunk of socket) {
        chunks.push(chunk);
        await (dripped ??= drip(peer, raw));
        if (chunks.length === 1) memory.look();
      }
    })();
    peer.write(Uint8Array.of(0));
    await first;
    expect(memory.most).to.be.lessThan(3 * MIB);
    expect(Buffer.concat(chunks)).to.have.length(total + 1);
  });

  it('so they do for pacedMap while its work does not end [S5][S6]', async () => {
    const { socket, raw, peer } = await opened();
    const memory = memoryWatch();
    let finish = (): void => undefined;
    const work = new Promise<void>((resolve) => (finish = resolve));
    const done = tape(socket.inbound.pipe(pacedMap(socket, (chunk) => work.then(() => chunk))));
    await drip(peer, raw);
    memory.look();
    expect(socket.stats()).to.include({ holds: 1, framesRead: 100, heldBytes: 64 * KIB });
    expect(memory.most).to.be.lessThan(3 * MIB);
    finish();
    await done.end;
    expectAll(done.values);
  });

  it('so they do for a connection of a server, of which Node itself holds a few KiB [S5][S6]', async () => {
    const server = tcpServer();
    atEnd(() => server.close({ timeout: 0 }));
    const accepted = firstValueFrom(server.connections);
    const peer = kept(net.connect((await server.listening).port, host));
    const connection: Connection = await accepted;
    const release = connection.pause();
    const inbound = tape(connection.inbound);
    const memory = memoryWatch();
    await drip(peer, connection.raw as net.Socket);
    memory.look();
    expect(connection.raw.readableLength).to.be.at.most(5 * KIB);
    expect(memory.most).to.be.lessThan(4 * MIB);
    release();
    await inbound.end;
    expectAll(inbound.values);
  });
});

describe('row 8: a reset while reading is stopped, with all buffers full', function () {
  this.timeout(60_000);
  leavesNothingOpen();

  for (const [name, dials] of [
    ['a socket of ours', false],
    ['a dial', true],
  ] as const) {
    it(`is noticed on ${name}, without a byte on the wire; what was held is delivered, then the loss [S6][S8]`, async () => {
      const server = await listen();
      const dial: TcpSocketConfig['dial'] = () => net.connect({ port: server.port, host, allowHalfOpen: true });
      const socket = kept(tcpSocket({ host, port: server.port, reconnect: false, ...(dials && { dial }) }));
      const release = socket.pause();
      const inbound = tape(socket.inbound);
      const { closed, raw } = await live(socket);
      const peer = await server.socket(0);
      peer.write(Buffer.alloc(16 * MIB, 'x'));
      await settled(() => (raw as net.Socket).bytesRead);
      const held = socket.stats().heldBytes + raw.readableLength;
      expect(held).to.be.at.least(64 * KIB);
      expect((raw as net.Socket).bytesRead).to.equal(held);
      peer.resetAndDestroy();
      const lost = await closed;
      expect(lost).to.be.instanceOf(ConnectionLostError).and.to.include({ clean: false, endedBy: 'peer', unread: 0 });
      expect(lost).to.include({ bytesRead: held, bytesWritten: 0 });
      expect(inbound.values).to.be.empty;
      release();
      await inbound.end;
      expect(inbound.values.reduce((sum, { length }) => sum + length, 0)).to.equal(held);
      expect(inbound.error).to.equal(lost);
    });
  }
});

describe('part E49: one chunk of very many frames', function () {
  this.timeout(60_000);
  leavesNothingOpen();

  /** A socket over a stream by hand, and another connection that says something as long as it hears something. */
  async function opened<In>(codec: TcpSocketConfig<In, never>['codec']) {
    const stream = new FakeStream();
    const socket = kept(tcpSocket<In, never>({ dial: () => stream, codec: codec!, reconnect: false }));
    await live(socket);
    const server = await listen((raw) => void raw.pipe(raw));
    const other = kept(tcpSocket({ host, port: server.port }));
    let heard = 0;
    other.inbound.subscribe(() => {
      heard++;
      void other.write('again');
    });
    await other.write('first');
    await eventually(() => heard > 0);
    return { stream, socket, heard: () => heard };
  }

  const many: [string, TcpSocketConfig<unknown, never>['codec'], Buffer, number][] = [
    ['two million empty lines', lines(), Buffer.alloc(2_000_000, '\n'), 2_000_000],
    ['a million empty frames', lengthPrefixed({ lengthFieldLength: 1 }), Buffer.alloc(1_000_000), 1_000_000],
  ];
  for (const [name, codec, chunk, total] of many) {
    it(`lets timers and other sockets have turns between ${name}, and loses none [S6]`, async () => {
      const { stream, socket, heard } = await opened(codec);
      let [frames, ticks] = [0, 0];
      const ticking = setInterval(() => ticks++, 0);
      atEnd(() => clearInterval(ticking));
      const before = heard();
      socket.inbound.subscribe(() => frames++);
      stream.push(chunk);
      await eventually(() => frames === total);
      clearInterval(ticking);
      expect(ticks).to.be.at.least(10);
      expect(heard() - before).to.be.at.least(10);
    });

    it(`stops at once among ${name} when it is held or left, and goes on where it was [S6]`, async () => {
      const { stream, socket } = await opened(codec);
      let frames = 0;
      const reads = (until: number, stop: () => void): Subscription =>
        socket.inbound.subscribe(() => {
          if (++frames === until) stop();
        });
      let release = (): void => undefined;
      const first = reads(100_001, () => (release = socket.pause()));
      stream.push(chunk);
      await eventually(() => frames === 100_001);
      for (let i = 0; i < 100; i++) await turn();
      expect(frames).to.equal(100_001);
      first.unsubscribe();
      release();
      const second = reads(200_002, () => second.unsubscribe());
      await eventually(() => frames === 200_002);
      for (let i = 0; i < 100; i++) await turn();
      expect([frames, socket.stats().framesRead]).to.eql([200_002, 200_002]);
      reads(0, () => undefined);
      await eventually(() => frames === total);
      for (let i = 0; i < 100; i++) await turn();
      expect(frames).to.equal(total);
    });
  }
});
