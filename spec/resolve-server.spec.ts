import { expect } from 'chai';
import { ConfigError } from '../lib/errors.js';
import { resolveServer } from '../lib/resolve-server.js';
import { certificates, type Certificates } from './support/certificates.js';

describe('resolveServer()', () => {
  let made: Certificates;
  before(async () => {
    made = await certificates();
  });

  const refuses = (config: object, message: RegExp | string): void => {
    expect(() => resolveServer(config), JSON.stringify(config)).to.throw(ConfigError, message);
  };

  it('fills every gap, and freezes the result', () => {
    const resolved = resolveServer({});
    expect(Object.isFrozen(resolved)).to.be.true;
    expect(resolved).to.deep.include({
      ...{ place: { port: 0 }, tls: undefined, name: undefined, handshakeTimeout: 10_000, maxConnections: Infinity },
      ...{ endTimeout: 5000, idleTimeout: 0, writeTimeout: 0, handshake: undefined, heartbeat: undefined },
      ...{ writeBuffer: { frames: 100_000, bytes: 16_777_216 }, readBuffer: { frames: 100, bytes: 1_048_576 } },
    });
    expect(resolved.socket).to.include({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 });
  });

  it('takes what it is given, and leaves the object as it is', () => {
    const given = Object.freeze({
      ...{ port: '8080', host: '[::1]', handshakeTimeout: 1, maxConnections: 1, name: 'door', writeBuffer: 5 },
      socket: Object.freeze({ noDelay: false, allowHalfOpen: true }),
    });
    const resolved = resolveServer(given);
    expect(resolved).to.deep.include({ place: { port: 8080, host: '::1' }, handshakeTimeout: 1, maxConnections: 1 });
    expect(resolved.socket).to.include({ noDelay: false, allowHalfOpen: true });
    expect(resolved.writeBuffer).to.deep.equal({ frames: 5, bytes: 16_777_216 });
    expect(resolveServer({ path: '/x', socket: { allowHalfOpen: true } }).place).to.deep.equal({ path: '/x' });
  });

  it('refuses what is unknown, and what a server has no use for', () => {
    refuses({ prot: 1 }, /`prot`.*`port`/);
    for (const name of [
      'reconnect',
      'connectTimeout',
      'dial',
      'endpoints',
      'retryLimit',
      'overflow',
      'signal',
      'settle',
    ])
      refuses({ [name]: 1 }, name);
    refuses({ socket: { localAddress: '127.0.0.1' } }, 'localAddress');
    refuses({ tls: { ...made.server, servername: 'x' } }, 'servername');
    refuses({ tls: { ...made.server, handshakeTimeout: 1 } }, 'handshakeTimeout');
  });

  it('refuses values that mean nothing', () => {
    for (const handshakeTimeout of [0, -1, NaN, Infinity, 2 ** 31, '1', null])
      refuses({ handshakeTimeout }, 'handshakeTimeout');
    for (const maxConnections of [0, -1, 1.5, NaN, '1', null]) refuses({ maxConnections }, 'maxConnections');
    for (const port of [-1, 65_536, 1.5, 'http', null]) refuses({ port }, 'port');
    for (const host of ['', 5, null]) refuses({ host }, 'host');
    refuses({ path: '' }, 'path');
    refuses({ name: 5 }, 'name');
    refuses({ handshake: true }, 'handshake');
  });

  it('refuses two places at once', () => {
    refuses({ path: '/x', port: 1 }, '`path` excludes');
    refuses({ path: '/x', host: 'localhost' }, '`path` excludes');
    refuses({ path: '/x', socket: { noDelay: true } }, '`path` excludes');
  });

  describe('tls', () => {
    it('is checked at once when it is given, and asks for an identity', () => {
      expect(resolveServer({ tls: made.server }).tls?.()).to.include({ ...made.server, rejectUnauthorized: true });
      for (const tls of [true, null, 'x', {}, { ca: made.ca }]) refuses({ tls }, 'tls');
      refuses({ tls: { ...made.server, SNICallback: 5 } }, 'SNICallback');
    });

    it('that no server can be made of is refused at once, without a byte of it in the message', () => {
      const secret = '-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----';
      const bad: object[] = [
        { ...made.server, key: secret },
        { ...made.server, cert: 'garbage' },
        { key: made.client.key, cert: made.server.cert },
        { ...made.server, minVersion: 'TLSv1.9' },
        { ...made.server, ticketKeys: Buffer.alloc(1) },
      ];
      for (const tls of bad) {
        let error: unknown;
        try {
          resolveServer({ tls });
        } catch (thrown) {
          error = thrown;
        }
        expect(error).to.be.instanceOf(ConfigError);
        expect((error as Error).message).to.match(/^`tls` must be what Node can make a server of; it says ERR_\w+$/);
        expect((error as Error).cause).to.be.instanceOf(Error);
      }
    });

    it('as a function is asked later, each time, and what it answers is checked then', () => {
      let answer: object = {};
      let asked = 0;
      const { tls } = resolveServer({
        tls: () => {
          asked++;
          return answer;
        },
      });
      expect(asked).to.equal(0);
      expect(() => tls?.()).to.throw(ConfigError, 'tls');
      answer = made.server;
      expect(tls?.()).to.include(made.server);
      answer = made.renewed;
      expect(tls?.()).to.include(made.renewed);
      expect(asked).to.equal(3);
    });

    it('verifies a client unless `rejectUnauthorized` is exactly false', () => {
      const verifies = (rejectUnauthorized: unknown): unknown =>
        resolveServer({ tls: { ...made.server, requestCert: true, rejectUnauthorized } }).tls?.().rejectUnauthorized;
      expect([undefined, null, 0, '', true, false].map(verifies)).to.deep.equal([true, true, true, true, true, false]);
    });
  });
});
