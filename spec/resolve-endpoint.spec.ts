import { expect } from 'chai';
import type { TcpSocketConfig } from '../lib/config.js';
import { resolveConfig } from '../lib/resolve-config.js';
import { endpointList, resolveHost, resolvePort } from '../lib/resolve-endpoint.js';
import { refusal as refusalOf } from './support/refusal.js';

const PLACE = { host: 'localhost', port: 1 };

const refusal = (options: object): string => refusalOf(() => resolveConfig(options));

describe('the endpoint of a config', () => {
  const endpoint = (options: TcpSocketConfig): object => resolveConfig(options).endpoint;
  const dial = (): never => null as never;

  it('is a host and a port, given as a number or as a numeric string', () => {
    expect(endpoint({ host: 'db', port: 80 })).to.eql({ host: 'db', port: 80 });
    expect(endpoint({ host: 'db', port: '80' })).to.eql({ host: 'db', port: 80 });
  });

  it('is localhost for a port alone', () => {
    expect(endpoint({ port: 80 })).to.eql({ host: 'localhost', port: 80 });
  });

  it('is a path alone', () => {
    expect(endpoint({ path: '/run/x' })).to.eql({ path: '/run/x' });
  });

  it('may be absent, or be a host alone, where `dial` is given', () => {
    expect(endpoint({ dial })).to.eql({});
    expect(endpoint({ dial, host: 'db' })).to.eql({ host: 'db' });
    expect(endpoint({ dial, port: 80 })).to.eql({ host: 'localhost', port: 80 });
    expect(endpoint({ dial, path: '/run/x' })).to.eql({ path: '/run/x' });
  });

  for (const options of [
    { path: '/x', host: 'db' },
    { path: '/x', port: 1 },
    { path: '/x', ...PLACE },
    { path: '/x', host: 'db', dial },
  ]) {
    it(`is refused for ${Object.keys(options).join(' and ')} together`, () => {
      expect(refusal(options)).to.equal('`path` excludes `host` and `port`; tcpSocket got both');
    });
  }

  for (const [other, options] of Object.entries({ path: { path: '/x' }, dial: { dial } })) {
    it(`with a ${other} has no socket options of TCP`, () => {
      for (const tcp of [{ noDelay: true }, { keepAlive: false }, { localPort: 1 }, { lookup: () => undefined }]) {
        const [name = ''] = Object.keys(tcp);
        expect(refusal({ ...options, socket: { unref: true, ...tcp } })).to.equal(
          `\`socket.${name}\` is about TCP and excludes \`${other}\`; tcpSocket got both`,
        );
      }
    });

    it(`with a ${other} has the socket options of any stream, and undefined as not given`, () => {
      const socket = { allowHalfOpen: true, unref: true, noDelay: undefined } as never;
      expect(resolveConfig({ ...options, socket }).socket).to.include({ allowHalfOpen: true, unref: true });
      resolveConfig({ ...options, socket: {} });
    });
  }

  it('is refused when nothing names one', () => {
    const message = 'tcpSocket needs `host` and `port`, or `path`, or `endpoints`, or `dial`; got none of them';
    expect(refusal({})).to.equal(message);
    expect(refusal({ retryLimit: 1 })).to.equal(message);
  });

  it('is refused for a host without a port', () => {
    expect(refusal({ host: 'db' })).to.match(/^`port` must be a whole number from 1 to 65535, got undefined/);
  });

  it('is refused for an empty host, also where `dial` is given', () => {
    expect(refusal({ host: '', port: 1 })).to.equal('`host` must be a string that is not empty, got "" (string)');
    expect(refusal({ host: '', dial })).to.match(/^`host` must be/);
  });
});

describe('resolvePort', () => {
  it('takes numbers and numeric strings, and the fallback', () => {
    expect([resolvePort('1', 1), resolvePort(65_535, 1), resolvePort(undefined, 0, 0)]).to.eql([1, 65_535, 0]);
  });

  for (const value of ['', ' 80', '80 ', '+80', '8e1', '0x50', '80.0', '65536', '-1', '٣', 'http', '0']) {
    it(`refuses ${JSON.stringify(value)}`, () => {
      expect(refusalOf(() => resolvePort(value, 1))).to.match(/^`port` must be a whole number from 1 to 65535/);
    });
  }

  it('names the option that it is', () => {
    expect(refusalOf(() => resolvePort('x', 0, undefined, 'endpoints[3].port'))).to.equal(
      '`endpoints[3].port` must be a whole number from 0 to 65535, got "x" (string)',
    );
  });
});

describe('resolveHost', () => {
  it('takes names and addresses, without the brackets of a URL', () => {
    expect(['db', '10.0.0.1', '::1', '[::1]', '[fe80::1%eth0]'].map((host) => resolveHost(host))).to.eql([
      ...['db', '10.0.0.1', '::1', '::1', 'fe80::1%eth0'],
    ]);
    expect(resolveHost(undefined)).to.equal(undefined);
  });

  for (const value of ['', '[]', 1, null, {}, []]) {
    it(`refuses ${JSON.stringify(value)}, naming the option that it is`, () => {
      expect(refusalOf(() => resolveHost(value, 'endpoints[0].host'))).to.match(
        /^`endpoints\[0\]\.host` must be a string that is not empty, got /,
      );
    });
  }
});

describe('the endpoints of a config', () => {
  const dial = (): never => null as never;
  const listOf = (options: TcpSocketConfig): unknown => resolveConfig(options).endpoints?.list();

  it('are none where there is one place', () => {
    expect(resolveConfig(PLACE).endpoints).to.equal(undefined);
    expect(resolveConfig({ dial }).endpoints).to.equal(undefined);
  });

  it('are a list of places, checked and completed as one is', () => {
    const endpoints = [{ host: '[::1]', port: '80' as never }, { port: 81 }, { path: '/run/x' }];
    const resolved = resolveConfig({ endpoints });
    expect(resolved.endpoint).to.eql({});
    expect(resolved.endpoints).to.include({ cooldown: 10_000, dialled: false });
    expect(resolved.endpoints?.list()).to.eql([
      { host: '::1', port: 80 },
      { host: 'localhost', port: 81 },
      { path: '/run/x' },
    ]);
  });

  it('are kept for good, whatever the caller does with the list later', () => {
    const first = { host: 'a', port: 1 };
    const endpoints = [first, { host: 'b', port: 2 }];
    const { endpoints: resolved } = resolveConfig({ endpoints });
    first.port = 9;
    endpoints.length = 0;
    const kept = resolved?.list() as readonly object[];
    expect(kept).to.eql([
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ]);
    for (const part of [kept, ...kept]) expect(part).to.be.frozen;
    resolveConfig({ endpoints: Object.freeze([Object.freeze({ ...first })]) });
  });

  it('may be what a function answers, which is not asked yet', () => {
    let asked = 0;
    const endpoints = (): never[] => {
      asked++;
      return [];
    };
    const resolved = resolveConfig({ endpoints, endpointCooldown: 0 }).endpoints;
    expect(resolved).to.include({ list: endpoints, cooldown: 0 });
    expect(asked).to.equal(0);
  });

  it('may be incomplete where `dial` knows what to do with them', () => {
    expect(listOf({ dial, endpoints: [{}, { host: 'db' }, { port: 1 }] })).to.eql([{}, { host: 'db' }, { port: 1 }]);
    expect(resolveConfig({ dial, endpoints: [{}] }).endpoints).to.include({ dialled: true });
  });

  for (const place of [{ host: 'db' }, { port: 1 }, { path: '/x' }, PLACE]) {
    it(`exclude ${Object.keys(place).join(' and ')}`, () => {
      for (const endpoints of [[PLACE], () => [PLACE]]) {
        expect(refusal({ endpoints, ...place })).to.equal(
          '`endpoints` excludes `host`, `port` and `path`; tcpSocket got both',
        );
      }
    });
  }

  it('are what a cooldown is for: it is refused without them', () => {
    expect(refusal({ ...PLACE, endpointCooldown: 5 })).to.equal('`endpointCooldown` needs `endpoints`; got it alone');
    expect(refusal({ ...PLACE, endpointCooldown: NaN })).to.match(/^`endpointCooldown` must be a number from 0/);
  });

  const bad: readonly (readonly [what: string, list: unknown, message: string])[] = [
    ['no list', {}, '`endpoints` must be a list of endpoints, got an object'],
    ['an empty one', [], '`endpoints` must be a list of at least one endpoint, or a function, got an array'],
    ['null in it', [PLACE, null], '`endpoints[1]` must be an object, got null'],
    ['a text in it', [PLACE, 'db:80'], '`endpoints[1]` must be an object, got "db:80" (string)'],
    ['a list in it', [[PLACE]], '`endpoints[0]` must be an object, got an array'],
    ['a hole in it', Object.assign(new Array(2), { 1: PLACE }), '`endpoints[0]` must be an object, got undefined'],
    ['nothing of a place', [{}], '`endpoints[0].port` must be a whole number from 1 to 65535, got undefined'],
    ['no port', [PLACE, { host: 'db' }], '`endpoints[1].port` must be a whole number from 1 to 65535, got undefined'],
    ['a port 0', [{ port: 0 }], '`endpoints[0].port` must be a whole number from 1 to 65535, got 0 (number)'],
    [
      'a port that is none',
      [PLACE, PLACE, { port: 'x' }],
      '`endpoints[2].port` must be a whole number from 1 to 65535, got "x" (string)',
    ],
    [
      'an empty host',
      [{ host: '', port: 1 }],
      '`endpoints[0].host` must be a string that is not empty, got "" (string)',
    ],
    ['an empty path', [{ path: '' }], '`endpoints[0].path` must be a string that is not empty, got "" (string)'],
    ['a path and a port', [PLACE, { path: '/x', port: 1 }], '`path` excludes `host` and `port`; endpoints[1] got both'],
    ['a misspelt name', [{ hots: 'db', port: 1 }], '`hots` is not an option of endpoints[0]; did you mean `host`?'],
    ['an option of the socket', [{ port: 1, connectTimeout: 1 }], '`connectTimeout` is not an option of endpoints[0]'],
  ];
  for (const [what, list, message] of bad) {
    it(`are refused with ${what}, naming option, expectation and value`, () => {
      expect(refusal({ endpoints: list })).to.equal(message);
    });

    if (what === 'an empty one') continue; // for whoever asked the function to say
    it(`are refused with ${what} just so when a function has answered them`, () => {
      expect(refusalOf(() => endpointList(list, false))).to.equal(message);
    });
  }

  it('are checked though `dial` completes them', () => {
    expect(refusal({ dial, endpoints: [{ port: 0 }] })).to.match(/^`endpoints\[0\]\.port` must be/);
    expect(refusal({ dial, endpoints: [{ path: '/x', host: 'db' }] })).to.match(/^`path` excludes/);
  });

  it('have nothing that a polluted Object.prototype says [S9]', () => {
    const inherited = { host: 'evil', port: 9, path: '/evil' };
    Object.assign(Object.prototype, inherited);
    let complete, incomplete;
    try {
      complete = endpointList([{ port: 1 }, { path: '/x' }], false) as readonly object[];
      incomplete = endpointList([{}], true) as readonly object[];
    } finally {
      for (const name of Object.keys(inherited)) Reflect.deleteProperty(Object.prototype, name);
    }
    expect(complete).to.eql([{ host: 'localhost', port: 1 }, { path: '/x' }]);
    expect(incomplete).to.eql([{}]);
    for (const place of [...complete, ...incomplete]) expect(Object.getPrototypeOf(place)).to.equal(Object.prototype);
  });
});
