import { expect } from 'chai';
import fc from 'fast-check';
import { HeldBytes } from '../../lib/inbound/held-bytes.js';
import { memoryWatch } from '../support/memory.js';
import { holds } from '../support/property.js';

/** Takes all out, and writes over the memory of each chunk that was taken before: none may share memory with another. */
function emptied(held: HeldBytes): Buffer {
  const chunks: Buffer[] = [];
  for (let chunk = held.shift(); chunk !== undefined; chunk = held.shift()) {
    chunks.push(Buffer.from(chunk));
    chunk.fill('?');
  }
  return Buffer.concat(chunks);
}

describe('HeldBytes', () => {
  it('has nothing at first, and nothing for empty chunks', () => {
    const held = new HeldBytes();
    held.push(Buffer.alloc(0), false);
    held.push(Buffer.alloc(0), true);
    expect([held.length, held.shift()]).to.eql([0, undefined]);
  });

  it('gathers short chunks into one, in their order', () => {
    const held = new HeldBytes();
    for (const text of ['a', 'bc', '', 'def']) held.push(Buffer.from(text), false);
    expect(held.length).to.equal(6);
    expect([String(held.shift()), held.length, held.shift()]).to.eql(['abcdef', 0, undefined]);
  });

  it('keeps a long chunk as it is, behind what was gathered before it', () => {
    const held = new HeldBytes();
    const long = Buffer.alloc(4096, 'l');
    held.push(Buffer.from('a'), false);
    held.push(long, false);
    held.push(Buffer.from('b'), false);
    expect([String(held.shift()), held.shift() === long, String(held.shift())]).to.eql(['a', true, 'b']);
  });

  it('copies a chunk that is lent, however long', () => {
    const held = new HeldBytes();
    const slab = Buffer.alloc(64 * 1024, 'l');
    held.push(slab, true);
    slab.fill('?');
    expect(held.shift()!.equals(Buffer.alloc(64 * 1024, 'l'))).to.be.true;
  });

  it('never writes again into a chunk that was taken out', () => {
    const held = new HeldBytes();
    held.push(Buffer.from('abc'), true);
    const taken = held.shift();
    held.push(Buffer.from('def'), true);
    expect([String(taken), String(held.shift())]).to.eql(['abc', 'def']);
  });

  it('forgets all when it is cleared, and can be used again', () => {
    const held = new HeldBytes();
    held.push(Buffer.from('abc'), false);
    held.push(Buffer.alloc(5000), false);
    held.clear();
    expect([held.length, held.shift()]).to.eql([0, undefined]);
    held.push(Buffer.from('x'), false);
    expect(String(held.shift())).to.equal('x');
  });

  it('holds a million chunks of one byte in few millions of bytes [S5]', () => {
    const memory = memoryWatch();
    const held = new HeldBytes();
    for (let i = 0; i < 1_000_000; i++) held.push(Buffer.from([i]), false);
    memory.look();
    expect(memory.most).to.be.lessThan(4 * 1024 * 1024);
    const bytes = emptied(held);
    expect([bytes.length, bytes[0], bytes[999_999]]).to.eql([1_000_000, 0, 999_999 & 255]);
  });

  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ size: fc.constantFrom(0, 1, 300, 4095, 4096, 9000), lent: fc.boolean() }) },
    { weight: 1, arbitrary: fc.constant('shift' as const) },
  );
  holds(
    'gives the very bytes that came, in whatever sizes, lent or not, and whenever they are taken out [S1]',
    200,
    fc.array(step, { maxLength: 40 }),
    (steps) => {
      const held = new HeldBytes();
      let [came, taken] = [Buffer.alloc(0), Buffer.alloc(0)];
      steps.forEach((what, i) => {
        if (what === 'shift') {
          const chunk = held.shift();
          taken = Buffer.concat([taken, chunk ?? Buffer.alloc(0)]);
          chunk?.fill('?');
        } else {
          const chunk = Buffer.alloc(what.size, String.fromCharCode(33 + i));
          came = Buffer.concat([came, chunk]);
          held.push(chunk, what.lent);
          if (what.lent) chunk.fill('?');
        }
        expect(held.length).to.equal(came.length - taken.length);
      });
      expect(Buffer.concat([taken, emptied(held)]).equals(came)).to.be.true;
    },
  );
});
