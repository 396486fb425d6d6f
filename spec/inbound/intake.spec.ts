import { expect } from 'chai';
import { lines } from '../../lib/codec/lines.js';
import { Deque } from '../../lib/deque.js';
import { FrameError } from '../../lib/errors.js';
import { DecodeDriver } from '../../lib/inbound/decode.js';
import { Intake } from '../../lib/inbound/intake.js';
import { fakeLink, type FakeLink } from '../support/fake-link.js';

const WHERE = { endpoint: { host: 'h', port: 1 }, epoch: 3 };

interface Made {
  readonly intake: Intake<string>;
  readonly link: FakeLink;
  readonly drivers: () => number;
}

function made(codec = lines()): Made {
  let drivers = 0;
  const link = fakeLink();
  const intake = new Intake<string>(link, WHERE, { decoded: () => {}, failed: () => {} }, () => {
    drivers++;
    return new DecodeDriver(codec, () => {});
  });
  return { intake, link, drivers: () => drivers };
}

function take(intake: Intake<string>, ...texts: string[]): void {
  for (const text of texts) intake.take(Buffer.from(text));
}

describe('Intake', () => {
  it('gives the frames of its chunks, one a call', () => {
    const { intake } = made();
    take(intake, 'a\nb', '\nc\nd');
    expect([intake.next(), intake.next(), intake.next(), intake.next()]).to.eql(['a', 'b', 'c', undefined]);
    take(intake, '\n');
    expect([intake.next(), intake.next()]).to.eql(['d', undefined]);
  });

  it('makes its decoder at the first chunk that is decoded, and one only [S7]', () => {
    const { intake, drivers } = made();
    take(intake, 'a\n');
    expect(drivers()).to.equal(0);
    intake.next();
    intake.next();
    take(intake, 'b\n');
    intake.next();
    expect(drivers()).to.equal(1);
  });

  it('is spent when everything was handed out, save part of a frame', () => {
    const { intake } = made();
    expect(intake.spent).to.be.true;
    take(intake, 'a\nb');
    expect(intake.spent).to.be.false;
    intake.next();
    expect(intake.spent, 'the decoder may have another').to.be.false;
    intake.next();
    expect(intake.spent).to.be.true;
  });

  it('counts the bytes that wait, the chunk in the decoder among them', () => {
    const { intake } = made();
    take(intake, 'a\nb\n');
    expect(intake.heldBytes).to.equal(4);
    intake.next();
    take(intake, 'c\n');
    expect(intake.heldBytes).to.equal(6);
    intake.next();
    intake.next();
    expect(intake.heldBytes).to.equal(2);
    intake.next();
    expect(intake.heldBytes).to.equal(0);
  });

  it('pauses its link while anything waits, and resumes it, once each', () => {
    const { intake, link } = made();
    intake.resume();
    intake.settle();
    expect([link.pauses, link.resumes]).to.eql([0, 0]);
    for (const text of ['a\n', 'b\n']) {
      take(intake, text);
      intake.settle();
    }
    expect([link.pauses, link.resumes]).to.eql([1, 0]);
    intake.resume();
    intake.resume();
    expect([link.pauses, link.resumes]).to.eql([1, 1]);
  });

  it('leaves a link alone that is gone [S10]', () => {
    const { intake, link } = made();
    take(intake, 'a\n');
    intake.settle();
    intake.over = true;
    intake.resume();
    take(intake, 'b\n');
    intake.settle();
    expect([link.pauses, link.resumes]).to.eql([1, 0]);
  });

  it('finishes with the frame that was cut off, told where it happened [S7]', () => {
    const { intake } = made();
    take(intake, 'whole\nha');
    intake.next();
    intake.next();
    const cut = intake.finish();
    expect(cut).to.be.instanceOf(FrameError);
    expect(cut).to.deep.include({ kind: 'truncated', ...WHERE });
    expect(intake.cut).to.equal(cut);
  });

  it('finishes with nothing after whole frames, and without any byte', () => {
    const { intake, drivers } = made();
    expect(intake.finish()).to.be.undefined;
    expect(drivers()).to.equal(0);
    take(intake, 'whole\n');
    intake.next();
    intake.next();
    expect(intake.finish()).to.be.undefined;
  });

  it('discards all that waits, and tells how many bytes nobody will read', () => {
    const { intake } = made();
    take(intake, 'a\nb\n', 'c\n');
    intake.next();
    expect(intake.discard()).to.equal(6);
    expect([intake.finished, intake.spent, intake.heldBytes, intake.next()]).to.eql([true, true, 0, undefined]);
    expect(intake.discard()).to.equal(0);
  });

  describe('of a link that lends its chunks', () => {
    /** Lends a chunk for the time of the call, then writes over it. */
    function lend(intake: Intake<string>, text: string, meanwhile: () => void = () => {}): { kept: number } {
      const chunk = Buffer.from(text);
      const seen = { kept: 0 };
      intake.take(chunk, () => {
        seen.kept++;
        return Buffer.from(chunk);
      });
      meanwhile();
      intake.settle();
      chunk.fill('?');
      return seen;
    }

    const frames = (intake: Intake<string>, count: number): (string | undefined)[] =>
      Array.from({ length: count }, () => intake.next());

    it('copies nothing where all frames are taken at once', () => {
      const { intake, link } = made();
      link.lend();
      const got: (string | undefined)[] = [];
      const { kept } = lend(intake, 'a\nb\n', () => got.push(...frames(intake, 3)));
      expect([got, kept, intake.spent, link.pauses]).to.eql([['a', 'b', undefined], 0, true, 0]);
    });

    it('keeps what is left: half a frame, frames that were not taken, and chunks behind them', () => {
      const { intake } = made();
      lend(intake, 'ha', () => intake.next());
      const { kept } = lend(intake, 'lf\nb\nc\nd', () => expect(frames(intake, 2)).to.eql(['half', 'b']));
      expect(kept).to.equal(0);
      lend(intake, 'd\ne\n');
      expect(intake.heldBytes).to.equal(12);
      expect(frames(intake, 4)).to.eql(['c', 'dd', 'e', undefined]);
    });

    it('lets a decoder without `detach` have each chunk for good', () => {
      const codec = lines();
      const { intake } = made({
        encode: (text) => codec.encode(text),
        decoder: (report) => {
          const inner = codec.decoder(report);
          return { push: (chunk) => inner.push(chunk), next: () => inner.next(), end: () => inner.end() };
        },
      });
      const { kept } = lend(intake, 'a\nb\nc', () => expect(intake.next()).to.equal('a'));
      expect(kept).to.equal(1);
      expect(frames(intake, 2)).to.eql(['b', undefined]);
    });

    it('keeps it of one chunk also when another is decoded on top of it in the same call', () => {
      let borrowed = '';
      // It takes a chunk in whole and looks at it only later.
      const { intake } = made({
        encode: (text) => Buffer.from(text),
        decoder: () => {
          const chunks: Buffer[] = [];
          return {
            push: (chunk) => void chunks.push(chunk),
            next: () => undefined,
            end: () => void (borrowed = Buffer.concat(chunks).toString()),
            detach: () => void chunks.splice(0, chunks.length, ...chunks.map((chunk) => Buffer.from(chunk))),
          };
        },
      });
      lend(intake, 'lent', () => {
        intake.next();
        take(intake, ' and held');
        intake.next();
      });
      intake.finish();
      expect(borrowed).to.equal('lent and held');
    });

    it('keeps the order of chunks that come in one call', () => {
      const { intake } = made();
      lend(intake, 'a\n', () => take(intake, 'b\n'));
      expect(frames(intake, 3)).to.eql(['a', 'b', undefined]);
    });

    it('reads on while nobody takes frames, into the room that is left, and pauses it at 64 KiB [S5][S6]', () => {
      const { intake, link } = made();
      const rooms: number[] = [];
      link.lend();
      link.limit = (room) => void rooms.push(room);
      for (const length of [10, 1, 60_000]) lend(intake, 'x'.repeat(length));
      expect([rooms, link.paused]).to.eql([[65_526, 65_525, 5525], false]);
      lend(intake, 'x'.repeat(5525));
      expect([rooms.length, link.paused, intake.heldBytes]).to.eql([3, true, 65_536]);
      lend(intake, '\n');
      expect(link.pauses).to.equal(1);
      expect(intake.next()).to.have.length(65_536);
      expect(intake.next()).to.be.undefined;
      intake.resume();
      expect(link.paused).to.be.false;
    });

    it('discards what is lent too', () => {
      const { intake } = made();
      lend(intake, 'a\nb\n', () => expect(intake.discard()).to.equal(4));
      expect([intake.heldBytes, intake.next()]).to.eql([0, undefined]);
    });
  });

  it('throws what the decoder throws, as a FrameError [S12]', () => {
    const { intake } = made(lines({ maxFrameLength: 2 }));
    take(intake, 'ok\ntoo long\n');
    expect(intake.next()).to.equal('ok');
    expect(() => intake.next()).to.throw(FrameError, 'too-large');
  });

  function back(...frames: string[]): Deque<{ readonly frame: string }> {
    const unused = new Deque<{ readonly frame: string }>();
    for (const frame of frames) unused.push({ frame });
    return unused;
  }

  describe('put()', () => {
    it('gives frames that were taken back before everything that waits, in their order', () => {
      const { intake } = made();
      take(intake, 'a\nb\nc\nd');
      const [a, b] = [intake.next()!, intake.next()!];
      intake.put(back(a, b));
      expect([1, 2, 3, 4].map(() => intake.next())).to.eql(['a', 'b', 'c', undefined]);
    });

    it('is not spent while it has one, and counts none of them twice', () => {
      let decoded = 0;
      const events = { decoded: () => decoded++, failed: () => {} };
      const intake = new Intake<string>(fakeLink(), WHERE, events, () => new DecodeDriver(lines(), () => {}));
      take(intake, 'a\n');
      intake.put(back(intake.next()!));
      intake.next();
      expect([intake.spent, decoded, intake.heldBytes]).to.eql([false, 1, 2]);
      intake.next();
      expect([intake.spent, decoded, intake.heldBytes]).to.eql([true, 1, 0]);
    });

    it('holds the link: what comes has to wait behind it [S6]', () => {
      const { intake, link } = made();
      intake.put(back('a'));
      take(intake, 'b\n');
      intake.settle();
      expect([link.paused, intake.next(), intake.next()]).to.eql([true, 'a', 'b']);
    });

    it('is discarded with the rest', () => {
      const { intake } = made();
      intake.put(back('a'));
      intake.discard();
      expect([intake.next(), intake.spent]).to.eql([undefined, true]);
    });
  });

  describe('restart()', () => {
    it('drops all that came before: bytes that wait, frames taken back, half a frame in the decoder', () => {
      const { intake, drivers } = made();
      take(intake, 'a\nhal');
      intake.put(back(intake.next()!));
      intake.next();
      intake.next();
      take(intake, 'f\nwaits\n');
      intake.restart(fakeLink());
      expect([intake.spent, intake.heldBytes, intake.next()]).to.eql([true, 0, undefined]);
      take(intake, 'f\nnew\n');
      expect([intake.next(), intake.next(), intake.next()]).to.eql(['f', 'new', undefined]);
      expect(drivers(), 'a decoder of its own').to.equal(2);
    });

    it('drops frames that the decoder has not given yet', () => {
      const { intake } = made();
      take(intake, 'a\nb\nc\n');
      expect(intake.next()).to.equal('a');
      intake.restart(fakeLink());
      expect(intake.next()).to.be.undefined;
    });

    it('cuts no frame off: what was half is gone', () => {
      const { intake } = made();
      take(intake, 'hal');
      intake.next();
      intake.restart(fakeLink());
      expect(intake.finish()).to.be.undefined;
    });

    it('goes on with the new link alone', () => {
      const { intake, link } = made();
      take(intake, 'a\n');
      intake.settle();
      expect(link.paused).to.be.true;
      const next = fakeLink();
      intake.restart(next);
      intake.resume();
      expect([link.resumes, next.resumes]).to.eql([0, 0]);
      take(intake, 'b\n');
      intake.settle();
      expect([link.pauses, next.paused]).to.eql([1, true]);
      intake.next();
      intake.next();
      intake.resume();
      expect([link.resumes, next.paused]).to.eql([0, false]);
    });

    it('drops a chunk that is lent just now, and refers to it no more', () => {
      const { intake } = made();
      const chunk = Buffer.from('a\nhal');
      intake.take(chunk, () => Buffer.from(chunk));
      expect(intake.next()).to.equal('a');
      intake.restart(fakeLink());
      expect(intake.settle()).to.be.undefined;
      chunk.fill('?');
      take(intake, 'f\n');
      expect(intake.next()).to.equal('f');
    });
  });
});
