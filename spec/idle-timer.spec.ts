import { expect } from 'chai';
import { TestScheduler } from 'rxjs/testing';
import { timer } from 'rxjs';
import { IdleTimer } from '../lib/idle-timer.js';

/** Runs a script in virtual time, and gives the times at which the idle timer fired. */
function firings(script: (idle: IdleTimer) => void): number[] {
  const scheduler = new TestScheduler(() => undefined);
  const fired: number[] = [];
  Object.defineProperty(performance, 'now', { configurable: true, value: () => scheduler.now() });
  try {
    scheduler.run(() => script(new IdleTimer(() => fired.push(scheduler.now()))));
  } finally {
    Reflect.deleteProperty(performance, 'now');
  }
  return fired;
}

/** Does this at that time. */
function at(time: number, action: () => void): void {
  timer(time).subscribe(action);
}

describe('IdleTimer', () => {
  it('fires once after so many ms in which nothing happened', () => {
    expect(firings((idle) => idle.set(100))).to.eql([100]);
  });

  it('is put off by whatever happens, by as much', () => {
    const times = firings((idle) => {
      idle.set(100);
      for (const time of [30, 60, 150, 249]) at(time, () => idle.active());
    });
    expect(times).to.eql([349]);
  });

  it('fires again only after something has happened again', () => {
    const times = firings((idle) => {
      idle.set(100);
      for (const time of [500, 550, 900]) at(time, () => idle.active());
    });
    expect(times).to.eql([100, 650, 1000]);
  });

  it('starts anew when it is set, with the new time alone', () => {
    const times = firings((idle) => {
      idle.set(100);
      at(50, () => idle.set(30));
      at(200, () => idle.set(300));
    });
    expect(times).to.eql([80, 500]);
  });

  it('never fires at 0, whatever happens, and leaves no timer', () => {
    const times = firings((idle) => {
      idle.active();
      idle.set(100);
      at(50, () => idle.set(0));
      at(60, () => idle.active());
    });
    expect(times).to.eql([]);
  });
});
