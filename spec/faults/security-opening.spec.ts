/** Threats F9 and F15: what is slipped in before TLS, and names that come to stand for other addresses. */
import { once } from 'node:events';
import * as net from 'node:net';
import * as tls from 'node:tls';
import { expect } from 'chai';
import { firstValueFrom, take } from 'rxjs';
import {
  ConnectError,
  lines,
  tcpServer,
  tcpSocket,
  type Connection,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { certificates, type Certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { eventually } from '../support/peers.js';
import { listen, recordingServer } from '../support/servers.js';
import { tape } from '../support/tape.js';

type Live = Connection<string, string>;

const host = '127.0.0.1';
const soon = { initialDelay: 1, maxDelay: 1 };

const KEPT = 'with an iterator that it keeps';

let made: Certificates;
before(async () => {
  made = await certificates();
});

describe('F9: plaintext that is slipped in before the upgrade to TLS', () => {
  leavesNothingOpen();

  /** How a handshake may wait for the go-ahead, and come upon what is behind it; the one that keeps an iterator gives it. */
  const waits: Record<string, (live: Live) => Promise<unknown>> = {
    'with firstValueFrom': (live) => firstValueFrom(live.inbound),
    'with `for await` that it leaves': async (live) => {
      for await (const line of live) if (line === 'go') break;
    },
    'while it subscribes to one frame': (live) => tape(live.inbound.pipe(take(1))).at(0),
    'and holds the connection then': async (live) => {
      await firstValueFrom(live.inbound);
      const release = live.pause();
      await turns(3);
      release();
    },
    [KEPT]: async (live) => {
      const iterator = live[Symbol.asyncIterator]();
      await iterator.next();
      return iterator;
    },
  };
  const injections: Record<string, string> = {
    'a whole frame': 'EVIL\n',
    'many frames': 'EVIL\n'.repeat(5000),
    'half a frame': 'EV',
    'frames and a half': 'EVIL\nEVIL\nEVIL',
  };

  for (const [how, wait] of Object.entries(waits)) {
    for (const [what, evil] of Object.entries(injections)) {
      it(`is dropped by a client that waits ${how}: ${what} in the chunk of the go-ahead`, async () => {
        const server = await listen((raw) => {
          raw.once('data', () => {
            raw.write(`go\n${evil}`);
            const above = new tls.TLSSocket(raw, { isServer: true, ...made.server });
            above.on('error', () => undefined);
            above.on('data', (bytes: Buffer) => void above.write(`echo ${bytes.toString()}`));
          });
        });
        const inside: string[] = [];
        const socket = kept(
          tcpSocket({
            ...{ host: 'localhost', port: server.port, codec: lines(), reconnect: false, settle: 0 },
            handshake: async (live) => {
              void live.write('starttls');
              const waited = await wait(live);
              await live.upgrade({ ca: made.ca });
              void live.write('login');
              const reader = how === KEPT ? (waited as AsyncIterator<string>) : live[Symbol.asyncIterator]();
              inside.push(String((await reader.next()).value));
              await reader.return?.();
            },
          }),
        );
        const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
        await socket.write('secret');
        await inbound.first((line) => line === 'echo secret');
        expect([inside, inbound.values, errors.values]).to.eql([['echo login'], ['echo secret'], []]);
      });

      it(`is dropped by a server that waits ${how}: ${what} in the chunk of the request`, async () => {
        const server = tcpServer({
          ...{ host, codec: lines() },
          handshake: async (live) => {
            const waited = await wait(live);
            void live.write('go ahead');
            await live.upgrade(made.server);
            if (how === KEPT) await (waited as AsyncIterator<string>).return?.();
          },
        });
        atEnd(() => server.close({ timeout: 0 }));
        const [served, errors] = [tape(server.connections), tape(server.errors)];
        const { port } = await server.listening;
        const raw = kept(net.connect(port, host));
        raw.on('error', () => undefined);
        raw.write(`go\n${evil}`);
        await new Promise((resolve) => raw.once('data', resolve));
        const above = kept(tls.connect({ socket: raw, ca: made.ca, servername: 'localhost' }));
        above.on('error', () => undefined);
        above.write('hello\n');
        const heard = tape((await served.at(0)).inbound);
        await heard.first((line) => line.includes('hello'));
        expect([heard.values, errors.values]).to.eql([['hello'], []]);
      });
    }
  }

  it('is no TLS for a client if it comes behind the go-ahead: the attempt fails, and nothing is written', async () => {
    const server = await recordingServer((raw) => {
      raw.once('data', () => raw.write('go\n'));
      return false;
    });
    const socket = kept(
      tcpSocket({
        ...{ host: 'localhost', port: server.port, codec: lines(), reconnect: soon },
        handshake: async (live) => {
          void live.write('starttls');
          await firstValueFrom(live.inbound);
          const upgrading = live.upgrade({ ca: made.ca });
          (await server.socket(0)).write('250 EVIL\n');
          await upgrading;
        },
      }),
    );
    const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
    const written = outcome(socket.write('secret'));
    await errors.end;
    expect(errors.values[0]).to.include({ code: 'TCP_TLS', opened: false });
    expect(inbound.values).to.eql([]);
    expect(await written).to.include({ fate: 'unsent' });
    expect((await server.recording(0)).text).not.to.contain('secret');
  });

  it('cannot keep a client from TLS: a peer that refuses it gets nothing but the question', async () => {
    const server = await recordingServer((raw) => {
      raw.once('data', () => raw.write('TLS not available\n'));
      return false;
    });
    const socket = kept(
      tcpSocket({
        ...{ host: 'localhost', port: server.port, codec: lines(), reconnect: false },
        handshake: async (live) => {
          void live.write('starttls');
          if ((await firstValueFrom(live.inbound)) !== 'go') throw new Error('no TLS, no login');
          await live.upgrade({ ca: made.ca });
        },
      }),
    );
    const written = outcome(socket.write('secret'));
    expect(await written).to.include({ fate: 'unsent' });
    expect((await server.recording(0)).text).to.equal('starttls\n');
  });
});

describe('F15: a name that comes to stand for an address inside', () => {
  leavesNothingOpen();

  /** Answers these addresses, one a dial, the last one for ever. */
  function answering(...addresses: string[]): net.LookupFunction {
    let dials = 0;
    return (_name, options, callback) => {
      const address = addresses[Math.min(dials++, addresses.length - 1)]!;
      const family = net.isIP(address);
      if (options.all === true) callback(null, [{ address, family }]);
      else callback(null, address, family);
    };
  }

  const bytesOf = async (server: Awaited<ReturnType<typeof recordingServer>>, index: number): Promise<string> => {
    const socket = await server.socket(index);
    await eventually(() => socket.readableEnded || socket.destroyed);
    return (await server.recording(index)).text;
  };

  function open(server: { port: number }, config: TcpSocketConfig): TcpSocket {
    return kept(tcpSocket({ host: 'some.name', port: server.port, reconnect: soon, settle: 0, ...config }));
  }

  /** Somebody else on the same port of another address; answers what it has heard. */
  async function inside(port: number, address: string): Promise<{ readonly dials: number; readonly bytes: number }> {
    const heard = { dials: 0, bytes: 0 };
    const server = net.createServer((socket) => {
      heard.dials++;
      kept(socket).on('error', () => undefined);
      socket.on('data', (chunk) => (heard.bytes += chunk.length));
    });
    server.listen(port, address);
    await once(server, 'listening');
    atEnd(() => server.close());
    return heard;
  }

  it('is refused by `allowAddress` at the dial that finds it there, and no byte is written to it', async () => {
    const server = await recordingServer();
    const victim = await inside(server.port, '127.0.0.2');
    const asked: string[] = [];
    const socket = open(server, {
      socket: { lookup: answering('127.0.0.1', '127.0.0.2') },
      allowAddress: (address) => asked.push(address) > 0 && address === '127.0.0.1',
      reconnect: { ...soon, maxAttempts: 1 },
    });
    const errors = tape(socket.errors);
    await socket.write('to the right one');
    (await server.socket(0)).resetAndDestroy();
    await errors.at(0);
    const written = outcome(socket.write('secret'));
    await errors.end;
    expect(asked).to.eql(['127.0.0.1', '127.0.0.2']);
    expect(errors.values[1]).to.be.instanceOf(ConnectError).and.to.include({ phase: 'connect' });
    expect(errors.values.map(({ code }) => code)).to.include.members(['TCP_CONNECTION_LOST', 'TCP_RECONNECT_LIMIT']);
    expect(await written).to.include({ code: 'TCP_WRITE', fate: 'unsent' });
    await eventually(() => victim.dials === 1);
    await turns();
    expect(victim.bytes).to.equal(0);
  });

  it('is dialled again, and spoken to when it stands for the right one again', async () => {
    const server = await recordingServer();
    const victim = await inside(server.port, '127.0.0.2');
    const socket = open(server, {
      socket: { lookup: answering('127.0.0.2', '127.0.0.1') },
      allowAddress: (address) => address === '127.0.0.1',
    });
    await socket.write('hello');
    await (await server.recording(0)).has('hello');
    expect(victim).to.eql({ dials: 1, bytes: 0 });
    await socket.end();
  });

  it('is refused before a byte of TLS', async () => {
    const server = await recordingServer();
    const socket = open(server, {
      ...{ tls: true, reconnect: false, allowAddress: () => false },
      socket: { lookup: answering('127.0.0.1') },
    });
    await tape(socket.errors).end;
    expect(await bytesOf(server, 0)).to.equal('');
  });

  it('is refused before a handshake sees it', async () => {
    const server = await recordingServer();
    let handshakes = 0;
    const socket = open(server, {
      ...{ reconnect: false, allowAddress: () => false, socket: { lookup: answering('127.0.0.1') } },
      handshake: () => [handshakes++],
    });
    await tape(socket.errors).end;
    expect([handshakes, await bytesOf(server, 0)]).to.eql([0, '']);
  });

  it('is asked about by its IPv4 address, though IPv6 carries it', async () => {
    const server = await recordingServer();
    const asked: string[] = [];
    const socket = open(server, {
      socket: { lookup: answering('::ffff:127.0.0.1') },
      allowAddress: (address) => asked.push(address) < 0,
      reconnect: false,
    });
    await tape(socket.errors).end;
    expect(asked).to.eql(['127.0.0.1']);
  });

  it('is asked about too where the user’s `dial` goes', async () => {
    const server = await recordingServer();
    const asked: string[] = [];
    const socket = open(server, {
      dial: () => net.connect(server.port, host),
      allowAddress: (address) => asked.push(address) < 0,
      reconnect: false,
    });
    const errors = tape(socket.errors);
    await errors.end;
    expect(asked).to.eql([host]);
    expect(errors.values[0]).to.be.instanceOf(ConnectError).and.to.include({ phase: 'connect' });
    expect(await bytesOf(server, 0)).to.equal('');
  });

  it('is refused by a hook that throws, or answers anything but `true`', async () => {
    const mine = new Error('mine');
    const hooks: [() => unknown, (error: ConnectError) => unknown][] = [
      [() => { throw mine; }, (error) => expect(error.cause).to.equal(mine)], // prettier-ignore
      [() => 'yes', (error) => expect(error.cause).to.be.an('error')],
      [() => Promise.resolve(true), (error) => expect(error.cause).to.be.an('error')],
      [() => undefined, (error) => expect(error.cause).to.be.an('error')],
    ];
    for (const [hook, check] of hooks) {
      const server = await recordingServer();
      const socket = open(server, {
        ...{ socket: { lookup: answering('127.0.0.1') }, reconnect: false },
        allowAddress: hook as () => boolean,
      });
      const errors = tape(socket.errors);
      await errors.end;
      expect(errors.values).to.have.length(1);
      check(errors.values[0] as ConnectError);
      expect(await bytesOf(server, 0)).to.equal('');
    }
  });
});
