import { expect } from 'chai';
import { asapScheduler } from 'rxjs';
import { TurnEnd } from '../lib/turn.js';
import { expectUncaught } from './support/guard.js';

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('TurnEnd', () => {
  it('acts once a turn, however often it was asked', async () => {
    let acts = 0;
    const turnEnd = new TurnEnd(() => acts++);
    for (let i = 0; i < 5; i++) turnEnd.ask();
    expect(acts).to.equal(0);
    await nextTurn();
    expect(acts).to.equal(1);
  });

  it('queues itself once a turn, cancelled and asked anew or not', async () => {
    const { queue } = TurnEnd;
    let queued = 0;
    TurnEnd.queue = (action) => {
      queued++;
      queue(action);
    };
    try {
      const turnEnd = new TurnEnd(() => {});
      for (let i = 0; i < 5; i++) turnEnd.ask();
      turnEnd.cancel();
      turnEnd.ask();
      expect(queued).to.equal(1);
      await nextTurn();
      turnEnd.ask();
      expect(queued).to.equal(2);
    } finally {
      TurnEnd.queue = queue;
    }
  });

  it('acts in a microtask of the same turn, before any timer or immediate', async () => {
    const order: string[] = [];
    const turnEnd = new TurnEnd(() => order.push('act'));
    const both = Promise.all([
      new Promise<void>((resolve) => setImmediate(() => resolve(void order.push('immediate')))),
      new Promise<void>((resolve) => setTimeout(() => resolve(void order.push('timer')), 0)),
    ]);
    turnEnd.ask();
    order.push('sync');
    await both;
    expect(order.slice(0, 2)).to.eql(['sync', 'act']);
  });

  it('acts again when it is asked in a later turn, or out of its own act', async () => {
    let acts = 0;
    const turnEnd: TurnEnd = new TurnEnd(() => {
      if (++acts === 1) turnEnd.ask();
    });
    turnEnd.ask();
    await nextTurn();
    expect(acts).to.equal(2);
    turnEnd.ask();
    await nextTurn();
    expect(acts).to.equal(3);
  });

  it('does not act after cancel, until it is asked anew', async () => {
    let acts = 0;
    const turnEnd = new TurnEnd(() => acts++);
    turnEnd.cancel();
    turnEnd.ask();
    turnEnd.cancel();
    turnEnd.cancel();
    await nextTurn();
    expect(acts).to.equal(0);
    turnEnd.ask();
    turnEnd.cancel();
    turnEnd.ask();
    await nextTurn();
    expect(acts).to.equal(1);
  });

  it('is calm once all microtasks are done that come of the moment, and before any timer, immediate or socket', async () => {
    const order: string[] = [];
    const immediate = nextTurn().then(() => order.push('immediate'));
    TurnEnd.calm(() => order.push('calm'));
    let chain = Promise.resolve();
    for (let i = 0; i < 50; i++) chain = chain.then(() => undefined);
    void chain.then(() => order.push('microtasks'));
    await immediate;
    expect(order).to.eql(['microtasks', 'calm', 'immediate']);
  });

  it('is calm after the microtasks of a moment outside any microtask, too', async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      process.nextTick(() => {
        TurnEnd.calm(() => {
          order.push('calm');
          resolve();
        });
        process.nextTick(() => void Promise.resolve().then(() => order.push('microtask')));
        void Promise.resolve().then(() => order.push('its own'));
      });
    });
    expect(order.slice(-1)).to.eql(['calm']);
    expect(order).to.have.members(['its own', 'microtask', 'calm']);
  });

  it('acts although another user of the asapScheduler has thrown in the same turn', async () => {
    let acts = 0;
    const turnEnd = new TurnEnd(() => acts++);
    const thrown = expectUncaught(/not ours/);
    asapScheduler.schedule(() => {
      throw new Error('not ours');
    });
    turnEnd.ask();
    await thrown;
    await nextTurn();
    expect(acts).to.equal(1);
    turnEnd.ask();
    await nextTurn();
    expect(acts).to.equal(2);
  });
});
