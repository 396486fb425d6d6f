import { once } from 'node:events';
import { EMPTY, firstValueFrom, NEVER, of, throwError } from 'rxjs';
import { expect } from 'chai';
import {
  connection,
  ConnectError,
  ConnectionLostError,
  echoServer,
  FrameError,
  lines,
  reconnect,
  ReconnectLimitError,
  tcpSocket,
  WriteError,
  type ConnectionStatus,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { FakeDials, FakeStream, nodeError } from '../support/fake-stream.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { until } from '../support/leaks.js';
import { deadPort, echo, listen, recordingServer, resetAfter, sink, type TestServer } from '../support/servers.js';
import { tape, type Tape } from '../support/tape.js';

const host = '127.0.0.1';
const soon = { initialDelay: 1, maxDelay: 2 };
const MINUTE = { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 };

type Status<T extends ConnectionStatus['type']> = Extract<ConnectionStatus, { type: T }>;

function ofType<T extends ConnectionStatus['type']>(statuses: Tape<ConnectionStatus>, type: T): Status<T>[] {
  return statuses.values.filter((status): status is Status<T> => status.type === type);
}

/** Makes time pass: whenever the socket waits, the wait is added up and cut short. */
function fastForward(socket: TcpSocket): { elapsed: number; delays: number[]; dialledAt: number[] } {
  const time = { elapsed: 0, delays: [] as number[], dialledAt: [] as number[] };
  socket.status.subscribe((status) => {
    if (status.type === 'connecting') time.dialledAt.push(time.elapsed);
    if (status.type !== 'backoff') return;
    time.elapsed += status.delay;
    time.delays.push(status.delay);
    setImmediate(() => socket.redial());
  });
  return time;
}

describe('the backoff', () => {
  leavesNothingOpen();

  const refuse: (socket: { end(): unknown; resetAndDestroy(): unknown }, index: number) => void = (socket, index) =>
    index % 2 === 0 ? socket.end() : socket.resetAndDestroy();

  for (const [name, random] of [
    ['0.5', () => 0.5],
    ['1', () => 1],
    ['0.1', () => 0.1],
  ] as const) {
    it(`dials a server that accepts and closes at once at most 30 times in 5 s, random being ${name} [S8]`, async () => {
      const server = await listen(refuse);
      const socket = kept(tcpSocket({ host, port: server.port, reconnect: { random } }));
      const time = fastForward(socket);
      await tape(socket.status).first(() => time.elapsed >= 5000);
      expect(time.dialledAt.filter((at) => at < 5000)).to.have.length.within(3, 30);
    });
  }

  it('grows by full jitter from initialDelay to maxDelay, the first redial included [S8]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: { random: () => 0.5 } }));
    const time = fastForward(socket);
    await tape(socket.errors).at(9);
    expect(time.delays.slice(0, 9)).to.deep.equal([25, 50, 100, 200, 400, 800, 1600, 2500, 2500]);
  });

  it('takes initialDelay, factor, maxDelay and jitter from the config [S8]', async () => {
    const config = { initialDelay: 100, factor: 3, maxDelay: 1000, jitter: 0.5, random: () => 0 };
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: config }));
    const time = fastForward(socket);
    await tape(socket.errors).at(5);
    expect(time.delays.slice(0, 5)).to.deep.equal([50, 150, 450, 500, 500]);
  });

  for (const nonsense of [NaN, -1, 2, Infinity, 'x', undefined]) {
    it(`never waits longer than its bound, nor in a hot loop, when random answers ${String(nonsense)} [S8]`, async () => {
      const config = { initialDelay: 100, random: () => nonsense as number };
      const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: config }));
      const time = fastForward(socket);
      await tape(socket.errors).at(4);
      for (const [i, delay] of time.delays.slice(0, 4).entries()) {
        expect(delay).to.be.at.most(100 * 2 ** i);
        if (i > 0) expect(delay).to.be.at.least(1);
      }
    });
  }

  it('gives up when random throws, with what it threw as the cause [S8]', async () => {
    const mine = new Error('no dice');
    const random = (): number => {
      throw mine;
    };
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: { random } }));
    const inbound = tape(socket.inbound);
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(ReconnectLimitError).and.to.include({ cause: mine });
  });

  it('counts the dials since the last reset, from 1, in `connecting` and `backoff` [S8]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: soon }));
    const statuses = tape(socket.status);
    await statuses.first((status) => status.type === 'connecting' && status.attempt === 4);
    expect(statuses.values[0]).to.deep.include({ type: 'connecting', attempt: 1 });
    expect(ofType(statuses, 'connecting').map(({ attempt }) => attempt)).to.deep.equal([1, 2, 3, 4]);
    expect(ofType(statuses, 'backoff').map(({ attempt }) => attempt)).to.deep.equal([2, 3, 4]);
    for (const { cause } of ofType(statuses, 'backoff')) expect(cause).to.be.instanceOf(ConnectError);
  });

  it('starts anew once a connection has answered: a frame came after one of ours was written [S8]', async () => {
    const port = await deadPort();
    const socket = kept(tcpSocket({ host, port, settle: 0, reconnect: soon }));
    socket.inbound.subscribe();
    const statuses = tape(socket.status);
    await tape(socket.errors).at(3);
    const server = await listen((peer) => peer.once('data', () => peer.end('reply')), port);
    await socket.write('question');
    await server.socket(1);
    await statuses.first((status) => status.type === 'connecting' && status.attempt === 1 && socket.stats().epoch > 0);
    const after = ofType(statuses, 'backoff').at(-1)!;
    expect(after.attempt).to.equal(1);
    expect(after.cause).to.be.instanceOf(ConnectionLostError).and.to.include({ answered: true, clean: true });
  });

  it('does not start anew for frames that came without our having written, nor for writing alone [S8]', async () => {
    const server = await listen((peer, index) => {
      if (index % 2 === 0) peer.end('unasked');
      else peer.once('data', () => peer.end());
    });
    const socket = kept(tcpSocket({ host, port: server.port, settle: 0, reconnect: soon }));
    socket.inbound.subscribe();
    const statuses = tape(socket.status);
    await server.socket(1);
    await socket.write('x');
    await server.socket(3);
    await socket.write('y');
    await server.socket(5);
    expect(ofType(statuses, 'connecting').map(({ attempt }) => attempt)).to.deep.equal([1, 2, 3, 4, 5, 6]);
  });

  it('starts anew once a connection has stood for stableAfter ms [S8]', async () => {
    const server = await listen();
    const socket = kept(tcpSocket({ host, port: server.port, reconnect: { ...soon, stableAfter: 1 } }));
    const statuses = tape(socket.status);
    for (let i = 0; i < 3; i++) {
      const peer = await server.socket(i);
      await statuses.first((status) => status.type === 'open' && status.epoch === i + 1);
      // Later than a timer that was set before it and is due sooner.
      await new Promise((resolve) => setTimeout(resolve, 5));
      peer.destroy();
    }
    await server.socket(3);
    expect(ofType(statuses, 'connecting').map(({ attempt }) => attempt)).to.deep.equal([1, 1, 1, 1]);
  });

  it('goes on counting over connections that were lost too soon [S8]', async () => {
    const server = await listen((peer, index) => {
      if (index < 3) peer.resetAndDestroy();
    });
    const socket = kept(tcpSocket({ host, port: server.port, reconnect: soon }));
    const statuses = tape(socket.status);
    await server.socket(3);
    expect(ofType(statuses, 'connecting').map(({ attempt }) => attempt)).to.deep.equal([1, 2, 3, 4]);
  });
});

describe('giving up', () => {
  leavesNothingOpen();

  for (const maxAttempts of [0, 1, 3]) {
    it(`comes after ${String(maxAttempts)} redials in a row with maxAttempts ${String(maxAttempts)}: inbound ends, every message gets its outcome [S8][S3]`, async () => {
      const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: { ...soon, maxAttempts } }));
      const [inbound, errors, statuses] = [tape(socket.inbound), tape(socket.errors), tape(socket.status)];
      const written = ['a', 'b'].map((message) => outcome(socket.write(message)));
      await errors.end;
      const limit = inbound.error as ReconnectLimitError;
      expect(limit).to.be.instanceOf(ReconnectLimitError).and.to.include({ attempts: maxAttempts });
      expect(limit.cause).to.be.instanceOf(ConnectError);
      for (const error of await Promise.all(written)) {
        expect(error).to.be.instanceOf(WriteError).and.to.include({ fate: 'unsent', cause: limit });
      }
      expect(errors.values.map(({ code }) => code)).to.deep.equal([
        ...Array<string>(maxAttempts + 1).fill('TCP_CONNECT'),
        ...['TCP_WRITE', 'TCP_WRITE', 'TCP_RECONNECT_LIMIT'],
      ]);
      expect(errors.values.at(-1)).to.equal(limit);
      expect(statuses.values.at(-1)).to.deep.equal({ type: 'closed', cause: limit });
      expect(socket.stats().dials).to.equal(maxAttempts + 1);
      await socket.end();
    });
  }

  it('counts redials in a row only: an answered connection starts the row anew [S8]', async () => {
    const server = echoServer({ host, closeAfterReply: true });
    atEnd(() => server.close());
    const { port } = await server.listening;
    const socket = kept(tcpSocket({ host, port, settle: 0, reconnect: { ...soon, maxAttempts: 1 } }));
    const inbound = tape(socket.inbound);
    for (let i = 0; i < 4; i++) {
      await tape(socket.connections).first(({ epoch }) => epoch === i + 1);
      await socket.write(String(i));
      await inbound.at(i);
    }
    expect(inbound.ended).to.be.undefined;
  });

  it('comes when retryable refuses an error: inbound errors with that very error, every message gets its outcome [S8][S3]', async () => {
    const asked: unknown[] = [];
    const retryable = (error: unknown): boolean => asked.push(error) < 3;
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: { ...soon, retryable } }));
    const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
    const error = await outcome(socket.write('x'));
    await errors.end;
    expect(asked).to.have.length(3);
    expect(inbound.error).to.equal(asked[2]);
    expect(error).to.be.instanceOf(WriteError).and.to.include({ fate: 'unsent', cause: asked[2] });
    expect(errors.values).to.deep.equal([...asked, error]);
  });

  const policies: [string, TcpSocketConfig['reconnect'], unknown][] = [
    ['delay() completes without an emission', { delay: () => EMPTY }, undefined],
    ['delay() answers an empty array', { delay: () => [] }, undefined],
    ['delay() errors', { delay: () => throwError(() => 'mine') }, 'mine'],
    ['delay() throws', { delay: thrower('mine') }, 'mine'],
    ['delay() rejects', { delay: () => Promise.reject(new Error('mine')) }, 'Error: mine'],
    ['retryable throws', { retryable: thrower('mine') }, 'mine'],
  ];
  for (const [when, policy, cause] of policies) {
    it(`comes when ${when} [S8]`, async () => {
      const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: policy! }));
      const inbound = tape(socket.inbound);
      await inbound.end;
      const limit = inbound.error as ReconnectLimitError;
      expect(limit).to.be.instanceOf(ReconnectLimitError);
      if (cause !== undefined) expect(String(limit.cause)).to.equal(cause);
      else expect(limit.cause).to.be.instanceOf(ConnectError);
      expect(socket.stats().dials).to.equal(1);
    });
  }

  for (const nonsense of [undefined, null, 5, true, {}]) {
    it(`comes when delay() answers ${JSON.stringify(nonsense)}, which is no source of anything [S8]`, async () => {
      const delay = (): never => nonsense as never;
      const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: { delay } }));
      const inbound = tape(socket.inbound);
      await inbound.end;
      expect(inbound.error).to.be.instanceOf(ReconnectLimitError);
    });
  }
});

describe('delay()', () => {
  leavesNothingOpen();

  it('is told the error and the attempt of the dial to come, and dials with its first emission [S8]', async () => {
    const asked: [string, number][] = [];
    const delay = (error: { code: string }, attempt: number) => {
      asked.push([error.code, attempt]);
      return of(1, 2, 3);
    };
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: { ...soon, delay } }));
    await tape(socket.errors).at(2);
    await turns(1);
    expect(asked.slice(0, 3)).to.deep.equal([
      ['TCP_CONNECT', 2],
      ['TCP_CONNECT', 3],
      ['TCP_CONNECT', 4],
    ]);
  });

  it('never makes a hot loop: its dials stand initialDelay apart, whatever it answers [S8]', async () => {
    const server = await listen((peer) => peer.resetAndDestroy());
    const socket = kept(tcpSocket({ host, port: server.port, reconnect: { initialDelay: 60_000, delay: () => [0] } }));
    await tape(socket.status).first(({ type }) => type === 'backoff');
    await turns(200);
    expect(socket.stats().dials).to.equal(1);
    expect(await firstValueFrom(socket.status)).to.include({ type: 'backoff', attempt: 2 });
  });

  it('may wait for ever, until redial() [S8]', async () => {
    const port = await deadPort();
    const socket = kept(tcpSocket({ host, port, reconnect: { initialDelay: 1, delay: () => NEVER } }));
    const statuses = tape(socket.status);
    await statuses.first(({ type }) => type === 'backoff');
    await listen(undefined, port);
    socket.redial();
    await statuses.first(({ type }) => type === 'open');
  });

  it('is unsubscribed from when the socket is destroyed while it waits [S8][S11]', async () => {
    let waits = 0;
    const counted = () => ({
      async *[Symbol.asyncIterator]() {
        waits++;
        try {
          await new Promise((resolve) => setTimeout(resolve, 1));
          yield 0;
        } finally {
          waits--;
        }
      },
    });
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: { ...soon, delay: counted } }));
    await tape(socket.errors).at(2);
    socket.destroy();
    expect(await until(() => waits === 0)).to.equal(true);
  });
});

describe('redial()', () => {
  leavesNothingOpen();

  it('destroys the live connection and dials at once, writing again what was in flight [S2][S8]', async () => {
    const dials = new FakeDials((index) => new FakeStream(index === 0 ? () => undefined : undefined));
    const socket = kept(tcpSocket({ dial: dials.dial, settle: 0, reconnect: MINUTE }));
    const [statuses, errors] = [tape(socket.status), tape(socket.errors)];
    await statuses.first(({ type }) => type === 'open');
    const written = outcome(socket.write('x'));
    await turns(2);
    socket.redial();
    expect(await written).to.equal('written');
    expect(dials.streams.map(({ texts }) => texts)).to.deep.equal([['x'], ['x']]);
    expect(dials.streams[0]!.destroyed).to.be.true;
    expect(errors.values.map(({ code }) => code)).to.deep.equal(['TCP_CONNECTION_LOST']);
    expect(errors.values[0]).to.include({ endedBy: 'us', unconfirmed: 1 });
    expect(ofType(statuses, 'connecting').map(({ attempt }) => attempt)).to.deep.equal([2]);
    expect(ofType(statuses, 'backoff')).to.be.empty;
  });

  it('counts what was in flight as failed [S2]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ dial: dials.dial, settle: 0, retryLimit: 0, reconnect: MINUTE }));
    await tape(socket.status).first(({ type }) => type === 'open');
    const written = outcome(socket.write('x'));
    await turns(2);
    socket.redial();
    expect(await written).to.include({ fate: 'unknown', attempts: 1 });
  });

  it('cuts a backoff short, also when the dial opens at once [S8]', async () => {
    const dials = new FakeDials();
    const socket = kept(tcpSocket({ dial: dials.dial, settle: 0, reconnect: MINUTE }));
    const statuses = tape(socket.status);
    await statuses.first(({ type }) => type === 'open');
    dials.streams[0]!.destroy(nodeError('ECONNRESET'));
    await statuses.first(({ type }) => type === 'backoff');
    socket.redial();
    await socket.write('x');
    expect(dials.streams).to.have.length(2);
    expect(ofType(statuses, 'connecting').map(({ attempt }) => attempt)).to.deep.equal([2]);
  });

  it('cuts a backoff short also from inside the status that tells of it [S8]', async () => {
    const port = await deadPort();
    const socket = kept(tcpSocket({ host, port, reconnect: MINUTE }));
    let told = 0;
    socket.status.subscribe(({ type }) => {
      if (type === 'backoff' && ++told <= 3) socket.redial();
    });
    await tape(socket.errors).at(3);
    expect(socket.stats().dials).to.equal(4);
  });

  it('goes on counting attempts, towards maxAttempts too [S8]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: { ...MINUTE, maxAttempts: 2 } }));
    fastForward(socket);
    const inbound = tape(socket.inbound);
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(ReconnectLimitError).and.to.include({ attempts: 2 });
    expect(socket.stats().dials).to.equal(3);
  });

  it('dials once with reconnect: false [S8]', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port, reconnect: false }));
    const [statuses, inbound] = [tape(socket.status), tape(socket.inbound)];
    await statuses.first(({ type }) => type === 'open');
    socket.redial();
    await statuses.first((status) => status.type === 'open' && status.epoch === 2);
    expect(inbound.ended).to.be.undefined;
    (await server.socket(1)).destroy();
    await inbound.end;
    expect(socket.stats().dials).to.equal(2);
  });

  it('changes nothing while it connects, closes or is closed [S8]', async () => {
    const server = await listen((peer) => void peer.resume());
    const socket = kept(tcpSocket({ host, port: server.port, endTimeout: 60_000 }));
    const statuses = tape(socket.status);
    socket.redial();
    await statuses.first(({ type }) => type === 'open');
    expect(socket.stats().dials).to.equal(1);
    const ended = socket.end();
    socket.redial();
    await turns();
    expect(socket.stats().dials).to.equal(1);
    (await server.socket(0)).end();
    await ended;
    socket.redial();
    await turns();
    expect(socket.stats()).to.include({ dials: 1, drops: 0 });
    expect(statuses.values.at(-1)).to.deep.equal({ type: 'closed' });
  });

  it('leaves no dead connection in `connections` when it is called inside the status "open" [S8][S10]', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port, settle: 0, reconnect: soon }));
    const connections = tape(socket.connections);
    socket.status.subscribe((status) => {
      if (status.type === 'open' && status.epoch === 1) socket.redial();
    });
    await connections.first(({ epoch }) => epoch === 2);
    expect(connections.values.map(({ epoch }) => epoch)).to.deep.equal([2]);
    expect(tape(socket.connections).values.map(({ epoch }) => epoch)).to.deep.equal([2]);
  });

  it('starts a lazy socket', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port, lazyConnect: true }));
    expect(await firstValueFrom(socket.status)).to.deep.equal({ type: 'idle' });
    socket.redial();
    await server.socket(0);
  });
});

describe('with reconnect: false', () => {
  leavesNothingOpen();

  const only = async (config: Partial<TcpSocketConfig>, serve: Parameters<typeof listen>[0]) => {
    const server = await listen(serve);
    const socket = kept(tcpSocket({ host, port: server.port, reconnect: false, ...config }));
    return { server, socket, inbound: tape(socket.inbound), errors: tape(socket.errors) };
  };

  it('a clean FIN completes inbound, after the frames before it [S8]', async () => {
    const { socket, inbound, errors } = await only({}, (peer) => peer.end('bye'));
    await inbound.end;
    expect(inbound.ended).to.equal('completed');
    expect(Buffer.concat(inbound.values).toString()).to.equal('bye');
    await errors.end;
    expect(errors.values.map(({ code }) => code)).to.deep.equal(['TCP_CONNECTION_LOST']);
    expect(errors.values[0]).to.include({ clean: true, endedBy: 'peer' });
    await socket.end();
    expect(socket.stats().dials).to.equal(1);
  });

  it('a FIN inside a frame errors inbound with the truncated frame [S8][S7]', async () => {
    const server = await listen((peer) => peer.end('whole\nhal'));
    const socket = kept(tcpSocket({ host, port: server.port, reconnect: false, codec: lines() }));
    const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
    await errors.end;
    expect(inbound.values).to.deep.equal(['whole']);
    expect(inbound.error).to.be.instanceOf(FrameError).and.to.include({ kind: 'truncated' });
    expect(errors.values.map(({ code }) => code)).to.deep.equal(['TCP_FRAME', 'TCP_CONNECTION_LOST']);
  });

  it('a reset errors inbound with the loss [S8]', async () => {
    const { socket, inbound, errors } = await only({}, (peer) => resetAfter(peer));
    await socket.write('x');
    await errors.end;
    expect(inbound.error).to.be.instanceOf(ConnectionLostError).and.to.include({ clean: false });
    expect(errors.values).to.deep.equal([inbound.error]);
  });

  it('a failed dial errors inbound with its error, and what waits with it as the cause [S8][S3]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: false }));
    const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
    const written = await outcome(socket.write('x'));
    await errors.end;
    expect(inbound.error).to.be.instanceOf(ConnectError);
    expect(written).to.include({ fate: 'unsent', cause: inbound.error });
    expect(errors.values).to.deep.equal([inbound.error, written]);
  });

  it('what is unwritten when the peer ends gets its outcome [S8][S3]', async () => {
    const { server, socket, inbound } = await only({ writeBuffer: { bytes: 2 ** 26 } }, (peer) => void peer.pause());
    const written = outcome(socket.write(Buffer.alloc(12 * 2 ** 20)));
    const waiting = outcome(socket.write('x'));
    const peer = await server.socket(0);
    await once(peer, 'readable');
    peer.resetAndDestroy();
    await inbound.end;
    expect(await written).to.include({ fate: 'unknown', attempts: 1, code: 'TCP_WRITE' });
    expect(await waiting).to.include({ fate: 'unsent', attempts: 0, code: 'TCP_WRITE' });
  });

  it('end() completes inbound, destroy() too, and destroy(error) errors it [S8]', async () => {
    const ended = await only({}, sink);
    await ended.server.socket(0);
    await ended.socket.end();
    expect(ended.inbound.ended).to.equal('completed');
    const destroyed = await only({}, sink);
    destroyed.socket.destroy();
    expect(destroyed.inbound.ended).to.equal('completed');
    const failed = await only({}, sink);
    const mine = new Error('mine');
    failed.socket.destroy(mine);
    expect(failed.inbound.error).to.equal(mine);
  });
});

describe('coming back', () => {
  leavesNothingOpen();

  it('dials again after every way a connection can be lost, and inbound goes on [S8]', async () => {
    const ways: ((peer: TestServer['sockets'][number]) => void)[] = [
      (peer) => peer.end(),
      (peer) => peer.destroy(),
      (peer) => peer.resetAndDestroy(),
    ];
    const server = await listen((peer, index) => {
      peer.write(`${String(index)}\n`);
      peer.on('data', () => ways[index % ways.length]!(peer));
    });
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), settle: 0, reconnect: soon }));
    const inbound = tape(socket.inbound);
    for (let i = 0; i < 6; i++) {
      expect(await inbound.at(i)).to.equal(String(i));
      await socket.write('go');
    }
    expect(inbound.ended).to.be.undefined;
  });

  it('finds the server again that was down for a while, and writes what came meanwhile in order [S8][S1]', async () => {
    const first = await recordingServer();
    const { port } = first;
    const socket = kept(tcpSocket({ host, port, settle: 0, reconnect: soon }));
    const errors = tape(socket.errors);
    await socket.write('a');
    await (await first.recording(0)).has('a');
    await first.close();
    await errors.at(2);
    for (const frame of ['b', 'c', 'd']) socket.outbound.next(frame);
    const second = await recordingServer(undefined, port);
    await socket.flush();
    await (await second.recording(0)).has('bcd');
  });

  it('writes each of ten messages to a server that closes after every reply, and gets the ten replies in order [S8]', async () => {
    const server = echoServer({ host, closeAfterReply: true });
    atEnd(() => server.close());
    const { port } = await server.listening;
    const socket = kept(tcpSocket({ host, port }));
    const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
    for (let i = 0; i < 10; i++) {
      socket.outbound.next(`message ${String(i)}`);
      await inbound.at(i);
      await errors.at(i);
    }
    expect(inbound.values.map(String)).to.deep.equal(Array.from({ length: 10 }, (_, i) => `message ${String(i)}`));
    expect(errors.values.map(({ code }) => code)).to.deep.equal(Array(10).fill('TCP_CONNECTION_LOST'));
    for (const error of errors.values) expect(error).to.include({ clean: true, answered: true });
  });

  it('gets through a server that resets now and then while it echoes', async () => {
    const server = await listen((peer, index) => (index < 4 ? resetAfter(peer, 1) : echo(peer, index)));
    const socket = kept(tcpSocket({ host, port: server.port, settle: 0, reconnect: soon }));
    const inbound = tape(socket.inbound);
    while (inbound.values.length === 0) {
      await socket.write('x');
      await turns(2);
    }
    expect(socket.stats().epoch).to.equal(5);
  });
});

describe('reconnect(), the operator', () => {
  leavesNothingOpen();

  it('gives one connection after another, dialling again after each loss [S8]', async () => {
    const server = await listen((peer, index) => {
      if (index < 2) peer.end();
    });
    const links = tape(connection({ host, port: server.port }).pipe(reconnect(soon)));
    atEnd(() => links.stop());
    await links.at(2);
    expect(new Set(links.values).size).to.equal(3);
    links.stop();
    const peer = await server.socket(2);
    peer.resume();
    await once(peer, 'end');
  });

  it('gives up with ReconnectLimitError, and completes when the connection was ended [S8]', async () => {
    const failing = tape(connection({ host, port: await deadPort() }).pipe(reconnect({ ...soon, maxAttempts: 2 })));
    await failing.end;
    expect(failing.error).to.be.instanceOf(ReconnectLimitError).and.to.include({ attempts: 2 });
    const server = await listen(sink);
    const ending = tape(connection({ host, port: server.port }).pipe(reconnect(soon)));
    await (await ending.at(0)).end();
    await ending.end;
    expect(ending.ended).to.equal('completed');
    expect(server.sockets).to.have.length(1);
  });

  it('is cold: each subscription counts for itself, and errors of any source are redialled [S8]', async () => {
    let subscriptions = 0;
    const source = throwError(() => new Error(String(++subscriptions)));
    const first = tape(source.pipe(reconnect({ ...soon, maxAttempts: 1, retryable: () => true })));
    const second = tape(source.pipe(reconnect({ ...soon, maxAttempts: 1, retryable: () => true })));
    await Promise.all([first.end, second.end]);
    expect(subscriptions).to.equal(4);
    for (const { error } of [first, second]) expect(error).to.be.instanceOf(ReconnectLimitError);
  });
});

function thrower(what: unknown): () => never {
  return () => {
    throw what;
  };
}
