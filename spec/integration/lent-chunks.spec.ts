/** Memory that sockets share and read into again and again: whoever keeps a frame keeps its bytes. */
import type * as net from 'node:net';
import { expect } from 'chai';
import { map, type Observable } from 'rxjs';
import { bytes, lengthPrefixed, lines, tcpSocket, type Codec, type TcpSocket } from '../../lib/index.js';
import { numbered } from '../support/child-server.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { tape, type Tape } from '../support/tape.js';
import { listen } from '../support/servers.js';
import { eventually, live } from '../support/peers.js';

const MIB = 1024 * 1024;
const HEADER = 4;
const host = '127.0.0.1';

/** So many bytes of frames of many sizes, each with its number; each connection has numbers of its own. */
function framesFrom(first: number, total: number): Buffer[] {
  const frames: Buffer[] = [];
  for (let [left, i] = [total, 0]; left > 0; i++) {
    const frame = numbered(first + i, [5, 100, 1_000, 20_000, 70_000][i % 5]!);
    frames.push(frame);
    left -= HEADER + frame.length;
  }
  return frames;
}

/** As they go over the wire. */
function withLengths(frames: readonly Buffer[]): Buffer {
  const header = (frame: Buffer): Buffer => {
    const length = Buffer.alloc(HEADER);
    length.writeUInt32BE(frame.length);
    return length;
  };
  return Buffer.concat(frames.flatMap((frame) => [header(frame), frame]));
}

describe('chunks that are lent', function () {
  this.timeout(60_000);
  leavesNothingOpen();

  /** Two sockets at once, each with its own wire, of which every frame is kept until both have ended. */
  async function both<In>(wires: readonly Buffer[], codec: Codec<In, never>): Promise<(readonly In[])[]> {
    const server = await listen((socket, index) => void socket.resume().end(wires[index]!));
    const tapes: Tape<In>[] = [];
    for (const index of wires.keys()) {
      const socket = kept(tcpSocket({ host, port: server.port, codec, reconnect: false }));
      tapes.push(tape<In>(socket.inbound));
      await server.socket(index);
    }
    await Promise.all(tapes.map(({ end }) => end));
    return tapes.map(({ values }) => values);
  }

  const total = 32 * MIB;
  const sent = [framesFrom(0, total), framesFrom(1_000_000, total)];

  it('are whole for whoever keeps them: 32 MiB of bytes() over each of two sockets at once [S1][S6]', async () => {
    const wires = sent.map(withLengths);
    const got = await both(wires, bytes());
    expect(got.map((chunks, i) => Buffer.concat(chunks).equals(wires[i]!))).to.eql([true, true]);
  });

  it('are whole within the call that gives them, with bytes({ lend: true }), also where demand ends and begins [S1][S6]', async () => {
    const wires = sent.map(withLengths);
    const server = await listen((socket, index) => void socket.resume().end(wires[index]!));
    const differing = await Promise.all(
      wires.map(async (wire, index) => {
        const codec = bytes({ lend: true });
        const socket = kept(tcpSocket({ host, port: server.port, codec, reconnect: false }));
        await server.socket(index);
        let [at, wrong, chunks] = [0, 0, 0];
        const seen = tape(
          socket.inbound.pipe(
            map((chunk) => {
              if (!chunk.equals(wire.subarray(at, at + chunk.length))) wrong++;
              at += chunk.length;
              if (++chunks % 10 === 0) setImmediate(socket.pause());
            }),
          ),
        );
        await seen.end;
        return [wire.length - at, wrong];
      }),
    );
    expect(differing).to.eql([[0, 0], [0, 0]]); // prettier-ignore
  });

  for (const copy of [false, true]) {
    it(`are whole for whoever keeps frames of lengthPrefixed(), copy: ${String(copy)} [S1][S6]`, async () => {
      const got = await both(sent.map(withLengths), lengthPrefixed({ copy }));
      expect(got.map((frames) => frames.length)).to.eql(sent.map((frames) => frames.length));
      expect(got.map((frames, i) => frames.findIndex((frame, at) => !frame.equals(sent[i]![at]!)))).to.eql([-1, -1]);
    });
  }

  it('are whole for whoever keeps lines [S1][S6]', async () => {
    const texts = sent.map((frames) => frames.map((frame) => frame.toString('hex').slice(0, 5_000)));
    const got = await both(texts.map((own) => Buffer.from(`${own.join('\n')}\n`)), lines()); // prettier-ignore
    expect(got.map((own, i) => own.findIndex((line, at) => line !== texts[i]![at]))).to.eql([-1, -1]);
    expect(got.map((own) => own.length)).to.eql(texts.map((own) => own.length));
  });

  for (const copy of [false, true]) {
    it(`are whole though demand ends and begins in the middle of them, over two sockets at once, copy: ${String(copy)} [S6]`, async () => {
      const wires = sent.map((frames) => withLengths(frames.slice(0, 500)));
      const server = await listen((socket, index) => void socket.resume().end(wires[index]!));
      const heard = await Promise.all(
        wires.map(async (_wire, index) => {
          const socket = kept(
            tcpSocket({ host, port: server.port, codec: lengthPrefixed({ copy }), reconnect: false }),
          );
          await server.socket(index);
          const frames: Buffer[] = [];
          for await (const frame of socket) {
            frames.push(frame);
            if (frames.length % 7 === index) setImmediate(socket.pause());
          }
          return frames;
        }),
      );
      expect(heard.map((frames, i) => frames.findIndex((frame, at) => !frame.equals(sent[i]![at]!)))).to.eql([-1, -1]);
      expect(heard.map((frames) => frames.length)).to.eql([500, 500]);
    });
  }

  it('come through when a name has several addresses of which the first does not answer', async () => {
    const server = await listen((socket) => void socket.resume().end('by the second'));
    const lookup: net.LookupFunction = (_name, _options, callback) =>
      callback(null, [{ address: '::1', family: 6 }, { address: host, family: 4 }]); // prettier-ignore
    const socket = kept(
      tcpSocket({ host: 'name.invalid', port: server.port, codec: lines(), reconnect: false, socket: { lookup } }),
    );
    const inbound = tape(socket.inbound);
    await inbound.end;
    expect(socket.stats().bytesRead).to.equal(13);
  });

  it('of a connection without demand are gathered up to 64 KiB, and a FIN or reset behind less than that is noticed [S6]', async () => {
    for (const end of ['end', 'resetAndDestroy'] as const) {
      const server = await listen();
      const socket: TcpSocket = kept(tcpSocket({ host, port: server.port, reconnect: false }));
      const { closed } = await live(socket);
      const peer = await server.socket(0);
      peer.resume();
      for (let i = 0; i < 63; i++) {
        peer.write(Buffer.alloc(1024, i));
        await eventually(() => socket.stats().heldBytes === (i + 1) * 1024);
      }
      peer[end]();
      expect(await closed).to.include({ clean: end === 'end', bytesRead: 63 * 1024, unread: 0 });
      const rest: Observable<Buffer> = socket.inbound;
      const inbound = tape(rest);
      await inbound.end;
      expect(Buffer.concat(inbound.values)).to.eql(Buffer.concat(Array.from({ length: 63 }, (_, i) => Buffer.alloc(1024, i)))); // prettier-ignore
    }
  });
});
