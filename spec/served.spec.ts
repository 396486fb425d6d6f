import { expect } from 'chai';
import { Subject } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { lines } from '../lib/codec/lines.js';
import { ClosedError, ConfigError, ConnectionLostError, FrameError, OverflowError, WriteError } from '../lib/errors.js';
import type { TcpError } from '../lib/errors.js';
import { LiveConnection } from '../lib/framed.js';
import { Receiver } from '../lib/inbound/receive.js';
import { newCounters } from '../lib/monitor/stats.js';
import { ServedConnection } from '../lib/served.js';
import { fakeLink } from './support/fake-link.js';
import { atEnd, leavesNothingOpen, outcome } from './support/fixture.js';
import { seededRandom, seeds } from './support/random.js';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const reset = (): Error => Object.assign(new Error('reset'), { code: 'ECONNRESET' });

interface Options {
  readonly frames?: number;
  readonly bytes?: number;
  readonly halfOpen?: boolean;
}

/** A connection of a server over a link that the spec plays. */
function made({ frames = 100, bytes = 1000, halfOpen = false }: Options = {}) {
  const link = fakeLink();
  const reports: TcpError[] = [];
  const report = (error: TcpError): void => void reports.push(error);
  const counters = { ...newCounters(), epoch: 4 };
  const config = {
    ...{ codec: lines(), readBuffer: { frames: 7, bytes: 100 }, writeBuffer: { frames, bytes }, endTimeout: 1000 },
  };
  const receiver = new Receiver<string>(config.codec, { report });
  const served = new ServedConnection<string, string>({ config, receiver, counters, name: 'door', report });
  const live = new LiveConnection<string, string>(link, {
    ...{ config, receiver, counters, report, halfOpen, epoch: 4 },
    unconfirmed: () => served.unconfirmed,
    ending: (asked) => served.ending(asked),
    beforeFin: (fin) => served.beforeFin(fin),
    ended: ({ lost }) => served.ended(lost),
  });
  served.opened(live);
  atEnd(() => served.destroy());
  return { served, link, reports, counters, config };
}

type Made = ReturnType<typeof made>;

/** The outcome of each. */
const writeEach = ({ served }: Made, texts: readonly string[]): Promise<unknown>[] =>
  texts.map((text) => outcome(served.write(text)));

describe('ServedConnection', () => {
  leavesNothingOpen();

  it('tells what it is', () => {
    const { served, link, config } = made();
    const { endpoint, raw } = link;
    expect(served).to.include({ name: 'door', epoch: 4, endpoint, raw, readBuffer: config.readBuffer });
  });

  it('is not to be used before it is open', () => {
    const { config, reports } = made();
    const parts = { receiver: new Receiver<string>(config.codec, { report: () => undefined }), name: undefined };
    const report = (error: TcpError): void => void reports.push(error);
    const early = new ServedConnection<string, string>({ config, counters: newCounters(), report, ...parts });
    expect(() => early.inbound).to.throw(ConfigError, 'not open yet');
  });

  it('gives its frames, to a subscriber and to `for await`, and holds them while it is paused', async () => {
    const { served, link } = made();
    const frames: string[] = [];
    const reading = served.inbound.subscribe((frame) => frames.push(frame));
    await turn();
    link.chunk('one\n');
    const release = served.pause();
    link.chunk('two\n');
    expect(frames).to.deep.equal(['one']);
    expect(served.stats()).to.include({ holds: 1, heldBytes: 4 });
    release();
    await turn();
    expect(frames).to.deep.equal(['one', 'two']);
    reading.unsubscribe();
    link.chunk('three\n');
    for await (const frame of served) {
      expect(frame).to.equal('three');
      break;
    }
  });

  it('refuses to be upgraded: that is for a handshake', async () => {
    expect(await outcome(made().served.upgrade())).to.be.instanceOf(ConfigError);
  });

  describe('write()', () => {
    it('hands the small ones of one turn over as one batch, in order, and the next when that is written [S1]', async () => {
      const scene = made();
      const { link, served } = scene;
      const first = writeEach(scene, ['a', 'b', 'c']);
      expect(link.texts).to.deep.equal([]);
      await turn();
      expect(link.texts).to.deep.equal(['a\nb\nc\n']);
      const second = writeEach(scene, ['d', 'e']);
      await turn();
      expect(link.texts).to.have.length(1);
      expect(served.stats()).to.include({ queuedFrames: 5, queuedBytes: 10, inFlightFrames: 3, framesWritten: 0 });
      expect(served.unconfirmed).to.equal(3);
      link.confirm();
      expect(await Promise.all(first)).to.deep.equal(['written', 'written', 'written']);
      await turn();
      expect(link.texts).to.deep.equal(['a\nb\nc\n', 'd\ne\n']);
      link.confirm();
      await Promise.all(second);
      expect(served.stats()).to.include({ queuedFrames: 0, framesWritten: 5, bytesWritten: 10 });
    });

    it('refuses what there is no room for, in frames and in bytes, and tells it in `errors` too [S5]', async () => {
      for (const limit of [{ frames: 2 }, { bytes: 4 }]) {
        const scene = made(limit);
        const [first, second, third] = writeEach(scene, ['a', 'b', 'c']);
        const refused = (await third) as OverflowError;
        expect(refused).to.be.instanceOf(OverflowError);
        expect(refused).to.include({ fate: 'unsent', undelivered: 'c', epoch: 4 });
        expect(scene.reports).to.deep.equal([refused]);
        expect(scene.served.stats()).to.include({ framesRefused: 1, framesUndelivered: 0 });
        scene.link.confirm();
        expect(await Promise.all([first, second])).to.deep.equal(['written', 'written']);
        const again = outcome(scene.served.write('d'));
        await turn();
        scene.link.confirm();
        expect(await again).to.equal('written');
      }
    });

    it('refuses a message that cannot be encoded, and it alone', async () => {
      const scene = made();
      const [first, bad, last] = writeEach(scene, ['a', 'two\nlines', 'b']);
      expect(await bad)
        .to.be.instanceOf(FrameError)
        .and.to.include({ kind: 'encode', epoch: 4 });
      expect(scene.reports).to.have.length(1);
      await turn();
      scene.link.confirm();
      expect([await first, await last, scene.link.texts]).to.deep.equal(['written', 'written', ['a\nb\n']]);
    });

    it('rejects with what ended the connection; `errors` tells the fate of each message [S3]', async () => {
      const ends: [name: string, end: (scene: Made) => void][] = [
        ['lost', ({ link }) => link.lost(reset())],
        ['destroyed', ({ served }) => served.destroy(new Error('enough'))],
        ['a failed write', ({ link }) => link.fail(reset())],
      ];
      for (const [name, end] of ends) {
        const scene = made();
        const flying = writeEach(scene, ['a', 'b']);
        await turn();
        const waiting = writeEach(scene, ['c', 'd']);
        end(scene);
        const lost = await scene.served.closed;
        expect(lost, name).to.be.instanceOf(ConnectionLostError).and.to.include({ clean: false, unconfirmed: 2 });
        expect(await Promise.all([...flying, ...waiting]), name).to.deep.equal([lost, lost, lost, lost]);
        const told = scene.reports.map((error) => error as WriteError);
        for (const error of told) expect(error).to.be.instanceOf(WriteError).and.to.include({ cause: lost });
        expect(told.map(({ fate, undelivered }) => [undelivered, fate])).to.deep.equal([
          ['a', 'unknown'],
          ['b', 'unknown'],
          ['c', 'unsent'],
          ['d', 'unsent'],
        ]);
        expect(scene.served.stats()).to.include({ framesUndelivered: 4, queuedFrames: 0, framesWritten: 0 });
        expect(await outcome(scene.served.write('late')), name).to.equal(lost);
        expect(scene.reports).to.have.length(4);
      }
    });

    it('changes nothing any more when it is answered after the end [S10]', async () => {
      const { served, link, counters } = made();
      const written = outcome(served.write('a'));
      await turn();
      link.lost();
      link.confirm();
      expect(await written).to.equal(await served.closed);
      expect(counters).to.include({ framesWritten: 0, framesUndelivered: 1 });
    });

    it('may be ignored, whatever becomes of it [S9]', async () => {
      const { served, link } = made({ frames: 2 });
      for (const text of ['a', 'b', 'refused', 'two\nlines']) void served.write(text);
      link.lost();
      void served.write('late');
      void served.upgrade();
      void served.writeAll(['late']);
      await turn();
    });
  });

  describe('writeAll()', () => {
    it('pulls an item when there is room, and resolves when the last is written [S5]', async () => {
      const { served, link } = made({ frames: 3 });
      let pulled = 0;
      function* source() {
        for (; pulled < 10;) yield String(pulled++);
      }
      let done = false;
      const all = served.writeAll(source()).then(() => (done = true));
      await turn();
      expect(pulled).to.equal(4); // one waits for room
      expect(served.stats().queuedFrames).to.equal(3);
      while (link.unanswered > 0) {
        expect(done).to.be.false;
        link.confirm();
        await turn();
      }
      await all;
      expect(link.texts.join('')).to.equal('0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n');
    });

    it('rejects with the first message of an Observable that meets the bounds; the connection lives on', async () => {
      const { served, link } = made({ frames: 1 });
      const source = new Subject<string>();
      const all = outcome(served.writeAll(source));
      source.next('a');
      source.next('b');
      expect(await all)
        .to.be.instanceOf(OverflowError)
        .and.to.include({ undelivered: 'b' });
      expect(source.observed).to.be.false;
      await turn();
      link.confirm();
      expect(link.texts).to.deep.equal(['a\n']);
    });

    it('stops at the end of the connection: the source is closed, what it gave has its outcome [S3]', async () => {
      for (const end of [(scene: Made) => scene.link.lost(), ({ served }: Made) => void served.end()]) {
        const scene = made({ frames: 2 });
        let closed = false;
        function* source() {
          try {
            for (let i = 0; ; i++) yield String(i);
          } finally {
            closed = true;
          }
        }
        const all = outcome(scene.served.writeAll(source()));
        await turn();
        end(scene);
        expect(await all).to.be.instanceOf(ClosedError);
        expect(closed).to.be.true;
        if (scene.link.unanswered > 0 && !scene.link.destroyed) scene.link.confirm();
        expect(scene.served.stats().queuedFrames).to.equal(0);
      }
    });

    it('refuses a string and bytes as source', async () => {
      const { served } = made();
      expect(await outcome(served.writeAll('abc'))).to.be.instanceOf(ConfigError);
      expect(await outcome(served.writeAll(Buffer.from('abc') as never))).to.be.instanceOf(ConfigError);
    });
  });

  describe('flush()', () => {
    it('resolves once all that was accepted before has its outcome, a loss too; it never rejects', async () => {
      const { served, link } = made();
      await served.flush();
      const told: string[] = [];
      void served.write('a');
      void served.flush().then(() => told.push('first'));
      await turn();
      void served.write('b');
      void served.flush().then(() => told.push('second'));
      expect(told).to.deep.equal([]);
      link.confirm();
      await turn();
      expect(told).to.deep.equal(['first']);
      link.lost(reset());
      await turn();
      expect(told).to.deep.equal(['first', 'second']);
    });
  });

  describe('its end', () => {
    it('sends FIN once all that was accepted is written, and takes nothing more', async () => {
      const scene = made();
      const { served, link, reports } = scene;
      const before = writeEach(scene, ['a', 'b']);
      await turn();
      before.push(...writeEach(scene, ['c']));
      const ended = served.end();
      expect(await outcome(served.write('late'))).to.be.instanceOf(ClosedError);
      expect(link.ends).to.equal(0);
      link.confirm();
      await turn();
      expect(link.ends).to.equal(0);
      link.confirm();
      expect(link.ends).to.equal(1);
      expect(await Promise.all(before)).to.deep.equal(['written', 'written', 'written']);
      link.fin();
      link.lost();
      await ended;
      expect([await served.closed, reports]).to.deep.equal([undefined, []]);
    });

    it('sends FIN at once if nothing is queued', () => {
      const { served, link } = made();
      void served.end();
      expect(link.ends).to.equal(1);
    });

    it('reads on after it asked to end, so that the FIN of the peer is seen without a subscriber', async () => {
      const { served, link } = made();
      link.chunk('held\n');
      await turn();
      const ended = served.end();
      await turn();
      expect([link.paused, served.stats().heldBytes]).to.deep.equal([false, 0]);
      link.fin();
      link.lost();
      await ended;
    });

    it('writes what was accepted after the FIN of the peer, and then sends its own', async () => {
      const scene = made();
      const { served, link, reports } = scene;
      served.inbound.subscribe();
      const before = writeEach(scene, ['a', 'b']);
      link.fin();
      const late = outcome(served.write('late'));
      await turn();
      expect([link.texts, link.ends]).to.deep.equal([['a\nb\n'], 0]);
      link.confirm();
      expect(link.ends).to.equal(1);
      link.lost();
      const lost = await served.closed;
      expect(lost).to.include({ clean: true, endedBy: 'peer' });
      expect(await Promise.all([...before, late])).to.deep.equal(['written', 'written', lost]);
      expect(reports).to.deep.equal([]);
    });

    it('waits for end() after the FIN of the peer where it may stay half open', async () => {
      const scene = made({ halfOpen: true });
      const { served, link } = scene;
      const frames: string[] = [];
      let completed = false;
      served.inbound.subscribe({ next: (frame) => frames.push(frame), complete: () => (completed = true) });
      await turn();
      link.chunk('last\n');
      link.fin();
      await turn();
      expect([frames, completed]).to.deep.equal([['last'], true]);
      const [late] = writeEach(scene, ['reply']);
      await turn();
      link.confirm();
      expect([await late, link.ends]).to.deep.equal(['written', 0]);
      void served.end();
      expect(link.ends).to.equal(1);
      link.lost();
      expect(await served.closed).to.be.undefined;
    });

    it('comes at the deadline, with what is left given up', async () => {
      const scene = made();
      const writes = writeEach(scene, ['a']);
      await turn();
      writes.push(...writeEach(scene, ['b']));
      const scheduler = new TestScheduler(() => undefined);
      scheduler.run(() => void scene.served.end(100));
      expect(scheduler.now()).to.equal(100);
      const lost = await scene.served.closed;
      expect(lost).to.be.instanceOf(ConnectionLostError).and.to.include({ endedBy: 'us', clean: false });
      expect(await Promise.all(writes)).to.deep.equal([lost, lost]);
      expect(scene.reports.map((error) => (error as WriteError).fate)).to.deep.equal(['unknown', 'unsent']);
      expect([scene.link.ends, scene.link.destroys]).to.deep.equal([0, 1]);
    });
  });

  it('gives every message exactly one outcome, whatever happens in whatever order [S3]', async () => {
    for (const seed of seeds(300)) {
      const random = seededRandom(seed);
      const scene = made({ frames: 4, bytes: 30, halfOpen: seed % 2 === 0 });
      const { served, link, reports } = scene;
      const outcomes: Promise<unknown>[] = [];
      const write = (): void => void outcomes.push(outcome(served.write('x'.repeat(random.int(0, 8)))));
      const answered = (): boolean => link.unanswered > 0 && !link.destroyed;
      let finished = false;
      const fin = (): void => {
        if (!finished) link.fin();
        finished = true;
      };
      const usual = [write, write, write, () => answered() && link.confirm()];
      const rare = [
        () => void outcomes.push(outcome(served.write('two\nlines'))),
        () => answered() && link.fail(reset()),
        ...[fin, fin, () => void served.end(), () => served.destroy()],
      ];
      for (let i = 0; i < 60; i++) {
        random.pick(random.next() < 0.1 ? rare : usual)();
        if (random.next() < 0.4) await turn();
      }
      served.destroy();
      const results = await Promise.all(outcomes);
      const stats = served.stats();
      const written = results.filter((result) => result === 'written').length;
      const refused = results.filter((result) => result instanceof OverflowError || result instanceof FrameError);
      const lost = reports.filter((error) => error instanceof WriteError);
      expect(stats, `seed ${String(seed)}`).to.include({
        ...{ framesWritten: written, framesRefused: refused.length, framesUndelivered: lost.length },
        ...{ queuedFrames: 0, queuedBytes: 0, inFlightFrames: 0 },
      });
      expect(reports.length, `seed ${String(seed)}`).to.equal(refused.length + lost.length);
      expect(new Set(reports).size).to.equal(reports.length);
    }
  });

  it('has a snapshot, frozen, with its name and where it is', () => {
    const { served, link } = made();
    const snapshot = served.snapshot();
    expect(snapshot).to.deep.include({ name: 'door', epoch: 4 });
    expect(snapshot.status).to.deep.equal({ type: 'open', endpoint: link.endpoint, epoch: 4 });
    expect([Object.isFrozen(snapshot), Object.isFrozen(served.stats())]).to.deep.equal([true, true]);
  });
});
