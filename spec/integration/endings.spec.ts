import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { firstValueFrom, filter, timer } from 'rxjs';
import { echoServer, tcpServer, tcpSocket, type TcpError } from '../../lib/index.js';
import { listen } from '../support/servers.js';
import { leavesNothingOpen, outcome } from '../support/fixture.js';

const host = '127.0.0.1';

describe('endings', () => {
  leavesNothingOpen();

  it('end() of a socket whose rest waits for a reader gives the rest up at its deadline [S11]', async () => {
    const server = await listen((peer) => peer.end('hello'));
    const socket = tcpSocket({ host, port: server.port, reconnect: false });
    await firstValueFrom(socket.status.pipe(filter(({ type }) => type === 'closing')));
    const release = socket.pause();
    socket.inbound.subscribe();
    await socket.end({ timeout: 20 });
    expect(await firstValueFrom(socket.status)).to.have.property('type', 'closed');
    release();
  });

  it('end() of a socket whose rest nobody reads discards it and resolves [S11]', async () => {
    const server = await listen((peer) => peer.end('hello'));
    const socket = tcpSocket({ host, port: server.port, reconnect: false });
    await firstValueFrom(socket.status.pipe(filter(({ type }) => type === 'closing')));
    await socket.end();
    expect(await firstValueFrom(socket.status)).to.have.property('type', 'closed');
  });

  it('every outcome is told before `errors` completes, also if the first of them makes somebody destroy the socket [S3]', async () => {
    const stuck = new PassThrough({ write: () => undefined });
    const socket = tcpSocket({ dial: () => stuck, retryLimit: 0 });
    const told: TcpError[] = [];
    socket.errors.subscribe((error) => {
      told.push(error);
      if (error.code === 'TCP_WRITE') socket.destroy();
    });
    const writes = ['a', 'b', 'c', 'd'].map((message) => outcome(socket.write(message)));
    await firstValueFrom(timer(0));
    stuck.destroy(new Error('gone'));
    expect(await Promise.all(writes)).to.eql(told.filter(({ code }) => code === 'TCP_WRITE'));
    expect(socket.stats().framesUndelivered).to.equal(4);
  });

  it('whoever hears of "connecting" and destroys the socket has prevented the dial [S11]', () => {
    let dials = 0;
    const socket = tcpSocket({ dial: () => (dials++, new PassThrough()), lazyConnect: true });
    socket.status.pipe(filter(({ type }) => type === 'connecting')).subscribe(() => socket.destroy());
    socket.inbound.subscribe();
    expect(dials).to.equal(0);
    expect(socket.stats().epoch).to.equal(0);
  });

  it('close({ timeout: 0 }) of a server destroys a connection that is ending already', async () => {
    const server = tcpServer();
    server.connections.subscribe((connection) => {
      connection.inbound.subscribe();
      void connection.end();
    });
    const { port } = await server.listening;
    const peer = connect({ port, host, allowHalfOpen: true });
    peer.on('error', () => undefined);
    peer.resume();
    await once(peer, 'end');
    await server.close({ timeout: 0 });
    peer.destroy();
  });

  it('the echo of a peer that has sent its FIN comes whole', async () => {
    const server = echoServer({ port: 0 });
    const { port } = await server.listening;
    const socket = tcpSocket({ host, port });
    let echoed = 0;
    socket.inbound.subscribe((chunk) => (echoed += chunk.length));
    const messages = Array.from({ length: 64 }, () => Buffer.alloc(64 * 1024, 'x'));
    await socket.writeAll(messages);
    await socket.end();
    expect(echoed).to.equal(64 * 64 * 1024);
    await server.close();
  });

  it('a connection with allowHalfOpen is written to after the FIN of its peer, until it is ended', async () => {
    const server = tcpServer({ socket: { allowHalfOpen: true } });
    server.connections.subscribe((connection) => {
      connection.inbound.subscribe({
        complete: () => void connection.write('late').then(() => connection.end()),
      });
    });
    const { port } = await server.listening;
    const peer: Socket = connect({ port, host, allowHalfOpen: true });
    peer.end('question');
    const [answer] = (await once(peer, 'data')) as [Buffer];
    expect(answer.toString()).to.equal('late');
    await once(peer, 'close');
    await server.close();
  });
});

describe('a signal', () => {
  it('may be shared by any number of sockets and writes: it has one listener [S11]', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const sockets = Array.from({ length: 20 }, () => tcpSocket({ host, port: 1, lazyConnect: true, signal }));
    const closed = sockets.map((socket) => firstValueFrom(socket.status.pipe(filter(({ type }) => type === 'closed'))));
    controller.abort();
    await Promise.all(closed);
  });
});

describe('writing without end', () => {
  leavesNothingOpen();

  it('lets the event loop turn, however fast the kernel takes it', async () => {
    const server = createServer((peer) => peer.resume()).listen(0, host);
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const socket = tcpSocket({ host, port });
    let over = false;
    function* endless(): Iterable<Buffer> {
      while (!over) yield Buffer.alloc(1024);
    }
    const transfer = socket.writeAll(endless());
    await firstValueFrom(timer(5)); // never comes where the loop does not turn
    over = true;
    await transfer;
    await socket.end();
    server.close();
  });
});
