import { expect } from 'chai';
import { Pace } from '../../lib/outbound/pace.js';
import { turns } from '../support/fixture.js';

interface Rig {
  readonly pace: Pace;
  /** How often a turn was over in which somebody had to wait. */
  readonly goes: () => number;
}

function rig(): Rig {
  let goes = 0;
  return { pace: new Pace(() => goes++), goes: () => goes };
}

describe('Pace', () => {
  it('lets the first of a turn go, and none after it until the next turn', async () => {
    const { pace } = rig();
    expect(pace.free).to.equal(true);
    pace.wrote();
    expect(pace.free).to.equal(false);
    pace.wrote();
    await Promise.resolve();
    expect(pace.free).to.equal(false);
    await turns(1);
    expect(pace.free).to.equal(true);
  });

  it('calls at the end of a turn in which somebody had to wait, once, and then the next may go', async () => {
    let free: boolean | undefined;
    let calls = 0;
    const pace: Pace = new Pace(() => {
      calls++;
      free = pace.free;
    });
    pace.wrote();
    pace.wait();
    pace.wait();
    expect(calls).to.equal(0);
    await turns(1);
    expect([calls, free]).to.eql([1, true]);
    await turns(3);
    expect(calls).to.equal(1);
  });

  it('calls nobody at the end of a turn in which nobody waited', async () => {
    const { pace, goes } = rig();
    pace.wrote();
    await turns(3);
    expect(goes()).to.equal(0);
  });

  it('ends one turn after another, as long as there is something to write', async () => {
    let calls = 0;
    const pace: Pace = new Pace(() => {
      pace.wrote();
      if (++calls < 5) pace.wait();
    });
    pace.wrote();
    pace.wait();
    await turns(20);
    expect(calls).to.equal(5);
  });

  describe('while an outcome is told', () => {
    it('lets all go', () => {
      const { pace } = rig();
      pace.wrote();
      let free = false;
      pace.tell(() => (free = pace.free));
      expect(free).to.equal(true);
    });

    it('goes on to do so until all microtasks that come of it are done, if somebody heard it', async () => {
      const { pace } = rig();
      pace.wrote();
      pace.tell(() => true);
      for (let i = 0; i < 100; i++) {
        expect(pace.free, `after ${i} microtasks`).to.equal(true);
        await Promise.resolve();
      }
      await new Promise<void>((resolve) => process.nextTick(resolve));
      expect(pace.free).to.equal(false);
    });

    it('does not if nobody heard it', () => {
      const { pace } = rig();
      pace.wrote();
      pace.tell(() => false);
      expect(pace.free).to.equal(false);
    });

    it('does so for an outcome that is told inside another', () => {
      const { pace } = rig();
      pace.wrote();
      const free: boolean[] = [];
      pace.tell(() => {
        pace.tell(() => false);
        free.push(pace.free);
        return false;
      });
      expect([...free, pace.free]).to.eql([true, false]);
    });
  });
});
