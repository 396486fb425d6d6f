import { expect } from 'chai';
import { FrameRing } from '../../lib/outbound/frame-ring.js';
import { Leaving } from '../../lib/outbound/leaving.js';

const LOSS = { why: 'evicted' } as const;

/** Frames whose messages are numbers from 0 on. */
function ringOf(count: number): FrameRing {
  const ring = new FrameRing();
  for (let i = 0; i < count; i++) ring.push(i + 1, i, undefined, Buffer.alloc(1), 0, 1);
  return ring;
}

describe('Leaving', () => {
  it('takes frames out of the ring at once, and tells of them when it is asked to, in order and once [S3]', () => {
    const told: unknown[] = [];
    const leaving = new Leaving((frame, loss) => told.push([frame, loss]));
    const ring = ringOf(3);
    const terms = { settled: undefined, retryLimit: 1 };
    ring.terms[2] = terms;
    ring.attempts[2] = 4;
    for (const slot of [2, 0]) leaving.add(ring, slot, LOSS);
    expect(ring.memory.slice(0, 3).map((memory) => memory !== undefined)).to.eql([false, true, false]);
    expect(told).to.eql([]);
    leaving.tell();
    leaving.tell();
    expect(told).to.eql([
      [{ message: 2, terms, attempts: 4 }, LOSS],
      [{ message: 0, terms: undefined, attempts: 0 }, LOSS],
    ]);
  });

  it('tells the others before who hears of one goes on, if that one asks for it, and none twice [S3]', () => {
    const told: string[] = [];
    const leaving: Leaving = new Leaving(({ message }) => {
      told.push(`${String(message)} begins`);
      if (message === 0) leaving.tell();
      told.push(`${String(message)} ends`);
    });
    const ring = ringOf(3);
    for (const slot of [0, 1, 2]) leaving.add(ring, slot, LOSS);
    leaving.tell();
    expect(told).to.eql(['0 begins', '1 begins', '1 ends', '2 begins', '2 ends', '0 ends']);
  });

  it('tells nothing of one that is taken back silently, which leaves all the same', () => {
    const told: unknown[] = [];
    const leaving = new Leaving(({ message }) => told.push(message));
    const ring = ringOf(2);
    for (const [slot, silently] of [true, false].entries()) {
      ring.terms[slot] = { settled: undefined, retryLimit: 0, withdrawn: { cause: 'x', silently } };
      leaving.add(ring, slot, LOSS);
    }
    leaving.tell();
    expect([told, ring.memory.slice(0, 2)]).to.eql([[1], [undefined, undefined]]);
  });

  it('adds the connections that were lost with a message before it was handed to this queue', () => {
    const told: unknown[] = [];
    const leaving = new Leaving(({ attempts }) => told.push(attempts));
    const ring = ringOf(1);
    ring.terms[0] = { settled: undefined, retryLimit: 0, attempts: 3 };
    ring.attempts[0] = 2;
    leaving.add(ring, 0, LOSS);
    leaving.tell();
    expect(told).to.eql([5]);
  });

  it('tells of those, too, that leave while it tells', () => {
    const told: unknown[] = [];
    const ring = ringOf(2);
    const leaving: Leaving = new Leaving(({ message }) => {
      told.push(message);
      if (message === 0) leaving.add(ring, 1, LOSS);
    });
    leaving.add(ring, 0, LOSS);
    leaving.tell();
    expect(told).to.eql([0, 1]);
  });
});
