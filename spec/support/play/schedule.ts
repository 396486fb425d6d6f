/** What is played: data alone, so that a schedule that fails can be made smaller. */
import fc from 'fast-check';

/** The `maxDelay` of every socket that is played. */
export const MAX_DELAY = 50;

/** What becomes of one dial, after so many ms; what answers our FIN after so many. */
export interface DialPlan {
  readonly opens: boolean;
  readonly takes: number;
  readonly finAfter: number;
}

/** What the peer says: so many frames more, of which all that waits comes, save the last bytes. */
export interface Saying {
  readonly frames: number;
  readonly save: number;
}

/** A message; with a `retryLimit` of its own unless that is -1. */
export interface WriteAct {
  readonly do: 'write';
  readonly how: 'next' | 'write';
  readonly big: boolean;
  readonly retryLimit: number;
}

/** What users do. Places are counted modulo what there is. */
export type UserAct =
  | WriteAct
  | { readonly do: 'hold' | 'subscribe' | 'redial' | 'end' | 'destroy' }
  | { readonly do: 'release' | 'leave' | 'withdraw'; readonly place: number };

/** What happens to the connection that is open. */
export type PeerAct =
  | { readonly do: 'say'; readonly saying: Saying }
  | { readonly do: 'confirm' }
  | { readonly do: 'fail the write' }
  | { readonly do: 'lose'; readonly saying: Saying | undefined; readonly clean: boolean }
  | { readonly do: 'fin'; readonly saying: Saying | undefined };

export type Act = UserAct | PeerAct | { readonly do: 'haunt'; readonly place: number };

export interface Schedule {
  readonly retryLimit: number;
  readonly settle: number;
  readonly overflow: 'dropNewest' | 'dropOldest';
  readonly frames: number;
  readonly initialDelay: number;
  readonly stableAfter: number;
  readonly maxAttempts: number;
  /** Whether the first subscriber is there from the start, and stays. */
  readonly steady: boolean;
  /** Whether writes are confirmed before they return, once `confirms` are used up. */
  readonly prompt: boolean;
  /** Whether links lend their chunks, and write over them afterwards. */
  readonly lends: boolean;
  readonly confirms: readonly boolean[];
  /** What `random` answers, and 1 once they are used up. */
  readonly randoms: readonly number[];
  /** After these, dials open at once. */
  readonly dials: readonly DialPlan[];
  /** What subscribers do inside a frame, one frame after another. */
  readonly reactions: readonly (UserAct | undefined)[];
  readonly steps: readonly { readonly after: number; readonly act: Act }[];
  readonly last: 'end' | 'destroy';
}

/** All of them. */
export function schedules(): fc.Arbitrary<Schedule> {
  const saying = fc.record({ frames: fc.nat(3), save: fc.oneof(fc.constant(0), fc.nat(6)) });
  const rest = fc.option(saying, { nil: undefined, freq: 1 });
  const just = <T extends string>(what: T): fc.Arbitrary<{ do: T }> => fc.constant({ do: what });
  const placed = <T extends string>(what: T): fc.Arbitrary<{ do: T; place: number }> =>
    fc.record({ do: fc.constant(what), place: fc.nat(20) });
  const limit = fc.constantFrom(Infinity, 0, 1, 3);
  const write = fc.record({
    do: fc.constant('write'),
    how: fc.constantFrom('next', 'write'),
    big: fc.nat(19).map((n) => n === 19),
    retryLimit: fc.oneof({ weight: 4, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: limit }),
  });
  const often = <T>(weight: number, arbitrary: fc.Arbitrary<T>): fc.WeightedArbitrary<T> => ({ weight, arbitrary });
  const act: fc.Arbitrary<Act> = fc.oneof(
    often(300, write),
    often(180, fc.record({ do: fc.constant('say'), saying })),
    often(160, just('confirm')),
    often(70, just('hold')),
    often(70, placed('release')),
    often(50, just('subscribe')),
    often(50, placed('leave')),
    often(20, placed('withdraw')),
    often(20, just('redial')),
    often(20, placed('haunt')),
    often(20, just('fail the write')),
    often(30, fc.record({ do: fc.constant('lose'), saying: rest, clean: fc.boolean() })),
    often(20, fc.record({ do: fc.constant('fin'), saying: rest })),
    often(3, just('end')),
    often(2, just('destroy')),
  );
  const reaction: fc.Arbitrary<UserAct | undefined> = fc.oneof(
    often(800, fc.constant(undefined)),
    often(60, just('hold')),
    often(40, placed('leave')),
    often(30, placed('release')),
    often(20, just('subscribe')),
    often(20, write),
    often(8, just('redial')),
    often(2, just('end')),
    often(1, just('destroy')),
  );
  const list = <T>(arbitrary: fc.Arbitrary<T>, maxLength: number): fc.Arbitrary<T[]> =>
    fc.array(arbitrary, { maxLength, size: 'max' });
  return fc.record({
    retryLimit: limit,
    settle: fc.constantFrom(0, 10),
    overflow: fc.constantFrom('dropNewest', 'dropOldest'),
    frames: fc.constantFrom(3, 10, 100),
    initialDelay: fc.constantFrom(1, 20),
    stableAfter: fc.constantFrom(5000, 30),
    maxAttempts: fc.constantFrom(Infinity, Infinity, 3),
    steady: fc.boolean(),
    prompt: fc.boolean(),
    lends: fc.boolean(),
    confirms: list(fc.boolean(), 40),
    randoms: list(fc.constantFrom(1, 0.5, 0.1, 0), 20),
    dials: list(fc.record({ opens: fc.nat(4).map((n) => n < 4), takes: fc.nat(20), finAfter: fc.nat(30) }), 20),
    reactions: list(reaction, 150),
    steps: list(fc.record({ after: fc.nat(8), act }), 120),
    last: fc.constantFrom('end', 'destroy'),
  });
}
