import { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { expect } from 'chai';
import { from, Observable, of, range, Subject, throwError, type ObservableInput } from 'rxjs';
import { toBytes } from '../../lib/codec/to-bytes.js';
import { ClosedError, ConfigError, FrameError, OverflowError, WriteError, type TcpError } from '../../lib/errors.js';
import { Outlet, type OutletConfig } from '../../lib/outbound/outlet.js';
import { quiet } from '../../lib/quiet.js';
import { writeAll } from '../../lib/outbound/write-all.js';
import { outcome, turns } from '../support/fixture.js';

interface Rig {
  readonly outlet: Outlet<unknown>;
  readonly undelivered: TcpError[];
  readonly refused: TcpError[];
  /** What was handed over and confirmed. */
  readonly written: string[];
  /** Starts a transfer, of which `now` tells the outcome. */
  readonly start: (source: unknown) => { now: unknown };
  /** The kernel takes one batch; `false` if there was none. */
  readonly takeOne: (limit?: number) => boolean;
  /** The kernel takes whatever comes, through so many turns. */
  readonly drain: (count?: number) => Promise<void>;
}

function rig(config: Partial<OutletConfig<unknown>> = {}): Rig {
  const undelivered: TcpError[] = [];
  const refused: TcpError[] = [];
  const written: string[] = [];
  const writeBuffer = { frames: 4, bytes: 1_000 };
  const outlet = new Outlet<unknown>(
    {
      ...{ codec: { encode: (message) => toBytes(message, 'it') }, writeBuffer, overflow: 'dropNewest', retryLimit: 5 },
      ...config,
    },
    {
      ...{ accepted: () => {}, changed: () => {}, written: () => {}, where: () => ({ epoch: 1 }) },
      undelivered: (error) => undelivered.push(error),
      refused: (error) => refused.push(error),
    },
  );
  const { queue } = outlet;
  const enqueue = queue.enqueue.bind(queue);
  /** Of each frame, by its place. */
  const lengths = new Map<number, number>();
  queue.enqueue = (memory, from, end, message, terms) => {
    const place = enqueue(memory, from, end, message, terms);
    lengths.set(place, end - from);
    return place;
  };
  const start = (source: unknown): { now: unknown } => {
    const state: { now: unknown } = { now: 'pending' };
    void outcome(quiet(writeAll(outlet, source as ObservableInput<unknown>))).then((result) => (state.now = result));
    return state;
  };
  const takeOne = (limit = 65_536): boolean => {
    const batch = outlet.take(limit);
    if (batch === undefined) return false;
    let [place, at] = [queue.oldest, 0];
    for (let left = queue.inFlightFrames; left > 0; left--) {
      const end = at + (lengths.get(place++) ?? NaN);
      written.push(Buffer.from(batch.subarray(at, end)).toString());
      at = end;
    }
    expect(at).to.equal(batch.length);
    outlet.confirm();
    return true;
  };
  const drain = async (count = 20): Promise<void> => {
    for (let i = 0; i < count; i++) {
      while (takeOne());
      await turns(1);
    }
  };
  return { outlet, undelivered, refused, written, start, takeOne, drain };
}

const NAMES = Array.from({ length: 20 }, (_, i) => `m${i}`);

/** A generator that counts how far it was asked, and whether it was closed. */
function counted(names: readonly string[] = NAMES): {
  source: Iterable<string>;
  asked: () => number;
  closed: () => boolean;
} {
  let asked = 0;
  let closed = false;
  function* items(): Generator<string> {
    try {
      for (const name of names) {
        asked++;
        yield name;
      }
    } finally {
      closed = true;
    }
  }
  return { source: items(), asked: () => asked, closed: () => closed };
}

async function* slowly(names: readonly string[]): AsyncGenerator<string> {
  for (const name of names) {
    await turns(1);
    yield name;
  }
}

function streamOf(names: readonly string[]): ReadableStream<string> {
  return new ReadableStream({
    start(controller) {
      for (const name of names) controller.enqueue(name);
      controller.close();
    },
  });
}

describe('writeAll', () => {
  const pulled: Record<string, () => unknown> = {
    'an array': () => NAMES,
    'a Set': () => new Set(NAMES),
    'a generator': () => counted().source,
    'an async generator': () => slowly(NAMES),
    'a Readable': () => Readable.from(NAMES),
    'a ReadableStream': () => streamOf(NAMES),
  };

  for (const [what, source] of Object.entries(pulled)) {
    it(`writes all of ${what} in order through a small buffer, without an overflow [S1] [S5]`, async () => {
      const { refused, written, start, drain } = rig();
      const transfer = start(source());
      await drain(60);
      expect(transfer.now).to.equal('written');
      expect([written, refused]).to.eql([NAMES, []]);
    });
  }

  const pushed: Record<string, (names: readonly string[]) => unknown> = {
    'an Observable': (names) => from(names),
    'a Promise': (names) => Promise.resolve(names[0]),
    'an array-like': (names) => ({ ...Object.fromEntries(Object.entries(names)), length: names.length }),
  };

  for (const [what, source] of Object.entries(pushed)) {
    it(`writes all of ${what} where the buffer has room`, async () => {
      const names = what === 'a Promise' ? ['m0'] : NAMES;
      const { written, start, drain } = rig({ writeBuffer: { frames: 100, bytes: 1_000 } });
      const transfer = start(source(names));
      await drain(3);
      expect([transfer.now, written]).to.eql(['written', names]);
    });
  }

  for (const [what, empty] of Object.entries<() => unknown>({
    'an empty iterable': () => [],
    'an empty async iterable': () => slowly([]),
    'an empty Observable': () => of(),
    'an ended Readable': () => Readable.from([]),
  })) {
    it(`resolves for ${what}`, async () => {
      const { start } = rig();
      const transfer = start(empty());
      await turns(5);
      expect(transfer.now).to.equal('written');
    });
  }

  it('resolves once the last message is written, not when it is queued [S3]', async () => {
    const { outlet, start } = rig();
    const transfer = start(['a', 'b']);
    outlet.take(100);
    await turns(2);
    expect(transfer.now).to.equal('pending');
    outlet.confirm();
    await turns(1);
    expect(transfer.now).to.equal('written');
  });

  it('pulls an item when there is room, and is never more than one item ahead [S5]', async () => {
    const { outlet, start, takeOne } = rig();
    const { source, asked } = counted();
    start(source);
    expect([outlet.queue.frames, asked()]).to.eql([4, 5]);
    await turns(2);
    expect(asked()).to.equal(5);
    takeOne(2);
    await turns(1);
    expect([outlet.queue.frames, asked()]).to.eql([4, 6]);
  });

  it('waits for room in bytes, too [S5]', async () => {
    const { outlet, refused, written, start, drain } = rig({ writeBuffer: { frames: 100, bytes: 10 } });
    const messages = ['12345678', '123', '1234567890', '1'];
    start(messages);
    expect(outlet.queue.bytes).to.equal(8);
    await drain(5);
    expect([written, refused]).to.eql([messages, []]);
  });

  it('fits a long source of ready items into one call, without growing the stack', async () => {
    const { written, start, drain } = rig({ writeBuffer: { frames: 200_000, bytes: 1e9 } });
    const transfer = start(Array.from({ length: 100_000 }, () => 'x'));
    await drain(2);
    expect([transfer.now, written.length]).to.eql(['written', 100_000]);
  });

  it('fits a long source into a buffer of one message, without growing the stack', async () => {
    const { outlet, start } = rig({ writeBuffer: { frames: 1, bytes: 10 } });
    const transfer = start(Array.from({ length: 30_000 }, () => 'x'));
    while (outlet.take(10) !== undefined) outlet.confirm();
    await turns(1);
    expect(transfer.now).to.equal('written');
  });

  for (const frames of [1, 4, 12]) {
    it(`lets several sources take turns, message by message, where ${frames} at a time find room`, async () => {
      const { outlet, written, start, drain } = rig({ writeBuffer: { frames, bytes: 1_000 } });
      for (let i = 0; i < frames; i++) outlet.offer('-');
      const sources = ['a', 'b', 'c'].map((letter) => start(Array.from({ length: 12 }, () => letter)));
      await drain();
      expect(sources.map(({ now }) => now)).to.eql(['written', 'written', 'written']);
      expect(written.join('').slice(frames)).to.equal('abc'.repeat(12));
    });
  }

  it('keeps its place among the messages of others [S1]', () => {
    const { outlet, written, start, takeOne } = rig();
    outlet.offer('x');
    start(['a']);
    outlet.offer('y');
    while (takeOne());
    expect(written).to.eql(['x', 'a', 'y']);
  });

  describe('an Observable that is faster than the buffer', () => {
    it('meets the overflow policy: the first refusal stops it, and the source is let go', async () => {
      const { refused, written, start, drain } = rig();
      const source = new Subject<string>();
      const transfer = start(source);
      for (const name of NAMES) source.next(name);
      await drain(2);
      expect(transfer.now).to.be.instanceOf(OverflowError).and.to.include({ undelivered: 'm4' });
      expect(refused).to.eql([transfer.now]);
      expect([written, source.observed]).to.eql([['m0', 'm1', 'm2', 'm3'], false]);
    });

    it('is stopped by the first refusal also while it emits within subscribe', async () => {
      const { refused, written, start, drain } = rig();
      let emitted = 0;
      const transfer = start(
        new Observable<string>((subscriber) => {
          while (!subscriber.closed && emitted < 1_000) subscriber.next(`m${emitted++}`);
        }),
      );
      await drain(2);
      expect(transfer.now).to.be.instanceOf(OverflowError);
      expect(emitted).to.be.at.most(6);
      expect([written, refused.length]).to.eql([['m0', 'm1', 'm2', 'm3'], 1]);
    });

    it('hands over nothing that follows a message which was refused', async () => {
      const { written, start, drain } = rig();
      const transfer = start(of('a', null, 'b'));
      await drain(2);
      expect(transfer.now).to.be.instanceOf(FrameError);
      expect(written).to.eql(['a']);
    });

    it('evicts its own oldest message under dropOldest, which rejects it', async () => {
      const { start, drain } = rig({ overflow: 'dropOldest' });
      const transfer = start(
        range(0, 6).pipe((source) => new Observable<string>((s) => source.subscribe((n) => s.next(`m${n}`)))),
      );
      await drain(2);
      expect(transfer.now).to.be.instanceOf(OverflowError).and.to.include({ undelivered: 'm0' });
    });
  });

  describe('when a message of it fails', () => {
    it('rejects with the refusal, closes the source, and writes what came before', async () => {
      const { refused, written, start, drain } = rig();
      const { source, asked, closed } = counted(['a', 5 as never, 'b']);
      const transfer = start(source);
      await drain(2);
      expect(transfer.now).to.be.instanceOf(FrameError);
      expect(refused).to.eql([transfer.now]);
      expect([asked(), closed(), written]).to.eql([2, true, ['a']]);
    });

    it('rejects with an OverflowError for a message that could never fit', async () => {
      const { written, start, drain } = rig({ writeBuffer: { frames: 4, bytes: 5 } });
      const transfer = start(['a', 'x'.repeat(6), 'b']);
      await drain(2);
      expect(transfer.now).to.be.instanceOf(OverflowError).and.to.include({ undelivered: 'xxxxxx' });
      expect(written).to.eql(['a']);
    });

    it('rejects with the loss of one that was queued [S3]', async () => {
      const { outlet, undelivered, start } = rig({ retryLimit: 0 });
      const { source, closed } = counted();
      const transfer = start(source);
      outlet.take(2);
      outlet.rewind();
      await turns(1);
      expect(transfer.now).to.be.instanceOf(WriteError).and.to.equal(undelivered[0]);
      expect(closed()).to.equal(true);
    });

    it('tells of the item that waited for room just then: the source has it no more', async () => {
      const { outlet, refused, start, takeOne } = rig({ retryLimit: 0, writeBuffer: { frames: 2, bytes: 1_000 } });
      const { source, asked } = counted();
      const transfer = start(source);
      await turns(1);
      expect(asked()).to.equal(3);
      outlet.take(1);
      outlet.rewind();
      await turns(1);
      expect(transfer.now).to.be.instanceOf(WriteError).and.to.include({ undelivered: 'm0' });
      expect(refused).to.have.length(1);
      expect(refused[0]).to.be.instanceOf(WriteError).and.to.include({ undelivered: 'm2', cause: transfer.now });
      while (takeOne());
      expect(asked()).to.equal(3);
    });

    it('leaves the outlet of use', async () => {
      const { written, start, drain } = rig();
      start([5]);
      const next = start(['a']);
      await drain(2);
      expect([next.now, written]).to.eql(['written', ['a']]);
    });
  });

  describe('when the outlet closes', () => {
    it('rejects with a ClosedError and closes the source, whether it waits for room or not', async () => {
      for (const frames of [4, 100]) {
        const { outlet, start } = rig({ writeBuffer: { frames, bytes: 1_000 } });
        let closed = 0;
        const source = {
          [Symbol.asyncIterator]: () => ({
            next: () => (closed < 0 ? new Promise<never>(() => {}) : Promise.resolve({ done: false, value: 'x' })),
            return: () => (closed++, Promise.resolve({ done: true, value: undefined })),
          }),
        };
        const transfer = start(source);
        await turns(2);
        outlet.close();
        await turns(2);
        expect(transfer.now).to.be.instanceOf(ClosedError);
        expect(closed).to.equal(1);
      }
    });

    it('closes a source that comes after that, too', async () => {
      const { outlet, start } = rig();
      outlet.close();
      const source = Readable.from(NAMES);
      const transfer = start(source);
      await turns(3);
      expect(transfer.now).to.be.instanceOf(ClosedError);
      expect(source.destroyed).to.equal(true);
    });

    it('tells of an item that comes after that, and writes it no more', async () => {
      const { outlet, refused, start } = rig();
      let give: (item: IteratorResult<unknown>) => void = () => {};
      start({ [Symbol.asyncIterator]: () => ({ next: () => new Promise((resolve) => (give = resolve)) }) });
      await turns(1);
      outlet.close();
      give({ done: false, value: 'late' });
      await turns(1);
      expect(refused).to.have.length(1);
      expect(refused[0]).to.be.instanceOf(WriteError).and.to.include({ fate: 'unsent', undelivered: 'late' });
      expect((refused[0] as WriteError).cause).to.be.instanceOf(ClosedError);
      expect(outlet.queue.frames).to.equal(0);
    });

    it('lets an Observable go', async () => {
      const { outlet, start } = rig();
      const source = new Subject<string>();
      const transfer = start(source);
      outlet.close();
      await turns(1);
      expect(transfer.now).to.be.instanceOf(ClosedError);
      expect(source.observed).to.equal(false);
    });

    it('waits for what is queued if the source has ended', async () => {
      const { outlet, written, start, drain } = rig();
      const transfer = start(['a', 'b']);
      outlet.close();
      await drain(2);
      expect([transfer.now, written]).to.eql(['written', ['a', 'b']]);
    });

    it('rejects with the loss if the source has ended and its messages are given up [S3]', async () => {
      const { outlet, start } = rig();
      const transfer = start(['a', 'b']);
      outlet.clear('x');
      await turns(1);
      expect(transfer.now).to.be.instanceOf(WriteError).and.to.include({ undelivered: 'a' });
    });

    it('rejects a source that comes after that, and asks it for nothing', async () => {
      const { outlet, start } = rig();
      outlet.close();
      const { source, asked } = counted();
      const subject = new Subject<string>();
      const transfers = [start(source), start(subject)];
      await turns(1);
      for (const { now } of transfers) expect(now).to.be.instanceOf(ClosedError);
      expect([asked(), subject.observed]).to.eql([0, false]);
    });

    it('destroys a Readable that is silent just then', async () => {
      const { outlet, start } = rig();
      const source = new Readable({ objectMode: true, read() {} });
      const transfer = start(source);
      source.push('a');
      await turns(3);
      outlet.close();
      await turns(3);
      expect(transfer.now).to.be.instanceOf(ClosedError);
      expect(source.destroyed).to.equal(true);
      source.destroy();
    });

    it('cancels a ReadableStream that is silent just then', async () => {
      const { outlet, start } = rig();
      let cancelled = false;
      const transfer = start(
        new ReadableStream<string>({
          start: (controller) => controller.enqueue('a'),
          cancel: () => void (cancelled = true),
        }),
      );
      await turns(3);
      outlet.close();
      await turns(3);
      expect(transfer.now).to.be.instanceOf(ClosedError);
      expect(cancelled).to.equal(true);
    });

    it('stands a source that closes the outlet itself, out of its own `next`', async () => {
      const { outlet, start } = rig();
      const after: string[] = [];
      function* items(): Generator<string> {
        yield 'a';
        outlet.close();
        after.push('closed');
        yield 'b';
      }
      const transfer = start(items());
      await turns(2);
      expect(after).to.eql(['closed']);
      expect(transfer.now).to.be.instanceOf(ClosedError);
    });
  });

  describe('when the source fails', () => {
    const error = new Error('source');
    const failing: Record<string, () => unknown> = {
      *'a generator that throws'() {
        yield 'a';
        throw error;
      },
      async *'an async generator that throws'() {
        yield 'a';
        throw error;
      },
      'an Observable that errors': () => throwError(() => error),
      'a Promise that rejects': () => Promise.reject(error),
      'an iterable without an iterator': () => ({
        [Symbol.iterator]() {
          throw error;
        },
      }),
      'a Readable that is destroyed': () =>
        new Readable({
          read() {
            this.destroy(error);
          },
        }),
      'a ReadableStream that errors': () => new ReadableStream({ start: (controller) => controller.error(error) }),
    };
    for (const [what, source] of Object.entries(failing)) {
      it(`rejects with the error of ${what}, and the outlet lives on`, async () => {
        const { outlet, start, drain } = rig();
        const transfer = start(source());
        await drain(4);
        expect(transfer.now).to.equal(error);
        expect(outlet.writable).to.equal(true);
      });
    }

    it('does not close a source that has thrown: it is closed already', async () => {
      const { start } = rig();
      let closes = 0;
      const iterator = {
        next: () => {
          throw error;
        },
        return: () => closes++,
      };
      start({ [Symbol.iterator]: () => iterator });
      start({ [Symbol.asyncIterator]: () => ({ ...iterator, next: () => Promise.reject(error) }) });
      await turns(2);
      expect(closes).to.equal(0);
    });

    it('writes what came before all the same [S3]', async () => {
      const { written, start, drain } = rig();
      start((failing['a generator that throws'] as () => unknown)());
      await drain(2);
      expect(written).to.eql(['a']);
    });

    for (const [what, close] of [
      [
        'throws',
        () => {
          throw new Error('closing');
        },
      ],
      ['rejects', () => Promise.reject(new Error('closing'))],
      ['is missing', undefined],
    ] as const) {
      it(`rejects with the first error though the source's \`return\` ${what} [S9]`, async () => {
        const { outlet, start } = rig();
        const iterator = {
          next: () => ({ done: false, value: 'x' }),
          ...(close === undefined ? {} : { return: close }),
        };
        const transfer = start({ [Symbol.iterator]: () => iterator });
        outlet.clear('x');
        await turns(2);
        expect(transfer.now).to.be.instanceOf(ClosedError);
        expect(outlet.queue.frames).to.equal(0);
      });
    }

    it("rejects with the first error though an Observable's teardown throws [S9]", async () => {
      const { outlet, start } = rig();
      const transfer = start(
        new Observable(() => () => {
          throw new Error('closing');
        }),
      );
      outlet.clear('x');
      await turns(2);
      expect(transfer.now).to.be.instanceOf(ClosedError);
    });
  });

  for (const [what, source] of [
    ['a string', 'abc'],
    ['a Buffer', Buffer.from('abc')],
    ['a Uint8Array', Uint8Array.of(1)],
  ] as const) {
    it(`refuses ${what} as a source: each character or byte would be a message`, async () => {
      const { written, start, drain } = rig();
      const transfer = start(source);
      await drain(2);
      expect(transfer.now).to.be.instanceOf(ConfigError);
      expect((transfer.now as Error).message).to.match(
        /^`source` must be a source of messages.*, got (a string|bytes)$/,
      );
      expect((transfer.now as Error).message.endsWith('a string')).to.equal(typeof source === 'string');
      expect(written).to.eql([]);
    });
  }

  for (const source of [undefined, null, 5, {}, () => []]) {
    it(`rejects for ${typeof source === 'function' ? 'a function' : JSON.stringify(source)}, and throws nothing`, async () => {
      const { start } = rig();
      const transfer = start(source);
      await turns(1);
      expect(transfer.now).to.be.instanceOf(Error);
    });
  }

  it('names the type of what cannot be a source', async () => {
    const { start } = rig();
    const transfer = start(5);
    await turns(1);
    expect(transfer.now).to.be.instanceOf(ConfigError);
    expect((transfer.now as ConfigError).message).to.match(/^`source` must be .*, got number$/);
    expect((transfer.now as ConfigError).cause).to.be.instanceOf(TypeError);
  });
});
