import { expect } from 'chai';
import {
  catchError,
  concat,
  defer,
  EMPTY,
  NEVER,
  Observable,
  of,
  Subject,
  Subscription,
  switchMap,
  take,
  throwError,
  timer,
} from 'rxjs';
import type { ObservableInput } from 'rxjs';
import type { ReconnectConfig } from '../../lib/config.js';
import { reconnect, reconnectWith, type ReconnectHooks } from '../../lib/connection/reconnect.js';
import { ConfigError, ConnectError, ConnectionLostError, ReconnectLimitError } from '../../lib/errors.js';
import type { ConnectionFacts, TcpError } from '../../lib/errors.js';
import { resolveReconnect } from '../../lib/resolve-config.js';
import { noneLeft, openHandles } from '../support/leaks.js';
import { marbles } from '../support/marbles.js';

const FACTS: ConnectionFacts = {
  ...{ clean: false, endedBy: 'peer', age: 1, silence: 1, bytesRead: 0, bytesWritten: 0 },
  ...{ unconfirmed: 0, unread: 0, answered: false },
};
const lost = (answered = false): ConnectionLostError => new ConnectionLostError({ ...FACTS, answered }, {});
const refused = (): ConnectError =>
  new ConnectError('connect', {
    cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }),
    endpoint: { host: 'h', port: 1 },
    epoch: 3,
  });

/** What one source does when it is dialled. */
type Dial = () => Observable<string>;

/** Fails after `ms`; without `up` it never opens. */
const fails =
  (ms: number, up?: string, error: () => unknown = lost): Dial =>
  () =>
    new Observable((subscriber) => {
      if (up !== undefined) subscriber.next(up);
      return timer(ms).subscribe(() => subscriber.error(error()));
    });
const stays: Dial = () => concat(of('up'), NEVER);

interface Run {
  /** Virtual ms of each dial. */
  readonly dials: number[];
  readonly gone: number[];
  readonly attempts: number[];
  readonly waits: [attempt: number, delay: number, cause: unknown][];
  readonly values: string[];
  readonly ends: ['completed' | 'errored', at: number, error?: unknown][];
  readonly hurry: Subject<void>;
  readonly subscription: Subscription;
}

/** Runs the operator over these sources, the last one again and again, in virtual time until `until` ms. */
function run(
  dials: readonly Dial[],
  config: ReconnectConfig | false,
  {
    until = 100_000,
    hooks = {},
    script = () => {},
  }: {
    until?: number;
    hooks?: ReconnectHooks<string>;
    script?: (run: Run) => void;
  } = {},
): Run {
  const made: Run = {
    ...{ dials: [], gone: [], attempts: [], waits: [], values: [], ends: [] },
    ...{ hurry: new Subject<void>(), subscription: new Subscription() },
  };
  marbles((_, scheduler) => {
    const source = new Observable<string>((subscriber) => {
      const dial = dials[Math.min(made.dials.length, dials.length - 1)]!;
      made.dials.push(scheduler.now());
      subscriber.add(() => made.gone.push(scheduler.now()));
      return dial().subscribe(subscriber);
    });
    const policy = config === false ? false : resolveReconnect({ random: () => 1, ...config });
    made.subscription.add(timer(until).subscribe(() => made.subscription.unsubscribe()));
    script(made);
    made.subscription.add(
      source
        .pipe(
          reconnectWith(policy, {
            ...hooks,
            dialling: (attempt) => {
              made.attempts.push(attempt);
              hooks.dialling?.(attempt);
            },
            waiting: (attempt, delay, cause) => {
              made.waits.push([attempt, delay, cause]);
              hooks.waiting?.(attempt, delay, cause);
            },
            hurry: made.hurry,
          }),
        )
        .subscribe({
          next: (value) => made.values.push(value),
          error: (error: unknown) => made.ends.push(['errored', scheduler.now(), error]),
          complete: () => made.ends.push(['completed', scheduler.now()]),
        }),
    );
  });
  return made;
}

describe('reconnect', () => {
  it('subscribes again on an error and passes every value on [S8]', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-b-#', undefined, lost());
      const again = source.pipe(reconnect({ initialDelay: 3, jitter: 0, factor: 1 }));
      expectObservable(again, '20ms !').toBe('a-b----a-b----a-b---');
      expectSubscriptions(source.subscriptions).toBe(['^---!', '-------^---!', '--------------^---!']);
    });
  });

  it('passes completion on and dials no more [S8]', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-|');
      expectObservable(source.pipe(reconnect())).toBe('a-|');
      expectSubscriptions(source.subscriptions).toBe('^-!');
    });
  });

  it('takes values and errors that come while it subscribes', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('(ab#)', undefined, lost());
      const again = source.pipe(reconnect({ initialDelay: 6, jitter: 0, factor: 1, maxAttempts: 1 }));
      const codes = again.pipe(catchError((error: TcpError) => of(error.code)));
      expectObservable(codes).toBe('(ab)--(abc|)', { a: 'a', b: 'b', c: 'TCP_RECONNECT_LIMIT' });
      expectSubscriptions(source.subscriptions).toBe(['(^!)', '------(^!)']);
    });
  });

  it('subscribed twice at once dials for each, with attempts of their own [S8]', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('--#', undefined, lost());
      const again = source.pipe(reconnect({ initialDelay: 2, jitter: 0, maxAttempts: 2, maxDelay: 4 }));
      const codes = again.pipe(catchError((error: TcpError) => of(error.code)));
      expectObservable(codes).toBe('------------(x|)', { x: 'TCP_RECONNECT_LIMIT' });
      expectObservable(codes, '---^').toBe('---------------(x|)', { x: 'TCP_RECONNECT_LIMIT' });
      expectSubscriptions(source.subscriptions).toBe([
        ...['^-!', '---^-!', '----^-!', '-------^-!', '----------^-!', '-------------^-!'],
      ]);
    });
  });

  it('refuses bad options before anything is subscribed', () => {
    expect(() => reconnect({ maxAttempts: -1 })).to.throw(ConfigError, 'maxAttempts');
    expect(() => reconnect({ tries: 1 } as ReconnectConfig)).to.throw(ConfigError, 'tries');
  });

  describe('delays', () => {
    it('grow with each redial in a row, from the first on [S8]', () => {
      const { dials, waits, attempts } = run([fails(0)], {}, { until: 800 });
      expect(dials).to.eql([0, 50, 150, 350, 750]);
      expect(waits.map(([attempt, delay]) => [attempt, delay])).to.eql([
        ...[[2, 50], [3, 100], [4, 200], [5, 400], [6, 800]], // prettier-ignore
      ]);
      expect(attempts).to.eql([1, 2, 3, 4, 5]);
    });

    it('have full jitter at the first redial too [S8]', () => {
      expect(run([fails(0), stays], { random: () => 0.5 }).dials).to.eql([0, 25]);
      expect(run([fails(0), stays], { random: () => 0 }).dials).to.eql([0, 0]);
    });

    it('are at least a little from the second redial on, whatever `random` says [S8]', () => {
      expect(run([fails(0)], { random: () => 0 }, { until: 25 }).dials).to.eql([0, 0, 10, 20]);
    });

    it('grow against a server that accepts and closes at once [S8]', () => {
      const { dials } = run([fails(1, 'up')], {}, { until: 2000 });
      expect(dials.length).to.equal(6);
    });
  });

  describe('attempts', () => {
    it('start anew after `stableAfter` ms up [S8]', () => {
      const { attempts, waits } = run([fails(0), fails(0), fails(100, 'up'), fails(0), stays], { stableAfter: 100 });
      expect(attempts).to.eql([1, 2, 3, 1, 2]);
      expect(waits.map(([attempt, delay]) => [attempt, delay])).to.eql([[2, 50], [3, 100], [1, 50], [2, 100]]); // prettier-ignore
    });

    it('go on counting one ms before that [S8]', () => {
      expect(run([fails(0), fails(99, 'up'), stays], { stableAfter: 100 }).attempts).to.eql([1, 2, 3]);
    });

    it('go on counting when a connection was long in dialling and short up', () => {
      const slow: Dial = () => timer(500).pipe(switchMap(fails(10, 'up')));
      expect(run([fails(0), slow, stays], { stableAfter: 100 }).attempts).to.eql([1, 2, 3]);
    });

    it('do not start anew by the time that an earlier connection was up', () => {
      const { attempts } = run([fails(99, 'up'), fails(99, 'up'), fails(99, 'up'), stays], { stableAfter: 100 });
      expect(attempts).to.eql([1, 2, 3, 4]);
    });

    it('start anew by the time that the newest value was there, of a source that gives several', () => {
      const two =
        (ms: number): Dial =>
        () =>
          concat(of('one'), timer(60).pipe(switchMap(fails(ms, 'two'))));
      expect(run([fails(0), two(60), stays], { stableAfter: 100 }).attempts).to.eql([1, 2, 3]);
      expect(run([fails(0), two(100), stays], { stableAfter: 100 }).attempts).to.eql([1, 2, 1]);
    });

    it('start anew once the connection has answered [S8]', () => {
      const answering = fails(1, 'up', () => lost(true));
      const started = (config: ReconnectConfig, dials: Dial[]): number[] => {
        const times: number[] = [];
        marbles((_, scheduler) => {
          const source = defer(() => {
            times.push(scheduler.now());
            return dials[Math.min(times.length, dials.length) - 1]!();
          });
          const subscription = source.pipe(reconnect({ random: () => 1, ...config })).subscribe();
          timer(1000).subscribe(() => subscription.unsubscribe());
        });
        return times;
      };
      expect(started({}, [fails(0), fails(0), answering, answering, stays])).to.eql([0, 50, 150, 201, 252]);
      expect(started({}, [fails(0), fails(0), fails(1, 'up'), stays])).to.eql([0, 50, 150, 351]);
    });

    it('ask the hook about the connection that was lost, and about no dial that failed', () => {
      const asked: unknown[] = [];
      const answered = (connection: string, error: TcpError): boolean => {
        asked.push(connection, error.code);
        return connection === 'second';
      };
      const { attempts } = run([fails(1, 'first'), fails(1), fails(1, 'second'), stays], {}, { hooks: { answered } });
      expect(asked).to.eql(['first', 'TCP_CONNECTION_LOST', 'second', 'TCP_CONNECTION_LOST']);
      expect(attempts).to.eql([1, 2, 3, 1]);
    });
  });

  describe('maxAttempts', () => {
    it('counts redials in a row, the first dial not among them [S8]', () => {
      const { dials, ends } = run([fails(0, undefined, refused)], { maxAttempts: 2 });
      expect(dials).to.eql([0, 50, 150]);
      const [how, at, error] = ends[0]!;
      expect([how, at]).to.eql(['errored', 150]);
      expect(error).to.be.instanceOf(ReconnectLimitError);
      expect(error).to.deep.include({ attempts: 2, endpoint: { host: 'h', port: 1 }, epoch: 3 });
      expect((error as Error).cause).to.be.instanceOf(ConnectError);
    });

    it('of 0 gives up with the first failure [S8]', () => {
      const { dials, ends } = run([fails(5)], { maxAttempts: 0 });
      expect(dials).to.eql([0]);
      expect(ends[0]?.[2]).to.include({ code: 'TCP_RECONNECT_LIMIT', attempts: 0 });
    });

    it('starts anew after a stable connection [S8]', () => {
      const dials = [fails(0), fails(0), fails(10, 'up'), fails(0)];
      expect(run(dials, { maxAttempts: 2, stableAfter: 10 }).dials.length).to.equal(5);
    });

    it('counts as redials in a row those that connect and do not stay', () => {
      expect(run([fails(1, 'up')], { maxAttempts: 3 }).dials.length).to.equal(4);
    });
  });

  describe('retryable', () => {
    it('that refuses passes the error itself on [S8]', () => {
      const error = refused();
      const asked: unknown[] = [];
      const retryable = (cause: TcpError): boolean => asked.push(cause) < 2;
      const { ends, dials } = run([fails(0, undefined, () => error)], { retryable });
      expect(ends[0]?.[2]).to.equal(error);
      expect(asked).to.eql([error, error]);
      expect(dials).to.eql([0, 50]);
    });

    it('that throws gives up, with what it threw as the cause [S8]', () => {
      const mistake = new Error('mistake');
      const { ends } = run([fails(0)], {
        retryable: () => {
          throw mistake;
        },
      });
      expect(ends[0]?.[2]).to.be.instanceOf(ReconnectLimitError);
      expect((ends[0]?.[2] as Error).cause).to.equal(mistake);
    });

    it('is not asked again for the limit, which comes after it', () => {
      const error = refused();
      const { ends } = run([fails(0, undefined, () => error)], { maxAttempts: 0, retryable: () => false });
      expect(ends[0]?.[2]).to.equal(error);
    });

    it('hears what would be done without it, several endpoints considered [S8]', () => {
      const bad = new ConnectError('config', { cause: new TypeError('bad') });
      const heard: unknown[] = [];
      const retryable = (error: TcpError, byDefault: boolean): boolean => {
        heard.push(error, byDefault);
        return byDefault;
      };
      const [first, error] = [lost(), refused()];
      const dials: Dial[] = [() => throwError(() => first), () => throwError(() => error), () => throwError(() => bad)];
      expect(run(dials, { retryable }).ends[0]?.[2]).to.equal(bad);
      expect(heard).to.eql([first, true, error, true, bad, false]);
      const there = [bad, bad];
      const hooks: ReconnectHooks<string> = { elsewhere: () => there.shift() !== undefined };
      heard.length = 0;
      expect(run([() => throwError(() => bad)], { retryable }, { hooks }).dials).to.eql([0, 50, 150]);
      expect(heard).to.eql([bad, true, bad, true, bad, false]);
    });

    it('that goes on as by default, and after this error too, does so [S8]', () => {
      const bad = new ConnectError('config', { cause: new TypeError('bad') });
      const retryable = (error: TcpError, byDefault: boolean): boolean => byDefault || error === bad;
      expect(run([() => throwError(() => bad), fails(0), stays], { retryable }).dials).to.eql([0, 50, 150]);
    });

    it('decides by the code of the error when it is not given [S8]', () => {
      const bad = new ConnectError('config', { cause: new TypeError('bad') });
      expect(run([fails(0, undefined, () => bad)], {}).ends[0]?.[2]).to.equal(bad);
    });
  });

  describe('delay()', () => {
    const spaced = { initialDelay: 10, maxAttempts: 4 };

    it('dials at its first emission, however many follow [S8]', () => {
      const { dials, waits } = run([fails(0), stays], { ...spaced, delay: () => timer(300, 5) });
      expect(dials).to.eql([0, 300]);
      expect(waits.map(([attempt, delay]) => [attempt, delay])).to.eql([[2, 10]]);
    });

    it('hears the error and the number of the dial to come', () => {
      const heard: unknown[] = [];
      const error = refused();
      run([fails(0, undefined, () => error), fails(0), stays], {
        ...spaced,
        delay: (cause, attempt) => {
          heard.push(cause.code, attempt);
          return of(0);
        },
      });
      expect(heard).to.eql(['TCP_CONNECT', 2, 'TCP_CONNECTION_LOST', 3]);
    });

    for (const [name, value] of Object.entries<ObservableInput<unknown>>({
      'a number': of(5_000),
      NaN: of(NaN),
      'a text': of('soon'),
      'a string as the input itself': 'now',
      'an array': [1, 2],
      undefined: of(undefined),
      false: of(false),
    })) {
      it(`emitting ${name} dials, at least \`initialDelay\` after the dial before [S8]`, () => {
        expect(run([fails(0), fails(3), stays], { ...spaced, delay: () => value }).dials).to.eql([0, 10, 20]);
      });
    }

    it('emitting, and failing or completing before the dial is due, dials all the same [S8]', () => {
      for (const rest of [throwError(() => new Error('too late')), EMPTY]) {
        expect(run([fails(0), stays], { ...spaced, delay: () => concat(timer(3), rest) }).dials).to.eql([0, 10]);
      }
    });

    it('does not wait on when the last dial is long ago [S8]', () => {
      expect(run([fails(500, 'up'), stays], { ...spaced, delay: () => of(0) }).dials).to.eql([0, 500]);
    });

    it('of 1 ms apart at the least makes no hot loop [S8]', () => {
      const { dials } = run([fails(0)], { initialDelay: 1, delay: () => of(0) }, { until: 50 });
      expect(dials.length).to.be.within(45, 51);
    });

    it('completing without an emission gives up [S8]', () => {
      const { ends } = run([fails(0, undefined, refused)], { delay: () => EMPTY });
      expect(ends[0]?.slice(0, 2)).to.eql(['errored', 0]);
      expect(ends[0]?.[2]).to.be.instanceOf(ReconnectLimitError);
      expect((ends[0]?.[2] as Error).cause).to.be.instanceOf(ConnectError);
    });

    it('throwing or erroring gives up, with that as the cause [S8]', () => {
      const mistake = new Error('mistake');
      const throwing = (): never => {
        throw mistake;
      };
      for (const delay of [throwing, () => throwError(() => mistake)]) {
        const { ends, dials } = run([fails(0)], { delay });
        expect(dials.length).to.equal(1);
        expect(ends[0]?.[2]).to.be.instanceOf(ReconnectLimitError);
        expect((ends[0]?.[2] as Error).cause).to.equal(mistake);
      }
    });

    it('answering no source at all gives up', () => {
      for (const rubbish of [undefined, null, 5, {}]) {
        const { ends } = run([fails(0)], { delay: () => rubbish as never });
        expect(ends[0]?.[2]).to.be.instanceOf(ReconnectLimitError);
        expect((ends[0]?.[2] as Error).cause).to.be.instanceOf(TypeError);
      }
    });

    it('that never emits waits for ever, until somebody hurries', () => {
      const script = ({ hurry }: Run): void => void timer(7000).subscribe(() => hurry.next());
      expect(run([fails(0), stays], { delay: () => NEVER }, { script }).dials).to.eql([0, 7000]);
    });

    it('may answer a promise', async () => {
      const dials = await new Promise<number>((resolve) => {
        let count = 0;
        const source = defer(() => (++count < 3 ? throwError(lost) : of('up')));
        source.pipe(reconnect({ initialDelay: 1, delay: () => Promise.resolve() })).subscribe(() => resolve(count));
      });
      expect(dials).to.equal(3);
    });

    it('obeys `maxAttempts` all the same [S8]', () => {
      expect(run([fails(0)], { ...spaced, delay: () => of(0) }).dials.length).to.equal(5);
    });

    describe('emitting at once, for a dial that fails at once', () => {
      /** The second wait begins inside the emission that ended the first. */
      const nested = (until: number, script?: (run: Run) => void): Run => {
        let asked = 0;
        const delay = (): Observable<number> => (++asked === 1 ? of(0) : timer(1000));
        const source: Dial[] = [fails(100, 'up'), () => throwError(lost), stays];
        return run(source, { initialDelay: 10, delay }, { until, ...(script && { script }) });
      };

      it('can be hurried', () => {
        const { dials } = nested(5000, ({ hurry }) => void timer(200).subscribe(() => hurry.next()));
        expect(dials).to.eql([0, 100, 200]);
      });

      it('can be given up', () => {
        expect(nested(200).attempts).to.eql([1, 2]);
      });
    });
  });

  describe('unsubscribing', () => {
    it('while dialling gives that dial up', () => {
      const { dials, gone, attempts } = run([fails(500)], {}, { until: 100 });
      expect([dials, gone, attempts]).to.eql([[0], [100], [1]]);
    });

    it('while connected gives the connection up', () => {
      const { gone, values } = run([stays], {}, { until: 100 });
      expect([gone, values]).to.eql([[100], ['up']]);
    });

    it('while waiting ends the wait', () => {
      expect(run([fails(0)], { initialDelay: 500 }, { until: 100 }).dials).to.eql([0]);
      expect(run([fails(0)], { delay: () => timer(500) }, { until: 100 }).dials).to.eql([0]);
    });

    for (const inside of ['dialling', 'waiting', 'next', 'retryable', 'delay', 'random']) {
      it(`inside ${inside} does the same`, () => {
        let dials = 0;
        let values = 0;
        marbles(() => {
          const subscription = new Subscription();
          const stopIn = (place: string): void => {
            if (place === inside) subscription.unsubscribe();
          };
          const source = defer(() => {
            dials++;
            return fails(5, 'up')();
          });
          const asked = <T>(place: string, answer: T): T => {
            stopIn(place);
            return answer;
          };
          const policy = resolveReconnect({
            retryable: () => asked('retryable', true),
            random: () => asked('random', 1),
            ...(inside === 'delay' && { delay: () => asked('delay', timer(10)) }),
          });
          const hooks = { dialling: () => stopIn('dialling'), waiting: () => stopIn('waiting') };
          const again = source.pipe(reconnectWith(policy, hooks));
          const onValue = (): void => {
            values++;
            stopIn('next');
          };
          subscription.add(again.subscribe({ next: onValue, error: () => expect.fail('errored') }));
          timer(5000).subscribe(() => subscription.unsubscribe());
        });
        // The first hook runs before there is a subscription to give up: that dial is given up right after it.
        expect([dials, values]).to.eql([1, 1]);
      });
    }

    it('leaves no timer in any phase [S11]', async () => {
      const before = openHandles();
      const dial = (index: number): Observable<string> => (index === 0 ? stays() : throwError(lost));
      for (const config of [{}, { delay: () => timer(60_000) }, { delay: () => NEVER }]) {
        for (const index of [0, 1]) {
          const policy = { initialDelay: 60_000, random: () => 1, stableAfter: 60_000, ...config };
          const subscription = defer(() => dial(index))
            .pipe(reconnect(policy))
            .subscribe();
          expect(openHandles().length, 'waiting').to.be.above(before.length);
          subscription.unsubscribe();
          await noneLeft(before);
        }
      }
    });

    it('after a wait that was hurried leaves no timer [S11]', async () => {
      const before = openHandles();
      const hurry = new Subject<void>();
      const policy = resolveReconnect({ initialDelay: 60_000, maxDelay: 60_000, random: () => 1 });
      const subscription = throwError(lost).pipe(reconnectWith(policy, { hurry })).subscribe();
      for (let i = 0; i < 3; i++) hurry.next();
      subscription.unsubscribe();
      await noneLeft(before);
      expect(hurry.observed).to.be.false;
    });

    it('inside a value of a source that goes on at once leaves no timer [S11]', async () => {
      const before = openHandles();
      const policy = { initialDelay: 60_000, stableAfter: 60_000, maxDelay: 60_000 };
      for (const rest of [NEVER, EMPTY, throwError(lost)]) {
        const seen: string[] = [];
        const hasty = concat(of('a', 'b', 'c'), rest);
        hasty.pipe(reconnect(policy), take(1)).subscribe((value) => seen.push(value));
        expect(seen).to.eql(['a']);
        await noneLeft(before);
      }
    });

    it('and subscribing again starts clean', () => {
      const times: number[] = [];
      marbles((_, scheduler) => {
        const source = defer(() => {
          times.push(scheduler.now());
          return fails(0)();
        });
        const again = source.pipe(reconnect({ random: () => 1, maxAttempts: 3 }));
        const first = again.subscribe({ error: () => {} });
        timer(200).subscribe(() => {
          first.unsubscribe();
          again.subscribe({ error: (error: ReconnectLimitError) => expect(error.attempts).to.equal(3) });
        });
      });
      expect(times).to.eql([0, 50, 150, 200, 250, 350, 550]);
    });
  });

  describe('entered again inside a value', () => {
    /** Virtual ms of each dial; `inside` is done in the first value, of a connection that then lives for 10 ms. */
    const dialsWhen = (inside: (made: { source: Subject<string>; hurry: Subject<void> }) => void): number[] => {
      const dials: number[] = [];
      marbles((_, scheduler) => {
        const hurry = new Subject<void>();
        const first = new Subject<string>();
        timer(1).subscribe(() => first.next('up'));
        timer(11).subscribe(() => first.error(lost()));
        const dialled = defer(() => (dials.push(scheduler.now()) === 1 ? first : NEVER));
        const policy = resolveReconnect({ random: () => 1 });
        const subscription = dialled.pipe(reconnectWith(policy, { hurry })).subscribe(() => {
          inside({ source: first, hurry });
        });
        timer(500).subscribe(() => subscription.unsubscribe());
      });
      return dials;
    };

    it('by nobody waits after the loss', () => {
      expect(dialsWhen(() => {})).to.eql([0, 61]);
    });

    it('by its source, which errors, waits from then on', () => {
      expect(dialsWhen(({ source }) => source.error(lost()))).to.eql([0, 51]);
    });

    it('by who hurries, dials at once after the loss', () => {
      expect(dialsWhen(({ hurry }) => hurry.next())).to.eql([0, 11]);
    });

    it('by who hurries and by the source’s error, dials within that value', () => {
      const both = dialsWhen(({ source, hurry }) => {
        hurry.next();
        source.error(lost());
      });
      expect(both).to.eql([0, 1]);
    });
  });

  describe('a source that is synchronous', () => {
    it('may complete at once', () => {
      expect(run([() => of('a', 'b')], {}).values).to.eql(['a', 'b']);
      expect(run([() => EMPTY], {}).ends).to.eql([['completed', 0]]);
    });

    it('may fail at once, again and again, without growing the stack', () => {
      const { dials } = run([() => throwError(lost)], { initialDelay: 1, maxDelay: 1 }, { until: 20_000 });
      expect(dials.length).to.be.above(15_000);
    });

    it('may throw as it is subscribed to', () => {
      const broken = defer((): Observable<string> => {
        throw refused();
      });
      expect(run([() => broken, stays], {}).values).to.eql(['up']);
    });
  });

  for (const odd of [undefined, null, 'gone', 0, new Error('plain')]) {
    it(`takes an error of ${String(odd)} for a failure that may pass`, () => {
      const { dials, values, ends } = run([fails(0, undefined, () => odd), stays], {});
      expect(ends).to.eql([]);
      expect(dials).to.eql([0, 50]);
      expect(values).to.eql(['up']);
    });

    it(`gives up after errors of ${String(odd)}`, () => {
      const { ends } = run([fails(0, undefined, () => odd)], { maxAttempts: 1, retryable: () => true });
      expect(ends[0]?.[2]).to.include({ code: 'TCP_RECONNECT_LIMIT', attempts: 1 });
    });
  }
});

describe('reconnectWith', () => {
  const soon = { initialDelay: 1000, maxDelay: 1000, random: () => 1 };
  const hurryAt =
    (...times: number[]) =>
    ({ hurry }: Run): void => {
      for (const time of times) timer(time).subscribe(() => hurry.next());
    };

  it('with `false` passes the first error on', () => {
    const error = lost();
    const { dials, ends, waits } = run([fails(5, 'up', () => error)], false);
    expect([dials, waits]).to.eql([[0], []]);
    expect(ends).to.eql([['errored', 5, error]]);
  });

  it('tells each wait with the failure that it follows', () => {
    const error = refused();
    expect(run([fails(0, undefined, () => error), stays], soon).waits).to.eql([[2, 1000, error]]);
  });

  describe('hurried', () => {
    it('while waiting dials at once, and attempts go on counting', () => {
      const { dials, attempts } = run([fails(0), fails(0), stays], soon, { script: hurryAt(300) });
      expect(dials).to.eql([0, 300, 1300]);
      expect(attempts).to.eql([1, 2, 3]);
    });

    it('while waiting for `delay()` dials at once and asks it no more', () => {
      const { dials } = run([fails(0), stays], { ...soon, delay: () => timer(5000) }, { script: hurryAt(300) });
      expect(dials).to.eql([0, 300]);
    });

    it('while dialling changes nothing, then and later', () => {
      const { dials } = run([fails(10), fails(0), stays], soon, { script: hurryAt(5) });
      expect(dials).to.eql([0, 1010, 2010]);
    });

    it('while connected grants one dial at once after the loss, whatever the policy', () => {
      for (const config of [soon, { ...soon, maxAttempts: 0 }, { ...soon, retryable: () => false }, false] as const) {
        const { dials, attempts } = run([fails(10, 'up'), stays], config, { script: hurryAt(5) });
        expect(dials).to.eql([0, 10]);
        expect(attempts).to.eql([1, 2]);
      }
    });

    it('twice while connected grants one dial and not two', () => {
      expect(run([fails(10, 'up'), fails(0), stays], soon, { script: hurryAt(3, 5) }).dials).to.eql([0, 10, 1010]);
      expect(run([fails(10, 'up'), fails(0)], false, { script: hurryAt(3, 5) }).ends[0]?.[0]).to.equal('errored');
    });

    it('counts the granted dial as a redial', () => {
      const { dials, ends } = run([fails(10, 'up'), fails(0)], { ...soon, maxAttempts: 1 }, { script: hurryAt(5) });
      expect(dials).to.eql([0, 10]);
      expect(ends[0]?.[2]).to.include({ code: 'TCP_RECONNECT_LIMIT', attempts: 1 });
    });

    it('by the very hook that tells of the wait dials at once', () => {
      const hurry = new Subject<void>();
      let hurried = false;
      const waiting = (): void => {
        if (!hurried) hurry.next();
        hurried = true;
      };
      const script = (made: Run): void => made.subscription.add(hurry.subscribe(made.hurry));
      const { dials } = run([fails(0), stays], soon, { hooks: { waiting }, script });
      expect(dials).to.eql([0, 0]);
    });

    it('after the end does nothing', () => {
      expect(run([() => EMPTY], soon, { script: hurryAt(10) }).dials).to.eql([0]);
      expect(run([fails(0)], { ...soon, maxAttempts: 0 }, { script: hurryAt(10) }).dials).to.eql([0]);
    });
  });
});
