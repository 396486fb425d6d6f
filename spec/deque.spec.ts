import { expect } from 'chai';
import { Deque } from '../lib/deque.js';
import { seededRandom } from './support/random.js';
import { stillAlive } from './support/leaks.js';

function drained<T>(deque: Deque<T>): T[] {
  const items: T[] = [];
  for (let item = deque.shift(); item !== undefined; item = deque.shift()) items.push(item);
  return items;
}

function filled(count: number): Deque<number> {
  const deque = new Deque<number>();
  for (let i = 1; i <= count; i++) deque.push(i);
  return deque;
}

describe('Deque', () => {
  it('gives back what was pushed, the oldest first', () => {
    const deque = filled(3);
    expect([deque.length, deque.first]).to.eql([3, 1]);
    expect(drained(deque)).to.eql([1, 2, 3]);
  });

  it('has neither a first item nor one to shift while it is empty', () => {
    const deque = new Deque<number>();
    expect([deque.length, deque.first, deque.shift(), deque.length]).to.eql([0, undefined, undefined, 0]);
  });

  it('puts an item before the oldest one', () => {
    const deque = filled(2);
    deque.unshift(0);
    deque.unshift(-1);
    expect([deque.length, deque.first]).to.eql([4, -1]);
    expect(drained(deque)).to.eql([-1, 0, 1, 2]);
  });

  it('grows when items are put in front of a full ring', () => {
    const deque = filled(8);
    deque.unshift(0);
    expect(drained(deque)).to.eql([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('keeps the items that pass, in their order, and asks each one once', () => {
    const deque = filled(20);
    for (let i = 0; i < 7; i++) deque.push(deque.shift()!);
    const asked: number[] = [];
    deque.retain((item) => {
      asked.push(item);
      return item % 2 === 0;
    });
    expect(asked).to.have.length(20);
    expect(deque.length).to.equal(10);
    expect(drained(deque)).to.eql([8, 10, 12, 14, 16, 18, 20, 2, 4, 6]);
  });

  it('is empty after clear, and of use again', () => {
    const deque = filled(100);
    deque.clear();
    expect([deque.length, deque.first, deque.shift()]).to.eql([0, undefined, undefined]);
    deque.push(7);
    expect(drained(deque)).to.eql([7]);
  });

  it('does as an array does, through thousands of random steps that make it grow and shrink', () => {
    const random = seededRandom(7);
    const deque = new Deque<number>();
    let model: number[] = [];
    for (let step = 1; step < 60_000; step++) {
      const growing = step % 20_000 < 9_000;
      const choice = random.next();
      if (choice < (growing ? 0.6 : 0.1)) {
        deque.push(step);
        model.push(step);
      } else if (choice < (growing ? 0.8 : 0.2)) {
        deque.unshift(step);
        model.unshift(step);
      } else if (choice < 0.999) expect(deque.shift()).to.equal(model.shift());
      else {
        deque.retain((item) => item % 5 !== 0);
        model = model.filter((item) => item % 5 !== 0);
      }
      if (deque.length !== model.length || deque.first !== model[0]) expect.fail(`differs after step ${step}`);
    }
    expect(drained(deque)).to.eql(model);
  });

  it('holds no reference to what left it', async () => {
    const deque = new Deque<object>();
    const left: WeakRef<object>[] = [];
    const leave = (way: () => unknown): void => {
      const item = { way };
      deque.push(item);
      left.push(new WeakRef(item));
      way();
    };
    leave(() => deque.shift());
    leave(() => deque.retain(() => false));
    leave(() => deque.clear());
    expect(await stillAlive(left)).to.equal(0);
  });
});
