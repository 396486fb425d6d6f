import { expect } from 'chai';
import { SLAB_BYTES, SlabReader, type TakeLent } from '../../lib/connection/slab-reader.js';
import { expectUncaught } from '../support/guard.js';

const KIB = 1024;

/** A reader, and the kernel's side of it: each read goes into the memory that was asked for after the read before. */
function reading(take: TakeLent) {
  const reader = new SlabReader();
  reader.listen(take);
  const { onread } = reader;
  const ask = (): Buffer => (onread.buffer as () => Buffer)();
  let memory = ask();
  return {
    reader,
    /** The memory of the next read. */
    memory: () => memory,
    /** The kernel reads so many bytes of one kind. */
    read: (length: number, byte = 'x'): boolean => {
      memory.fill(byte, 0, length);
      const goesOn = onread.callback(length, memory);
      memory = ask();
      return goesOn;
    },
  };
}

/** Whether it has nothing but this byte. */
const isAll = (chunk: Buffer | undefined, byte: string): boolean =>
  chunk?.equals(Buffer.alloc(chunk.length, byte)) === true;

describe('SlabReader', () => {
  it('lends what was read, of its length, in memory that the next read writes over', () => {
    const chunks: Buffer[] = [];
    const texts: string[] = [];
    const { read } = reading((chunk) => {
      chunks.push(chunk);
      texts.push(chunk.toString());
    });
    for (const [length, byte] of [[2, 'a'], [3, 'b']] as const) expect(read(length, byte)).to.be.true; // prettier-ignore
    expect(texts).to.eql(['aa', 'bbb']);
    expect(chunks[0]!.toString()).to.equal('bb');
  });

  it('lends a whole slab as well, and reads into one that all readers share', () => {
    const [buffers, lengths]: [ArrayBufferLike[], number[]] = [[], []];
    for (let i = 0; i < 3; i++) {
      const { read } = reading((chunk) => {
        buffers.push(chunk.buffer);
        lengths.push(chunk.length);
      });
      read(SLAB_BYTES);
    }
    expect(lengths).to.eql([SLAB_BYTES, SLAB_BYTES, SLAB_BYTES]);
    expect(new Set(buffers)).to.have.length(1);
  });

  it('answers with the same memory when it is asked again before a read, as for a second address', () => {
    const { reader, memory } = reading(() => undefined);
    const again = (reader.onread.buffer as () => Buffer)();
    expect(again.buffer).to.equal(memory().buffer);
  });

  it('keeps a short chunk as a copy of exactly its size', () => {
    const kept: Buffer[] = [];
    const { read } = reading((_chunk, keep) => kept.push(keep()));
    for (const byte of 'abc') read(10, byte);
    expect(kept.map(String)).to.eql(['a', 'b', 'c'].map((byte) => byte.repeat(10)));
    expect(kept.map(({ buffer }) => buffer.byteLength)).to.eql([10, 10, 10]);
  });

  it('in bulk gives the memory itself away, two chunks together, and reads into other memory from then on', () => {
    const kept: Buffer[] = [];
    let copies = 0;
    const { read } = reading((chunk, keep) => {
      kept.push(keep());
      copies += kept.at(-1) === chunk ? 0 : 1;
    });
    const bytes = Array.from({ length: 50 }, (_, i) => String.fromCharCode(97 + (i % 26)));
    for (const byte of bytes) read(SLAB_BYTES, byte);
    expect(copies, 'the first alone').to.equal(1);
    expect(new Set(kept.map(({ buffer }) => buffer))).to.have.length(1 + 25);
    expect(Math.max(...kept.map(({ buffer }) => buffer.byteLength))).to.equal(2 * SLAB_BYTES);
    expect(kept.map((chunk, i) => isAll(chunk, bytes[i]!))).to.not.include(false);
  });

  it('gives the same memory however often a chunk is kept in one call, and never again', () => {
    const kept: Buffer[] = [];
    const { read } = reading((_chunk, keep) => kept.push(keep(), keep()));
    for (const byte of 'abc') read(SLAB_BYTES, byte);
    expect(kept.map((chunk, i) => isAll(chunk, 'aabbcc'[i]!))).to.not.include(false);
  });

  it('copies a chunk that ends the bulk, and reads into the shared slab again', () => {
    const kept: Buffer[] = [];
    const { read, memory } = reading((_chunk, keep) => kept.push(keep()));
    const shared = memory().buffer;
    read(SLAB_BYTES, 'a');
    expect(memory().buffer, 'its own').to.not.equal(shared);
    read(10, 'b');
    expect(memory().buffer, 'the shared one').to.equal(shared);
    read(10, 'c');
    expect(kept.map((chunk, i) => isAll(chunk, 'abc'[i]!))).to.not.include(false);
    expect(kept[1]!.buffer.byteLength).to.equal(10);
  });

  it('reads into the shared slab again once nobody keeps what is read', () => {
    let keeps = true;
    const { read, memory } = reading((_chunk, keep) => keeps && keep());
    const shared = memory().buffer;
    read(SLAB_BYTES);
    keeps = false;
    read(SLAB_BYTES);
    expect(memory().buffer).to.equal(shared);
  });

  it('mixes sizes, keeping and not keeping, and no kept byte ever changes', () => {
    const kept: [Buffer, string][] = [];
    const readers = Array.from({ length: 3 }, (_, at) => {
      let turn = at;
      let now = '';
      const { read } = reading((_chunk, keep) => {
        if (turn++ % 3 > 0) kept.push([keep(), now]);
      });
      return (length: number, byte: string) => read(length, (now = byte));
    });
    const sizes = [1, 100, 16 * KIB - 1, 16 * KIB, 40 * KIB, SLAB_BYTES];
    for (let i = 0; i < 300; i++) readers[(i * 7) % 3]!(sizes[(i * 5) % 6]!, String.fromCharCode(33 + (i % 90)));
    expect(kept).to.have.length(200);
    expect(kept.filter(([chunk, byte]) => !isAll(chunk, byte))).to.eql([]);
  });

  it('limits the next read, and no other', () => {
    const { reader, read, memory } = reading(() => undefined);
    reader.limit(1000);
    expect(memory(), 'that is asked for already').to.have.length(SLAB_BYTES);
    const limited = reading(() => limited.reader.limit(5));
    limited.read(10);
    expect(limited.memory()).to.have.length(5);
    limited.reader.listen(() => undefined);
    limited.read(5);
    expect(limited.memory()).to.have.length(SLAB_BYTES);
    reader.limit(2 * SLAB_BYTES);
    read(1);
    expect(memory()).to.have.length(SLAB_BYTES);
  });

  it('refuses to keep a chunk late, whose bytes may be others by then', () => {
    let late: (() => Buffer) | undefined;
    const { read } = reading((_chunk, keep) => (late = keep));
    read(3);
    expect(() => late!()).to.throw('until the call that lends it returns');
  });

  it('goes on reading, into other memory, though whoever took a chunk threw', async () => {
    const fault = new Error('of a taker');
    const uncaught = expectUncaught((reason) => reason === fault);
    const kept: Buffer[] = [];
    const { read } = reading((_chunk, keep) => {
      kept.push(keep());
      if (kept.length === 2) throw fault;
    });
    for (const byte of 'abc') expect(read(SLAB_BYTES, byte)).to.be.true;
    expect(kept.map((chunk, i) => isAll(chunk, 'abc'[i]!))).to.not.include(false);
    await uncaught;
  });
});
