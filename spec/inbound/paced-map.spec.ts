import { expect } from 'chai';
import {
  concat,
  delay,
  EMPTY,
  from,
  map,
  NEVER,
  type Observable,
  of,
  range,
  startWith,
  Subject,
  take,
  throwError,
  timer,
} from 'rxjs';
import { ConfigError } from '../../lib/errors.js';
import { pacedMap, type Pausable } from '../../lib/inbound/paced-map.js';
import { marbles } from '../support/marbles.js';

/** What is held, and how often it was asked to. */
interface Brake extends Pausable {
  held: number;
  taken: number;
}

function brake(readBuffer?: Pausable['readBuffer']): Brake {
  const made: Brake = {
    ...{ held: 0, taken: 0 },
    ...(readBuffer === undefined ? {} : { readBuffer }),
    pause: () => {
      made.held++;
      made.taken++;
      return () => made.held--;
    },
  };
  return made;
}

describe('pacedMap', () => {
  it('does one work at a time, in the order of the frames', () => {
    marbles(({ hot, cold, expectObservable, expectSubscriptions }) => {
      const work = cold('--x|');
      const source = hot('ab-c-----|');
      expectObservable(source.pipe(pacedMap(brake(), (frame) => work.pipe(map(() => frame))))).toBe('--a--b--c|');
      expectSubscriptions(work.subscriptions).toBe(['^--!', '---^--!', '------^--!']);
    });
  });

  it('does up to `concurrency` works at a time, and gives results as they come', () => {
    marbles(({ hot, expectObservable }) => {
      const wait: Record<string, number> = { a: 6, b: 1, c: 1 };
      const project = (frame: string): Observable<string> => of(frame).pipe(delay(wait[frame]!));
      expectObservable(hot('(abc)----|').pipe(pacedMap(brake(), project, 2))).toBe('-bc---a--|');
    });
  });

  it('numbers the frames from 0, for each subscription', () => {
    const frames = of('a', 'b').pipe(pacedMap(brake(), (frame, index) => [`${frame}${index}`]));
    for (let round = 0; round < 2; round++) {
      const seen: string[] = [];
      frames.subscribe((value) => seen.push(value));
      expect(seen).to.eql(['a0', 'b1']);
    }
  });

  it('passes on every value that a work gives', () => {
    marbles(({ cold, expectObservable }) => {
      expectObservable(cold('a---|').pipe(pacedMap(brake(), () => cold('xy|')))).toBe('xy--|');
    });
  });

  it('completes once the source has and all works are done', () => {
    marbles(({ cold, expectObservable }) => {
      expectObservable(cold('a|').pipe(pacedMap(brake(), () => cold('----x-|')))).toBe('----x-|');
      expectObservable(cold('-|').pipe(pacedMap(brake(), () => of('x')))).toBe('-|');
      expectObservable(cold('a--|').pipe(pacedMap(brake(), () => EMPTY))).toBe('---|');
    });
  });

  it('passes an error of the source on at once, and gives works up', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const work = cold('----x|');
      expectObservable(cold('ab-#').pipe(pacedMap(brake(), () => work))).toBe('---#');
      expectSubscriptions(work.subscriptions).toBe(['^--!']);
    });
  });

  it('errors with an error of a work, and gives the source up', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('ab-c-c');
      expectObservable(source.pipe(pacedMap(brake(), () => cold('--#')))).toBe('--#');
      expectSubscriptions(source.subscriptions).toBe('^-!');
    });
  });

  it('errors with what `project` throws, and calls it no more', () => {
    const mistake = new Error('mistake');
    let calls = 0;
    let end: unknown;
    const project = (): never => {
      calls++;
      throw mistake;
    };
    of(1, 2, 3)
      .pipe(pacedMap(brake(1), project))
      .subscribe({ error: (error: unknown) => (end = error) });
    expect([end, calls]).to.eql([mistake, 1]);
  });

  it('errors when `project` answers no source', () => {
    let end: unknown;
    const held = brake(1);
    of(1)
      .pipe(pacedMap(held, () => 5 as never))
      .subscribe({ error: (error: unknown) => (end = error) });
    expect(end).to.be.instanceOf(TypeError);
    expect(held.held).to.equal(0);
  });

  it('unsubscribes from source and works, and drops what waits', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('abc--d');
      const work = cold('-----x|');
      expectObservable(source.pipe(pacedMap(brake(), () => work)), '----!').toBe('-----');
      expectSubscriptions(source.subscriptions).toBe('^---!');
      expectSubscriptions(work.subscriptions).toBe('^---!');
    });
  });

  it('goes on with what waits and what runs after its source has completed', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('(abc|)');
      const work = cold('x-----|');
      expectObservable(source.pipe(pacedMap(brake(), () => work, 2))).toBe('(xx)--x-----|');
      expectSubscriptions(work.subscriptions).toBe(['^-----!', '^-----!', '------^-----!']);
    });
  });

  it('gives the other works and what waits up with the first error of one', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const works: Record<string, ReturnType<typeof cold>> = { a: cold('---x|'), b: cold('-#'), c: cold('x|') };
      expectObservable(cold('(abc)').pipe(pacedMap(brake(), (frame) => works[frame]!, 2))).toBe('-#');
      expectSubscriptions(works.a!.subscriptions).toBe('^!');
      expectSubscriptions(works.c!.subscriptions).toBe([]);
    });
  });

  it('errors with a promise that rejects', async () => {
    const mistake = new Error('mistake');
    const held = brake(1);
    const end = await new Promise((error) => {
      of(1)
        .pipe(pacedMap(held, () => Promise.reject(mistake)))
        .subscribe({ error });
    });
    expect([end, held.taken, held.held]).to.eql([mistake, 1, 0]);
  });

  for (const [phase, when, source, works] of [
    ['before the first frame', '!', '(^!)', []],
    ['while a work runs', '--!', '^-!', ['-^!']],
    ['while a frame waits', '----!', '^---!', ['-^--!']],
    ['once its source has completed', '-------!', '^----!', ['-^---!', '-----^-!']],
  ] as const) {
    it(`unsubscribed ${phase} gives everything up at once`, () => {
      marbles(({ cold, expectObservable, expectSubscriptions }) => {
        const frames = cold('-a-b-|');
        const work = cold('----|');
        const held = brake(2);
        expectObservable(frames.pipe(pacedMap(held, () => work)), when).toBe('');
        expectSubscriptions(frames.subscriptions).toBe(source);
        expectSubscriptions(work.subscriptions).toBe([...works]);
        timer(50).subscribe(() => expect(held.held).to.equal(0));
      });
    });
  }

  it('unsubscribed inside a result starts no other work and holds no longer', () => {
    const held = brake(2);
    const frames = new Subject<number>();
    const works: Subject<string>[] = [];
    const seen: string[] = [];
    const subscription = frames.pipe(pacedMap(held, (index) => (works[index] = new Subject()))).subscribe((result) => {
      seen.push(result);
      subscription.unsubscribe();
    });
    for (const index of [0, 1, 2]) frames.next(index);
    expect(held.held).to.equal(1);
    works[0]!.next('first');
    works[0]!.next('second');
    works[0]!.complete();
    expect([seen, works.length, held.held, frames.observed]).to.eql([['first'], 1, 0, false]);
  });

  it('subscribed twice at once works and holds for each', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-|');
      const work = cold('--x|');
      const held = brake(1);
      const paced = source.pipe(pacedMap(held, () => work));
      expectObservable(paced).toBe('--x|');
      expectObservable(paced, '-^').toBe('---x|');
      expectSubscriptions(work.subscriptions).toBe(['^--!', '-^--!']);
      timer(2).subscribe(() => expect(held.held, 'while both work').to.equal(2));
      timer(10).subscribe(() => expect(held.held).to.equal(0));
    });
  });

  it('takes frames that `project` itself brings about, after those that wait', () => {
    const frames = new Subject<string>();
    const projected: string[] = [];
    const seen: string[] = [];
    frames
      .pipe(
        pacedMap(brake(), (frame) => {
          projected.push(frame);
          if (frame === 'a') for (const next of ['b', 'c']) frames.next(next);
          return of(frame);
        }),
      )
      .subscribe((result) => seen.push(result));
    frames.next('a');
    expect([projected, seen]).to.eql([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
  });

  describe('holds', () => {
    it('at `readBuffer` frames that are not finished, and releases at half of that', () => {
      const held = brake(4);
      const frames = new Subject<number>();
      const works: Subject<string>[] = [];
      frames
        .pipe(
          pacedMap(held, (index) => {
            works[index] = new Subject();
            return works[index];
          }),
        )
        .subscribe();
      const history = [0, 1, 2, 3].map((index) => {
        frames.next(index);
        return held.held;
      });
      expect(history, 'one runs, the rest waits').to.eql([0, 0, 0, 1]);
      const releasing = [0, 1, 2, 3].map((index) => {
        works[index]!.complete();
        return held.held;
      });
      expect(releasing, 'three, two, one, none are left').to.eql([1, 0, 0, 0]);
      expect(held.taken).to.equal(1);
    });

    it('with one hold, however many come all the same', () => {
      const held = brake(2);
      range(0, 10)
        .pipe(pacedMap(held, () => NEVER))
        .subscribe()
        .unsubscribe();
      expect([held.taken, held.held]).to.eql([1, 0]);
    });

    it('at one frame when `readBuffer` is 1, and releases with its end', () => {
      const held = brake(1);
      const work = new Subject();
      of(1)
        .pipe(pacedMap(held, () => work))
        .subscribe();
      expect(held.held).to.equal(1);
      work.complete();
      expect(held.held).to.equal(0);
    });

    it('at 100 frames when nothing else is said', () => {
      const held = brake();
      const frames = new Subject<number>();
      frames.pipe(pacedMap(held, () => NEVER)).subscribe();
      for (let i = 0; i < 99; i++) frames.next(i);
      expect(held.held).to.equal(0);
      frames.next(99);
      expect(held.held).to.equal(1);
    });

    it('at so many bytes that are not finished, and releases at half of both', () => {
      const held = brake({ frames: 4, bytes: 100 });
      const frames = new Subject<ArrayBufferView | string | number>();
      const works: Subject<string>[] = [];
      const project = (_frame: unknown, index: number): Subject<string> => (works[index] = new Subject());
      frames.pipe(pacedMap(held, project, 10)).subscribe();
      const history = [Buffer.alloc(60), 'x'.repeat(39), 1e9, new Uint16Array(1)].map((frame) => {
        frames.next(frame);
        return held.held;
      });
      expect(history, '60, 99, 99 and 101 bytes in 1 to 4 frames').to.eql([0, 0, 0, 1]);
      const releasing = [1, 2, 0, 3].map((index) => {
        works[index]!.complete();
        return held.held;
      });
      expect(releasing, '62, 62, 2 and 0 bytes in 3 to 0 frames').to.eql([1, 1, 0, 0]);
    });

    it('while one frame is larger than all, which comes through, until it is done', () => {
      const held = brake({ bytes: 10 });
      const work = new Subject();
      of(Buffer.alloc(1000))
        .pipe(pacedMap(held, () => work))
        .subscribe();
      expect(held.held).to.equal(1);
      work.complete();
      expect([held.taken, held.held]).to.eql([1, 0]);
    });

    it('give back what a frame counted when it came, though its memory went elsewhere since', () => {
      const held = brake({ bytes: 10 });
      const work = new Subject();
      const frame = new Uint8Array(20);
      of(frame)
        .pipe(pacedMap(held, () => work))
        .subscribe();
      structuredClone(frame, { transfer: [frame.buffer] });
      expect(frame).to.have.length(0);
      work.complete();
      expect(held.held).to.equal(0);
    });

    it('count works that run at once as well', () => {
      const held = brake(3);
      range(0, 3)
        .pipe(pacedMap(held, () => NEVER, 10))
        .subscribe();
      expect(held.held).to.equal(1);
    });

    it('are released by unsubscribing, by an error and by completion', () => {
      const ends: [string, (held: Brake) => void][] = [
        [
          'unsubscribing',
          (held) =>
            of(1)
              .pipe(pacedMap(held, () => NEVER))
              .subscribe()
              .unsubscribe(),
        ],
        ['an error of the source', (held) => failing(concat(of(1), throwError(() => 1)).pipe(pacedMap(held, () => NEVER)))], // prettier-ignore
        ['an error of a work', (held) => failing(of(1).pipe(pacedMap(held, () => throwError(() => 1))))],
        ['a throw', (held) => failing(of(1).pipe(pacedMap(held, throws)))],
        [
          'completion',
          (held) =>
            of(1)
              .pipe(pacedMap(held, () => EMPTY))
              .subscribe(),
        ],
      ];
      for (const [name, end] of ends) {
        const held = brake(1);
        end(held);
        expect([held.taken, held.held], name).to.eql([1, 0]);
      }
    });

    it('are not taken, nor is `project` called, after an unsubscription inside a synchronous source', () => {
      const held = brake(1);
      const projected: number[] = [];
      const seen: number[] = [];
      const project = (value: number): Observable<number> => {
        projected.push(value);
        return value === 0 ? of(value) : NEVER;
      };
      range(0, 5)
        .pipe(pacedMap(held, project), take(1))
        .subscribe((value) => seen.push(value));
      expect([seen, projected, held.held]).to.eql([[0], [0], 0]);
    });

    it('are released when `project` itself unsubscribes', () => {
      const held = brake(1);
      const frames = new Subject<number>();
      const subscription = frames
        .pipe(
          pacedMap(held, () => {
            subscription.unsubscribe();
            return NEVER;
          }),
        )
        .subscribe();
      frames.next(1);
      expect(held.held).to.equal(0);
    });
  });

  it('goes through 100,000 values of synchronous work without growing the stack', () => {
    let sum = 0;
    const held = brake();
    range(0, 100_000)
      .pipe(pacedMap(held, (value) => of(value)))
      .subscribe((value) => (sum += value));
    expect(sum).to.equal(4_999_950_000);
    expect(held.held).to.equal(0);
  });

  it('goes through 100,000 values that waited, each finished at once, without growing the stack', () => {
    let count = 0;
    const gate = new Subject<void>();
    const project = (value: number): Observable<number> => (value === 0 ? gate.pipe(map(() => 0)) : of(value));
    range(0, 100_000)
      .pipe(pacedMap(brake(), project))
      .subscribe(() => count++);
    expect(count).to.equal(0);
    gate.next();
    gate.complete();
    expect(count).to.equal(100_000);
  });

  it('takes frames that come while a result is emitted, after those that wait', () => {
    const frames = new Subject<string>();
    const seen: string[] = [];
    frames.pipe(pacedMap(brake(), (frame) => of(frame))).subscribe((frame) => {
      seen.push(`<${frame}`);
      if (frame === 'a') for (const next of ['b', 'c']) frames.next(next);
      seen.push(`${frame}>`);
    });
    frames.next('a');
    expect(seen).to.eql(['<a', 'a>', '<b', 'b>', '<c', 'c>']);
  });

  it('takes a new hold for frames that come while it releases the last', () => {
    const frames = new Subject<number>();
    const works: Subject<void>[] = [];
    let [held, count] = [0, 0];
    const eager = {
      readBuffer: 2,
      pause: () => {
        held++;
        return () => {
          held--;
          while (held === 0 && count < 50) frames.next(count++);
        };
      },
    };
    const work = (): Subject<void> => works[works.push(new Subject<void>()) - 1]!;
    frames.pipe(pacedMap(eager, work)).subscribe();
    for (let i = 0; i < 2; i++) frames.next(count++);
    expect([held, count]).to.eql([1, 2]);
    works[0]!.complete();
    expect([held, count]).to.eql([1, 3]);
  });

  it('errors with what `pause` throws', () => {
    const mistake = new Error('pause');
    const stuck = {
      readBuffer: 1,
      pause: () => {
        throw mistake;
      },
    };
    const errors: unknown[] = [];
    NEVER.pipe(
      startWith(1),
      pacedMap(stuck, () => NEVER),
    ).subscribe({ error: (error) => errors.push(error) });
    expect(errors).to.eql([mistake]);
  });

  it('takes promises and iterables as work', async () => {
    const seen: unknown[] = [];
    await new Promise<void>((complete) => {
      from([Promise.resolve(1), [2, 3]])
        .pipe(pacedMap(brake(), (work) => work))
        .subscribe({ next: (value) => seen.push(value), complete });
    });
    expect(seen).to.eql([1, 2, 3]);
  });

  it('starts clean with each subscription', () => {
    marbles(({ expectObservable }) => {
      const held = brake(2);
      const paced = range(0, 4).pipe(pacedMap(held, (value) => timer(1).pipe(map(() => String(value)))));
      paced.subscribe().unsubscribe();
      expectObservable(paced).toBe('-012(3|)');
    });
  });

  it('refuses what cannot be paused, and a `project` that is no function', () => {
    for (const wrong of [null, undefined, {}, { pause: 1 }, 5])
      expect(() => pacedMap(wrong as never, () => EMPTY)).to.throw(ConfigError, '`pausable.pause` must be a function');
    for (const wrong of [null, undefined, {}])
      expect(() => pacedMap(brake(), wrong as never)).to.throw(ConfigError, '`project` must be a function');
  });

  it('refuses a concurrency or a read buffer that is no whole number from 1', () => {
    for (const wrong of [0, -1, 1.5, NaN, '2'])
      expect(() => pacedMap(brake(), () => EMPTY, wrong as number)).to.throw(ConfigError, 'concurrency');
    expect(() => pacedMap(brake(0), () => EMPTY)).to.throw(ConfigError, 'readBuffer');
    expect(() => pacedMap(brake({ bytes: 0 }), () => EMPTY)).to.throw(ConfigError, 'readBuffer.bytes');
    pacedMap(brake(), () => EMPTY, Infinity);
  });
});

function failing(source: Observable<unknown>): void {
  source.subscribe({ error: () => {} });
}

function throws(): never {
  throw new Error('thrown');
}
