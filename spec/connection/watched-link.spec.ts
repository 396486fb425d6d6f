import { expect } from 'chai';
import { asyncScheduler, type SchedulerLike } from 'rxjs';
import { WatchedLink } from '../../lib/connection/watched-link.js';
import { TurnEnd } from '../../lib/turn.js';
import { confirmAtOnce, fakeLink, type FakeLink, type OnFakeWrite } from '../support/fake-link.js';
import { nodeError } from '../support/fake-stream.js';
import { inVirtualTime, virtualTurns, type VirtualTime } from '../support/virtual-socket.js';

const KIB = 1024;
const PIECE = 64 * KIB;

interface Stage extends VirtualTime {
  /** The link beneath: what the kernel is asked. */
  readonly under: FakeLink;
  readonly link: WatchedLink;
  /** The outcomes so far, by the name of the write. */
  readonly told: string[];
  /** Writes that many bytes of one letter. */
  readonly write: (letter: string, bytes: number) => void;
  readonly stalls: number[];
}

/** A watched link in virtual time; gives the times at which it stalled, and of the last thing that happened. */
function watched(
  timeout: number,
  script: (stage: Stage) => void,
  { onWrite, scheduler }: { onWrite?: OnFakeWrite; scheduler?: SchedulerLike } = {},
): { stalls: number[]; end: number } {
  const stalls: number[] = [];
  const end = inVirtualTime((time) => {
    const under = fakeLink(onWrite);
    const link = new WatchedLink(under, timeout, () => stalls.push(time.now()), scheduler);
    const told: string[] = [];
    const write = (letter: string, bytes: number): void =>
      link.write(Buffer.alloc(bytes, letter), (error) => told.push(error ? `${letter}: ${error.message}` : letter));
    script({ ...time, under, link, told, write, stalls });
  });
  return { stalls, end };
}

/** The writes beneath, as letter and length. */
function piecesOf(under: FakeLink): string[] {
  return under.texts.map((text) => `${text[0] ?? ''}${text.length}`);
}

describe('WatchedLink', () => {
  virtualTurns();

  describe('hands on what is written', () => {
    it('as it is, if it is not more than 64 KiB', () => {
      watched(100, ({ link, under }) => {
        const batch = Buffer.alloc(PIECE, 'a');
        const told: unknown[] = [];
        link.write(batch, (error) => told.push(error));
        expect(under.writes[0]!.batch).to.equal(batch);
        under.confirm();
        expect(told).to.deep.equal([null]);
      });
    });

    it('in pieces of 64 KiB, if it is more: each when the one before is taken, and is written with the last', () => {
      watched(100, ({ write, under, told }) => {
        write('a', 2 * PIECE + 10);
        for (const pieces of [1, 2, 3]) {
          expect(under.writes.length).to.equal(pieces);
          expect(told).to.deep.equal([]);
          under.confirm();
        }
        expect(piecesOf(under)).to.deep.equal([`a${PIECE}`, `a${PIECE}`, 'a10']);
        expect(told).to.deep.equal(['a']);
      });
    });

    it('without a copy: the pieces are of the same memory', () => {
      watched(100, ({ link, under }) => {
        const batch = Buffer.alloc(2 * PIECE);
        link.write(batch, () => undefined);
        under.confirm();
        expect(under.writes.map(({ batch: { buffer } }) => buffer)).to.deep.equal([batch.buffer, batch.buffer]);
      });
    });

    it('in the order of the calls, none within another [S1]', () => {
      watched(100, ({ write, under, told }) => {
        write('a', 10);
        write('b', 2 * PIECE);
        write('c', 10);
        write('d', PIECE + 1);
        write('e', 0);
        write('f', 5);
        while (under.unanswered > 0) under.confirm();
        expect(piecesOf(under)).to.deep.equal(['a10', `b${PIECE}`, `b${PIECE}`, 'c10', `d${PIECE}`, 'd1', '0', 'f5']);
        expect(told.join('')).to.equal('abcdef');
      });
    });

    it('no more than two pieces of it at once, however many small ones there are: Node tells of what it merges as of one', () => {
      watched(100, ({ write, under, told }) => {
        for (let i = 0; i < 1_000; i++) write('a', KIB);
        const unanswered = (): number => under.writes.length - told.length;
        while (under.unanswered > 0) {
          expect(unanswered() * KIB).to.be.at.most(2 * PIECE);
          under.confirm();
        }
        expect(told).to.have.length(1_000);
      });
    });

    it('through a link that answers before `write` returns, as deep as it may be', () => {
      const { end } = watched(
        100,
        ({ write, link, under, told }) => {
          write('a', 2_000 * PIECE);
          write('b', 1);
          link.end();
          expect(told).to.deep.equal(['a', 'b']);
          expect(under.writes.length).to.equal(2_001);
          expect(under.ends).to.equal(1);
          link.destroy();
        },
        { onWrite: confirmAtOnce },
      );
      expect(end).to.equal(0);
    });
  });

  it('sends FIN at once if nothing waits, and else after the last piece, once', () => {
    watched(100, ({ link, write, under }) => {
      write('a', 10);
      link.end();
      expect(under.ends).to.equal(1);
      under.confirm();
      expect(under.ends).to.equal(1);
    });
    watched(100, ({ link, write, under }) => {
      write('a', 3 * PIECE);
      write('b', 10);
      link.end();
      while (under.unanswered > 0) {
        expect(under.ends, 'until the last was handed on').to.equal(under.writes.length === 4 ? 1 : 0);
        under.confirm();
      }
      expect(under.ends).to.equal(1);
    });
  });

  describe('when a write fails', () => {
    it('in the middle of the pieces tells so once, and hands on no more of it', () => {
      watched(100, ({ write, under, told }) => {
        write('a', 3 * PIECE);
        write('b', 10);
        under.confirm();
        under.fail(nodeError('EPIPE'));
        expect(told).to.deep.equal(['a: EPIPE']);
        under.fail(nodeError('EPIPE'));
        expect(piecesOf(under)).to.deep.equal([`a${PIECE}`, `a${PIECE}`, 'b10']);
        expect(told).to.deep.equal(['a: EPIPE', 'b: EPIPE']);
      });
    });

    it('with a small one before it keeps the large one whole', () => {
      watched(100, ({ write, under, told }) => {
        write('a', 10);
        write('b', 2 * PIECE);
        under.fail(nodeError('EPIPE'));
        under.confirm(2);
        expect(told).to.deep.equal(['a: EPIPE', 'b']);
      });
    });
  });

  describe('tells that it has stalled', () => {
    it('once, so many ms after nothing was taken of what is written', () => {
      const { stalls, end } = watched(100, ({ at, write }) => at(40, () => write('a', 10)));
      expect([stalls, end]).to.deep.equal([[140], 140]);
    });

    it('counting from the last piece that was taken: each is progress', () => {
      const { stalls } = watched(100, ({ at, write, under }) => {
        write('a', 10 * PIECE);
        for (const ms of [90, 180, 279, 370]) at(ms, () => under.confirm());
      });
      expect(stalls).to.deep.equal([470]);
    });

    it('counting from the last small one that was taken', () => {
      const { stalls } = watched(100, ({ at, write, under }) => {
        for (const letter of ['a', 'b', 'c']) write(letter, 10);
        for (const ms of [90, 180]) at(ms, () => under.confirm());
        at(200, () => write('d', 10)); // to write more is no progress
      });
      expect(stalls).to.deep.equal([280]);
    });

    it('never while nothing is being written, and gives the next write its whole time', () => {
      const { stalls } = watched(100, ({ at, write, under }) => {
        write('a', 10);
        under.confirm();
        at(950, () => write('b', 10));
      });
      expect(stalls).to.deep.equal([1_050]);
    });

    it('not after it was destroyed, released or emptied, and then has no timer left', () => {
      for (const give of ['destroy', 'release', 'rest'] as const) {
        const { stalls, end } = watched(100, ({ at, write, link }) => {
          write('a', 10);
          at(60, () => void link[give]());
        });
        expect([stalls, end], give).to.deep.equal([[], 60]);
      }
    });

    it('on the scheduler that it is given', () => {
      let scheduled = 0;
      const counting = {
        now: () => asyncScheduler.now(),
        schedule: (...args: Parameters<SchedulerLike['schedule']>) => {
          scheduled++;
          return asyncScheduler.schedule(...args);
        },
      };
      expect(watched(100, ({ write }) => write('a', 1), { scheduler: counting }).stalls).to.deep.equal([100]);
      expect(scheduled).to.be.above(0);
    });
  });

  describe('when time is over, gives the kernel a turn to tell what it has taken', () => {
    let waiting: (() => void)[] = [];
    const { yield: giveWay } = TurnEnd;
    beforeEach(() => {
      waiting = [];
      TurnEnd.yield = (action) => void waiting.push(action);
    });
    afterEach(() => {
      TurnEnd.yield = giveWay;
    });
    const takeTurn = (): void => waiting.splice(0).forEach((action) => action());

    it('and does not tell before that turn is over', () => {
      const { stalls } = watched(100, ({ at, write }) => {
        write('a', 10);
        at(130, takeTurn);
      });
      expect(stalls).to.deep.equal([130]);
    });

    it('and goes on watching if it has taken a piece in that turn', () => {
      const { stalls } = watched(100, ({ at, write, under }) => {
        write('a', 5 * PIECE);
        at(110, () => {
          under.confirm();
          takeTurn();
        });
        at(215, takeTurn);
      });
      expect(stalls).to.deep.equal([215]);
    });

    it('and does not tell of a write that was begun in that turn', () => {
      const { stalls } = watched(100, ({ at, write, under }) => {
        write('a', 10);
        under.confirm();
        at(100.5, () => {
          write('b', 10);
          takeTurn();
        });
        at(150, () => under.confirm());
      });
      expect(stalls).to.deep.equal([]);
    });
  });

  it('is the link beneath in everything else', () => {
    watched(100, ({ link, under }) => {
      expect([link.endpoint, link.raw, link.destroyed, link.limit]).to.deep.equal([
        under.endpoint,
        under.raw,
        false,
        undefined,
      ]);
      const heard: string[] = [];
      link.listen({
        chunk: (chunk) => heard.push(chunk.toString()),
        fin: () => heard.push('fin'),
        lost: (error) => heard.push(`lost ${String(error?.message)}`),
      });
      link.pause();
      link.resume();
      expect([under.pauses, under.resumes]).to.deep.equal([1, 1]);
      under.chunk('x');
      under.fin();
      under.lost(nodeError('ECONNRESET'));
      expect(heard).to.deep.equal(['x', 'fin', 'lost ECONNRESET']);
      under.unread = Buffer.from('left');
      expect(link.rest().toString()).to.equal('left');
      link.destroy();
      expect([link.destroyed, under.destroys]).to.deep.equal([true, 1]);
    });
  });

  it('passes on how much may be read, where the link beneath can promise it', () => {
    inVirtualTime(() => {
      const under = fakeLink().lend();
      const limits: number[] = [];
      under.limit = (bytes) => limits.push(bytes);
      const link = new WatchedLink(under, 100, () => undefined, undefined);
      link.limit?.(77);
      expect(limits).to.deep.equal([77]);
      link.destroy();
    });
  });
});
