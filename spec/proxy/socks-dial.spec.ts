import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type * as net from 'node:net';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { ConfigError, ConnectError, tcpSocket } from '../../lib/index.js';
import { ProxyError, socksDial, type SocksDialOptions } from '../../lib/proxy.js';
import { atEnd, kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { socksProxy } from '../support/proxy-servers.js';
import { echo, listen } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';

/** A proxy that answers these, one for each time that it is asked, whatever it is asked. */
async function scripted(...replies: (readonly number[])[]): Promise<number> {
  const server = await listen((socket) => {
    let at = 0;
    socket.on('data', () => {
      const reply = replies[at++];
      if (reply !== undefined) socket.write(Buffer.from(reply));
    });
  });
  return server.port;
}

function through(port: number, more: Partial<SocksDialOptions> = {}, target = 'target.test'): Promise<net.Socket> {
  const dialled = socksDial({ host, port, ...more })({ host: target, port: 7 }, new AbortController().signal);
  return dialled.then((raw) => kept(raw)) as Promise<net.Socket>;
}

async function blame(port: number, more: Partial<SocksDialOptions> = {}): Promise<string> {
  const error = await outcome(through(port, more));
  if (!(error instanceof ProxyError)) throw new Error('it was no ProxyError', { cause: error });
  expect(error.cause).to.equal(undefined);
  return `${error.origin} ${error.code} ${error.reply ?? '-'}`;
}

const HELLO = [5, 0];

describe('socksDial', () => {
  leavesNothingOpen();

  for (const [number, expected] of [
    [1, 'proxy ECONNABORTED 1'],
    [2, 'proxy ERR_PROXY_FORBIDDEN 2'],
    [3, 'target ENETUNREACH 3'],
    [4, 'target EHOSTUNREACH 4'],
    [5, 'target ECONNREFUSED 5'],
    [6, 'target ETIMEDOUT 6'],
    [7, 'proxy ERR_PROXY_UNSUPPORTED 7'],
    [8, 'proxy ERR_PROXY_UNSUPPORTED 8'],
    [9, 'proxy ECONNABORTED 9'],
    [255, 'proxy ECONNABORTED 255'],
  ] as const) {
    it(`tells the reply ${number} of SOCKS 5 as ${expected}`, async () => {
      expect(await blame(await scripted(HELLO, [5, number, 0, 1, 0, 0, 0, 0, 0, 0]))).to.equal(expected);
    });
  }

  for (const [number, expected] of [
    [0, 'proxy ERR_PROXY_PROTOCOL -'],
    [91, 'proxy ECONNABORTED 91'],
    [92, 'proxy ERR_PROXY_AUTH 92'],
    [93, 'proxy ERR_PROXY_AUTH 93'],
    [94, 'proxy ERR_PROXY_PROTOCOL -'],
  ] as const) {
    it(`tells the reply ${number} of SOCKS 4 as ${expected}`, async () => {
      expect(await blame(await scripted([0, number, 0, 0, 0, 0, 0, 0]), { version: 4 })).to.equal(expected);
    });
  }

  const known = { username: 'me', password: 'secret' };
  for (const [title, replies, expected, more] of [
    ['no method of ours', [[5, 0xff]], 'ERR_PROXY_AUTH 255', {}],
    ['a method that was not offered', [[5, 1]], 'ERR_PROXY_PROTOCOL -', {}],
    [
      'a user though none is known',
      [
        [5, 2],
        [1, 1],
      ],
      'ERR_PROXY_AUTH 1',
      {},
    ],
    [
      'a user, and refuses him',
      [
        [5, 2],
        [1, 0x50],
      ],
      'ERR_PROXY_AUTH 80',
      known,
    ],
    [
      'more than the reply to the password',
      [
        [5, 2],
        [1, 0, 9, 9],
      ],
      'ERR_PROXY_PROTOCOL -',
      known,
    ],
    ['another version at once', [[4, 0]], 'ERR_PROXY_PROTOCOL -', {}],
    ['another version at the end', [HELLO, [4, 0, 0, 1, 0, 0, 0, 0, 0, 0]], 'ERR_PROXY_PROTOCOL -', {}],
    ['success at an address of no known type', [HELLO, [5, 0, 0, 9, 0, 0, 0, 0, 0, 0]], 'ERR_PROXY_PROTOCOL -', {}],
    ['success of another version, in SOCKS 4', [[5, 90, 0, 0, 0, 0, 0, 0]], 'ERR_PROXY_PROTOCOL -', { version: 4 }],
  ] as const) {
    it(`refuses a proxy that answers ${title}`, async () => {
      expect(await blame(await scripted(...replies), more)).to.equal(`proxy ${expected}`);
    });
  }

  for (const [title, reply] of [
    ['an IPv4 address', [5, 0, 0, 1, 10, 0, 0, 1, 0, 7]],
    ['an IPv6 address', [5, 0, 0, 4, ...Array<number>(16).fill(0xfe), 0, 7]],
    ['a name', [5, 0, 0, 3, 255, ...Array<number>(255).fill(97), 0, 7]],
    ['an empty name', [5, 0, 0, 3, 0, 0, 7]],
  ] as const) {
    it(`finds where a reply with ${title} ends, and what follows it`, async () => {
      const raw = await through(await scripted(HELLO, [...reply, ...Buffer.from('payload')]));
      expect(String(raw.read())).to.equal('payload');
    });
  }

  it('sends an IPv6 address as such', async () => {
    const [server, proxy] = [await listen(echo), await socksProxy()];
    for (const target of ['::1', '2001:db8::a', '::ffff:10.0.0.1']) {
      const dial = socksDial({ host, port: proxy.port });
      kept(await dial({ host: target, port: server.port }, new AbortController().signal));
    }
    expect(proxy.asked.map((asked) => asked.host)).to.eql([
      '0000:0000:0000:0000:0000:0000:0000:0001',
      '2001:0db8:0000:0000:0000:0000:0000:000a',
      '0000:0000:0000:0000:0000:ffff:0a00:0001',
    ]);
  });

  it('sends a user and a password of 255 bytes each', async () => {
    const [user, password] = ['ü'.repeat(127) + 'u', 'p'.repeat(255)];
    const [server, proxy] = [await listen(echo), await socksProxy({ user, password })];
    const dial = socksDial({ host, port: proxy.port, username: user, password });
    kept(await dial({ host: 'target.test', port: server.port }, new AbortController().signal));
    expect(proxy.asked[0]!.user).to.equal(user);
  });

  it('cannot reach an IPv6 address by SOCKS 4, and says so for good', async () => {
    const proxy = await socksProxy();
    const socket = kept(tcpSocket({ host: '::1', port: 7, dial: socksDial({ host, port: proxy.port, version: 4 }) }));
    const inbound = tape(socket.inbound);
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(ConnectError).with.property('phase', 'config');
    expect((inbound.error as ConnectError).cause).to.be.instanceOf(ConfigError);
    expect(proxy.sockets).to.eql([]);
  });

  it('says which package is missing, for good, and connects to nobody', async function () {
    this.timeout(60_000);
    const server = await listen();
    const { code, output } = await withoutSocks(`
      import { tcpSocket } from './lib/index.js';
      import { socksDial } from './lib/proxy.js';
      const dial = socksDial({ host: '${host}', port: ${server.port} });
      tcpSocket({ host: 'target.test', port: 7, dial }).inbound.subscribe({
        error: (error) => console.log(error.code, error.cause.code, error.cause.message, JSON.stringify(error)),
      });
    `);
    expect(output).to.contain('TCP_CONNECT TCP_CONFIG socksDial needs the package `socks`');
    expect(output).to.contain('"message":"socksDial needs the package');
    expect(code, output).to.equal(0);
    expect(server.sockets).to.eql([]);
  });

  it('lets the process end while the client of `socks` still has its timer', async function () {
    this.timeout(60_000);
    const [server, proxy] = [await listen(echo), await socksProxy()];
    const { code, output } = await child(
      `
      import { socksDial } from './lib/proxy.js';
      const dial = socksDial({ host: '${host}', port: ${proxy.port} });
      const raw = await dial({ host: 'target.test', port: ${server.port} }, new AbortController().signal);
      raw.end().resume().on('close', () => console.log('closed'));
    `,
      [],
    );
    expect(output.trim()).to.equal('closed');
    expect(code).to.equal(0);
  });
});

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function withoutSocks(code: string): Promise<{ code: number | null; output: string }> {
  const gone = "Object.assign(new Error('no such package'), { code: 'ERR_MODULE_NOT_FOUND' })";
  const hook = `export async function resolve(name, context, next) { if (name === 'socks') throw ${gone}; return next(name, context); }`;
  return child(code, [`--loader=data:text/javascript,${encodeURIComponent(hook)}`]);
}

/** Runs a module in a process of its own, which must end by itself. */
async function child(code: string, options: string[]): Promise<{ code: number | null; output: string }> {
  const args = ['--no-warnings', '--loader=ts-node/esm', ...options, '--input-type=module', '--eval', code];
  const process = spawn(globalThis.process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  atEnd(() => process.kill('SIGKILL'));
  const output: string[] = [];
  for (const stream of [process.stdout, process.stderr]) stream.on('data', (chunk) => output.push(String(chunk)));
  const [exitCode] = (await once(process, 'close')) as [number | null];
  return { code: exitCode, output: output.join('') };
}

describe('what socksDial is given', () => {
  const SECRET = 'do not show';

  for (const [title, options, message] of [
    ['no host', {}, '`host` must be the name or address of the proxy, got undefined'],
    ['an empty host', { host: '' }, '`host` must be a string that is not empty, got "" (string)'],
    [
      'a port out of range',
      { host, port: 65_536 },
      '`port` must be a whole number from 1 to 65535, got 65536 (number)',
    ],
    ['another version', { host, version: '5' }, '`version` must be 4 or 5, got "5" (string)'],
    ['an unknown name', { host, user: 'me' }, '`user` is not an option of socksDial'],
    ['a password alone', { host, password: SECRET }, '`password` needs `username`; got it alone'],
    [
      'a password for SOCKS 4',
      { host, version: 4, username: 'me', password: SECRET },
      '`password` needs `version` 5: SOCKS 4 has none',
    ],
    [
      'a user with a NUL',
      { host, username: `me\0${SECRET}` },
      '`username` has a character that such a proxy does not take',
    ],
    [
      'a password that is no string',
      { host, username: 'me', password: 12_345 },
      '`password` must be a string, got something else',
    ],
    ['an empty user', { host, username: '' }, '`username` must have 1 to 255 bytes, got 0'],
    [
      'a password that is too long',
      { host, username: 'me', password: SECRET.repeat(24) },
      '`password` must have 1 to 255 bytes, got 264',
    ],
    ['a lookup', { host, socket: { lookup: () => undefined } }, '`lookup` is not an option of socket'],
    ['a list', [], '`socksDial` must be an object, got an array'],
  ] as const) {
    it(`is refused with ${title}`, () => {
      expect(() => socksDial(options as unknown as SocksDialOptions)).to.throw(ConfigError, message);
      try {
        socksDial(options as unknown as SocksDialOptions);
      } catch (error) {
        expect(inspect(error) + JSON.stringify(error))
          .not.to.contain(SECRET)
          .and.not.to.contain('12345');
      }
    });
  }

  it('may be changed or frozen afterwards', async () => {
    const proxy = await socksProxy();
    const options = { host, port: proxy.port };
    const dial = socksDial(options);
    options.port = 1;
    Object.freeze(options);
    const error = await outcome(dial({ host: 'target.test', port: 1 }, new AbortController().signal));
    expect(error).to.be.instanceOf(ProxyError).with.property('origin', 'target');
    await proxy.close();
  });
});
