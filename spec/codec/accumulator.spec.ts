import { expect } from 'chai';
import { Accumulator } from '../../lib/codec/accumulator.js';
import { seededRandom } from '../support/random.js';
import { workOf } from './work.js';

describe('Accumulator', () => {
  const MIB = 1024 * 1024;

  it('gives away what was appended, from an offset on, and starts anew', () => {
    const held = new Accumulator();
    expect([held.length, held.last]).to.eql([0, undefined]);
    held.append(Buffer.from('xabcx'), 1, 4, 10);
    held.append(Buffer.from('de'), 0, 2, 10);
    expect([held.length, held.last, held.bytes.toString('latin1', 0, 5)]).to.eql([5, 101, 'abcde']);
    expect(String(held.take(2))).to.equal('cde');
    expect([held.length, held.last]).to.eql([0, undefined]);
  });

  it('never writes over what it gave away, short or long', () => {
    const random = seededRandom(53);
    const held = new Accumulator();
    const given: Buffer[] = [];
    const expected: Buffer[] = [];
    for (let round = 0; round < 100; round++) {
      const frame = random.bytes(random.pick([0, 1, 255, 256, 257, 4095, 4096, 4097, 5000]));
      for (let at = 0; at < frame.length; at += 100) {
        held.append(frame, at, Math.min(at + 100, frame.length), frame.length);
      }
      given.push(held.take(0));
      expected.push(frame);
    }
    expect(given.every((frame, i) => frame.equals(expected[i]!))).to.equal(true);
  });

  it('copies each byte less than three times, whatever the size of the pieces [E46, E53]', () => {
    for (const piece of [1, 7, 1000, 65_536]) {
      const chunk = Buffer.alloc(piece);
      const held = new Accumulator();
      const size = piece === 1 ? 160_000 : MIB;
      const work = workOf(() => {
        while (held.length < size) held.append(chunk, 0, piece, 2 * MIB);
      });
      expect(work.copied).to.be.within(size, 3 * held.length);
      expect(work.allocated).to.be.below(4 * held.length + 1024);
    }
  });

  it('allocates what came and not what may come, and never more than the limit [E54]', () => {
    const held = new Accumulator();
    const header = Buffer.alloc(4);
    const first = workOf(() => {
      held.append(header, 0, 4, 2 ** 32);
    });
    expect(first.allocated).to.be.within(4, 256);
    held.append(Buffer.alloc(60_000), 0, 60_000, 60_100);
    expect(held.bytes.length).to.equal(60_100);
    const { bytes } = held;
    held.append(Buffer.alloc(10), 0, 10, 60_100);
    expect(held.bytes).to.equal(bytes);
  });

  it('uses the memory of short frames again, and lets go of that of long ones', () => {
    const held = new Accumulator();
    const chunk = Buffer.alloc(MIB);
    for (const letGo of [() => held.take(0), () => held.clear()]) {
      held.append(chunk, 0, 4096, 4096);
      letGo();
      const { bytes } = held;
      expect(bytes.length).to.be.within(1, 4096);
      held.append(chunk, 0, 200, 4096);
      expect(held.bytes).to.equal(bytes);
      letGo();
      held.append(chunk, 0, MIB, MIB);
      letGo();
      expect(held.bytes.length).to.equal(0);
    }
  });

  it('gives a long frame with memory that has no byte to spare', () => {
    const held = new Accumulator();
    const chunk = Buffer.alloc(65_536);
    for (let at = 0; at < 300_000; at += 60_000) held.append(chunk, 0, 60_000, 300_000);
    const frame = held.take(4);
    expect([frame.length, frame.buffer.byteLength]).to.eql([299_996, 300_000]);
  });
});
