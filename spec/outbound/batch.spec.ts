import { expect } from 'chai';
import { leaveWritten, takeBatch, type Batch } from '../../lib/outbound/batch.js';
import { FrameRing } from '../../lib/outbound/frame-ring.js';
import { FrameSlabs, SLAB_BYTES } from '../../lib/outbound/slabs.js';

const KIB = 1024;

/** Puts frames into a ring: each a memory, and from where to where in it. */
function ringOf(...frames: (readonly [memory: Uint8Array, start?: number, end?: number])[]): FrameRing {
  const ring = new FrameRing();
  for (const [i, [memory, start = 0, end = memory.length]] of frames.entries())
    ring.push(i + 1, i, undefined, memory, start, end - start);
  return ring;
}

/** Frames of these sizes, in one memory, one behind the other. */
function slabOf(...sizes: number[]): { readonly slab: Buffer; readonly frames: [Buffer, number, number][] } {
  const slab = Buffer.alloc(
    sizes.reduce((sum, size) => sum + size, 0),
    's',
  );
  let end = 0;
  return { slab, frames: sizes.map((size) => [slab, end, (end += size)]) };
}

function take(ring: FrameRing, from = ring.head, limit = SLAB_BYTES, alone: (slot: number) => boolean = never): Batch {
  ring.cursor = from;
  return takeBatch(ring, limit, alone);
}

const never = (): boolean => false;

function text({ bytes }: Batch): string {
  return Buffer.from(bytes).toString();
}

function bytesOf(...sizes: number[]): [Buffer][] {
  return sizes.map((size) => [Buffer.alloc(size, size)]);
}

describe('takeBatch', () => {
  it('takes frames that stand one behind the other as a part of their memory, uncopied', () => {
    const memory = Buffer.from('-abcd-');
    const batch = take(ringOf([memory, 1, 2], [memory, 2, 4], [memory, 4, 4], [memory, 4, 5]));
    expect(batch).to.include({ length: 4, frames: 4, gaps: 0, to: 4, slab: undefined });
    expect([text(batch), batch.bytes.buffer === memory.buffer]).to.eql(['abcd', true]);
    memory[1] = 'x'.charCodeAt(0);
    expect(text(batch)).to.equal('xbcd');
  });

  it('gives memory that is one frame as it is', () => {
    const memory = Uint8Array.of(1, 2, 3);
    expect(take(ringOf([memory])).bytes).to.equal(memory);
  });

  for (const [what, frames] of Object.entries<readonly (readonly [Uint8Array, number?, number?])[]>({
    'each in memory of its own': [[Buffer.from('a')], [Buffer.from('b')], [Uint8Array.from(Buffer.from('c'))]],
    'apart from each other': [
      [Buffer.from('a-bc'), 0, 1],
      [Buffer.from('a-bc'), 2, 4],
    ],
    'in two memories': [...slabOf(2, 2).frames, [Buffer.from('c')]],
    'in shared memory': [[new Uint8Array(new SharedArrayBuffer(3)).fill(97)], [Buffer.from('b')]],
  })) {
    it(`copies short frames together: ${what}`, () => {
      const batch = take(ringOf(...frames));
      const expected = Buffer.concat(frames.map(([memory, start, end]) => memory.subarray(start, end)));
      expect([text(batch), batch.frames, batch.length]).to.eql([expected.toString(), frames.length, expected.length]);
      expect(batch.bytes.buffer).to.equal(batch.slab?.buffer);
      for (const [memory] of frames) memory.fill(0);
      expect(text(batch)).to.equal(expected.toString());
    });
  }

  it('ends before the frame with which it would be longer than the limit, and never before the first', () => {
    const { frames } = slabOf(4, 4, 4);
    const ring = ringOf(...frames);
    expect([11, 12, 8, 7, 1].map((limit) => take(ring, 0, limit).frames)).to.eql([2, 3, 2, 1, 1]);
    expect(take(ring, 1, 11).length).to.equal(8);
    expect(take(ringOf(...bytesOf(SLAB_BYTES - 1, 1))).frames).to.equal(1); // by reference
    expect(take(ringOf(...slabOf(SLAB_BYTES - 1, 1, 0, 1).frames)).length).to.equal(SLAB_BYTES);
  });

  for (const [sizes, frames, why] of [
    [[16 * KIB, 1], 1, 'goes alone'],
    [[16 * KIB - 1, 1], 2, 'is short'],
    [[1, 16 * KIB], 1, 'is not for company'],
    [[1, 16 * KIB - 1, 1], 3, 'is short'],
    [[0, 16 * KIB], 1, 'is not for company'],
  ] as const) {
    it(`goes by reference from 16 KiB on: of frames of ${sizes.join(', ')} bytes it takes ${frames}, since one ${why}`, () => {
      const memories = bytesOf(...sizes);
      const batch = take(ringOf(...memories));
      expect(batch.frames).to.equal(frames);
      if (sizes[0] === 16 * KIB) expect(batch.bytes).to.equal(memories[0]![0]);
    });
  }

  it('ends a part of a slab of 16 KiB and more where the slab ends, rather than copy it', () => {
    const { slab, frames } = slabOf(10 * KIB, 6 * KIB);
    const batch = take(ringOf(...frames, [Buffer.from('b')]));
    expect([batch.frames, batch.slab, batch.bytes === slab]).to.eql([2, undefined, true]);
    const short = slabOf(10 * KIB, 6 * KIB - 1);
    expect(take(ringOf(...short.frames, [Buffer.from('b')])).frames).to.equal(3);
  });

  it('lets a frame that is alone have no other before it, nor behind it', () => {
    const { frames } = slabOf(1, 1, 1, 1);
    const ring = ringOf(...frames);
    const batchesWith = (...alone: number[]): number[] => {
      const sizes: number[] = [];
      for (let at = 0; at < ring.tail;) {
        const batch = take(ring, at, 64, (slot) => alone.includes(slot));
        sizes.push(batch.frames);
        at = batch.to;
      }
      return sizes;
    };
    expect([[], [0], [1], [3], [0, 1], [1, 2]].map((alone) => batchesWith(...alone))).to.eql([
      ...[[4], [1, 3], [1, 1, 2], [3, 1], [1, 1, 2], [1, 1, 1, 1]],
    ]);
  });

  it('passes over gaps, which it counts, and copies then: the bytes of a frame that left stand between', () => {
    const memory = Buffer.from('abcd');
    const ring = ringOf([memory, 0, 1], [memory, 1, 2], [memory, 2, 3], [memory, 3, 4]);
    ring.clear(1);
    const batch = take(ring);
    expect(batch).to.include({ frames: 3, gaps: 1, length: 3, to: 4 });
    expect([text(batch), batch.slab === undefined]).to.eql(['acd', false]);
  });

  it('goes round the end of the ring', () => {
    const ring = new FrameRing();
    ring.head = ring.tail = 12;
    for (let i = 0; i < 10; i++) ring.push(i, i, undefined, Buffer.from(String(i)), 0, 1);
    const batch = take(ring);
    expect([text(batch), batch.to]).to.eql(['0123456789', 22]);
  });

  it('writes nothing of memory that its owner has transferred, and counts it as it was accepted [S5]', () => {
    for (const others of [[], [Buffer.from('b')]]) {
      const memory = new Uint8Array(10);
      const ring = ringOf([memory, 2, 8], ...others.map((bytes) => [bytes] as const));
      structuredClone(memory.buffer, { transfer: [memory.buffer] });
      const batch = take(ring);
      expect([text(batch), batch.frames, batch.length]).to.eql([
        ...[others.length === 0 ? '' : 'b', 1 + others.length, 6 + others.length],
      ]);
    }
  });

  it('looks at the frames of the batch and one more, however many wait', () => {
    const looksOf = (count: number): number => {
      const ring = ringOf(...bytesOf(...Array.from({ length: count }, () => 1)));
      let looks = 0;
      ring.memory = new Proxy(ring.memory, {
        get: (memory, at) => {
          looks++;
          return Reflect.get(memory, at) as unknown;
        },
      });
      expect(take(ring, 0, 10).frames).to.equal(10);
      return looks;
    };
    expect(looksOf(5_000)).to.equal(looksOf(11)).and.be.below(30);
  });
});

describe('leaveWritten', () => {
  it('takes the frames of a batch out, and answers those alone who want to hear that they are written', () => {
    const ring = ringOf(...bytesOf(1, 1, 1, 1));
    const terms = [
      { settled: () => undefined, retryLimit: undefined },
      { settled: undefined, retryLimit: 0, undelivered: () => undefined },
      undefined,
    ];
    ring.terms.splice(0, 3, ...terms);
    const slabs = new FrameSlabs(() => 0);
    expect(leaveWritten(ring, take(ring, 0, 3), slabs)).to.eql([terms[0]]);
    expect(ring.memory.slice(0, 4).map((memory) => memory !== undefined)).to.eql([false, false, false, true]);
    ring.head = 3;
    expect(leaveWritten(ring, take(ring, 3), slabs)).to.equal(undefined);
  });
});
