import { inspect } from 'node:util';
import { expect } from 'chai';
import { resolveConfig } from '../lib/resolve-config.js';
import { clientOptions, resolveServerTls, resolveTls, serverOptions } from '../lib/resolve-tls.js';
import { refusal } from './support/refusal.js';

const IDENTITY = { key: 'k', cert: 'c' };
const SIDES = [
  { side: 'a client', check: clientOptions, given: {} },
  { side: 'a server', check: serverOptions, given: IDENTITY },
] as const;

type Called = (...args: unknown[]) => unknown;

/** The function of this name, as Node is given it. */
function guarded(check: (options: unknown) => object, name: string, own: Called): Called {
  return Reflect.get(check({ ...(check === serverOptions ? IDENTITY : {}), [name]: own }), name) as Called;
}

describe('the option tls', () => {
  const tlsOf = (tls: unknown): (() => object) | undefined => resolveConfig({ port: 1, tls: tls as never }).tls;

  it('is plain TCP when it is left out', () => {
    expect([tlsOf(undefined), resolveServerTls(undefined)]).to.eql([undefined, undefined]);
  });

  it('is verified TLS with the defaults of Node as true, and as an empty object', () => {
    for (const tls of [true, {}, () => ({})]) expect({ ...tlsOf(tls)?.() }).to.eql({ rejectUnauthorized: true });
  });

  it('takes over what is given, and leaves the object as it is', () => {
    const ca = Buffer.from('ca');
    const options = Object.freeze({ ca, servername: 'db', ALPNProtocols: ['a'], minVersion: 'TLSv1.3' });
    expect({ ...tlsOf(options)?.() }).to.eql({ ...options, rejectUnauthorized: true });
  });

  it('copies lists and bytes: what is changed in place later is another certificate, and told apart', () => {
    const [key, list] = [Buffer.from('key'), [Buffer.from('a')]];
    const asked = tlsOf(() => ({ key, ca: list }));
    const before = asked?.();
    key.fill(0);
    list.push(Buffer.from('b'));
    expect({ ...before }).to.eql({ key: Buffer.from('key'), ca: [Buffer.from('a')], rejectUnauthorized: true });
    expect({ ...asked?.() }).to.deep.include({ ca: [Buffer.from('a'), Buffer.from('b')] });
  });

  it('as an object is read once, when the socket is made', () => {
    const options = { servername: 'db' };
    const asked = tlsOf(options);
    options.servername = 'evil';
    expect(asked?.()).to.include({ servername: 'db' });
    expect(asked?.()).to.equal(asked?.());
  });

  it('as a function is asked at every dial and not before, and each answer is checked', () => {
    const answers: unknown[] = [{ servername: 'a' }, { servername: '' }, { serverName: 'b' }, { servername: 'c' }];
    let asks = 0;
    const asked = tlsOf(() => answers[asks++]);
    expect(asks).to.equal(0);
    expect(asked?.()).to.include({ servername: 'a' });
    expect(refusal(() => asked?.())).to.equal('`tls.servername` must be a string that is not empty, got "" (string)');
    expect(refusal(() => asked?.())).to.match(/^`serverName` is not an option of tls; did you mean `servername`\?/);
    expect(asked?.()).to.include({ servername: 'c' });
  });

  it('as a function that throws passes on what it throws: the dial says what becomes of it', () => {
    const mine = new Error('mine');
    const asked = tlsOf(() => {
      throw mine;
    });
    expect(() => asked?.()).to.throw(mine);
  });

  for (const [what, answer, got] of [
    ['nothing', undefined, 'an object, got undefined'],
    ['null', null, 'an object, got null'],
    ['true', true, 'an object, got true (boolean)'],
    ['a text', 'PEM', 'an object, got "PEM" (string)'],
    ['a list', [], 'an object, got an array'],
    ['a promise', Promise.resolve({}), 'an object, got a promise of one'],
  ] as const) {
    it(`as a function that answers ${what} is refused when it is asked, on either side`, () => {
      const ask = (): unknown => answer;
      expect(refusal(() => tlsOf(ask)?.())).to.equal(`\`tls\` must be ${got}`);
      expect(refusal(() => resolveServerTls(ask)?.())).to.equal(`\`tls\` must be ${got}`);
    });
  }

  for (const value of [false, null, 0, 1, '', 'TLSv1.3', Symbol('s')]) {
    it(`refuses ${inspect(value)}`, () => {
      expect(refusal(() => resolveTls(value))).to.match(/^`tls` must be true, an object or a function, got /);
      expect(refusal(() => resolveServerTls(value))).to.match(/^`tls` must be an object or a function, got /);
    });
  }

  it('has to have an identity on a server: there is no default', () => {
    for (const options of [{}, { ca: 'x' }, { key: 'k' }, { cert: undefined }]) {
      expect(refusal(() => resolveServerTls(options))).to.equal(
        '`tls` must be an object with `key` and `cert`, or another identity of the server, got an object',
      );
    }
    expect(refusal(() => resolveServerTls(true))).to.match(/^`tls` must be an object or a function, got true/);
    for (const identity of [IDENTITY, { pfx: 'x' }, { SNICallback: () => undefined }, { pskCallback: () => null }]) {
      expect(resolveServerTls(identity)?.()).to.include({ rejectUnauthorized: true });
    }
  });
});

for (const { side, check, given } of SIDES) {
  describe(`the TLS options of ${side}`, () => {
    for (const value of [undefined, null, 0, '', NaN, 'false', [], true, 1, {}]) {
      it(`verify with \`rejectUnauthorized\` ${inspect(value)} (F7)`, () => {
        expect(check({ ...given, rejectUnauthorized: value })).to.have.property('rejectUnauthorized', true);
      });
    }

    it('do not verify with exactly false, and only then (F7)', () => {
      expect(check(given)).to.have.property('rejectUnauthorized', true);
      expect(check({ ...given, rejectUnauthorized: false })).to.have.property('rejectUnauthorized', false);
    });

    for (const [names, where] of [
      ['host port path handshakeTimeout', 'give it beside `tls`'],
      ['noDelay keepAlive keepAliveInitialDelay allowHalfOpen localAddress localPort family', 'give it in `socket`'],
      ['lookup autoSelectFamily autoSelectFamilyAttemptTimeout', 'give it in `socket`'],
      ['socket', 'a stream of your own to speak TLS over comes from `dial`'],
      ['timeout', '`connectTimeout` is for TLS too, and `handshakeTimeout` on a server'],
    ] as const) {
      for (const name of names.split(' ')) {
        it(`have no \`${name}\`, which is not about TLS, and say where that belongs`, () => {
          for (const value of [1, undefined]) {
            expect(refusal(() => check({ ...given, [name]: value }))).to.equal(
              `\`${name}\` is not an option of tls: ${where}`,
            );
          }
        });
      }
    }

    it('have no name that is unknown, and name the nearest', () => {
      for (const [name, nearest] of Object.entries({ certs: 'cert', rejectUnauthorised: 'rejectUnauthorized' })) {
        expect(refusal(() => check({ ...given, [name]: 1 }))).to.equal(
          `\`${name}\` is not an option of tls; did you mean \`${nearest}\`?`,
        );
      }
      for (const name of ['fd', 'onread', 'signal', 'highWaterMark', 'pauseOnConnect', 'secure']) {
        expect(refusal(() => check({ ...given, [name]: 1 }))).to.match(
          new RegExp(`^\`${name}\` is not an option of tls`),
        );
      }
    });

    it('are frozen, and inherit nothing, least of all that nobody is verified (F7, F11)', () => {
      const inherited = {
        ca: 'evil',
        rejectUnauthorized: false,
        servername: 'evil',
        checkServerIdentity: () => undefined,
      };
      Object.assign(Object.prototype, inherited, { SNICallback: () => undefined, host: 'evil' });
      let options: object;
      try {
        options = check(given);
        for (const name of ['ca', 'servername', 'checkServerIdentity', 'SNICallback', 'host'])
          expect(Reflect.get(options, name), name).to.equal(undefined);
      } finally {
        for (const name of [...Object.keys(inherited), 'SNICallback', 'host'])
          Reflect.deleteProperty(Object.prototype, name);
      }
      expect(Object.getPrototypeOf(options)).to.equal(null);
      expect(options).to.be.frozen;
      expect({ ...options }).to.eql({ ...given, rejectUnauthorized: true });
    });

    it('take a certificate, a key and the like as they are: Node reads them', () => {
      const names = 'ca cert key pfx passphrase crl ciphers sigalgs ecdhCurve minVersion maxVersion ALPNProtocols';
      for (const name of names.split(' ')) {
        const value = Buffer.from(name);
        expect({ ...check({ ...given, [name]: value }) }).to.have.deep.property(name, value);
      }
    });
  });
}

describe('an async function among the TLS options', () => {
  const mine = new Error('mine');
  const rejects = (): Promise<never> => Promise.reject(mine);

  it('as SNICallback tells Node what it rejects with', async () => {
    const told = await new Promise((resolve) => void guarded(serverOptions, 'SNICallback', rejects)('db', resolve));
    expect(told).to.equal(mine);
  });

  it('has no other answer: nobody is verified by a promise, and nothing is left alone', () => {
    expect(guarded(clientOptions, 'checkServerIdentity', rejects)('db', {})).to.be.instanceOf(TypeError);
    const fulfilled = guarded(clientOptions, 'checkServerIdentity', () => Promise.resolve());
    expect(fulfilled('db', {})).to.be.instanceOf(TypeError);
    expect(guarded(clientOptions, 'pskCallback', rejects)('hint')).to.be.null;
    expect(guarded(serverOptions, 'ALPNCallback', rejects)({})).to.be.undefined;
  });
});

describe('the TLS options of one side alone', () => {
  it('are unknown to the other', () => {
    for (const name of ['requestCert', 'SNICallback', 'ALPNCallback', 'pskIdentityHint']) {
      expect(refusal(() => clientOptions({ [name]: () => undefined }))).to.include(
        `\`${name}\` is not an option of tls`,
      );
    }
    for (const name of ['servername', 'checkServerIdentity', 'session', 'minDHSize', 'requestOCSP', 'secureContext']) {
      expect(refusal(() => serverOptions({ ...IDENTITY, [name]: 1 }))).to.include(
        `\`${name}\` is not an option of tls`,
      );
    }
  });

  for (const value of ['', 1, null, {}]) {
    it(`have no \`servername\` ${inspect(value)}`, () => {
      expect(refusal(() => clientOptions({ servername: value }))).to.match(
        /^`tls\.servername` must be a string that is not empty, got /,
      );
    });
  }

  for (const value of ['127.0.0.1', '::1']) {
    it(`have no address as \`servername\`, such as ${value}, which Node warns of or refuses by its version`, () => {
      expect(refusal(() => clientOptions({ servername: value }))).to.equal(
        `\`tls.servername\` must be a name, as addresses are not allowed there (RFC 6066), got "${value}" (string)`,
      );
    });
  }

  it('of an upgrade may be left out by a client, not by a server', () => {
    expect({ ...clientOptions() }).to.eql({ rejectUnauthorized: true });
    expect(refusal(() => serverOptions(undefined))).to.equal('`tls` must be an object, got undefined');
  });
});

describe('a function among the TLS options', () => {
  const CALLED = [
    ['checkServerIdentity', clientOptions],
    ['pskCallback', clientOptions],
    ['pskCallback', serverOptions],
    ['ALPNCallback', serverOptions],
    ['SNICallback', serverOptions],
  ] as const;

  for (const [name, check] of CALLED) {
    for (const value of [1, 'f', {}, true, null, []]) {
      it(`must be one: \`${name}\` refuses ${inspect(value)} of ${check.name}`, () => {
        expect(refusal(() => guarded(check, name, value as never))).to.match(
          new RegExp(`^\`tls\\.${name}\` must be a function, got `),
        );
      });
    }

    it(`is called with what Node gives it, and answers for itself: \`${name}\` of ${check.name}`, () => {
      const answer = {};
      const got: unknown[] = [];
      const called = guarded(check, name, (...args) => {
        got.push(...args);
        return answer;
      });
      expect(called('a', 1, called)).to.equal(answer);
      expect(got).to.eql(['a', 1, called]);
    });
  }

  it('is the same for Node at every dial, as long as it is the same', () => {
    const own = (): undefined => undefined;
    for (const [name, check] of CALLED) {
      expect(guarded(check, name, own)).to.equal(guarded(check, name, own));
      expect(guarded(check, name, own)).to.not.equal(guarded(check, name, () => undefined));
    }
    expect(guarded(serverOptions, 'ALPNCallback', own)).to.not.equal(guarded(serverOptions, 'SNICallback', own));
  });

  const thrower = (what: unknown) => (): never => {
    throw what;
  };
  // What is thrown may be nothing at all, and must not pass for an approval.
  const THROWN = [new Error('mine'), 'mine', undefined, null, 0, '', false];

  for (const thrown of THROWN) {
    const what = thrown instanceof Error ? 'an Error' : inspect(thrown);

    it(`that throws ${what} approves of no certificate: \`checkServerIdentity\` answers an Error (F14)`, () => {
      const answer = guarded(clientOptions, 'checkServerIdentity', thrower(thrown))('db', {});
      expect(answer).to.be.instanceOf(Error);
      if (thrown instanceof Error) expect(answer).to.equal(thrown);
    });

    it(`that throws ${what} has no key, and chooses no protocol (F14)`, () => {
      for (const check of [clientOptions, serverOptions]) {
        expect(guarded(check, 'pskCallback', thrower(thrown))('hint')).to.equal(null);
      }
      expect(guarded(serverOptions, 'ALPNCallback', thrower(thrown))({})).to.equal(undefined);
    });

    it(`that throws ${what} has no certificate for a name: \`SNICallback\` tells Node an Error (F14)`, () => {
      const told: unknown[] = [];
      guarded(serverOptions, 'SNICallback', thrower(thrown))('db', (...args: unknown[]) => told.push(...args));
      expect(told).to.have.lengthOf(1);
      expect(told[0]).to.be.instanceOf(Error);
      if (thrown instanceof Error) expect(told[0]).to.equal(thrown);
    });
  }
});
