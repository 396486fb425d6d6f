import { expect } from 'chai';
import { ConfigError, ConnectError, tcpSocket } from '../../lib/index.js';
import { httpConnectDial, socksDial } from '../../lib/proxy.js';
import { targetOf } from '../../lib/proxy/target.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { tape } from '../support/tape.js';

describe('the target of a proxy', () => {
  leavesNothingOpen();

  for (const host of ['example.com', 'a_b.c-d.test.', 'LOCALHOST', '10.0.0.1', '::1', '2001:db8::1', 'a'.repeat(255)]) {
    it(`may be ${host.slice(0, 20)}`, () => {
      expect(targetOf({ host, port: 1 }, 'it')).to.eql({ host, port: 1 });
    });
  }

  for (const host of [
    '',
    'a b',
    'a\r\nX: y',
    'a\0b',
    'evil:80',
    'me@evil',
    'a/b',
    'a?b',
    'a%20b',
    'fe80::1%eth0',
    '[::1]',
    'a'.repeat(256),
    'ü\r\n',
    'ü b',
    'ü'.repeat(300),
    '\ud800',
  ]) {
    it(`cannot be ${JSON.stringify(host.slice(0, 20))} (F12)`, () => {
      expect(() => targetOf({ host, port: 1 }, 'it')).to.throw(ConfigError, 'it needs a `host` that is a name');
    });
  }

  for (const endpoint of [{}, { host: 'a' }, { port: 1 }, { path: '/a' }, { host: 'a', port: 1, path: '/a' }]) {
    it(`cannot be ${JSON.stringify(endpoint)}`, () => {
      expect(() => targetOf(endpoint, 'it')).to.throw(ConfigError, 'it needs `host` and `port` of the target');
    });
  }

  for (const [name, dial] of [
    ['socksDial', socksDial({ host: 'proxy.invalid' })],
    ['httpConnectDial', httpConnectDial({ host: 'proxy.invalid' })],
  ] as const) {
    it(`is missed by a socket that has a ${name} alone, which says so for good`, async () => {
      const socket = kept(tcpSocket({ dial }));
      const inbound = tape(socket.inbound);
      await inbound.end;
      expect(inbound.error).to.be.instanceOf(ConnectError).with.property('phase', 'config');
      const { cause } = inbound.error as ConnectError;
      expect(cause).to.be.instanceOf(ConfigError);
      expect((cause as ConfigError).message).to.contain(`${name} needs \`host\` and \`port\``);
    });
  }
});
