import { expect } from 'chai';
import fc from 'fast-check';
import { Deque } from '../../lib/deque.js';
import type { Fate } from '../../lib/errors.js';
import type { FrameTerms, Loss, QueuedFrame } from '../../lib/outbound/queued-frame.js';
import { WriteQueue } from '../../lib/outbound/write-queue.js';
import type { QueueConfig } from '../../lib/outbound/queued-frame.js';
import { holds } from '../support/property.js';
import { stillAlive } from '../support/leaks.js';

const KIB = 1024;

interface Lost {
  readonly name: unknown;
  readonly fate: Fate;
  readonly loss: Loss;
}

interface Rig {
  readonly queue: WriteQueue;
  readonly written: (readonly [frames: number, bytes: number])[];
  readonly lost: Lost[];
  /** Outcomes that the frames' own terms heard: the error is none of the queue's. */
  readonly settled: string[];
  /** Queues a frame of that many bytes, whose message is its name. */
  readonly add: (name: string, size?: number, terms?: Partial<FrameTerms>) => QueuedFrame | undefined;
  /** The names of the next batch. */
  readonly take: (limit?: number) => unknown[];
}

function rig(config: Partial<QueueConfig> = {}): Rig {
  const written: (readonly [number, number])[] = [];
  const lost: Lost[] = [];
  const settled: string[] = [];
  const queue = new WriteQueue(
    { writeBuffer: { frames: 1_000, bytes: 1_000_000 }, overflow: 'dropNewest', retryLimit: 5, ...config },
    {
      written: (frames, bytes) => written.push([frames, bytes]),
      undelivered: (frame, fate, loss) => lost.push({ name: frame.message, fate, loss }),
    },
  );
  const add: Rig['add'] = (name, size = 1, terms = {}) =>
    queue.enqueue(Buffer.alloc(size), name, { settled: () => settled.push(name), retryLimit: undefined, ...terms });
  return { queue, written, lost, settled, add, take: (limit = 64 * KIB) => queue.take(limit).map(nameOf) };
}

function nameOf({ message }: QueuedFrame): unknown {
  return message;
}

function counts(queue: WriteQueue): object {
  const { frames, bytes, inFlightFrames, inFlightBytes } = queue;
  return { frames, bytes, inFlightFrames, inFlightBytes };
}

describe('WriteQueue', () => {
  describe('enqueue', () => {
    it('accepts frames in their order, each with its place', () => {
      const { queue, add, take } = rig();
      expect(['a', 'b', 'c'].map((name) => add(name)?.place)).to.eql([1, 2, 3]);
      expect([queue.oldest, queue.newest]).to.eql([1, 3]);
      expect(take()).to.eql(['a', 'b', 'c']);
    });

    it('keeps the bytes and the message by reference, and marks them as waiting', () => {
      const { queue } = rig();
      const bytes = Buffer.from('x');
      const message = { id: 1 };
      const frame = queue.enqueue(bytes, message, undefined);
      expect(frame).to.include({ bytes, message, terms: undefined, attempts: 0, state: 'waiting' });
    });

    it('counts frames and bytes until their outcome, in flight too [S5]', () => {
      const { queue, add, take } = rig();
      add('a', 10);
      add('b', 20);
      expect(counts(queue)).to.eql({ frames: 2, bytes: 30, inFlightFrames: 0, inFlightBytes: 0 });
      take(10);
      expect(counts(queue)).to.eql({ frames: 2, bytes: 30, inFlightFrames: 1, inFlightBytes: 10 });
      queue.confirm();
      expect(counts(queue)).to.eql({ frames: 1, bytes: 20, inFlightFrames: 0, inFlightBytes: 0 });
    });

    it('accepts up to the bound in frames, and no frame more [S5]', () => {
      const { queue, add } = rig({ writeBuffer: { frames: 2, bytes: 100 } });
      expect([add('a', 0), add('b', 0), add('c', 0)].map((frame) => frame !== undefined)).to.eql([true, true, false]);
      expect(queue.frames).to.equal(2);
      expect(queue.newest).to.equal(2);
    });

    it('accepts up to the bound in bytes, and no byte more [S5]', () => {
      const { queue, add } = rig({ writeBuffer: { frames: 100, bytes: 10 } });
      expect([add('a', 6), add('b', 5), add('c', 4), add('d', 1), add('e', 0)].map((frame) => frame?.message)).to.eql([
        ...['a', undefined, 'c', undefined, 'e'],
      ]);
      expect(queue.bytes).to.equal(10);
    });

    it('tells beforehand what fits now, and what could ever fit', () => {
      const { queue, add } = rig({ writeBuffer: { frames: 2, bytes: 10 } });
      add('a', 4);
      expect([6, 7].map((size) => queue.hasRoom(size))).to.eql([true, false]);
      add('b', 0);
      expect(queue.hasRoom(0)).to.equal(false);
    });

    it('has neither an oldest nor a newest frame before the first', () => {
      const { queue } = rig();
      expect([queue.oldest, queue.newest]).to.eql([Infinity, 0]);
    });
  });

  describe('under dropNewest', () => {
    it('refuses the new frame, without a word to anybody, and keeps the others', () => {
      const { lost, settled, add, take } = rig({ writeBuffer: { frames: 2, bytes: 100 } });
      add('a');
      add('b');
      expect(add('c')).to.equal(undefined);
      expect([lost, settled]).to.eql([[], []]);
      expect(take()).to.eql(['a', 'b']);
    });
  });

  describe('under dropOldest', () => {
    const dropOldest = (frames: number, bytes = 1_000): Rig =>
      rig({ writeBuffer: { frames, bytes }, overflow: 'dropOldest' });

    it('evicts the oldest for the new one, which was never handed over [S3]', () => {
      const { lost, add, take } = dropOldest(2);
      for (const name of ['a', 'b', 'c']) expect(add(name)?.message).to.equal(name);
      expect(lost).to.eql([{ name: 'a', fate: 'unsent', loss: { why: 'evicted' } }]);
      expect(take()).to.eql(['b', 'c']);
    });

    it('evicts as many as the new one needs, and not one more', () => {
      const { queue, lost, add, take } = dropOldest(10, 10);
      for (const name of ['a', 'b', 'c', 'd']) add(name, 2);
      expect(add('e', 5)?.message).to.equal('e');
      expect(lost.map(({ name }) => name)).to.eql(['a', 'b']);
      expect(queue.bytes).to.equal(9);
      expect(take()).to.eql(['c', 'd', 'e']);
    });

    it('evicts nothing for a frame that could never fit [S5]', () => {
      const { lost, add } = dropOldest(10, 10);
      add('a', 10);
      expect(add('b', 11)).to.equal(undefined);
      expect(lost).to.eql([]);
    });

    it('leaves alone what is in flight, and refuses the new one where only that could go', () => {
      const { queue, lost, add, take } = dropOldest(2);
      add('a');
      add('b');
      take();
      expect(add('c')).to.equal(undefined);
      queue.confirm();
      expect([add('c')?.message, lost]).to.eql(['c', []]);
    });

    it('evicts nothing if that made no room beside what is in flight', () => {
      const { lost, add, take } = dropOldest(10, 10);
      add('a', 6);
      take();
      add('b', 4);
      expect(add('c', 5)).to.equal(undefined);
      expect(lost).to.eql([]);
      expect(add('d', 4)?.message).to.equal('d');
      expect(lost.map(({ name }) => name)).to.eql(['b']);
    });

    it('reports what is evicted once the new one stands in the queue, so that it is no lost message if the queue is cleared then [S3]', () => {
      const heard: unknown[] = [];
      const queue: WriteQueue = new WriteQueue(
        { writeBuffer: { frames: 1, bytes: 100 }, overflow: 'dropOldest', retryLimit: 5 },
        {
          written: () => {},
          undelivered: ({ message }, _fate, { why }) => {
            heard.push([message, why]);
            if (why === 'evicted') queue.clear('x');
          },
        },
      );
      for (const message of ['a', 'b']) queue.enqueue(Buffer.alloc(1), message, undefined);
      expect(heard).to.eql([
        ['a', 'evicted'],
        ['b', 'closed'],
      ]);
      expect(queue.frames).to.equal(0);
    });

    it('says unknown of an evicted frame that was handed over before [S3]', () => {
      const { queue, lost, add, take } = dropOldest(2);
      add('a');
      take();
      queue.rewind();
      add('b');
      add('c');
      expect(lost).to.eql([{ name: 'a', fate: 'unknown', loss: { why: 'evicted' } }]);
    });

    it('steps over withdrawn frames', () => {
      const { queue, lost, add, take } = dropOldest(3);
      const [, b] = [add('a'), add('b'), add('c')];
      queue.withdraw(b!, 'x');
      add('d');
      add('e');
      expect(lost.map(({ name }) => name)).to.eql(['b', 'a']);
      add('f');
      expect(lost.map(({ name }) => name)).to.eql(['b', 'a', 'c']);
      expect([queue.frames, queue.oldest]).to.eql([3, 4]);
      expect(take()).to.eql(['d', 'e', 'f']);
    });
  });

  describe('take', () => {
    it('gives whole frames, together no more than the limit [S2]', () => {
      const { queue, add, take } = rig();
      for (const name of ['a', 'b', 'c', 'd']) add(name, 4);
      expect(take(11)).to.eql(['a', 'b']);
      queue.confirm();
      expect(take(8)).to.eql(['c', 'd']);
    });

    it('gives a frame larger than the limit alone, wherever it stands [S2]', () => {
      const { queue, add, take } = rig();
      for (const [name, size] of [
        ['a', 4],
        ['big', 12],
        ['b', 0],
      ] as const)
        add(name, size);
      const batches: unknown[] = [];
      for (let batch = take(10); batch.length > 0; batch = take(10)) {
        batches.push(batch);
        queue.confirm();
      }
      expect(batches).to.eql([['a'], ['big'], ['b']]);
    });

    it('gives nothing while a batch is in flight, and nothing of nothing [S2]', () => {
      const { queue, add, take } = rig();
      expect(take()).to.eql([]);
      add('a');
      take();
      add('b');
      expect(take()).to.eql([]);
      queue.confirm();
      expect(take()).to.eql(['b']);
    });

    it('marks its frames as in flight', () => {
      const { add, take } = rig();
      const frame = add('a');
      take();
      expect(frame?.state).to.equal('in-flight');
    });

    it('batches empty frames', () => {
      const { queue, written, add, take } = rig();
      for (const name of ['a', 'b']) add(name, 0);
      expect(take()).to.eql(['a', 'b']);
      queue.confirm();
      expect(written).to.eql([[2, 0]]);
    });
  });

  describe('confirm', () => {
    it('calls the batch written, as a whole and frame by frame in order [S3]', () => {
      const { queue, written, lost, settled, add, take } = rig();
      const frames = ['a', 'b'].map((name) => add(name, 3));
      take();
      queue.confirm();
      expect([written, settled, lost]).to.eql([[[2, 6]], ['a', 'b'], []]);
      expect(frames.map((frame) => frame?.state)).to.eql(['done', 'done']);
      expect(queue.oldest).to.equal(Infinity);
    });

    it('takes frames without terms', () => {
      const { queue, written } = rig();
      queue.enqueue(Buffer.alloc(1), 'a', undefined);
      queue.take(10);
      queue.confirm();
      expect(written).to.eql([[1, 1]]);
    });

    it('says nothing of frames that a settled one queues meanwhile', () => {
      const { queue, written, add, take } = rig();
      add('a', 1, { settled: () => void add('b') });
      take();
      queue.confirm();
      expect([queue.frames, written]).to.eql([1, [[1, 1]]]);
      expect(take()).to.eql(['b']);
    });
  });

  describe('rewind', () => {
    it('puts the batch back in front, in order, and says how many frames that are [S1] [S2]', () => {
      const { queue, add, take } = rig();
      for (const name of ['a', 'b', 'c', 'd']) add(name, 4);
      take(8);
      expect(queue.rewind()).to.equal(2);
      expect(counts(queue)).to.eql({ frames: 4, bytes: 16, inFlightFrames: 0, inFlightBytes: 0 });
      expect(queue.oldest).to.equal(1);
      expect(take()).to.eql(['a']);
      queue.confirm();
      expect(take()).to.eql(['b', 'c', 'd']);
    });

    it('lets the oldest frame go alone until it is confirmed, after every loss anew [S2]', () => {
      const { queue, add, take } = rig();
      for (const name of ['a', 'b', 'c']) add(name);
      take();
      queue.rewind();
      expect(take()).to.eql(['a']);
      queue.rewind();
      expect(take()).to.eql(['a']);
      queue.confirm();
      expect(take()).to.eql(['b', 'c']);
    });

    it('lets a frame on its last try go alone, though the oldest was confirmed [S2]', () => {
      const { queue, add, take } = rig({ retryLimit: 1 });
      for (const name of ['a', 'b', 'c']) add(name);
      take();
      queue.rewind();
      add('d');
      add('e');
      const batches: unknown[] = [];
      for (let batch = take(); batch.length > 0; batch = take()) {
        batches.push(batch);
        queue.confirm();
      }
      expect(batches).to.eql([['a'], ['b'], ['c'], ['d', 'e']]);
    });

    it('lets the next one go alone if the oldest is withdrawn [S2]', () => {
      const { queue, add, take } = rig();
      const a = add('a');
      for (const name of ['b', 'c']) add(name);
      take();
      queue.rewind();
      queue.withdraw(a!, 'x');
      expect(take()).to.eql(['b']);
      queue.confirm();
      expect(take()).to.eql(['c']);
    });

    for (const limit of [0, 1, 5]) {
      it(`writes a frame again ${limit} times at a retry limit of ${limit}, then gives it up as unknown [S2] [S3]`, () => {
        const { queue, lost, settled, add, take } = rig({ retryLimit: limit });
        const frame = add('a');
        for (let i = 0; i < limit; i++) {
          take();
          expect([queue.rewind(), frame?.attempts, frame?.state]).to.eql([1, i + 1, 'waiting']);
        }
        expect([take(), queue.rewind()]).to.eql([['a'], 0]);
        expect(lost).to.eql([{ name: 'a', fate: 'unknown', loss: { why: 'retries', cause: undefined } }]);
        expect([frame?.attempts, frame?.state, queue.frames, queue.bytes]).to.eql([limit + 1, 'done', 0, 0]);
        expect([settled, take()]).to.eql([[], []]);
      });
    }

    it('counts no attempt for a frame that only waits [S2]', () => {
      const { queue, add, take } = rig({ retryLimit: 1 });
      add('a');
      const b = add('b');
      take(1);
      for (let i = 0; i < 5; i++) queue.rewind();
      expect(b?.attempts).to.equal(0);
    });

    it("goes by a frame's own retry limit, 0 included", () => {
      const { queue, lost, add, take } = rig({ retryLimit: 0 });
      add('a', 1, { retryLimit: 1 });
      add('b', 1, { retryLimit: 0 });
      add('c');
      take();
      expect(queue.rewind()).to.equal(1);
      expect(lost.map(({ name }) => name)).to.eql(['b', 'c']);
      expect(take()).to.eql(['a']);
    });

    it('gives frames up in their order, once the others stand in the queue again', () => {
      const { queue, lost, add, take } = rig({ retryLimit: 0 });
      for (const [name, retryLimit] of [
        ['a', 0],
        ['b', 9],
        ['c', 0],
        ['d', 9],
      ] as const)
        add(name, 1, { retryLimit });
      take();
      queue.rewind();
      expect(lost.map(({ name }) => name)).to.eql(['a', 'c']);
      expect(take()).to.eql(['b']);
      queue.confirm();
      expect(take()).to.eql(['d']);
    });

    it('is of no effect on frames when nothing is in flight', () => {
      const { queue, lost, add, take } = rig();
      add('a');
      expect(queue.rewind()).to.equal(0);
      expect([lost, take()]).to.eql([[], ['a']]);
    });
  });

  describe('withdraw', () => {
    it('takes out a frame that waits, as unsent and with the reason [S3]', () => {
      const { queue, lost, settled, add, take } = rig();
      const [, b] = [add('a', 2), add('b', 3), add('c', 4)];
      queue.withdraw(b!, 'changed my mind');
      expect(lost).to.eql([{ name: 'b', fate: 'unsent', loss: { why: 'withdrawn', cause: 'changed my mind' } }]);
      expect([queue.frames, queue.bytes, b?.state]).to.eql([2, 6, 'done']);
      expect(take()).to.eql(['a', 'c']);
      queue.confirm();
      expect(settled).to.eql(['a', 'c']);
    });

    it('makes room', () => {
      const { queue, add } = rig({ writeBuffer: { frames: 1, bytes: 10 } });
      queue.withdraw(add('a', 10)!, 'x');
      expect(add('b', 10)?.message).to.equal('b');
    });

    it('leaves a frame in flight to be written [S3]', () => {
      const { queue, lost, settled, add, take } = rig();
      const a = add('a');
      take();
      queue.withdraw(a!, 'x');
      expect([lost, queue.frames]).to.eql([[], 1]);
      queue.confirm();
      expect([lost, settled]).to.eql([[], ['a']]);
    });

    it('takes a frame in flight out when its connection is lost, as unknown and with the reason [S3]', () => {
      const { queue, lost, add, take } = rig();
      const a = add('a');
      add('b');
      take();
      queue.withdraw(a!, 'x');
      expect(queue.rewind()).to.equal(1);
      expect(lost).to.eql([{ name: 'a', fate: 'unknown', loss: { why: 'withdrawn', cause: 'x' } }]);
      expect(take()).to.eql(['b']);
    });

    it('says unknown of a frame that waits to be written again [S3]', () => {
      const { queue, lost, add, take } = rig();
      const a = add('a');
      take();
      queue.rewind();
      queue.withdraw(a!, 'x');
      expect(lost).to.eql([{ name: 'a', fate: 'unknown', loss: { why: 'withdrawn', cause: 'x' } }]);
      expect(take()).to.eql([]);
    });

    it('does nothing to a frame that has its outcome [S3]', () => {
      const { queue, lost, add, take } = rig();
      const [a, b] = [add('a'), add('b')];
      queue.withdraw(b!, 'x');
      take();
      queue.confirm();
      for (const frame of [a, b]) queue.withdraw(frame!, 'y');
      expect(lost).to.have.length(1);
      expect(queue.frames).to.equal(0);
    });

    it('names the true oldest frame, whichever frames in front are gone', () => {
      const { queue, add } = rig();
      const frames = ['a', 'b', 'c', 'd'].map((name) => add(name)!);
      queue.withdraw(frames[1]!, 'x');
      expect(queue.oldest).to.equal(1);
      queue.withdraw(frames[0]!, 'x');
      expect(queue.oldest).to.equal(3);
      queue.withdraw(frames[2]!, 'x');
      queue.withdraw(frames[3]!, 'x');
      expect(queue.oldest).to.equal(Infinity);
    });

    it('closes the gaps of many withdrawn frames, so that they hold no memory [S5]', async () => {
      const { queue, add, take } = rig();
      add('first');
      const gone = Array.from({ length: 500 }, (_, i) => {
        const frame = add(`x${i}`)!;
        queue.withdraw(frame, 'x');
        return new WeakRef(frame);
      });
      add('last');
      expect(await stillAlive(gone, 40)).to.be.below(50);
      expect(take()).to.eql(['first', 'last']);
    });
  });

  describe('clear', () => {
    it('gives up every frame in order: unknown what is or was in flight, unsent the rest [S3]', () => {
      const { queue, lost, settled, add, take } = rig();
      for (const name of ['a', 'b', 'c', 'd']) add(name);
      take(2);
      queue.rewind();
      take(2);
      queue.withdraw(add('e')!, 'x');
      queue.clear('why');
      const closed = { why: 'closed', cause: 'why' };
      expect(lost.slice(1)).to.eql([
        { name: 'a', fate: 'unknown', loss: closed },
        { name: 'b', fate: 'unknown', loss: closed },
        { name: 'c', fate: 'unsent', loss: closed },
        { name: 'd', fate: 'unsent', loss: closed },
      ]);
      expect([settled, take()]).to.eql([[], []]);
    });

    it('counts the connection that goes down with a frame as an attempt', () => {
      const { queue, add, take } = rig();
      const [a, b] = [add('a'), add('b')];
      take(1);
      queue.clear('why');
      expect([a?.attempts, b?.attempts]).to.eql([1, 0]);
    });

    it('leaves nothing behind, and takes a late confirm and rewind for nothing [S10]', () => {
      const { queue, add, take } = rig();
      add('a', 7);
      take();
      add('b', 7);
      queue.clear('why');
      expect(counts(queue)).to.eql({ frames: 0, bytes: 0, inFlightFrames: 0, inFlightBytes: 0 });
      expect(queue.oldest).to.equal(Infinity);
      queue.confirm();
      expect(queue.rewind()).to.equal(0);
      expect(counts(queue)).to.eql({ frames: 0, bytes: 0, inFlightFrames: 0, inFlightBytes: 0 });
    });
  });

  for (const overflow of ['dropNewest', 'dropOldest'] as const) {
    holds(
      `does as a naive model does, whatever is called in whatever order, under ${overflow} [S1] [S2] [S3] [S5]`,
      120,
      scripts(overflow),
      playBoth,
    );
  }

  it('withdraws in linear time: a frame is moved a few times, however many are withdrawn', () => {
    const movesFor = (count: number): number => {
      const { shift } = Object.getOwnPropertyDescriptors(Deque.prototype);
      let moves = 0;
      Deque.prototype.shift = function (this: Deque<unknown>) {
        moves++;
        return (shift.value as () => unknown).call(this);
      };
      try {
        const { queue, add } = rig({ writeBuffer: { frames: count, bytes: 1e9 } });
        const frames = Array.from({ length: count }, (_, i) => add(`m${i}`)!);
        for (const frame of frames.filter((_, i) => i % 4 !== 0)) queue.withdraw(frame, 'x');
        expect(queue.frames).to.equal(count / 4);
      } finally {
        Object.defineProperty(Deque.prototype, 'shift', shift);
      }
      return moves / count;
    };
    expect(movesFor(1_000)).to.be.below(6);
    expect(movesFor(10_000)).to.be.below(6);
  });

  it('drains in linear time: a frame is looked at a few times, however long the queue is', () => {
    const looksFor = (count: number): number => {
      let looks = 0;
      const { queue } = rig({ writeBuffer: { frames: count, bytes: Infinity } });
      const watched = (): FrameTerms => ({
        get settled() {
          looks++;
          return undefined;
        },
        get retryLimit() {
          looks++;
          return undefined;
        },
      });
      const bytes = (): Uint8Array => Object.defineProperty(new Uint8Array(1), 'length', { get: () => (looks++, 1) });
      const frames = Array.from({ length: count }, (_, i) => queue.enqueue(bytes(), i, watched())!);
      for (const frame of frames) if (Number(frame.message) % 3 === 1) queue.withdraw(frame, 'x');
      let batches = 0;
      while (queue.take(100).length > 0) {
        if (batches++ % 10 === 3) queue.rewind();
        else queue.confirm();
      }
      expect(queue.frames).to.equal(0);
      return looks / count;
    };
    const [small, large] = [looksFor(1_000), looksFor(20_000)];
    expect(large).to.be.within(small * 0.8, small * 1.2);
    expect(large).to.be.below(12);
  });
});

/** One call of the queue. */
type Step =
  | { readonly call: 'enqueue'; readonly size: number; readonly retryLimit: number | undefined }
  | { readonly call: 'take'; readonly limit: number }
  | { readonly call: 'confirm' | 'rewind' | 'clear' }
  /** Of the frame that was accepted so many before the newest, whatever has become of it. */
  | { readonly call: 'withdraw'; readonly back: number }
  /** Of all of the newest, save every so many. */
  | { readonly call: 'withdraw most'; readonly of: number; readonly save: number };

interface Script {
  readonly config: QueueConfig;
  readonly steps: readonly Step[];
}

function scripts(overflow: QueueConfig['overflow']): fc.Arbitrary<Script> {
  const retryLimit = fc.option(fc.nat(4), { nil: undefined, freq: 2 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 55, arbitrary: fc.record({ call: fc.constant('enqueue'), size: fc.nat(25), retryLimit }) },
    { weight: 15, arbitrary: fc.record({ call: fc.constant('take'), limit: fc.constantFrom(64, 10) }) },
    { weight: 10, arbitrary: fc.constant({ call: 'confirm' }) },
    { weight: 6, arbitrary: fc.constant({ call: 'rewind' }) },
    { weight: 12, arbitrary: fc.record({ call: fc.constant('withdraw'), back: fc.nat(60) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        call: fc.constant('withdraw most'),
        of: fc.nat(150),
        save: fc.integer({ min: 2, max: 9 }),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ call: 'clear' }) },
  );
  return fc.record({
    config: fc.record({
      overflow: fc.constant(overflow),
      writeBuffer: fc.record({ frames: fc.constantFrom(5, 40, 200), bytes: fc.constantFrom(60, 400, 3_000) }),
      retryLimit: fc.nat(3),
    }),
    steps: fc.array(step, { maxLength: 400, size: 'max' }),
  });
}

/** Makes the same calls of a WriteQueue and of the model, and compares them after each. */
function playBoth({ config, steps }: Script): void {
  const outcomes: string[] = [];
  const frames: QueuedFrame[] = [];
  const queue = new WriteQueue(config, {
    written: (count, bytes) => outcomes.push(`${count} of ${bytes} bytes written`),
    undelivered: ({ message }, fate, { why }) => outcomes.push(`${String(message)} ${fate}, ${why}`),
  });
  const model = new Model(config);
  const withdraw = (id: number): void => {
    queue.withdraw(frames[id - 1]!, 'x');
    model.withdraw(id);
  };
  const make = (step: Step): void => {
    if (step.call === 'enqueue') {
      const id = frames.length + 1;
      const settled: FrameTerms['settled'] = (error) => outcomes.push(`${id} ${error === undefined ? 'written' : '?'}`);
      const frame = queue.enqueue(Buffer.alloc(step.size), id, { retryLimit: step.retryLimit, settled });
      expect(frame !== undefined, 'accepted').to.equal(model.enqueue(id, step.size, step.retryLimit));
      if (frame !== undefined) frames.push(frame);
    } else if (step.call === 'take') {
      expect(queue.take(step.limit).map(nameOf), 'batch').to.eql(model.take(step.limit));
    } else if (step.call === 'confirm') {
      if (model.inFlight.length > 0) queue.confirm();
      model.confirm();
    } else if (step.call === 'rewind') expect(queue.rewind(), 'put back').to.equal(model.rewind());
    else if (step.call === 'withdraw') {
      if (step.back < frames.length) withdraw(frames.length - step.back);
    } else if (step.call === 'withdraw most') {
      for (let id = Math.max(1, frames.length - step.of); id <= frames.length; id++)
        if (id % step.save !== 0) withdraw(id);
    } else {
      queue.clear('why');
      model.clear();
    }
  };
  let told = 0;
  const compare = (what: string): void => {
    const all = model.all;
    expect(outcomes.slice(told), `outcomes, ${what}`).to.eql(model.outcomes.slice(told));
    told = outcomes.length;
    expect(counts(queue), what).to.eql({
      ...{ frames: all.length, bytes: bytesOf(all) },
      ...{ inFlightFrames: model.inFlight.length, inFlightBytes: bytesOf(model.inFlight) },
    });
    expect([queue.oldest, queue.newest], `places, ${what}`).to.eql([all[0]?.id ?? Infinity, frames.length]);
    expect(queue.frames, 'bound in frames').to.be.at.most(config.writeBuffer.frames);
    expect(queue.bytes, 'bound in bytes').to.be.at.most(config.writeBuffer.bytes);
  };
  for (const [i, step] of [...steps, { call: 'clear' } as const].entries()) {
    make(step);
    compare(`after step ${i}, ${step.call}`);
  }
  const settled = outcomes.filter((text) => !text.includes(' of ')).map((text) => parseInt(text));
  const rising = settled.sort((a, b) => a - b);
  expect(rising, 'one outcome each').to.eql(Array.from(frames, (_, i) => i + 1));
}

/** What the queue stands for, without any cleverness. */
interface ModelFrame {
  readonly id: number;
  readonly size: number;
  readonly retryLimit: number;
  attempts: number;
  withdrawn: boolean;
}

/** The queue as arrays. */
class Model {
  waiting: ModelFrame[] = [];
  inFlight: ModelFrame[] = [];
  readonly outcomes: string[] = [];
  readonly #config: QueueConfig;
  #cautious = false;

  constructor(config: QueueConfig) {
    this.#config = config;
  }

  get all(): ModelFrame[] {
    return [...this.inFlight, ...this.waiting];
  }

  enqueue(id: number, size: number, retryLimit = this.#config.retryLimit): boolean {
    if (!this.#fits(this.all, size)) {
      if (this.#config.overflow === 'dropNewest' || !this.#fits(this.inFlight, size)) return false;
      while (!this.#fits(this.all, size)) this.#lose(this.waiting.shift()!, 'evicted');
    }
    this.waiting.push({ id, size, retryLimit, attempts: 0, withdrawn: false });
    return true;
  }

  take(limit: number): number[] {
    if (this.inFlight.length > 0) return [];
    while (this.waiting[0] !== undefined) {
      const together = bytesOf(this.inFlight) + this.waiting[0].size;
      const alone = this.#cautious || [this.waiting[0], ...this.inFlight].some(onLastTry);
      if (this.inFlight.length > 0 && (alone || together > limit)) break;
      this.inFlight.push(this.waiting.shift()!);
    }
    return this.inFlight.map(({ id }) => id);
  }

  confirm(): void {
    if (this.inFlight.length === 0) return;
    this.outcomes.push(`${this.inFlight.length} of ${bytesOf(this.inFlight)} bytes written`);
    for (const { id } of this.inFlight) this.outcomes.push(`${id} written`);
    this.inFlight = [];
    this.#cautious = false;
  }

  rewind(): number {
    const batch = this.inFlight;
    this.inFlight = [];
    this.#cautious = true;
    for (const frame of batch) frame.attempts++;
    const again = batch.filter(({ withdrawn, attempts, retryLimit }) => !withdrawn && attempts <= retryLimit);
    this.waiting = [...again, ...this.waiting];
    for (const frame of batch) if (!again.includes(frame)) this.#lose(frame, frame.withdrawn ? 'withdrawn' : 'retries');
    return again.length;
  }

  withdraw(id: number): void {
    for (const frame of this.inFlight) if (frame.id === id) frame.withdrawn = true;
    const at = this.waiting.findIndex((frame) => frame.id === id);
    if (at >= 0) this.#lose(this.waiting.splice(at, 1)[0]!, 'withdrawn');
  }

  clear(): void {
    for (const frame of this.inFlight) frame.attempts++;
    for (const frame of this.all) this.#lose(frame, 'closed');
    this.inFlight = [];
    this.waiting = [];
  }

  #fits(frames: readonly ModelFrame[], size: number): boolean {
    const { writeBuffer } = this.#config;
    return frames.length < writeBuffer.frames && bytesOf(frames) + size <= writeBuffer.bytes;
  }

  #lose({ id, attempts }: ModelFrame, why: Loss['why']): void {
    this.outcomes.push(`${id} ${attempts > 0 ? 'unknown' : 'unsent'}, ${why}`);
  }
}

/** One more loss gives it up: it goes alone, lest it takes another along or another takes it. */
function onLastTry({ attempts, retryLimit }: ModelFrame): boolean {
  return attempts > 0 && attempts >= retryLimit;
}

function bytesOf(frames: readonly ModelFrame[]): number {
  return frames.reduce((sum, { size }) => sum + size, 0);
}
