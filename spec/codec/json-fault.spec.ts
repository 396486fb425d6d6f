import { expect } from 'chai';
import fc from 'fast-check';
import { faultIn } from '../../lib/codec/json-fault.js';
import { holds } from '../support/property.js';

/** Texts that are JSON or nearly so. */
const nearlyJson = fc
  .tuple(
    fc.json({ maxDepth: 5 }),
    fc.nat(),
    fc.nat(3),
    fc.string({ unit: fc.constantFrom(...Array.from('[]{}":,\\-+.0-9eutn \u0001')), maxLength: 3 }),
  )
  .map(([json, at, removed, added]) => {
    const from = at % (json.length + 1);
    return json.slice(0, from) + added + json.slice(from + removed);
  });

describe('faultIn()', () => {
  const faults: readonly [string, number | undefined][] = [
    ['', 0],
    ['  ', 2],
    ['{', 1],
    ['[1,]', 3],
    ['[1 2]', 3],
    ['{"a" 1}', 5],
    ['{a:1}', 1],
    ['{"a":1,"b"}', 10],
    ['[}', 1],
    ['[]]', 2],
    ['{}}', 2],
    ['{"a":[1,{"b":[]}],"c":{}}', undefined],
    ['tru', 3],
    ['trie', 2],
    ['nulll', 4],
    ['falsE', 4],
    ['undefined', 0],
    ['01', 1],
    ['-', 1],
    ['-a', 1],
    ['+1', 0],
    ['1.', 2],
    ['.5', 0],
    ['1e', 2],
    ['1e+', 3],
    ['-0.5E-10', undefined],
    ['"a', 2],
    ['"\\x"', 2],
    ['"\\u12g4"', 5],
    ['"\\u00e9\\"\\\\\\/\\b\\f\\n\\r\\t"', undefined],
    ['"\u0000"', 1],
    ['"\u007f\u2028\ud800"', undefined],
    ["'a'", 0],
    ['\ufeff1', 0],
    ['1\u00a0', 1],
  ];
  for (const [text, offset] of faults) {
    it(`finds ${JSON.stringify(text)} to be ${offset === undefined ? 'JSON' : `no JSON at ${String(offset)}`}`, () => {
      expect(faultIn(text)).to.equal(offset);
    });
  }

  it('needs no recursion', () => expect(faultIn('['.repeat(200_000))).to.equal(200_000));

  holds('finds a fault in what JSON.parse refuses, and where it says if it says', 2000, nearlyJson, (text) => {
    const fault = faultIn(text);
    try {
      JSON.parse(text);
    } catch (error) {
      const said = /at position (\d+)( \(line \d+ column \d+\))?$/.exec((error as Error).message)?.[1];
      expect(fault)
        .to.equal(said === undefined ? fault : Number(said))
        .and.not.equal(undefined);
      return;
    }
    expect(fault).to.equal(undefined);
  });
});
