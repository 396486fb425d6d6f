/**
 * Two write queues, which share their spare memory, against a naive model: random calls, and after each of them the same order,
 * accounts and outcomes. Bytes of a batch stay what they were until it is confirmed, and for ever if its connection was lost.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import type { FrameTerms, Loss, QueueConfig } from '../../lib/outbound/queued-frame.js';
import { BY_REFERENCE, SLAB_BYTES } from '../../lib/outbound/slabs.js';
import { WriteQueue } from '../../lib/outbound/write-queue.js';
import { holds } from '../support/property.js';

describe('WriteQueue, played', () => {
  for (const overflow of ['dropNewest', 'dropOldest'] as const) {
    holds(
      `does as a naive model does, whatever is called in whatever order, under ${overflow} [S1] [S2] [S3] [S5]`,
      80,
      scripts(overflow),
      playAll,
    );
  }
});

/** Where a message's bytes are. */
type Where = 'slab' | 'own' | 'part';

/** One call of a queue. */
type Step = { readonly of: 0 | 1 } & (
  | { readonly call: 'enqueue'; readonly size: number; readonly where: Where; readonly retryLimit: number | undefined }
  /** Encodes, and then refuses the message. */
  | { readonly call: 'encode in vain'; readonly size: number }
  | { readonly call: 'take'; readonly limit: number }
  | { readonly call: 'confirm' | 'rewind' | 'clear' }
  /** Of the frame that was accepted so many before the newest, whatever has become of it. */
  | { readonly call: 'withdraw'; readonly back: number }
  /** Of all of the newest, save every so many. */
  | { readonly call: 'withdraw most'; readonly count: number; readonly save: number }
);

interface Script {
  readonly config: QueueConfig;
  readonly steps: readonly Step[];
}

function scripts(overflow: QueueConfig['overflow']): fc.Arbitrary<Script> {
  const retryLimit = fc.option(fc.oneof(fc.nat(4), fc.constant(Infinity)), { nil: undefined, freq: 2 });
  const edges = [BY_REFERENCE, SLAB_BYTES].flatMap((bytes) => [bytes - 1, bytes, bytes + 1]);
  const size = fc.oneof(
    { weight: 8, arbitrary: fc.nat(25) },
    { weight: 8, arbitrary: fc.nat(15_000) },
    { weight: 1, arbitrary: fc.nat(100_000) },
    { weight: 1, arbitrary: fc.constantFrom(...edges) },
  );
  const where = fc.constantFrom<Where>('slab', 'slab', 'slab', 'own', 'part');
  const call = <C extends object>(weight: number, fields: { [K in keyof C]: fc.Arbitrary<C[K]> }) => ({
    weight,
    arbitrary: fc.record({ of: fc.constantFrom(0, 1), ...fields }),
  });
  const steps = fc.oneof(
    call(55, { call: fc.constant('enqueue'), size, where, retryLimit }),
    call(2, { call: fc.constant('encode in vain'), size }),
    call(15, { call: fc.constant('take'), limit: fc.constantFrom(SLAB_BYTES, 20_000, 10, 10) }),
    call(10, { call: fc.constant('confirm') }),
    call(5, { call: fc.constant('rewind') }),
    call(10, { call: fc.constant('withdraw'), back: fc.nat(60) }),
    call(1, {
      call: fc.constant('withdraw most'),
      count: fc.nat(150),
      save: fc.integer({ min: 2, max: 9 }),
    }),
    call(1, { call: fc.constant('clear') }),
  ) as fc.Arbitrary<Step>;
  return fc.record({
    config: fc.record({
      overflow: fc.constant(overflow),
      writeBuffer: fc.record({
        frames: fc.constantFrom(5, 40, 200),
        bytes: fc.constantFrom(60, 3_000, 250_000, 1_000_000),
      }),
      retryLimit: fc.nat(3),
    }),
    steps: fc.array(steps, { maxLength: 500, size: 'max' }),
  });
}

/** A batch, and what it held when it was taken. */
interface Handed {
  readonly batch: Uint8Array;
  readonly bytes: Buffer;
}

/** Makes the calls of a WriteQueue and of its model, and compares them after each. */
function playAll({ config, steps }: Script): void {
  const pairs = [new Pair(config), new Pair(config)] as const;
  for (const [i, step] of steps.entries()) {
    pairs[step.of].make(step);
    pairs[step.of].compare(`after step ${i}, ${step.call}`);
    for (const pair of pairs) pair.checkInFlight();
  }
  for (const pair of pairs) pair.end();
}

class Pair {
  readonly #config: QueueConfig;
  readonly #outcomes: string[] = [];
  readonly #queue: WriteQueue;
  readonly #model: Model;
  /** Batches whose connection was lost: the kernel may be reading them still. */
  readonly #lost: Handed[] = [];
  #inFlight: Handed | undefined;
  #accepted = 0;
  #told = 0;

  constructor(config: QueueConfig) {
    this.#config = config;
    this.#model = new Model(config);
    this.#queue = new WriteQueue(config, {
      written: (count, bytes) => this.#outcomes.push(`${count} of ${bytes} bytes written`),
      undelivered: ({ message, attempts }, fate, { why }) =>
        this.#outcomes.push(`${String(message)} ${fate} after ${attempts}, ${why}`),
    });
  }

  make(step: Step): void {
    const [queue, model] = [this.#queue, this.#model];
    if (step.call === 'enqueue') this.#enqueue(step.size, step.where, step.retryLimit);
    else if (step.call === 'encode in vain') {
      const at = queue.slabs.reserve(step.size);
      queue.slabs.bytes.fill(0xff, at, at + step.size);
    } else if (step.call === 'take') this.#take(step.limit);
    else if (step.call === 'confirm') {
      queue.confirm();
      model.confirm();
      this.#inFlight = undefined;
    } else if (step.call === 'rewind') {
      expect(queue.rewind(), 'put back').to.equal(model.rewind());
      this.#loseBatch();
    } else if (step.call === 'withdraw') this.#withdraw(this.#accepted - step.back);
    else if (step.call === 'withdraw most') {
      for (let id = Math.max(1, this.#accepted - step.count); id <= this.#accepted; id++)
        if (id % step.save !== 0) this.#withdraw(id);
    } else this.#clear();
  }

  compare(what: string): void {
    const [queue, model] = [this.#queue, this.#model];
    const { all, inFlight } = model;
    expect(this.#outcomes.slice(this.#told), `outcomes, ${what}`).to.eql(model.outcomes.slice(this.#told));
    this.#told = this.#outcomes.length;
    const { frames, bytes, inFlightFrames, inFlightBytes, waitingFrames, waitingBytes, oldest, newest } = queue;
    expect({ frames, bytes, inFlightFrames, inFlightBytes, waitingFrames, waitingBytes, oldest, newest }, what).to.eql({
      ...{ frames: all.length, bytes: bytesOf(all) },
      ...{ inFlightFrames: inFlight.length, inFlightBytes: bytesOf(inFlight) },
      ...{ waitingFrames: model.waiting.length, waitingBytes: bytesOf(model.waiting) },
      ...{ oldest: all[0]?.id ?? Infinity, newest: this.#accepted },
    });
    expect(frames, 'bound in frames').to.be.at.most(this.#config.writeBuffer.frames);
    expect(bytes, 'bound in bytes').to.be.at.most(this.#config.writeBuffer.bytes);
  }

  checkInFlight(): void {
    if (this.#inFlight !== undefined) unchanged(this.#inFlight, 'in flight');
  }

  end(): void {
    this.#clear();
    this.compare('at the end');
    for (const handed of this.#lost) unchanged(handed, 'lost');
    const settled = this.#outcomes.filter((text) => !text.includes(' of ')).map((text) => parseInt(text));
    const rising = settled.sort((a, b) => a - b);
    expect(rising, 'one outcome each').to.eql(Array.from({ length: this.#accepted }, (_, i) => i + 1));
  }

  #enqueue(size: number, where: Where, retryLimit: number | undefined): void {
    const id = this.#accepted + 1;
    const settled: FrameTerms['settled'] = (error) =>
      this.#outcomes.push(`${id} ${error === undefined ? 'written' : '?'}`);
    const { slabs } = this.#queue;
    let end = 0;
    if (where === 'slab') end = slabs.reserve(size + 3) + size;
    else if (where === 'own') end = slabs.refer(Buffer.alloc(size));
    else slabs.refer(Buffer.alloc(size + 9));
    const { bytes } = slabs;
    const start = where === 'part' ? 4 : slabs.start;
    if (where === 'part') end = start + size;
    writeFrame(bytes.subarray(start, end), id);
    const place = this.#queue.enqueue(bytes, start, end, id, { retryLimit, settled });
    const expected = this.#model.enqueue({ id, size, memory: bytes, start, retryLimit });
    expect(place, 'place').to.equal(expected ? id : 0);
    if (place > 0) this.#accepted++;
  }

  #take(limit: number): void {
    const batch = this.#queue.take(limit);
    const taken = this.#model.take(limit);
    expect(batch !== undefined, 'a batch').to.equal(taken.length > 0);
    if (batch === undefined) return;
    const frames = taken.map(({ id, size }) => writeFrame(Buffer.alloc(size), id));
    expect(Buffer.concat(frames).equals(batch), 'bytes of the batch').to.equal(true);
    this.#inFlight = { batch, bytes: Buffer.from(batch) };
  }

  #withdraw(id: number): void {
    this.#queue.withdraw(id, 'x');
    this.#model.withdraw(id);
  }

  #clear(): void {
    this.#queue.clear('why');
    this.#model.clear();
    this.#loseBatch();
  }

  #loseBatch(): void {
    if (this.#inFlight !== undefined) this.#lost.push(this.#inFlight);
    this.#inFlight = undefined;
  }
}

function unchanged({ batch, bytes }: Handed, what: string): void {
  expect(bytes.equals(batch), `a batch that was handed over is the same, ${what}`).to.equal(true);
}

/** Bytes that tell which message they belong to, and where in it they stand. */
function writeFrame<B extends Uint8Array>(into: B, id: number): B {
  const sign = [id, id >> 8, id * 7 + 1, 0x55];
  Buffer.from(into.buffer, into.byteOffset, into.length).fill(Buffer.from(sign));
  return into;
}

/** What the queue stands for, without any cleverness. */
interface ModelFrame {
  readonly id: number;
  readonly size: number;
  readonly memory: Uint8Array;
  readonly start: number;
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

  enqueue(given: Pick<ModelFrame, 'id' | 'size' | 'memory' | 'start'> & { retryLimit: number | undefined }): boolean {
    if (!this.#fits(this.all, given.size)) {
      if (this.#config.overflow === 'dropNewest' || !this.#fits(this.inFlight, given.size)) return false;
      while (!this.#fits(this.all, given.size)) this.#lose(this.waiting.shift()!, 'evicted');
    }
    const { retryLimit = this.#config.retryLimit } = given;
    this.waiting.push({ ...given, retryLimit, attempts: 0, withdrawn: false });
    return true;
  }

  take(limit: number): readonly ModelFrame[] {
    if (this.inFlight.length > 0) return [];
    while (this.waiting[0] !== undefined && this.#joins(this.waiting[0], limit))
      this.inFlight.push(this.waiting.shift()!);
    return this.inFlight;
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

  /** Whether a frame goes with those that are taken already. */
  #joins(next: ModelFrame, limit: number): boolean {
    if (this.inFlight.length === 0) return true;
    if (this.#cautious || [next, ...this.inFlight].some(onLastTry)) return false;
    const together = bytesOf(this.inFlight);
    if (together + next.size > limit) return false;
    const joins = follows(this.inFlight.at(-1)!, next);
    const onePiece = this.inFlight.every((frame, i, all) => i === 0 || follows(all[i - 1]!, frame));
    if (joins !== onePiece && together >= BY_REFERENCE) return false;
    return joins || next.size < BY_REFERENCE;
  }

  #fits(frames: readonly ModelFrame[], size: number): boolean {
    const { writeBuffer } = this.#config;
    return frames.length < writeBuffer.frames && bytesOf(frames) + size <= writeBuffer.bytes;
  }

  #lose({ id, attempts }: ModelFrame, why: Loss['why']): void {
    this.outcomes.push(`${id} ${attempts > 0 ? 'unknown' : 'unsent'} after ${attempts}, ${why}`);
  }
}

/** Directly behind the other, in the same memory. */
function follows(last: ModelFrame, next: ModelFrame): boolean {
  return last.memory === next.memory && last.start + last.size === next.start;
}

/** One more loss gives it up: it goes alone, lest it takes another along or another takes it. */
function onLastTry({ attempts, retryLimit }: ModelFrame): boolean {
  return attempts > 0 && attempts >= retryLimit;
}

function bytesOf(frames: readonly ModelFrame[]): number {
  return frames.reduce((sum, { size }) => sum + size, 0);
}
