import * as diagnosticsChannel from 'node:diagnostics_channel';
import { once } from 'node:events';
import type * as net from 'node:net';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { firstValueFrom } from 'rxjs';
import { ConnectError, ConnectTimeoutError, tcpSocket, TlsError } from '../../lib/index.js';
import { httpConnectDial, ProxyError, socksDial, type ProxyDial } from '../../lib/proxy.js';
import { certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { stillAlive, until } from '../support/leaks.js';
import { drip, httpProxy, pour, socksProxy, type Plan, type TestProxy } from '../support/proxy-servers.js';
import { deadPort, echo, listen, record } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { listenTls } from '../support/tls-servers.js';

const host = '127.0.0.1';
const SECRET = 'open sesame';

interface Kind {
  readonly name: string;
  readonly open: (plan?: Plan) => Promise<TestProxy>;
  readonly dial: (port: number, more?: object) => ProxyDial | Promise<ProxyDial>;
}

const KINDS: readonly Kind[] = [
  { name: 'SOCKS 5', open: socksProxy, dial: (port, more) => socksDial({ host, port, ...more }) },
  { name: 'SOCKS 4', open: socksProxy, dial: (port, more) => socksDial({ host, port, version: 4, ...more }) },
  { name: 'HTTP', open: httpProxy, dial: (port, more) => httpConnectDial({ host, port, ...more }) },
  {
    name: 'HTTP over TLS',
    open: async (plan) => httpProxy(plan, (await certificates()).server),
    dial: async (port, more) => httpConnectDial({ host, port, tls: { ca: (await certificates()).ca }, ...more }),
  },
];

function attempt(
  dial: ProxyDial,
  port: number,
  name = 'target.test',
): { made: Promise<Duplex>; give: AbortController } {
  const give = new AbortController();
  return { made: dial({ host: name, port }, give.signal), give };
}

/** What became of a dial that cannot succeed. */
async function failure(dial: ProxyDial, port = 1): Promise<ProxyError> {
  const error = await outcome(attempt(dial, port).made);
  expect(error).to.be.instanceOf(ProxyError);
  return error as ProxyError;
}

function blame({ code, origin }: ProxyError): string {
  return `${origin} ${code}`;
}

for (const { name, open, dial } of KINDS) {
  const plain = !name.includes('TLS');

  describe(`a dial through a proxy that speaks ${name}`, () => {
    leavesNothingOpen();

    it('gives a socket that both ends can use and end', async () => {
      const [server, proxy] = [await listen(echo), await open()];
      const socket = kept(tcpSocket({ host: 'target.test', port: server.port, dial: await dial(proxy.port) }));
      const inbound = tape(socket.inbound);
      await socket.write('hello');
      await inbound.at(0);
      expect(Buffer.concat(inbound.values).toString()).to.equal('hello');
      await socket.end();
      expect(socket.stats()).to.include({ epoch: 1, dials: 1, drops: 0 });
    });

    it('leaves the name to the proxy', async () => {
      const [server, proxy] = [await listen(echo), await open()];
      kept(await attempt(await dial(proxy.port), server.port, 'only-there.test').made);
      expect(proxy.asked.map((asked) => [asked.host, asked.port])).to.eql([['only-there.test', server.port]]);
    });

    it('sends a name beyond ASCII as DNS has it, and an address as such', async () => {
      const [server, proxy] = [await listen(echo), await open()];
      kept(await attempt(await dial(proxy.port), server.port, 'bücher.test').made);
      kept(await attempt(await dial(proxy.port), server.port, host).made);
      expect(proxy.asked.map((asked) => asked.host)).to.eql(['xn--bcher-kva.test', host]);
    });

    it('hands the socket over as it would be without a proxy', async () => {
      const [server, proxy] = [await listen(echo), await open()];
      const raw = kept(await attempt(await dial(proxy.port), server.port).made) as net.Socket;
      const names = [
        'data',
        'readable',
        'close',
        'drain',
        'timeout',
        'connect',
        'agentRemove',
        'free',
        'pause',
        'resume',
      ];
      const { close, ...others } = Object.fromEntries(names.map((event) => [event, raw.listenerCount(event)]));
      expect(
        Object.values(others).every((count) => count === 0),
        inspect(others),
      ).to.be.true;
      if (plain) expect(close).to.equal(0); // a TLSSocket listens to itself
      expect(raw.readableFlowing).to.equal(null);
      expect(raw.allowHalfOpen).to.be.true;
      expect(raw.timeout ?? 0).to.equal(0);
    });

    it('keeps what follows the reply in the same chunk for the next reader', async () => {
      const [server, proxy] = [await listen(), await open({ behind: 'first words' })];
      const raw = kept(await attempt(await dial(proxy.port), server.port).made);
      const chunk = raw.read() as Buffer | null;
      expect(String(chunk)).to.equal('first words');
    });

    it('gives these bytes to the subscriber of a socket, however late', async () => {
      const [server, proxy] = [await listen(), await open({ behind: 'first words' })];
      const socket = kept(tcpSocket({ host: 'target.test', port: server.port, dial: await dial(proxy.port) }));
      await firstValueFrom(socket.connections);
      await turns();
      expect(String(await firstValueFrom(socket.inbound))).to.equal('first words');
    });

    it('gives a socket whose pause holds from the start', async () => {
      const [server, proxy] = [await listen((peer) => void peer.write('early')), await open()];
      const raw = kept(await attempt(await dial(proxy.port), server.port).made);
      const chunks: string[] = [];
      raw.on('data', (chunk) => chunks.push(String(chunk)));
      raw.pause();
      await turns(200);
      expect(chunks).to.eql([]);
      raw.resume();
      await once(raw, 'data');
      expect(chunks.join('')).to.equal('early');
    });

    it('may be half-closed from either side', async () => {
      const heard: string[] = [];
      const server = await listen((peer) => {
        const recording = record(peer.on('end', () => peer.end('after your end')));
        peer.on('end', () => heard.push(recording.text));
      });
      const proxy = await open();
      const raw = kept(await attempt(await dial(proxy.port), server.port).made);
      const answer = record(raw as net.Socket);
      raw.end('all of it');
      await answer.has('after your end');
      expect(heard).to.eql(['all of it']);
    });

    it('understands a reply that comes byte by byte', async () => {
      const [server, proxy] = [await listen(echo), await open({ say: drip })];
      const raw = kept(await attempt(await dial(proxy.port), server.port).made);
      const answer = record(raw as net.Socket);
      raw.write('hello');
      await answer.has('hello');
      expect(answer.text).to.equal('hello');
    });

    it('carries a megabyte each way unharmed', async () => {
      const [server, proxy] = [await listen(echo), await open()];
      const raw = kept(await attempt(await dial(proxy.port), server.port).made);
      const answer = record(raw as net.Socket);
      const bytes = Buffer.alloc(1024 * 1024, 'rx-tcp/proxy ');
      raw.write(bytes);
      await answer.has(bytes.length);
      expect(answer.bytes.equals(bytes)).to.be.true;
    });

    it('carries TLS with the target, whose certificate is for the name beyond the proxy', async () => {
      const { ca, server: identity } = await certificates();
      const [server, proxy] = [await listenTls(identity, echo), await open()];
      const dialled = await dial(proxy.port);
      const socket = kept(tcpSocket({ host: 'localhost', port: server.port, tls: { ca }, dial: dialled }));
      await socket.write('hello');
      expect(String(await firstValueFrom(socket.inbound))).to.equal('hello');
      expect(server.names).to.eql(['localhost']);
      await socket.end();
      const other = kept(tcpSocket({ host: 'target.test', port: server.port, tls: { ca }, dial: dialled }));
      const inbound = tape(other.inbound);
      await inbound.end;
      expect(inbound.error).to.be.instanceOf(TlsError);
    });

    it('dials through the proxy again after a drop, and loses no message', async () => {
      const [server, proxy] = [await listen(echo), await open()];
      const reconnect = { initialDelay: 1, maxDelay: 1 };
      const socket = kept(
        tcpSocket({ host: 'target.test', port: server.port, dial: await dial(proxy.port), reconnect, settle: 0 }),
      );
      const inbound = tape(socket.inbound);
      await socket.write('one');
      await inbound.at(0);
      for (const connection of proxy.sockets) connection.resetAndDestroy();
      await firstValueFrom(socket.errors);
      await socket.write('two');
      await inbound.at(1);
      expect(inbound.values.map(String)).to.eql(['one', 'two']);
      expect(proxy.asked.length).to.equal(2);
    });

    it('lets in the user that the proxy knows', async () => {
      const [server, proxy] = [
        await listen(echo),
        await open(name === 'SOCKS 4' ? {} : { user: 'me', password: SECRET }),
      ];
      const known = { username: 'me', ...(name !== 'SOCKS 4' && { password: SECRET }) };
      kept(await attempt(await dial(proxy.port, known), server.port).made);
      expect(proxy.asked[0]!.user).to.equal(name.startsWith('HTTP') ? `me:${SECRET}` : 'me');
    });

    if (name !== 'SOCKS 4') {
      for (const [title, given] of [
        ['another password', { username: 'me', password: 'wrong' }],
        ['no password', { username: 'me' }],
        ['no user', {}],
      ] as const) {
        it(`is refused with ${title}, once and for all, and does not show the secret`, async () => {
          const proxy = await open({ user: 'me', password: SECRET });
          const socket = kept(tcpSocket({ host: 'target.test', port: 1, dial: await dial(proxy.port, given) }));
          const inbound = tape(socket.inbound);
          await inbound.end;
          expect(inbound.error).to.be.instanceOf(ConnectError);
          const { cause } = inbound.error as ConnectError;
          expect(cause).to.be.instanceOf(ProxyError).with.property('code', 'ERR_PROXY_AUTH');
          expect((cause as ProxyError).origin).to.equal('proxy');
          expect(proxy.sockets.length).to.equal(1);
          const shown = [cause, inbound.error]
            .map((error) => inspect(error, { depth: 9 }) + JSON.stringify(error))
            .join();
          expect(shown).not.to.match(/wrong|sesame|bWU6|peer-text/);
        });
      }

      it('keeps the target that refuses apart from the proxy that does', async () => {
        const proxy = await open();
        const expected = name === 'SOCKS 5' ? 'target ECONNREFUSED' : 'target EHOSTUNREACH';
        expect(blame(await failure(await dial(proxy.port), await deadPort()))).to.equal(expected);
        expect(blame(await failure(await dial(await deadPort()), 1))).to.equal('proxy ECONNREFUSED');
      });
    }

    it('goes on dialling while the target refuses', async () => {
      const plan = { refuse: name === 'SOCKS 4' ? 91 : name === 'SOCKS 5' ? 5 : 502 };
      const proxy = await open(plan);
      const reconnect = { initialDelay: 1, maxDelay: 1 };
      const socket = kept(tcpSocket({ host: 'target.test', port: 1, dial: await dial(proxy.port), reconnect }));
      await tape(socket.errors).at(2);
      expect(proxy.asked.length).to.be.at.least(3);
    });

    it('does not wait for a proxy that is not there, nor for one whose name nobody knows', async () => {
      const refused = await failure(await dial(await deadPort()));
      expect(blame(refused)).to.equal('proxy ECONNREFUSED');
      expect(refused.cause).to.include({ code: 'ECONNREFUSED', syscall: 'connect' });
      const unknown = await failure(await dial(1, { host: 'no.such.name.invalid' }));
      expect(unknown.origin).to.equal('proxy');
      expect(unknown.code).to.be.oneOf(['ENOTFOUND', 'EAI_AGAIN']);
    });

    for (const [title, garbage] of [
      ['garbage', 'no proxy at all\r\n'],
      ['zeros', '\0'],
      ['the start of a reply and garbage', '\x05\x00\x05\x07'],
    ] as const) {
      it(`refuses ${title} without end`, async () => {
        const server = await listen((socket) => pour(socket.resume(), garbage));
        const error = await failure(await dial(server.port));
        expect(error.origin).to.equal('proxy');
        // `5 0 5 7` is a refusal in SOCKS 5: "command not supported".
        const refused = name === 'SOCKS 5' && garbage.startsWith('\x05');
        if (plain) expect(error.code).to.equal(refused ? 'ERR_PROXY_UNSUPPORTED' : 'ERR_PROXY_PROTOCOL');
        else expect(error.code).to.match(/^ERR_SSL|^EPROTO/);
        const pouring = await server.socket(0);
        expect(await until(() => pouring.destroyed)).to.be.true;
      });
    }

    for (const how of ['end', 'destroy', 'resetAndDestroy'] as const) {
      it(`notices that the proxy hangs up at once (${how})`, async () => {
        const server = await listen((socket) => void socket.once('readable', () => socket[how]()));
        expect(blame(await failure(await dial(server.port)))).to.equal('proxy ECONNRESET');
      });

      it(`notices that the proxy hangs up in the middle of its reply (${how})`, async () => {
        const proxy = await open({
          say: (socket, reply) => {
            socket.write(reply.subarray(0, 1), () => {
              if (how === 'resetAndDestroy' && plain) (socket as net.Socket).resetAndDestroy();
              else if (how === 'end') socket.end();
              else socket.destroy();
            });
          },
        });
        expect(blame(await failure(await dial(proxy.port)))).to.equal('proxy ECONNRESET');
      });
    }

    for (const index of name === 'SOCKS 5' ? [0, 1] : [0]) {
      it(`falls to connectTimeout while the proxy is silent instead of its reply ${index} (D15, F5)`, async () => {
        const server = await listen(echo);
        const say: Plan['say'] = (socket, reply, i) => {
          if (i < index) socket.write(reply);
        };
        const proxy = await open({ say });
        const config = { host: 'target.test', port: server.port, reconnect: false, connectTimeout: 50 } as const;
        const socket = kept(tcpSocket({ ...config, dial: await dial(proxy.port) }));
        const inbound = tape(socket.inbound);
        await inbound.end;
        expect(inbound.error).to.be.instanceOf(ConnectTimeoutError);
        expect(await until(() => proxy.sockets.every((raw) => raw.destroyed || raw.readableEnded))).to.be.true;
      });
    }

    it('ends with the attempt, at whatever point that is given up', async () => {
      const [server, proxy] = [await listen(echo), await open({ say: drip })];
      const dialled = await dial(proxy.port);
      for (let point = 0; point < 60; point++) {
        const { made, give } = attempt(dialled, server.port);
        const reason = new Error('no more');
        made.then(kept, () => undefined); // it may be through by then
        await turns(point);
        give.abort(reason);
        const end = await outcome(made);
        expect(end).to.be.oneOf([reason, 'written']);
      }
    });

    it('ends when the socket is destroyed while it dials', async () => {
      let waiting: Duplex | undefined;
      const [server, proxy] = [await listen(echo), await open({ say: (stream) => (waiting = stream) })];
      const socket = tcpSocket({ host: 'target.test', port: server.port, dial: await dial(proxy.port) });
      await until(() => waiting !== undefined);
      socket.destroy();
      expect(await until(() => waiting!.destroyed || waiting!.readableEnded)).to.be.true;
    });

    it('does not connect when the attempt is given up before it begins (D36)', async () => {
      const proxy = await open();
      const reason = new Error('never mind');
      const made: unknown[] = [];
      const hear = (socket: unknown): void => void made.push(socket);
      diagnosticsChannel.subscribe('net.client.socket', hear);
      atEnd(() => diagnosticsChannel.unsubscribe('net.client.socket', hear));
      expect(
        await outcome((await dial(proxy.port))({ host: 'target.test', port: 1 }, AbortSignal.abort(reason))),
      ).to.equal(reason);
      await turns(50);
      expect(made).to.eql([]);
    });

    it('takes itself for refused when it has connected to itself (D37, F20)', async () => {
      const port = await deadPort();
      expect(blame(await failure(await dial(port, { socket: { localPort: port } })))).to.equal('proxy ECONNREFUSED');
    });

    it('keeps no socket that is over in memory, nor a listener at a signal', async () => {
      const [server, proxy] = [await listen(echo), await open()];
      const dialled = await dial(proxy.port);
      const refs: WeakRef<object>[] = [];
      const { signal } = new AbortController();
      for (let i = 0; i < 20; i++) {
        const raw = await dialled({ host: 'target.test', port: server.port }, signal);
        refs.push(new WeakRef(raw));
        raw.destroy();
        await once(raw, 'close');
      }
      expect(await stillAlive(refs, 2)).to.be.at.most(2);
    });

    it('is not led astray by a polluted prototype (F11)', async () => {
      const [server, proxy] = [await listen(echo), await open()];
      const dialled = await dial(proxy.port);
      const evil = {
        path: '/nowhere',
        socketPath: '/nowhere',
        auth: 'evil:evil',
        agent: 1,
        lookup: 1,
        protocol: 'evil:',
      };
      const all = {
        ...evil,
        localAddress: '192.0.2.1',
        insecureHTTPParser: 1,
        maxHeaderSize: 1,
        servername: 'evil.test',
      };
      for (const [key, value] of Object.entries(all)) {
        Object.defineProperty(Object.prototype, key, { value, configurable: true, writable: true, enumerable: false });
      }
      try {
        kept(await attempt(dialled, server.port).made);
      } finally {
        for (const key of Object.keys(all)) Reflect.deleteProperty(Object.prototype, key);
      }
      expect(proxy.asked.length).to.equal(1);
      expect(proxy.asked[0]!.headers?.authorization).to.equal(undefined);
    });
  });
}
