/** Rows 22, 23, 47, 48 and 49 of the fault matrix: what users put at the two ends of the streets. */
import { expect } from 'chai';
import { concat, config as rxjs, finalize, from, of, Subject, take, tap, throwError, type Observable } from 'rxjs';
import {
  ClosedError,
  type ConnectionLostError,
  lines,
  tcpSocket,
  WriteError,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { FakeDials, FakeStream } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { stillAlive, until } from '../support/leaks.js';
import { settled } from '../support/peers.js';
import { deadPort, echo, listen, recordingServer, sink } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const soon = { settle: 0, reconnect: { initialDelay: 1, maxDelay: 2 } };
const never = { reconnect: { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 } };
const DEEP = 100_000;

describe('row 22: a subscriber that throws in next', () => {
  leavesNothingOpen();

  const unhandled: unknown[] = [];
  beforeEach(() => {
    unhandled.length = 0;
    rxjs.onUnhandledError = (error) => unhandled.push(error);
  });
  afterEach(() => {
    rxjs.onUnhandledError = null;
  });

  it('at every frame, over a loss: all others and the socket go on, nothing is lost, each throw is told by RxJS [S6][S9]', async () => {
    const server = await listen((peer, index) => {
      peer.write(Array.from({ length: 100 }, (_, i) => `${index}-${i}\n`).join(''));
      if (index === 0) peer.end();
      else echo(peer, index);
    });
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), ...soon }));
    const wanted = [0, 1].flatMap((index) => Array.from({ length: 100 }, (_, i) => `${index}-${i}`));
    const thrown: string[] = [];
    const before = tape(socket.inbound);
    socket.inbound.subscribe((line) => {
      thrown.push(line);
      throw new Error(line);
    });
    socket.connections.subscribe((connection) => {
      connection.inbound.subscribe((line) => {
        throw new Error(`of one connection ${line}`);
      });
    });
    const after = tape(socket.inbound);
    await after.at(wanted.length - 1);
    await socket.write('alive');
    await after.first((line) => line === 'alive');

    for (const heard of [before.values, thrown, after.values]) expect(heard).to.deep.equal([...wanted, 'alive']);
    expect(socket.stats()).to.include({ drops: 1, epoch: 2, framesRead: 201, framesWritten: 1 });
    expect(tape(socket.errors).values.map(({ code }) => code)).to.deep.equal(['TCP_CONNECTION_LOST']);
    await until(() => unhandled.length >= 402);
    const told = unhandled.map((error) => (error as Error).message);
    expect(told.filter((text) => !text.startsWith('of'))).to.deep.equal([...wanted, 'alive']);
    expect(told.filter((text) => text.startsWith('of'))).to.deep.equal(
      [...wanted, 'alive'].map((line) => `of one connection ${line}`),
    );
  });

  it('in an operator behind `inbound` ends that subscription alone, and gives its demand back [S6][S9]', async () => {
    const server = await listen(echo);
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines() }));
    const mine = new Error('mine');
    const failing = tape(
      socket.inbound.pipe(
        tap((line) => {
          if (line === 'b') throw mine;
        }),
      ),
    );
    for (const line of ['a', 'b', 'c']) socket.outbound.next(line);
    await failing.end;
    expect([failing.values, failing.error]).to.deep.equal([['a'], mine]);
    const next = tape(socket.inbound);
    expect(await next.at(0)).to.equal('c');
    expect(unhandled).to.deep.equal([]);
    expect(socket.stats()).to.include({ drops: 0 });
  });

  it('in a `for await` is thrown to the loop, and the socket goes on [S6]', async () => {
    const server = await listen(echo);
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines() }));
    const mine = new Error('mine');
    const loop = async (): Promise<void> => {
      for await (const line of socket) if (line === 'b') throw mine;
    };
    for (const line of ['a', 'b', 'c']) socket.outbound.next(line);
    expect(await outcome(loop())).to.equal(mine);
    expect(await tape(socket.inbound).at(0)).to.equal('c');
    expect(socket.stats()).to.include({ drops: 0, holds: 0 });
  });
});

describe('row 23: a source of the user’s that completes or errors', () => {
  leavesNothingOpen();

  const mine = new Error('mine');
  const failing = (thrown: unknown): Observable<string> =>
    concat(
      of('a', 'b'),
      throwError(() => thrown),
    );

  it('into writeAll() leaves the socket usable: it resolves or rejects, and the next source is written [S3]', async () => {
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port }));
    for (const thrown of [mine, 'mine', undefined, null]) {
      expect(await outcome(socket.writeAll(failing(thrown)))).to.equal(thrown);
    }
    expect(await outcome(socket.writeAll(of('c', 'd')))).to.equal('written');
    socket.outbound.next('e');
    await socket.flush();
    await (await server.recording(0)).has('abababab' + 'cde');
    expect(tape(socket.errors).values).to.deep.equal([]);
    expect(socket.stats()).to.include({ framesWritten: 11, drops: 0, epoch: 1 });
  });

  it('into `outbound`, completing, is end(): all is written, and the end is told everywhere [S3][S11]', async () => {
    const server = await recordingServer();
    const socket = kept(tcpSocket({ host, port: server.port }));
    const [inbound, errors, statuses] = [tape(socket.inbound), tape(socket.errors), tape(socket.status)];
    const other = new Subject<string>();
    other.subscribe(socket.outbound);
    of('a', 'b').subscribe(socket.outbound);
    other.next('of a source that is cut off by the end of the other');
    expect(await outcome(socket.write('late'))).to.be.instanceOf(ClosedError);
    await socket.end();
    expect((await server.recording(0)).text).to.equal('ab');
    expect([inbound.ended, errors.ended, errors.values]).to.deep.equal(['completed', 'completed', []]);
    expect(statuses.values.at(-1)).to.deep.equal({ type: 'closed' });
  });

  it('into `outbound`, completing in an outage, is written on the next connection and ends then [S3][S8]', async () => {
    const port = await deadPort();
    const socket = kept(tcpSocket({ host, port, ...soon }));
    await tape(socket.errors).at(0);
    of('a', 'b').subscribe(socket.outbound);
    const server = await recordingServer(() => false, port);
    await socket.end();
    expect((await server.recording(0)).text).to.equal('ab');
    expect(tape(socket.inbound).ended).to.equal('completed');
  });

  for (const thrown of [mine, 'mine', undefined]) {
    it(`into \`outbound\`, erroring with ${String(thrown)}, is destroy(error): inbound errors, what waits has its outcome [S3][S11]`, async () => {
      const socket = kept(tcpSocket({ host, port: await deadPort(), ...never }));
      const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
      const waiting = outcome(socket.write('waiting'));
      failing(thrown).subscribe(socket.outbound);
      await socket.end();
      expect(inbound.ended).to.equal('errored');
      if (thrown instanceof Error) expect(inbound.error).to.equal(thrown);
      else
        expect(inbound.error)
          .to.be.instanceOf(ClosedError)
          .and.to.satisfy(({ cause }: Error) => cause === thrown);
      const undelivered = errors.values.filter((error) => error instanceof WriteError);
      expect(undelivered.map((error) => [error.undelivered, error.fate])).to.deep.equal(
        ['waiting', 'a', 'b'].map((message) => [message, 'unsent']),
      );
      expect(await waiting).to.equal(undelivered[0]);
      for (const { cause } of undelivered) expect(cause).to.be.instanceOf(ClosedError);
      expect(tape(socket.status).values.at(-1)).to.have.nested.property('cause.code', 'TCP_CLOSED');
      expect(errors.ended).to.equal('completed');
    });
  }
});

describe('row 47: a subscriber that comes after 1 MB', () => {
  leavesNothingOpen();

  for (const end of ['stays', 'ends', 'writes on'] as const) {
    it(`gets all of it in order, though the peer ${end}; until then at most one chunk is held [S6]`, async () => {
      const numbers = Array.from({ length: 131_072 }, (_, i) => String(i).padStart(7, '0'));
      let takeAll: () => void = () => undefined;
      const taken = new Promise<void>((resolve) => (takeAll = resolve));
      const server = await listen((peer, index) => {
        if (index > 0) return sink(peer, index);
        peer.resume();
        peer.once('end', () => peer.end());
        peer.write(`${numbers.join('\n')}\n`, () => takeAll());
        if (end === 'ends') peer.end();
      });
      const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), ...soon }));
      const errors = tape(socket.errors);
      await taken;
      await until(() => socket.stats().heldBytes > 0);
      await settled(() => socket.stats().bytesRead);
      expect(socket.stats().heldBytes).to.be.within(1, 64 * 1024);
      expect(socket.stats()).to.include({ framesRead: 0, drops: 0 });

      const late = tape(socket.inbound);
      if (end === 'writes on') (await server.socket(0)).write('more\n');
      const wanted = end === 'writes on' ? [...numbers, 'more'] : numbers;
      await late.at(wanted.length - 1);
      if (end === 'ends') await errors.at(0);
      expect(late.values.length).to.equal(wanted.length);
      expect(late.values.findIndex((line, i) => line !== wanted[i])).to.equal(-1);
      const losses = end === 'ends' ? [{ clean: true, unread: 0 }] : [];
      expect(errors.values.map((error) => pick(error as ConnectionLostError))).to.deep.equal(losses);
    });
  }

  function pick({ clean, unread }: ConnectionLostError): object {
    return { clean, unread };
  }
});

describe('row 48: subscribers that leave inside next', () => {
  leavesNothingOpen();

  /** A server that writes numbered lines as long as they are taken. */
  async function flood() {
    return listen((peer) => {
      let number = 0;
      const block = (): string => Array.from({ length: 500 }, () => `${String(number++).padStart(7, '0')}\n`).join('');
      const more = (): void => {
        while (peer.writable && peer.write(block()));
      };
      peer.on('drain', more);
      more();
    });
  }

  it('get every frame once between them; when the last has left, reading stops and the server has to wait [S6]', async () => {
    const server = await flood();
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), ...never }));
    const seen: string[] = [];
    for (const count of [1, 1, 2, 1_000, 3, 20_000, 1]) {
      const leaver = tape(socket.inbound.pipe(take(count)));
      await leaver.end;
      seen.push(...leaver.values);
      await turns(2);
    }
    await settled(() => socket.stats().bytesRead);
    const peer = await server.socket(0);
    expect(peer.writableNeedDrain, 'the server waits').to.be.true;
    expect(socket.stats().heldBytes).to.be.within(1, 64 * 1024);
    expect(socket.stats().framesRead).to.equal(seen.length);
    const last = tape(socket.inbound);
    await last.at(50_000);
    seen.push(...last.values);
    expect(seen.findIndex((line, i) => Number(line) !== i)).to.equal(-1);
    expect(socket.stats()).to.include({ drops: 0 });
  });

  it('leave nothing behind: no listener at the stream, no reference to them [S6][S11]', async () => {
    const server = await flood();
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), ...never }));
    const { raw } = await tape(socket.connections).at(0);
    const listeners = (): object => Object.fromEntries(raw.eventNames().map((name) => [name, raw.listenerCount(name)]));
    const before = listeners();
    const left: WeakRef<object>[] = [];
    let gone = 0;
    const comeAndLeave = async (): Promise<void> => {
      const held = { frames: [] as string[] };
      left.push(new WeakRef(held));
      const leaver = tape(
        socket.inbound.pipe(
          take(2),
          tap((line) => held.frames.push(line)),
          finalize(() => gone++),
        ),
      );
      await leaver.end;
    };
    for (let i = 0; i < 500; i++) await comeAndLeave();
    expect(gone).to.equal(500);
    expect(listeners()).to.deep.equal(before);
    expect(await stillAlive(left, 5)).to.be.below(50);
  });
});

describe('row 49: a re-entrant next()', () => {
  leavesNothingOpen();

  /** A stream that gives back at once what is written to it. */
  function mirror(): FakeStream {
    const stream: FakeStream = new FakeStream(({ bytes, done }) => {
      stream.writes.length = 0;
      stream.push(bytes);
      done();
    });
    return stream;
  }

  function open(config: TcpSocketConfig<string, string> = {}) {
    return kept(tcpSocket({ dial: () => mirror(), codec: lines(), ...soon, ...config }));
  }

  const counted = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

  it('from an inbound handler keeps the order, and goes 100,000 deep [S1]', async () => {
    const socket = open();
    let next = 1;
    const all = tape(socket.inbound);
    socket.inbound.subscribe((line) => {
      expect(next).to.equal(Number(line) + 1);
      if (next < DEEP) socket.outbound.next(String(next++));
      else next++;
    });
    socket.outbound.next('0');
    await all.at(DEEP - 1);
    expect(all.values).to.deep.equal(counted(DEEP));
  });

  it('several times from an inbound handler goes behind what is queued, to a real server too [S1]', async () => {
    const server = await listen(echo);
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines() }));
    const all = tape(socket.inbound);
    const expected: string[] = ['0'];
    let next = 1;
    socket.inbound.subscribe(() => {
      for (let i = 0; i < 3 && next < 3_000; i++) {
        expected.push(String(next));
        socket.outbound.next(String(next++));
      }
    });
    socket.outbound.next('0');
    await all.at(2_999);
    expect(all.values).to.deep.equal(counted(3_000)).and.to.deep.equal(expected);
  });

  it('from what follows a write() keeps the order, and goes 100,000 deep [S1][S3]', async () => {
    const socket = open();
    const all = tape(socket.inbound);
    let next = 0;
    const write = (): Promise<void> | undefined => {
      if (next === DEEP) return undefined;
      return socket.write(String(next++)).then(() => void write());
    };
    void write();
    await all.at(DEEP - 1);
    expect(all.values).to.deep.equal(counted(DEEP));
  });

  it('from a status handler keeps the order of the calls [S1]', async () => {
    const dials = new FakeDials(mirror);
    const socket = open({ dial: dials.dial, lazyConnect: true });
    const all = tape(socket.inbound.pipe(finalize(() => undefined)));
    const calls: string[] = [];
    const say = (text: string): void => {
      calls.push(text);
      socket.outbound.next(text);
    };
    let redials = 0;
    socket.status.subscribe((status) => {
      say(`first ${status.type}`);
      say(`second ${status.type}`);
      if (status.type === 'open' && redials++ < 3) socket.redial();
    });
    await tape(socket.connections).first(({ epoch }) => epoch === 4);
    await socket.flush();
    await until(() => all.values.length === calls.length);
    expect(all.values).to.deep.equal(calls);
    expect(calls.filter((text) => text.endsWith('open'))).to.have.length(8);
  });

  it('from a handler of `writable` keeps the order, and goes 100,000 deep [S1]', async () => {
    const socket = open({ writeBuffer: 1 });
    const all = tape(socket.inbound);
    let next = 0;
    socket.writable.subscribe((writable) => {
      if (writable && next < DEEP) socket.outbound.next(String(next++));
    });
    await all.at(DEEP - 1);
    expect(all.values).to.deep.equal(counted(DEEP));
    expect(socket.stats()).to.include({ framesRefused: 0 });
  });

  it('from a handler of `errors` that is refused again goes 100,000 deep [S3][S9]', async () => {
    const socket = open();
    let refused = 0;
    socket.errors.subscribe(() => {
      if (++refused < DEEP) socket.outbound.next('two\nlines');
    });
    socket.outbound.next('two\nlines');
    expect(refused).to.equal(DEEP);
    await socket.write('alive');
    expect(socket.stats()).to.include({ framesRefused: DEEP, framesWritten: 1, errorsDropped: 0 });
  });

  it('from inside `encode` puts the inner message first, and both are written [S1]', async () => {
    const inner = lines();
    const socket = open({
      codec: {
        ...inner,
        encode: (line) => {
          if (line === 'outer') socket.outbound.next('inner');
          return inner.encode(line);
        },
      },
    });
    const all = tape(socket.inbound);
    socket.outbound.next('outer');
    await all.at(1);
    expect(all.values).to.deep.equal(['inner', 'outer']);
  });

  it('from a source that writeAll() pulls goes before the item that it gives [S1]', async () => {
    const socket = open();
    const all = tape(socket.inbound);
    const source = from(['a', 'b']).pipe(tap((line) => socket.outbound.next(`before ${line}`)));
    await socket.writeAll(source);
    await all.at(3);
    expect(all.values).to.deep.equal(['before a', 'a', 'before b', 'b']);
  });
});
