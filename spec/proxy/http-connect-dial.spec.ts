import type * as tls from 'node:tls';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { ConfigError, type ConnectError, ConnectTimeoutError, tcpSocket } from '../../lib/index.js';
import { httpConnectDial, ProxyError, type HttpConnectDialOptions } from '../../lib/proxy.js';
import { certificates } from '../support/certificates.js';
import { kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { until } from '../support/leaks.js';
import { httpProxy, pour } from '../support/proxy-servers.js';
import { echo, listen, record, type TestServer } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { listenTls } from '../support/tls-servers.js';

const host = '127.0.0.1';

/** A proxy that answers this, whatever it is asked. */
function scripted(reply: string): Promise<TestServer> {
  return listen((socket) => {
    socket.once('data', () => socket.write(reply));
  });
}

function through(port: number, more: Partial<HttpConnectDialOptions> = {}, target = 'target.test'): Promise<Duplex> {
  const dialled = httpConnectDial({ host, port, ...more })({ host: target, port: 7 }, new AbortController().signal);
  return dialled.then((raw) => kept(raw));
}

async function failure(port: number, more: Partial<HttpConnectDialOptions> = {}): Promise<ProxyError> {
  const error = await outcome(through(port, more));
  if (!(error instanceof ProxyError)) throw new Error('it was no ProxyError', { cause: error });
  return error;
}

async function blame(port: number, more: Partial<HttpConnectDialOptions> = {}): Promise<string> {
  const error = await failure(port, more);
  expect(error.cause).to.equal(undefined);
  return `${error.origin} ${error.code} ${error.reply ?? '-'}`;
}

describe('httpConnectDial', () => {
  leavesNothingOpen();

  for (const [status, expected] of [
    [100, 'proxy ERR_PROXY_PROTOCOL'],
    [101, 'proxy ERR_PROXY_PROTOCOL'],
    [302, 'proxy ERR_PROXY_PROTOCOL'],
    [400, 'proxy ERR_PROXY_FORBIDDEN'],
    [403, 'proxy ERR_PROXY_FORBIDDEN'],
    [405, 'proxy ERR_PROXY_UNSUPPORTED'],
    [407, 'proxy ERR_PROXY_AUTH'],
    [408, 'proxy ECONNABORTED'],
    [429, 'proxy ECONNABORTED'],
    [500, 'proxy ECONNABORTED'],
    [501, 'proxy ERR_PROXY_UNSUPPORTED'],
    [502, 'target EHOSTUNREACH'],
    [503, 'target EHOSTUNREACH'],
    [504, 'target ETIMEDOUT'],
    [599, 'proxy ECONNABORTED'],
    [999, 'proxy ERR_PROXY_PROTOCOL'],
  ] as const) {
    it(`tells the status ${status} as ${expected}, and waits for no body`, async () => {
      const proxy = await httpProxy({ refuse: status });
      expect(await blame(proxy.port)).to.equal(`${expected} ${status}`);
    });
  }

  for (const reply of [
    'HTTP/1.1 200 OK\r\n\r\n',
    'HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n\r\n',
    'HTTP/1.1 204 \r\nContent-Length: 3\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    `HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(15_000)}\r\n\r\n`,
  ]) {
    it(`is through with ${JSON.stringify(reply.slice(0, 60))}, and takes what follows for payload`, async () => {
      const server = await scripted(`${reply}payload`);
      const answer = record((await through(server.port)) as tls.TLSSocket);
      await answer.has('payload');
      expect(answer.text).to.equal('payload');
    });
  }

  for (const [title, start, unit] of [
    ['header', 'HTTP/1.1 200 OK\r\nX-Long: ', 'x'],
    ['number of headers', 'HTTP/1.1 200 OK\r\n', 'X: y\r\n'],
    ['status line', 'HTTP/1.1 407 ', 'peer-text '],
  ] as const) {
    it(`refuses an endless ${title}`, async () => {
      const server = await listen((socket) => {
        socket.resume().write(start);
        pour(socket, unit);
      });
      const error = await failure(server.port);
      expect(`${error.origin} ${error.code}`).to.equal('proxy ERR_PROXY_PROTOCOL');
      expect(inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error)).not.to.contain('peer-text');
      const pouring = await server.socket(0);
      expect(await until(() => pouring.destroyed)).to.be.true;
    });
  }

  it('asks as RFC 9110 has it, and adds nothing but what it was given', async () => {
    const server = await listen();
    const headers = { 'User-Agent': 'me/1' };
    const more = { headers, username: 'Aladdin', password: 'open sesame' };
    const give = new AbortController();
    const made = httpConnectDial({ host, port: server.port, ...more })({ host: '2001:db8::1', port: 443 }, give.signal);
    const recording = record(await server.socket(0));
    await recording.has('\r\n\r\n');
    give.abort();
    await outcome(made);
    expect(recording.text.split('\r\n')).to.eql([
      'CONNECT [2001:db8::1]:443 HTTP/1.1',
      'Host: [2001:db8::1]:443',
      'User-Agent: me/1',
      'Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==',
      '',
      '',
    ]);
  });

  it('sends a user beyond ASCII as UTF-8, and an authorization of another kind as it is given', async () => {
    const [server, proxy] = [await listen(echo), await httpProxy()];
    const { signal } = new AbortController();
    for (const more of [{ username: 'Jürgen' }, { headers: { 'proxy-authorization': 'Bearer token' } }]) {
      const dial = httpConnectDial({ host, port: proxy.port, ...more });
      kept(await dial({ host: 'target.test', port: server.port }, signal));
    }
    expect(proxy.asked.map(({ user }) => user)).to.eql(['Jürgen:', undefined]);
    expect(proxy.asked[1]!.headers!['proxy-authorization']).to.equal('Bearer token');
  });
});

describe('httpConnectDial to a proxy that speaks TLS', () => {
  leavesNothingOpen();

  for (const [title, pick, code] of [
    ['self-signed', 'selfSigned', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['for another host', 'wrongHost', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['expired', 'expired', 'CERT_HAS_EXPIRED'],
    ['signed by another authority', 'unknownCa', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ] as const) {
    it(`refuses a certificate that is ${title}, for good, before it asks (D25)`, async () => {
      const { ca, ...all } = await certificates();
      const proxy = await httpProxy({}, all[pick]);
      const dial = httpConnectDial({ host, port: proxy.port, tls: { ca }, username: 'me', password: 'sesame' });
      const socket = kept(tcpSocket({ host: 'target.test', port: 1, dial }));
      const inbound = tape(socket.inbound);
      await inbound.end;
      const { cause } = inbound.error as ConnectError;
      expect(cause).to.be.instanceOf(ProxyError).with.property('code', code);
      expect((cause as ProxyError).origin).to.equal('proxy');
      expect((cause as ProxyError).cause).to.equal(undefined); // it would hold the certificate
      expect(proxy.asked).to.eql([]);
      expect(inspect(inbound.error, { depth: 9 }) + JSON.stringify(cause)).not.to.match(/sesame|BEGIN|issuerCert/);
    });
  }

  it('asks for the certificate of the name that it was given, and of none for an address', async () => {
    const { ca, server: identity } = await certificates();
    const proxy = await listenTls(identity, (socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\n\r\n')),
    );
    for (const name of ['localhost', host]) await through(proxy.port, { host: name, tls: { ca } });
    expect(proxy.names).to.eql(['localhost', '']);
  });

  it('asks a function for the options at every dial', async () => {
    const { ca, otherCa, server: identity } = await certificates();
    const proxy = await httpProxy({ refuse: 403 }, identity);
    const authorities = [otherCa, ca];
    const dial = httpConnectDial({ host, port: proxy.port, tls: () => ({ ca: authorities.shift()! }) });
    const codes = [];
    for (let i = 0; i < 2; i++) {
      codes.push(await outcome(dial({ host: 'target.test', port: 7 }, new AbortController().signal)));
    }
    expect(codes.map((error) => (error as ProxyError).code)).to.eql([
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'ERR_PROXY_FORBIDDEN',
    ]);
  });

  it('refuses a proxy that speaks no TLS, and one that ends in the handshake', async () => {
    const proxy = await scripted('HTTP/1.1 400 Bad Request\r\n\r\n');
    expect((await failure(proxy.port, { tls: true })).code).to.match(/^(ERR_SSL_|EPROTO)/);
    const ending = await listen((socket) => void socket.once('data', () => socket.end()));
    expect((await failure(ending.port, { tls: true })).code).to.equal('ECONNRESET');
  });

  it('falls to connectTimeout while the handshake hangs (D15, F5)', async () => {
    const proxy = await listen((socket) => void socket.resume());
    const dial = httpConnectDial({ host, port: proxy.port, tls: true });
    const socket = kept(tcpSocket({ host: 'target.test', port: 1, dial, reconnect: false, connectTimeout: 50 }));
    const inbound = tape(socket.inbound);
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(ConnectTimeoutError);
    expect(await until(() => proxy.sockets.every((raw) => raw.destroyed || raw.readableEnded))).to.be.true;
  });
});

describe('what httpConnectDial is given', () => {
  const SECRET = 'do not show';

  for (const [title, options, message] of [
    ['no host', {}, '`host` must be the name or address of the proxy, got undefined'],
    ['a bad port', { host, port: '80a' }, '`port` must be a whole number from 1 to 65535, got "80a" (string)'],
    ['a password alone', { host, password: SECRET }, '`password` needs `username`; got it alone'],
    ['a user with a colon', { host, username: `me:${SECRET}` }, '`username` must have no colon'],
    ['a user with a line break', { host, username: `me\r\n${SECRET}` }, '`username` has a character'],
    ['headers that are no object', { host, headers: SECRET.length }, '`headers` must be an object, got 11 (number)'],
    ['a header that is no token', { host, headers: { 'a b': SECRET } }, '`headers` has a name or a value'],
    ['a header with a line break', { host, headers: { a: `${SECRET}\r\nb: c` } }, '`headers` has a name or a value'],
    ['a header that is no string', { host, headers: { a: 1 } }, '`headers` has a name or a value'],
    ['a header of ours', { host, headers: { HOST: SECRET } }, '`headers` must not have `HOST`; it is set here'],
    ['a length of a body', { host, headers: { 'Content-Length': '9' } }, '`headers` must not have `Content-Length`'],
    [
      'two authorizations',
      { host, username: 'me', headers: { 'proxy-authorization': SECRET } },
      '`username` excludes a header `Proxy-Authorization`; got both',
    ],
    ['an option of no TLS', { host, tls: { port: 1 } }, '`port` is not an option of tls'],
    ['an unknown name', { host, auth: SECRET }, '`auth` is not an option of httpConnectDial'],
  ] as const) {
    it(`is refused with ${title}`, () => {
      expect(() => httpConnectDial(options as unknown as HttpConnectDialOptions)).to.throw(ConfigError, message);
      try {
        httpConnectDial(options as unknown as HttpConnectDialOptions);
      } catch (error) {
        expect(inspect(error) + JSON.stringify(error)).not.to.contain(SECRET);
      }
    });
  }
});
