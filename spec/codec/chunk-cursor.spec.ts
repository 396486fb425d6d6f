import { expect } from 'chai';
import { Accumulator } from '../../lib/codec/accumulator.js';
import { ChunkCursor } from '../../lib/codec/chunk-cursor.js';
import { seededRandom } from '../support/random.js';
import { workOf } from './work.js';

describe('ChunkCursor', () => {
  it('takes a chunk by reference when the one before was read to its end', () => {
    const cursor = new ChunkCursor();
    for (const chunk of [Buffer.from('abc'), Buffer.from('de')]) {
      const work = workOf(() => {
        cursor.push(chunk);
      });
      expect(cursor.bytes).to.equal(chunk);
      expect([cursor.at, cursor.left, work.copied]).to.eql([0, chunk.length, 0]);
      cursor.at = chunk.length;
    }
  });

  it('takes no notice of an empty chunk [L20]', () => {
    const cursor = new ChunkCursor();
    cursor.push(Buffer.alloc(0));
    expect(cursor.left).to.equal(0);
    cursor.push(Buffer.from('abc'));
    cursor.at = 1;
    cursor.push(Buffer.alloc(0));
    expect([cursor.at, cursor.left]).to.eql([1, 2]);
  });

  it('joins chunks behind unread bytes, and never writes over what was handed out', () => {
    const random = seededRandom(20);
    const cursor = new ChunkCursor();
    const wire = random.bytes(5000);
    const parts: Buffer[] = [];
    for (let at = 0; at < wire.length;) {
      const size = random.int(1, 60);
      cursor.push(Buffer.from(wire.subarray(at, at + size)));
      at += size;
      const read = random.int(0, Math.min(cursor.left, 50));
      parts.push(cursor.bytes.subarray(cursor.at, cursor.at + read));
      cursor.at += read;
    }
    parts.push(cursor.bytes.subarray(cursor.at));
    expect(Buffer.concat(parts).equals(wire)).to.equal(true);
  });

  it('copies each byte a few times at most, however many chunks pile up [E46]', () => {
    const cursor = new ChunkCursor();
    const work = workOf(() => {
      for (let i = 0; i < 100_000; i++) cursor.push(Buffer.alloc(1, i));
    });
    expect(cursor.left).to.equal(100_000);
    expect(work.copied).to.be.within(99_999, 400_000);
    expect(cursor.bytes.every((byte, i) => byte === i % 256)).to.equal(true);
  });

  it('moves bytes on, and lets go of a chunk that is then read to its end', () => {
    const cursor = new ChunkCursor();
    const held = new Accumulator();
    cursor.push(Buffer.from('abcd'));
    cursor.moveTo(held, 3, 10);
    expect([held.length, cursor.at, cursor.left]).to.eql([3, 3, 1]);
    cursor.moveTo(held, 1, 10);
    expect([String(held.take(0)), cursor.bytes.length]).to.eql(['abcd', 0]);
  });

  it('drops what is left, and once closed all that follows', () => {
    const cursor = new ChunkCursor();
    cursor.push(Buffer.from('abc'));
    cursor.clear();
    expect(cursor.left).to.equal(0);
    cursor.push(Buffer.from('de'));
    expect(cursor.left).to.equal(2);
    cursor.close();
    cursor.push(Buffer.from('f'));
    expect(cursor.left).to.equal(0);
  });
});
