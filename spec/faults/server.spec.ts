/** What clients do to a server: rows of the fault matrix and of the security list, on its side. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { NEVER } from 'rxjs';
import { expect } from 'chai';
import { ConnectError, ConnectionLostError, ConnectTimeoutError, openSockets, tcpServer } from '../../lib/index.js';
import type { TcpServerConfig } from '../../lib/index.js';
import { certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { noneLeft, openHandles, stillAlive, until } from '../support/leaks.js';
import { aliveBytes } from '../support/memory.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';

describe('clients that do a server harm', () => {
  leavesNothingOpen();

  async function start(config: TcpServerConfig) {
    const server = tcpServer({ host, ...config });
    atEnd(() => server.close({ timeout: 0 }));
    const [connections, errors] = [tape(server.connections), tape(server.errors)];
    return { server, connections, errors, ...(await server.listening) };
  }

  async function client(port: number): Promise<Socket> {
    const raw = kept(connect({ port, host, allowHalfOpen: true }));
    raw.on('error', () => undefined);
    await once(raw, 'connect');
    return raw;
  }

  it('F5: hang in TLS, or drip: one deadline for all of it', async () => {
    const { server: pair } = await certificates();
    const { server, errors, port } = await start({ tls: pair, handshakeTimeout: 60 });
    const silent = await client(port);
    const dripping = await client(port);
    const drops = setInterval(() => dripping.write(Buffer.from([22])), 5);
    atEnd(() => clearInterval(drops));
    silent.resume();
    dripping.write(Buffer.from([22, 3, 1, 2, 0]));
    await errors.at(1);
    clearInterval(drops);
    for (const error of errors.values) {
      expect(error).to.be.instanceOf(ConnectTimeoutError).and.to.include({ phase: 'tls', timeout: 60 });
    }
    expect(server.stats()).to.include({ accepted: 2, failed: 2, opening: 0, open: 0 });
  });

  it('F5: drip through the handshake that comes after TLS or without it', async () => {
    const { server, errors, port } = await start({
      handshakeTimeout: 60,
      handshake: (connection) => {
        connection.inbound.subscribe({ error: () => undefined });
        return NEVER;
      },
    });
    const raw = await client(port);
    const drops = setInterval(() => raw.write('x'), 5);
    atEnd(() => clearInterval(drops));
    expect(await errors.at(0))
      .to.be.instanceOf(ConnectTimeoutError)
      .and.to.include({ phase: 'handshake' });
    clearInterval(drops);
    expect(server.stats()).to.include({ failed: 1, opening: 0 });
  });

  it('leave in TLS, by FIN or by RST: their place is free at once', async () => {
    const { server: pair } = await certificates();
    const { server, errors, port } = await start({ tls: pair, maxConnections: 1 });
    for (const [i, leave] of (['end', 'destroy', 'resetAndDestroy'] as const).entries()) {
      const raw = await client(port);
      raw.resume();
      expect(await until(() => server.stats().opening === 1)).to.be.true;
      raw[leave]();
      expect(await errors.at(i), leave)
        .to.be.instanceOf(ConnectError)
        .and.to.include({ phase: 'tls' });
      expect(server.stats()).to.include({ opening: 0, failed: i + 1, refused: 0 });
      raw.destroy();
      await until(() => openHandles().filter((kind) => kind === 'TCPSocketWrap').length === 0, 500);
    }
  });

  it('F21: never finish closing: the server lets go of them at `endTimeout`', async () => {
    const { server, connections, port } = await start({ endTimeout: 30 });
    const raw = await client(port);
    raw.resume();
    const connection = await connections.at(0);
    const end = once(raw, 'end');
    await connection.end();
    await end;
    expect(await connection.closed)
      .to.be.instanceOf(ConnectionLostError)
      .and.to.include({ endedBy: 'us' });
    expect([connection.raw.destroyed, server.stats().open]).to.deep.equal([true, 0]);
  });

  it('F18: come and go a thousand times: heap, handles and listeners stay flat', async function () {
    this.timeout(60_000);
    const server = tcpServer({ host });
    atEnd(() => server.close({ timeout: 0 }));
    const refs: WeakRef<object>[] = [];
    server.connections.subscribe((connection) => {
      refs.push(new WeakRef(connection));
      connection.inbound.subscribe((chunk) => void connection.write(chunk));
    });
    const at = (await server.listening).port;
    const before = openHandles();
    const listed = openSockets().length;
    const cycle = async (i: number): Promise<void> => {
      const raw = connect(at, host);
      raw.on('error', () => undefined);
      const closed = new Promise<void>((resolve) => void raw.once('close', () => resolve()));
      raw.write('ping');
      raw.once('data', () => (i % 2 === 0 ? raw.end() : raw.resetAndDestroy()));
      await closed;
    };
    const rounds = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 20) await Promise.all(Array.from({ length: 20 }, (_, j) => cycle(i + j)));
      expect(await until(() => server.stats().open === 0)).to.be.true;
    };
    await rounds(200);
    const warm = aliveBytes();
    await rounds(1000);
    await noneLeft(before);
    expect(await stillAlive(refs, 5)).to.be.at.most(5);
    expect(aliveBytes() - warm).to.be.lessThan(1024 * 1024);
    expect(openSockets().length).to.equal(listed);
    expect(server.stats()).to.include({ accepted: 1200, open: 0, opening: 0, framesWritten: 1200 });
  });
});
