import { connect, createServer, type LookupFunction } from 'node:net';
import { once } from 'node:events';
import { Duplex, PassThrough } from 'node:stream';
import { expect } from 'chai';
import {
  ClosedError,
  ConfigError,
  connection,
  ConnectError,
  ConnectTimeoutError,
  echoServer,
  lines,
  reconnect,
  tcpServer,
  tcpSocket,
  type TcpError,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { FakeStream } from '../support/fake-stream.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { noneLeft, openHandles } from '../support/leaks.js';
import { deadPort, echo, listen, sink, socketPath } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const MINUTE = { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 };

function refusal(make: () => unknown): string {
  const before = openHandles().length;
  try {
    make();
  } catch (error) {
    expect(error).to.be.instanceOf(ConfigError).and.to.include({ code: 'TCP_CONFIG', name: 'ConfigError' });
    expect(openHandles().length).to.equal(before);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

/** The first error of a socket that is never redialled. */
async function firstError(config: TcpSocketConfig): Promise<TcpError> {
  const socket = kept(tcpSocket({ ...config, reconnect: MINUTE }));
  const error = await tape(socket.errors).at(0);
  socket.destroy();
  return error;
}

describe('bad options', () => {
  leavesNothingOpen();

  const TIMERS = ['connectTimeout', 'endTimeout', 'settle', 'socket.keepAliveInitialDelay'];
  TIMERS.push(
    'socket.autoSelectFamilyAttemptTimeout',
    'reconnect.initialDelay',
    'reconnect.maxDelay',
    'reconnect.stableAfter',
    'idleTimeout',
    'writeTimeout',
    'endpointCooldown',
    'heartbeat.interval',
    'heartbeat.timeout',
  );
  const COUNTS = ['retryLimit', 'writeBuffer', 'writeBuffer.frames', 'writeBuffer.bytes', 'readBuffer', 'errorBuffer'];
  COUNTS.push('readBuffer.frames', 'readBuffer.bytes', 'reconnect.maxAttempts');
  const RATIOS = ['reconnect.factor', 'reconnect.jitter'];
  const nonsense: unknown[] = [NaN, -1, -Infinity, '5', null, true, {}, [], () => 1, 5n, Symbol('s')];

  function configWith(option: string, value: unknown): TcpSocketConfig {
    const [group, name] = option.split('.') as [string, string | undefined];
    const place = group === 'endpointCooldown' ? { endpoints: [{ host, port: 1 }] } : { host, port: 1 };
    const beside = group === 'heartbeat' ? { interval: 1, timeout: 1 } : {};
    return { ...place, [group]: name === undefined ? value : { ...beside, [name]: value } };
  }

  for (const option of [...TIMERS, ...COUNTS, ...RATIOS]) {
    it(`has no number of ${option} that is none, naming option, expectation and value`, () => {
      const extra = TIMERS.includes(option) ? [Infinity, 2 ** 31] : COUNTS.includes(option) ? [1.5] : [Infinity];
      for (const value of [...nonsense, ...extra]) {
        if (/^(read|write)Buffer$/.test(option) && Object(value) === value) continue; // an object is its long form
        const message = refusal(() => tcpSocket(configWith(option, value)));
        expect(message).to.include(`\`${option}`).and.to.include('must be');
        expect(message).to.match(/, got .+/);
      }
    });
  }

  it('takes Infinity where it makes sense', () => {
    for (const option of ['retryLimit', 'reconnect.maxAttempts']) {
      kept(tcpSocket({ ...configWith(option, Infinity), lazyConnect: true }));
    }
  });

  const wrong: [string, unknown, RegExp][] = [
    ['an unknown name, with the nearest known one', { host, port: 1, retryLimits: 1 }, /`retryLimits` .*`retryLimit`/],
    ['another case, likewise', { host, port: 1, lazyconnect: true }, /`lazyConnect`/],
    ['an unknown name that is like none', { host, port: 1, qqqqqqqqqqqq: 1 }, /`qqqqqqqqqqqq` is not an option/],
    ['an unknown reconnect option', { host, port: 1, reconnect: { maxAttempt: 1 } }, /`maxAttempts`/],
    ['an unknown socket option', { host, port: 1, socket: { nodelay: true } }, /`noDelay`/],
    ['an unknown part of writeBuffer', { host, port: 1, writeBuffer: { byte: 1 } }, /`bytes`/],
    ['an empty host', { host: '', port: 1 }, /`host` must be/],
    ['host and path', { host, path: '/tmp/x' }, /`path`/],
    ['port and path', { port: 1, path: '/tmp/x' }, /`path`/],
    ['an empty path', { path: '' }, /`path` must be/],
    ['neither host and port nor path nor dial', {}, /needs/],
    ['a host without a port', { host }, /`port` must be/],
    ['port 0', { host, port: 0 }, /`port` must be/],
    ['port 65,536', { host, port: 65_536 }, /`port` must be.*65536/],
    ['a fractional port', { host, port: 80.5 }, /`port` must be/],
    ['a negative port as a string', { host, port: '-1' }, /`port` must be/],
    ['a port as words', { host, port: 'http' }, /`port` must be.*"http"/],
    ['a port in hex', { host, port: '0x50' }, /`port` must be/],
    ['an empty port', { host, port: '' }, /`port` must be/],
    ['an overflow that is none', { host, port: 1, overflow: 'dropAll' }, /`overflow` must be .*dropNewest.*"dropAll"/],
    ['a flag that is none', { host, port: 1, lazyConnect: 1 }, /`lazyConnect` must be true or false, got 1/],
    ['a dial that is no function', { dial: {} }, /`dial` must be a function/],
    ['a codec that is none', { host, port: 1, codec: {} }, /`codec`/],
    ['a codec that is null', { host, port: 1, codec: null }, /`codec`/],
    ['reconnect: true', { host, port: 1, reconnect: true }, /`reconnect` must be/],
    ['reconnect: null', { host, port: 1, reconnect: null }, /`reconnect` must be/],
    ['a signal that is none', { host, port: 1, signal: {} }, /`signal` must be an AbortSignal/],
    ['an empty name', { host, port: 1, name: '' }, /`name` must be/],
    ['a family that is none', { host, port: 1, socket: { family: 5 } }, /`socket.family` must be/],
    ['a lookup that is no function', { host, port: 1, socket: { lookup: 'dns' } }, /`socket.lookup` must be/],
    ['a localPort that is none', { host, port: 1, socket: { localPort: 70_000 } }, /`socket.localPort` must be/],
    ['a retryable that is no function', { host, port: 1, reconnect: { retryable: true } }, /`reconnect.retryable`/],
    ['tls: false', { host, port: 1, tls: false }, /`tls` must be true, an object or a function, got false/],
    ['an unknown TLS option', { host, port: 1, tls: { certificate: 1 } }, /`certificate` is not an option of tls/],
    ['a TLS option of net', { host, port: 1, tls: { host: 'evil' } }, /`host` is not an option of tls: .*beside/],
    ['a timeout of TLS', { host, port: 1, tls: { timeout: 1 } }, /`timeout` is not .* of tls: .*`connectTimeout`/],
    ['a stream of TLS', { host, port: 1, tls: { socket: new PassThrough() } }, /`socket` is not .* of tls: .*`dial`/],
    ['an empty servername', { host, port: 1, tls: { servername: '' } }, /`tls.servername` must be/],
    [
      'a check of the identity that is no function',
      { host, port: 1, tls: { checkServerIdentity: false } },
      /`tls.checkServerIdentity` must be a function, got false/,
    ],
    ['endpoints beside a host', { host, endpoints: [{ port: 1 }] }, /`endpoints` excludes `host`/],
    ['endpoints that are none', { endpoints: 'db:1,db:2' }, /`endpoints` must be a list of endpoints.*"db:1,db:2"/],
    ['no endpoint at all', { endpoints: [] }, /`endpoints` must be a list of at least one/],
    ['a bad port of an endpoint', { endpoints: [{ port: 1 }, { port: 0 }] }, /`endpoints\[1\].port` must be.*0/],
    ['an unknown name in an endpoint', { endpoints: [{ hots: 'x', port: 1 }] }, /`hots` .*endpoints\[0\].*`host`/],
    ['a cooldown without endpoints', { host, port: 1, endpointCooldown: 1 }, /`endpointCooldown` needs `endpoints`/],
    [
      'an allowAddress that is no function',
      { host, port: 1, allowAddress: [host] },
      /`allowAddress` must be a function/,
    ],
    ['a handshake that is no function', { host, port: 1, handshake: 'hi' }, /`handshake` must be a function, got "hi"/],
    ['a heartbeat as a number', { host, port: 1, heartbeat: 1_000 }, /`heartbeat` must be an object, got 1000/],
    ['a heartbeat without its timeout', { host, port: 1, heartbeat: { interval: 1 } }, /`heartbeat.timeout` must be/],
    [
      'a heartbeat that no timer can keep',
      { host, port: 1, heartbeat: { interval: 2 ** 30, timeout: 2 ** 30 } },
      /`heartbeat` must be .* at most 2147483647 ms together, got 2147483648/,
    ],
    [
      'a heartbeat message that is no function',
      { host, port: 1, heartbeat: { interval: 1, timeout: 1, message: 'PING' } },
      /`heartbeat.message` must be a function, got "PING"/,
    ],
    [
      'an allowHalfOpen that is none',
      { host, port: 1, socket: { allowHalfOpen: 1 } },
      /`socket.allowHalfOpen` must be/,
    ],
    ['an unref that is none', { host, port: 1, socket: { unref: 'yes' } }, /`socket.unref` must be true or false/],
    ['a TCP option of a path', { path: '/x', socket: { noDelay: true } }, /`socket.noDelay` .* excludes `path`/],
    ['null', null, /must be an object, got null/],
    ['nothing', undefined, /must be an object/],
    ['a string', 'localhost:80', /must be an object/],
    ['an array', [host, 1], /must be an object, got an array/],
  ];
  for (const [what, config, message] of wrong) {
    it(`refuses ${what}`, () => {
      expect(refusal(() => tcpSocket(config as TcpSocketConfig))).to.match(message);
    });
  }

  it('refuses the same in connection(), which knows fewer options', () => {
    expect(refusal(() => connection({ host, port: 0 }))).to.match(/`port`/);
    expect(refusal(() => connection({ host, port: 1, retryLimit: 5 } as never))).to.match(/`retryLimit` .*connection/);
    expect(refusal(() => connection({} as never))).to.match(/needs/);
    expect(refusal(() => connection({ host, port: 1, tls: { port: 1 } }))).to.match(/`port` .*tls/);
    expect(refusal(() => connection({ endpoints: [{ port: 0 }] }))).to.match(/`endpoints\[0\].port`/);
    expect(refusal(() => connection({ host, port: 1, writeTimeout: -1 }))).to.match(/`writeTimeout`/);
    expect(refusal(() => reconnect({ factor: 0 }))).to.match(/`reconnect.factor`/);
  });

  it('refuses the same in tcpServer() and echoServer()', () => {
    expect(refusal(() => tcpServer({ port: -1 }))).to.match(/`port`/);
    expect(refusal(() => tcpServer({ port: 65_536 }))).to.match(/`port`/);
    expect(refusal(() => tcpServer({ path: '/tmp/x', port: 1 }))).to.match(/`path`/);
    expect(refusal(() => tcpServer({ hots: host } as never))).to.match(/`host`/);
    expect(refusal(() => tcpServer({ host: '' }))).to.match(/`host`/);
    expect(refusal(() => tcpServer(null as never))).to.match(/object/);
    expect(refusal(() => tcpServer({ tls: true as never }))).to.match(
      /`tls` must be an object or a function, got true/,
    );
    expect(refusal(() => tcpServer({ tls: {} }))).to.match(/`tls` must be an object with `key` and `cert`/);
    expect(refusal(() => tcpServer({ tls: { cert: 'x', host } as never }))).to.match(/`host` .* tls: give it beside/);
    expect(refusal(() => tcpServer({ handshakeTimeout: 0 }))).to.match(/`handshakeTimeout` must be a number from 1 /);
    expect(refusal(() => tcpServer({ maxConnections: 0 }))).to.match(/`maxConnections` must be a whole number from 1 /);
    expect(refusal(() => tcpServer({ handshake: 1 as never }))).to.match(/`handshake` must be a function/);
    expect(refusal(() => tcpServer({ heartbeat: { interval: 1 } as never }))).to.match(/`heartbeat.timeout`/);
    expect(refusal(() => tcpServer({ idleTimeout: 2 ** 31 }))).to.match(/`idleTimeout`/);
    expect(refusal(() => tcpServer({ writeTimeout: NaN }))).to.match(/`writeTimeout`/);
    expect(refusal(() => tcpServer({ endpoints: [] } as never))).to.match(/`endpoints` is not an option of tcpServer/);
    expect(refusal(() => echoServer({ handshake: () => [] } as never))).to.match(/`handshake` .* echoServer/);
    expect(refusal(() => echoServer({ heartbeat: { interval: 1, timeout: 1 } } as never))).to.match(/`heartbeat`/);
    expect(refusal(() => echoServer({ closeAfterReply: 'yes' as never }))).to.match(/`closeAfterReply`/);
    expect(refusal(() => echoServer({ codec: lines() } as never))).to.match(/`codec`/);
  });

  it('shows no value in full, and none that could forge a log line', () => {
    const message = refusal(() => tcpSocket({ host, port: `1\n${'x'.repeat(10_000)}` }));
    expect(message).to.have.length.below(200);
    expect(message).not.to.include('\n');
    const name = refusal(() => tcpSocket({ host, port: 1, ['evil\n\u001b[31m']: 1 } as never));
    // eslint-disable-next-line no-control-regex -- they are what must not be there
    expect(name).not.to.match(/[\n\u001b]/);
  });

  it('takes the port as a numeric string', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: String(server.port) }));
    await socket.write('x');
    expect((await tape(socket.connections).at(0)).endpoint).to.deep.equal({ host, port: server.port });
  });

  it('takes port alone as a port of localhost', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ port: server.port }));
    await socket.write('x');
  });

  it('leaves the config as it is, and does not look at it again', async () => {
    const server = await listen(sink);
    const config = {
      ...{ endpoints: [{ host, port: server.port }], heartbeat: { interval: 60_000, timeout: 60_000 } },
      ...{ reconnect: { initialDelay: 1 }, writeBuffer: { frames: 2 }, socket: {} },
    };
    const copy = structuredClone(config);
    const socket = kept(tcpSocket(Object.freeze(config)));
    expect(config).to.deep.equal(copy);
    config.reconnect.initialDelay = NaN;
    config.writeBuffer.frames = 0;
    config.heartbeat.interval = NaN;
    config.endpoints[0]!.port = 0;
    config.endpoints.length = 0;
    await socket.write('x');
    (await server.socket(0)).destroy();
    await tape(socket.connections).first(({ epoch }) => epoch === 2);
    await socket.write('x');
  });

  it('takes undefined as not given', async () => {
    const names =
      'path dial codec readBuffer writeBuffer connectTimeout endTimeout socket reconnect retryLimit overflow errorBuffer settle ' +
      'lazyConnect signal name endpoints endpointCooldown allowAddress tls handshake heartbeat idleTimeout writeTimeout';
    const config = Object.fromEntries(names.split(' ').map((name) => [name, undefined]));
    const server = await listen(sink);
    const socket = kept(tcpSocket({ ...config, host, port: server.port }));
    await socket.write('x');
  });
});

describe('a lookup', () => {
  leavesNothingOpen();

  type Callback = (error?: unknown, ...answer: unknown[]) => void;
  const failing: Record<string, (callback: Callback) => unknown> = {
    throws: () => {
      throw new Error('mine');
    },
    'throws undefined': () => {
      throw undefined;
    },
    'throws after it answered with an error': (callback) => {
      callback(new Error('mine'));
      throw new Error('again');
    },
    'answers with an error': (callback) =>
      setImmediate(callback, Object.assign(new Error('mine'), { code: 'ENOTFOUND' })),
    'answers with an error that is none': (callback) => setImmediate(callback, 'mine'),
    'answers []': (callback) => setImmediate(callback, null, []),
    'answers null': (callback) => setImmediate(callback, null, null),
    'answers nothing': (callback) => setImmediate(callback),
    'answers nothing at once': (callback) => callback(),
    'answers a name': (callback) => setImmediate(callback, null, 'localhost', 4),
    'answers a number': (callback) => setImmediate(callback, null, 127, 4),
    'answers [null, 5, {}]': (callback) => setImmediate(callback, null, [null, 5, {}]),
    'answers garbage addresses': (callback) => setImmediate(callback, null, [{ address: 'x', family: 4 }]),
    'answers [] twice': (callback) => {
      setImmediate(callback, null, []);
      setImmediate(callback, null, []);
    },
  };
  for (const [name, answer] of Object.entries(failing)) {
    it(`that ${name} is a ConnectError of the lookup phase [S9]`, async () => {
      const lookup = ((_host: string, _options: unknown, callback: Callback) => answer(callback)) as never;
      const error = await firstError({ host: 'name.invalid', port: 1, socket: { lookup } });
      expect(error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'lookup' });
      expect(error.endpoint).to.deep.equal({ host: 'name.invalid', port: 1 });
      await turns();
    });
  }

  const working: Record<string, (callback: Callback, all: boolean) => unknown> = {
    'answers an address': (callback) => setImmediate(callback, null, host, 4),
    'answers an address at once': (callback) => callback(null, host, 4),
    'answers a list': (callback) => setImmediate(callback, null, [{ address: host, family: 4 }]),
    'answers the wrong family': (callback) => setImmediate(callback, null, host, 6),
    'answers garbage and an address': (callback) =>
      setImmediate(callback, null, [null, 7, { address: host, family: 4 }]),
    'answers twice': (callback) => {
      setImmediate(callback, null, host, 4);
      setImmediate(callback, null, '127.0.0.2', 4);
      setImmediate(callback, new Error('late'));
    },
    'answers and throws': (callback) => {
      callback(null, host, 4);
      throw new Error('too late');
    },
  };
  for (const [name, answer] of Object.entries(working)) {
    it(`that ${name} connects [S9]`, async () => {
      const server = await listen(sink);
      const lookup = ((_host: string, { all }: { all: boolean }, callback: Callback) => answer(callback, all)) as never;
      const socket = kept(tcpSocket({ host: 'name.invalid', port: server.port, socket: { lookup } }));
      await socket.write('x');
      await turns();
      expect(tape(socket.errors).values).to.deep.equal([]);
      expect(server.sockets).to.have.length(1);
    });
  }

  it('that never answers is a ConnectTimeoutError, and changes nothing when it answers at last [S10][S11]', async () => {
    const callbacks: Callback[] = [];
    const lookup = ((_host: string, _options: unknown, callback: Callback) => callbacks.push(callback)) as never;
    const error = await firstError({ host: 'name.invalid', port: 1, connectTimeout: 1, socket: { lookup } });
    expect(error).to.be.instanceOf(ConnectTimeoutError).and.to.include({ phase: 'lookup' });
    for (const callback of callbacks) callback(null, host, 4);
    for (const callback of callbacks) callback(new Error('late'));
    await turns();
  });

  it('is asked again at every dial', async () => {
    const server = await listen(sink);
    let calls = 0;
    const lookup: LookupFunction = (_host, _options, callback) =>
      calls++ === 0 ? callback(new Error('not yet'), '', 0) : callback(null, host, 4);
    const reconnect = { initialDelay: 1 };
    const socket = kept(tcpSocket({ host: 'name.invalid', port: server.port, socket: { lookup }, reconnect }));
    await socket.write('x');
    expect(calls).to.equal(2);
  });
});

describe('a connection to itself', () => {
  leavesNothingOpen();

  it('counts as refused, and leaves the port to its server [S9]', async () => {
    const port = await deadPort();
    const socket = kept(tcpSocket({ host, port, socket: { localPort: port }, reconnect: MINUTE }));
    const inbound = tape(socket.inbound);
    const written = outcome(socket.write('heard by nobody'));
    const error = await tape(socket.errors).at(0);
    expect(error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'connect' });
    expect((error.cause as { code: string }).code).to.equal('ECONNREFUSED');
    expect(socket.stats()).to.include({ epoch: 0, bytesRead: 0, framesWritten: 0 });
    const server = createServer().listen(port, host);
    atEnd(() => new Promise((resolve) => server.close(resolve)));
    await once(server, 'listening');
    socket.destroy();
    expect(await written).to.include({ fate: 'unsent' });
    expect(inbound.values).to.deep.equal([]);
  });
});

describe('a polluted Object.prototype', () => {
  leavesNothingOpen();

  const pollutions: Record<string, unknown> = {
    path: '/nowhere/at/all',
    host: '203.0.113.1',
    port: 9,
    dial: () => new FakeStream(),
    localAddress: '203.0.113.1',
    localPort: 9,
    lookup: () => undefined,
    signal: AbortSignal.abort(),
    timeout: 1,
    fd: 0,
    onread: { buffer: Buffer.alloc(1), callback: () => true },
    family: 6,
    lazyConnect: true,
    reconnect: false,
    writeBuffer: 0,
    codec: {},
    retryLimit: 'x',
    maxFrameLength: 1,
    exclusive: true,
    tls: true,
    endpoints: [{ host: '203.0.113.1', port: 9 }],
    allowAddress: () => false,
    handshake: () => new Promise(() => undefined),
    heartbeat: { interval: 1, timeout: 1 },
    idleTimeout: 1,
    writeTimeout: 1,
    connectTimeout: 1,
    handshakeTimeout: 1,
    maxConnections: 1,
    unref: true,
    allowHalfOpen: false,
  };
  for (const [name, value] of Object.entries(pollutions)) {
    it(`with a \`${name}\` redirects nothing, neither the socket nor the server [S9]`, async () => {
      const server = await listen(echo);
      // Node's own sockets read what is inherited, those of this spec's server too: so only while ours are made.
      Object.defineProperty(Object.prototype, name, { value, configurable: true, writable: true, enumerable: true });
      let socket;
      let ours;
      try {
        socket = kept(tcpSocket({ host, port: server.port, codec: lines() }));
        ours = tcpServer({ host });
        if (name === 'lazyConnect') expect(tape(socket.status).values[0]).to.include({ type: 'connecting' });
      } finally {
        Reflect.deleteProperty(Object.prototype, name);
      }
      atEnd(() => ours.close());
      const inbound = tape(socket.inbound);
      const written = outcome(socket.write('hello'));
      expect(await Promise.race([written, tape(socket.errors).at(0)])).to.equal('written');
      expect(await inbound.at(0)).to.equal('hello');
      const { address, port } = await ours.listening;
      expect([address, port]).not.to.include(pollutions[name]);
      expect(address).to.equal(host);
    });
  }
});

describe('a dial() of the user', () => {
  leavesNothingOpen();

  it('that throws is a ConnectError with what it threw as the cause [S9]', async () => {
    for (const thrown of [new Error('mine'), 'mine', undefined, null, 7]) {
      const error = await firstError({
        dial: () => {
          throw thrown;
        },
        reconnect: MINUTE,
      });
      expect(error).to.be.instanceOf(ConnectError);
      if (thrown instanceof Error) expect(error.cause).to.equal(thrown);
    }
  });

  it('that rejects is a ConnectError with the reason as the cause [S9]', async () => {
    for (const reason of [new Error('mine'), 'mine', undefined, null]) {
      const error = await firstError({ dial: () => Promise.reject(reason) });
      expect(error).to.be.instanceOf(ConnectError);
      if (reason instanceof Error) expect(error.cause).to.equal(reason);
    }
  });

  const rubbish: Record<string, () => unknown> = {
    undefined: () => undefined,
    null: () => null,
    'a number': () => 7,
    'a string': () => 'x',
    'an object': () => ({}),
    'a function': () => () => 1,
    'half a stream': () => ({ on: () => undefined, write: () => true }),
    'a Readable': () => PassThrough.from(['x']).pause(),
    'a stream that is destroyed': () => new PassThrough().destroy(),
    'a stream that has ended writing': () => {
      const stream = new FakeStream();
      stream.end();
      return stream;
    },
    'something whose properties throw': () =>
      new Proxy(
        {},
        {
          get: (_target, name) => {
            if (name === 'then') return undefined;
            throw new Error('trap');
          },
        },
      ),
  };
  for (const [name, make] of Object.entries(rubbish)) {
    if (name === 'a Readable') continue; // a PassThrough has both sides
    for (const later of [false, true]) {
      it(`that answers ${name}${later ? ', later,' : ''} is a ConnectError, and dials nobody else [S9]`, async () => {
        const server = await listen(sink);
        const dial = (): never => (later ? Promise.resolve(make()) : make()) as never;
        const error = await firstError({ host, port: server.port, dial });
        expect(error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'config' });
        await turns();
        expect(server.sockets).to.have.length(0);
      });
    }
  }

  it('that answers a stream which closes before it is open is a ConnectError [S9]', async () => {
    const server = await listen(sink);
    const closing = await firstError({
      dial: () => {
        const raw = connect({ host, port: server.port });
        process.nextTick(() => raw.destroy());
        return raw;
      },
    });
    expect(closing).to.be.instanceOf(ConnectError);
  });

  it('that answers a stream which cannot be used has it destroyed when it is refused, and its error heard [S9][S11]', async () => {
    const ended = new FakeStream();
    ended._final = () => undefined;
    ended.end();
    await firstError({ dial: () => ended });
    expect(ended.destroyed).to.be.true;
    await firstError({ dial: () => new FakeStream().destroy(new Error('mine')) });
    await turns();
  });

  it('that answers a connecting socket is awaited under connectTimeout, and destroyed after it [S11]', async () => {
    const before = openHandles();
    let signal: AbortSignal | undefined;
    const error = await firstError({
      connectTimeout: 1,
      dial: (_endpoint, given) => {
        signal = given;
        return connect({ host: 'name.invalid', port: 1, lookup: () => undefined });
      },
    });
    expect(error).to.be.instanceOf(ConnectTimeoutError);
    expect(signal?.aborted).to.be.true;
    await noneLeft(before);
  });

  const lateAnswers: Record<string, (port: number) => unknown> = {
    'a stream': () => new FakeStream(),
    'a stream that is destroyed': () => new FakeStream().destroy(new Error('mine')),
    'a socket that connects': (port) => connect({ host, port }),
    'a socket that cannot connect': () => connect({ path: '/nowhere/at/all' }),
    'no stream': () => ({}),
    nothing: () => undefined,
    'an error': () => Promise.reject(new Error('mine')),
    'a rejection without a reason': () => Promise.reject(undefined),
  };
  const givenUp: Record<string, (socket: TcpSocket) => Promise<unknown>> = {
    'its deadline': (socket) => tape(socket.errors).first(({ code }) => code === 'TCP_CONNECT_TIMEOUT'),
    'destroy()': async (socket) => socket.destroy(),
    'end()': (socket) => socket.end(),
  };
  for (const [answer, make] of Object.entries(lateAnswers)) {
    for (const [end, giveUp] of Object.entries(givenUp)) {
      it(`that answers ${answer} after ${end} changes nothing, and leaves nothing open [S10][S11]`, async () => {
        const server = await listen(sink);
        let resolve: (late: never) => void = () => undefined;
        const dial = (): Promise<never> => new Promise((answer) => (resolve = answer));
        const connectTimeout = end === 'its deadline' ? 1 : 60_000;
        const socket = kept(tcpSocket({ dial, connectTimeout, reconnect: MINUTE }));
        await giveUp(socket);
        const errors = tape(socket.errors).values.length;
        const late = make(server.port);
        if (late instanceof Duplex) atEnd(() => expect(late.destroyed).to.be.true);
        resolve(late as never);
        await turns();
        expect(socket.stats()).to.include({ dials: 1, epoch: 0, drops: 0 });
        expect(tape(socket.errors).values).to.have.length(errors);
        for (const peer of server.sockets) if (!peer.destroyed) await once(peer, 'close');
      });
    }
  }

  it('that answers a connecting socket gets nothing written before it is connected', async () => {
    const server = await listen(echo);
    const socket = kept(tcpSocket({ dial: () => connect({ host, port: server.port, allowHalfOpen: true }) }));
    const inbound = tape(socket.inbound);
    await socket.write('hello');
    expect(String(await inbound.at(0))).to.equal('hello');
    expect((await tape(socket.connections).at(0)).raw).to.have.property('remotePort', server.port);
  });

  it('is told the endpoint, or an empty one, and a signal that is not aborted', async () => {
    const told: unknown[] = [];
    const dial = (endpoint: unknown, signal: AbortSignal): FakeStream => {
      told.push(endpoint, signal.aborted);
      return new FakeStream();
    };
    for (const place of [{ host: 'h', port: 5 }, { path: '/p' }, {}, { host: 'only' }]) {
      kept(tcpSocket({ ...place, dial }));
      expect(told.splice(0)).to.deep.equal([place, false]);
    }
  });

  it('may answer a stream that gives objects instead of bytes: the connection is lost, nothing is uncaught [S9]', async () => {
    for (const nonsense of [{}, 7, true]) {
      const stream = new Duplex({ readableObjectMode: true, read: () => undefined, write: (_c, _e, done) => done() });
      const socket = kept(tcpSocket({ dial: () => stream, reconnect: MINUTE }));
      socket.inbound.subscribe();
      stream.push(nonsense);
      expect((await tape(socket.errors).at(0)).code).to.equal('TCP_CONNECTION_LOST');
      expect(stream.destroyed).to.be.true;
    }
  });

  it('may answer a stream whose write throws: the connection is lost, and the frame waits [S9][S2]', async () => {
    const stream = new FakeStream();
    stream.write = () => {
      throw new Error('mine');
    };
    const socket = kept(tcpSocket({ dial: () => stream, reconnect: MINUTE }));
    socket.outbound.next('x');
    expect((await tape(socket.errors).at(0)).code).to.equal('TCP_CONNECTION_LOST');
    expect(socket.stats()).to.include({ queuedFrames: 1, inFlightFrames: 0 });
  });
});

describe('an AbortSignal', () => {
  leavesNothingOpen();

  it('that is aborted already keeps a socket from dialling: it is closed, with the reason [S11]', async () => {
    const server = await listen(sink);
    const reason = new Error('mine');
    const socket = kept(tcpSocket({ host, port: server.port, signal: AbortSignal.abort(reason) }));
    const inbound = tape(socket.inbound);
    expect(inbound.error).to.equal(reason);
    expect(await outcome(socket.write('x'))).to.be.instanceOf(ClosedError);
    await socket.end();
    const statuses = tape(socket.status);
    expect(statuses.values[0]).to.have.nested.property('cause.cause', reason);
    await turns(50);
    expect(server.sockets).to.have.length(0);
    expect(socket.stats().dials).to.equal(0);
  });

  for (const reason of [undefined, 'a string', null, 7]) {
    it(`whose reason is ${String(reason)} ends inbound with an Error all the same [S11]`, async () => {
      const abort = new AbortController();
      const socket = kept(tcpSocket({ dial: () => new FakeStream(), signal: abort.signal }));
      const inbound = tape(socket.inbound);
      abort.abort(reason);
      expect(inbound.error).to.be.instanceOf(Error);
      await socket.end();
    });
  }

  const phases: Record<string, (signal: AbortSignal) => Promise<TcpSocket>> = {
    lazy: async (signal) => tcpSocket({ host, port: 1, lazyConnect: true, signal }),
    'a lookup': async (signal) =>
      tcpSocket({ host: 'name.invalid', port: 1, socket: { lookup: () => undefined }, signal }),
    connecting: async (signal) => tcpSocket({ host, port: (await listen(sink)).port, signal }),
    open: async (signal) => {
      const socket = tcpSocket({ host, port: (await listen(sink)).port, signal });
      await socket.write('x');
      return socket;
    },
    backoff: async (signal) => {
      const socket = tcpSocket({ host, port: await deadPort(), reconnect: MINUTE, signal });
      await tape(socket.status).first(({ type }) => type === 'backoff');
      return socket;
    },
    closing: async (signal) => {
      const socket = tcpSocket({ host, port: (await listen()).port, endTimeout: 60_000, signal });
      await tape(socket.connections).at(0);
      void socket.end();
      return socket;
    },
  };
  for (const [phase, enter] of Object.entries(phases)) {
    it(`destroys a socket in the phase "${phase}" [S11]`, async () => {
      const abort = new AbortController();
      const reason = new Error('mine');
      const socket = kept(await enter(abort.signal));
      const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
      const codes = errors.values.length;
      abort.abort(reason);
      expect(inbound.error).to.equal(reason);
      expect(errors.ended).to.equal('completed');
      expect(errors.values).to.have.length(codes);
      await socket.end();
    });
  }

  it('changes nothing after the socket has closed', async () => {
    const abort = new AbortController();
    const socket = kept(tcpSocket({ dial: () => new FakeStream(), signal: abort.signal }));
    await socket.end();
    abort.abort();
    expect(tape(socket.inbound).ended).to.equal('completed');
    expect(tape(socket.status).values).to.deep.equal([{ type: 'closed' }]);
  });
});

describe('a unix path', () => {
  leavesNothingOpen();

  it('that is not there is redialled until it is [S8]', async () => {
    const path = socketPath();
    const socket = kept(tcpSocket({ path, reconnect: { initialDelay: 1, maxDelay: 2 } }));
    const inbound = tape(socket.inbound);
    const error = await tape(socket.errors).at(1);
    expect(error).to.be.instanceOf(ConnectError).and.to.deep.include({ phase: 'connect', endpoint: { path } });
    await listen(echo, path);
    await socket.write('hello');
    expect(String(await inbound.at(0))).to.equal('hello');
  });
});
