import { expect } from 'chai';
import { timer } from 'rxjs';
import { IdleTimer } from '../lib/idle-timer.js';
import { unrefScheduler } from '../lib/unref-scheduler.js';
import { leavesNothingOpen } from './support/fixture.js';
import { openHandles } from './support/leaks.js';
import { inVirtualTime } from './support/virtual-socket.js';

/** Runs a script in virtual time, and gives the times at which the idle timer fired. */
function firings(
  script: (idle: IdleTimer, fired: readonly number[]) => void,
  onFire?: (idle: IdleTimer) => void,
): number[] {
  const fired: number[] = [];
  inVirtualTime(({ now }) => {
    const idle = new IdleTimer(() => {
      fired.push(now());
      onFire?.(idle);
    });
    script(idle, fired);
  });
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

  it('counts what happens while it fires, and being set then', () => {
    const again = firings(
      (idle) => {
        idle.set(100);
        at(350, () => idle.set(0));
      },
      (idle) => idle.active(),
    );
    expect(again).to.eql([100, 200, 300]);
    const slower = firings(
      (idle) => {
        idle.set(100);
        at(250, () => idle.set(0));
      },
      (idle) => idle.set(140),
    );
    expect(slower).to.eql([100, 240]);
  });

  describe('on timers that do not keep the process', () => {
    leavesNothingOpen();

    it('runs on the scheduler that it is given', () => {
      const before = openHandles();
      const idle = new IdleTimer(() => undefined, unrefScheduler);
      idle.set(60_000);
      expect(openHandles()).to.eql(before);
      idle.set(0);
    });
  });
});
