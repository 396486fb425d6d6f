/** Rows 36, 37, 39 and 60 of the fault matrix: dials that are given up, that meet themselves, whose lookup lies, and where they go. */
import { once } from 'node:events';
import { connect, createServer, type LookupFunction } from 'node:net';
import { expect } from 'chai';
import {
  ClosedError,
  ConfigError,
  ConnectError,
  connection,
  tcpServer,
  tcpSocket,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { unansweredPort } from '../support/child-server.js';
import { FakeStream } from '../support/fake-stream.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { eventually } from '../support/peers.js';
import { deadPort, echo, listen, recordingServer, sink, socketPath, type TestServer } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const MINUTE = { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 };

/** Connections are accepted in their order: once one that was made after all others is there, no other follows. */
async function expectNoLeak(server: TestServer): Promise<void> {
  const probe = kept(connect(server.port, host));
  await once(probe, 'connect');
  for (let i = 0; ; i++) {
    const socket = await server.socket(i);
    if (socket.remotePort === probe.localPort) return;
    // A server that does not read, and one that does not answer a FIN, find out once they do.
    socket.resume();
    socket.end();
    if (!socket.destroyed) await once(socket, 'close');
  }
}

describe('row 36: an AbortSignal', () => {
  leavesNothingOpen();

  interface Setting {
    readonly server: TestServer;
    readonly open: (config?: TcpSocketConfig) => TcpSocket;
  }

  async function overUnread({ open, server }: Setting, config: TcpSocketConfig = {}): Promise<TcpSocket> {
    const socket = open({ endTimeout: 60_000, ...config });
    socket.pause();
    socket.inbound.subscribe({ error: () => undefined });
    const live = await tape(socket.connections).at(0);
    (await server.socket(0)).write('unread');
    await eventually(() => socket.stats().heldBytes === 6);
    void socket.end();
    (await server.socket(0)).resetAndDestroy();
    await live.closed;
    expect(socket.stats().heldBytes).to.equal(6);
    return socket;
  }

  /** Each brings a socket into its phase. */
  const phases: Record<string, (setting: Setting) => Promise<TcpSocket>> = {
    'before its first dial, lazy': async ({ open }) => open({ lazyConnect: true }),
    'in the call that dials': async ({ open }) => open(),
    'in a lookup': async ({ open }) => open({ host: 'name.invalid', socket: { lookup: () => undefined } }),
    'with its SYN under way': async ({ open }) => {
      const socket = open();
      await new Promise((resolve) => process.nextTick(resolve)); // Node dials an address in a tick of its own
      return socket;
    },
    'connecting to one that never accepts': async ({ open }) => {
      const socket = open({ port: await unansweredPort() });
      await turns();
      return socket;
    },
    'while a dial() of the user’s is pending': async ({ open }) => open({ dial: () => new Promise(() => undefined) }),
    settling: async ({ open }) => {
      let dials = 0;
      const lookup: LookupFunction = (_host, _options, callback) =>
        dials++ === 0 ? callback(new Error('not yet'), '', 0) : callback(null, host, 4);
      const reconnect = { initialDelay: 1, maxDelay: 1 };
      const socket = open({ host: 'name.invalid', socket: { lookup }, settle: 60_000, reconnect });
      void socket.write('held back');
      await tape(socket.connections).at(0);
      expect(socket.stats()).to.include({ inFlightFrames: 0, queuedFrames: 1 });
      return socket;
    },
    open: async ({ open }) => {
      const socket = open();
      await socket.write('x');
      return socket;
    },
    'open, with a write that makes no progress': async ({ open, server }) => {
      const socket = open();
      await tape(socket.connections).at(0);
      (await server.socket(0)).pause();
      socket.outbound.next(Buffer.alloc(12 * 1024 * 1024));
      await turns();
      expect(socket.stats()).to.include({ inFlightFrames: 1 });
      return socket;
    },
    'in a backoff': async ({ open, server }) => {
      const socket = open();
      await tape(socket.connections).at(0);
      (await server.socket(0)).resetAndDestroy();
      await tape(socket.status).first(({ type }) => type === 'backoff');
      return socket;
    },
    'closing, with something left to write': async ({ open, server }) => {
      const socket = open({ endTimeout: 60_000 });
      await tape(socket.connections).at(0);
      (await server.socket(0)).pause();
      socket.outbound.next(Buffer.alloc(12 * 1024 * 1024));
      void socket.end();
      return socket;
    },
    'closing, waiting for the FIN of the peer': async ({ open, server }) => {
      const socket = open({ endTimeout: 60_000 });
      await tape(socket.connections).at(0);
      (await server.socket(0)).removeAllListeners('end');
      void socket.end();
      await once(await server.socket(0), 'end');
      return socket;
    },
    'over, with what was read waiting for its reader': (setting) => overUnread(setting),
    'over, through a dial, with what was read waiting for its reader': (setting) =>
      overUnread(setting, { dial: () => connect({ host, port: setting.server.port, allowHalfOpen: true }) }),
  };

  for (const [phase, enter] of Object.entries(phases)) {
    it(`aborted ${phase} ends inbound once, with its AbortError; no connection is left at the server [S11]`, async () => {
      const server = await listen(sink);
      const abort = new AbortController();
      const open = (config: TcpSocketConfig = {}): TcpSocket =>
        kept(tcpSocket({ host, port: server.port, signal: abort.signal, reconnect: MINUTE, ...config }));
      const socket = await enter({ server, open });
      const pending = outcome(socket.flush());
      let errored = 0;
      socket.inbound.subscribe({ error: () => errored++ });
      const [inbound, errors, statuses] = [tape(socket.inbound), tape(socket.errors), tape(socket.status)];
      const before = errors.values.length;
      const unwritten = socket.stats().queuedFrames;

      abort.abort();
      abort.abort(new Error('a second one changes nothing'));
      expect([inbound.ended, errored]).to.deep.equal(['errored', 1]);
      expect(inbound.error).to.equal(abort.signal.reason).and.to.have.property('name', 'AbortError');
      await socket.end();
      expect(await pending).to.equal('written');
      const told = errors.values.slice(before);
      expect(told.map(({ code }) => code)).to.deep.equal(Array.from({ length: unwritten }, () => 'TCP_WRITE'));
      for (const { cause } of told) expect((cause as ClosedError).cause).to.equal(abort.signal.reason);
      const closed = statuses.values.at(-1);
      expect(closed).to.include({ type: 'closed' });
      expect(closed).to.have.nested.property('cause.cause', abort.signal.reason);
      expect([statuses.ended, errors.ended]).to.deep.equal(['completed', 'completed']);
      await expectNoLeak(server);
    });
  }

  it('aborted before the socket is made keeps it from dialling at all [S11]', async () => {
    const server = await listen(sink);
    const signal = AbortSignal.abort();
    const dial = (): never => {
      throw new Error('nobody may dial');
    };
    for (const config of [{}, { lazyConnect: true }, { dial }, { reconnect: false as const }]) {
      const socket = kept(tcpSocket({ host, port: server.port, signal, ...config }));
      const inbound = tape(socket.inbound);
      expect(inbound.error).to.equal(signal.reason).and.to.have.property('name', 'AbortError');
      expect(await outcome(socket.write('x'))).to.be.instanceOf(ClosedError);
      await socket.end();
      expect(socket.stats()).to.include({ dials: 0, epoch: 0 });
    }
    await expectNoLeak(server);
    expect(server.sockets).to.have.length(1);
  });

  it('aborted after the end changes nothing [S11]', async () => {
    const server = await listen(sink);
    for (const end of ['end', 'destroy'] as const) {
      const abort = new AbortController();
      const socket = kept(tcpSocket({ host, port: server.port, signal: abort.signal }));
      const [inbound, statuses] = [tape(socket.inbound), tape(socket.status)];
      await socket.write('x');
      void socket[end]();
      await socket.end();
      const said = [...statuses.values];
      abort.abort();
      expect([inbound.ended, inbound.error]).to.deep.equal(['completed', undefined]);
      expect(statuses.values).to.deep.equal(said);
      expect(said.at(-1)).to.deep.equal({ type: 'closed' });
    }
    await expectNoLeak(server);
  });
});

describe('row 37, F20: a connection to itself', () => {
  leavesNothingOpen();

  it('is refused as often as it happens; the server can have its port, and is found there [S8][S9]', async () => {
    const port = await deadPort();
    let dials = 0;
    let selves = 0;
    const dial = () => {
      const raw = connect({ host, port, ...(dials++ < 3 ? { localPort: port } : {}) });
      raw.once('connect', () => (selves += raw.localPort === raw.remotePort ? 1 : 0));
      return raw;
    };
    const socket = kept(tcpSocket({ host, port, dial, settle: 0, reconnect: { delay: () => [1], initialDelay: 1 } }));
    const [inbound, errors, connections] = [tape(socket.inbound), tape(socket.errors), tape(socket.connections)];
    const written = outcome(socket.write('heard once, by the server'));
    await errors.at(2);
    expect(selves).to.equal(3);
    for (const error of errors.values.slice(0, 3)) {
      expect(error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'connect', epoch: 0 });
      expect(error.cause).to.have.property('code', 'ECONNREFUSED');
    }
    const server = await recordingServer(() => false, port);
    expect(await written).to.equal('written');
    const recording = await server.recording(0);
    await recording.has('heard once, by the server');
    expect(recording.text).to.equal('heard once, by the server');
    expect(connections.values.map(({ epoch }) => epoch)).to.deep.equal([1]);
    expect(inbound.values).to.deep.equal([]);
    expect(socket.stats()).to.include({ epoch: 1, drops: 0, bytesRead: 0, framesRetried: 0 });
  });

  it('is refused to connection() and to a socket that dials once, too [S9]', async () => {
    const port = await deadPort();
    const config = { host, port, socket: { localPort: port } };
    const one = tape(connection(config));
    await one.end;
    expect(one.values).to.deep.equal([]);
    expect(one.error).to.be.instanceOf(ConnectError).and.to.have.nested.property('cause.code', 'ECONNREFUSED');
    const single = tape(kept(tcpSocket({ ...config, reconnect: false })).inbound);
    await single.end;
    expect(single.error).to.be.instanceOf(ConnectError).and.to.have.nested.property('cause.code', 'ECONNREFUSED');
    const server = createServer().listen(port, host);
    atEnd(() => new Promise((resolve) => server.close(resolve)));
    await once(server, 'listening');
  });
});

describe('row 39: a lookup that lies', () => {
  leavesNothingOpen();

  type Callback = (error?: unknown, ...answer: unknown[]) => void;
  const lies: ((callback: Callback) => unknown)[] = [
    (callback) => callback(null, []),
    (callback) => setImmediate(callback, null, []),
    (callback) => callback(null, null),
    (callback) => setImmediate(callback, null, null),
    (callback) => callback(),
    (callback) => setImmediate(callback, null, 'no address', 4),
    (callback) => setImmediate(callback, null, [{ address: 'no address', family: 4 }, null, 7]),
    (callback) => setImmediate(callback, 'no error'),
    (callback) => {
      setImmediate(callback, null, []);
      setImmediate(callback, null, host, 4);
    },
    (callback) => {
      setImmediate(callback, new Error('mine'));
      setImmediate(callback, new Error('again'));
    },
    () => {
      throw new Error('mine');
    },
    () => {
      throw undefined;
    },
    (callback) => {
      callback(new Error('mine'));
      throw new Error('again');
    },
  ];

  it('in one way after another: each dial has one ConnectError of its lookup, and the truth connects [S8][S9]', async () => {
    const server = await listen(echo);
    let asked = 0;
    const lookup = ((_host: string, _options: unknown, callback: Callback) => {
      const lie = lies[asked++];
      if (lie === undefined) callback(null, [{ address: host, family: 4 }]);
      else lie(callback);
    }) as never;
    const reconnect = { delay: () => [1], initialDelay: 1 };
    const socket = kept(
      tcpSocket({ host: 'name.invalid', port: server.port, settle: 0, reconnect, socket: { lookup } }),
    );
    const [inbound, errors, statuses] = [tape(socket.inbound), tape(socket.errors), tape(socket.status)];
    await socket.write('hello');
    expect(String(await inbound.at(0))).to.equal('hello');
    await turns();
    const wrong = lies.findIndex((_, i) => (errors.values[i] as Partial<ConnectError> | undefined)?.phase !== 'lookup');
    expect(wrong < 0 ? '' : String(lies[wrong])).to.equal('');
    expect(errors.values).to.have.length(lies.length);
    expect(statuses.values.filter(({ type }) => type === 'connecting')).to.have.length(lies.length + 1);
    expect(statuses.values.filter(({ type }) => type === 'backoff')).to.have.length(lies.length);
    expect(socket.stats()).to.include({ dials: lies.length + 1, epoch: 1, drops: 0 });
    expect(server.sockets).to.have.length(1);
  });

  it('by an error of the program ends the socket, as dialling again cannot help [S8]', async () => {
    const lookup = (): never => {
      throw new TypeError('mine');
    };
    const socket = kept(tcpSocket({ host: 'name.invalid', port: 1, reconnect: MINUTE, socket: { lookup } }));
    const inbound = tape(socket.inbound);
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'lookup' });
    expect(inbound.error).to.have.nested.property('cause.message', 'mine');
  });
});

describe('row 60: where a socket goes', () => {
  leavesNothingOpen();

  /** Where each goes, of sockets to a server that answers. */
  async function answered(config: TcpSocketConfig): Promise<{ endpoint: unknown; remote: unknown }> {
    const socket = kept(tcpSocket({ ...config, reconnect: false }));
    const inbound = tape(socket.inbound);
    await socket.write('hello');
    expect(String(await inbound.at(0))).to.equal('hello');
    const { endpoint, raw } = await tape(socket.connections).at(0);
    await socket.end();
    return { endpoint, remote: Reflect.get(raw, 'remoteAddress') };
  }

  /** A server of the library's own that echoes, at an address. */
  async function echoing(config: { host?: string; path?: string }): Promise<number> {
    const server = tcpServer(config);
    atEnd(() => server.close());
    server.connections.subscribe((peer) => {
      peer.inbound.subscribe((chunk) => void peer.write(chunk));
    });
    return (await server.listening).port;
  }

  it('is a unix path, to a server of Node and to one of ours', async () => {
    const [path, ours] = [socketPath(), socketPath()];
    await listen(echo, path);
    expect((await answered({ path })).endpoint).to.deep.equal({ path });
    await echoing({ path: ours });
    expect((await answered({ path: ours })).endpoint).to.deep.equal({ path: ours });
  });

  for (const given of ['::1', '[::1]', '0:0:0:0:0:0:0:1', '[0:0:0:0:0:0:0:1]']) {
    it(`is the IPv6 address ${given}, the brackets of a URL left out`, async () => {
      const port = await echoing({ host: '::1' });
      const bare = given.replace(/[[\]]/g, '');
      const { endpoint, remote } = await answered({ host: given, port });
      expect([endpoint, remote]).to.deep.equal([{ host: bare, port }, '::1']);
    });
  }

  it('is an IPv4 address that IPv6 wraps, too', async () => {
    const port = await echoing({ host });
    expect((await answered({ host: '[::ffff:127.0.0.1]', port })).remote).to.match(/127\.0\.0\.1$/);
  });

  for (const form of [String, (port: number) => String(port).padStart(5, '0'), Number]) {
    it(`is a port as ${form === Number ? 'a number' : `a text such as ${form(80)}`}, told as a number`, async () => {
      const port = await echoing({ host });
      expect((await answered({ host, port: form(port) })).endpoint).to.deep.equal({ host, port });
    });
  }

  const nowhere = [
    ['the host ""', { host: '', port: 1 }, /`host` must be/],
    ['the host [], which is none without its brackets', { host: '[]', port: 1 }, /`host` must be/],
    ['a host that is no text', { host: 127, port: 1 }, /`host` must be/],
    ['a list of hosts', { host: [host], port: 1 }, /`host` must be/],
    ['the path ""', { path: '' }, /`path` must be/],
    ['a path and a port', { path: '/p', port: 1 }, /`path` excludes/],
    ['a path and a host', { path: '/p', host }, /`path` excludes/],
    ['a port with a space', { host, port: ' 80' }, /`port` must be/],
    ['a port with a sign', { host, port: '+80' }, /`port` must be/],
    ['a port with an exponent', { host, port: '1e3' }, /`port` must be/],
    ['a port of six digits', { host, port: '000080' }, /`port` must be/],
    ['the port "0"', { host, port: '0' }, /`port` must be/],
    ['the port "65536"', { host, port: '65536' }, /`port` must be/],
    ['a port as a BigInt', { host, port: 80n }, /`port` must be/],
  ] as unknown as [string, TcpSocketConfig, RegExp][];
  for (const [name, config, message] of nowhere) {
    it(`is not ${name}: neither tcpSocket() nor connection() takes it, with a dial or without`, () => {
      const dial = (): FakeStream => new FakeStream();
      const making = [() => tcpSocket(config), () => connection(config), () => tcpSocket({ ...config, dial })];
      for (const make of making) {
        expect(() => {
          const made = make();
          if ('destroy' in made) kept(made);
        }).to.throw(ConfigError, message);
      }
    });
  }
});
