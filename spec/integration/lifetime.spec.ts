import { getEventListeners, once } from 'node:events';
import type { LookupFunction } from 'node:net';
import { NEVER } from 'rxjs';
import { expect } from 'chai';
import {
  ClosedError,
  ConnectTimeoutError,
  countByName,
  tcpSocket,
  WriteError,
  type ConnectionStatus,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { unansweredPort } from '../support/child-server.js';
import { FakeStream, nodeError } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { noneLeft, openHandles } from '../support/leaks.js';
import { deadPort, echo, listen, neverReading, recordingServer, resetAfter, sink } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const HUGE = 12 * 1024 * 1024;
const MINUTE = { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 };
const hanging: LookupFunction = () => undefined;

/** Everything that a socket tells, in the order in which it tells it. */
function journal(socket: TcpSocket): string[] {
  const entries: string[] = [];
  const log = (entry: string) => () => void entries.push(entry);
  socket.inbound.subscribe({ complete: log('inbound completed'), error: log('inbound errored') });
  socket.status.subscribe({
    next: ({ type }) => type === 'closed' && entries.push('status closed'),
    complete: log('status completed'),
  });
  socket.connections.subscribe({ complete: log('connections completed') });
  socket.writable.subscribe({ complete: log('writable completed') });
  socket.errors.subscribe({
    next: (error) => error instanceof WriteError && entries.push(`outcome of ${String(error.undelivered)}`),
    complete: log('errors completed'),
  });
  return entries;
}

const CLOSING_ORDER = [
  'inbound completed',
  'status closed',
  'status completed',
  'connections completed',
  'writable completed',
  'errors completed',
  'end() resolved',
];

/** A socket in each phase of its life that ends only by the spec's doing, and what it waits for there. */
const PHASES: Record<string, (config?: Partial<TcpSocketConfig>) => Promise<TcpSocket>> = {
  'idle, being lazy': async (config) => {
    const server = await listen(sink);
    return open({ host, port: server.port, lazyConnect: true, ...config }, 'idle');
  },
  'in a lookup that hangs': async (config) =>
    open({ host: 'nowhere.invalid', port: 1, socket: { lookup: hanging }, ...config }, 'connecting'),
  'connecting to who never answers': async (config) =>
    open({ host, port: await unansweredPort(), ...config }, 'connecting'),
  'in a dial() that never answers': async (config) =>
    open({ dial: () => new Promise<never>(() => undefined), ...config }, 'connecting'),
  'in backoff': async (config) => open({ host, port: await deadPort(), reconnect: MINUTE, ...config }, 'backoff'),
  'in a backoff that the user decides': async (config) =>
    open({ host, port: await deadPort(), reconnect: { delay: () => NEVER }, ...config }, 'backoff'),
};

async function open(config: TcpSocketConfig, phase: ConnectionStatus['type']): Promise<TcpSocket> {
  const socket = kept(tcpSocket(config));
  await tape(socket.status).first(({ type }) => type === phase);
  await turns(2);
  return socket;
}

/** Sockets with a connection. */
const OPEN_PHASES: typeof PHASES = {
  'open and quiet': async (config) => {
    const server = await listen(sink);
    return open({ host, port: server.port, ...config }, 'open');
  },
  'open, with bytes that nobody reads': async (config) => {
    const server = await listen((peer) => void peer.write(Buffer.alloc(200_000)));
    const socket = await open({ host, port: server.port, ...config }, 'open');
    while (socket.stats().heldBytes === 0) await turns(1);
    return socket;
  },
  'open, to a peer that never reads': async (config) => {
    const server = await listen(neverReading);
    const socket = await open({ host, port: server.port, writeBuffer: { bytes: 2 * HUGE }, ...config }, 'open');
    socket.outbound.next(Buffer.alloc(HUGE));
    await once(await server.socket(0), 'readable');
    return socket;
  },
  'settling after a loss': async (config) => {
    const server = await listen((peer, index) => {
      if (index === 0) resetAfter(peer);
    });
    const reconnect = { initialDelay: 1, maxDelay: 1 };
    const socket = await open({ host, port: server.port, settle: 60_000, reconnect, ...config }, 'open');
    socket.outbound.next('x');
    await tape(socket.status).first((status) => status.type === 'open' && status.epoch === 2);
    return socket;
  },
  'closing, and the peer never ends': async (config) => {
    const server = await listen((peer) => void peer.resume());
    const socket = await open({ host, port: server.port, endTimeout: 60_000, ...config }, 'open');
    void socket.end();
    return socket;
  },
  'closing, with messages that cannot be written': async (config) => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: MINUTE, endTimeout: 60_000, ...config }));
    socket.outbound.next('x');
    void socket.end();
    await turns();
    return socket;
  },
};

describe('destroy()', () => {
  leavesNothingOpen();

  for (const [phase, enter] of Object.entries({ ...PHASES, ...OPEN_PHASES })) {
    it(`leaves nothing of a socket that is ${phase} [S11]`, async () => {
      const before = openHandles();
      const abort = new AbortController();
      const socket = await enter({ signal: abort.signal, name: 'lifetime' });
      const inbound = tape(socket.inbound);
      const written = outcome(socket.write('last'));
      const [flushed, ended] = [socket.flush(), socket.writeAll(NEVER)];
      socket.destroy();
      expect(inbound.ended).to.equal('completed');
      expect(await written).to.be.instanceOf(Error);
      expect(await outcome(ended)).to.be.instanceOf(ClosedError);
      await flushed;
      await socket.end();
      const statuses = tape(socket.status);
      expect([statuses.values, statuses.ended]).to.deep.equal([[{ type: 'closed' }], 'completed']);
      expect(getEventListeners(abort.signal, 'abort')).to.be.empty;
      expect(countByName().lifetime).to.be.undefined;
      expect(socket.stats()).to.include({ queuedFrames: 0, queuedBytes: 0, inFlightFrames: 0, heldBytes: 0 });
      const timers = (kinds: readonly string[]): number => kinds.filter((kind) => kind === 'Timeout').length;
      expect(timers(openHandles())).to.equal(timers(before));
    });

    it(`errors inbound with the error that it is given when it is ${phase}, and says so in the status [S11]`, async () => {
      const socket = await enter();
      const inbound = tape(socket.inbound);
      const mine = new Error('mine');
      socket.destroy(mine);
      socket.destroy(new Error('too late'));
      expect(inbound.error).to.equal(mine);
      const [closed] = tape(socket.status).values as [{ type: 'closed'; cause: ClosedError }];
      expect(closed.type).to.equal('closed');
      expect(closed.cause).to.be.instanceOf(ClosedError).and.to.include({ cause: mine });
      await socket.end();
    });
  }

  it('closes in order, with the outcomes of messages first [S11][S3]', async () => {
    const socket = await PHASES['in backoff']!();
    const entries = journal(socket);
    for (const message of ['a', 'b']) socket.outbound.next(message);
    socket.destroy();
    await socket.end().then(() => entries.push('end() resolved'));
    expect(entries).to.deep.equal(['outcome of a', 'outcome of b', ...CLOSING_ORDER]);
  });

  it('is what outbound.error() does [S11]', async () => {
    const socket = await PHASES['in backoff']!();
    const inbound = tape(socket.inbound);
    const mine = new Error('mine');
    socket.outbound.error(mine);
    expect(inbound.error).to.equal(mine);
    await socket.end();
  });

  it('may come from inside anything that a socket calls [S11][S10]', async () => {
    const server = await listen((peer) => void peer.write('x'.repeat(100)));
    const places: ((socket: TcpSocket) => unknown)[] = [
      (socket) => socket.inbound.subscribe(() => socket.destroy()),
      (socket) => socket.connections.subscribe(() => socket.destroy()),
      (socket) => socket.status.subscribe(({ type }) => type === 'open' && socket.destroy()),
      (socket) => socket.status.subscribe(({ type }) => type === 'connecting' && socket.destroy()),
      (socket) => socket.status.subscribe(({ type }) => type === 'closing' && socket.destroy()),
      (socket) => socket.writable.subscribe((room) => room || socket.destroy()),
      (socket) => socket.write('y').then(() => socket.destroy()),
    ];
    for (const place of places) {
      const socket = kept(tcpSocket({ host, port: server.port, writeBuffer: 1 }));
      void place(socket);
      socket.outbound.next('x');
      void tape(socket.connections)
        .at(0)
        .then(() => socket.end({ timeout: 100 }))
        .catch(() => undefined);
      await tape(socket.status).end;
      const late = tape(socket.connections);
      expect([late.values, late.ended]).to.deep.equal([[], 'completed']);
    }
  });
});

describe('end()', () => {
  leavesNothingOpen();

  for (const [phase, enter] of Object.entries(PHASES)) {
    it(`closes a socket at once that is ${phase} and has nothing to write [S11]`, async () => {
      const socket = await enter({ endTimeout: 60_000 });
      const statuses = tape(socket.status);
      await socket.end();
      expect(statuses.ended).to.equal('completed');
      expect(tape(socket.inbound).ended).to.equal('completed');
      expect(socket.stats().epoch).to.equal(0);
    });
  }

  for (const [phase, enter] of Object.entries({ ...PHASES, ...OPEN_PHASES })) {
    if (phase.startsWith('idle') || phase === 'open and quiet' || phase.startsWith('closing')) continue;
    it(`gives a socket that is ${phase} until its deadline, then what is left its outcome [S11][S3]`, async () => {
      const socket = await enter();
      const entries = journal(socket);
      const written = outcome(socket.write('last'));
      await socket.end({ timeout: 1 }).then(() => entries.push('end() resolved'));
      const result = await written;
      if (!phase.includes('nobody reads')) expect(result).not.to.equal('written');
      // An open connection may take it in time.
      if (result !== 'written') {
        expect(result).to.be.instanceOf(WriteError);
        if (!phase.includes('nobody reads')) expect(result).to.include({ fate: 'unsent' });
        expect((result as WriteError).cause).to.be.instanceOf(ClosedError);
        expect(entries.filter((entry) => entry.startsWith('outcome'))).to.include('outcome of last');
      }
      expect(entries.filter((entry) => !entry.startsWith('outcome'))).to.deep.equal(CLOSING_ORDER);
    });
  }

  it('writes what is queued, sends FIN, reads on until the FIN of the peer, and closes in order [S11][S1]', async () => {
    const server = await listen((peer) => {
      const received: Buffer[] = [];
      peer.on('data', (chunk: Buffer) => received.push(chunk));
      peer.on('end', () => peer.end(`got ${Buffer.concat(received).toString()}`));
    });
    const socket = kept(tcpSocket({ host, port: server.port }));
    const inbound = tape(socket.inbound);
    const entries = journal(socket);
    for (const frame of ['a', 'b', 'c']) socket.outbound.next(frame);
    await socket.end().then(() => entries.push('end() resolved'));
    expect(Buffer.concat(inbound.values).toString()).to.equal('got abc');
    expect(entries).to.deep.equal(CLOSING_ORDER);
    expect(tape(socket.errors).values).to.deep.equal([]);
    expect(socket.stats()).to.include({ framesWritten: 3, drops: 0 });
    expect(await tape(socket.status).at(0)).to.deep.equal({ type: 'closed' });
  });

  it('dials and writes on until what was accepted is written, cutting a backoff short [S11][S3]', async () => {
    const port = await deadPort();
    const socket = kept(tcpSocket({ host, port, settle: 0, reconnect: MINUTE }));
    const written = outcome(socket.write('x'));
    await tape(socket.status).first(({ type }) => type === 'backoff');
    const server = await recordingServer(undefined, port);
    await socket.end();
    expect(await written).to.equal('written');
    await (await server.recording(0)).has('x');
  });

  it('cuts a backoff short also from inside the status that tells of it [S11]', async () => {
    let dials = 0;
    const dial = (): FakeStream => {
      if (dials++ === 0) throw nodeError('ECONNREFUSED');
      return new FakeStream();
    };
    const socket = kept(
      tcpSocket({ dial: () => Promise.resolve().then(dial), settle: 0, reconnect: MINUTE, endTimeout: 1_000 }),
    );
    socket.status.subscribe(({ type }) => {
      if (type === 'backoff') void socket.end();
    });
    expect(await outcome(socket.write('y'))).to.equal('written');
  });

  it('cuts a backoff short once only: the next waits as it would have [S11]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: MINUTE, endTimeout: 60_000 }));
    const errors = tape(socket.errors);
    void socket.write('x');
    await tape(socket.status).first(({ type }) => type === 'backoff');
    void socket.end();
    await errors.at(1);
    await turns(200);
    expect(socket.stats().dials).to.equal(2);
    socket.destroy();
  });

  it('survives a drop while it drains, and writes the rest on the next connection [S11][S2]', async () => {
    const server = await recordingServer((peer, index) => {
      if (index === 0) resetAfter(peer);
      return index === 0;
    });
    const reconnect = { initialDelay: 1, maxDelay: 1 };
    const config = { settle: 0, reconnect, writeBuffer: { bytes: 2 * HUGE } };
    const socket = kept(tcpSocket({ host, port: server.port, ...config }));
    const written = [Buffer.alloc(HUGE), 'tail'].map((message) => outcome(socket.write(message)));
    await socket.end();
    expect(await Promise.all(written)).to.deep.equal(['written', 'written']);
    const recording = await server.recording(1);
    expect(recording.bytes.length).to.equal(HUGE + 4);
  });

  it('resolves when the peer resets after our FIN, and does not dial again [S11]', async () => {
    const server = await listen((peer) => {
      peer.resume();
      peer.once('end', () => peer.resetAndDestroy());
    });
    const socket = kept(tcpSocket({ host, port: server.port, settle: 0, reconnect: { initialDelay: 1, maxDelay: 1 } }));
    await socket.write('x');
    await socket.end();
    await turns();
    expect(server.sockets).to.have.length(1);
    expect(socket.stats().dials).to.equal(1);
  });

  it('hands out what a hold keeps back before it ends, whoever ended first [S11][S6]', async () => {
    const server = await listen((peer) => {
      peer.write('held');
      sink(peer, 0);
    });
    const socket = kept(tcpSocket({ host, port: server.port, endTimeout: 60_000 }));
    const release = socket.pause();
    const inbound = tape(socket.inbound);
    while (socket.stats().heldBytes === 0) await turns(1);
    const ended = socket.end();
    await turns();
    expect(inbound.values).to.deep.equal([]);
    release();
    await ended;
    expect(inbound.values.map(String)).to.deep.equal(['held']);
    expect(inbound.ended).to.equal('completed');
  });

  it('discards what comes when nobody subscribes, so that the peer can finish [S11]', async () => {
    const server = await listen((peer) => {
      peer.resume();
      peer.once('end', () => peer.end(Buffer.alloc(8 * 1024 * 1024)));
    });
    const socket = kept(tcpSocket({ host, port: server.port, endTimeout: 60_000 }));
    await tape(socket.connections).at(0);
    await socket.end();
    expect(socket.stats().bytesRead).to.equal(8 * 1024 * 1024);
  });

  it('has the peer receive all that was written, though it wrote what nobody here read [S11][S4]', async () => {
    const received = { bytes: 0 };
    const server = await listen((peer) => {
      peer.write(Buffer.alloc(200_000));
      peer.on('data', (chunk: Buffer) => (received.bytes += chunk.length));
      peer.once('end', () => peer.end());
    });
    const socket = kept(tcpSocket({ host, port: server.port }));
    socket.outbound.next(Buffer.alloc(2 * 1024 * 1024));
    await socket.end();
    expect(received.bytes).to.equal(2 * 1024 * 1024);
  });

  it('gives every call the same promise, and is what complete() and dispose do [S11]', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port }));
    const ended = socket.end();
    expect(socket.end({ timeout: 1 })).to.equal(ended);
    expect(socket.end()).to.equal(ended);
    await ended;
    expect(socket.end()).to.equal(ended);
    const completed = kept(tcpSocket({ host, port: server.port }));
    await completed.write('x');
    completed.outbound.complete();
    await tape(completed.status).first(({ type }) => type === 'closed');
    const disposed = kept(tcpSocket({ host, port: server.port }));
    await disposed.write('x');
    await disposed[Symbol.asyncDispose]();
    expect(tape(disposed.status).ended).to.equal('completed');
  });

  it('accepts nothing more: next() is a no-op, write() rejects, outbound has completed [S11][S3]', async () => {
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port }));
    const outbound = tape(socket.outbound);
    socket.outbound.next('a');
    const ended = socket.end();
    expect(outbound.ended).to.equal('completed');
    socket.outbound.next('b');
    const late = (await outcome(socket.write('c'))) as ClosedError;
    expect(late).to.be.instanceOf(ClosedError);
    expect(await outcome(socket.writeAll(['d']))).to.be.instanceOf(ClosedError);
    await ended;
    expect((await server.recording(0)).text).to.equal('a');
    expect(tape(socket.errors).values).to.deep.equal([]);
    expect(socket.stats().framesRefused).to.equal(0);
  });

  it('is resolved by destroy() [S11]', async () => {
    const socket = await OPEN_PHASES['closing, and the peer never ends']!();
    const ended = socket.end();
    socket.destroy();
    await ended;
  });

  it('may come from inside an inbound frame, and still reads to the end [S11]', async () => {
    const server = await listen((peer) => {
      peer.write('one');
      peer.once('end', () => peer.end('two'));
      peer.resume();
    });
    const socket = kept(tcpSocket({ host, port: server.port }));
    const inbound = tape(socket.inbound);
    socket.inbound.subscribe(() => void socket.end());
    await inbound.end;
    expect(inbound.values.map(String)).to.deep.equal(['one', 'two']);
  });

  it('refuses a timeout that is none', async () => {
    const socket = await PHASES['in backoff']!();
    for (const timeout of [-1, NaN, Infinity, 2 ** 31, '1']) {
      expect(() => void socket.end({ timeout: timeout as number }), String(timeout)).to.throw(/`timeout`/);
    }
    expect(tape(socket.status).values[0]).to.include({ type: 'backoff' });
  });
});

describe('a lazy socket', () => {
  leavesNothingOpen();

  it('dials at its first inbound subscriber, and not before [S11]', async () => {
    const server = await listen(echo);
    const socket = kept(tcpSocket({ host, port: server.port, lazyConnect: true }));
    socket.errors.subscribe();
    socket.connections.subscribe();
    socket.writable.subscribe();
    await turns(50);
    expect(server.sockets).to.have.length(0);
    expect(tape(socket.status).values).to.deep.equal([{ type: 'idle' }]);
    socket.inbound.subscribe();
    await server.socket(0);
  });

  it('dials at its first accepted message, and not for a refused one', async () => {
    const server = await listen(echo);
    const socket = kept(tcpSocket({ host, port: server.port, lazyConnect: true }));
    void socket.write(null as never);
    await turns(50);
    expect(server.sockets).to.have.length(0);
    await socket.write('x');
    await server.socket(0);
  });

  it('can be collected when it is dropped unopened [S11]', async () => {
    const unopened = (): WeakRef<TcpSocket> =>
      new WeakRef(tcpSocket({ host, port: 1, lazyConnect: true, name: 'dropped' }));
    const socket = unopened();
    for (let i = 0; i < 50 && socket.deref() !== undefined; i++) {
      await turns(5);
      gc?.();
    }
    expect(socket.deref()).to.be.undefined;
  });
});

describe('a socket under its deadline', () => {
  leavesNothingOpen();

  it('gives a lookup that hangs up after connectTimeout, and tells the phase [S11]', async () => {
    const lookup = { host: 'nowhere.invalid', port: 1, socket: { lookup: hanging } };
    const socket = kept(tcpSocket({ ...lookup, connectTimeout: 1, reconnect: MINUTE }));
    const error = await tape(socket.errors).at(0);
    expect(error).to.be.instanceOf(ConnectTimeoutError).and.to.include({ phase: 'lookup', timeout: 1 });
  });

  it('gives a connect that hangs up after connectTimeout, and tells the phase [S11]', async () => {
    const port = await unansweredPort();
    const before = openHandles();
    const socket = kept(tcpSocket({ host, port, connectTimeout: 1, reconnect: MINUTE }));
    const error = await tape(socket.errors).at(0);
    expect(error).to.be.instanceOf(ConnectTimeoutError).and.to.include({ phase: 'connect', timeout: 1 });
    socket.destroy();
    await noneLeft(before);
  });

  it('leaves as much as it found after many drops and redials [S11]', async () => {
    const server = await listen((peer) => resetAfter(peer));
    const before = openHandles();
    const socket = kept(tcpSocket({ host, port: server.port, settle: 0, reconnect: { initialDelay: 1, maxDelay: 1 } }));
    for (let i = 1; i <= 50; i++) {
      await tape(socket.connections).first(({ epoch }) => epoch >= i);
      await socket.write('x');
    }
    socket.destroy();
    await noneLeft(before);
  });
});
