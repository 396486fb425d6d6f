import type { LookupFunction } from 'node:net';
import { expect } from 'chai';
import { checkedLookup } from '../../lib/connection/lookup.js';

type Answer = (error: unknown, address?: unknown, family?: unknown) => void;

const V4 = { address: '192.0.2.1', family: 4 };
const V6 = { address: '2001:db8::1', family: 6 };

/** What Node hears from a lookup that does this, and the phases that were entered. */
function looked(lookup: (answer: Answer) => void, all = true) {
  const heard: unknown[][] = [];
  const phases: string[] = [];
  const checked = checkedLookup(
    ((_name: string, _options: unknown, answer: Answer) => lookup(answer)) as LookupFunction,
    (phase) => phases.push(phase),
  );
  checked('some.name', { all }, (...answer: unknown[]) => void heard.push(answer));
  return { heard, phases };
}

describe('checkedLookup', () => {
  it('passes the question on as it is', () => {
    const asked: unknown[] = [];
    const options = { all: true, family: 6, hints: 4 };
    checkedLookup(
      (name, given) => asked.push(name, given),
      () => {},
    )('some.name', options, () => {});
    expect(asked).to.eql(['some.name', options]);
    expect(asked[1]).to.equal(options);
  });

  it('tells when it begins, and when an address is there', () => {
    expect(looked(() => {}).phases).to.eql(['lookup']);
    expect(looked((answer) => answer(null, [V4])).phases).to.eql(['lookup', 'connect']);
    expect(looked((answer) => answer(new Error('no'))).phases).to.eql(['lookup']);
  });

  it('answers in the form that Node asked for, whichever came', () => {
    for (const came of [V4.address, V4, [V4], [V4.address], [{ address: V4.address }], [{ ...V4, family: 'IPv4' }]]) {
      expect(looked((answer) => answer(null, came, 4), true).heard).to.eql([[null, [V4]]]);
      expect(looked((answer) => answer(null, came, 4), false).heard).to.eql([[null, V4.address, 4]]);
    }
    expect(looked((answer) => answer(null, [V6, V4])).heard).to.eql([[null, [V6, V4]]]);
    expect(looked((answer) => answer(null, [V6, V4]), false).heard).to.eql([[null, V6.address, 6]]);
  });

  it('believes no family: an address is what it looks like', () => {
    expect(looked((answer) => answer(null, [{ ...V6, family: 4 }])).heard).to.eql([[null, [V6]]]);
    expect(looked((answer) => answer(null, V6.address, 4), false).heard).to.eql([[null, V6.address, 6]]);
  });

  it('leaves out of a list what is no address', () => {
    expect(looked((answer) => answer(null, [null, V4, 'localhost', {}, { address: 7 }, 1])).heard).to.eql([
      [null, [V4]],
    ]);
  });

  it('makes an error of an answer without an address [S9]', () => {
    for (const came of [[], null, undefined, '', 'localhost', '999.0.0.1', 7, {}, [[]], [null], { address: 'x' }]) {
      const { heard } = looked((answer) => answer(null, came, 4));
      expect(heard).to.have.length(1);
      expect(heard[0]![0]).to.be.an('error').with.property('message', 'lookup answered no address');
    }
  });

  it('passes the lookup’s own error on, and makes one of what is none [S9]', () => {
    const mine = new Error('mine');
    expect(looked((answer) => answer(mine, [V4])).heard[0]![0]).to.equal(mine);
    expect(looked((answer) => answer('no')).heard[0]![0])
      .to.be.an('error')
      .with.property('message', 'lookup failed with something that is not an Error');
  });

  it('takes what the lookup throws for its answer [S9]', () => {
    const mine = new Error('mine');
    for (const thrown of [mine, 'mine', undefined, null]) {
      const { heard } = looked(() => {
        throw thrown;
      });
      expect(heard).to.have.length(1);
      expect(heard[0]![0]).to.be.an('error');
      if (thrown === mine) expect(heard[0]![0]).to.equal(mine);
    }
  });

  it('believes the first answer alone, whatever comes after it [S9]', () => {
    const { heard, phases } = looked((answer) => {
      answer(null, [V4]);
      answer(null, [V6]);
      answer(new Error('again'));
      throw new Error('and thrown');
    });
    expect(heard).to.eql([[null, [V4]]]);
    expect(phases).to.eql(['lookup', 'connect']);
  });
});
