import { expect } from 'chai';
import { firstValueFrom, type Subscription } from 'rxjs';
import type { Codec, Decoder } from '../../lib/codec/codec.js';
import { lines } from '../../lib/codec/lines.js';
import { Deque } from '../../lib/deque.js';
import type { FrameError } from '../../lib/errors.js';
import type { Intake } from '../../lib/inbound/intake.js';
import type { Unused } from '../../lib/inbound/iterate.js';
import { Receiver } from '../../lib/inbound/receive.js';
import { fakeLink, type FakeLink } from '../support/fake-link.js';

/** A connection over a fake link, wired as its owner does it. */
interface Line {
  readonly link: FakeLink;
  readonly intake: Intake<string>;
  /** What came out and went wrong, for its owner. */
  readonly decoded: () => number;
  readonly failures: FrameError[];
  chunk(text: string): void;
  over(): ReturnType<Receiver<string>['over']>;
}

interface Heard {
  readonly frames: string[];
  end: unknown;
  readonly subscription: Subscription;
}

/** Resolves when the microtasks of this turn are over: demand has begun by then. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function made(codec: Codec<string, string> = lines()) {
  const reports: FrameError[] = [];
  let subscribed = 0;
  const receiver = new Receiver<string>(codec, {
    subscribed: () => subscribed++,
    report: (error) => reports.push(error),
  });
  let epoch = 0;
  const open = (): Line => {
    const link = fakeLink();
    let decoded = 0;
    const failures: FrameError[] = [];
    const where = { endpoint: link.endpoint, epoch: ++epoch };
    const intake: Intake<string> = receiver.attach(link, where, {
      decoded: () => decoded++,
      failed: (error) => {
        failures.push(error);
        receiver.over(intake);
      },
    });
    return {
      ...{ link, intake, failures, decoded: () => decoded },
      chunk: (text) => receiver.chunk(intake, Buffer.from(text)),
      over: () => receiver.over(intake),
    };
  };
  return { receiver, reports, open, subscribed: () => subscribed };
}

function hear(source: Receiver<string>['inbound'], hook: (frame: string, heard: Heard) => void = () => {}): Heard {
  const heard = { frames: [] as string[], end: undefined } as Heard & { subscription: Subscription };
  heard.subscription = source.subscribe({
    next: (frame) => {
      heard.frames.push(frame);
      hook(frame, heard);
    },
    error: (error: unknown) => (heard.end = error),
    complete: () => (heard.end = 'completed'),
  });
  return heard;
}

const unused = (
  ...items: [string, Intake<string> | undefined][]
): Deque<Unused<string, Intake<string> | undefined>> => {
  const deque = new Deque<Unused<string, Intake<string> | undefined>>();
  for (const [frame, origin] of items) deque.push({ frame, origin });
  return deque;
};

/** A codec of lines whose decoder has some parts replaced. */
function breaking(parts: Partial<Decoder<string>>): Codec<string, string> {
  const codec = lines();
  return {
    encode: (message) => codec.encode(message),
    decoder: (report) => {
      const inner = codec.decoder(report);
      return {
        push: (chunk) => inner.push(chunk),
        next: () => inner.next(),
        end: () => inner.end(),
        ...parts,
      };
    },
  };
}

describe('Receiver', () => {
  describe('without demand', () => {
    it('holds one chunk and pauses its link only then [S6]', async () => {
      const { receiver, open } = made();
      const line = open();
      expect(line.link.paused).to.be.false;
      line.chunk('a\nb\n');
      expect([line.link.paused, receiver.heldBytes, line.decoded()]).to.eql([true, 4, 0]);
      const heard = hear(receiver.inbound);
      await turn();
      expect(heard.frames).to.eql(['a', 'b']);
      expect([line.link.paused, receiver.heldBytes]).to.eql([false, 0]);
    });

    it('pauses once for all chunks that still come', async () => {
      const { receiver, open } = made();
      const line = open();
      for (const text of ['a', 'b\n', 'c\n']) line.chunk(text);
      expect([line.link.pauses, receiver.heldBytes]).to.eql([1, 5]);
      const heard = hear(receiver.inbound);
      await turn();
      expect(heard.frames).to.eql(['ab', 'c']);
      expect(line.link.resumes).to.equal(1);
    });

    it('makes no decoder', () => {
      let made_ = 0;
      const codec = lines();
      const { open } = made({ encode: (m) => codec.encode(m), decoder: (r) => (made_++, codec.decoder(r)) });
      open().chunk('a\n');
      expect(made_).to.equal(0);
    });
  });

  describe('with demand', () => {
    it('decodes a chunk within the call that brings it, and pauses nothing', async () => {
      const { receiver, open } = made();
      const line = open();
      const heard = hear(receiver.inbound);
      await turn();
      line.chunk('a\nb\nhal');
      expect(heard.frames).to.eql(['a', 'b']);
      expect([line.link.pauses, line.decoded()]).to.eql([0, 2]);
      line.chunk('f\n');
      expect(heard.frames).to.eql(['a', 'b', 'half']);
    });

    it('gives all who subscribe in one turn the same first frame [S6]', async () => {
      const { receiver, open } = made();
      open().chunk('a\nb\n');
      const heard = [hear(receiver.inbound), hear(receiver.inbound)];
      expect(heard.map(({ frames }) => frames)).to.eql([[], []]);
      await turn();
      expect(heard.map(({ frames }) => frames)).to.eql([['a', 'b'], ['a', 'b']]); // prettier-ignore
    });

    it('tells its owner of every subscriber', () => {
      const { receiver, open, subscribed } = made();
      hear(receiver.inbound);
      hear(receiver.framesOf(open().intake));
      expect(subscribed()).to.equal(2);
    });

    it('emits a chunk that comes while a frame is emitted after the frames before it [S1]', async () => {
      const { receiver, open } = made();
      const line = open();
      const order: string[] = [];
      const heard = hear(receiver.inbound, (frame) => {
        order.push(`<${frame}`);
        if (frame === 'a') line.chunk('c\nd\n');
        order.push(`${frame}>`);
      });
      await turn();
      line.chunk('a\nb\n');
      expect(heard.frames).to.eql(['a', 'b', 'c', 'd']);
      expect(order).to.eql(['<a', 'a>', '<b', 'b>', '<c', 'c>', '<d', 'd>']);
      expect(line.link.paused).to.be.false;
    });
  });

  describe('when demand ends inside a frame', () => {
    it('by an unsubscription, the next demand goes on with the very next frame [S6]', async () => {
      const { receiver, open } = made();
      const line = open();
      const first = hear(receiver.inbound, (frame, { subscription }) => {
        if (frame === 'b') subscription.unsubscribe();
      });
      await turn();
      line.chunk('a\nb\nc\nd\n');
      expect(first.frames).to.eql(['a', 'b']);
      expect([line.link.paused, line.decoded()]).to.eql([true, 2]);
      const second = hear(receiver.inbound);
      await turn();
      expect(second.frames).to.eql(['c', 'd']);
      expect(line.link.paused).to.be.false;
    });

    it('by a hold, no further frame comes before the release, in a later microtask [S6]', async () => {
      const { receiver, open } = made();
      const line = open();
      let release = (): void => {};
      const heard = hear(receiver.inbound, (frame) => {
        if (frame === 'a') release = receiver.gate.hold();
      });
      await turn();
      line.chunk('a\nb\n');
      await turn();
      expect(heard.frames).to.eql(['a']);
      release();
      expect(heard.frames).to.eql(['a']);
      await turn();
      expect(heard.frames).to.eql(['a', 'b']);
    });

    it('by a hold that is released within the same frame, it goes on in a later microtask [S6]', async () => {
      const { receiver, open } = made();
      const line = open();
      const heard = hear(receiver.inbound, () => receiver.gate.hold()());
      await turn();
      line.chunk('a\nb\n');
      expect(heard.frames).to.eql(['a']);
      await turn();
      await turn();
      expect(heard.frames).to.eql(['a', 'b']);
    });

    it('tells the frame to the others all the same, and them the following ones', async () => {
      const { receiver, open } = made();
      const line = open();
      const leaving = hear(receiver.inbound, (_, { subscription }) => subscription.unsubscribe());
      const staying = hear(receiver.inbound);
      await turn();
      line.chunk('a\nb\n');
      expect([leaving.frames, staying.frames]).to.eql([['a'], ['a', 'b']]);
    });

    it('lets somebody who subscribes then have the frames that follow [S6]', async () => {
      const { receiver, open } = made();
      const line = open();
      let late: Heard | undefined;
      hear(receiver.inbound, (frame) => {
        if (frame === 'a') late = hear(receiver.inbound);
      });
      await turn();
      line.chunk('a\nb\n');
      expect(late?.frames).to.eql(['b']);
    });
  });

  describe('over several connections', () => {
    it('delivers what a dead one left before the next one’s first frame [S6]', async () => {
      const { receiver, open } = made();
      const first = open();
      first.chunk('a\nb\n');
      expect(first.over()).to.eql({ unread: 0, cut: undefined });
      const second = open();
      second.chunk('c\n');
      expect(second.link.paused).to.be.true;
      const heard = hear(receiver.inbound);
      await turn();
      expect(heard.frames).to.eql(['a', 'b', 'c']);
      expect([first.link.resumes, second.link.paused]).to.eql([0, false]);
    });

    it('drops and counts the rest of a second dead one while the first one’s waits [S6]', async () => {
      const { receiver, open } = made();
      const [first, second] = [open(), open()];
      first.chunk('a\n');
      first.over();
      second.chunk('lost\nlost');
      expect(second.over()).to.eql({ unread: 9, cut: undefined });
      const third = open();
      third.chunk('c\n');
      expect(receiver.heldBytes).to.equal(4);
      const heard = hear(receiver.inbound);
      await turn();
      expect(heard.frames).to.eql(['a', 'c']);
    });

    it('has one decoder for each, and glues no half frame to the next [S7]', async () => {
      const { receiver, reports, open } = made();
      const heard = hear(receiver.inbound);
      await turn();
      const first = open();
      first.chunk('one\nha');
      const { cut } = first.over();
      expect(cut).to.deep.include({ kind: 'truncated', epoch: 1, endpoint: first.link.endpoint });
      expect(reports).to.eql([cut]);
      const second = open();
      second.chunk('two\n');
      expect(heard.frames).to.eql(['one', 'two']);
    });

    it('reports a cut frame once its rest is read, and not before [S7]', async () => {
      const { receiver, reports, open } = made();
      const first = open();
      first.chunk('one\nha');
      expect(first.over().cut).to.be.undefined;
      expect(reports).to.eql([]);
      const heard = hear(receiver.inbound);
      await turn();
      expect(heard.frames).to.eql(['one']);
      expect(reports.map(({ kind, epoch }) => [kind, epoch])).to.eql([['truncated', 1]]);
    });

    it('goes on with the next when the first dies inside a frame, after its other frames', async () => {
      const { receiver, open } = made();
      const [first, second] = [open(), open()];
      const heard = hear(receiver.inbound, (frame) => {
        if (frame === 'a') {
          first.over();
          second.chunk('c\n');
        }
      });
      await turn();
      first.chunk('a\nb\n');
      expect(heard.frames).to.eql(['a', 'b', 'c']);
    });

    it('takes no chunk of a dead one any more [S10]', async () => {
      const { receiver, open } = made();
      const first = open();
      first.chunk('a\n');
      const heard = hear(receiver.inbound);
      await turn();
      first.over();
      first.chunk('late\n');
      await turn();
      expect(heard.frames).to.eql(['a']);
      expect([receiver.heldBytes, first.intake.heldBytes]).to.eql([0, 0]);
    });
  });

  describe('of one connection', () => {
    it('gives its frames alone, and completes with the last of them', async () => {
      const { receiver, open } = made();
      const [first, second] = [open(), open()];
      const [one, two, all] = [
        hear(receiver.framesOf(first.intake)),
        hear(receiver.framesOf(second.intake)),
        hear(receiver.inbound),
      ];
      await turn();
      first.chunk('a\n');
      second.chunk('b\n');
      expect([one.frames, two.frames, all.frames]).to.eql([['a'], [], ['a']]);
      first.over();
      expect([one.frames, two.frames, all.frames]).to.eql([['a'], ['b'], ['a', 'b']]);
      expect([one.end, two.end, all.end]).to.eql(['completed', undefined, undefined]);
    });

    it('completes at once when that is over, and takes no demand', async () => {
      const { receiver, open } = made();
      const first = open();
      first.over();
      expect(hear(receiver.framesOf(first.intake)).end).to.equal('completed');
      expect(receiver.gate.subscribers).to.equal(0);
    });

    it('completes, late, after the whole stream has errored', () => {
      const { receiver, open } = made();
      const { intake } = open();
      receiver.close(new Error('gone'));
      expect(hear(receiver.framesOf(intake)).end).to.equal('completed');
    });

    it('completes and does not error when the whole stream errors', async () => {
      const { receiver, open } = made();
      const one = hear(receiver.framesOf(open().intake));
      receiver.close(new Error('gone'));
      expect(one.end).to.equal('completed');
    });
  });

  describe('a decoder that throws', () => {
    const mistake = new Error('mistake');
    const throwing = (): never => {
      throw mistake;
    };
    const decoder: Codec<string, string> = { encode: () => Buffer.alloc(0), decoder: throwing };
    for (const [where, codec] of Object.entries({
      'decoder()': decoder,
      'push()': breaking({ push: throwing }),
      'next()': breaking({ next: throwing }),
    })) {
      it(`in ${where} fails its connection, once, and no other [S12]`, async () => {
        const { receiver, reports, open } = made(codec);
        const heard = hear(receiver.inbound);
        await turn();
        const line = open();
        line.chunk('a\n');
        line.chunk('b\n');
        expect(line.failures.map(({ kind, cause, epoch }) => [kind, cause, epoch])).to.eql([['decode', mistake, 1]]);
        expect([heard.frames, heard.end, reports]).to.eql([[], undefined, []]);
      });
    }

    it('in end() is reported like a frame that was cut [S7]', async () => {
      const { receiver, reports, open } = made(breaking({ end: throwing }));
      hear(receiver.inbound);
      await turn();
      const line = open();
      line.chunk('a\n');
      expect(line.over().cut).to.include({ kind: 'decode', cause: mistake });
      expect(reports.map(({ kind }) => kind)).to.eql(['decode']);
    });

    it('has emitted the frames before it, and drops those after it [S12]', async () => {
      const { receiver, open } = made(lines({ maxFrameLength: 4 }));
      const heard = hear(receiver.inbound);
      await turn();
      const line = open();
      line.chunk('ok\nmuch too long\nok\n');
      expect(heard.frames).to.eql(['ok']);
      expect([line.decoded(), line.failures.length, receiver.heldBytes]).to.eql([1, 1, 0]);
      const next = open();
      next.chunk('next\n');
      expect(heard.frames).to.eql(['ok', 'next']);
    });

    it('is reported, and fails nobody, when its connection is gone already [S12]', async () => {
      const { receiver, reports, open } = made(lines({ maxFrameLength: 4 }));
      const line = open();
      line.chunk('ok\nmuch too long\n');
      line.over();
      const heard = hear(receiver.inbound);
      await turn();
      expect([heard.frames, line.failures]).to.eql([['ok'], []]);
      expect(reports.map(({ kind, epoch }) => [kind, epoch])).to.eql([['too-large', 1]]);
      open().chunk('more\n');
      expect(heard.frames).to.eql(['ok', 'more']);
    });

    it('skips a frame and reports it, where the codec can go on [S12]', async () => {
      const { receiver, reports, open } = made(lines({ maxFrameLength: 4, onTooLarge: 'discard' }));
      const heard = hear(receiver.inbound);
      await turn();
      const line = open();
      line.chunk('ok\nmuch too long\nok\n');
      expect(heard.frames).to.eql(['ok', 'ok']);
      expect(reports).to.have.length(1);
      expect(reports[0]).to.deep.include({ kind: 'too-large', epoch: 1, endpoint: line.link.endpoint });
      expect(line.failures).to.eql([]);
    });
  });

  describe('over links that lend their chunks', () => {
    /** A receiver with one such connection. */
    function lending(codec?: Codec<string, string>) {
      const parts = made(codec);
      const line = parts.open();
      line.link.lend();
      line.link.listen({
        chunk: (chunk, keep) => parts.receiver.chunk(line.intake, chunk, keep),
        fin: () => {},
        lost: () => {},
      });
      return { ...parts, line };
    }

    it('decodes in the call that lends, and loses nothing of what is written over then [S6]', async () => {
      const { receiver, line } = lending();
      const heard = hear(receiver.inbound);
      await turn();
      for (const text of ['a\nha', 'lf', '\nb\n', 'c']) line.link.chunk(text);
      line.link.chunk('\n');
      expect(heard.frames).to.eql(['a', 'half', 'b', 'c']);
      expect(line.link.pauses).to.equal(0);
    });

    it('that a hold stops in the middle of a chunk keep the rest, and go on with the very next frame [S6]', async () => {
      const { receiver, line } = lending();
      let release = (): void => {};
      const heard = hear(receiver.inbound, (frame) => {
        if (frame === 'b') release = receiver.gate.hold();
      });
      await turn();
      line.link.chunk('a\nb\nc\nd');
      line.link.chunk('d\ne\n');
      expect([heard.frames, line.link.paused]).to.eql([['a', 'b'], false]);
      release();
      await turn();
      expect(heard.frames).to.eql(['a', 'b', 'c', 'dd', 'e']);
    });

    it('that are not the first keep what comes until their turn [S6]', async () => {
      const { receiver, line, open } = lending();
      const second = open();
      second.link.lend();
      second.link.listen({
        chunk: (chunk, keep) => receiver.chunk(second.intake, chunk, keep),
        fin: () => {},
        lost: () => {},
      });
      line.link.chunk('a\n');
      for (const text of ['b', '\nc\n']) second.link.chunk(text);
      line.over();
      const heard = hear(receiver.inbound);
      await turn();
      expect(heard.frames).to.eql(['a', 'b', 'c']);
    });

    it('fail their connection when the decoder cannot let go of a chunk [S12]', async () => {
      const { receiver, line } = lending(
        breaking({
          detach: () => {
            throw new Error('no');
          },
        }),
      );
      const heard = hear(receiver.inbound);
      await turn();
      line.link.chunk('a\nb');
      expect(heard.frames).to.eql(['a']);
      expect(line.failures.map(({ kind }) => kind)).to.eql(['decode']);
      expect(receiver.heldBytes).to.equal(0);
    });

    it('have their memory back whatever goes wrong meanwhile', async () => {
      const inner = lines().decoder(() => {});
      let detached = 0;
      const { receiver, line } = lending(
        breaking({
          ...{ push: (chunk) => inner.push(chunk), next: () => inner.next(), end: () => inner.end() },
          detach: () => {
            detached++;
            inner.detach?.();
          },
        }),
      );
      const heard = hear(receiver.inbound);
      await turn();
      let faults = 1;
      line.intake.events.decoded = () => {
        if (faults-- > 0) throw new RangeError('out of stack');
      };
      expect(() => line.link.chunk('a\nb\nc')).to.throw();
      expect(detached).to.equal(1);
      line.link.chunk('\n');
      expect(heard.frames).to.eql(['b', 'c']);
    });
  });

  describe('a chunk of very many frames', () => {
    const many = (count: number): string => Array.from({ length: count }, (_, i) => `${i}\n`).join('');
    const numbers = (count: number): string => Array.from({ length: count }, (_, i) => i).join();

    it('is emitted in slices, between which others have their turn, in order [S6]', async () => {
      const { receiver, open } = made();
      const line = open();
      const heard = hear(receiver.inbound);
      await turn();
      line.chunk(many(10_000));
      const seen = [heard.frames.length];
      while (heard.frames.length < 10_000) {
        await turn();
        seen.push(heard.frames.length);
      }
      expect(seen).to.eql([4096, 8192, 10_000]);
      expect(heard.frames.join()).to.equal(numbers(10_000));
      expect([line.link.pauses, line.link.resumes]).to.eql([1, 1]);
    });

    it('is cut, and not many chunks that are read one after another, of fewer frames each', async () => {
      const { receiver, open } = made();
      const line = open();
      const heard = hear(receiver.inbound);
      await turn();
      for (let i = 0; i < 10; i++) line.chunk(many(1000));
      expect(heard.frames).to.have.length(10_000);
      expect(line.link.pauses).to.equal(0);
    });

    it('gives them their turn also where demand ends and begins at each frame', async () => {
      const { receiver, open } = made();
      const frames: string[] = [];
      let turns = 0;
      const read = async (): Promise<void> => {
        while (frames.length < 10_000) frames.push(await firstValueFrom(receiver.inbound));
      };
      void read();
      open().chunk(many(10_000));
      while (frames.length < 10_000) {
        await turn();
        turns++;
        expect(frames.length).to.be.at.most(4096 * turns + 4096);
      }
      expect(frames.join()).to.equal(numbers(10_000));
      expect(turns).to.be.at.least(2);
    });

    it('stops at once when its reader leaves or holds, also between two slices [S6]', async () => {
      const { receiver, open } = made();
      const heard = hear(receiver.inbound, (frame, { subscription }) => {
        if (frame === '5000') subscription.unsubscribe();
      });
      await turn();
      open().chunk(many(10_000));
      await turn();
      await turn();
      expect(heard.frames).to.have.length(5001);
      const rest = hear(receiver.inbound);
      await turn();
      const release = receiver.gate.hold();
      const before = rest.frames.length;
      await turn();
      await turn();
      expect(rest.frames).to.have.length(before);
      release();
      for (let i = 0; i < 3; i++) await turn();
      expect([...heard.frames, ...rest.frames].join()).to.equal(numbers(10_000));
    });

    it('is delivered to its end when its connection dies between two slices, before that of the next [S6]', async () => {
      const { receiver, open } = made();
      const [first, second] = [open(), open()];
      const heard = hear(receiver.inbound);
      await turn();
      first.chunk(many(5000));
      first.over();
      second.chunk('next\n');
      expect(heard.frames).to.have.length(4096);
      await turn();
      expect(heard.frames.join()).to.equal(`${numbers(5000)},next`);
    });

    it('is dropped between two slices by close(), and nothing more comes', async () => {
      const { receiver, open } = made();
      const heard = hear(receiver.inbound);
      await turn();
      open().chunk(many(5000));
      receiver.close();
      await turn();
      expect([heard.frames.length, heard.end]).to.eql([4096, 'completed']);
    });
  });

  describe('given frames back', () => {
    it('emits them first, to all, with their origin [S6]', async () => {
      const { receiver, open } = made();
      const line = open();
      line.chunk('c\n');
      receiver.giveBack(unused(['a', line.intake], ['b', undefined]));
      const origins: unknown[] = [];
      const heard = hear(receiver.inbound, () => origins.push(receiver.origin));
      const one = hear(receiver.framesOf(line.intake));
      await turn();
      expect(heard.frames).to.eql(['a', 'b', 'c']);
      expect(one.frames).to.eql(['a', 'c']);
      expect(origins).to.eql([line.intake, undefined, line.intake]);
    });

    it('in front of those that wait already [S6]', async () => {
      const { receiver, open } = made();
      const { intake } = open();
      receiver.giveBack(unused(['a', intake], ['b', intake], ['c', intake], ['d', intake]));
      hear(receiver.inbound, (frame, { subscription }) => {
        if (frame === 'b') subscription.unsubscribe();
      });
      await turn();
      receiver.giveBack(unused(['a', intake], ['b', intake]));
      const heard = hear(receiver.inbound);
      await turn();
      expect(heard.frames).to.eql(['a', 'b', 'c', 'd']);
    });

    it('stops among them when demand ends, and goes on from there [S6]', async () => {
      const { receiver, open } = made();
      const { intake } = open();
      receiver.giveBack(unused(['a', intake], ['b', intake]));
      hear(receiver.inbound, (_, { subscription }) => subscription.unsubscribe());
      await turn();
      const second = hear(receiver.inbound);
      await turn();
      expect(second.frames).to.eql(['b']);
    });

    it('keeps none while somebody else reads, who has seen them', async () => {
      const { receiver, open } = made();
      const { intake } = open();
      const heard = hear(receiver.inbound);
      receiver.giveBack(unused(['a', intake]));
      await turn();
      expect(heard.frames).to.eql([]);
    });

    it('ends only after them', async () => {
      const { receiver, open } = made();
      const line = open();
      receiver.giveBack(unused(['a', line.intake]));
      line.over();
      let ended = 0;
      receiver.end(
        () => undefined,
        () => ended++,
      );
      expect(ended).to.equal(0);
      const heard = hear(receiver.inbound);
      await turn();
      expect([heard.frames, heard.end, ended]).to.eql([['a'], 'completed', 1]);
    });

    it('keeps them after the end: who comes late gets them, in their order, and then the end [S6]', async () => {
      const { receiver, open } = made();
      const [one, other] = [open(), open()];
      receiver.close();
      receiver.giveBack(unused(['a', one.intake], ['b', other.intake], ['c', one.intake]));
      const first = hear(receiver.framesOf(one.intake));
      expect([first.frames, first.end], 'in a later microtask').to.eql([[], undefined]);
      await turn();
      expect([first.frames, first.end]).to.eql([['a', 'c'], 'completed']);
      const second = hear(receiver.inbound);
      await turn();
      expect([second.frames, second.end]).to.eql([['b'], 'completed']);
      expect(hear(receiver.inbound)).to.deep.include({ frames: [], end: 'completed' });
    });

    it('gives one who comes late and leaves again no more than he takes [S6]', async () => {
      const { receiver } = made();
      receiver.close(new Error('the end'));
      receiver.giveBack(unused(['a', undefined], ['b', undefined]));
      expect(await firstValueFrom(receiver.inbound)).to.equal('a');
      const heard = hear(receiver.inbound);
      await turn();
      expect(heard).to.deep.include({ frames: ['b'] });
      expect(heard.end).to.be.instanceOf(Error);
    });
  });

  describe('end()', () => {
    const nothing = (): undefined => undefined;

    it('ends at once when nothing is left', () => {
      const { receiver } = made();
      const heard = hear(receiver.inbound);
      let ended = 0;
      receiver.end(nothing, () => ended++);
      expect([heard.end, ended]).to.eql(['completed', 1]);
    });

    it('waits until the rest is read, and then ends with the error that it is given', async () => {
      const { receiver, open } = made();
      const line = open();
      line.chunk('a\nb\n');
      line.over();
      const error = new Error('gone');
      let ended = 0;
      receiver.end(
        () => error,
        () => ended++,
      );
      expect(ended).to.equal(0);
      const heard = hear(receiver.inbound);
      await turn();
      expect([heard.frames, heard.end, ended]).to.eql([['a', 'b'], error, 1]);
    });

    it('is told the frame that the last connection cut [S7]', async () => {
      for (const readBefore of [true, false]) {
        const { receiver, open } = made();
        let heard = readBefore ? hear(receiver.inbound) : undefined;
        await turn();
        const line = open();
        line.chunk('ha');
        line.over();
        receiver.end((cut) => cut);
        heard ??= hear(receiver.inbound);
        await turn();
        expect(heard.end).to.include({ kind: 'truncated' });
      }
    });

    it('is not told the frame that an earlier connection cut', async () => {
      const { receiver, open } = made();
      const heard = hear(receiver.inbound);
      await turn();
      const first = open();
      first.chunk('ha');
      first.over();
      const second = open();
      second.chunk('whole\n');
      second.over();
      receiver.end((cut) => cut);
      expect(heard.end).to.equal('completed');
    });

    it('is not told it either when the last connection ended with bytes that were no frames', async () => {
      const { receiver, open } = made(lines({ maxFrameLength: 4 }));
      const heard = hear(receiver.inbound);
      await turn();
      const first = open();
      first.chunk('ha');
      first.over();
      open().chunk('much too long\n');
      receiver.end((cut) => cut);
      expect(heard.end).to.equal('completed');
    });

    it('inside a frame waits for the frames after it', async () => {
      const { receiver, open } = made();
      const line = open();
      const ends: unknown[] = [];
      const heard = hear(receiver.inbound, (frame, now) => {
        if (frame === 'a') {
          line.over();
          receiver.end(nothing);
        }
        ends.push(now.end);
      });
      await turn();
      line.chunk('a\nb\n');
      expect(heard.frames).to.eql(['a', 'b']);
      expect([heard.end, ends]).to.eql(['completed', [undefined, undefined]]);
    });

    it('tells its end once, also when it is closed then or was closed before', () => {
      const { receiver } = made();
      let ended = 0;
      receiver.end(nothing, () => ended++);
      receiver.close(new Error('late'));
      receiver.end(nothing, () => ended++);
      expect(ended).to.equal(1);
    });

    it('after close() still tells that it has ended', () => {
      const { receiver } = made();
      receiver.close();
      let ended = 0;
      receiver.end(nothing, () => ended++);
      expect(ended).to.equal(1);
    });
  });

  describe('close()', () => {
    it('drops what waits and ends everybody now', async () => {
      const { receiver, open } = made();
      const line = open();
      line.chunk('a\n');
      const heard = hear(receiver.inbound);
      receiver.close();
      await turn();
      expect([heard.frames, heard.end, receiver.heldBytes]).to.eql([[], 'completed', 0]);
    });

    it('inside a frame is the last word', async () => {
      const { receiver, open } = made();
      const line = open();
      const error = new Error('enough');
      const heard = hear(receiver.inbound, () => receiver.close(error));
      await turn();
      line.chunk('a\nb\n');
      line.chunk('c\n');
      expect([heard.frames, heard.end]).to.eql([['a'], error]);
    });

    it('while the rest waits for its reader ends that wait', () => {
      const { receiver, open } = made();
      const line = open();
      line.chunk('a\n');
      line.over();
      let ended = 0;
      receiver.end(
        () => undefined,
        () => ended++,
      );
      receiver.close();
      expect([ended, hear(receiver.inbound).end]).to.eql([1, 'completed']);
    });

    it('gives a late subscriber the same end [S6]', () => {
      const { receiver } = made();
      const error = new Error('gone');
      receiver.close(error);
      receiver.close();
      expect(hear(receiver.inbound).end).to.equal(error);
    });
  });

  describe('discard()', () => {
    it('drops what waits, ends nobody, and emits nothing more', async () => {
      const { receiver, open } = made();
      const line = open();
      line.chunk('a\n');
      receiver.giveBack(unused(['r', line.intake]));
      const heard = hear(receiver.inbound);
      receiver.discard();
      line.chunk('b\n');
      await turn();
      expect([heard.frames, heard.end, receiver.heldBytes]).to.eql([[], undefined, 0]);
    });

    it('inside a frame stops there', async () => {
      const { receiver, open } = made();
      const line = open();
      const heard = hear(receiver.inbound, () => receiver.discard());
      await turn();
      line.chunk('a\nb\n');
      expect([heard.frames, heard.end]).to.eql([['a'], undefined]);
    });
  });

  describe('draining', () => {
    it('reads and discards without a subscriber', async () => {
      const { receiver, open } = made();
      const line = open();
      line.chunk('a\n');
      receiver.gate.drain();
      await turn();
      expect([line.decoded(), line.link.paused, receiver.heldBytes]).to.eql([1, false, 0]);
      line.chunk('b\n');
      expect(line.decoded()).to.equal(2);
    });
  });

  describe('adopt()', () => {
    /** A socket's receiver, and another that has a connection to itself. */
    function tapped(codec?: Codec<string, string>) {
      const [main, tap] = [made(codec), made(codec)];
      const line = tap.open();
      const adopt = (): void => main.receiver.adopt(tap.receiver);
      /** As its owner does it: what comes goes to the one that has it. */
      const chunk = (text: string): void => main.receiver.chunk(line.intake, Buffer.from(text));
      return { main, tap: tap.receiver, line, adopt, chunk };
    }

    it('goes on with the very next frame, out of the same chunk, for those of its own [S6]', async () => {
      const { main, tap, line, adopt, chunk } = tapped();
      const heard = hear(main.receiver.inbound);
      const reply = hear(tap.inbound, (_, { subscription }) => subscription.unsubscribe());
      await turn();
      line.chunk('reply\na\nb\nha');
      expect([reply.frames, heard.frames]).to.eql([['reply'], []]);
      adopt();
      expect(heard.frames, 'in a later microtask').to.eql([]);
      await turn();
      expect(heard.frames).to.eql(['a', 'b']);
      chunk('lf\n');
      expect(heard.frames).to.eql(['a', 'b', 'half']);
    });

    it('waits for demand of its own, and holds what there is until then [S6]', async () => {
      const { main, line, adopt } = tapped();
      line.chunk('a\nb\n');
      adopt();
      await turn();
      expect([main.receiver.heldBytes, line.link.paused]).to.eql([4, true]);
      const heard = hear(main.receiver.inbound);
      await turn();
      expect([heard.frames, line.link.paused]).to.eql([['a', 'b'], false]); // prettier-ignore
    });

    it('takes over the subscribers of the connection and of the other, with their holds', async () => {
      const { main, tap, line, adopt, chunk } = tapped();
      const heard = [hear(tap.framesOf(line.intake)), hear(tap.inbound)];
      await turn();
      line.chunk('a\n');
      const release = tap.gate.hold();
      line.chunk('b\n');
      adopt();
      heard.push(hear(main.receiver.inbound));
      await turn();
      chunk('c\n');
      expect(heard.map(({ frames }) => frames)).to.eql([['a'], ['a'], []]);
      release();
      await turn();
      expect(heard.map(({ frames }) => frames)).to.eql([['a', 'b', 'c'], ['a', 'b', 'c'], ['b', 'c']]); // prettier-ignore
      for (const { subscription } of heard) subscription.unsubscribe();
      expect([main.receiver.gate.subscribers, main.receiver.gate.open]).to.eql([0, false]);
    });

    it('puts it behind what a dead connection has left [S6]', async () => {
      const { main, line, adopt, chunk } = tapped();
      const dead = main.open();
      dead.chunk('old\n');
      dead.over();
      line.chunk('new\n');
      adopt();
      chunk('newer\n');
      const heard = hear(main.receiver.inbound);
      await turn();
      expect(heard.frames).to.eql(['old', 'new', 'newer']);
    });

    it('keeps its hands off the dead connection’s rest until then, and lets others have it [S6]', async () => {
      const { main, tap, line } = tapped();
      const dead = main.open();
      dead.chunk('old\n');
      dead.over();
      const handshake = hear(tap.inbound);
      const heard = hear(main.receiver.inbound);
      await turn();
      line.chunk('reply\n');
      expect([handshake.frames, heard.frames]).to.eql([['reply'], ['old']]);
    });

    it('emits first what was given back, in its order [S6]', async () => {
      const { main, tap, line, adopt } = tapped();
      const ahead = hear(tap.inbound);
      await turn();
      line.chunk('reply\na\nb\n');
      ahead.subscription.unsubscribe();
      tap.giveBack(unused(['a', line.intake], ['b', line.intake]));
      line.chunk('c\n');
      adopt();
      const heard = hear(main.receiver.inbound);
      await turn();
      expect(heard.frames).to.eql(['a', 'b', 'c']);
    });

    it('within a frame lets that frame arrive first, everywhere [S1]', async () => {
      const { main, tap, line, adopt } = tapped();
      const order: string[] = [];
      hear(main.receiver.inbound, (frame) => order.push(`main ${frame}`));
      hear(tap.inbound, (frame, { subscription }) => {
        order.push(`<${frame}`);
        subscription.unsubscribe();
        adopt();
        order.push(`${frame}>`);
      });
      hear(tap.inbound, (frame) => order.push(`other ${frame}`));
      await turn();
      line.chunk('a\nb\n');
      await turn();
      expect(order).to.eql(['<a', 'a>', 'other a', 'main b', 'other b']);
    });

    it('within a frame of lent memory keeps what was not taken', async () => {
      const { main, tap, line, adopt } = tapped();
      line.link.lend();
      line.link.listen({
        chunk: (chunk, keep) => tap.chunk(line.intake, chunk, keep),
        fin: () => {},
        lost: () => {},
      });
      const heard = hear(main.receiver.inbound);
      hear(tap.inbound, (_, { subscription }) => {
        subscription.unsubscribe();
        adopt();
      });
      await turn();
      line.link.chunk('reply\na\nb\nhal');
      await turn();
      main.receiver.chunk(line.intake, Buffer.from('f\n'));
      expect(heard.frames).to.eql(['a', 'b', 'half']);
    });

    it('of one that is over already delivers its rest, and completes its own', async () => {
      const { main, tap, line, adopt } = tapped();
      const own = hear(tap.framesOf(line.intake));
      const release = tap.gate.hold();
      line.chunk('a\nhal');
      line.over();
      adopt();
      const heard = hear(main.receiver.inbound);
      release();
      await turn();
      expect([heard.frames, own.frames, own.end]).to.eql([['a'], ['a'], 'completed']); // prettier-ignore
      expect(main.reports.map(({ kind, epoch }) => [kind, epoch])).to.eql([['truncated', 1]]);
    });

    it('leaves the other nothing', async () => {
      const { main, tap, line, adopt, chunk } = tapped();
      const heard = hear(tap.inbound);
      line.chunk('a\n');
      adopt();
      await turn();
      chunk('b\n');
      tap.discard();
      chunk('c\n');
      expect(heard.frames).to.eql(['a', 'b', 'c']);
      expect([tap.heldBytes, tap.gate.open, main.receiver.gate.subscribers]).to.eql([0, false, 1]);
    });

    it('of one whose connection is over and read to its end leaves its subscribers nothing to wait for', async () => {
      const { main, tap, line, adopt } = tapped();
      const own = hear(tap.framesOf(line.intake));
      await turn();
      line.chunk('a\n');
      line.over();
      expect([own.frames, own.end]).to.eql([['a'], 'completed']); // prettier-ignore
      adopt();
      const next = main.open();
      const heard = hear(main.receiver.inbound);
      await turn();
      next.chunk('b\n');
      expect(heard.frames).to.eql(['b']);
    });

    it('of one without a connection changes nothing', async () => {
      const { receiver, open } = made();
      const line = open();
      const heard = hear(receiver.inbound);
      receiver.adopt(made().receiver);
      await turn();
      line.chunk('a\n');
      expect(heard.frames).to.eql(['a']);
    });
  });
});
