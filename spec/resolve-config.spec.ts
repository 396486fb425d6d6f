import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { bytes } from '../lib/codec/bytes.js';
import { lines } from '../lib/codec/lines.js';
import type { TcpSocketConfig } from '../lib/config.js';
import { ConfigError } from '../lib/errors.js';
import {
  resolveConfig,
  resolveConnection,
  resolveReconnect,
  resolveSignal,
  resolveSocketOptions,
} from '../lib/resolve-config.js';
import { unrefScheduler } from '../lib/unref-scheduler.js';

const PLACE = { host: 'localhost', port: 1 };

/** The message of the ConfigError that these options cause. */
function refusal(options: unknown, resolve: (options: never) => unknown = resolveConfig): string {
  try {
    resolve(options as never);
  } catch (error) {
    expect(error).to.be.instanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error('it was taken');
}

/** What an option needs beside it. */
const BESIDE: Readonly<Record<string, object>> = {
  path: {},
  endpoints: {},
  endpointCooldown: { endpoints: [PLACE] },
};
const INSIDE: Readonly<Record<string, object>> = { heartbeat: { interval: 1, timeout: 1 } };

/** The option at this path, in options that are right otherwise. */
function withOption(path: string, value: unknown): object {
  const [outer = '', inner] = path.split('.');
  const beside = BESIDE[outer] ?? PLACE;
  return { ...beside, [outer]: inner === undefined ? value : { ...INSIDE[outer], [inner]: value } };
}

const TIMER = 2 ** 31 - 1;
const NOT_NUMBERS = [NaN, -Infinity, -1, '1', '', true, 1n, [], {}, () => 1];

/** Every option that is a number: its least and greatest value, and whether it may have a fraction. */
const NUMBERS: readonly (readonly [path: string, min: number, max: number, fraction?: 'fraction'])[] = [
  ['connectTimeout', 1, TIMER, 'fraction'],
  ['endTimeout', 0, TIMER, 'fraction'],
  ['settle', 0, TIMER, 'fraction'],
  ['idleTimeout', 0, TIMER, 'fraction'],
  ['writeTimeout', 0, TIMER, 'fraction'],
  ['endpointCooldown', 0, TIMER, 'fraction'],
  ['reconnect.initialDelay', 1, TIMER, 'fraction'],
  ['reconnect.maxDelay', 1, TIMER, 'fraction'],
  ['reconnect.stableAfter', 0, TIMER, 'fraction'],
  ['reconnect.factor', 1, 1_000, 'fraction'],
  ['reconnect.jitter', 0, 1, 'fraction'],
  ['reconnect.maxAttempts', 0, Infinity],
  ['retryLimit', 0, Infinity],
  ['readBuffer', 1, 2 ** 31],
  ['readBuffer.frames', 1, 2 ** 31],
  ['readBuffer.bytes', 1, Number.MAX_SAFE_INTEGER],
  ['errorBuffer', 0, 2 ** 31],
  ['writeBuffer', 1, 2 ** 31],
  ['writeBuffer.frames', 1, 2 ** 31],
  ['writeBuffer.bytes', 1, Number.MAX_SAFE_INTEGER],
  ['port', 1, 65_535],
  ['socket.keepAliveInitialDelay', 1_000, TIMER, 'fraction'],
  ['socket.autoSelectFamilyAttemptTimeout', 10, TIMER, 'fraction'],
  ['socket.localPort', 0, 65_535],
];

const NOT_FUNCTIONS = [1, 'f', {}, true, null];
const NOT_FLAGS = [0, 1, 'true', null, {}];
const NOT_TEXTS = ['', 1, {}, [], null];

/** Every other option: what it takes, and values of a wrong kind. */
const OTHERS: readonly (readonly [path: string, expected: string, bad: readonly unknown[]])[] = [
  ['host', 'a string that is not empty', NOT_TEXTS],
  ['path', 'a string that is not empty', NOT_TEXTS],
  ['name', 'a string that is not empty', NOT_TEXTS],
  ['endpoints', 'a list of endpoints', [1, 'db:1', {}, true, null]],
  ['endpoints', 'a list of at least one endpoint, or a function', [[]]],
  ['allowAddress', 'a function', NOT_FUNCTIONS],
  ['tls', 'true, an object or a function', [false, 1, 'yes', null, '']],
  ['tls', 'an object', [[]]],
  ['handshake', 'a function', NOT_FUNCTIONS],
  ['heartbeat', 'an object', [true, 1_000, 'yes', null, [], () => 1]],
  ['heartbeat.message', 'a function', ['PING', Buffer.of(1), {}, true, null]],
  ['dial', 'a function', NOT_FUNCTIONS],
  ['codec', 'an object with `decoder` and `encode`', [1, 'lines', null, {}, lines, { decoder: 1, encode: 2 }]],
  ['overflow', "'dropNewest' or 'dropOldest'", ['dropnewest', 'drop', 1, null, {}]],
  ['lazyConnect', 'true or false', NOT_FLAGS],
  ['signal', 'an AbortSignal', [1, null, {}, new AbortController(), { aborted: false }]],
  ['reconnect', 'an object', [true, 1, 'no', null, []]],
  ['reconnect.delay', 'a function', NOT_FUNCTIONS],
  ['reconnect.retryable', 'a function', NOT_FUNCTIONS],
  ['reconnect.random', 'a function', NOT_FUNCTIONS],
  ['socket', 'an object', [true, 1, 'no', null, []]],
  ['socket.noDelay', 'true or false', NOT_FLAGS],
  ['socket.keepAlive', 'true or false', NOT_FLAGS],
  ['socket.localAddress', 'an IP address', [...NOT_TEXTS, 'localhost', '1.2.3', '[::1]']],
  ['socket.lookup', 'a function', NOT_FUNCTIONS],
  ['socket.autoSelectFamily', 'true or false', NOT_FLAGS],
  ['socket.allowHalfOpen', 'true or false', NOT_FLAGS],
  ['socket.unref', 'true or false', NOT_FLAGS],
];

/** As a message shows it. */
function shown(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return `${JSON.stringify(value)} (string)`;
  return `${typeof value === 'bigint' ? value.toString() : inspect(value)} (${typeof value})`;
}

/** Sets properties that every object inherits, for the length of a call. */
function polluted<T>(properties: object, call: () => T): T {
  Object.assign(Object.prototype, properties);
  try {
    return call();
  } finally {
    for (const name of Object.keys(properties)) Reflect.deleteProperty(Object.prototype, name);
  }
}

describe('resolveConfig', () => {
  it('fills every gap with the default that the contract states', () => {
    const resolved = resolveConfig(PLACE);
    expect(resolved).to.deep.include({
      endpoint: PLACE,
      retryLimit: 5,
      writeBuffer: { frames: 100_000, bytes: 16 * 1024 * 1024 },
      overflow: 'dropNewest',
      readBuffer: { frames: 100, bytes: 1024 * 1024 },
      errorBuffer: 100,
      connectTimeout: 10_000,
      settle: 10,
      endTimeout: 5_000,
      lazyConnect: false,
      signal: undefined,
      name: undefined,
      dial: undefined,
      tls: undefined,
      endpoints: undefined,
      allowAddress: undefined,
      handshake: undefined,
      heartbeat: undefined,
      idleTimeout: 0,
      writeTimeout: 0,
      scheduler: undefined,
    });
    expect(resolved.reconnect).to.eql({
      ...{ initialDelay: 50, maxDelay: 5_000, factor: 2, jitter: 1, maxAttempts: Infinity, stableAfter: 5_000 },
      ...{ delay: undefined, retryable: undefined, random: Math.random },
    });
    expect(resolved.codec.encode('hi')).to.eql(bytes().encode('hi'));
    expect(resolved.socket).to.include({ noDelay: true, keepAlive: true, autoSelectFamily: true });
    expect(resolved.socket).to.include({ allowHalfOpen: false, unref: false });
  });

  it('gives each address of a name longer than the 250 ms of Node, which fail a healthy slow host', () => {
    expect(resolveSocketOptions().autoSelectFamilyAttemptTimeout).to.be.within(2_000, 5_000);
  });

  it('takes undefined for every option as not given', () => {
    const names =
      'path dial codec readBuffer writeBuffer connectTimeout endTimeout socket reconnect retryLimit overflow ' +
      'endpoints endpointCooldown allowAddress tls handshake heartbeat idleTimeout writeTimeout';
    const undefinedOnes = `${names} errorBuffer settle lazyConnect signal name`
      .split(' ')
      .map((name) => [name, undefined]);
    expect(resolveConfig({ ...PLACE, ...Object.fromEntries(undefinedOnes) } as TcpSocketConfig)).to.deep.include({
      endpoint: PLACE,
      retryLimit: 5,
      writeBuffer: { frames: 100_000, bytes: 16 * 1024 * 1024 },
    });
  });

  it('takes a number as the frames of the write buffer, and either bound alone', () => {
    const limits = (writeBuffer: TcpSocketConfig['writeBuffer']): object =>
      resolveConfig({ ...PLACE, writeBuffer }).writeBuffer;
    expect(limits(7)).to.eql({ frames: 7, bytes: 16 * 1024 * 1024 });
    expect(limits({ frames: 7 })).to.eql({ frames: 7, bytes: 16 * 1024 * 1024 });
    expect(limits({ bytes: 7 })).to.eql({ frames: 100_000, bytes: 7 });
  });

  it('takes a number as the frames that are read ahead, and either bound alone', () => {
    const limits = (readBuffer: TcpSocketConfig['readBuffer']): object =>
      resolveConfig({ ...PLACE, readBuffer }).readBuffer;
    expect(limits(7)).to.eql({ frames: 7, bytes: 1024 * 1024 });
    expect(limits({ frames: 7 })).to.eql({ frames: 7, bytes: 1024 * 1024 });
    expect(limits({ bytes: 7 })).to.eql({ frames: 100, bytes: 7 });
    expect(limits(limits(5)), 'what is resolved already').to.eql(limits(5));
  });

  it('takes every option as it was given', () => {
    const dial = (): never => null as never;
    const given = {
      ...{ retryLimit: 0, readBuffer: { frames: 1, bytes: 2 }, errorBuffer: 0, connectTimeout: 1, settle: 0 },
      ...{ endTimeout: 0, lazyConnect: true, signal: new AbortController().signal, name: 'n', codec: lines(), dial },
      ...{ idleTimeout: 1.5, writeTimeout: 2, handshake: () => [], allowAddress: () => true },
      heartbeat: { interval: 1, timeout: 2, message: () => 'PING' },
    } as const;
    const options: TcpSocketConfig<string, string> = { ...given, overflow: 'dropOldest', reconnect: false };
    expect(resolveConfig(options)).to.deep.include(options);
  });

  it('freezes what it resolved', () => {
    const resolved = resolveConfig(PLACE);
    expect(Object.isFrozen(resolveConfig({ path: '/run/x' }).endpoint)).to.equal(true);
    const { endpoint, readBuffer, writeBuffer, reconnect, socket } = resolved;
    const { heartbeat, tls } = resolveConfig({ ...PLACE, heartbeat: { interval: 1, timeout: 1 }, tls: true });
    const parts = [resolved, endpoint, readBuffer, writeBuffer, reconnect, socket, heartbeat, tls?.()];
    for (const part of parts) expect(part).to.be.frozen;
  });

  it("takes frozen options, and leaves the caller's as they are", () => {
    const options = {
      ...{ ...PLACE, port: '80', writeBuffer: { frames: 5 }, reconnect: { jitter: 0 }, socket: { noDelay: false } },
    };
    const before = structuredClone(options);
    resolveConfig(options);
    expect(options).to.eql(before);
    for (const part of [options.writeBuffer, options.reconnect, options.socket, options]) Object.freeze(part);
    expect(resolveConfig(options).socket.noDelay).to.equal(false);
  });

  it('keeps nothing of the options that the caller may change later', () => {
    const options = { ...PLACE, writeBuffer: { frames: 5 }, socket: { noDelay: false }, reconnect: { jitter: 0 } };
    const resolved = resolveConfig(options);
    options.port = 2;
    options.writeBuffer.frames = 6;
    options.socket.noDelay = true;
    options.reconnect.jitter = 1;
    expect(resolved.endpoint.port).to.equal(1);
    expect(resolved.writeBuffer.frames).to.equal(5);
    expect(resolved.socket.noDelay).to.equal(false);
    expect(resolved.reconnect).to.include({ jitter: 0 });
  });

  it('reads every option once', () => {
    const reads: Record<string, number> = {};
    const counting = <T extends object>(options: T): T =>
      new Proxy(options, {
        get(target, name) {
          reads[String(name)] = (reads[String(name)] ?? 0) + 1;
          return Reflect.get(target, name) as unknown;
        },
      });
    const reconnect = counting({ initialDelay: 5, maxDelay: 6, factor: 1, jitter: 1, maxAttempts: 1, stableAfter: 1 });
    const parts = {
      ...{ reconnect, socket: counting({ noDelay: true }), writeBuffer: counting({ frames: 1, bytes: 2 }) },
      ...{ heartbeat: counting({ interval: 1, timeout: 1 }), tls: counting({ ca: 'x' }), idleTimeout: 1 },
    };
    resolveConfig(counting({ ...PLACE, ...parts, codec: lines() as never, retryLimit: 1, name: 'n' }));
    expect(reads).to.have.all.keys(
      ...['host', 'port', 'reconnect', 'socket', 'writeBuffer', 'codec', 'retryLimit', 'name', 'initialDelay'],
      ...['maxDelay', 'factor', 'jitter', 'maxAttempts', 'stableAfter', 'noDelay', 'frames', 'bytes'],
      ...['heartbeat', 'interval', 'timeout', 'tls', 'ca', 'idleTimeout'],
    );
    expect(new Set(Object.values(reads))).to.eql(new Set([1]));
  });

  describe('with a polluted Object.prototype', () => {
    const INHERITED = {
      path: '/tmp/evil',
      host: 'evil',
      dial: () => null,
      retryLimit: 77,
      frames: 1,
      bytes: 1,
      jitter: 0,
      noDelay: false,
      tls: true,
      endpoints: [{ host: 'evil', port: 1 }],
      endpointCooldown: 1,
      allowAddress: () => false,
      handshake: () => [],
      heartbeat: { interval: 1, timeout: 1 },
      interval: 1,
      message: () => 'evil',
      idleTimeout: 1,
      writeTimeout: 1,
      allowHalfOpen: true,
      unref: true,
    };
    for (const [name, options] of [
      ['no option but the place', PLACE],
      ['a port alone', { port: 1 }],
      ['a path alone', { path: '/run/x' }],
      ['a number of frames', { ...PLACE, writeBuffer: 9 }],
      ['parts that are objects', { ...PLACE, writeBuffer: {}, reconnect: {}, socket: {} }],
      ['a heartbeat without a message', { ...PLACE, heartbeat: { interval: 7, timeout: 8 } }],
    ] as const) {
      it(`resolves the same as without, given ${name}`, () => {
        const clean = resolveConfig(options);
        const resolved = polluted(INHERITED, () => resolveConfig(options));
        expect({ ...resolved, codec: 0, socket: { ...resolved.socket } }).to.eql({
          ...{ ...clean, codec: 0, socket: { ...clean.socket } },
        });
      });
    }

    it('gives net options each of its own, so that none is inherited', () => {
      const names = 'noDelay keepAlive keepAliveInitialDelay localAddress localPort family lookup autoSelectFamily';
      const others = ['autoSelectFamilyAttemptTimeout', 'allowHalfOpen', 'unref'];
      expect(Object.keys(resolveConfig(PLACE).socket)).to.eql([...names.split(' '), ...others]);
    });
  });

  for (const [path, min, max, fraction] of NUMBERS) {
    describe(`the option ${path}`, () => {
      const read = (value: unknown): unknown => {
        const [outer = '', inner] = path.split('.');
        const resolved = resolveConfig(withOption(path, value) as TcpSocketConfig) as unknown as Record<
          string,
          Record<string, unknown>
        >;
        if (path === 'port') return resolved.endpoint!.port;
        if (path === 'endpointCooldown') return resolved.endpoints!.cooldown;
        if (/^\w+Buffer$/.test(path) && path !== 'errorBuffer') return resolved[path]!.frames;
        return inner === undefined ? resolved[outer] : resolved[outer]![inner];
      };

      it(`takes numbers from ${min} to ${max}`, () => {
        for (const value of [min, max, ...(fraction && max > min + 0.5 ? [min + 0.5] : [])]) {
          expect(read(value)).to.equal(value);
        }
      });

      const kind = fraction ? 'a number' : 'a whole number';
      const outside = [...(min > 0 ? [min - 1, 0] : []), ...(max < Infinity ? [max + 1, Infinity] : [])];
      const fractions = fraction ? [] : [min + 0.5, Number.MIN_VALUE];
      const timers = max === TIMER ? [2 ** 31, 2 ** 32] : [];
      for (const value of [...NOT_NUMBERS, null, ...outside, ...fractions, ...timers]) {
        if (/^(read|write)Buffer$/.test(path) && typeof value === 'object' && value !== null) continue;
        if (path === 'port' && value === '1') continue;
        it(`refuses ${shown(value)}, naming option, expectation and value`, () => {
          const message = refusal(withOption(path, value));
          expect(message).to.equal(`\`${path}\` must be ${kind} from ${min} to ${max}, got ${shown(value)}`);
        });
      }
    });
  }

  describe('the option heartbeat', () => {
    const heartbeat = (value: object): object | undefined =>
      resolveConfig({ ...PLACE, heartbeat: value as never }).heartbeat;

    it('takes an interval and a timeout, at their bounds too, and no message', () => {
      for (const given of [
        { interval: 1, timeout: 1 },
        { interval: 1.5, timeout: TIMER - 2 },
        { interval: TIMER - 1, timeout: 1 },
      ]) {
        expect(heartbeat(given)).to.eql(given);
        expect(heartbeat({ ...given, message: undefined })).to.eql(given);
      }
    });

    for (const name of ['interval', 'timeout']) {
      for (const value of [...NOT_NUMBERS, null, undefined, 0, 0.5, Infinity, 2 ** 31, 2 ** 32]) {
        it(`refuses ${shown(value)} as its ${name}, naming option, expectation and value`, () => {
          expect(refusal(withOption(`heartbeat.${name}`, value))).to.equal(
            `\`heartbeat.${name}\` must be a number from 1 to ${TIMER}, got ${shown(value)}`,
          );
        });
      }

      it(`refuses to be without its ${name}`, () => {
        const { [name]: _left, ...other } = { interval: 1, timeout: 1 } as Record<string, number>;
        expect(refusal({ ...PLACE, heartbeat: other })).to.match(
          new RegExp(`^\`heartbeat\\.${name}\` must be a number`),
        );
      });
    }

    it('refuses what no timer could keep, both together: it would fire all the time', () => {
      const over = { interval: TIMER, timeout: 1 };
      expect(refusal({ ...PLACE, heartbeat: over })).to.equal(
        `\`heartbeat\` must be an interval and a timeout of at most ${TIMER} ms together, got ${2 ** 31} (number)`,
      );
    });
  });

  it('has timers that keep no process where `socket.unref` says so, and RxJS its own otherwise', () => {
    expect(resolveConfig({ ...PLACE, socket: { unref: true } }).scheduler).to.equal(unrefScheduler);
    expect(resolveConfig({ ...PLACE, socket: { unref: false } }).scheduler).to.equal(undefined);
  });

  for (const [path, expected, bad] of OTHERS) {
    for (const value of bad) {
      it(`refuses ${shown(value)} for ${path}, naming option, expectation and value`, () => {
        expect(refusal(withOption(path, value))).to.equal(`\`${path}\` must be ${expected}, got ${shown(value)}`);
      });
    }
  }

  for (const value of [4, 6, 0]) {
    it(`takes ${value} as the family of addresses`, () => {
      expect(resolveSocketOptions({ family: value }).family).to.equal(value);
    });
  }

  for (const value of [1, 5, 7, -1, NaN, 'IPv4', '4', null]) {
    it(`refuses ${shown(value)} as the family of addresses`, () => {
      const message = refusal(withOption('socket.family', value));
      expect(message).to.match(/^`socket\.family` must be /);
      expect(message.endsWith(`got ${shown(value)}`)).to.equal(true);
    });
  }

  for (const [name, nearest] of [
    ['prot', 'port'],
    ['Host', 'host'],
    ['retrylimit', 'retryLimit'],
    ['lazyconnect', 'lazyConnect'],
    ['read-buffer', 'readBuffer'],
    ['conectTimeout', 'connectTimeout'],
    ['writeBuffr', 'writeBuffer'],
    ['reconect', 'reconnect'],
    ['endpoint', 'endpoints'],
    ['endpointCoolDown', 'endpointCooldown'],
    ['allowAdress', 'allowAddress'],
    ['TLS', 'tls'],
    ['handShake', 'handshake'],
    ['heartBeat', 'heartbeat'],
    ['idletimeout', 'idleTimeout'],
    ['writeTimout', 'writeTimeout'],
  ] as const) {
    it(`refuses the unknown option ${name} and names ${nearest}`, () => {
      const message = refusal({ ...PLACE, [name]: 1 });
      expect(message).to.equal(`\`${name}\` is not an option of tcpSocket; did you mean \`${nearest}\`?`);
    });
  }

  for (const name of ['highWaterMark', 'timeout', 'handshakeTimeout', 'maxConnections', 'rejectUnauthorized']) {
    it(`refuses ${name}, which it does not know`, () => {
      expect(refusal({ ...PLACE, [name]: 1 })).to.include(`\`${name}\` is not an option of tcpSocket`);
    });
  }

  it('refuses unknown names inside a part, too', () => {
    expect(refusal({ ...PLACE, reconnect: { intialDelay: 1 } })).to.equal(
      '`intialDelay` is not an option of reconnect; did you mean `initialDelay`?',
    );
    expect(refusal({ ...PLACE, socket: { signal: 1 } })).to.match(/^`signal` is not an option of socket/);
    expect(refusal({ ...PLACE, writeBuffer: { frame: 1 } })).to.match(/^`frame` is not an option of writeBuffer/);
    expect(refusal({ ...PLACE, readBuffer: { byte: 1 } })).to.match(/^`byte` is not an option of readBuffer/);
    expect(refusal({ ...PLACE, socket: { unreff: true } })).to.equal(
      '`unreff` is not an option of socket; did you mean `unref`?',
    );
    expect(refusal({ ...PLACE, heartbeat: { intervall: 1, timeout: 1 } })).to.equal(
      '`intervall` is not an option of heartbeat; did you mean `interval`?',
    );
  });

  for (const options of [undefined, null, 5, 'localhost', [], () => PLACE]) {
    it(`refuses ${shown(options)} in the place of options`, () => {
      expect(refusal(options)).to.match(/^`tcpSocket` must be an object, got /);
    });
  }

  it('names connection() in the errors of its options', () => {
    expect(refusal({ ...PLACE, reconnect: {} }, resolveConnection)).to.match(
      /^`reconnect` is not an option of connection/,
    );
    expect(refusal({}, resolveConnection)).to.match(/^connection needs /);
  });
});

describe('resolveReconnect', () => {
  it('takes its functions as they are', () => {
    const functions = { delay: () => [], retryable: () => true, random: () => 0.5 };
    expect(resolveReconnect(functions)).to.include(functions);
  });
});

describe('resolveSignal', () => {
  it('takes a signal of another realm, and none', () => {
    const { signal } = new AbortController();
    expect([resolveSignal(signal), resolveSignal(undefined)]).to.eql([signal, undefined]);
    const foreign = runInNewContext('({ aborted: false, addEventListener() {}, removeEventListener() {} })') as unknown;
    expect(resolveSignal(foreign)).to.equal(foreign);
  });
});
