import { expect } from 'chai';
import fc from 'fast-check';
import { delimiterOf, DelimiterSearch, indexOfDelimiter, LONGEST_DELIMITER } from '../../lib/codec/delimiter-search.js';
import { holds } from '../support/property.js';
import { workOf } from './work.js';

// Which frames come of it is in delimited.spec.ts; here is what is found where, and at what cost.
describe('DelimiterSearch', () => {
  const searchFor = (text: string) => new DelimiterSearch(delimiterOf(Buffer.from(text)));

  it('tells where a delimiter ends, and how much of one has come', () => {
    const search = searchFor('aab');
    const after = (text: string) => [search.endOf(Buffer.from(text), 0), search.matched];
    expect(['x', 'a', '', 'a', 'a', 'b', 'xxaabaa', 'b', 'aa', 'xb'].map(after)).to.eql([
      ...[
        [-1, 0],
        [-1, 1],
        [-1, 1],
        [-1, 2],
        [-1, 2],
        [1, 0],
        [5, 0],
        [-1, 0],
        [-1, 2],
        [-1, 0],
      ],
    ]);
  });

  it('goes on in the same chunk behind a delimiter', () => {
    const search = searchFor('aa');
    const chunk = Buffer.from('aaaxa');
    expect([search.endOf(chunk, 0), search.endOf(chunk, 2), search.matched]).to.eql([2, -1, 1]);
  });

  it('goes back to each beginning that the delimiter has within itself', () => {
    for (const [delimiter, chunks, end] of [
      ['abacabad', ['abacaba', 'cabad'], 5],
      ['aabaabaaa', ['aabaabaabaa', 'a'], 1],
      ['abababc', ['ababab', 'ababc'], 5],
    ] as const) {
      const search = searchFor(delimiter);
      expect(chunks.map((chunk) => search.endOf(Buffer.from(chunk), 0))).to.eql([-1, end]);
    }
  });

  holds(
    'finds any delimiter where `indexOf` finds it in all bytes at once, however cut',
    2000,
    fc.tuple(letters(1, 9), fc.array(letters(0, 12))),
    ([bytes, chunks]) => {
      const search = new DelimiterSearch(delimiterOf(bytes));
      const whole = Buffer.concat(chunks);
      let [start, before] = [0, 0]; // of the search, of the chunk
      for (const chunk of chunks) {
        for (let at = 0; ;) {
          const end = search.endOf(chunk, at);
          const expected = whole.indexOf(bytes, start);
          const isHere = expected !== -1 && expected + bytes.length <= before + chunk.length;
          expect(end).to.equal(isHere ? expected + bytes.length - before : -1);
          if (!isHere) break;
          [at, start] = [end, before + end];
        }
        before += chunk.length;
      }
    },
  );

  holds(
    'has an `indexOf` that finds what that of Buffer finds',
    1000,
    fc.tuple(letters(1, 4), letters(0, 20), fc.nat(22)),
    ([bytes, text, from]) => {
      expect(indexOfDelimiter(delimiterOf(bytes), text, from)).to.equal(text.indexOf(bytes, from));
    },
  );

  describe('looks at each byte a few times, whatever the cuts [E46, E48]', () => {
    const n = LONGEST_DELIMITER;
    const fibonacci = (a: string, b: string): string => (b.length > n ? a : fibonacci(b, b + a));
    const delimiters: Record<string, string> = {
      'aa…ab': `${'a'.repeat(n - 1)}b`,
      'baa…a': `b${'a'.repeat(n - 1)}`,
      'aa…baa…a': `${'a'.repeat(n / 2)}b${'a'.repeat(n / 2 - 1)}`,
      'abab…ac': `${'ab'.repeat(n / 2 - 1)}ac`,
      'abaababaabaab…': `${fibonacci('a', 'ab').slice(0, -1)}c`,
    };
    for (const [name, delimiter] of Object.entries(delimiters)) {
      it(`for ${name} in bytes that look much like it`, () => {
        const almost = delimiter.slice(0, -1);
        for (const text of ['a', 'ab', almost, `${almost}a`, delimiter.slice(1)]) {
          for (const size of [1, 2, 7, n - 1, n, n + 1, 4000]) {
            const wire = Buffer.alloc(4000, text);
            const { read, fallen, scanned } = costOf(delimiter, wire, size);
            const what = `${text.slice(-9)} in chunks of ${String(size)}`;
            expect(read, `${what}: bytes read`).to.be.at.most(3 * wire.length);
            expect(fallen, `${what}: steps back`).to.be.at.most(2 * wire.length);
            expect(scanned, `${what}: bytes given to indexOf`).to.be.at.most(wire.length);
            expect(read + scanned, what).to.be.at.least(wire.length / 2);
          }
        }
      });
    }
  });

  it('reads no byte itself but near the ends of a chunk, whether it looks like the delimiter or not', () => {
    for (const [delimiter, text] of [
      ['12345678', 'x'],
      ['aaaaaaab', 'a'],
    ] as const) {
      const { read, scanned } = costOf(delimiter, Buffer.alloc(100_000, text), 50_000);
      expect(read, text).to.be.within(14, 50);
      expect(scanned, text).to.equal(100_000);
    }
  });

  interface Cost {
    /** Bytes of the wire that were read one by one. */
    read: number;
    /** How often a longer match was given up for a shorter one. */
    fallen: number;
    /** Bytes that `indexOf` went over. */
    scanned: number;
  }

  /** What it costs to search all of a wire in chunks of one size. */
  function costOf(text: string, wire: Buffer, size: number): Cost {
    const cost: Cost = { read: 0, fallen: 0, scanned: 0 };
    const { bytes, borders } = delimiterOf(Buffer.from(text));
    const search = new DelimiterSearch({ bytes, borders: counting(borders, () => cost.fallen++) });
    const chunks = Array.from({ length: Math.ceil(wire.length / size) }, (_, i) =>
      counting(wire.subarray(i * size, (i + 1) * size), () => cost.read++),
    );
    cost.scanned = workOf(() => {
      for (const chunk of chunks) for (let at = 0; at !== -1;) at = search.endOf(chunk, at);
    }).scanned;
    return cost;
  }

  /** The same bytes, with a call for each that is read by its index. */
  function counting<B extends Uint8Array>(bytes: B, count: () => void): B {
    return new Proxy(bytes, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof key === 'string' && /^\d+$/.test(key)) count();
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  function letters(minLength: number, maxLength: number): fc.Arbitrary<Buffer> {
    return fc.array(fc.constantFrom(97, 97, 98), { minLength, maxLength }).map((bytes) => Buffer.from(bytes));
  }
});
