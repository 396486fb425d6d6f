import { expect } from 'chai';
import type { Fate } from '../../lib/errors.js';
import { FrameRing } from '../../lib/outbound/frame-ring.js';
import type { FrameTerms, Loss, QueueConfig } from '../../lib/outbound/queued-frame.js';
import { WriteQueue } from '../../lib/outbound/write-queue.js';
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
  /** Attempts of each that was lost, by its name. */
  readonly attempts: Record<string, number>;
  /** Outcomes that the frames' own terms heard: the error is none of the queue's. */
  readonly settled: string[];
  /** Queues a frame of that many bytes, whose message is its name, and answers its place. */
  readonly add: (name: string, size?: number, terms?: Partial<FrameTerms>) => number;
  /** The names of the next batch, whose bytes are theirs. */
  readonly take: (limit?: number) => unknown[];
}

function rig(config: Partial<QueueConfig> = {}): Rig {
  const written: (readonly [number, number])[] = [];
  const lost: Lost[] = [];
  const attempts: Record<string, number> = {};
  const settled: string[] = [];
  /** Those without an outcome. */
  const kept: { readonly name: string; readonly bytes: Buffer }[] = [];
  const queue = new WriteQueue(
    { writeBuffer: { frames: 1_000, bytes: 1_000_000 }, overflow: 'dropNewest', retryLimit: 5, ...config },
    {
      written: (frames, bytes) => {
        kept.splice(0, frames);
        written.push([frames, bytes]);
      },
      undelivered: (frame, fate, loss) => {
        const name = frame.message as string;
        const at = kept.findIndex((one) => one.name === name);
        kept.splice(at, 1);
        attempts[name] = frame.attempts;
        lost.push({ name, fate, loss });
      },
    },
  );
  let fill = 0;
  const add: Rig['add'] = (name, size = 1, terms = {}) => {
    const bytes = Buffer.alloc(size, ++fill);
    kept.push({ name, bytes });
    const all = { settled: () => settled.push(name), retryLimit: undefined, ...terms };
    const place = queue.enqueue(bytes, 0, size, name, all);
    if (place === 0) kept.pop();
    return place;
  };
  const take = (limit = 64 * KIB): string[] => {
    const batch = queue.take(limit);
    if (batch === undefined) return [];
    const its = kept.slice(0, queue.inFlightFrames);
    expect(Buffer.concat(its.map(({ bytes }) => bytes)).equals(batch), 'bytes of the batch').to.equal(true);
    return its.map(({ name }) => name);
  };
  return { queue, written, lost, attempts, settled, add, take };
}

function counts(queue: WriteQueue): object {
  const { frames, bytes, inFlightFrames, inFlightBytes } = queue;
  return { frames, bytes, inFlightFrames, inFlightBytes };
}

describe('WriteQueue', () => {
  describe('enqueue', () => {
    it('accepts frames in their order, each with its place', () => {
      const { queue, add, take } = rig();
      expect(['a', 'b', 'c'].map((name) => add(name))).to.eql([1, 2, 3]);
      expect([queue.oldest, queue.newest]).to.eql([1, 3]);
      expect(take()).to.eql(['a', 'b', 'c']);
    });

    it('keeps the bytes and the message by reference', () => {
      const lost: unknown[] = [];
      const { queue } = rig();
      const bytes = Buffer.from('x');
      queue.enqueue(bytes, 0, 1, 'x', undefined);
      expect(queue.take(1)).to.equal(bytes);
      const message = { id: 1 };
      const other = new WriteQueue(
        { writeBuffer: { frames: 1, bytes: 1 }, overflow: 'dropNewest', retryLimit: 0 },
        { written: () => {}, undelivered: (frame) => lost.push(frame) },
      );
      other.enqueue(bytes, 0, 1, message, undefined);
      other.clear('x');
      expect(lost).to.eql([{ message, terms: undefined, attempts: 0 }]);
      expect((lost[0] as { message: unknown }).message).to.equal(message);
    });

    it('takes a part of larger memory for a frame', () => {
      const { queue } = rig();
      const memory = Buffer.from('abcdef');
      for (const [start, end] of [
        [1, 3],
        [4, 5],
        [5, 5],
      ] as const)
        queue.enqueue(memory, start, end, 'x', undefined);
      expect(counts(queue)).to.include({ frames: 3, bytes: 3 });
      expect(Buffer.from(queue.take(10)!).toString()).to.equal('bce');
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
      expect([add('a', 0), add('b', 0), add('c', 0)].map((place) => place > 0)).to.eql([true, true, false]);
      expect(queue.frames).to.equal(2);
      expect(queue.newest).to.equal(2);
    });

    it('accepts up to the bound in bytes, and no byte more [S5]', () => {
      const { queue, add } = rig({ writeBuffer: { frames: 100, bytes: 10 } });
      expect([add('a', 6), add('b', 5), add('c', 4), add('d', 1), add('e', 0)]).to.eql([1, 0, 2, 0, 3]);
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
      expect(add('c')).to.equal(0);
      expect([lost, settled]).to.eql([[], []]);
      expect(take()).to.eql(['a', 'b']);
    });
  });

  describe('under dropOldest', () => {
    const dropOldest = (frames: number, bytes = 1_000): Rig =>
      rig({ writeBuffer: { frames, bytes }, overflow: 'dropOldest' });

    it('evicts the oldest for the new one, which was never handed over [S3]', () => {
      const { lost, add, take } = dropOldest(2);
      expect(['a', 'b', 'c'].map((name) => add(name))).to.eql([1, 2, 3]);
      expect(lost).to.eql([{ name: 'a', fate: 'unsent', loss: { why: 'evicted' } }]);
      expect(take()).to.eql(['b', 'c']);
    });

    it('evicts as many as the new one needs, and not one more', () => {
      const { queue, lost, add, take } = dropOldest(10, 10);
      for (const name of ['a', 'b', 'c', 'd']) add(name, 2);
      expect(add('e', 5)).to.equal(5);
      expect(lost.map(({ name }) => name)).to.eql(['a', 'b']);
      expect(queue.bytes).to.equal(9);
      expect(take()).to.eql(['c', 'd', 'e']);
    });

    it('evicts nothing for a frame that could never fit [S5]', () => {
      const { lost, add } = dropOldest(10, 10);
      add('a', 10);
      expect(add('b', 11)).to.equal(0);
      expect(lost).to.eql([]);
    });

    it('leaves alone what is in flight, and refuses the new one where only that could go', () => {
      const { queue, lost, add, take } = dropOldest(2);
      add('a');
      add('b');
      take();
      expect(add('c')).to.equal(0);
      queue.confirm();
      expect([add('c'), lost]).to.eql([3, []]);
    });

    it('evicts nothing if that made no room beside what is in flight', () => {
      const { lost, add, take } = dropOldest(10, 10);
      add('a', 6);
      take();
      add('b', 4);
      expect(add('c', 5)).to.equal(0);
      expect(lost).to.eql([]);
      expect(add('d', 4)).to.equal(3);
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
      for (const message of ['a', 'b']) queue.enqueue(Buffer.alloc(1), 0, 1, message, undefined);
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
      const b = [add('a'), add('b'), add('c')][1]!;
      queue.withdraw(b, 'x');
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
      for (const name of ['a', 'b']) add(name, 3);
      take();
      queue.confirm();
      expect([written, settled, lost]).to.eql([[[2, 6]], ['a', 'b'], []]);
      expect(counts(queue)).to.eql({ frames: 0, bytes: 0, inFlightFrames: 0, inFlightBytes: 0 });
      expect(queue.oldest).to.equal(Infinity);
    });

    it('takes frames without terms', () => {
      const { queue, written } = rig();
      queue.enqueue(Buffer.alloc(1), 0, 1, 'a', undefined);
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
      queue.withdraw(a, 'x');
      expect(take()).to.eql(['b']);
      queue.confirm();
      expect(take()).to.eql(['c']);
    });

    for (const limit of [0, 1, 5]) {
      it(`writes a frame again ${limit} times at a retry limit of ${limit}, then gives it up as unknown [S2] [S3]`, () => {
        const { queue, lost, attempts, settled, add, take } = rig({ retryLimit: limit });
        add('a');
        for (let i = 0; i < limit; i++) {
          take();
          expect([queue.rewind(), counts(queue)]).to.eql([
            ...[1, { frames: 1, bytes: 1, inFlightFrames: 0, inFlightBytes: 0 }],
          ]);
        }
        expect([take(), queue.rewind('gone')]).to.eql([['a'], 0]);
        expect(lost).to.eql([{ name: 'a', fate: 'unknown', loss: { why: 'retries', cause: 'gone' } }]);
        expect([attempts.a, queue.frames, queue.bytes]).to.eql([limit + 1, 0, 0]);
        expect([settled, take()]).to.eql([[], []]);
      });
    }

    it('counts no attempt for a frame that only waits [S2]', () => {
      const { queue, attempts, add, take } = rig({ retryLimit: 9 });
      add('a');
      add('b');
      for (let i = 0; i < 5; i++) {
        take(1);
        queue.rewind();
      }
      queue.clear('x');
      expect(attempts).to.eql({ a: 5, b: 0 });
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
      const b = [add('a', 2), add('b', 3), add('c', 4)][1]!;
      queue.withdraw(b, 'changed my mind');
      expect(lost).to.eql([{ name: 'b', fate: 'unsent', loss: { why: 'withdrawn', cause: 'changed my mind' } }]);
      expect([queue.frames, queue.bytes]).to.eql([2, 6]);
      expect(take()).to.eql(['a', 'c']);
      queue.confirm();
      expect(settled).to.eql(['a', 'c']);
    });

    it('makes room', () => {
      const { queue, add } = rig({ writeBuffer: { frames: 1, bytes: 10 } });
      queue.withdraw(add('a', 10), 'x');
      expect(add('b', 10)).to.equal(2);
    });

    it('leaves a frame in flight to be written [S3]', () => {
      const { queue, lost, settled, add, take } = rig();
      const a = add('a');
      take();
      queue.withdraw(a, 'x');
      expect([lost, queue.frames]).to.eql([[], 1]);
      queue.confirm();
      expect([lost, settled]).to.eql([[], ['a']]);
    });

    it('takes a frame in flight out when its connection is lost, as unknown and with the reason [S3]', () => {
      const { queue, lost, add, take } = rig();
      const a = add('a');
      add('b');
      take();
      queue.withdraw(a, 'x');
      expect(queue.rewind()).to.equal(1);
      expect(lost).to.eql([{ name: 'a', fate: 'unknown', loss: { why: 'withdrawn', cause: 'x' } }]);
      expect(take()).to.eql(['b']);
    });

    it('says unknown of a frame that waits to be written again [S3]', () => {
      const { queue, lost, add, take } = rig();
      const a = add('a');
      take();
      queue.rewind();
      queue.withdraw(a, 'x');
      expect(lost).to.eql([{ name: 'a', fate: 'unknown', loss: { why: 'withdrawn', cause: 'x' } }]);
      expect(take()).to.eql([]);
    });

    it('does nothing to a frame that has its outcome [S3]', () => {
      const { queue, lost, add, take } = rig();
      const [a, b] = ['a', 'b'].map((name) => add(name));
      queue.withdraw(b!, 'x');
      take();
      queue.confirm();
      for (const place of [a, b]) queue.withdraw(place!, 'y');
      expect(lost).to.have.length(1);
      expect(queue.frames).to.equal(0);
    });

    it('names the true oldest frame, whichever frames in front are gone', () => {
      const { queue, add } = rig();
      const frames = ['a', 'b', 'c', 'd'].map((name) => add(name));
      queue.withdraw(frames[1]!, 'x');
      expect(queue.oldest).to.equal(1);
      queue.withdraw(frames[0]!, 'x');
      expect(queue.oldest).to.equal(3);
      queue.withdraw(frames[2]!, 'x');
      queue.withdraw(frames[3]!, 'x');
      expect(queue.oldest).to.equal(Infinity);
    });

    it('closes the gaps of many withdrawn frames, so that they hold no memory [S5]', async () => {
      const config = { writeBuffer: { frames: 1_000, bytes: 1_000 }, overflow: 'dropNewest', retryLimit: 5 } as const;
      const queue = new WriteQueue(config, { written: () => {}, undelivered: () => {} });
      const add = (message: unknown, text = 'x'): number => queue.enqueue(Buffer.from(text), 0, 1, message, undefined);
      add(0, 'a');
      const gone = Array.from({ length: 500 }, () => {
        const message = { id: 1 };
        queue.withdraw(add(message), 'x');
        return new WeakRef(message);
      });
      add(0, 'z');
      expect(await stillAlive(gone)).to.equal(0);
      expect(Buffer.from(queue.take(9)!).toString()).to.equal('az');
    });
  });

  describe('withdraw, silently', () => {
    it('takes a frame out that waits, and tells nobody', () => {
      const { queue, add, take, lost, settled } = rig();
      const b = [add('a', 10), add('b', 20)][1]!;
      queue.withdraw(b, undefined, true);
      expect(counts(queue)).to.include({ frames: 1, bytes: 10 });
      expect([Buffer.from(queue.take(64)!).length, lost, settled]).to.eql([10, [], []]);
      expect(take()).to.eql([]);
    });

    it('lets one in flight be written, or go without a word if its connection is lost', () => {
      for (const loses of [false, true]) {
        const { queue, add, lost, settled } = rig();
        const a = add('a');
        queue.take(64);
        queue.withdraw(a, undefined, true);
        expect(queue.frames).to.equal(1);
        if (loses) expect(queue.rewind('x')).to.equal(0);
        else queue.confirm();
        expect([queue.frames, lost, settled]).to.eql([0, [], loses ? [] : ['a']]);
      }
    });

    it('tells nothing of one in flight when all is given up', () => {
      const { queue, add, lost } = rig();
      const a = add('a');
      add('b');
      queue.take(1);
      queue.withdraw(a, undefined, true);
      queue.clear('x');
      expect([lost.map(({ name }) => name), queue.frames]).to.eql([['b'], 0]);
    });
  });

  describe('queued', () => {
    it('is called with the place, before anybody hears of what was evicted for it', () => {
      const { queue, add, lost } = rig({ writeBuffer: { frames: 1, bytes: 100 }, overflow: 'dropOldest' });
      const told: unknown[] = [];
      add('a', 1, { queued: (place) => told.push(place, lost.length) });
      add('b', 1, { queued: (place) => told.push(place, lost.length, queue.frames) });
      expect([told, lost.map(({ name }) => name)]).to.eql([[1, 0, 2, 0, 1], ['a']]);
    });

    it('is not called for one that is refused', () => {
      const { add } = rig({ writeBuffer: { frames: 1, bytes: 100 } });
      const told: number[] = [];
      add('a');
      expect(add('b', 1, { queued: (place) => told.push(place) })).to.equal(0);
      expect(told).to.eql([]);
    });
  });

  describe('handed', () => {
    it('is the place of the newest frame that a link was ever given', () => {
      const { queue, add } = rig();
      const [a, b, c] = ['a', 'b', 'c'].map((name) => add(name));
      expect(queue.handed).to.equal(0);
      queue.take(2);
      expect(queue.handed).to.equal(b);
      queue.rewind('x');
      queue.take(2); // the oldest alone
      expect([queue.inFlightFrames, queue.handed]).to.eql([1, b]);
      queue.confirm();
      queue.take(64);
      expect([a, queue.handed]).to.eql([1, c]);
    });
  });

  it('keeps its ring short, however many are withdrawn behind one that waits [S5]', () => {
    const { push } = Object.getOwnPropertyDescriptors(FrameRing.prototype);
    let longest = 0;
    FrameRing.prototype.push = function (this: FrameRing, ...frame) {
      (push.value as FrameRing['push']).apply(this, frame);
      longest = Math.max(longest, this.mask + 1);
    };
    try {
      const { queue, add, take } = rig();
      for (const name of ['first', 'second']) add(name);
      for (let i = 0; i < 5_000; i++) queue.withdraw(add('x'), 'x');
      expect(longest).to.be.within(32, 128);
      expect(take()).to.eql(['first', 'second']);
    } finally {
      Object.defineProperty(FrameRing.prototype, 'push', push);
    }
  });

  describe('clear', () => {
    it('gives up every frame in order: unknown what is or was in flight, unsent the rest [S3]', () => {
      const { queue, lost, settled, add, take } = rig();
      for (const name of ['a', 'b', 'c', 'd']) add(name);
      take(2);
      queue.rewind();
      take(2);
      queue.withdraw(add('e'), 'x');
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
      const { queue, attempts, add, take } = rig();
      for (const name of ['a', 'b']) add(name);
      take(1);
      queue.clear('why');
      expect(attempts).to.eql({ a: 1, b: 0 });
    });

    for (const inFlight of [0, 1, 3, 6]) {
      it(`gives each its outcome although others are withdrawn by who hears of the first, ${inFlight} in flight [S3]`, () => {
        for (let withdrawn = 2; withdrawn <= 6; withdrawn++) {
          const heard: string[] = [];
          const queue: WriteQueue = new WriteQueue(
            { writeBuffer: { frames: 10, bytes: 100 }, overflow: 'dropNewest', retryLimit: 5 },
            {
              written: () => {},
              undelivered: ({ message, attempts }, fate) => {
                heard.push(`${String(message)} ${fate} ${attempts}`);
                if (message === 1) for (let place = 2; place <= withdrawn; place++) queue.withdraw(place, 'x');
              },
            },
          );
          for (let i = 1; i <= 6; i++) queue.enqueue(Buffer.alloc(1), 0, 1, i, undefined);
          if (inFlight > 0) queue.take(inFlight);
          queue.clear('why');
          const expected = [1, 2, 3, 4, 5, 6].map((i) => `${i} ${i <= inFlight ? 'unknown 1' : 'unsent 0'}`);
          expect(heard.sort()).to.eql(expected);
          expect(counts(queue)).to.eql({ frames: 0, bytes: 0, inFlightFrames: 0, inFlightBytes: 0 });
        }
      });
    }

    it('gives each of many its outcome, too, whichever are withdrawn meanwhile [S3]', () => {
      const heard = new Set<unknown>();
      const queue: WriteQueue = new WriteQueue(
        { writeBuffer: { frames: 1_000, bytes: 1_000 }, overflow: 'dropNewest', retryLimit: 5 },
        {
          written: () => {},
          undelivered: ({ message }) => {
            heard.add(message);
            if ((message as number) % 100 === 7)
              for (let place = 1; place <= 1_000; place++) if (place % 3 !== 0) queue.withdraw(place, 'x');
          },
        },
      );
      for (let i = 1; i <= 1_000; i++) queue.enqueue(Buffer.alloc(1), 0, 1, i, undefined);
      queue.take(20);
      queue.clear('why');
      expect([heard.size, queue.frames]).to.eql([1_000, 0]);
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

  it('withdraws in linear time: a frame is moved a few times, however many are withdrawn', () => {
    const movesFor = (count: number): number =>
      workOf(() => {
        const { queue, add } = rig({ writeBuffer: { frames: count, bytes: 1e9 } });
        const places = Array.from({ length: count }, (_, i) => add(`m${i}`));
        for (const place of places.filter((_, i) => i % 4 !== 0)) queue.withdraw(place, 'x');
        expect(queue.frames).to.equal(count / 4);
      }) / count;
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
      const work = workOf(() => {
        const places = Array.from({ length: count }, (_, i) => queue.enqueue(bytes(), 0, 1, i, watched()));
        for (const [i, place] of places.entries()) if (i % 3 === 1) queue.withdraw(place, 'x');
        let batches = 0;
        while (queue.take(100) !== undefined) {
          if (batches++ % 10 === 3) queue.rewind();
          else queue.confirm();
        }
      });
      expect(queue.frames).to.equal(0);
      return (looks + work) / count;
    };
    const [small, large] = [looksFor(1_000), looksFor(20_000)];
    expect(large).to.be.within(small * 0.8, small * 1.2);
    expect(large).to.be.below(12);
  });
});

/** Slots of rings that were cleared, and that were passed over to close gaps. */
function workOf(action: () => void): number {
  const { clear, closeGaps } = Object.getOwnPropertyDescriptors(FrameRing.prototype);
  let work = 0;
  FrameRing.prototype.clear = function (this: FrameRing, slot) {
    work++;
    (clear.value as FrameRing['clear']).call(this, slot);
  };
  FrameRing.prototype.closeGaps = function (this: FrameRing, from) {
    work += this.tail - from;
    (closeGaps.value as FrameRing['closeGaps']).call(this, from);
  };
  try {
    action();
  } finally {
    Object.defineProperties(FrameRing.prototype, { clear, closeGaps });
  }
  return work;
}
