import { expect } from 'chai';
import { Flushes } from '../../lib/outbound/flushes.js';
import { turns } from '../support/fixture.js';

/** Those that wait for these places; who is done stands in `done`. */
function waitingFor(...places: number[]) {
  const flushes = new Flushes();
  const done: number[] = [];
  for (const place of places) void flushes.until(place).then(() => done.push(place));
  return { flushes, done };
}

describe('Flushes', () => {
  it('end once every message up to theirs has left the queue, and say whether there was one', async () => {
    const { flushes, done } = waitingFor(2, 2, 5);
    expect([flushes.settle(1), flushes.settle(2)]).to.eql([false, false]);
    expect(flushes.settle(3)).to.equal(true);
    await turns(1);
    expect(done).to.eql([2, 2]);
    expect([flushes.settle(5), flushes.settle(6), flushes.settle(7)]).to.eql([false, true, false]);
    await turns(1);
    expect(done).to.eql([2, 2, 5]);
  });

  it('all end with an empty queue, those of one that is given up too', async () => {
    const { flushes, done } = waitingFor(1, 9);
    expect(flushes.settle(Infinity)).to.equal(true);
    await turns(1);
    expect(done).to.eql([1, 9]);
  });

  it('are nobody at first', () => {
    expect(new Flushes().settle(Infinity)).to.equal(false);
  });
});
