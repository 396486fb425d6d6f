/** Silence, heartbeats and stalled writes: exact times over fake links, and once each on a real socket. */
import { expect } from 'chai';
import { take, timer } from 'rxjs';
import type { ServerConnection, TcpError, TcpSocketConfig } from '../../lib/index.js';
import {
  ConnectionLostError,
  connection,
  FrameError,
  IdleTimeoutError,
  lines,
  tcpServer,
  tcpSocket,
  WriteStallError,
} from '../../lib/index.js';
import { confirmAtOnce, fakeLink, type FakeLink } from '../support/fake-link.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { listen, neverReading, recordingServer } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { opens, virtualSocket, virtualTurns, type VirtualStage } from '../support/virtual-socket.js';

const host = '127.0.0.1';
const KIB = 1024;
const MIB = 1024 * KIB;
type Config = TcpSocketConfig<string, string>;

/** What happened to a socket, with the virtual ms. */
interface Told extends VirtualStage {
  readonly errors: [at: number, code: string][];
  readonly all: TcpError[];
}

/** A socket that reads from the start, destroyed at `end` unless it has ended by then. */
function told(config: Config, end: number, script: (stage: Told) => void, makeLink?: () => FakeLink): Told {
  let staged: Told | undefined;
  virtualSocket(
    { settle: 0, ...config },
    opens,
    (stage) => {
      const [errors, all]: [Told['errors'], TcpError[]] = [[], []];
      stage.socket.errors.subscribe((error) => {
        errors.push([stage.now(), error.code]);
        all.push(error);
      });
      stage.at(end, () => stage.socket.destroy());
      script((staged = { ...stage, errors, all }));
    },
    makeLink,
  );
  return staged!;
}

const takesAll = (): FakeLink => fakeLink(confirmAtOnce);
const heartbeat = { interval: 100, timeout: 50, message: () => 'beat' };

describe('idleTimeout and heartbeat', () => {
  virtualTurns();

  it('drop a silent connection to the ms, tell so once on `errors`, and the socket dials again [S8][S9]', () => {
    for (const config of [{ idleTimeout: 150 }, { heartbeat: { interval: 100, timeout: 50 } }]) {
      let closed: Promise<ConnectionLostError | undefined> | undefined;
      const { errors, dials, all } = told(config, 300, ({ socket, dials: [first], at }) => {
        socket.inbound.subscribe();
        socket.connections.pipe(take(1)).subscribe((live) => {
          closed = live.closed;
        });
        at(20, () => first!.link.chunk('hello\n'));
      });
      expect(errors).to.deep.equal([[170, 'TCP_IDLE_TIMEOUT']]);
      expect(all[0]).to.be.instanceOf(IdleTimeoutError).and.include({ epoch: 1 });
      expect(dials.map(({ at }) => at)).to.deep.equal([0, 220]);
      expect(dials[0]!.gone).to.equal(true);
      expect(closed).to.be.instanceOf(Promise);
    }
  });

  it('give what is known of the connection as its `closed`, with the reason as the cause', async () => {
    let closed: Promise<ConnectionLostError | undefined> | undefined;
    const { all } = told({ idleTimeout: 150 }, 160, ({ socket }) => {
      socket.inbound.subscribe();
      socket.connections.pipe(take(1)).subscribe((live) => {
        closed = live.closed;
      });
    });
    const lost = await closed;
    expect(lost).to.be.instanceOf(ConnectionLostError);
    expect(lost).to.include({ clean: false, endedBy: 'us', age: 150, silence: 150, cause: all[0] });
  });

  it('end a socket without reconnect with their error', () => {
    const ends: unknown[] = [];
    const { all } = told({ idleTimeout: 150, reconnect: false }, 300, ({ socket }) => {
      socket.inbound.subscribe({ error: (error: unknown) => ends.push(error) });
    });
    expect(ends).to.deep.equal(all);
    expect(ends[0]).to.be.instanceOf(IdleTimeoutError);
  });

  it('do not judge without demand: nobody reads, or a hold; and begin anew with it [S6]', () => {
    const { errors } = told({ idleTimeout: 100 }, 2_000, ({ socket, at }) => {
      at(450, () => {
        const reading = socket.inbound.subscribe();
        const release = socket.pause();
        at(450, release); // at 900
        at(540, () => reading.unsubscribe()); // at 990
        at(1_000, () => socket.inbound.subscribe()); // at 1,450
      });
    });
    expect(errors).to.deep.equal([[1_550, 'TCP_IDLE_TIMEOUT'], ...errors.slice(1)]);
    expect(errors[1]![0], 'the second connection').to.equal(1_700);
  });

  it('begin on a connection when it is open, and not before its handshake is done', () => {
    const { errors } = told({ idleTimeout: 100, handshake: () => timer(730) }, 1_000, ({ socket }) => {
      socket.inbound.subscribe();
    });
    expect(errors).to.deep.equal([[830, 'TCP_IDLE_TIMEOUT']]);
  });

  it('end with the connection: nothing is left to happen', () => {
    for (const how of ['destroy', 'lost'] as const) {
      const end = virtualSocket(
        { idleTimeout: 60_000, heartbeat, reconnect: false },
        opens,
        ({ socket, dials, at }) => {
          socket.inbound.subscribe({ error: () => undefined });
          at(70, () => (how === 'lost' ? dials[0]!.link.lost() : socket.destroy()));
        },
      );
      expect(end, how).to.equal(70);
    }
  });
});

describe('the message of a heartbeat', () => {
  virtualTurns();

  it('is written at each interval, whether or not anybody reads, and any byte is an answer', () => {
    const { dials, errors } = told(
      { heartbeat },
      460,
      ({ socket, dials: [first], at, now }) => {
        at(230, () => socket.inbound.subscribe());
        for (const ms of [290, 400]) at(ms, () => first!.link.chunk('half a li'));
        at(459, () => expect(now()).to.equal(459));
      },
      takesAll,
    );
    expect(dials[0]!.link.texts).to.deep.equal(['beat\n', 'beat\n', 'beat\n', 'beat\n']);
    expect(errors).to.deep.equal([]);
  });

  it('is not written while an earlier one is not taken: that would not be either', () => {
    const { dials } = told({ heartbeat }, 1_000, ({ dials: [first], at }) => {
      at(350, () => first!.link.confirm());
      at(390, () => expect(first!.link.texts).to.deep.equal(['beat\n']));
    });
    expect(dials[0]!.link.texts).to.deep.equal(['beat\n', 'beat\n']);
  });

  it('is not written after the end of either side', () => {
    for (const how of ['end', 'fin'] as const) {
      for (const allowHalfOpen of [false, true]) {
        const { dials } = told(
          { heartbeat: { ...heartbeat, timeout: 60_000 }, socket: { allowHalfOpen }, endTimeout: 900 },
          850,
          ({ socket, dials: [first], at }) => {
            at(150, () => (how === 'fin' ? first!.link.fin() : void socket.end()));
          },
          takesAll,
        );
        expect(dials[0]!.link.texts, how).to.deep.equal(['beat\n']);
      }
    }
  });

  it('goes on while an ended socket still writes what was queued', () => {
    const { dials } = told({ heartbeat: { ...heartbeat, timeout: 60_000 } }, 350, ({ socket, at }) => {
      socket.outbound.next('queued');
      at(50, () => void socket.end());
    });
    expect(dials[0]!.link.texts).to.deep.equal(['queued\n', 'beat\n']);
  });

  it('that throws, or cannot be encoded, is a FrameError on `errors` each time, and the connection lives', () => {
    const broken = new Error('no time');
    const messages = [
      () => {
        throw broken;
      },
      () => 'two\nlines',
      () => 'beat',
    ];
    const next = (): string => messages[Math.min(calls++, 2)]!();
    let calls = 0;
    const { errors, all, dials, socket } = told(
      { heartbeat: { ...heartbeat, message: next } },
      350,
      () => undefined,
      takesAll,
    );
    expect(errors).to.deep.equal([
      [100, 'TCP_FRAME'],
      [200, 'TCP_FRAME'],
    ]);
    for (const error of all) expect(error).to.be.instanceOf(FrameError).and.include({ kind: 'encode', epoch: 1 });
    expect(all[0]!.cause).to.equal(broken);
    expect(dials.map(({ link }) => link.texts)).to.deep.equal([['beat\n']]);
    expect(socket.stats()).to.include({ drops: 0, framesWritten: 1 });
  });

  it('counts as a frame written, and passes the queue', () => {
    const { socket, dials } = told({ heartbeat }, 150, ({ socket: made, at }) => {
      at(50, () => made.outbound.next('queued'));
    });
    expect(dials[0]!.link.texts).to.deep.equal(['queued\n', 'beat\n']);
    expect(socket.stats().framesWritten).to.equal(0);
    const taken = told({ heartbeat }, 150, () => undefined, takesAll);
    expect(taken.socket.stats()).to.include({ framesWritten: 1, bytesWritten: 5 });
  });
});

describe('writeTimeout', () => {
  virtualTurns();

  it('drops a connection whose kernel takes nothing, and what was in flight is written again, whole [S2][S9]', () => {
    const long = 'x'.repeat(200 * KIB);
    const { errors, all, dials } = told({ writeTimeout: 100 }, 400, ({ socket, dials: made, at }) => {
      socket.outbound.next(long);
      at(80, () => made[0]!.link.confirm());
    });
    expect(errors.slice(0, 1)).to.deep.equal([[180, 'TCP_WRITE_STALL']]);
    expect(all[0]).to.be.instanceOf(WriteStallError).and.include({ epoch: 1 });
    expect(dials[0]!.link.texts.map(({ length }) => length)).to.deep.equal([64 * KIB, 64 * KIB]);
    expect(dials[1]!.at).to.equal(230);
    expect(dials[1]!.link.texts).to.deep.equal([long.slice(0, 64 * KIB)]);
    expect(errors[1]).to.deep.equal([330, 'TCP_WRITE_STALL']);
  });

  it('rejects what was written past the queue with the loss, whose cause it is', () => {
    const outcomes: unknown[] = [];
    const { all } = told({ writeTimeout: 100 }, 120, ({ socket }) => {
      socket.connections.pipe(take(1)).subscribe((live) => {
        live.write('direct').catch((error: unknown) => outcomes.push(error));
      });
    });
    return Promise.resolve().then(() => {
      expect(outcomes).to.have.length(1);
      expect(outcomes[0]).to.be.instanceOf(ConnectionLostError).and.include({ cause: all[0], unconfirmed: 1 });
    });
  });

  it('leaves a connection alone on which nothing is written', () => {
    expect(told({ writeTimeout: 100 }, 5_000, () => undefined).errors).to.deep.equal([]);
  });

  it('splits no frame by a heartbeat or by what is written past the queue, and sends FIN after the last piece [S1]', () => {
    const long = 'x'.repeat(300 * KIB);
    const config = { writeTimeout: 60_000, heartbeat: { ...heartbeat, timeout: 60_000 } };
    const { dials } = told(config, 2_000, ({ socket, dials: [first], at }) => {
      socket.outbound.next(long);
      socket.connections.pipe(take(1)).subscribe((live) => {
        at(20, () => void live.write('direct'));
      });
      at(150, () => void socket.end());
      for (let ms = 200; ms < 1_000; ms += 50) {
        at(ms, () => {
          const { link } = first!;
          if (link.unanswered > 0) link.confirm();
          if (link.texts.join('').length < long.length + 1) expect(link.ends).to.equal(0);
        });
      }
    });
    const { link } = dials[0]!;
    const frames = link.texts.join('').split('\n');
    expect(frames).to.have.members([long, 'direct', '']);
    expect(frames[0]).to.equal(long);
    expect(link.ends).to.equal(1);
  });
});

describe('silence on a real socket', () => {
  leavesNothingOpen();

  it('drops the connection, and the next dial finds a server that speaks [S8]', async () => {
    const server = await listen((peer, index) => {
      if (index > 0) peer.write('here\n');
    });
    const socket = kept(
      tcpSocket({ host, port: server.port, codec: lines(), idleTimeout: 40, reconnect: { initialDelay: 1 } }),
    );
    const errors = tape(socket.errors);
    await tape(socket.inbound).first((frame) => frame === 'here');
    expect(errors.values[0]).to.be.instanceOf(IdleTimeoutError);
    expect(socket.stats().drops).to.be.at.least(1);
  });

  it('errors connection() with a ConnectionLostError whose cause it is', async () => {
    const server = await listen();
    const live = tape(connection({ host, port: server.port, idleTimeout: 40 }));
    const { inbound } = await live.at(0);
    inbound.subscribe();
    await live.end;
    expect(live.error).to.be.instanceOf(ConnectionLostError).and.include({ clean: false, endedBy: 'us' });
    expect((live.error as ConnectionLostError).cause).to.be.instanceOf(IdleTimeoutError);
  });

  for (const [name, config] of [
    ['idleTimeout', { idleTimeout: 40 }],
    ['heartbeat', { heartbeat: { interval: 20, timeout: 20, message: () => 'are you there?' } }],
  ] as const) {
    it(`makes a server drop a silent client that it reads from, and tell so on its errors: ${name}`, async () => {
      const server = tcpServer({ host, codec: lines(), ...config });
      kept({ destroy: () => server.close() });
      const { port } = await server.listening;
      const errors = tape(server.errors);
      const served = tape(server.connections);
      const client = kept(tcpSocket({ host, port, codec: lines(), reconnect: false }));
      const heard = tape(client.inbound);
      const live: ServerConnection<string, string> = await served.at(0);
      live.inbound.subscribe();
      const error = await errors.at(0);
      expect(error).to.be.instanceOf(IdleTimeoutError).and.include({ epoch: 1 });
      expect(error.endpoint).to.deep.equal(live.endpoint);
      expect(((await live.closed) as ConnectionLostError).cause).to.equal(error);
      await heard.end;
      expect(errors.values).to.deep.equal([error]);
      if (name === 'heartbeat') expect(heard.values[0]).to.equal('are you there?');
    });
  }

  it('is not judged by a server where nobody reads from the client', async () => {
    const server = tcpServer({ host, codec: lines(), idleTimeout: 10 });
    kept({ destroy: () => server.close() });
    const { port } = await server.listening;
    const served = tape(server.connections);
    const heard = tape(kept(tcpSocket({ host, port, codec: lines(), reconnect: false })).inbound);
    const unread = await served.at(0);
    kept(tcpSocket({ host, port, codec: lines(), reconnect: false }));
    (await served.at(1)).inbound.subscribe();
    const errors = tape(server.errors);
    expect(await errors.at(0), 'of the one that came later').to.include({ epoch: 2 });
    await unread.write('still here');
    await heard.first((frame) => frame === 'still here');
    expect(errors.values).to.have.length(1);
  });
});

describe('a peer that never reads, on a real socket', () => {
  leavesNothingOpen();

  it('is found by writeTimeout, and its frame is written to the next connection, whole [S2]', async () => {
    const server = await recordingServer((peer, index) => {
      if (index === 0) neverReading(peer, index);
      return index === 0;
    });
    const config = { host, port: server.port, codec: lines({ maxFrameLength: 64 * MIB }), writeTimeout: 150 };
    const socket = kept(tcpSocket({ ...config, settle: 0, reconnect: { initialDelay: 1 } }));
    const errors = tape(socket.errors);
    const long = 'x'.repeat(15 * MIB);
    const written = socket.write(long);
    expect(await errors.at(0)).to.be.instanceOf(WriteStallError);
    await written;
    const second = await server.recording(socket.stats().epoch - 1);
    await second.has(long.length + 1);
    expect(second.text === `${long}\n`).to.equal(true);
    for (const error of errors.values) expect(error.code).to.equal('TCP_WRITE_STALL');
  });

  it('errors connection() with a ConnectionLostError whose cause it is', async () => {
    const server = await listen(neverReading);
    const live = tape(connection({ host, port: server.port, writeTimeout: 100 }));
    const rejected = (await live.at(0)).write(Buffer.alloc(15 * MIB)).catch((error: unknown) => error);
    await live.end;
    expect(live.error).to.be.instanceOf(ConnectionLostError).and.include({ unconfirmed: 1 });
    expect((live.error as ConnectionLostError).cause).to.be.instanceOf(WriteStallError);
    expect(await rejected).to.equal(live.error);
  });
});
