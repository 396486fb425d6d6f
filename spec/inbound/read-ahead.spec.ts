import { expect } from 'chai';
import { ReadAhead } from '../../lib/inbound/read-ahead.js';

/** What is read ahead, and how often it held. */
function made(frames: number, bytes: number) {
  const seen = { taken: 0, released: 0 };
  const ahead = new ReadAhead(
    () => {
      seen.taken++;
      return () => seen.released++;
    },
    { frames, bytes },
  );
  return { ahead, seen };
}

describe('ReadAhead', () => {
  it('tells the size of a value: bytes of any view, the length of a string, and nothing of anything else', () => {
    const { ahead } = made(100, 100);
    const values = [Buffer.alloc(3), new Uint8Array(2), new Float64Array(1), new DataView(new ArrayBuffer(5)), '€uro'];
    expect(values.map((value) => ahead.came(value))).to.eql([3, 2, 8, 5, 4]);
    const others = [7, 7n, true, null, undefined, Symbol('s'), {}, [1, 2], { length: 9, byteLength: 9 }, () => 1];
    expect(others.map((value) => ahead.came(value))).to.eql(others.map(() => 0));
    expect(ahead.came(new ArrayBuffer(4)), 'memory alone is no view').to.equal(0);
  });

  it('holds once at either limit, and releases once at half of both', () => {
    const { ahead, seen } = made(4, 100);
    const sizes = [60, 30, 9, 0].map((length) => {
      expect(seen.taken).to.equal(0);
      return ahead.came(Buffer.alloc(length));
    });
    ahead.came('more');
    expect(seen.taken, 'at four').to.equal(1);
    for (const size of sizes.slice(1)) ahead.done(size);
    expect(seen.released, 'two are left, and 64 bytes').to.equal(0);
    ahead.done(60);
    ahead.done(4);
    expect(seen).to.eql({ taken: 1, released: 1 });
    ahead.came(Buffer.alloc(100));
    expect(seen.taken, 'and again').to.equal(2);
  });

  it('releases when it is cleared, whatever came', () => {
    const { ahead, seen } = made(1, 1);
    ahead.came('abc');
    ahead.clear();
    expect(seen).to.eql({ taken: 1, released: 1 });
    ahead.clear();
    expect(seen.released).to.equal(1);
  });

  it('can hold anew while it releases', () => {
    let releases = 0;
    const release = (): void => {
      if (releases++ === 0) ahead.came('b');
    };
    const ahead: ReadAhead = new ReadAhead(() => release, { frames: 1, bytes: 10 });
    const size = ahead.came('a');
    ahead.done(size);
    expect(releases).to.equal(1);
    ahead.done(1);
    expect(releases).to.equal(2);
  });
});
