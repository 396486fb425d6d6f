import { expect } from 'chai';
import { BY_REFERENCE, FrameSlabs, giveBack, SLAB_BYTES, takeSlab } from '../../lib/outbound/slabs.js';
import { WriteQueue } from '../../lib/outbound/write-queue.js';
import { stillAlive } from '../support/leaks.js';
import { noneSpare, slabsMade } from './slabs-made.js';

/** Spare slabs: none at first, then those that a spec gives back. */
function withoutSpares(): void {
  let taken: Buffer[] = [];
  beforeEach(() => {
    taken = noneSpare(() => takeSlab(SLAB_BYTES));
  });
  afterEach(() => {
    noneSpare(() => takeSlab(SLAB_BYTES));
    for (const slab of taken.slice(0, -1)) giveBack(slab);
  });
}

/** How many are spare: they are taken and given back. */
function spares(): number {
  const taken = noneSpare(() => takeSlab(SLAB_BYTES));
  for (const slab of taken.slice(0, -1)) giveBack(slab);
  return taken.length - 1;
}

/** Encodes a frame and queues it. */
function add(slabs: FrameSlabs, size: number): Uint8Array {
  slabs.commit(slabs.reserve(size) + size);
  return slabs.bytes;
}

describe('takeSlab', () => {
  withoutSpares();

  it('gives a spare slab whatever the size, else one of its own to what is too long for the pool', () => {
    expect([10, 4_096].map((bytes) => takeSlab(bytes).length)).to.eql([10, 4_096]);
    expect([4_097, SLAB_BYTES].map((bytes) => takeSlab(bytes).length)).to.eql([SLAB_BYTES, SLAB_BYTES]);
    const slab = takeSlab(SLAB_BYTES);
    giveBack(slab);
    expect(takeSlab(1)).to.equal(slab);
    expect(takeSlab(1)).to.not.equal(slab);
  });

  it('keeps 16 of those that are given back, and nothing that is no slab', () => {
    for (let i = 0; i < 40; i++) giveBack(Buffer.alloc(SLAB_BYTES));
    for (let i = 0; i < 40; i++) giveBack(takeSlab(10).subarray(0, 10));
    expect(spares()).to.be.at.most(16);
    noneSpare(() => takeSlab(SLAB_BYTES));
    for (let i = 0; i < 40; i++) giveBack(Buffer.alloc(SLAB_BYTES));
    expect(spares()).to.equal(16);
  });
});

describe('FrameSlabs', () => {
  withoutSpares();
  /** As for a queue in which many frames wait. */
  const busy = (): FrameSlabs => new FrameSlabs(() => 8);

  it('puts frames one behind the other, and begins the next slab with the first that does not fit', () => {
    const slabs = busy();
    const places = [10_000, 16_000, 30_000, 9_536, 0, 1].map((size) => [slabs.reserve(size), add(slabs, size)]);
    expect(places.map(([at]) => at)).to.eql([0, 10_000, 26_000, 56_000, 65_536, 0]);
    const [first, last] = [places[0]?.[1], places.at(-1)?.[1]];
    for (const [, memory] of places.slice(0, 5)) expect(memory).to.equal(first);
    expect(last).to.not.equal(first);
    expect((last as Buffer).length).to.equal(SLAB_BYTES);
  });

  it('uses again what was reserved and not committed: a message that was refused takes no room', () => {
    const slabs = busy();
    add(slabs, 10);
    const { bytes } = slabs;
    for (const size of [50, 60_000, 7]) expect(slabs.reserve(size)).to.equal(10);
    slabs.commit(slabs.start + 3);
    expect([slabs.reserve(1), slabs.bytes]).to.eql([13, bytes]);
  });

  it('goes on behind a frame that came by reference, which it takes as it is', () => {
    const slabs = busy();
    add(slabs, 10);
    const slab = slabs.bytes;
    const own = Uint8Array.of(1, 2, 3);
    expect(slabs.refer(own)).to.equal(3);
    expect([slabs.bytes === own, slabs.start]).to.eql([true, 0]);
    slabs.commit(3);
    expect([slabs.reserve(5), slabs.bytes === slab]).to.eql([10, true]);
  });

  it(`gives memory of its own to a frame of ${BY_REFERENCE} bytes that does not fit behind the others`, () => {
    const slabs = busy();
    expect([slabs.reserve(BY_REFERENCE), slabs.bytes.length]).to.eql([0, BY_REFERENCE]);
    slabs.commit(BY_REFERENCE);
    expect([slabs.reserve(BY_REFERENCE - 1), slabs.bytes.length]).to.eql([0, SLAB_BYTES]);
    slabs.commit(BY_REFERENCE - 1);
    expect([slabs.reserve(BY_REFERENCE), slabs.bytes.length]).to.eql([BY_REFERENCE - 1, SLAB_BYTES]);
    slabs.commit(SLAB_BYTES - 5);
    const slab = slabs.bytes;
    expect([slabs.reserve(200_000), slabs.bytes.length]).to.eql([0, 200_000]);
    slabs.commit(200_000);
    expect([slabs.reserve(5), slabs.bytes === slab]).to.eql([SLAB_BYTES - 5, true]);
  });

  it('makes no slab while few frames wait, but takes one that is spare', () => {
    let waiting = 0;
    const slabs = new FrameSlabs(() => waiting);
    const made = slabsMade(() => {
      for (; waiting < 8; waiting++) expect([slabs.reserve(100), slabs.bytes.length]).to.eql([0, 100]);
    });
    expect(made).to.equal(0);
    expect(slabsMade(() => add(slabs, 100))).to.equal(1);
    giveBack(takeSlab(SLAB_BYTES));
    const other = new FrameSlabs(() => 0);
    other.reserve(100);
    expect(other.bytes.length).to.equal(SLAB_BYTES);
  });

  it('gives a slab back once frames in a later one are written, and the last when all are [S5]', () => {
    const slabs = busy();
    const memories = Array.from({ length: 16 }, () => add(slabs, 16_000));
    expect(new Set(memories).size).to.equal(4);
    slabs.passed(memories[0]!);
    expect(spares()).to.equal(0);
    slabs.passed(memories[4]!);
    expect(spares()).to.equal(1);
    slabs.passed(memories[4]!);
    slabs.passed(Buffer.alloc(5));
    expect(spares()).to.equal(1);
    slabs.passed(memories.at(-1)!);
    expect(spares()).to.equal(3);
    slabs.done();
    expect(spares()).to.equal(4);
    slabs.done();
    expect(spares()).to.equal(4);
    expect(slabs.bytes).to.have.length(0);
  });

  it('gives none back that it was told to forget, and begins a new one then', () => {
    const slabs = busy();
    const memories = Array.from({ length: 8 }, () => add(slabs, 16_000));
    slabs.forget();
    slabs.passed(memories.at(-1)!);
    slabs.done();
    expect(spares()).to.equal(0);
    expect([slabs.reserve(3), memories.includes(slabs.bytes)]).to.eql([0, false]);
  });

  it('lets go of all but the last when frames were skipped', async () => {
    const slabs = busy();
    const refs = Array.from({ length: 40 }, () => new WeakRef(add(slabs, 16_000)));
    const last = refs.at(-1)!.deref();
    slabs.skipped();
    expect(new Set(refs.map((ref) => ref.deref())).size).to.be.above(1);
    expect(await stillAlive(refs, 4)).to.be.at.most(4);
    expect([slabs.reserve(0) > 0, slabs.bytes === last]).to.eql([true, true]);
  });
});

describe('the memory of a WriteQueue', () => {
  withoutSpares();
  const limits = { frames: 1_000, bytes: 1_000_000 };
  const queueOf = (overflow: 'dropNewest' | 'dropOldest' = 'dropNewest'): WriteQueue =>
    new WriteQueue({ writeBuffer: limits, overflow, retryLimit: 5 }, { written: () => {}, undelivered: () => {} });
  /** Queues a frame of that many bytes, and answers its place. */
  const enqueue = (queue: WriteQueue, size: number): number => {
    const at = queue.slabs.reserve(size);
    return queue.enqueue(queue.slabs.bytes, at, at + size, size, undefined);
  };

  it('is given back when all is written, and goes from queue to queue: thousands of them share one slab', () => {
    const queues = Array.from({ length: 10_000 }, () => queueOf());
    const made = slabsMade(() => {
      giveBack(takeSlab(SLAB_BYTES));
      for (const queue of queues) {
        enqueue(queue, 100);
        expect(queue.take(SLAB_BYTES)).to.have.length(100);
        queue.confirm();
      }
    });
    expect([made, spares()]).to.eql([1, 1]);
  });

  it('is no slab for a message each of 10,000 queues that wait at the same time', () => {
    const queues = Array.from({ length: 10_000 }, () => queueOf());
    const made = slabsMade(() => {
      for (const queue of queues) enqueue(queue, 100);
      for (const queue of queues) queue.take(SLAB_BYTES);
      for (const queue of queues) queue.confirm();
    });
    expect(made).to.equal(0);
  });

  it('is not given back after a loss: the kernel may still be reading', () => {
    const queue = queueOf();
    giveBack(takeSlab(SLAB_BYTES));
    enqueue(queue, 100);
    const batch = queue.take(SLAB_BYTES)!;
    batch.fill(1);
    queue.rewind();
    expect(Buffer.from(queue.take(SLAB_BYTES)!).equals(batch)).to.equal(true);
    queue.confirm();
    expect(spares()).to.equal(0);
  });

  it('that batches were copied into is given back when they are written, and never after a loss', () => {
    const queue = queueOf();
    const add = (): void => {
      for (let i = 0; i < 2; i++) queue.enqueue(Buffer.alloc(5_000), 0, 5_000, 0, undefined);
    };
    add();
    queue.take(SLAB_BYTES);
    queue.confirm();
    expect(spares()).to.equal(1);
    add();
    queue.take(SLAB_BYTES);
    queue.rewind();
    queue.clear('x');
    expect(spares()).to.equal(0);
  });

  for (const [how, end] of Object.entries<(queue: WriteQueue, place: number) => void>({
    'is withdrawn': (queue, place) => queue.withdraw(place, 'x'),
    'is written': (queue) => (queue.take(SLAB_BYTES), queue.confirm()),
  })) {
    it(`is given back when the last frame ${how}: an idle socket holds none [S5]`, () => {
      giveBack(takeSlab(SLAB_BYTES));
      const queue = queueOf();
      end(queue, enqueue(queue, 100));
      expect(spares()).to.equal(1);
    });
  }

  it('does not grow through an outage in which the oldest are evicted, with a batch in flight or without [S5]', async () => {
    for (const inFlight of [false, true]) {
      const queue = queueOf('dropOldest');
      enqueue(queue, 10_000);
      if (inFlight) queue.take(SLAB_BYTES);
      const refs = Array.from({ length: 2_000 }, () => (enqueue(queue, 10_000), new WeakRef(queue.slabs.bytes)));
      // 99 or 100 of them wait, six to a slab, or each in memory of its own since gaps were closed.
      expect(await stillAlive(refs, 110)).to.be.within(1, 110);
      expect(queue.frames).to.be.within(99, 100);
    }
  });

  it('does not grow with messages that are withdrawn behind one that waits [S5]', async () => {
    const queue = queueOf();
    enqueue(queue, 10_000);
    const refs = Array.from({ length: 2_000 }, () => {
      queue.withdraw(enqueue(queue, 10_000), 'x');
      return new WeakRef(queue.slabs.bytes);
    });
    expect(await stillAlive(refs, 12)).to.be.at.most(12);
  });
});
