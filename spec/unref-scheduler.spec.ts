import { expect } from 'chai';
import { firstValueFrom, interval, map, take, timer, toArray, type Subscription } from 'rxjs';
import { unrefScheduler } from '../lib/unref-scheduler.js';
import { leavesNothingOpen, turns } from './support/fixture.js';
import { expectUncaught } from './support/guard.js';
import { openHandles } from './support/leaks.js';

/** Schedules by hand, and gives what the work was called with. */
function scheduled<T>(work: (state: T | undefined) => void, delay: number, state: T): Subscription {
  return unrefScheduler.schedule<T>((given) => work(given), delay, state);
}

describe('unrefScheduler', () => {
  leavesNothingOpen();

  it('has timers that are no reason for the process to live, unlike those of RxJS', () => {
    const before = openHandles();
    const loose = [timer(60_000, unrefScheduler), interval(60_000, unrefScheduler)].map((source) => source.subscribe());
    expect(openHandles()).to.deep.equal(before);
    const keeping = timer(60_000).subscribe();
    expect(openHandles()).to.deep.equal([...before, 'Timeout'].sort());
    for (const timing of [...loose, keeping]) timing.unsubscribe();
  });

  it('remains no reason at each repetition', async () => {
    const before = openHandles();
    const held = interval(1, unrefScheduler).pipe(
      take(3),
      map(() => openHandles()),
      toArray(),
    );
    for (const handles of await firstValueFrom(held)) expect(handles).to.deep.equal(before);
  });

  it('gives a timer once and an interval again and again, in their order', async () => {
    const told: string[] = [];
    const first = timer(2, unrefScheduler).subscribe(() => told.push('timer'));
    await firstValueFrom(interval(4, unrefScheduler).pipe(take(3), toArray()));
    expect(first.closed).to.equal(true);
    expect(told).to.deep.equal(['timer']);
  });

  it('hands its state to the work, and is over after it unless that schedules anew', async () => {
    const states: unknown[] = [];
    const once = scheduled((state) => states.push(state), 1, 'state');
    const again = unrefScheduler.schedule<number>(
      function (left) {
        states.push(left);
        if (left > 0) this.schedule(left - 1, 1);
      },
      1,
      2,
    );
    await new Promise<void>((over) => again.add(over));
    expect(states.filter((state) => typeof state === 'string')).to.deep.equal(['state']);
    expect(states.filter((state) => typeof state === 'number')).to.deep.equal([2, 1, 0]);
    expect([once.closed, again.closed]).to.deep.equal([true, true]);
  });

  it('does nothing any more once unsubscribed, within its work too', async () => {
    let calls = 0;
    scheduled(() => calls++, 0, undefined).unsubscribe();
    const self: Subscription = unrefScheduler.schedule(function () {
      calls++;
      self.unsubscribe();
      this.schedule(undefined, 0);
    }, 0);
    await firstValueFrom(timer(5));
    expect(calls).to.equal(1);
  });

  it('does its work in a later turn, also without a delay', async () => {
    const told: string[] = [];
    unrefScheduler.schedule(() => told.push('work'));
    told.push('after');
    await firstValueFrom(timer(5));
    expect(told).to.deep.equal(['after', 'work']);
  });

  it('lets a throw of the work out, and is over then', async () => {
    const uncaught = expectUncaught(/work of a spec/);
    const action = unrefScheduler.schedule(() => {
      throw new Error('work of a spec');
    }, 1);
    await uncaught;
    await turns();
    expect(action.closed).to.equal(true);
  });

  it('knows the time', () => {
    const before = Date.now();
    const now = unrefScheduler.now();
    expect(now).to.be.within(before, Date.now());
  });
});
