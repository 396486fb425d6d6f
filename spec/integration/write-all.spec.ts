import { once } from 'node:events';
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { concat, from, NEVER, Observable, of, Subject, throwError } from 'rxjs';
import { expect } from 'chai';
import {
  ClosedError,
  ConfigError,
  ConnectionLostError,
  FrameError,
  lines,
  OverflowError,
  tcpSocket,
  WriteError,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { FakeDials, FakeStream, nodeError } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { deadPort, echo, listen, recordingServer, sink } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const never: TcpSocketConfig = { reconnect: { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 } };

/** Items that know how far they were pulled, and whether they were closed. */
class Pulled {
  pulled = 0;
  closed = 0;
  readonly #limit: number;

  constructor(limit = Infinity) {
    this.#limit = limit;
  }

  *[Symbol.iterator](): Generator<string> {
    try {
      while (this.pulled < this.#limit) yield `${String(this.pulled++)},`;
    } finally {
      this.closed++;
    }
  }

  async *later(): AsyncGenerator<string> {
    for (const item of this) {
      await turns(1);
      yield item;
    }
  }
}

const FIVE = '0,1,2,3,4,';

async function recorded(config: TcpSocketConfig = {}) {
  const server = await recordingServer();
  const socket = kept(tcpSocket({ host, port: server.port, ...config }));
  return { socket, recording: await server.recording(0) };
}

/** A socket without a connection for as long as the spec runs. */
async function down(config: TcpSocketConfig = {}) {
  return kept(tcpSocket({ host, port: await deadPort(), ...never, ...config }));
}

describe('writeAll()', () => {
  leavesNothingOpen();

  const sources: Record<string, () => unknown> = {
    'an iterable': () => new Pulled(5),
    'an array': () => [...new Pulled(5)],
    'a generator': () => new Pulled(5)[Symbol.iterator](),
    'an async generator': () => new Pulled(5).later(),
    'a Readable': () => Readable.from([...new Pulled(5)]),
    'a Readable of bytes': () => Readable.from([Buffer.from('0,1,'), Buffer.from('2,3,4,')], { objectMode: false }),
    'a ReadableStream': () => ReadableStream.from(new Pulled(5).later()),
    'an Observable': () => from(new Pulled(5)),
    'an Observable that emits later': () => from(new Pulled(5).later()),
    'a Promise': () => Promise.resolve(FIVE),
    'a Set': () => new Set(new Pulled(5)),
  };
  for (const [name, make] of Object.entries(sources)) {
    it(`writes all of ${name} in order, resolves when it is written, and the socket lives on [S1]`, async () => {
      const { socket, recording } = await recorded();
      await socket.writeAll(make() as never);
      expect(socket.stats().queuedFrames).to.equal(0);
      await recording.has(FIVE.length);
      await socket.write('!');
      await recording.has('!');
      expect(recording.text).to.equal(`${FIVE}!`);
    });
  }

  it('writes what another socket reads, and what a connection reads', async () => {
    const upstream = await listen((peer) => void peer.end('from upstream'));
    const source = kept(tcpSocket({ host, port: upstream.port, reconnect: false }));
    const { socket, recording } = await recorded();
    await socket.writeAll(source);
    await recording.has('from upstream');
    const again = kept(tcpSocket({ host, port: upstream.port, reconnect: false }));
    await socket.writeAll(await tape(again.connections).at(0));
    await recording.has('from upstreamfrom upstream');
  });

  it('resolves for an empty source', async () => {
    const socket = await down();
    await socket.writeAll([]);
    await socket.writeAll(of());
  });

  it('pulls one item when there is room, and never overflows [S5]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ dial: dials.dial, writeBuffer: 3 }));
    const errors = tape(socket.errors);
    const source = new Pulled(10);
    const all = outcome(socket.writeAll(source));
    await tape(socket.status).first(({ type }) => type === 'open');
    let confirmed = 0;
    while (confirmed < 10) {
      await turns(3);
      expect(socket.stats().queuedFrames).to.be.at.most(3);
      expect(source.pulled).to.be.at.most(confirmed + 3 + 1);
      const write = dials.streams[0]!.writes.at(-1)!;
      confirmed += write.bytes.toString().split(',').length - 1;
      write.done();
    }
    expect(await all).to.equal('written');
    expect(errors.values).to.deep.equal([]);
    expect(source.closed).to.equal(1);
  });

  it('waits for room in bytes too, and lets nobody pass who asked later [S5][S1]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ dial: dials.dial, writeBuffer: { bytes: 10 } }));
    await tape(socket.status).first(({ type }) => type === 'open');
    socket.outbound.next('12345678');
    const big = outcome(socket.writeAll(['abcdef']));
    const small = outcome(socket.writeAll(['z']));
    await turns(3);
    expect(socket.stats().queuedFrames).to.equal(1);
    for (let i = 0; i < 2; i++) {
      dials.streams[0]!.writes[i]!.done();
      await turns(3);
    }
    expect([await big, await small]).to.deep.equal(['written', 'written']);
    expect(dials.streams[0]!.texts.join('')).to.equal('12345678abcdefz');
  });

  it('waits through an outage, and is written when the server is up [S2][S3]', async () => {
    const port = await deadPort();
    const socket = kept(
      tcpSocket({ host, port, settle: 0, writeBuffer: 2, reconnect: { initialDelay: 1, maxDelay: 2 } }),
    );
    const all = outcome(socket.writeAll(new Pulled(20)));
    await tape(socket.errors).at(3);
    const server = await recordingServer(undefined, port);
    expect(await all).to.equal('written');
    const recording = await server.recording(0);
    await recording.has('19,');
    expect(recording.text).to.equal([...new Pulled(20)].join(''));
  });

  it('interleaves several sources message by message, each in its order [S1]', async () => {
    const { socket, recording } = await recorded({ writeBuffer: 2 });
    const items = (name: string): string[] => Array.from({ length: 30 }, (_, i) => `${name}${String(i)} `);
    await Promise.all([socket.writeAll(items('a')), socket.writeAll(items('b'))]);
    await recording.has('a29 ');
    await recording.has('b29 ');
    const written = recording.text.trim().split(' ');
    for (const name of ['a', 'b']) {
      const own = written.filter((item) => item.startsWith(name));
      expect(own).to.deep.equal(items(name).map((item) => item.trim()));
    }
    expect(written.findIndex((item) => item.startsWith('b'))).to.be.lessThan(20);
  });

  it('resolves only when the last of its messages is written', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ dial: dials.dial }));
    let resolved = false;
    const all = socket.writeAll(['a', 'b']).then(() => (resolved = true));
    await tape(socket.status).first(({ type }) => type === 'open');
    await turns(3);
    expect(resolved).to.be.false;
    dials.streams[0]!.writes[0]!.done();
    await all;
  });

  it('gives the values of an Observable to the overflow policy, and stops at the first that is refused [S5][S3]', async () => {
    const socket = await down({ writeBuffer: 2 });
    const source = new Subject<string>();
    const all = outcome(socket.writeAll(source));
    for (const message of ['a', 'b', 'c']) source.next(message);
    expect(await all)
      .to.be.instanceOf(OverflowError)
      .and.to.include({ undelivered: 'c' });
    expect(source.observed).to.be.false;
    expect(socket.stats()).to.include({ queuedFrames: 2 });
  });

  it('stops at the first item that cannot be encoded: closes the source and rejects with that error [S3]', async () => {
    const { socket, recording } = await recorded();
    let closed = false;
    function* items(): Generator {
      try {
        yield 'a';
        yield 7;
        yield 'never';
      } finally {
        closed = true;
      }
    }
    const errors = tape(socket.errors);
    const error = await outcome(socket.writeAll(items() as never));
    expect(error).to.be.instanceOf(FrameError).and.to.include({ kind: 'encode' });
    expect(errors.values).to.deep.equal([error]);
    expect(closed).to.be.true;
    await socket.write('b');
    await recording.has(2);
    expect(recording.text).to.equal('ab');
  });

  it('stops at an item that is larger than the buffer, where waiting would be for ever [S5]', async () => {
    const socket = await down({ writeBuffer: { bytes: 10 } });
    const error = await outcome(socket.writeAll(['a', 'x'.repeat(11), 'b']));
    expect(error).to.be.instanceOf(OverflowError);
    expect(socket.stats().queuedFrames).to.equal(1);
  });

  it('stops when one of its messages is given up: closes the source and rejects with that WriteError [S3]', async () => {
    const dials = new FakeDials(() => new FakeStream(({ done }) => done(nodeError('EPIPE'))));
    const socket = kept(tcpSocket({ dial: dials.dial, ...never, retryLimit: 0, writeBuffer: 1 }));
    const source = new Pulled();
    expect(await outcome(socket.writeAll(source)))
      .to.be.instanceOf(WriteError)
      .and.to.include({ fate: 'unknown', undelivered: '0,' });
    expect(source.closed).to.equal(1);
    expect(source.pulled).to.be.at.most(2);
  });

  for (const [name, source] of [
    [
      'an Observable',
      () =>
        concat(
          of('a'),
          throwError(() => new Error('mine')),
        ),
    ],
    ['a generator', () => failing()],
    ['an async generator', () => Readable.from(failing())],
    ['a Promise', () => Promise.reject(new Error('mine'))],
  ] as const) {
    it(`rejects with the error of its source, ${name}; what came before it is written`, async () => {
      const { socket, recording } = await recorded();
      expect(await outcome(socket.writeAll(source() as never))).to.include({ message: 'mine' });
      await socket.write('!');
      await recording.has('!');
      expect(recording.text).to.equal(name === 'a Promise' ? '!' : 'a!');
    });
  }

  for (const how of ['end', 'destroy'] as const) {
    it(`rejects with ClosedError when the socket's ${how}() comes, and closes its source [S3][S11]`, async () => {
      const socket = await down({ writeBuffer: 2 });
      const source = new Pulled();
      const observable = new Subject<string>();
      const all = [source, observable].map((each) => outcome(socket.writeAll(each as never)));
      await turns(2);
      if (how === 'end') void socket.end({ timeout: 1 });
      else socket.destroy();
      for (const error of await Promise.all(all)) expect(error).to.be.instanceOf(ClosedError);
      expect(source.closed).to.equal(1);
      expect(observable.observed).to.be.false;
      expect(await outcome(socket.writeAll(NEVER))).to.be.instanceOf(ClosedError);
    });
  }

  it('closes a Readable whose read is pending when the socket ends [S11]', async () => {
    const socket = await down();
    const readable = new Readable({ read: () => undefined });
    const all = outcome(socket.writeAll(readable));
    await turns(2);
    const closed = once(readable, 'close');
    socket.destroy();
    expect(await all).to.be.instanceOf(ClosedError);
    await closed;
  });

  it('closes a ReadableStream whose read is pending when the socket ends [S11]', async () => {
    const socket = await down();
    let cancel: () => void = () => undefined;
    const cancelled = new Promise<void>((resolve) => (cancel = resolve));
    const all = outcome(socket.writeAll(new ReadableStream<string>({ cancel })));
    await turns(2);
    socket.destroy();
    expect(await all).to.be.instanceOf(ClosedError);
    await cancelled;
  });

  it('resolves if the socket ends after its source has, and its messages are written [S3]', async () => {
    const { socket } = await recorded();
    const all = outcome(socket.writeAll(['a', 'b']));
    await socket.end();
    expect(await all).to.equal('written');
  });

  it('leaves a source alone that it has not to close: `outbound` subscribers hear nothing of it', async () => {
    const { socket } = await recorded();
    const outbound = tape(socket.outbound);
    await socket.writeAll(['a']);
    await socket.write('b');
    socket.outbound.next('c');
    expect(outbound.values).to.deep.equal(['c']);
    expect(outbound.ended).to.be.undefined;
  });

  for (const source of ['text', Buffer.from('bytes'), new Uint8Array(3), new DataView(new ArrayBuffer(2))]) {
    it(`refuses ${Object.prototype.toString.call(source)} as a source, which would be one message per character`, async () => {
      const socket = await down();
      expect(await outcome(socket.writeAll(source as never))).to.be.instanceOf(ConfigError);
      expect(socket.stats().queuedFrames).to.equal(0);
    });
  }

  for (const source of [undefined, null, 7, true, {}, () => 1]) {
    it(`rejects for ${inspect(source)}, which is no source`, async () => {
      const socket = await down();
      expect(await outcome(socket.writeAll(source as never))).to.be.instanceOf(Error);
    });
  }
});

describe('writeAll() and sources that misbehave', () => {
  leavesNothingOpen();

  it('rejects, and destroys the socket whole, when closing the source throws [S3][S11]', async () => {
    const socket = await down({ writeBuffer: 1 });
    function* items(): Generator<string> {
      try {
        for (;;) yield 'x';
      } finally {
        throwMine();
      }
    }
    const all = outcome(socket.writeAll(items()));
    const other = outcome(socket.writeAll(NEVER));
    socket.destroy();
    expect(await all).to.be.instanceOf(Error);
    expect(await other).to.be.instanceOf(ClosedError);
    await socket.end();
    expect(tape(socket.status).ended).to.equal('completed');
  });

  it('rejects, and destroys the socket whole, when the teardown of an Observable throws [S3][S11]', async () => {
    const socket = await down();
    const all = outcome(socket.writeAll(new Observable<string>(() => throwMine)));
    socket.destroy();
    expect(await all).to.be.instanceOf(Error);
    await socket.end();
    expect(tape(socket.status).ended).to.equal('completed');
  });

  for (const how of ['destroy', 'end'] as const) {
    it(`rejects when the source itself calls ${how}(), and the socket is closed whole [S3][S11]`, async () => {
      const socket = await down();
      function* items(): Generator<string> {
        yield 'a';
        if (how === 'destroy') socket.destroy();
        else void socket.end({ timeout: 1 });
        yield 'b';
      }
      expect(await outcome(socket.writeAll(items()))).to.be.instanceOf(Error);
      await socket.end();
      expect(tape(socket.status).ended).to.equal('completed');
      expect(socket.stats().queuedFrames).to.equal(0);
    });
  }

  const broken: Record<string, unknown> = {
    'answers nothing from next()': { [Symbol.iterator]: () => ({ next: () => undefined }) },
    'answers no result from next()': { [Symbol.asyncIterator]: () => ({ next: async () => undefined }) },
    'throws from next()': { [Symbol.asyncIterator]: () => ({ next: throwMine }) },
    'throws when it is asked for an iterator': { [Symbol.iterator]: throwMine },
    'answers no iterator': { [Symbol.asyncIterator]: () => undefined },
    'throws from subscribe()': new Observable(throwMine),
  };
  for (const [name, source] of Object.entries(broken)) {
    it(`rejects when a source ${name}, and the socket lives on`, async () => {
      const { socket, recording } = await recorded();
      expect(await outcome(socket.writeAll(source as never))).to.be.instanceOf(Error);
      await socket.write('!');
      await recording.has('!');
    });
  }

  it('pulls a source that is written while it is pulled without a growing stack, 100,000 items long', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port, writeBuffer: 10 }));
    await socket.writeAll(new Pulled(100_000));
    expect(socket.stats().framesWritten).to.equal(100_000);
  });

  it('echoes a stream through a server and back into another, in order [S1]', async () => {
    const server = await listen(echo);
    const there = kept(tcpSocket({ host, port: server.port, codec: lines() }));
    const { socket: back, recording } = await recorded();
    const items = Array.from({ length: 500 }, (_, i) => `line ${String(i)}`);
    void there.writeAll(items);
    const all = back.writeAll(there);
    await recording.has('line 499');
    expect(recording.text).to.equal(items.join(''));
    there.destroy();
    await all;
  });
});

function* failing(): Generator<string> {
  yield 'a';
  throw new Error('mine');
}

function throwMine(): never {
  throw new Error('mine');
}

describe('writeAll() from another socket, or a connection', () => {
  leavesNothingOpen();
  const MIB = 1024 * 1024;

  /** A server that writes so many numbers, eight bytes each, in pieces, and ends; and how many of its bytes were taken. */
  async function upstream(numbers: number, end = true) {
    const state = { taken: 0 };
    const server = await listen((peer) => {
      function* pieces(): Generator<Buffer> {
        while (state.taken < numbers * 8) {
          const piece = Buffer.alloc(Math.min(8_000, numbers * 8 - state.taken));
          for (let at = 0; at < piece.length; at += 8) piece.writeDoubleBE((state.taken + at) / 8, at);
          state.taken += piece.length;
          yield piece;
        }
      }
      const source = Readable.from(pieces()).on('error', () => undefined);
      source.pipe(peer.resume(), { end });
    });
    return { server, state, port: server.port };
  }

  /** Reads numbers, and keeps the first that is not the one that had to come. */
  function counter() {
    let [rest, wrong]: [Buffer, string | undefined] = [Buffer.alloc(0), undefined];
    const state = {
      count: 0,
      get wrong() {
        return wrong;
      },
      take: (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk]);
        for (; rest.length >= 8; rest = rest.subarray(8)) {
          const number = rest.readDoubleBE(0);
          if (number !== state.count) wrong ??= `${String(number)} in place of ${String(state.count)}`;
          state.count++;
        }
      },
    };
    return state;
  }

  /** A number once it has stayed the same for many turns. */
  async function settled(read: () => number): Promise<number> {
    let [last, same] = [read(), 0];
    while (same < 2_000) {
      await turns(1);
      same = read() === last ? same + 1 : 0;
      last = read();
    }
    return last;
  }

  const kinds = {
    'a socket': (from: TcpSocket) => Promise.resolve(from),
    'a connection': (from: TcpSocket) => tape(from.connections).at(0),
  };
  for (const [name, sourceOf] of Object.entries(kinds)) {
    it(`stops reading ${name} while its own peer does not read, and loses nothing [S1][S5][S6]`, async () => {
      const numbers = 6 * MIB;
      const { state, port } = await upstream(numbers);
      const got = counter();
      const sinkServer = await listen((peer) => void peer.pause());
      const from = kept(tcpSocket({ host, port, reconnect: false, readBuffer: 4 }));
      const to = kept(tcpSocket({ host, port: sinkServer.port, writeBuffer: { bytes: MIB } }));
      const all = outcome(to.writeAll(await sourceOf(from)));
      const stopped = await settled(() => state.taken);
      expect(stopped).to.be.within(MIB, 40 * MIB);
      expect(from.stats().holds).to.equal(1);
      expect(from.stats().heldBytes + to.stats().queuedBytes).to.be.below(2 * MIB);
      const reader = await sinkServer.socket(0);
      reader.on('data', got.take).once('end', () => reader.end());
      reader.resume();
      expect(await all).to.equal('written');
      await to.end();
      expect([got.count, got.wrong]).to.eql([numbers, undefined]);
    }).timeout(60_000);

    it(`lets go of ${name} when its own socket ends: what was not taken is there for the next reader [S3][S6]`, async () => {
      const numbers = 100_000;
      const { port } = await upstream(numbers);
      const from = kept(tcpSocket({ host, port, reconnect: false, readBuffer: 4 }));
      const source = await sourceOf(from);
      const to = await down({ writeBuffer: { bytes: 200_000 } });
      const errors = tape(to.errors);
      const all = outcome(to.writeAll(source));
      const queued = await settled(() => to.stats().queuedFrames);
      to.destroy();
      expect(await all).to.be.instanceOf(ClosedError);
      expect(from.stats().holds).to.equal(0);
      const got = counter();
      const undelivered = errors.values.flatMap((error) =>
        error instanceof WriteError ? [error.undelivered as Buffer] : [],
      );
      expect(undelivered).to.have.lengthOf(queued + 1); // the last was taken, waited for room, and is told first
      for (const chunk of [...undelivered.slice(1), ...undelivered.slice(0, 1)]) got.take(chunk);
      for await (const chunk of source) got.take(chunk);
      expect([got.count, got.wrong]).to.eql([numbers, undefined]);
    });

    it(`goes on after ${name} has ended: the socket that it was written to lives on [S3]`, async () => {
      const { port } = await upstream(1_000);
      const from = kept(tcpSocket({ host, port, reconnect: false }));
      const { socket, recording } = await recorded();
      await socket.writeAll(await sourceOf(from));
      await socket.write('!');
      await recording.has(8_001);
    });
  }

  it('rejects with the loss of a socket that does not reconnect; what came before it is written', async () => {
    const { server, port } = await upstream(1_000, false);
    const from = kept(tcpSocket({ host, port, reconnect: false }));
    const { socket, recording } = await recorded();
    const all = outcome(socket.writeAll(from));
    await recording.has(8_000);
    (await server.socket(0)).resetAndDestroy();
    expect(await all).to.be.instanceOf(ConnectionLostError);
    await socket.write('!');
    await recording.has(8_001);
  });

  it('resolves at the loss of a connection, whose `closed` tells it', async () => {
    const { server, port } = await upstream(1_000, false);
    const connection = await tape(kept(tcpSocket({ host, port, reconnect: false })).connections).at(0);
    const { socket, recording } = await recorded();
    const all = socket.writeAll(connection);
    await recording.has(8_000);
    (await server.socket(0)).resetAndDestroy();
    await all;
    expect(await connection.closed)
      .to.be.instanceOf(ConnectionLostError)
      .with.property('clean', false);
  });

  it('goes on over the drops of a socket that reconnects [S7]', async () => {
    const server = await listen((peer, index) => void peer.resume().end(`${String(index)},`));
    const from = kept(tcpSocket({ host, port: server.port, reconnect: { initialDelay: 1, maxDelay: 1 } }));
    const { socket, recording } = await recorded();
    const all = outcome(socket.writeAll(from));
    await recording.has('0,1,2,3,');
    await from.end();
    expect(await all).to.equal('written');
  });
});
