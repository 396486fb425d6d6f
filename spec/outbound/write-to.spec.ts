import { expect } from 'chai';
import { SLAB_BYTES } from '../../lib/outbound/slabs.js';
import { WriteQueue } from '../../lib/outbound/write-queue.js';
import { writeTo, type WriteSession } from '../../lib/outbound/write-to.js';
import { confirmAtOnce, fakeLink, type FakeLink, type OnFakeWrite } from '../support/fake-link.js';
import { turns } from '../support/fixture.js';
import { until } from '../support/leaks.js';
import { seededRandom } from '../support/random.js';

const KIB = 1024;

interface Rig {
  readonly link: FakeLink;
  readonly queue: WriteQueue;
  readonly session: WriteSession;
  readonly failures: Error[];
  /** How often the queue was asked for a batch. */
  readonly takes: () => number;
  readonly written: () => number;
  readonly add: (...messages: (string | Uint8Array)[]) => void;
}

function rig(onWrite?: OnFakeWrite, link = fakeLink(onWrite), queue?: WriteQueue): Rig {
  let takes = 0;
  let written = 0;
  const kept =
    queue ??
    new WriteQueue(
      { writeBuffer: { frames: 1e6, bytes: 1e12 }, overflow: 'dropNewest', retryLimit: 5 },
      { written: (frames) => (written += frames), undelivered: () => {} },
    );
  const failures: Error[] = [];
  const source = {
    get waitingBytes() {
      return kept.waitingBytes;
    },
    take: (limit: number) => {
      takes++;
      expect(limit).to.equal(64 * KIB);
      return kept.take(limit);
    },
    confirm: () => kept.confirm(),
  };
  const session = writeTo(link, source, (error) => failures.push(error));
  const add = (...messages: (string | Uint8Array)[]): void => {
    for (const message of messages) enqueue(kept, Buffer.from(message), message);
  };
  return { link, queue: kept, session, failures, add, takes: () => takes, written: () => written };
}

/** By reference. */
function enqueue(queue: WriteQueue, bytes: Uint8Array, message: unknown = 0): void {
  queue.enqueue(bytes, 0, bytes.length, message, undefined);
}

/** Writes are confirmed once they have returned, as streams do. */
const confirmSoon: OnFakeWrite = (link) => process.nextTick(() => link.confirm());

/** Past the end of this turn of the event loop. */
function turn(): Promise<void> {
  return turns(2);
}

describe('writeTo', () => {
  it('writes nothing before it is woken, and then at the end of the turn', async () => {
    const { link, session, add } = rig();
    add('a');
    await turn();
    expect(link.texts).to.eql([]);
    session.wake();
    expect(link.texts).to.eql([]);
    await turn();
    expect(link.texts).to.eql(['a']);
  });

  it('writes the messages of one turn together, in order, in one microtask [S1]', async () => {
    const { link, session, takes, add } = rig();
    for (const message of ['a', 'b', 'c']) {
      add(message);
      session.wake();
    }
    await Promise.resolve();
    expect(link.texts).to.eql(['abc']);
    await turn();
    expect(takes()).to.equal(1);
  });

  it('hands over one batch at a time, and the next when the kernel has taken it [S2]', async () => {
    const { link, session, queue, add } = rig();
    add('a');
    session.wake();
    await turn();
    add('b', 'c');
    session.wake();
    await turn();
    expect(link.texts).to.eql(['a']);
    expect(queue.inFlightFrames).to.equal(1);
    link.confirm();
    expect(link.texts).to.eql(['a', 'bc']);
    link.confirm();
    expect([queue.frames, link.texts.length]).to.eql([0, 2]);
  });

  it('fills batches up to 64 KiB with whole frames [S2]', async () => {
    const { link, session, add } = rig(confirmAtOnce);
    for (let i = 0; i < 20; i++) add(Buffer.alloc(8 * KIB, i));
    add(Buffer.alloc(1), Buffer.alloc(15 * KIB), Buffer.alloc(7));
    session.wake();
    await turn();
    expect(SLAB_BYTES).to.equal(64 * KIB);
    expect(link.writes.map(({ text }) => text.length)).to.eql([64 * KIB, 64 * KIB, 47 * KIB + 8]);
  });

  it('hands a frame of 16 KiB and more over alone and uncopied, too [S2]', async () => {
    const { link, session, queue } = rig(confirmSoon);
    const frames = [1, 16 * KIB - 1, 16 * KIB, 3, 20 * KIB, 16 * KIB].map((size) => Buffer.alloc(size, size));
    for (const bytes of frames) enqueue(queue, bytes);
    session.wake();
    await turn();
    expect(link.writes.map(({ text }) => text.length)).to.eql([16 * KIB, 16 * KIB, 3, 20 * KIB, 16 * KIB]);
    expect(link.writes.slice(1).map(({ batch }) => batch)).to.eql(frames.slice(2));
    for (const [i, { batch }] of link.writes.slice(1).entries()) expect(batch).to.equal(frames[i + 2]);
  });

  it('hands a frame larger than a batch over alone and uncopied [S2]', async () => {
    const { link, session, queue } = rig(confirmAtOnce);
    const big = Buffer.alloc(64 * KIB + 1, 1);
    for (const bytes of [Buffer.from('a'), Buffer.from('b'), big, Buffer.from('c')]) enqueue(queue, bytes);
    session.wake();
    await turn();
    expect(link.writes.map(({ text }) => text.length)).to.eql([2, big.length, 1]);
    expect(link.writes[1]?.batch).to.equal(big);
  });

  it('copies the frames of a batch, so that their owners may change them once they are handed over', async () => {
    const { link, session, queue } = rig();
    const [a, b] = [Buffer.from('a'), Buffer.from('b')];
    for (const bytes of [a, b]) enqueue(queue, bytes);
    session.wake();
    await turn();
    a[0] = b[0] = 0;
    expect(Buffer.from(link.writes[0]!.batch).toString()).to.equal('ab');
  });

  it('writes any mixture of sizes whole and in order [S1]', async () => {
    const random = seededRandom(3);
    const { link, session, queue, add } = rig((fake) =>
      random.next() < 0.5 ? fake.confirm() : setImmediate(() => fake.confirm()),
    );
    const messages = Array.from({ length: 400 }, () =>
      Buffer.alloc(random.pick([0, 1, 100, 5_000, 40_000, 64 * KIB, 70_000]), random.int(0, 255)),
    );
    for (const message of messages) {
      add(message);
      session.wake();
      if (random.next() < 0.1) await turn();
    }
    while (queue.frames > 0) await turn();
    expect(Buffer.from(link.texts.join(''), 'latin1').equals(Buffer.concat(messages))).to.equal(true);
    expect(Math.max(...link.writes.map(({ text }) => text.length))).to.equal(70_000);
  });

  it('goes on in a loop, not in ever deeper calls, when a link confirms before it returns', async () => {
    const link = fakeLink();
    link.write = (_batch, done) => done();
    const { session, written, queue } = rig(undefined, link);
    const bytes = Buffer.alloc(64 * KIB);
    for (let i = 0; i < 50_000; i++) enqueue(queue, bytes, i);
    session.wake();
    await turn();
    await until(() => written() === 50_000);
  });

  it('gives way to the event loop after 16 batches in a row, also when it is woken in between', async () => {
    const link = fakeLink();
    link.write = (_batch, done) => done();
    const { session, written, queue } = rig(undefined, link);
    for (let i = 0; i < 40; i++) enqueue(queue, Buffer.alloc(64 * KIB), i);
    session.wake();
    await Promise.resolve();
    expect(written()).to.equal(16);
    session.wake();
    await Promise.resolve();
    expect(written()).to.equal(16);
    await until(() => written() === 40);
  });

  it('writes what is queued while it confirms', async () => {
    const { link, session, add } = rig((fake, index) => {
      if (index === 0) add('b');
      fake.confirm();
    });
    add('a');
    session.wake();
    await turn();
    expect(link.texts).to.eql(['a', 'b']);
  });

  describe('in a turn in which it has written', () => {
    it('keeps what does not fill a batch for the end of the turn [S1]', async () => {
      const { link, session, add } = rig(confirmAtOnce);
      add('a');
      session.wake();
      await Promise.resolve();
      for (const message of ['b', 'c']) {
        add(message);
        session.wake();
        await Promise.resolve();
      }
      expect(link.texts).to.eql(['a']);
      await turn();
      expect(link.texts).to.eql(['a', 'bc']);
    });

    it('writes what fills a batch, the rest at the end of the turn', async () => {
      const { link, session, add } = rig(confirmAtOnce);
      add('a');
      session.wake();
      await Promise.resolve();
      for (let i = 0; i < 9; i++) add(Buffer.alloc(8 * KIB));
      session.wake();
      expect(link.texts).to.eql(['a']);
      await turn();
      expect(link.writes.map(({ text }) => text.length)).to.eql([1, 64 * KIB, 8 * KIB]);
    });

    it('writes at once what comes of an outcome that somebody waited for, however long the chain', async () => {
      const { link, session, queue } = rig(confirmSoon);
      const write = (): Promise<void> =>
        new Promise((resolve) => {
          queue.enqueue(Buffer.from('x'), 0, 1, 0, { settled: () => resolve(), retryLimit: undefined });
          session.wake();
        });
      let turnsOver = 0;
      let over = false;
      const counted = until(() => (turnsOver++, over));
      for (let i = 0; i < 160; i++) await write();
      over = true;
      await counted;
      expect(link.writes).to.have.length(160);
      expect(turnsOver).to.be.below(15); // others must have their turn too, one in 16 batches
    });

    it('hands nothing over at its end if it was stopped meanwhile [S10] [S11]', async () => {
      const { link, session, add } = rig(confirmAtOnce);
      for (const message of ['a', 'b']) {
        add(message);
        session.wake();
        await Promise.resolve();
      }
      session.stop();
      await turn();
      expect(link.texts).to.eql(['a']);
    });
  });

  describe('when a write fails', () => {
    it('tells of it once, hands nothing more over and confirms nothing [S3]', async () => {
      const { link, session, queue, failures, written, add } = rig();
      add('a');
      session.wake();
      await turn();
      add('b');
      const error = new Error('EPIPE');
      link.fail(error);
      link.writes[0]!.done(error);
      link.writes[0]!.done();
      session.wake();
      await turn();
      expect(failures).to.eql([error]);
      expect([link.texts, written(), queue.inFlightFrames]).to.eql([['a'], 0, 1]);
    });

    it('tells of an error that comes before `write` returns, too', async () => {
      const { link, session, failures, add } = rig((fake) => fake.fail(new Error('EPIPE')));
      add('a', 'b');
      session.wake();
      await turn();
      expect([failures.length, link.writes.length]).to.eql([1, 1]);
    });
  });

  describe('when the link is destroyed in the callback', () => {
    for (const error of [undefined, null]) {
      it(`takes ${String(error)} for no proof: nothing is confirmed [S4]`, async () => {
        const { link, session, queue, failures, written, add } = rig();
        add('a', 'b');
        session.wake();
        await turn();
        link.destroyed = true;
        link.writes[0]!.done(error);
        session.wake();
        await turn();
        expect([written(), queue.inFlightFrames, failures, link.texts]).to.eql([0, 2, [], ['ab']]);
      });
    }

    it('leaves the batch to be written again on the next link, its first frame alone [S2] [S4]', async () => {
      const first = rig((fake) => {
        fake.destroyed = true;
        fake.confirm();
      });
      first.add('a', 'b', 'c');
      first.session.wake();
      await turn();
      first.session.stop();
      first.queue.rewind();
      const next = rig(confirmAtOnce, fakeLink(confirmAtOnce), first.queue);
      next.session.wake();
      await turn();
      expect(next.link.texts).to.eql(['a', 'bc']);
    });
  });

  describe('after stop', () => {
    it('takes a late callback for nothing, whether good or bad [S10]', async () => {
      for (const answer of [null, new Error('late')]) {
        const { link, session, queue, failures, written, add } = rig();
        add('a');
        session.wake();
        await turn();
        session.stop();
        link.writes[0]!.done(answer);
        expect([written(), failures, queue.inFlightFrames]).to.eql([0, [], 1]);
      }
    });

    it('keeps a late callback away from the batch of the next link [S10]', async () => {
      const first = rig();
      first.add('a', 'b');
      first.session.wake();
      await turn();
      first.session.stop();
      first.queue.rewind();
      const next = rig(undefined, fakeLink(), first.queue);
      next.session.wake();
      await turn();
      first.link.writes[0]!.done();
      expect(first.queue.inFlightFrames).to.equal(1);
      expect([next.link.texts, first.written()]).to.eql([['a'], 0]);
      next.link.confirm();
      expect(first.written()).to.equal(1);
    });

    it('never uses the memory of a write again that did not come to its end', async () => {
      const first = rig();
      first.add('a', 'b');
      first.session.wake();
      await turn();
      first.session.stop();
      first.link.writes[0]!.done();
      for (let i = 0; i < 20; i++) {
        const next = rig(confirmAtOnce);
        next.add('c', 'd');
        next.session.wake();
        await turn();
      }
      expect(Buffer.from(first.link.writes[0]!.batch).toString()).to.equal('ab');
    });

    it('hands nothing over, not even what a wake of this turn asked for [S10] [S11]', async () => {
      const { link, session, takes, add } = rig();
      add('a');
      session.wake();
      session.stop();
      session.wake();
      await turn();
      expect([link.texts, takes()]).to.eql([[], 0]);
    });

    it('ends a loop that is running', async () => {
      const { link, session, add } = rig((fake) => {
        session.stop();
        fake.confirm();
      });
      add(Buffer.alloc(64 * KIB), 'b');
      session.wake();
      await turn();
      expect(link.writes).to.have.length(1);
    });
  });

  describe('after finish', () => {
    it('hands nothing more over, and confirms what is in flight', async () => {
      const { link, session, queue, written, add } = rig();
      add('a');
      session.wake();
      await turn();
      add('b');
      session.finish();
      session.wake();
      link.confirm();
      await turn();
      expect([written(), link.texts, queue.frames]).to.eql([1, ['a'], 1]);
    });

    it('tells of a write that fails', async () => {
      const { link, session, failures, add } = rig();
      add('a');
      session.wake();
      await turn();
      session.finish();
      link.fail(new Error('EPIPE'));
      expect(failures).to.have.length(1);
    });

    it('hands nothing over that a wake of this turn asked for', async () => {
      const { link, session, add } = rig();
      add('a');
      session.wake();
      session.finish();
      await turn();
      expect(link.texts).to.eql([]);
    });
  });

  it('uses few pieces of memory for any number of batches', async () => {
    const { link, session, add } = rig(confirmAtOnce);
    for (let i = 0; i < 50; i++) {
      add(Buffer.alloc(10_000, 1), Buffer.alloc(10_000, 2));
      session.wake();
      await turn();
    }
    expect(new Set(link.writes.map(({ batch }) => batch.buffer)).size).to.be.below(3);
    expect(new Set(link.texts).size).to.equal(1);
  });
});
