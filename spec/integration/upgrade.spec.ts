/** `connection.upgrade()`: from plain to TLS within a handshake, as after STARTTLS. */
import * as net from 'node:net';
import * as tls from 'node:tls';
import { expect } from 'chai';
import { firstValueFrom } from 'rxjs';
import {
  ConfigError,
  ConnectError,
  connection,
  lines,
  tcpServer,
  tcpSocket,
  TlsError,
  type WriteError,
  type Connection,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { certificates, type Certificates } from '../support/certificates.js';
import { FakeStream } from '../support/fake-stream.js';
import { faultProxy } from '../support/fault-proxy.js';
import { atEnd, kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { eventually } from '../support/peers.js';
import { listen, type TestServer } from '../support/servers.js';
import { tape } from '../support/tape.js';

type Live = Connection<string, string>;

const host = '127.0.0.1';
const soon = { initialDelay: 1, maxDelay: 1 };

let made: Certificates;
before(async () => {
  made = await certificates();
});

/** What a server of Node's own has heard, plain and in TLS. */
interface StartTls extends TestServer {
  readonly plain: string[];
  readonly secure: string[];
}

/** Answers `starttls` with `go`, speaks TLS from then on, and sends back what it hears there. */
async function startTls(options: tls.TLSSocketOptions = made.server): Promise<StartTls> {
  const plain: string[] = [];
  const secure: string[] = [];
  const server = await listen((raw, index) => {
    plain[index] = secure[index] = '';
    raw.on('data', function hear(chunk: Buffer) {
      plain[index] = `${plain[index] ?? ''}${chunk.toString()}`;
      if (!plain[index].includes('starttls\n')) return;
      raw.off('data', hear);
      raw.write('go\n');
      const above = new tls.TLSSocket(raw, { isServer: true, ...options });
      above.on('error', () => undefined).on('end', () => above.end());
      above.on('data', (bytes: Buffer) => {
        secure[index] = `${secure[index] ?? ''}${bytes.toString()}`;
        above.write(bytes);
      });
    });
  });
  return { ...server, plain, secure };
}

/** The client's handshake. */
const secured =
  (options: () => tls.ConnectionOptions = () => ({ ca: made.ca })) =>
  async (live: Live): Promise<void> => {
    void live.write('starttls');
    if ((await firstValueFrom(live.inbound)) === 'go') await live.upgrade(options());
  };

function open(server: { port: number }, config: TcpSocketConfig<string, string> = {}): TcpSocket<string, string> {
  const where = { host: 'localhost', port: server.port };
  return kept(tcpSocket({ ...where, codec: lines(), reconnect: soon, settle: 0, handshake: secured(), ...config }));
}

describe('upgrade()', () => {
  leavesNothingOpen();

  it('puts TLS over the connection before anything that is queued is written, both ways [S4]', async () => {
    const server = await startTls();
    const socket = open(server);
    const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
    await socket.write('secret');
    expect(await inbound.at(0)).to.equal('secret');
    expect([server.plain, server.secure, errors.values]).to.eql([['starttls\n'], ['secret\n'], []]);
    const live = await firstValueFrom(socket.connections);
    expect(live.raw).to.be.instanceOf(tls.TLSSocket).and.to.include({ authorized: true });
    expect(live).to.include({ epoch: 1 }).and.to.have.property('endpoint').that.includes({ host: 'localhost' });
    await socket.end();
  });

  it('lets plain writes before it leave first, and the handshake go on in TLS', async () => {
    const server = await startTls();
    const replies: string[] = [];
    const socket = open(server, {
      handshake: async (live) => {
        void live.write('capabilities');
        await secured()(live);
        void live.write('login');
        replies.push(await firstValueFrom(live.inbound));
      },
    });
    await socket.write('queued');
    await eventually(() => server.secure[0] === 'login\nqueued\n');
    expect([server.plain, replies]).to.eql([['capabilities\nstarttls\n'], ['login']]);
  });

  it('lets nothing plain leave once it has begun: a write that does not wait for it is refused', async () => {
    const server = await startTls();
    const refused: unknown[] = [];
    const socket = open(server, {
      handshake: async (live) => {
        void live.write('starttls');
        await firstValueFrom(live.inbound);
        const upgraded = live.upgrade({ ca: made.ca });
        refused.push(await outcome(live.write('password')));
        await upgraded;
        await live.write('password again');
      },
    });
    await socket.write('queued');
    await eventually(() => server.secure[0] === 'password again\nqueued\n');
    expect(server.plain).to.eql(['starttls\n']);
    expect(refused[0]).to.be.instanceOf(ConfigError);
  });

  it('that a handshake leaves behind fails it: nothing is written in the clear, and it is not dialled again', async () => {
    const server = await startTls();
    const socket = open(server, {
      handshake: async (live) => {
        void live.write('starttls');
        await firstValueFrom(live.inbound);
        void live.upgrade({ ca: made.ca });
      },
    });
    const inbound = tape(socket.inbound);
    const written = await outcome(socket.write('secret'));
    expect(written).to.have.property('fate', 'unsent');
    await eventually(() => inbound.ended !== undefined);
    expect(inbound.ended).to.equal('errored');
    expect((written as WriteError).cause)
      .to.be.instanceOf(ConnectError)
      .and.to.include({ phase: 'handshake' });
    expect(((written as WriteError).cause as ConnectError).cause).to.be.instanceOf(TypeError);
    expect([server.plain, server.secure]).to.eql([['starttls\n'], ['']]);
  });

  it('carries many and long messages whole and in order, both ways [S1]', async () => {
    const server = await startTls();
    const socket = open(server, { codec: lines({ maxFrameLength: 4 * 1024 * 1024 }) });
    const inbound = tape(socket.inbound);
    const messages = Array.from({ length: 400 }, (_, i) => `${String(i)} ${'x'.repeat((i * 7919) % 30_000)}`);
    messages.push('y'.repeat(3 * 1024 * 1024));
    await socket.writeAll(messages);
    await inbound.at(messages.length - 1);
    expect(inbound.values).to.eql(messages);
  });

  it('is made anew on every connection, and what was not written goes through TLS again [S2]', async () => {
    const server = await startTls();
    const socket = open(server);
    await socket.write('one');
    const connections = tape(socket.connections);
    await connections.at(0);
    socket.redial();
    await socket.write('two');
    await eventually(() => server.secure[1] === 'two\n');
    expect(server.plain).to.eql(['starttls\n', 'starttls\n']);
    expect((await connections.at(1)).raw).to.be.instanceOf(tls.TLSSocket);
  });

  it('goes with a write deadline, a heartbeat and an idle deadline', async () => {
    const server = await startTls();
    const config = { writeTimeout: 60_000, idleTimeout: 60_000, heartbeat: { interval: 60_000, timeout: 60_000 } };
    const socket = open(server, config);
    const inbound = tape(socket.inbound);
    await socket.write('x'.repeat(500_000));
    expect(await inbound.at(0)).to.have.length(500_000);
    await socket.end();
  });

  it('works over the stream of a custom `dial`, a net.Socket or any Duplex', async () => {
    const server = await startTls();
    const bridge = (): FakeStream => {
      const raw = kept(net.connect(server.port, host));
      raw.on('error', () => undefined);
      const carried = new FakeStream(({ bytes, done }) => void raw.write(bytes, done));
      raw.on('data', (chunk) => carried.push(chunk));
      carried.once('close', () => raw.destroy());
      return carried;
    };
    for (const dial of [() => net.connect(server.port, host), bridge]) {
      const socket = open(server, { dial });
      const inbound = tape(socket.inbound);
      await socket.write('hi');
      expect(await inbound.at(0)).to.equal('hi');
      socket.destroy();
    }
  });

  it('serves connection() and tcpServer() alike', async () => {
    const server = tcpServer({
      ...{ host, codec: lines() },
      handshake: async (live) => {
        await firstValueFrom(live.inbound);
        void live.write('go');
        await live.upgrade(made.server);
      },
    });
    atEnd(() => server.close({ timeout: 0 }));
    const served = tape(server.connections);
    const { port } = await server.listening;
    const emitted = tape(connection({ host: 'localhost', port, codec: lines(), handshake: secured() }));
    const live = await emitted.at(0);
    const heard = tape((await served.at(0)).inbound);
    const inbound = tape(live.inbound);
    await live.write('hi');
    await served.values[0]!.write('hello');
    expect([await heard.at(0), await inbound.at(0)]).to.eql(['hi', 'hello']);
    expect([live.raw, served.values[0]!.raw].every((raw) => raw instanceof tls.TLSSocket)).to.be.true;
    await live.end();
    await emitted.end;
    expect(emitted.ended).to.equal('completed');
  });

  it('takes a client’s certificate on the server', async () => {
    const server = tcpServer({
      ...{ host, codec: lines() },
      handshake: async (live) => {
        await firstValueFrom(live.inbound);
        void live.write('go');
        await live.upgrade({ ...made.server, ca: made.ca, requestCert: true });
      },
    });
    atEnd(() => server.close({ timeout: 0 }));
    const served = tape(server.connections);
    const { port } = await server.listening;
    const socket = open({ port }, { handshake: secured(() => ({ ca: made.ca, ...made.client })) });
    await socket.write('hi');
    const { raw } = await served.at(0);
    expect((raw as tls.TLSSocket).getPeerCertificate().subject).to.include({ CN: 'client' });
    await socket.end();
  });

  describe('that fails', () => {
    const wrong: [string, () => tls.TLSSocketOptions][] = [
      ['for another host', () => made.wrongHost],
      ['signed by itself', () => made.selfSigned],
      ['of an unknown authority', () => made.unknownCa],
    ];
    for (const [name, pair] of wrong) {
      it(`for a certificate ${name} ends the socket with one TlsError, and no secret has left [S8]`, async () => {
        const server = await startTls(pair());
        const socket = open(server);
        const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
        const written = outcome(socket.write('secret'));
        await errors.end;
        const told = errors.values.filter(({ code }) => code !== 'TCP_WRITE');
        expect(told).to.have.length(1);
        expect(told[0]).to.be.instanceOf(TlsError).and.to.include({ opened: false });
        expect(inbound.error).to.equal(told[0]);
        expect(await written).to.include({ code: 'TCP_WRITE', fate: 'unsent' });
        expect([server.plain, server.secure, server.sockets.length]).to.eql([['starttls\n'], [''], 1]);
      });
    }

    it('rejects with the same error that the attempt has, and leaves no rejection alone [S9]', async () => {
      const server = await startTls(made.selfSigned);
      const seen: unknown[] = [];
      const socket = open(server, {
        handshake: async (live) => {
          void live.write('starttls');
          await firstValueFrom(live.inbound);
          const upgrading = live.upgrade({ ca: made.ca });
          seen.push(await outcome(upgrading));
          void live.upgrade();
          await upgrading;
        },
      });
      const errors = tape(socket.errors);
      await errors.end;
      await eventually(() => seen.length > 0);
      expect(errors.values).to.eql(seen);
    });

    it('because the peer hangs in TLS runs into connectTimeout, and is tried again', async () => {
      const server = await listen((raw, index) => {
        raw.once('data', () => {
          raw.write('go\n');
          if (index > 0) new tls.TLSSocket(raw, { isServer: true, ...made.server }).on('error', () => undefined);
        });
      });
      const socket = open(server, { connectTimeout: 100 });
      const error = await tape(socket.errors).at(0);
      expect(error).to.include({ code: 'TCP_CONNECT_TIMEOUT', phase: 'handshake' });
      const [first] = server.sockets;
      await eventually(() => first!.destroyed || first!.readableEnded);
    });

    it('because the peer leaves in TLS is tried again', async () => {
      const server = await listen((raw) => {
        raw.once('data', () => {
          raw.write('go\n');
          raw.once('data', () => raw.resetAndDestroy());
        });
      });
      const socket = open(server);
      const errors = tape(socket.errors);
      await server.socket(2);
      expect(errors.values[0]).to.be.instanceOf(ConnectError).and.to.include({ phase: 'tls' });
      expect(errors.values[1]).to.include({ phase: 'tls' });
    });

    it('because the peer has sent its FIN fails, and nothing hangs', async () => {
      const server = await listen((raw) => void raw.once('data', () => raw.end('go\n')));
      const socket = open(server, { reconnect: false });
      const errors = tape(socket.errors);
      await errors.end;
      expect(errors.values).to.have.length(1);
      expect(errors.values[0]!.code).to.match(/^TCP_(CONNECT|TLS)$/);
    });

    it('for wrong options ends the socket: they do not get better [S8]', async () => {
      const options = [{ certificate: 'x' }, { host: 'x' }, { key: 'no key' }] as tls.ConnectionOptions[];
      for (const each of options) {
        const server = await startTls();
        const rejected: unknown[] = [];
        const socket = open(server, {
          handshake: async (live) => {
            const upgrading = secured(() => each)(live);
            rejected.push(await outcome(upgrading));
            await upgrading;
          },
        });
        const errors = tape(socket.errors);
        await errors.end;
        await eventually(() => rejected.length > 0);
        expect(errors.values).to.have.length(1);
        expect(errors.values[0]).to.be.instanceOf(ConnectError).and.to.include({ phase: 'handshake', cause: rejected[0] }); // prettier-ignore
        expect(['TCP_CONFIG', 'TCP_CONNECT']).to.include((rejected[0] as TlsError).code);
      }
    });

    it('is refused outside a handshake, and twice, which harms nobody', async () => {
      const server = await startTls();
      const twice: unknown[] = [];
      const socket = open(server, {
        handshake: async (live) => {
          void live.write('starttls');
          await firstValueFrom(live.inbound);
          const first = live.upgrade({ ca: made.ca });
          twice.push(await outcome(live.upgrade({ ca: made.ca })));
          await first;
          twice.push(await outcome(live.upgrade({ ca: made.ca })));
        },
      });
      const inbound = tape(socket.inbound);
      const live = await tape(socket.connections).at(0);
      twice.push(await outcome(live.upgrade({ ca: made.ca })));
      for (const error of twice) expect(error).to.be.instanceOf(ConfigError);
      expect(twice).to.have.length(3);
      await socket.write('hi');
      expect(await inbound.at(0)).to.equal('hi');
    });

    it('is refused on a connection without a handshake, plain or TLS', async () => {
      const server = await listen();
      const socket = open(server, { handshake: undefined });
      const live = await tape(socket.connections).at(0);
      expect(await outcome(live.upgrade())).to.be.instanceOf(ConfigError);
      void live.upgrade();
      await live.write('plain');
    });
  });

  describe('that is overtaken', () => {
    for (const how of ['destroy()', 'end()', 'a loss'] as const) {
      it(`by ${how} is given up, and nothing is left of it [S11]`, async () => {
        const server = await listen((raw) => void raw.once('data', () => raw.write('go\n')));
        const proxy = await faultProxy(server.port);
        const upgrading: Promise<unknown>[] = [];
        const socket = open(proxy, {
          reconnect: false,
          handshake: async (live) => {
            void live.write('starttls');
            await firstValueFrom(live.inbound);
            upgrading.push(outcome(live.upgrade({ ca: made.ca })));
            await upgrading[0];
            throw new Error('over');
          },
        });
        const ended = tape(socket.errors).end;
        const passed = await proxy.connection(0);
        await eventually(() => passed.up.passed > 100); // its ClientHello
        if (how === 'a loss') passed.reset();
        else if (how === 'end()') await socket.end();
        else socket.destroy();
        await ended;
        expect(await upgrading[0]).to.be.an('error');
      });
    }
  });
});
