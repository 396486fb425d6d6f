import { expect } from 'chai';
import fc from 'fast-check';
import { FrameRing } from '../../lib/outbound/frame-ring.js';
import { stillAlive } from '../support/leaks.js';
import { holds } from '../support/property.js';

const MEMORY = Buffer.alloc(1);

/** Puts so many frames at the tail, each with its number as its message and all its fields made of it. */
function fill(ring: FrameRing, first: number, count: number): void {
  for (let i = first; i < first + count; i++) ring.push(i, `m${i}`, undefined, MEMORY, i * 2, i * 3);
}

/** The messages from the head on; a gap is `-`. */
function messages(ring: FrameRing): string[] {
  const found: string[] = [];
  for (let position = ring.head; position < ring.tail; position++) {
    const slot = position & ring.mask;
    const number = ring.places[slot]!;
    if (ring.memory[slot] === undefined) found.push('-');
    else {
      expect([ring.messages[slot], ring.starts[slot], ring.lengths[slot]]).to.eql([
        ...[`m${number}`, number * 2, number * 3],
      ]);
      found.push(`m${number}`);
    }
  }
  return found;
}

/** `m1` to `m9`, say. */
function names(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `m${first + i}`);
}

describe('FrameRing', () => {
  it('keeps frames in their order, with all that was said of them', () => {
    const ring = new FrameRing();
    const [memory, terms, message] = [Buffer.from('x'), { settled: undefined, retryLimit: 1 }, { id: 1 }];
    ring.push(7, message, terms, memory, 3, 5);
    expect(ring).to.include({ head: 0, tail: 1 });
    const { messages: kept, memory: memories, terms: allTerms, starts, lengths, places, attempts } = ring;
    expect([kept[0], memories[0], allTerms[0]]).to.eql([message, memory, terms]);
    expect(kept[0]).to.equal(message);
    expect([starts[0], lengths[0], places[0], attempts[0]]).to.eql([3, 5, 7, 0]);
  });

  it('goes round: a slot is used again, and knows nothing of the frame before', () => {
    const ring = new FrameRing();
    for (let i = 1; i <= 1_000; i++) {
      fill(ring, i, 1);
      const slot = ring.head & ring.mask;
      expect(ring.attempts[slot]).to.equal(0);
      ring.attempts[slot] = 9;
      expect(messages(ring)).to.eql([`m${i}`]);
      ring.clear(slot);
      ring.head++;
    }
    expect(ring.mask).to.equal(15);
  });

  it('grows when it is full, wherever its head stands, and keeps order and gaps', () => {
    for (const before of [0, 1, 15, 16, 17]) {
      const ring = new FrameRing();
      ring.head = ring.tail = before;
      fill(ring, 1, 16);
      ring.clear((before + 3) & ring.mask);
      ring.attempts[(before + 5) & ring.mask] = 4;
      expect(ring.mask).to.equal(15);
      fill(ring, 17, 100);
      expect(ring.mask).to.equal(127);
      expect(messages(ring)).to.eql([...names(1, 3), '-', ...names(5, 116)]);
      expect(ring.attempts[(before + 5) & ring.mask]).to.equal(4);
    }
  });

  it('counts positions past what fits into 32 bits', () => {
    for (const start of [2 ** 31, 2 ** 32, 2 ** 33 + 5, 2 ** 52].map((position) => position - 7)) {
      const ring = new FrameRing();
      ring.head = ring.tail = start;
      fill(ring, 1, 40);
      expect(messages(ring)).to.eql(names(1, 40));
      expect([1, 20, 40].map((place) => ring.find(place, ring.head))).to.eql([start, start + 19, start + 39]);
      ring.clear((start + 1) & ring.mask);
      ring.closeGaps(start + 1);
      expect(messages(ring)).to.eql([...names(1, 1), ...names(3, 40)]);
    }
  });

  it('holds lengths and starts that do not fit into 32 bits', () => {
    const ring = new FrameRing();
    ring.push(2 ** 40, 0, undefined, MEMORY, 2 ** 33, 2 ** 34);
    expect([ring.places[0], ring.starts[0], ring.lengths[0]]).to.eql([2 ** 40, 2 ** 33, 2 ** 34]);
  });

  it('has no slots before the first frame: an idle socket holds no memory [S5]', () => {
    const ring = new FrameRing();
    const { messages: kept, memory, terms, starts, lengths, places, attempts } = ring;
    expect([kept, memory, terms, starts, lengths, places, attempts].map(({ length }) => length)).to.eql([
      ...[0, 0, 0, 0, 0, 0, 0],
    ]);
    ring.shrink();
    ring.closeGaps(0);
    expect([ring.find(1, 0), ring.tail]).to.eql([undefined, 0]);
    fill(ring, 1, 1);
    expect([messages(ring), messages(new FrameRing())]).to.eql([['m1'], []]);
  });

  it('lets go of what a slot referred to', async () => {
    const ring = new FrameRing();
    const refs = Array.from({ length: 20 }, (_, i) => {
      const all = [{ message: i }, new Uint8Array(9), { settled: undefined, retryLimit: 1 }] as const;
      ring.push(i + 1, all[0], all[2], all[1], 0, 9);
      return all.map((one) => new WeakRef<object>(one));
    }).flat();
    for (let position = ring.head; position < ring.tail; position++) ring.clear(position & ring.mask);
    expect(await stillAlive(refs)).to.equal(0);
    expect(ring.tail).to.equal(20);
  });

  it('lets go of what a frame referred to that was moved, and has left from there', async () => {
    const ring = new FrameRing();
    fill(ring, 1, 2);
    const ref = ((): WeakRef<object> => {
      const message = {};
      ring.push(3, message, undefined, MEMORY, 0, 1);
      return new WeakRef(message);
    })();
    ring.clear(0);
    ring.closeGaps(0);
    ring.clear(1);
    expect(await stillAlive([ref])).to.equal(0);
  });

  it('counts the losses of a frame past what anybody will see, wherever it stands', () => {
    const ring = new FrameRing();
    ring.head = ring.tail = 2 ** 40 + 14;
    fill(ring, 1, 4);
    const last = ring.tail - 1;
    expect([ring.countLoss(last), ring.countLoss(last), ring.countLoss(last - 1)]).to.eql([1, 2, 1]);
    ring.attempts[last & ring.mask] = 2 ** 31;
    expect(ring.countLoss(last)).to.equal(2 ** 31 + 1);
  });

  describe('find', () => {
    it('knows a frame by its place, before and after gaps were closed', () => {
      const ring = new FrameRing();
      fill(ring, 11, 10);
      for (const position of [0, 4, 5, 9]) ring.clear(position);
      const found = (): (number | undefined)[] => [12, 14, 17, 19].map((place) => ring.find(place, ring.head));
      expect(found()).to.eql([1, 3, 6, 8]);
      ring.closeGaps(0);
      expect(found()).to.eql([0, 2, 3, 5]);
      expect(ring.tail).to.equal(6);
    });

    it('finds nothing that has left, came before, or is to come', () => {
      const ring = new FrameRing();
      fill(ring, 11, 10);
      ring.clear(3);
      expect([0, 10, 14, 21, 1e9].map((place) => ring.find(place, ring.head))).to.eql([
        ...[undefined, undefined, undefined, undefined, undefined],
      ]);
      expect(ring.find(12, 2)).to.equal(undefined);
      expect(new FrameRing().find(1, 0)).to.equal(undefined);
    });

    holds('finds every frame that is there, and no other', 100, fc.array(fc.nat(4), { maxLength: 200 }), (steps) => {
      const ring = new FrameRing();
      const there = new Map<number, number>();
      for (const [i, step] of steps.entries()) {
        const place = 2 * i + 1;
        fill(ring, place, 1);
        there.set(place, ring.tail - 1);
        if (step > 1) continue;
        ring.clear((ring.tail - 1) & ring.mask);
        there.delete(place);
      }
      for (let place = 0; place <= 2 * steps.length; place++)
        expect(ring.find(place, ring.head)).to.equal(there.get(place));
    });
  });

  it('does not grow with what leaves while a batch is in flight, wherever the gaps are [S5]', () => {
    for (const each of [1, 2]) {
      const ring = new FrameRing();
      fill(ring, 1, 10);
      ring.cursor = ring.landing = 3; // 1 to 3 are in flight
      for (let place = 11; place < 100_000; place++) {
        fill(ring, place, 1);
        if (place % each > 0) continue;
        const evicted = ring.cursor & ring.mask;
        ring.clear(evicted);
        ring.cursor++;
        if (each === 2) {
          ring.clear((ring.tail - 1) & ring.mask); // and one that was withdrawn
          ring.gaps++;
        }
        ring.trim(true);
      }
      expect(ring.mask, `every ${each}`).to.be.below(each === 1 ? 256 : 1_024);
      expect(ring.head).to.equal(0);
      expect(messages(ring).slice(0, 3)).to.eql(names(1, 3));
    }
  });

  describe('closeGaps', () => {
    it('leaves alone what stands before', () => {
      const ring = new FrameRing();
      fill(ring, 1, 10);
      for (const position of [1, 4, 6, 7]) ring.clear(position);
      ring.closeGaps(3);
      expect(messages(ring)).to.eql(['m1', '-', 'm3', 'm4', 'm6', 'm9', 'm10']);
    });

    it('keeps attempts and terms with their frame', () => {
      const ring = new FrameRing();
      const terms = { settled: undefined, retryLimit: 3 };
      for (const [place, its] of [undefined, undefined, terms, undefined].entries())
        ring.push(place, place, its, MEMORY, 0, 1);
      ring.attempts[2] = 7;
      ring.attempts[0] = 5;
      ring.clear(0);
      ring.closeGaps(0);
      expect([...ring.attempts.slice(0, 3)]).to.eql([0, 7, 0]);
      expect(ring.terms.slice(0, 3)).to.eql([undefined, terms, undefined]);
    });

    it('gives a frame that moves memory of its own, so that it keeps no slab alive, and leaves memory that is one frame as it is', () => {
      const ring = new FrameRing();
      const slab = Buffer.from('abcdefgh');
      const alone = Buffer.from('alone');
      ring.push(1, 'gone', undefined, slab, 0, 3);
      ring.push(2, 'moves', undefined, slab, 3, 2);
      ring.push(3, 'moves too', undefined, alone, 0, 5);
      ring.clear(0);
      ring.closeGaps(0);
      expect([ring.starts[0], ring.lengths[0], String(Buffer.from(ring.memory[0]!))]).to.eql([0, 2, 'de']);
      expect(ring.memory[0]!.buffer.byteLength).to.equal(2);
      expect(ring.memory[1]).to.equal(alone);
    });

    it('closes nothing of nothing, and all of gaps', () => {
      const ring = new FrameRing();
      ring.closeGaps(0);
      expect(ring.tail).to.equal(0);
      fill(ring, 1, 3);
      for (const slot of [0, 1, 2]) ring.clear(slot);
      ring.closeGaps(0);
      expect([ring.head, ring.tail]).to.eql([0, 0]);
    });
  });

  it('shrinks once it is empty, and is as good as new then', () => {
    const ring = new FrameRing();
    fill(ring, 1, 10_000);
    for (; ring.head < ring.tail; ring.head++) ring.clear(ring.head & ring.mask);
    expect(ring.mask).to.equal(16_383);
    ring.shrink();
    expect(ring.mask).to.equal(2_047);
    expect([ring.messages, ring.memory, ring.terms, ring.starts, ring.attempts].map(({ length }) => length)).to.eql([
      ...[2_048, 2_048, 2_048, 2_048, 2_048],
    ]);
    fill(ring, 1, 3_000);
    expect(messages(ring)).to.eql(names(1, 3_000));
    const small = new FrameRing();
    small.shrink();
    expect(small.mask).to.equal(-1);
  });
});
