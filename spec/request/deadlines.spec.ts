import { expect } from 'chai';
import { asyncScheduler, type SchedulerLike } from 'rxjs';
import { Deadlines, type Timed } from '../../lib/request/deadlines.js';
import { inVirtualTime, type VirtualTime } from '../support/virtual-socket.js';

interface Item extends Timed {
  readonly name: string;
}

interface Rig extends VirtualTime {
  readonly deadlines: Deadlines<Item>;
  /** Adds one with so much time. */
  readonly add: (name: string, timeout: number) => Item;
  /** Who was late, and when. */
  readonly missed: string[];
  /** Timers that were set so far. */
  readonly timers: () => number;
}

/** More were told than there are: it would go on for ever. */
const TOO_MANY = 20;

function rig(script: (rig: Rig) => void, onMissed: (item: Item, rig: Rig) => void = () => undefined): number {
  return inVirtualTime((time) => {
    const missed: string[] = [];
    let timers = 0;
    const counting: SchedulerLike = {
      now: () => asyncScheduler.now(),
      schedule: (...task: Parameters<SchedulerLike['schedule']>) => {
        timers++;
        return asyncScheduler.schedule(...task);
      },
    };
    const deadlines = new Deadlines<Item>((item) => {
      if (missed.length > TOO_MANY) throw new Error('there is no end to it');
      missed.push(`${item.name} at ${time.now()}`);
      deadlines.settled(item); // as the requester does
      onMissed(item, made);
    }, counting);
    const add = (name: string, timeout: number): Item => {
      const item = { name, timeout, dueAt: 0, deadline: undefined };
      deadlines.add(item);
      return item;
    };
    const made: Rig = { ...time, deadlines, add, missed, timers: () => timers };
    script(made);
  });
}

describe('Deadlines', () => {
  it('tells of each that is late, in the very millisecond in which it is due', () => {
    rig(({ add, at, missed }) => {
      add('a', 50);
      add('b', 30);
      at(10, () => add('c', 30));
      at(60, () => expect(missed).to.eql(['b at 30', 'c at 40', 'a at 50']));
    });
  });

  it('gives one with 0 ms all the time there is', () => {
    const end = rig(({ add, at, missed, deadlines, timers }) => {
      const item = add('a', 0);
      at(60_000, () => {
        deadlines.settled(item);
        expect([missed, timers()]).to.eql([[], 0]);
      });
    });
    expect(end).to.equal(60_000);
  });

  it('says nothing of those that were settled, and goes on with the others', () => {
    rig(({ add, at, missed, deadlines }) => {
      const [a, , c] = ['a', 'b', 'c'].map((name) => add(name, 50));
      at(10, () => add('d', 50));
      at(20, () => {
        deadlines.settled(a!);
        deadlines.settled(c!);
        deadlines.settled(c!);
      });
      at(70, () => expect(missed).to.eql(['b at 50', 'd at 60']));
    });
  });

  it('has one timer for all that have as much time, and one more for each time that it ran out too early', () => {
    rig(({ add, at, deadlines, timers }) => {
      const items = Array.from({ length: 1_000 }, (_, i) => add(String(i), 50));
      expect(timers()).to.equal(1);
      add('other', 60);
      expect(timers()).to.equal(2);
      at(10, () => add('late', 50));
      at(20, () => items.forEach((item) => deadlines.settled(item)));
      at(55, () => expect(timers()).to.equal(3));
      at(100, () => expect(timers()).to.equal(3));
    });
  });

  it('sets no timer once nothing is left, and a new one for what comes then', () => {
    const end = rig(({ add, at, missed, timers }) => {
      add('a', 50);
      at(200, () => add('b', 50));
      at(260, () => expect([missed, timers()]).to.eql([['a at 50', 'b at 250'], 2]));
    });
    expect(end).to.equal(260);
  });

  it('keeps few timers that wait for nothing, however many times are given [S5]', () => {
    const end = rig(({ add, deadlines, missed, at }) => {
      for (let timeout = 1; timeout <= 1_000; timeout++) deadlines.settled(add('x', timeout));
      add('y', 2_000);
      at(2_001, () => expect(missed).to.eql(['y at 2000']));
    });
    expect(end).to.equal(2_001);
  });

  it('sets a timer anew for a time whose timer it has given up', () => {
    rig(({ add, deadlines, missed, at }) => {
      for (let timeout = 1; timeout <= 50; timeout++) deadlines.settled(add('x', timeout));
      at(10, () => add('y', 50));
      at(70, () => expect(missed).to.eql(['y at 60']));
    });
  });

  it('leaves no timer after stop() [S11]', () => {
    const end = rig(({ add, at, deadlines }) => {
      add('a', 50);
      add('b', 5_000);
      at(10, () => deadlines.stop());
    });
    expect(end).to.equal(10);
  });

  describe('when whoever hears of one that is late', () => {
    it('settles others, they are not told', () => {
      const items: Item[] = [];
      rig(
        ({ add, at, missed }) => {
          for (const name of ['a', 'b', 'c']) items.push(add(name, 50));
          at(60, () => expect(missed).to.eql(['a at 50', 'c at 50']));
        },
        ({ name }, { deadlines }) => (name === 'a' ? deadlines.settled(items[1]!) : undefined),
      );
    });

    it('adds one with as much time, it has all of it', () => {
      rig(
        ({ add, at, missed }) => {
          add('a', 50);
          at(150, () => expect(missed).to.eql(['a at 50', 'again at 100']));
        },
        ({ name }, { add }) => (name === 'a' ? add('again', 50) : undefined),
      );
    });

    for (const [when, laterBy] of [
      ['in the same ms', 0],
      ['later', 10],
    ] as const) {
      it(`stops all, nobody else is told who is due ${when}, and no timer is left [S11]`, () => {
        const items: Item[] = [];
        const end = rig(
          ({ add, at, missed }) => {
            items.push(add('a', 50));
            at(laterBy, () => items.push(add('b', 50)));
            at(90, () => expect(missed).to.eql(['a at 50']));
          },
          (_item, { deadlines }) => {
            deadlines.stop();
            for (const item of items) deadlines.settled(item);
          },
        );
        expect(end).to.equal(90);
      });
    }
  });
});
