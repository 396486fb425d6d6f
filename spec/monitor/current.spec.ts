import { expect } from 'chai';
import { Current } from '../../lib/monitor/current.js';
import { tape } from '../support/tape.js';

describe('Current', () => {
  it('gives the current value first, then every change', () => {
    const current = new Current('a');
    const first = tape(current.values);
    current.set('b');
    const second = tape(current.values);
    current.set('c');
    expect([first.values, second.values]).to.eql([
      ['a', 'b', 'c'],
      ['b', 'c'],
    ]);
  });

  it('gives the last value and the end to a late subscriber', () => {
    const current = new Current('a');
    current.set('b');
    current.complete();
    const late = tape(current.values);
    expect([late.values, late.ended]).to.eql([['b'], 'completed']);
  });

  it('tells equal values in a row once, and a value that comes back again', () => {
    const current = new Current(true);
    const { values } = tape(current.values);
    for (const value of [true, false, false, true]) current.set(value);
    expect(values).to.eql([true, false, true]);
  });

  it('has the newest value at once, and tells all subscribers in the order of the changes', () => {
    const current = new Current(0);
    current.values.subscribe((value) => {
      if (value === 0 || value > 2) return;
      current.set(value + 1);
      expect(current.value).to.equal(value + 1);
    });
    const second = tape(current.values);
    current.set(1);
    expect(second.values).to.eql([0, 1, 2, 3]);
    expect(current.value).to.equal(3);
  });

  it('tells a value that came back while another was told', () => {
    const current = new Current(0);
    let done = false;
    current.values.subscribe((value) => {
      if (value !== 1 || done) return;
      done = true;
      current.set(2);
      current.set(1);
    });
    const second = tape(current.values);
    current.set(1);
    expect(second.values).to.eql([0, 1, 2, 1]);
  });

  it('gives one who subscribes within a change each value once', () => {
    const current = new Current(0);
    let inner: readonly number[] = [];
    current.values.subscribe((value) => {
      if (value !== 1) return;
      current.set(2);
      inner = tape(current.values).values;
    });
    current.set(1);
    expect(inner).to.eql([1, 2]);
  });

  it('tells one who sets it in answer to the first value what it has become', () => {
    const current = new Current('idle');
    const heard: string[] = [];
    current.values.subscribe((value) => {
      heard.push(value);
      if (value === 'idle') current.set('connecting');
    });
    expect(heard).to.eql(['idle', 'connecting']);
  });
});
