/** TLS between good ends: what holds over TCP holds over it. What goes wrong is in faults/tls.spec.ts. */
import * as net from 'node:net';
import { Duplex } from 'node:stream';
import * as tls from 'node:tls';
import { expect } from 'chai';
import {
  connection,
  ConnectError,
  lengthPrefixed,
  lines,
  TlsError,
  tcpSocket,
  type Connection,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { certificates, type Certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { memoryWatch } from '../support/memory.js';
import { eventually, live, settled } from '../support/peers.js';
import { echo, listen, neverReading } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { listenTls } from '../support/tls-servers.js';

const host = '127.0.0.1';
const soon = { initialDelay: 1, maxDelay: 1 };
const MIB = 1024 * 1024;
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

let made: Certificates;
before(async () => {
  made = await certificates();
});

/** The TLSSocket beneath. */
const secureOf = ({ raw }: Connection<unknown, never>): tls.TLSSocket => raw as tls.TLSSocket;

/** Says something and hears it back: by then all that the handshake left to be told has come, tickets too. */
async function exchange(socket: TcpSocket): Promise<void> {
  const heard = tape(socket.inbound);
  await socket.write('hello');
  await heard.at(0);
  heard.stop();
}

for (const version of VERSIONS) {
  describe(`a socket over ${version}`, function () {
    this.timeout(60_000);
    leavesNothingOpen();

    const serve = (handler?: Parameters<typeof listenTls>[1]) =>
      listenTls({ ...made.server, minVersion: version, maxVersion: version }, handler);

    it('opens once TLS stands, with a peer that is verified; `raw` is the TLSSocket', async () => {
      const server = await serve(echo);
      const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca } }));
      const secure = secureOf(await live(socket));
      expect(secure).to.be.instanceOf(tls.TLSSocket).and.to.include({ authorized: true });
      expect([secure.getProtocol(), secure.remotePort]).to.deep.equal([version, server.port]);
      expect(secure.getPeerCertificate().subject.CN).to.equal('localhost');
      await exchange(socket);
      expect(socket.stats()).to.include({ bytesRead: 5, bytesWritten: 5, framesWritten: 1 });
    });

    it('writes and reads 16 MiB at once, each frame whole and in order [S1]', async () => {
      const server = await serve(echo);
      const codec = lengthPrefixed({ maxFrameLength: MIB });
      const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca }, codec, reconnect: false }));
      const sizes = [1, 100, 16_383, 16_384, 16_385, 65_536, 300_000];
      const frame = (i: number): Buffer => Buffer.alloc(sizes[i % sizes.length]!, i % 251);
      const count = Math.ceil((16 * MIB) / sizes.reduce((sum, size) => sum + size, 0)) * sizes.length;
      const wrong: number[] = [];
      let read = 0;
      socket.inbound.subscribe((got) => {
        if (!got.equals(frame(read))) wrong.push(read);
        read++;
      });
      await socket.writeAll(
        (function* (): Generator<Buffer> {
          for (let i = 0; i < count; i++) yield frame(i);
        })(),
      );
      await eventually(() => read === count);
      expect(wrong).to.deep.equal([]);
      expect(socket.stats().bytesRead).to.be.at.least(16 * MIB);
    });

    it('resumes its session at the next dial, and at the one after that', async () => {
      const server = await serve(echo);
      const config = { host, port: server.port, tls: { ca: made.ca }, settle: 0, reconnect: soon };
      const socket = kept(tcpSocket(config));
      const connections = tape(socket.connections);
      const resumed: boolean[][] = [];
      for (let i = 0; i < 3; i++) {
        const secure = secureOf(await connections.at(i));
        await exchange(socket);
        const peer = await server.socket(i);
        resumed.push([secure.isSessionReused(), peer.isSessionReused()]);
        peer.destroy();
      }
      expect(resumed).to.deep.equal([
        [false, false],
        [true, true],
        [true, true],
      ]);
    });

    it('resumes it too where a function gives the options anew each time, as long as they say the same', async () => {
      const server = await serve(echo);
      let asked = 0;
      const options = (): tls.ConnectionOptions => {
        asked++;
        return { ca: [Buffer.from(made.ca)], ALPNProtocols: ['a', 'b'], checkServerIdentity: tls.checkServerIdentity };
      };
      const config = { host, port: server.port, tls: options, settle: 0, reconnect: soon };
      const socket = kept(tcpSocket(config));
      const connections = tape(socket.connections);
      await connections.at(0);
      await exchange(socket);
      socket.redial();
      expect(secureOf(await connections.at(1)).isSessionReused()).to.equal(true);
      expect(asked).to.equal(2);
    });

    it('does not resume it once they say something else: a new certificate is what the server gets to see', async () => {
      const options = { ...made.server, ca: made.ca, requestCert: true, minVersion: version, maxVersion: version };
      const server = await listenTls(options, echo);
      const pairs = [made.client, made.client, made.server, made.server, made.client];
      let asked = 0;
      const config = { host, port: server.port, settle: 0, reconnect: soon };
      const current = (): tls.ConnectionOptions => ({ ca: made.ca, ...pairs[asked++] });
      const socket = kept(tcpSocket({ ...config, tls: current }));
      const connections = tape(socket.connections);
      const seen: [resumed: boolean, name: unknown][] = [];
      for (let i = 0; i < pairs.length; i++) {
        const { raw } = await connections.at(i);
        await exchange(socket);
        const peer = await server.socket(i);
        expect(peer.isSessionReused()).to.equal((raw as tls.TLSSocket).isSessionReused());
        seen.push([peer.isSessionReused(), peer.getPeerCertificate().subject.CN]);
        peer.destroy();
      }
      expect(seen).to.deep.equal([
        [false, 'client'],
        [true, 'client'],
        [false, 'localhost'],
        [true, 'localhost'],
        [false, 'client'],
      ]);
    });

    it('tells the protocol that both chose by ALPN, and is refused where they have none in common', async () => {
      const server = await listenTls({ ...made.server, maxVersion: version, ALPNProtocols: ['b', 'c'] }, echo);
      const config = { host, port: server.port, reconnect: false } as const;
      const chosen = async (ALPNProtocols?: string[]): Promise<unknown> => {
        const options = { ca: made.ca, ...(ALPNProtocols && { ALPNProtocols }) };
        const socket = kept(tcpSocket({ ...config, tls: options }));
        return secureOf(await live(socket)).alpnProtocol;
      };
      expect(await chosen(['a', 'b', 'c'])).to.equal('b');
      expect(await chosen(['c'])).to.equal('c');
      expect(await chosen()).to.equal(false);
      const socket = kept(tcpSocket({ ...config, tls: { ca: made.ca, ALPNProtocols: ['z'] } }));
      const inbound = tape(socket.inbound);
      await inbound.end;
      expect(inbound.error).to.be.instanceOf(TlsError).and.to.include({ opened: false });
    });

    it('shows its client certificate where the server asks for one', async () => {
      const wants = { ...made.server, ca: made.ca, requestCert: true, maxVersion: version };
      const server = await listenTls(wants, echo);
      const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca, ...made.client } }));
      await exchange(socket);
      const peer = await server.socket(0);
      expect([peer.authorized, peer.getPeerCertificate().subject.CN]).to.deep.equal([true, 'client']);
    });

    it('holds no more than its bounds while the peer does not read [S5]', async () => {
      const server = await serve(neverReading);
      const writeBuffer = { bytes: MIB };
      const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca }, writeBuffer, reconnect: false }));
      const { raw } = await live(socket);
      const memory = memoryWatch();
      let pulled = 0;
      const endless = function* (): Generator<Buffer> {
        for (;;) yield Buffer.alloc(10_000, pulled++ % 251);
      };
      const stopped = outcome(socket.writeAll(endless()));
      await settled(() => pulled);
      memory.look();
      expect(socket.stats().queuedBytes).to.be.at.most(MIB);
      expect(raw.writableLength).to.be.at.most(128 * 1024);
      expect(memory.most).to.be.lessThan(4 * MIB);
      socket.destroy();
      expect(await stopped).to.be.instanceOf(Error);
    });

    it('ends with all that was queued, then reads on until the peer has ended too [S3]', async () => {
      const heard: Buffer[] = [];
      const halfOpen = { ...made.server, maxVersion: version, allowHalfOpen: true };
      const server = await listenTls(halfOpen, (peer) => {
        peer.on('data', (chunk) => heard.push(chunk));
        peer.on('end', () => peer.end(Buffer.alloc(300_000, 'y')));
      });
      const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca } }));
      const inbound = tape(socket.inbound);
      for (let i = 0; i < 20; i++) socket.outbound.next(Buffer.alloc(100_000, i));
      await socket.end();
      const all = Buffer.concat(heard);
      expect(all).to.have.length(2_000_000);
      expect(all.findIndex((byte, i) => byte !== Math.floor(i / 100_000))).to.equal(-1);
      expect(Buffer.concat(inbound.values).equals(Buffer.alloc(300_000, 'y'))).to.equal(true);
      expect([inbound.ended, tape(socket.errors).values]).to.deep.equal(['completed', []]);
    });

    it('goes on over a drop: what was not written is written to the next connection, whole and in order [S1][S2]', async () => {
      const server = await serve((peer, index) => {
        if (index === 0) neverReading(peer, index);
        else echo(peer, index);
      });
      const config = { host, port: server.port, tls: { ca: made.ca }, codec: lines(), reconnect: soon };
      const socket = kept(tcpSocket<string, string>(config));
      const [heard, errors] = [tape(socket.inbound), tape(socket.errors)];
      await live(socket);
      const message = (i: number): string => `${String(i)} ${'x'.repeat(20_000)}`;
      const written = Array.from({ length: 500 }, (_, i) => socket.write(message(i)));
      await settled(() => socket.stats().framesWritten);
      const before = socket.stats().framesWritten;
      expect(before).to.be.lessThan(500);
      (await server.socket(0)).destroy();
      await Promise.all(written);
      await heard.first((line) => line === message(499));
      const numbers = heard.values.map((line) => Number(line.split(' ')[0]));
      const [first] = numbers as [number];
      // The kernel took those before; the first to come may be the last of them.
      expect(first).to.be.at.most(before);
      expect(numbers).to.deep.equal(Array.from({ length: 500 - first }, (_, i) => first + i));
      expect(heard.values).to.deep.equal(numbers.map(message));
      expect(errors.values.map(({ code }) => code)).to.deep.equal(['TCP_CONNECTION_LOST']);
    });
  });
}

describe('TLS over a stream that `dial` gives', () => {
  leavesNothingOpen();

  const overDial = async (dial: (port: number) => ReturnType<NonNullable<TcpSocketConfig['dial']>>): Promise<void> => {
    const server = await listenTls(made.server, echo);
    const config = {
      host: 'localhost',
      dial: () => dial(server.port),
      tls: { ca: made.ca },
      reconnect: false,
    } as const;
    const socket = kept(tcpSocket(config));
    const { raw } = await live(socket);
    expect(raw).to.be.instanceOf(tls.TLSSocket).and.to.include({ authorized: true });
    await exchange(socket);
    await socket.end();
    const peer = await server.socket(0);
    await eventually(() => peer.destroyed);
    expect(tape(socket.errors).values).to.deep.equal([]);
  };

  const connected = async (port: number): Promise<net.Socket> => {
    const raw = net.connect({ port, host, allowHalfOpen: true });
    await new Promise((resolve) => raw.once('connect', resolve));
    return raw;
  };

  it('is spoken over a net.Socket that still connects', () =>
    overDial((port) => net.connect({ port, host, allowHalfOpen: true })));

  it('is spoken over one that is connected, given by a promise', () => overDial(connected));

  it('is spoken over one that has been talked through before, as a proxy’s', () =>
    overDial(async (port) => {
      const proxy = await listen((client) => {
        client.once('data', (request: Buffer) => {
          const target = net.connect({ port: Number(request.toString()), host, allowHalfOpen: true });
          atEnd(() => target.destroy());
          target.on('error', () => undefined);
          target.once('connect', () => {
            client.write('ok');
            client.pipe(target).pipe(client);
          });
        });
      });
      const raw = await connected(proxy.port);
      raw.write(String(port));
      const reply = await new Promise<Buffer>((resolve) => raw.once('data', resolve));
      expect(reply.toString()).to.equal('ok');
      raw.pause();
      return raw;
    }));

  it('is spoken over any other Duplex', () => overDial(async (port) => Duplex.from(await connected(port))));

  it('is spoken over TLS', async () => {
    const inner = await listenTls(made.server, echo);
    const outer = await listenTls(made.renewed, (peer) => {
      const target = net.connect({ port: inner.port, host, allowHalfOpen: true });
      atEnd(() => target.destroy());
      target.on('error', () => undefined);
      peer.pipe(target).pipe(peer);
    });
    const dial = () =>
      tls.connect({ port: outer.port, host, ca: made.ca, allowHalfOpen: true } as tls.ConnectionOptions);
    const config = { host: 'localhost', dial, tls: { ca: made.ca }, reconnect: false } as const;
    const socket = kept(tcpSocket(config));
    await exchange(socket);
    expect([outer.sockets.length, inner.sockets.length, inner.names[0]]).to.deep.equal([1, 1, 'localhost']);
    await socket.end();
    expect(tape(socket.errors).values).to.deep.equal([]);
  });

  it('fails as over our own socket: the stream is destroyed with it', async () => {
    const server = await listenTls(made.selfSigned);
    let raw: net.Socket | undefined;
    const dial = (): net.Socket => (raw = net.connect(server.port, host));
    const socket = kept(tcpSocket({ host: 'localhost', dial, tls: { ca: made.ca }, reconnect: soon }));
    const inbound = tape(socket.inbound);
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(TlsError);
    expect(raw).to.include({ destroyed: true });
  });

  it('that is a TLSSocket without `tls` is taken as it is', async () => {
    const server = await listenTls(made.server, echo);
    const dial = () => tls.connect({ port: server.port, host, ca: made.ca });
    const socket = kept(tcpSocket({ dial, reconnect: false }));
    await exchange(socket);
    expect(secureOf(await live(socket)).authorized).to.equal(true);
  });
});

describe('connection() over TLS', () => {
  leavesNothingOpen();

  it('emits one connection once TLS stands, and completes after its end()', async () => {
    const server = await listenTls(made.server, echo);
    const seen = tape(connection({ host, port: server.port, tls: { ca: made.ca } }));
    const open = await seen.at(0);
    const heard = tape(open.inbound);
    await open.write('hello');
    expect(String(await heard.at(0))).to.equal('hello');
    await open.end();
    await seen.end;
    expect(seen).to.include({ ended: 'completed' });
  });

  it('errors with the TlsError of a bad certificate, and with a ConnectError for bad options', async () => {
    const server = await listenTls(made.expired);
    const refused = tape(connection({ host, port: server.port, tls: { ca: made.ca } }));
    await refused.end;
    expect(refused.error).to.be.instanceOf(TlsError).and.to.include({ opened: false });
    const wrong = tape(connection({ host, port: server.port, tls: () => ({ key: 'rubbish' }) }));
    await wrong.end;
    expect(wrong.error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'config' });
    expect(server.dials).to.equal(1);
  });
});
