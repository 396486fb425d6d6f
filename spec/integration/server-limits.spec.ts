import { once } from 'node:events';
import { connect } from 'node:net';
import { NEVER } from 'rxjs';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import {
  ClosedError,
  ConnectError,
  ConnectionLostError,
  ConnectTimeoutError,
  IdleTimeoutError,
  lines,
  tcpServer,
  type TcpServer,
  type TcpServerConfig,
} from '../../lib/index.js';
import { certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { expectUncaught } from '../support/guard.js';
import { noneLeft, openHandles, until } from '../support/leaks.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';

describe('the bounds of a server', () => {
  leavesNothingOpen();

  async function start(config: TcpServerConfig<string, string> = {}) {
    const server: TcpServer<string, string> = tcpServer<string, string>({ host, ...config, codec: lines() });
    atEnd(() => server.close({ timeout: 0 }));
    const [connections, errors] = [tape(server.connections), tape(server.errors)];
    return { server, connections, errors, ...(await server.listening) };
  }

  async function client(port: number) {
    const raw = kept(connect({ port, host, allowHalfOpen: true }));
    raw.on('error', () => undefined);
    await once(raw, 'connect');
    return raw;
  }

  const gone = async (raw: Duplex): Promise<void> => {
    if (!raw.closed) await once(raw, 'close');
  };

  it('closes who comes when there are `maxConnections`, counts them, and has room again when one has left', async () => {
    const { server, connections, errors, port } = await start({ maxConnections: 2 });
    const first = await client(port);
    await client(port);
    await connections.at(1);
    const third = await client(port);
    third.resume();
    third.once('end', () => third.end());
    await gone(third);
    expect(await until(() => server.stats().refused === 1)).to.be.true;
    expect(server.stats()).to.include({ accepted: 2, open: 2, refused: 1, failed: 0 });
    expect(errors.values).to.deep.equal([]);
    connections.values[0]!.inbound.subscribe();
    first.end();
    await gone(connections.values[0]!.raw);
    await client(port);
    await connections.at(2);
    expect(server.stats()).to.include({ accepted: 3, open: 2, refused: 1 });
  });

  it('counts those in their handshake towards `maxConnections`', async () => {
    const { server, port } = await start({ maxConnections: 1, handshake: () => NEVER });
    await client(port);
    expect(await until(() => server.stats().opening === 1)).to.be.true;
    const second = await client(port);
    second.resume();
    second.once('end', () => second.end());
    await gone(second);
    expect(server.stats()).to.include({ accepted: 1, opening: 1, open: 0, refused: 1 });
  });

  it('gives up a handshake at `handshakeTimeout`, and one that throws at once', async () => {
    const { server, errors, port, connections } = await start({ handshakeTimeout: 20, handshake: () => NEVER });
    (await client(port)).resume();
    expect(await errors.at(0))
      .to.be.instanceOf(ConnectTimeoutError)
      .and.to.include({ phase: 'handshake', timeout: 20 });
    expect(server.stats()).to.include({ failed: 1, opening: 0, open: 0 });
    const throwing = await start({
      handshake: () => {
        throw new Error('no');
      },
    });
    (await client(throwing.port)).resume();
    expect(await throwing.errors.at(0))
      .to.be.instanceOf(ConnectError)
      .and.to.include({ phase: 'handshake' });
    expect([connections.values, throwing.connections.values]).to.deep.equal([[], []]);
  });

  it('drops a client that is silent for `idleTimeout`, while somebody wants to read', async () => {
    const { connections, errors, port } = await start({ idleTimeout: 20 });
    (await client(port)).resume();
    const connection = await connections.at(0);
    connection.inbound.subscribe({ error: () => undefined });
    const lost = await connection.closed;
    expect(lost?.cause).to.be.instanceOf(IdleTimeoutError);
    expect(errors.values).to.deep.equal([lost?.cause]);
  });

  it('sums its connections in stats(), those that are over too, and what was read of them later', async () => {
    const { server, connections, port } = await start();
    const raw = await client(port);
    raw.resume();
    const connection = await connections.at(0);
    await connection.write('hello');
    raw.write('a\nb\nc\n');
    expect(await until(() => connection.stats().heldBytes > 0 || server.stats().bytesRead === 6)).to.be.true;
    expect(server.stats()).to.include({ open: 1, bytesWritten: 6, framesWritten: 1, framesRead: 0 });
    expect(Object.isFrozen(server.stats())).to.be.true;
    raw.resetAndDestroy();
    await connection.closed;
    expect(server.stats()).to.include({ open: 0, bytesRead: 6, bytesWritten: 6, framesWritten: 1, framesRead: 0 });
    const inbound = tape(connection.inbound);
    await inbound.end;
    expect(inbound.values).to.deep.equal(['a', 'b', 'c']);
    expect(server.stats()).to.include({ open: 0, bytesRead: 6, framesRead: 3 });
  });

  it('counts what a dying connection leaves unwritten', async () => {
    const { server, connections, port } = await start();
    await client(port);
    const connection = await connections.at(0);
    const writes = [outcome(connection.write('a')), outcome(connection.write('b'))];
    connection.destroy();
    await Promise.all(writes);
    expect(server.stats()).to.include({ framesUndelivered: 2, framesWritten: 0, queuedFrames: 0, open: 0 });
  });

  it('keeps the newest 100 errors for who comes late, and counts the others', async () => {
    const server = tcpServer({ host, handshake: () => NEVER });
    atEnd(() => server.close({ timeout: 0 }));
    const { port } = await server.listening;
    for (let i = 0; i < 130; i++) (await client(port)).resetAndDestroy();
    expect(await until(() => server.stats().failed === 130)).to.be.true;
    expect(server.stats().errorsDropped).to.equal(30);
    expect(tape(server.errors).values).to.have.length(100);
  });

  it('survives a subscriber of `connections` that throws; the others hear of the connection [S9]', async () => {
    const server = tcpServer({ host });
    atEnd(() => server.close({ timeout: 0 }));
    const uncaught = expectUncaught(/mine/);
    server.connections.subscribe(() => {
      throw new Error('mine');
    });
    const others = tape(server.connections);
    const { port } = await server.listening;
    const raw = await client(port);
    await uncaught;
    await (await others.at(0)).write('hello');
    await once(raw, 'data');
  });

  it('rejects `listening` with a ClosedError if it is closed before', async () => {
    for (const place of [{ host }, { host: 'localhost' }, {}]) {
      const server = tcpServer(place);
      const listening = outcome(server.listening);
      await server.close();
      expect(await listening).to.be.instanceOf(ClosedError);
    }
  });

  describe('close()', () => {
    it('writes a backlog to its end, and completes then [S11]', async () => {
      const before = openHandles();
      const { server, connections, port } = await start();
      const raw = (await client(port)).pause();
      const connection = await connections.at(0);
      const line = 'x'.repeat(64 * 1024 - 1);
      const writes = Array.from({ length: 200 }, () => outcome(connection.write(line)));
      await turns(100);
      const closed = server.close({ timeout: 10_000 });
      expect(server.close()).to.equal(closed);
      let read = 0;
      raw.on('data', (chunk: Buffer) => (read += chunk.length));
      raw.once('end', () => raw.end());
      const left = gone(raw);
      raw.resume();
      await closed;
      expect(new Set(await Promise.all(writes))).to.deep.equal(new Set(['written']));
      await left;
      expect(read).to.equal(200 * 64 * 1024);
      expect([await connection.closed, connections.ended]).to.deep.equal([undefined, 'completed']);
      await noneLeft(before);
    });

    it('gives up those in TLS and in their handshake at once [S11]', async () => {
      const { server: pair } = await certificates();
      for (const config of [{ tls: pair }, { handshake: () => NEVER }]) {
        const before = openHandles();
        const { server, errors, port } = await start(config);
        const raw = await client(port);
        raw.resume();
        raw.once('end', () => raw.end());
        expect(await until(() => server.stats().opening === 1)).to.be.true;
        await server.close({ timeout: 60_000 });
        expect(server.stats()).to.include({ opening: 0, open: 0 });
        expect([errors.values, errors.ended]).to.deep.equal([[], 'completed']);
        raw.destroy();
        await noneLeft(before);
      }
    });

    it('destroys at its timeout what is paused, half open, or does not read [S11]', async () => {
      const before = openHandles();
      const { server, connections, port } = await start({ socket: { allowHalfOpen: true } });
      const [stopped, halfOpen] = [await client(port), await client(port)];
      stopped.pause();
      const blocked = await connections.first(({ endpoint }) => endpoint.port === stopped.localPort);
      const half = await connections.first(({ endpoint }) => endpoint.port === halfOpen.localPort);
      blocked.pause();
      for (let i = 0; i < 200; i++) void blocked.write('x'.repeat(64 * 1024 - 1));
      const inbound = tape(half.inbound);
      halfOpen.end();
      await inbound.end;
      await server.close({ timeout: 30 });
      expect(await half.closed).to.be.undefined;
      expect(await blocked.closed)
        .to.be.instanceOf(ConnectionLostError)
        .and.to.include({ endedBy: 'us' });
      expect(server.stats()).to.include({ open: 0, queuedFrames: 0 });
      for (const raw of [stopped, halfOpen]) raw.destroy();
      await noneLeft(before);
    });
  });
});
