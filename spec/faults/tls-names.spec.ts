/** Threats F7, F9 and F11: nothing but an explicit `false` makes verification weaker, whatever the options, the environment or `Object.prototype` say. */
import { spawn } from 'node:child_process';
import * as net from 'node:net';
import { text } from 'node:stream/consumers';
import type * as tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { ConfigError, TlsError, tcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { certificates, ELSEWHERE, type Certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { live } from '../support/peers.js';
import { echo, listen } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { listenTls } from '../support/tls-servers.js';
import type { TlsTries, TlsTry } from './tls.child.js';

const host = '127.0.0.1';
type Lookup = NonNullable<NonNullable<TcpSocketConfig['socket']>['lookup']>;

/** Every name is this machine. */
const lookup: Lookup = (_host, { all }, callback) => {
  if (all === true) callback(null, [{ address: host, family: 4 }]);
  else callback(null, host, 4);
};

let made: Certificates;
before(async () => {
  made = await certificates();
});

/** The code of what an attempt to open was refused with; `open` if it was not. */
async function ending(config: TcpSocketConfig): Promise<unknown> {
  const socket = kept(tcpSocket({ ...config, reconnect: false }));
  const inbound = tape(socket.inbound);
  const { type } = await tape(socket.status).first((status) => status.type === 'open' || status.type === 'closed');
  if (type === 'open') return 'open';
  expect(inbound.error).to.be.instanceOf(TlsError).and.to.include({ opened: false });
  return ((inbound.error as TlsError).cause as { readonly code?: unknown }).code;
}

/** Dials in a process of its own. */
async function elsewhere(tries: readonly TlsTry[], env: NodeJS.ProcessEnv = {}): Promise<TlsTries> {
  const script = fileURLToPath(new URL('tls.child.ts', import.meta.url));
  const child = spawn(process.execPath, ['--no-warnings', '--loader', 'ts-node/esm', script, JSON.stringify(tries)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  atEnd(() => child.kill('SIGKILL'));
  const [said, complained] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(complained.slice(0, 300)).to.equal('');
  return JSON.parse(said) as TlsTries;
}

describe('the name that a TLS server is asked for', () => {
  leavesNothingOpen();

  it('is the host that was dialled', async () => {
    const server = await listenTls(made.wrongHost, echo);
    const config = { host: ELSEWHERE, port: server.port, tls: { ca: made.ca }, socket: { lookup } };
    expect(await ending(config)).to.equal('open');
    await server.socket(0);
    expect(server.names).to.deep.equal([ELSEWHERE]);
  });

  it('is none where an address was dialled, for names alone are allowed there (RFC 6066)', async () => {
    const server = await listenTls(made.server, echo);
    expect(await ending({ host, port: server.port, tls: { ca: made.ca } })).to.equal('open');
    await server.socket(0);
    expect(server.names).to.deep.equal(['']);
  });

  it('is `servername` where that is given, and the certificate is held against it', async () => {
    const server = await listenTls(made.wrongHost, echo);
    const options = { ca: made.ca, servername: ELSEWHERE };
    expect(await ending({ host, port: server.port, tls: options })).to.equal('open');
    await server.socket(0);
    expect(server.names).to.deep.equal([ELSEWHERE]);
    const wrong = {
      host: ELSEWHERE,
      port: server.port,
      tls: { ...options, servername: 'localhost' },
      socket: { lookup },
    };
    expect(await ending(wrong)).to.equal('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('is the host of the endpoint over a `dial` of one’s own, too', async () => {
    const server = await listenTls(made.server, echo);
    const dial = () => net.connect(server.port, host);
    expect(await ending({ host: 'localhost', port: 1, dial, tls: { ca: made.ca } })).to.equal('open');
    await server.socket(0);
    expect(server.names).to.deep.equal(['localhost']);
    expect(await ending({ host: 'another.test', port: 1, dial, tls: { ca: made.ca } })).to.equal(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    );
  });
});

describe('F7: verification cannot be weakened', () => {
  leavesNothingOpen();

  /** No type allows it, but not everybody has types. */
  const weak = (options: object): tls.ConnectionOptions => options;
  const attempts: [string, object][] = [
    ['nothing said', {}],
    ['`rejectUnauthorized: undefined`', { rejectUnauthorized: undefined }],
    ['`rejectUnauthorized: null`', { rejectUnauthorized: null }],
    ['`rejectUnauthorized: 0`', { rejectUnauthorized: 0 }],
    ['`rejectUnauthorized: ""`', { rejectUnauthorized: '' }],
    ['`rejectUnauthorized: NaN`', { rejectUnauthorized: NaN }],
    ['`checkServerIdentity: undefined`', { checkServerIdentity: undefined }],
    ['`ca: undefined`', { ca: undefined }],
    ['`servername: undefined`', { servername: undefined }],
  ];
  const servers: [string, 'selfSigned' | 'wrongHost' | 'expired' | 'unknownCa', string][] = [
    ['self-signed', 'selfSigned', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['wrong host', 'wrongHost', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['expired', 'expired', 'CERT_HAS_EXPIRED'],
    ['unknown authority', 'unknownCa', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ];

  for (const [what, options] of attempts) {
    it(`by ${what}: no bad certificate opens, and the good one does`, async () => {
      for (const given of [{ ca: made.ca, ...options }, () => weak({ ca: made.ca, ...options })]) {
        const refused: unknown[] = [];
        for (const [, key] of servers) {
          const server = await listenTls(made[key]);
          refused.push(await ending({ host, port: server.port, tls: given }));
          expect(server.payload).to.equal(0);
        }
        const known = !('ca' in options);
        expect(refused[0]).to.equal(servers[0]![2]);
        if (known) expect(refused).to.deep.equal(servers.map(([, , code]) => code));
        else expect(refused).to.not.include('open');
        if (!known) continue;
        const good = await listenTls(made.server);
        expect(await ending({ host, port: good.port, tls: given })).to.equal('open');
      }
    });
  }

  it('by `tls: true`: the authorities of Node are those that count, and none of them knows us', async () => {
    const UNKNOWN = /^(DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/;
    for (const key of ['selfSigned', 'unknownCa', 'server'] as const) {
      const server = await listenTls(made[key]);
      expect(await ending({ host, port: server.port, tls: true })).to.match(UNKNOWN);
    }
  });

  it('by a `checkServerIdentity` that throws: it refuses', async () => {
    const server = await listenTls(made.server);
    const checkServerIdentity = (): never => {
      throw Object.assign(new Error('not this one'), { code: 'NOT_THIS_ONE' });
    };
    expect(await ending({ host, port: server.port, tls: { ca: made.ca, checkServerIdentity } })).to.equal(
      'NOT_THIS_ONE',
    );
    expect(server.payload).to.equal(0);
  });

  it('by the environment: NODE_TLS_REJECT_UNAUTHORIZED=0 lets nobody in', async function () {
    this.timeout(60_000);
    const bad = await Promise.all(servers.map(([, key]) => listenTls(made[key], echo)));
    const good = await listenTls(made.server, echo);
    const given = [{ ca: made.ca }, { ca: made.ca, rejectUnauthorized: null }].map(weak);
    const tries = [...bad, good].flatMap(({ port }) => given.map((options) => ({ host, port, tls: options })));
    const { ends } = await elsewhere(tries, { NODE_TLS_REJECT_UNAUTHORIZED: '0' });
    const codes = servers.map(([, , code]) => code);
    expect(ends).to.deep.equal([...codes, 'open'].flatMap((end) => [end, end]));
  });

  it('save by an explicit `false`, of which the process is warned once, however many dials there are', async function () {
    this.timeout(60_000);
    const server = await listenTls(made.selfSigned, echo);
    const one = (options: object): TlsTry => ({ host, port: server.port, tls: options });
    const verified = await elsewhere([one({ ca: made.selfSigned.cert }), one({ ca: made.ca })]);
    expect(verified).to.deep.equal({ ends: ['open', 'DEPTH_ZERO_SELF_SIGNED_CERT'], warnings: [] });
    const off = one({ rejectUnauthorized: false });
    const weakened = await elsewhere([off, off, one({ ca: made.ca }), off]);
    expect(weakened.ends).to.deep.equal(['open', 'open', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'open']);
    expect(weakened.warnings).to.deep.equal(['RX_TCP_TLS_UNVERIFIED']);
  });

  it('by a name that Node does not know, which is refused with the nearest one that it does', () => {
    const at = (options: object) => () => tcpSocket({ host, port: 1, lazyConnect: true, tls: weak(options) }).destroy();
    expect(at({ rejectUnauthorised: true })).to.throw(ConfigError, 'did you mean `rejectUnauthorized`?');
    expect(at({ serverName: 'x' })).to.throw(ConfigError, 'did you mean `servername`?');
    expect(at({ servername: '' })).to.throw(ConfigError, '`tls.servername`');
    expect(at({ checkServerIdentity: true })).to.throw(ConfigError, '`tls.checkServerIdentity`');
    for (const ofNet of ['host', 'port', 'path', 'socket', 'timeout', 'lookup', 'onread', 'signal', 'allowHalfOpen']) {
      expect(at({ [ofNet]: undefined }), ofNet).to.throw(ConfigError, `\`${ofNet}\` is not an option of tls`);
    }
    for (const wrong of [false, null, 0, '', 'yes', []]) {
      expect(() => tcpSocket({ host, port: 1, tls: wrong as never }), String(wrong)).to.throw(ConfigError, '`tls`');
    }
  });
});

describe('F9: TLS stays on', () => {
  leavesNothingOpen();

  it('at every dial: a server that comes back in plain is refused', async () => {
    const server = await listenTls(made.server, (peer) => void peer.destroy());
    const plain: Buffer[] = [];
    const downgraded = await listen((raw) => {
      raw.on('data', (chunk) => plain.push(chunk));
      raw.write('welcome, no need for TLS\n');
    });
    const ports = [server.port, downgraded.port];
    const dial = () => net.connect(ports.shift() ?? downgraded.port, host);
    const reconnect = { initialDelay: 1, maxDelay: 1 };
    const socket = kept(tcpSocket({ host: 'localhost', dial, tls: { ca: made.ca }, reconnect }));
    const inbound = tape(socket.inbound);
    await live(socket);
    const written = socket.write('a secret').catch((error: unknown) => error);
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(TlsError);
    expect(inbound.values).to.deep.equal([]);
    await written;
    expect(Buffer.concat(plain).includes('secret')).to.equal(false);
  });
});

describe('F11: what Object.prototype was made to inherit', () => {
  leavesNothingOpen();

  const one = (name: string, value: unknown): Readonly<Record<string, unknown>> => ({ [name]: value });

  it('changes neither whom TLS is spoken with nor what is asked of them', async function () {
    this.timeout(120_000);
    const inherited = [
      one('path', '/nowhere'),
      one('host', 'evil.invalid'),
      one('port', 1),
      one('lookup', 'a function'),
      one('timeout', 1),
      one('signal', {}),
      one('localAddress', '192.0.2.1'),
      one('rejectUnauthorized', false),
      one('rejectUnauthorized', 0),
      one('servername', ELSEWHERE),
      one('checkServerIdentity', 'a function'),
      one('pskCallback', 'a function'),
      one('ca', made.selfSigned.cert),
      one('isServer', true),
      one('requestCert', false),
      one('secureContext', {}),
      one('session', 'x'),
      one('ALPNProtocols', ['evil']),
      one('maxVersion', 'TLSv1'),
      one('ciphers', 'NULL'),
      one('enableTrace', true),
      one('onread', {}),
      one('tls', true),
      one('dial', 'a function'),
      one('allowHalfOpen', false),
    ];
    const servers = await Promise.all(
      [made.server, made.selfSigned, made.wrongHost].map((pair) => listenTls(pair, echo)),
    );
    const [good, unknown, wrong] = servers.map(({ port }) => port) as [number, number, number];
    const dials: [port: number, tls: tls.ConnectionOptions, end: string][] = [
      [good, { ca: made.ca }, 'open'],
      [unknown, { ca: made.ca }, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
      [unknown, {}, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
      [wrong, { ca: made.ca }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ];
    const tries = inherited.flatMap((polluted) =>
      dials.map(([port, options]) => ({ host: 'localhost', port, tls: options, polluted })),
    );
    const { ends } = await elsewhere(tries);
    const shown = (ends: readonly string[], at: number): string =>
      `${Object.keys(inherited[at]!).join()}: ${ends.join(', ')}`;
    const found = inherited.map((_polluted, i) => shown(ends.slice(dials.length * i, dials.length * (i + 1)), i));
    expect(found).to.deep.equal(
      inherited.map((_polluted, i) =>
        shown(
          dials.map(([, , end]) => end),
          i,
        ),
      ),
    );
    expect(new Set(servers.flatMap(({ names }) => names))).to.deep.equal(new Set(['localhost']));
  });
});
