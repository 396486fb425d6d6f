/**
 * A socket in virtual time, over links that a spec plays: hours pass in no time, and every delay is exact.
 *
 *     virtualTurns();                                              in a describe: microtasks are virtual too
 *     virtualSocket({ settle: 0 }, opens, ({ socket, dials, at }) => {
 *       at(10, () => dials[0]!.link.lost());
 *       at(5_000, () => socket.destroy());
 *     });
 */
import { expect } from 'chai';
import { asapScheduler, Observable, timer, type SchedulerLike } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { clock } from '../../lib/clock.js';
import { lines } from '../../lib/codec/lines.js';
import type { TcpSocketConfig } from '../../lib/config.js';
import type { Link } from '../../lib/connection/link.js';
import { ConnectError } from '../../lib/errors.js';
import { resolveConfig } from '../../lib/resolve-config.js';
import { StayingSocket } from '../../lib/tcp-socket.js';
import { TurnEnd } from '../../lib/turn.js';
import { fakeLink, type FakeLink } from './fake-link.js';
import { nodeError } from './fake-stream.js';

/** One dial, played by the spec. */
export interface Dialled {
  /** Virtual ms at which it was asked for. */
  readonly at: number;
  readonly link: FakeLink;
  /** The socket has given it up, or it has failed. */
  readonly gone: boolean;
  readonly open: () => void;
  readonly fail: (code?: string) => void;
}

/** What becomes of a dial, called when it is asked for. */
export type Play = (dialled: Dialled, index: number) => void;

/** Every dial opens at once. */
export const opens: Play = (dialled) => dialled.open();
/** Every dial is refused in the same virtual ms, once whoever asked for it has seen it begin. */
export const refuses: Play = (dialled) => void timer(0).subscribe(() => dialled.fail());
/** No dial gets an answer. */
export const hangs: Play = () => {};

/** Virtual time for a spec. */
export interface VirtualTime {
  readonly now: () => number;
  /** Does something after so many virtual ms. What it throws fails the spec once time is over. */
  readonly at: (ms: number, action: () => void) => void;
}

/** What a script has in hand. */
export interface VirtualStage extends VirtualTime {
  readonly socket: StayingSocket<string, string>;
  /** The dials so far, the oldest first. */
  readonly dials: readonly Dialled[];
}

/**
 * In a `describe`: what the library does at the end of a turn happens in virtual time too. Under `asapScheduler` the TestScheduler fails when a microtask cancels a
 * timer of the same ms; where that may happen take `asyncScheduler`, by which steps of one ms are one turn.
 */
export function virtualTurns(scheduler: SchedulerLike = asapScheduler): void {
  const { queue, calm, yield: giveWay } = TurnEnd;
  before(() => {
    TurnEnd.queue = TurnEnd.calm = TurnEnd.yield = (action) => void scheduler.schedule(action);
  });
  after(() => {
    TurnEnd.queue = queue;
    TurnEnd.calm = calm;
    TurnEnd.yield = giveWay;
  });
}

/** Runs it in virtual time, which the library's clock shows too, until nothing is left to happen; returns the virtual ms of that moment. */
export function inVirtualTime(script: (time: VirtualTime) => void): number {
  const scheduler = new TestScheduler((actual, expected) => void expect(actual).to.deep.equal(expected));
  const faults: unknown[] = [];
  // Thrown at once, it would leave the scheduler in the middle of things.
  const guard = (action: () => void): void => {
    try {
      action();
    } catch (fault) {
      faults.push(fault);
    }
  };
  const { now } = clock;
  clock.now = () => scheduler.now();
  try {
    scheduler.run(() => {
      const at = (ms: number, action: () => void): void => void timer(ms).subscribe(() => guard(action));
      guard(() => script({ now: () => scheduler.now(), at }));
    });
  } finally {
    clock.now = now;
  }
  if (faults.length > 0) throw faults[0];
  return scheduler.now();
}

/** A socket of lines in virtual time; `random` is 1 unless the config has another. Returns when nothing is left to happen. */
export function virtualSocket(
  config: TcpSocketConfig<string, string>,
  play: Play,
  script: (stage: VirtualStage) => void,
  makeLink: () => FakeLink = fakeLink,
): number {
  return inVirtualTime((time) => {
    const dials: Dialled[] = [];
    const dial = (): Observable<Link> =>
      new Observable((subscriber) => {
        const link = makeLink();
        let gone = false;
        const dialled: Dialled = {
          at: time.now(),
          link,
          get gone() {
            return gone;
          },
          open: () => subscriber.next(link),
          fail: (code = 'ECONNREFUSED') =>
            subscriber.error(new ConnectError('connect', { cause: nodeError(code), endpoint: link.endpoint })),
        };
        dials.push(dialled);
        subscriber.add(() => {
          gone = true;
          link.destroy();
        });
        play(dialled, dials.length - 1);
      });
    const reconnect = { random: () => 1 };
    const resolved = resolveConfig({ host: 'fake', port: 1, codec: lines(), reconnect, ...config });
    script({ ...time, dials, socket: new StayingSocket<string, string>(resolved, dial) });
  });
}
