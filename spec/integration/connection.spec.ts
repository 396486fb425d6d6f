import { once } from 'node:events';
import { firstValueFrom } from 'rxjs';
import { expect } from 'chai';
import {
  ClosedError,
  connection,
  ConnectError,
  ConnectionLostError,
  ConnectTimeoutError,
  FrameError,
  lines,
  OverflowError,
  TcpError,
  tcpSocket,
} from '../../lib/index.js';
import { unansweredPort } from '../support/child-server.js';
import { FakeStream } from '../support/fake-stream.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { noneLeft, openHandles } from '../support/leaks.js';
import {
  deadPort,
  echo,
  listen,
  neverReading,
  recordingServer,
  resetAfter,
  sink,
  socketPath,
} from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const HUGE = 12 * 1024 * 1024;

/** A connection that is destroyed when the spec is over, and what its stream does. */
async function connected<In = Buffer, Out = unknown>(source: ReturnType<typeof connection<In, Out>>) {
  const stream = tape(source);
  atEnd(() => stream.stop());
  return { stream, link: await stream.at(0) };
}

describe('connection()', () => {
  leavesNothingOpen();

  it('is cold: nothing is dialled before a subscriber comes, and each has a connection of its own', async () => {
    const server = await listen(sink);
    const source = connection({ host, port: server.port });
    await turns(50);
    expect(server.sockets).to.have.length(0);
    const [first, second] = [await connected(source), await connected(source)];
    expect(first.link).not.to.equal(second.link);
    expect(server.sockets).to.have.length(2);
    expect(first.link).to.deep.include({
      endpoint: { host, port: server.port },
      epoch: 1,
      readBuffer: { frames: 100, bytes: 2 ** 20 },
    });
  });

  it('destroys its connection when it is unsubscribed from', async () => {
    const before = openHandles();
    const server = await listen((peer) => void peer.resume());
    const { stream, link } = await connected(connection({ host, port: server.port }));
    const inbound = tape(link.inbound);
    stream.stop();
    expect(link.raw.destroyed).to.be.true;
    expect(await link.closed).to.be.instanceOf(ConnectionLostError);
    await inbound.end;
    expect(inbound.ended).to.equal('completed');
    expect(await outcome(link.write('x'))).to.be.instanceOf(TcpError);
    await server.close();
    await noneLeft(before);
  });

  it('gives the dial up when it is unsubscribed from in a lookup, or while it connects [S11]', async () => {
    const port = await unansweredPort();
    const before = openHandles();
    const lookup = (): undefined => undefined;
    for (const place of [
      { host: 'name.invalid', port: 1, socket: { lookup } },
      { host, port },
    ]) {
      const stream = tape(connection(place));
      await turns();
      stream.stop();
      expect(stream.values).to.deep.equal([]);
    }
    await noneLeft(before);
  });

  it('errors with what made the dial fail', async () => {
    const failing = tape(connection({ host, port: await deadPort() }));
    await failing.end;
    expect(failing.error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'connect', epoch: 0 });
    const late = tape(connection({ dial: () => new Promise<never>(() => undefined), connectTimeout: 1 }));
    await late.end;
    expect(late.error).to.be.instanceOf(ConnectTimeoutError);
  });

  it('errors with a clean loss for the FIN of the peer, after its frames, and answers with a FIN', async () => {
    const server = await listen((peer) => peer.end('one\ntwo\n'));
    const { stream, link } = await connected(connection({ host, port: server.port, codec: lines() }));
    const inbound = tape(link.inbound);
    await stream.end;
    await inbound.end;
    expect(stream.error).to.be.instanceOf(ConnectionLostError).and.to.include({ clean: true, endedBy: 'peer' });
    expect(await link.closed).to.equal(stream.error);
    expect([inbound.values, inbound.ended]).to.deep.equal([['one', 'two'], 'completed']);
    const [peer] = server.sockets;
    peer!.resume();
    if (!peer!.readableEnded) await once(peer!, 'end');
  });

  it('errors with a loss that is not clean for a reset', async () => {
    const server = await listen((peer) => resetAfter(peer));
    const { stream, link } = await connected(connection({ host, port: server.port }));
    void link.write('x');
    await stream.end;
    expect(stream.error).to.be.instanceOf(ConnectionLostError).and.to.include({ clean: false });
    expect(await link.closed).to.equal(stream.error);
  });

  it('errors for destroy() too, which nobody asked its end of', async () => {
    const server = await listen(sink);
    const { stream, link } = await connected(connection({ host, port: server.port }));
    const mine = new Error('mine');
    link.destroy(mine);
    await stream.end;
    expect(stream.error)
      .to.be.instanceOf(ConnectionLostError)
      .and.to.include({ clean: false, endedBy: 'us', cause: mine });
  });

  it('completes only after its own end(), which waits for the FIN of the peer and reads on', async () => {
    const server = await listen((peer) => {
      peer.once('end', () => peer.end('last words'));
      peer.resume();
    });
    const { stream, link } = await connected(connection({ host, port: server.port }));
    const inbound = tape(link.inbound);
    await link.end();
    expect(await link.closed).to.be.undefined;
    await stream.end;
    expect(stream.ended).to.equal('completed');
    await inbound.end;
    expect(inbound.values.map(String)).to.deep.equal(['last words']);
  });

  it('errors when its own end() met no FIN within endTimeout', async () => {
    const server = await listen((peer) => void peer.resume());
    const { stream, link } = await connected(connection({ host, port: server.port, endTimeout: 1 }));
    await link.end();
    await stream.end;
    expect(stream.error).to.be.instanceOf(ConnectionLostError).and.to.include({ endedBy: 'us', clean: false });
  });

  it('errors with a loss that is not clean when its bytes are no frames', async () => {
    const server = await listen((peer) => void peer.write('too long\n'));
    const { stream, link } = await connected(
      connection({ host, port: server.port, codec: lines({ maxFrameLength: 3 }) }),
    );
    tape(link.inbound);
    await stream.end;
    expect(stream.error).to.be.instanceOf(ConnectionLostError).and.to.include({ clean: false, endedBy: 'us' });
    expect((stream.error as Error).cause).to.be.instanceOf(FrameError);
  });

  it('reads only on demand, and hands out what came while nobody subscribed', async () => {
    const server = await listen((peer) => void peer.write('one\ntwo\n'));
    const { link } = await connected(connection({ host, port: server.port, codec: lines() }));
    await turns(50);
    expect(await firstValueFrom(link.inbound)).to.equal('one');
    const release = link.pause();
    const rest = tape(link.inbound);
    await turns();
    expect(rest.values).to.deep.equal([]);
    release();
    expect(await rest.at(0)).to.equal('two');
  });

  it('is an async iterable of its frames, ending with the connection', async () => {
    const server = await listen((peer) => peer.end('one\ntwo\nthree\n'));
    const { link } = await connected(connection({ host, port: server.port, codec: lines() }));
    const seen: string[] = [];
    for await (const line of link) seen.push(line);
    expect(seen).to.deep.equal(['one', 'two', 'three']);
  });

  it('reaches a unix path', async () => {
    const path = socketPath();
    await listen(echo, path);
    const { link } = await connected(connection({ path }));
    const inbound = tape(link.inbound);
    await link.write('hello');
    expect(String(await inbound.at(0))).to.equal('hello');
    expect(link.endpoint).to.deep.equal({ path });
    await link.end();
  });
});

describe('write() of a connection', () => {
  leavesNothingOpen();

  it('is written in order, at once and whole, and resolves when the kernel took it [S1]', async () => {
    const server = await recordingServer();
    const { link } = await connected(connection({ host, port: server.port }));
    await Promise.all(['a', 'b', 'c'].map((message) => link.write(message)));
    const recording = await server.recording(0);
    await recording.has('abc');
  });

  it("goes past its socket's queue, and is not written again on the next connection [S2]", async () => {
    const server = await recordingServer((peer, index) => {
      if (index === 0) resetAfter(peer);
      return index === 0;
    });
    const config = { settle: 0, reconnect: { initialDelay: 1 }, writeBuffer: { bytes: 2 * HUGE } };
    const socket = kept(tcpSocket({ host, port: server.port, ...config }));
    const link = await tape(socket.connections).at(0);
    const huge = outcome(link.write(Buffer.alloc(HUGE, 'h')));
    const tail = outcome(link.write('tail'));
    const lost = await link.closed;
    expect(lost).to.be.instanceOf(ConnectionLostError).and.to.include({ unconfirmed: 2 });
    expect([await huge, await tail]).to.deep.equal([lost, lost]);
    await socket.write('queued');
    const recording = await server.recording(1);
    await recording.has('queued');
    expect(recording.text).to.equal('queued');
  });

  it('is bounded by writeBuffer [S5]', async () => {
    const server = await listen(neverReading);
    const { link } = await connected(
      connection({ host, port: server.port, writeBuffer: { frames: 2, bytes: 2 * HUGE } }),
    );
    const huge = outcome(link.write(Buffer.alloc(HUGE)));
    void link.write('second');
    expect(await outcome(link.write('third')))
      .to.be.instanceOf(OverflowError)
      .and.to.include({ fate: 'unsent' });
    link.destroy();
    expect(await huge).to.be.instanceOf(ConnectionLostError);
  });

  it('rejects what cannot be encoded, and the connection stands', async () => {
    const server = await listen(echo);
    const { link } = await connected(connection({ host, port: server.port, codec: lines() }));
    expect(await outcome(link.write('a\nb')))
      .to.be.instanceOf(FrameError)
      .and.to.include({ kind: 'encode', epoch: 1 });
    expect(await outcome(link.write(7 as never))).to.be.instanceOf(FrameError);
    const inbound = tape(link.inbound);
    await link.write('fine');
    expect(await inbound.at(0)).to.equal('fine');
  });

  it('rejects after end(), and may be ignored however it turns out [S9]', async () => {
    const server = await listen(sink);
    const { link } = await connected(connection({ host, port: server.port }));
    void link.end();
    void link.write('ignored');
    expect(await outcome(link.write('late'))).to.be.instanceOf(ClosedError);
    await link.closed;
    void link.write('ignored');
    await turns();
  });

  it('is never "written" when the link was destroyed in its callback [S4]', async () => {
    const stream: FakeStream = new FakeStream(({ done }) => {
      stream.destroy();
      done();
    });
    const { link } = await connected(connection({ dial: () => stream }));
    expect(await outcome(link.write('x'))).to.be.instanceOf(ConnectionLostError);
  });
});

describe('connections of a socket', () => {
  leavesNothingOpen();

  it('gives the live one first, then each new one, with the epochs counting up [S10]', async () => {
    const server = await listen((peer, index) => {
      if (index < 2) peer.once('data', () => peer.end());
    });
    const socket = kept(tcpSocket({ host, port: server.port, settle: 0, reconnect: { initialDelay: 1 } }));
    const all = tape(socket.connections);
    const first = await all.at(0);
    expect(tape(socket.connections).values).to.deep.equal([first]);
    for (let i = 0; i < 2; i++) {
      await socket.write('x');
      await all.at(i + 1);
    }
    expect(all.values.map(({ epoch }) => epoch)).to.deep.equal([1, 2, 3]);
    expect(await first.closed).to.include({ clean: true, epoch: 1 });
    expect(tape(socket.connections).values).to.deep.equal([all.values[2]]);
  });

  it('has nothing for a late subscriber while there is no connection', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port, reconnect: { initialDelay: 60_000, jitter: 0 } }));
    await tape(socket.connections).at(0);
    (await server.socket(0)).destroy();
    await tape(socket.status).first(({ type }) => type === 'backoff');
    expect(tape(socket.connections).values).to.deep.equal([]);
  });

  it('has inbound cut at the end of each connection', async () => {
    const server = await listen((peer, index) => peer.end(`from ${String(index)}\n`));
    const socket = kept(
      tcpSocket({ host, port: server.port, codec: lines(), settle: 0, reconnect: { initialDelay: 1 } }),
    );
    const perConnection: ReturnType<typeof tape<string>>[] = [];
    socket.connections.subscribe((link) => perConnection.push(tape(link.inbound)));
    await tape(socket.connections).first(({ epoch }) => epoch === 4);
    for (const [i, { values, ended }] of perConnection.slice(0, 3).entries()) {
      expect([values, ended]).to.deep.equal([[`from ${String(i)}`], 'completed']);
    }
  });

  it('are dialled again after end() or destroy() of one of them: the socket lives on', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port, settle: 0, reconnect: { initialDelay: 1 } }));
    const [all, errors] = [tape(socket.connections), tape(socket.errors)];
    await (await all.at(0)).end();
    (await all.at(1)).destroy(new Error('mine'));
    await all.at(2);
    await socket.write('x');
    expect(errors.values.map(({ code }) => code)).to.deep.equal(['TCP_CONNECTION_LOST', 'TCP_CONNECTION_LOST']);
  });

  it('have what waits in the queue written on the next one when they are ended [S2]', async () => {
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port, settle: 0, reconnect: { initialDelay: 1 } }));
    const link = await tape(socket.connections).at(0);
    void link.end();
    await socket.write('x');
    await (await server.recording(1)).has('x');
    expect((await server.recording(0)).text).to.equal('');
  });
});
