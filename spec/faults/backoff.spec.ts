import { concat, EMPTY, NEVER, of, tap, throwError, timer, type Observable } from 'rxjs';
import { expect } from 'chai';
import {
  ConnectError,
  ReconnectLimitError,
  tcpSocket,
  WriteError,
  type ConnectionStatus,
  type ReconnectConfig,
  type TcpError,
} from '../../lib/index.js';
import { confirmAtOnce, fakeLink } from '../support/fake-link.js';
import { nodeError } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { expectUncaught } from '../support/guard.js';
import { seededRandom, seeds, type Random } from '../support/random.js';
import { deadPort, listen, recordingServer } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { refuses, virtualSocket, virtualTurns, type Dialled, type Play } from '../support/virtual-socket.js';
import type { VirtualStage } from '../support/virtual-socket.js';

const host = '127.0.0.1';
const reset = (): Error => nodeError('ECONNRESET');

interface Wait {
  readonly at: number;
  readonly attempt: number;
  readonly delay: number;
}

/** The waits of a socket, as its status tells them. */
function waitsOf({ socket, now }: VirtualStage): Wait[] {
  const waits: Wait[] = [];
  socket.status.subscribe((status) => {
    if (status.type === 'backoff') waits.push({ at: now(), attempt: status.attempt, delay: status.delay });
  });
  return waits;
}

/** Every wait is within the full jitter of its redial in a row, is told by its number, and ends with the dial that it is for. */
function expectFullJitter(waits: readonly Wait[], dials: readonly Dialled[], where: string): void {
  for (const [i, { at, attempt, delay }] of waits.entries()) {
    expect(attempt, where).to.equal(i + 2);
    expect(delay, `${where}, redial ${i + 1}`).to.be.within(i === 0 ? 0 : 10, Math.min(5_000, 50 * 2 ** i));
    const next = dials[i + 1];
    if (next !== undefined) expect(next.at, `${where}, dial ${attempt}`).to.be.closeTo(at + delay, 1e-6);
  }
}

describe('row 16: a server that accepts and then closes or resets, again and again', () => {
  virtualTurns();
  leavesNothingOpen();

  /** Whatever such a server does before it goes: a FIN or a reset, at once or a little later, with a greeting or without. */
  const storm =
    (random: Random, longest: number): Play =>
    ({ link, open }) => {
      open();
      const [talks, fins] = [random.pick([true, false]), random.pick([true, false])];
      const life = random.pick([undefined, 0, random.next() * longest]);
      const die = (): void => {
        if (talks) link.chunk('hello\n');
        if (fins) link.fin();
        link.lost(fins ? undefined : reset());
      };
      if (life === undefined) die();
      else timer(life).subscribe(die);
    };

  it('is dialled at growing delays for 10 s: `connect` does not start the attempts anew [S8]', () => {
    for (const how of ['FIN', 'reset'] as const) {
      const dies: Play = ({ link, open }) => {
        open();
        if (how === 'FIN') link.fin();
        link.lost(how === 'FIN' ? undefined : reset());
      };
      let dialled: readonly Dialled[] = [];
      virtualSocket({}, dies, ({ socket, dials, at }) => {
        dialled = dials;
        at(10_000, () => socket.destroy());
      });
      expect(dialled.map(({ at }) => at)).to.deep.equal([0, 50, 150, 350, 750, 1_550, 3_150, 6_350]);
    }
  });

  it('is dialled within the schedule over 50 seeds, and gets nothing of the queue [S4][S8]', () => {
    for (const seed of seeds(50)) {
      const random = seededRandom(seed);
      const where = `SEED=${seed}`;
      const reconnect = { random: () => random.next() };
      virtualSocket({ reconnect }, storm(seededRandom(seed + 1_000), 9), (stage) => {
        const { socket, dials, at } = stage;
        const waits = waitsOf(stage);
        // The first connection is trusted; what follows must stand for `settle` ms.
        at(1, () => void socket.write('x'));
        at(10_000, () => {
          expect(dials.length, where).to.be.within(5, 30);
          expectFullJitter(waits, dials, where);
          expect(dials.slice(1).flatMap(({ link }) => link.texts)).to.deep.equal([]);
          expect(dials.filter(({ gone }) => !gone).length, where).to.be.at.most(1);
          socket.destroy();
        });
      });
    }
  });

  it('that stays long enough to take what is written, and never answers, is dialled within the schedule too [S8]', () => {
    for (const seed of seeds(50)) {
      const random = seededRandom(seed);
      const reconnect = { random: () => random.next() };
      const play = storm(seededRandom(seed + 1_000), 200);
      virtualSocket(
        { reconnect, settle: 0 },
        play,
        (stage) => {
          const { socket, dials, at } = stage;
          const waits = waitsOf(stage);
          for (let ms = 0; ms < 10_000; ms += 90) at(ms, () => void socket.write('x'));
          at(10_000, () => {
            expect(socket.stats().framesWritten, `SEED=${seed}`).to.be.above(0);
            expectFullJitter(waits, dials, `SEED=${seed}`);
            socket.destroy();
          });
        },
        () => fakeLink(confirmAtOnce),
      );
    }
  });

  it('on a real socket is given up after the last attempt of the schedule [S8]', async () => {
    const server = await listen((peer, index) => (index % 2 === 0 ? peer.end() : peer.resetAndDestroy()));
    const reconnect = { initialDelay: 1, maxDelay: 16, maxAttempts: 12, random: () => 1 };
    const socket = kept(tcpSocket({ host, port: server.port, reconnect }));
    const [statuses, inbound, errors] = [tape(socket.status), tape(socket.inbound), tape(socket.errors)];
    await socket.flush();
    await statuses.end;
    const of = <T extends ConnectionStatus['type']>(type: T) =>
      statuses.values.filter((status): status is Extract<ConnectionStatus, { type: T }> => status.type === type);
    // The first 'connecting' is told before anybody can subscribe, and is the current value then.
    expect(of('connecting').map(({ attempt }) => attempt)).to.deep.equal(Array.from({ length: 13 }, (_, i) => i + 1));
    expect(of('backoff').map(({ delay }) => delay)).to.deep.equal([1, 2, 4, 8, ...Array<number>(8).fill(16)]);
    expect(inbound.error).to.be.instanceOf(ReconnectLimitError).and.to.include({ attempts: 12 });
    expect(errors.values).to.have.length(14);
    expect(server.sockets.length).to.be.at.most(13);
  });
});

describe('row 17: a server that is down for 60 s', () => {
  virtualTurns();

  const DOWN_FROM = 1_000;
  const UP_AGAIN = 61_000;

  /** Everything that one run showed. */
  function outage(seed: number) {
    const random = seededRandom(seed);
    const seen = { frames: [] as string[], most: 0, subscriptions: 0, delays: [] as number[], cameBack: 0 };
    const where = `SEED=${seed}`;
    let dials: readonly Dialled[] = [];
    const alive = (): number => dials.filter(({ gone }) => !gone).length;
    const play = (now: () => number): Play => {
      return (dialled) => {
        seen.most = Math.max(seen.most, alive());
        const answer = (): void => {
          if (dialled.gone) return;
          if (now() > DOWN_FROM && now() < UP_AGAIN) return dialled.fail();
          dialled.open();
          dialled.link.chunk(`up at ${dialled.at < DOWN_FROM ? 'first' : 'last'}\n`);
        };
        // A refusal takes some ms, and none at times.
        const takes = random.pick([0, random.next() * 30]);
        if (takes === 0) answer();
        else timer(takes).subscribe(answer);
      };
    };
    let clock = (): number => 0;
    virtualSocket(
      { reconnect: { random: () => random.next() } },
      play(() => clock()),
      (stage) => {
        const { socket, at, now } = stage;
        dials = stage.dials;
        clock = now;
        const waits = waitsOf(stage);
        seen.subscriptions++;
        socket.inbound.subscribe((frame) => seen.frames.push(frame));
        socket.connections.subscribe(({ epoch }) => {
          if (epoch === 2) seen.cameBack = now();
        });
        at(DOWN_FROM, () => dials[0]!.link.lost(reset()));
        for (const [i, ms] of [2_000, 30_000, 60_000].entries()) at(ms, () => void socket.write(`m${i}`));
        at(UP_AGAIN + 6_000, () => {
          expectFullJitter(waits, dials, where);
          expect(socket.stats(), where).to.include({ epoch: 2, drops: 1, framesWritten: 3, queuedFrames: 0 });
          expect(dials.at(-1)!.link.texts.join(''), where).to.equal('m0\nm1\nm2\n');
          expect(alive(), where).to.equal(1);
          seen.delays = waits.map(({ delay }) => delay);
          socket.destroy();
        });
      },
      () => fakeLink(confirmAtOnce),
    );
    expect(alive(), where).to.equal(0);
    return seen;
  }

  it('is dialled at delays within the full jitter of their attempt, one link at a time, and `inbound` goes on [S1][S2][S8]', () => {
    const spread = new Map<number, number[]>();
    for (const seed of seeds(50)) {
      const { frames, most, cameBack, delays } = outage(seed);
      expect(frames, `SEED=${seed}`).to.deep.equal(['up at first', 'up at last']);
      expect(most, `links alive at once, SEED=${seed}`).to.equal(1);
      expect(cameBack, `SEED=${seed}`).to.be.within(UP_AGAIN, UP_AGAIN + 5_030);
      for (const [i, delay] of delays.entries()) {
        const share = delay / Math.min(5_000, 50 * 2 ** i);
        spread.set(i, [...(spread.get(i) ?? []), share]);
      }
    }
    // Full jitter: over the seeds the delays of an attempt are spread over all of its bound.
    if (process.env.SEED !== undefined) return;
    for (let i = 0; i < 8; i++) {
      const shares = spread.get(i)!;
      expect(Math.min(...shares), `least of redial ${i + 1}`).to.be.below(0.3);
      expect(Math.max(...shares), `greatest of redial ${i + 1}`).to.be.above(0.8);
    }
  });
});

describe('row 18: a backoff of the user that makes no sense', () => {
  virtualTurns();
  leavesNothingOpen();

  interface Course {
    readonly dials: number[];
    readonly errors: TcpError[];
    readonly inbound: unknown;
    readonly written: Promise<unknown>;
    readonly status: ConnectionStatus['type'];
  }

  /** A socket whose dials are refused at once, with this policy, for so many virtual ms. */
  function course(reconnect: ReconnectConfig, ms = 100): Course {
    const made = { dials: [] as number[], errors: [] as TcpError[], inbound: undefined as unknown };
    let written: Promise<unknown> = Promise.resolve();
    let status: Course['status'] = 'idle';
    virtualSocket({ reconnect: { random: () => 1, ...reconnect } }, refuses, ({ socket, dials, at }) => {
      written = outcome(socket.write('queued'));
      const hearing = socket.errors.subscribe((error) => made.errors.push(error));
      socket.inbound.subscribe({ error: (error: unknown) => (made.inbound = error) });
      at(ms, () => {
        made.dials.push(...dials.map((dialled) => dialled.at));
        socket.status.subscribe(({ type }) => (status = type)).unsubscribe();
        hearing.unsubscribe();
        socket.destroy();
      });
    });
    return { ...made, written, status };
  }

  /** It gave up with the first failure: told on `errors` last, at the end of `inbound`, and in the outcome of what waited. */
  async function expectGivenUp({ dials, errors, inbound, written, status }: Course, cause?: unknown): Promise<void> {
    expect(dials).to.deep.equal([0]);
    expect(errors.map(({ code }) => code)).to.deep.equal(['TCP_CONNECT', 'TCP_WRITE', 'TCP_RECONNECT_LIMIT']);
    const last = errors.at(-1)!;
    expect(last).to.be.instanceOf(ReconnectLimitError);
    expect(inbound).to.equal(last);
    expect(last.cause).to.equal(cause ?? errors[0]);
    const result = await written;
    expect(result).to.be.instanceOf(WriteError).and.to.include({ fate: 'unsent', attempts: 0 });
    expect((result as WriteError).cause).to.equal(last);
    expect(status).to.equal('closed');
  }

  const never = (value: unknown): never => value as never;
  const NONSENSE: [name: string, value: unknown][] = [
    ...[NaN, -1, Infinity, 2 ** 31, true, undefined, null].map((value): [string, unknown] => [String(value), value]),
    ['a string', 'soon'],
    ['an object', {}],
    ['a function', () => 5],
  ];

  for (const [name, value] of NONSENSE) {
    if (name === 'a string') continue; // a source of its letters: see below
    it(`delay() that answers ${name} gives up, and says why [S8][S3]`, async () => {
      const asked = course({ delay: () => never(value) });
      expect(asked.errors.at(-1)!.cause).to.be.instanceOf(TypeError);
      await expectGivenUp(asked, asked.errors.at(-1)!.cause);
    });
  }

  for (const [name, source] of [
    ...NONSENSE.map(([name, value]): [string, unknown] => [`a source of ${name}`, of(value)]),
    ['a string, a source of its letters', 'soon'],
    ['an array', [NaN]],
    [
      'a source that emits and fails',
      concat(
        of(0),
        throwError(() => new Error('too late')),
      ),
    ],
  ] as [string, Observable<unknown>][]) {
    it(`delay() that answers ${name} dials no sooner than initialDelay after the dial before [S8]`, () => {
      const { dials, errors, status } = course({ initialDelay: 10, delay: () => source }, 55);
      expect(dials).to.deep.equal([0, 10, 20, 30, 40, 50]);
      expect(errors.map(({ code }) => code)).to.deep.equal(Array(6).fill('TCP_CONNECT'));
      expect(status).to.equal('backoff');
    });
  }

  for (const [name, thrown] of [
    ['an Error', new Error('mine')],
    ['a text', 'mine'],
    ['NaN', NaN],
    ['null', null],
  ] as const) {
    for (const [how, reconnect] of Object.entries<(fail: () => never) => ReconnectConfig>({
      'delay() that throws': (fail) => ({ delay: fail }),
      'delay() whose source fails with': () => ({ delay: () => throwError(() => thrown) }),
      'random() that throws': (fail) => ({ random: fail }),
      'retryable() that throws': (fail) => ({ retryable: fail }),
    })) {
      it(`${how} ${name} gives up, with that as the cause [S8][S3]`, async () => {
        const fail = (): never => {
          throw thrown;
        };
        const asked = course(reconnect(fail));
        const { cause } = asked.errors.at(-1)!;
        if (Number.isNaN(thrown)) expect(cause).to.be.NaN;
        else expect(cause).to.equal(thrown);
        if (cause !== null && !Number.isNaN(cause)) await expectGivenUp(asked, cause);
        else expect([asked.dials, asked.errors.length, asked.status]).to.deep.equal([[0], 3, 'closed']);
      });
    }
  }

  for (const nothing of [EMPTY, '', []] as Observable<unknown>[]) {
    it(`delay() that ends without an emission (${JSON.stringify(nothing)}) gives up because of the last failure [S8]`, async () => {
      const asked = course({ delay: () => nothing });
      expect(asked.errors[0]).to.be.instanceOf(ConnectError);
      await expectGivenUp(asked);
    });
  }

  for (const value of [NaN, -1, -Infinity, 2, Infinity, undefined, null, 'often']) {
    it(`random() that answers ${String(value)} counts as 1 [S8]`, () => {
      const { dials, status } = course({ random: () => never(value) }, 800);
      expect(dials).to.deep.equal([0, 50, 150, 350, 750]);
      expect(status).to.equal('backoff');
    });
  }

  it('random() that always answers 0 waits 10 ms from the second redial on [S8]', () => {
    expect(course({ random: () => 0 }, 45).dials).to.deep.equal([0, 0, 10, 20, 30, 40]);
  });

  it('retryable() that answers no boolean is taken for true or false [S8]', () => {
    for (const yes of ['yes', 1, {}, Infinity]) {
      expect(course({ retryable: () => never(yes) }, 200).dials).to.deep.equal([0, 50, 150]);
    }
    for (const no of [undefined, null, 0, NaN, '']) {
      const { dials, inbound, errors } = course({ retryable: () => never(no) });
      expect([dials, inbound]).to.deep.equal([[0], errors[0]]);
      expect(errors.map(({ code }) => code)).to.deep.equal(['TCP_CONNECT', 'TCP_WRITE']);
    }
  });

  it('delay() that never emits waits until redial(), and after that until the next [S8]', () => {
    virtualSocket({ reconnect: { delay: () => NEVER } }, refuses, ({ socket, dials, at }) => {
      at(86_400_000, () => {
        expect(dials.length).to.equal(1);
        socket.redial();
        expect(dials.length).to.equal(2);
      });
      at(2 * 86_400_000, () => {
        expect(dials.length).to.equal(2);
        socket.destroy();
      });
    });
  });

  it('delay() that never emits is cut short by end(), once, when something is queued [S3][S8]', () => {
    virtualSocket({ reconnect: { delay: () => NEVER } }, refuses, ({ socket, dials, at }) => {
      void socket.write('queued');
      const types: string[] = [];
      socket.status.subscribe(({ type }) => types.push(type));
      at(1_000, () => void socket.end({ timeout: 500 }));
      at(1_499, () =>
        expect([dials.map((dialled) => dialled.at), types.at(-1)]).to.deep.equal([[0, 1_000], 'closing']),
      );
      at(1_501, () => expect([types.at(-1), socket.stats().framesUndelivered]).to.deep.equal(['closed', 1]));
    });
  });

  it('delay() that never emits keeps no socket from ending that has nothing queued [S8][S11]', () => {
    const end = virtualSocket({ reconnect: { delay: () => NEVER } }, refuses, ({ socket, dials, at }) => {
      const types: string[] = [];
      socket.status.subscribe(({ type }) => types.push(type));
      at(1_000, () => {
        void socket.end();
        expect([types.at(-1), dials.length]).to.deep.equal(['closed', 1]);
      });
    });
    expect(end).to.equal(1_000);
  });

  it('delay() that answers a timer of 2^31 ms, which Node makes 1 ms of, makes no hot loop [S8]', async () => {
    const warned = expectUncaught(/TimeoutOverflowWarning/);
    let emitted = (): void => {};
    const fired = new Promise<void>((resolve) => (emitted = resolve));
    const delay = (): Observable<unknown> => timer(2 ** 31).pipe(tap(() => emitted()));
    const reconnect = { initialDelay: 60_000, maxDelay: 60_000, delay };
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect }));
    await Promise.all([fired, warned]);
    await turns(50);
    expect(socket.stats().dials).to.equal(1);
  });

  it('delay() that answers a promise which rejects, or is none, gives up; one that never settles waits for redial() [S8]', async () => {
    const mine = new Error('mine');
    const port = await deadPort();
    const giving = kept(tcpSocket({ host, port, reconnect: { delay: () => Promise.reject(mine) } }));
    const inbound = tape(giving.inbound);
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(ReconnectLimitError).and.to.include({ cause: mine });
    const pending = new Promise<void>(() => {});
    const waiting = kept(tcpSocket({ host, port, settle: 0, reconnect: { delay: () => pending } }));
    const statuses = tape(waiting.status);
    await statuses.first(({ type }) => type === 'backoff');
    await turns(50);
    expect(waiting.stats().dials).to.equal(1);
    const server = await recordingServer(undefined, port);
    waiting.redial();
    await waiting.write('x');
    await (await server.recording(0)).has('x');
  });
  it('attempts are told to delay() from 2 on, each once, whatever it answers [S8]', () => {
    const heard: [code: string, attempt: number][] = [];
    const delay = (error: TcpError, attempt: number): Observable<unknown> => {
      heard.push([error.code, attempt]);
      return of(NaN);
    };
    const play: Play = (dialled, index) => {
      if (index < 3) return refuses(dialled, index);
      dialled.open();
      dialled.link.lost(reset());
    };
    virtualSocket({ reconnect: { initialDelay: 10, delay } }, play, ({ socket, at }) => {
      at(45, () => socket.destroy());
    });
    expect(heard).to.deep.equal([
      ...[2, 3, 4].map((attempt) => ['TCP_CONNECT', attempt]),
      ...[5, 6].map((attempt) => ['TCP_CONNECTION_LOST', attempt]),
    ]);
  });
});
