import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import { firstValueFrom } from 'rxjs';
import { expect } from 'chai';
import {
  ConnectError,
  ConnectionLostError,
  countByName,
  echoServer,
  ConfigError,
  FrameError,
  lines,
  openSockets,
  TcpError,
  tcpServer,
  tcpSocket,
  type EchoServerConfig,
  type TcpServer,
} from '../../lib/index.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { noneLeft, openHandles } from '../support/leaks.js';
import { record, socketPath } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';

function serving<In, Out>(server: TcpServer<In, Out>): TcpServer<In, Out> {
  atEnd(() => server.close({ timeout: 0 }));
  return server;
}

/** A plain client, so that only the server is ours. */
async function client(port: number | string) {
  const raw = typeof port === 'number' ? connect(port, host) : connect(port);
  raw.on('error', () => undefined);
  kept(raw);
  const recording = record(raw);
  await once(raw, 'connect');
  return { raw, recording };
}

describe('tcpServer()', () => {
  leavesNothingOpen();

  it('tells where it listens, and gives each connection with the same codec and verbs as the client', async () => {
    const server = serving(tcpServer({ host, codec: lines() }));
    const connections = tape(server.connections);
    const { address, family, port } = await server.listening;
    expect([address, family]).to.deep.equal([host, 'IPv4']);
    const { raw, recording } = await client(port);
    const connection = await connections.at(0);
    expect(connection.endpoint).to.deep.equal({ host, port: raw.localPort });
    expect(connection.epoch).to.equal(1);
    const inbound = tape(connection.inbound);
    raw.write('hello\nwor');
    expect(await inbound.at(0)).to.equal('hello');
    raw.write('ld\n');
    expect(await inbound.at(1)).to.equal('world');
    await connection.write('welcome');
    await recording.has('welcome\n');
    await client(port);
    expect((await connections.at(1)).epoch).to.equal(2);
  });

  it('listens on an IPv6 address that stands in brackets, as in a URL', async () => {
    const { address, family } = await serving(tcpServer({ host: '[::1]' })).listening;
    expect([address, family]).to.deep.equal(['::1', 'IPv6']);
  });

  it('refuses TCP options for a unix path, and listens nowhere', () => {
    for (const socket of [{ noDelay: true }, { keepAlive: false }]) {
      expect(() => tcpServer({ path: '/x', socket })).to.throw(
        ConfigError,
        /`path` excludes the TCP options of `socket`/,
      );
    }
  });

  it('ends a connection that finds no subscriber of `connections`', async () => {
    const server = serving(tcpServer({ host }));
    const { port } = await server.listening;
    const { raw } = await client(port);
    await once(raw, 'end');
    const connections = tape(server.connections);
    await client(port);
    await connections.at(0);
    expect(connections.values).to.have.length(1);
  });

  it('reads a connection only while it has a subscriber', async () => {
    const server = serving(tcpServer({ host }));
    const connections = tape(server.connections);
    const { port } = await server.listening;
    const { raw } = await client(port);
    for (let i = 0; i < 512; i++) raw.write(Buffer.alloc(64 * 1024));
    const connection = await connections.at(0);
    let before = -1;
    while (before !== raw.writableLength) {
      before = raw.writableLength;
      await turns(200);
    }
    expect(raw.writableLength).to.be.greaterThan(0);
    connection.inbound.subscribe();
    await once(raw, 'drain');
  });

  it('tells in `errors` how a connection was lost, and what was no frame; it goes on listening [S9][S12]', async () => {
    const server = serving(tcpServer({ host, codec: lines({ maxFrameLength: 3 }) }));
    const [connections, errors] = [tape(server.connections), tape(server.errors)];
    const { port } = await server.listening;
    const goodbye = await client(port);
    goodbye.raw.end();
    const ended = await (await connections.at(0)).closed;
    expect(ended).to.be.instanceOf(ConnectionLostError).and.to.include({ clean: true, epoch: 1 });
    const first = await client(port);
    first.raw.resetAndDestroy();
    const lost = await (await connections.at(1)).closed;
    expect(lost).to.be.instanceOf(ConnectionLostError).and.to.include({ clean: false, epoch: 2 });
    const second = await client(port);
    tape((await connections.at(2)).inbound);
    second.raw.write('too long\n');
    await once(second.raw, 'close');
    expect(errors.values[0]).to.equal(lost);
    expect(errors.values[1]).to.be.instanceOf(FrameError).and.to.include({ kind: 'too-large', epoch: 3 });
    expect(errors.values).to.have.length(2);
    await client(port);
    await connections.at(3);
  });

  it('survives peers that reset at once, over and over [S9]', async () => {
    const server = serving(tcpServer({ host }));
    server.connections.subscribe((connection) => {
      connection.inbound.subscribe();
      void connection.write('hello');
    });
    const { port } = await server.listening;
    for (let i = 0; i < 20; i++) {
      const { raw } = await client(port);
      raw.resetAndDestroy();
    }
    const { recording } = await client(port);
    await recording.has('hello');
  });

  it('goes on when a subscriber of `connections` destroys the connection inside', async () => {
    const server = serving(tcpServer({ host }));
    server.connections.subscribe((connection) => connection.destroy());
    const second = tape(server.connections);
    const { port } = await server.listening;
    const { raw } = await client(port);
    if (!raw.destroyed) await once(raw, 'close');
    await client(port);
    await second.at(1);
  });

  it('listens on a unix path, and takes the path away when it closes', async () => {
    const path = socketPath();
    const server = serving(tcpServer({ path }));
    const connections = tape(server.connections);
    expect(await server.listening).to.include({ address: path });
    const { raw } = await client(path);
    const connection = await connections.at(0);
    expect(connection.endpoint).to.deep.equal({ path });
    const inbound = tape(connection.inbound);
    raw.write('hello');
    expect(String(await inbound.at(0))).to.equal('hello');
    raw.end();
    await server.close();
    expect(existsSync(path)).to.be.false;
  });

  it('fails with a ConnectError where it cannot listen: `listening` and `errors` tell it, and all may be ignored [S9]', async () => {
    const first = serving(tcpServer({ host }));
    const { port } = await first.listening;
    const second = serving(tcpServer({ host, port }));
    const [connections, errors] = [tape(second.connections), tape(second.errors)];
    const error = (await outcome(second.listening)) as ConnectError;
    expect(error).to.be.instanceOf(ConnectError);
    expect((error.cause as { code: string }).code).to.equal('EADDRINUSE');
    await connections.end;
    expect([connections.ended, connections.values]).to.deep.equal(['completed', []]);
    expect(errors.values).to.deep.equal([error]);
    await second.close();
    expect(errors.ended).to.equal('completed');
    const ignored = serving(tcpServer({ host, port }));
    ignored.connections.subscribe();
    await tape(ignored.errors).at(0);
    await ignored.close();
    await turns();
  });

  it('may be closed before it listens', async () => {
    const before = openHandles();
    const server = tcpServer({ host });
    void server.listening;
    await server.close();
    expect(tape(server.connections).ended).to.equal('completed');
    await noneLeft(before);
  });

  it('ends its connections when it closes, and completes once they are over [S11]', async () => {
    const before = openHandles();
    const server = tcpServer({ host });
    const [connections, errors] = [tape(server.connections), tape(server.errors)];
    const { port } = await server.listening;
    const { raw } = await client(port);
    const connection = await connections.at(0);
    await connection.write('last words');
    const closed = server.close();
    expect(server.close()).to.equal(closed);
    await closed;
    expect(await connection.closed).to.be.undefined;
    expect([connections.ended, errors.ended]).to.deep.equal(['completed', 'completed']);
    expect(errors.values).to.deep.equal([]);
    if (!raw.destroyed) await once(raw, 'close');
    await noneLeft(before);
    const refused = connect(port, host);
    await outcome(once(refused, 'connect'));
    expect(refused.destroyed).to.be.true;
  });

  it('destroys what is left of its connections after the timeout of close() [S11]', async () => {
    const before = openHandles();
    const server = tcpServer({ host });
    const connections = tape(server.connections);
    const { port } = await server.listening;
    const raw = kept(connect({ port, host, allowHalfOpen: true }));
    raw.on('error', () => undefined);
    const connection = await connections.at(0);
    await server.close({ timeout: 1 });
    expect(await connection.closed).to.be.instanceOf(ConnectionLostError);
    expect(await outcome(connection.write('x'))).to.be.instanceOf(TcpError);
    raw.destroy();
    await noneLeft(before);
  });

  it('lists its connections by its name, until they are over', async () => {
    const server = serving(tcpServer({ host, name: 'listed' }));
    const connections = tape(server.connections);
    const { port } = await server.listening;
    const { raw } = await client(port);
    await client(port);
    const connection = await connections.at(1);
    expect(countByName().listed).to.equal(2);
    const [snapshot] = openSockets().filter(({ name }) => name === 'listed');
    expect(snapshot).to.deep.include({ status: { type: 'open', endpoint: connections.values[0]!.endpoint, epoch: 1 } });
    raw.end();
    await connections.values[0]!.closed;
    connection.destroy();
    expect(countByName().listed).to.be.undefined;
  });
});

describe('echoServer()', () => {
  leavesNothingOpen();

  const start = async (config: EchoServerConfig = {}) => {
    const server = serving(echoServer({ host, ...config }));
    return { server, ...(await server.listening) };
  };

  it('sends back what it gets, a megabyte too, and its FIN for a FIN', async () => {
    const { port } = await start();
    const { raw, recording } = await client(port);
    const megabyte = Buffer.alloc(1024 * 1024, 'abcdefg');
    raw.write(megabyte);
    await recording.has(megabyte.length);
    expect(recording.bytes.equals(megabyte)).to.be.true;
    raw.end();
    await once(raw, 'end');
  });

  it('ends each connection after its first reply with closeAfterReply', async () => {
    const { port } = await start({ closeAfterReply: true });
    for (let i = 0; i < 3; i++) {
      const { raw, recording } = await client(port);
      raw.write('ping');
      await once(raw, 'end');
      expect(recording.text).to.equal('ping');
    }
  });

  it('reads no faster than its peer takes the echo', async () => {
    const { server, port } = await start();
    const connection = firstValueFrom(server.connections);
    const raw = kept(connect(port, host));
    raw.on('error', () => undefined);
    raw.pause();
    await connection;
    for (let i = 0; i < 1024; i++) raw.write(Buffer.alloc(64 * 1024));
    let before = -1;
    while (before !== raw.writableLength) {
      before = raw.writableLength;
      await turns(200);
    }
    expect(raw.writableLength).to.be.greaterThan(0);
    const [snapshot] = openSockets().filter(({ status }) => status.type === 'open');
    expect(snapshot!.queuedBytes + snapshot!.heldBytes).to.be.at.most(16 * 1024 * 1024);
  });

  it('takes TCP options of its sockets, and refuses what is none', async () => {
    const { port } = await start({ socket: { noDelay: false, keepAlive: false } });
    const { raw, recording } = await client(port);
    raw.write('ping');
    await recording.has('ping');
    for (const socket of [null, { allowHalfOpen: false }, { fast: true }])
      expect(() => echoServer({ socket: socket as never })).to.throw(ConfigError, 'socket');
  });

  it('serves a path', async () => {
    const path = socketPath();
    const server = serving(echoServer({ path }));
    await server.listening;
    const socket = kept(tcpSocket({ path, codec: lines() }));
    const inbound = tape(socket.inbound);
    await socket.write('hello');
    expect(await inbound.at(0)).to.equal('hello');
    await socket.end();
  });

  it('closes while clients talk to it [S11]', async () => {
    const before = openHandles();
    const server = echoServer({ host });
    const { port } = await server.listening;
    const sockets = Array.from({ length: 3 }, () => kept(tcpSocket({ host, port })));
    for (const socket of sockets) {
      socket.inbound.subscribe();
      await socket.write('x');
    }
    const ended = server.close();
    for (const socket of sockets) await socket.end();
    await ended;
    await noneLeft(before);
  });
});
