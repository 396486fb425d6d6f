import { expect } from 'chai';
import { lines } from '../../lib/codec/lines.js';
import { mapCodec } from '../../lib/codec/map-codec.js';
import { ClosedError, ConfigError, FrameError, OverflowError, WriteError, type TcpError } from '../../lib/errors.js';
import { Outlet, type OutletConfig } from '../../lib/outbound/outlet.js';
import { giveBack, SLAB_BYTES, takeSlab } from '../../lib/outbound/slabs.js';
import { quiet } from '../../lib/quiet.js';
import { slabsMade } from './slabs-made.js';
import { outcome, turns } from '../support/fixture.js';

const WHERE = { endpoint: { host: 'db', port: 1 }, epoch: 3 };

interface Rig {
  readonly outlet: Outlet<string>;
  /** What the owner heard, in order. */
  readonly told: string[];
  readonly undelivered: TcpError[];
  readonly refused: TcpError[];
  /** Takes a batch, of which the frames are given as text. */
  readonly take: () => readonly string[];
  /** The connection takes all that waits. */
  readonly writeAll: () => void;
}

function rig(config: Partial<OutletConfig<string>> = {}): Rig {
  const told: string[] = [];
  const undelivered: TcpError[] = [];
  const refused: TcpError[] = [];
  const writeBuffer = { frames: 1_000, bytes: 100_000 };
  const outlet = new Outlet<string>(
    { codec: lines(), writeBuffer, overflow: 'dropNewest', retryLimit: 5, ...config },
    {
      accepted: () => told.push('accepted'),
      changed: () => told.push('changed'),
      written: (frames, bytes) => told.push(`written ${frames}, ${bytes}`),
      undelivered: (error) => (told.push('undelivered'), undelivered.push(error)),
      refused: (error) => (told.push('refused'), refused.push(error)),
      where: () => WHERE,
    },
  );
  const take = (): readonly string[] =>
    Buffer.from(outlet.take(65_536) ?? [])
      .toString()
      .match(/.*\n/g) ?? [];
  const writeAll = (): void => {
    while (outlet.take(65_536) !== undefined) outlet.confirm();
  };
  return { outlet, told, undelivered, refused, take, writeAll };
}

/** What became of a promise so far. */
function watched(promise: Promise<unknown>): { now: unknown } {
  const state: { now: unknown } = { now: 'pending' };
  void outcome(promise).then((result) => (state.now = result));
  return state;
}

describe('Outlet', () => {
  describe('offer', () => {
    it('encodes and queues a message, and says so', () => {
      const { outlet, told, take } = rig();
      expect(outlet.offer('a')).to.equal(1);
      expect([told, take()]).to.eql([['accepted'], ['a\n']]);
    });

    it('says so of the first that waits and of the one that leaves no room, and of no other', () => {
      const { outlet, told, take } = rig({ writeBuffer: { frames: 4, bytes: 100 } });
      const heard = ['a', 'b', 'c', 'd'].map((message) => (outlet.offer(message), told.splice(0).length));
      expect(heard).to.eql([1, 0, 0, 1]);
      take();
      outlet.confirm();
      told.length = 0;
      outlet.offer('e');
      take();
      outlet.offer('f');
      outlet.offer('g');
      expect(told).to.eql(['accepted', 'accepted']);
    });

    it('refuses one that cannot be encoded, alone and told where [S9]', () => {
      const { outlet, told, refused, take } = rig();
      const heard: unknown[] = [];
      expect(outlet.offer('a\nb', { settled: (error) => heard.push(error), retryLimit: undefined })).to.equal(0);
      outlet.offer('c');
      expect(refused[0]).to.be.instanceOf(FrameError);
      expect(refused[0]).to.include({ ...WHERE, kind: 'encode' });
      expect(heard).to.eql(refused);
      expect([told, take()]).to.eql([['refused', 'accepted'], ['c\n']]);
    });

    it('is not writable after a refusal until as much is free as was refused', () => {
      const { outlet, told, take } = rig({ writeBuffer: { frames: 9, bytes: 10 } });
      const offered = ['1234567', '12345', '123456', '1234'].map((message) => outlet.offer(message) > 0);
      expect([offered, outlet.writable]).to.eql([[true, false, false, false], false]);
      // Its owner hears of the change once.
      expect(told).to.eql(['accepted', 'changed', 'refused', 'refused', 'refused']);
      outlet.offer('x');
      expect(outlet.writable).to.equal(false);
      take();
      outlet.confirm();
      expect([outlet.writable, outlet.offer('12345678')]).to.eql([true, 3]);
      expect(outlet.writable).to.equal(true);
    });

    it('stays writable after the refusal of one that could never fit', () => {
      const { outlet } = rig({ writeBuffer: { frames: 9, bytes: 10 } });
      expect([outlet.offer('123456789AB'), outlet.writable]).to.eql([0, true]);
    });

    it('refuses one for which there is no room, and hands it back [S3] [S5]', () => {
      const { outlet, told, refused } = rig({ writeBuffer: { frames: 1, bytes: 100 } });
      outlet.offer('a');
      expect(outlet.offer('b')).to.equal(0);
      expect(refused[0]).to.be.instanceOf(OverflowError);
      expect(refused[0]).to.include({ ...WHERE, fate: 'unsent', undelivered: 'b' });
      expect(told).to.eql(['accepted', 'refused']);
    });

    it('counts bytes as encoded [S5]', () => {
      const { outlet } = rig({ writeBuffer: { frames: 10, bytes: 3 } });
      expect([outlet.offer('éé'), outlet.offer('é')]).to.eql([0, 1]);
    });

    it('takes nothing once it is closed; the message hears that, and `errors` does not', () => {
      const { outlet, told } = rig();
      outlet.close();
      told.length = 0;
      const heard: unknown[] = [];
      expect(outlet.offer('a', { settled: (error) => heard.push(error), retryLimit: undefined })).to.equal(0);
      expect(heard[0]).to.be.instanceOf(ClosedError).and.to.include(WHERE);
      expect(told).to.eql([]);
    });

    it('takes messages that are queued while another is encoded, in front of that one [S1]', () => {
      const codec = {
        encode: (message: string): Buffer => {
          if (message === 'b') expect(made.outlet.offer('a')).to.equal(1);
          return Buffer.from(`${message}\n`);
        },
      };
      const made: Rig = rig({ codec });
      expect(made.outlet.offer('b')).to.equal(2);
      expect(made.take()).to.eql(['a\n', 'b\n']);
    });

    it('does so where messages are encoded in place, too [S1]', () => {
      const codec = mapCodec(lines(), {
        decode: (line) => line,
        encode: (message: string) => {
          if (message === 'b') made.outlet.offer('a');
          return message;
        },
      });
      const made: Rig = rig({ codec });
      made.outlet.offer('b');
      expect(made.take()).to.eql(['a\n', 'b\n']);
    });

    for (const [how, end] of Object.entries<(outlet: Outlet<string>) => void>({
      closes: (outlet) => outlet.close(),
      'is cleared': (outlet) => outlet.clear('x'),
    })) {
      it(`refuses a message while encoding which it ${how} [S3]`, () => {
        const codec = { encode: (message: string) => (end(made.outlet), Buffer.from(message)) };
        const made: Rig = rig({ codec });
        const heard: unknown[] = [];
        expect(made.outlet.offer('a', { settled: (error) => heard.push(error), retryLimit: undefined })).to.equal(0);
        expect(heard).to.have.length(1);
        expect(heard[0]).to.be.instanceOf(ClosedError);
        expect(made.outlet.queue.frames).to.equal(0);
      });
    }

    it('evicts the oldest under dropOldest, and hands that back [S3]', () => {
      const { outlet, told, undelivered } = rig({ writeBuffer: { frames: 1, bytes: 100 }, overflow: 'dropOldest' });
      outlet.offer('a');
      outlet.offer('b');
      expect(undelivered[0]).to.be.instanceOf(OverflowError);
      expect(undelivered[0]).to.include({ ...WHERE, fate: 'unsent', undelivered: 'a' });
      expect(told.filter((event) => event !== 'changed')).to.eql(['accepted', 'undelivered', 'accepted']);
    });
  });

  describe('writable', () => {
    it('says whether there is room for a message, and somebody to take it', () => {
      const { outlet, writeAll } = rig({ writeBuffer: { frames: 1, bytes: 100 } });
      const states = [outlet.writable];
      outlet.offer('a');
      states.push(outlet.writable);
      writeAll();
      states.push(outlet.writable);
      outlet.close();
      states.push(outlet.writable);
      expect(states).to.eql([true, false, true, false]);
    });
  });

  describe('write', () => {
    it('resolves when the message is written, and not before [S3]', async () => {
      const { outlet, take } = rig();
      const write = watched(outlet.write('a'));
      take();
      await turns(1);
      expect(write.now).to.equal('pending');
      outlet.confirm();
      await turns(1);
      expect(write.now).to.equal('written');
    });

    it('waits through losses, and rejects with the WriteError that `errors` tells when its retries are used up [S3]', async () => {
      const { outlet, undelivered, take } = rig({ retryLimit: 1 });
      const write = watched(outlet.write('a'));
      take();
      expect(outlet.rewind()).to.equal(1);
      await turns(1);
      expect(write.now).to.equal('pending');
      take();
      expect(outlet.rewind()).to.equal(0);
      await turns(1);
      expect(undelivered).to.have.length(1);
      expect(write.now).to.equal(undelivered[0]);
      expect(write.now).to.be.instanceOf(WriteError);
      expect(write.now).to.include({ ...WHERE, fate: 'unknown', attempts: 2, undelivered: 'a' });
      expect((write.now as WriteError).cause).to.equal(undefined);
    });

    it('goes by a retry limit of its own', async () => {
      const { outlet, take } = rig();
      const write = watched(outlet.write('a', { retryLimit: 0 }));
      take();
      outlet.rewind();
      await turns(1);
      expect(write.now).to.include({ code: 'TCP_WRITE', attempts: 1 });
    });

    it('rejects with what refused the message: no room, not encodable, closed', async () => {
      const { outlet, refused } = rig({ writeBuffer: { frames: 1, bytes: 100 } });
      outlet.offer('a');
      expect(await outcome(outlet.write('b'))).to.equal(refused[0]);
      expect(await outcome(outlet.write('b\nc'))).to.equal(refused[1]);
      outlet.close();
      expect(await outcome(outlet.write('c'))).to.be.instanceOf(ClosedError);
      expect(refused).to.have.length(2);
    });

    it('may be ignored, whatever comes of it [S9]', async () => {
      const { outlet } = rig({ writeBuffer: { frames: 1, bytes: 100 } });
      for (const message of ['a', 'b', 'c\nd']) void outlet.write(message);
      outlet.clear('x');
      void outlet.write('e');
      await turns(3);
    });

    for (const [what, options] of [
      ['`retryLimit` must be a whole number from 0 to Infinity, got -1 (number)', { retryLimit: -1 }],
      ['`retryLimit` must be a whole number from 0 to Infinity, got NaN (number)', { retryLimit: NaN }],
      ['`signal` must be an AbortSignal, got an object', { signal: new AbortController() }],
      ['`retrylimit` is not an option of write; did you mean `retryLimit`?', { retrylimit: 1 }],
      ['`write` must be an object, got null', null],
    ] as const) {
      it(`throws a ConfigError for a caller's mistake: ${what}`, () => {
        const { outlet, told } = rig();
        expect(() => outlet.write('a', options as never)).to.throw(ConfigError, what);
        expect(told).to.eql([]);
      });
    }

    describe('with a signal', () => {
      it('is withdrawn by its abort while it waits, with the reason as the cause [S3]', async () => {
        const { outlet, undelivered, take } = rig();
        const abort = new AbortController();
        const write = watched(outlet.write('a', { signal: abort.signal }));
        outlet.offer('b');
        const reason = new Error('no longer');
        abort.abort(reason);
        await turns(1);
        expect(write.now).to.be.instanceOf(WriteError);
        expect(write.now).to.include({ fate: 'unsent', attempts: 0, cause: reason, undelivered: 'a' });
        expect(undelivered).to.eql([write.now]);
        expect(take()).to.eql(['b\n']);
      });

      it('is withdrawn at once by a signal that is aborted already', async () => {
        const { outlet, take } = rig();
        const write = outlet.write('a', { signal: AbortSignal.abort('late') });
        expect(take()).to.eql([]);
        expect(await outcome(write)).to.include({ code: 'TCP_WRITE', fate: 'unsent', cause: 'late' });
      });

      it('is written if it is in flight when the abort comes, and withdrawn if its connection is lost [S3]', async () => {
        for (const lost of [false, true]) {
          const { outlet, take } = rig();
          const abort = new AbortController();
          const write = watched(outlet.write('a', { signal: abort.signal }));
          take();
          abort.abort('late');
          if (lost) outlet.rewind();
          else outlet.confirm();
          await turns(1);
          if (lost) expect(write.now).to.include({ code: 'TCP_WRITE', fate: 'unknown', attempts: 1, cause: 'late' });
          else expect(write.now).to.equal('written');
          expect(take()).to.eql([]);
        }
      });

      it('leaves no listener behind, however it ends [S11]', async () => {
        const endings: Record<string, (r: Rig, abort: AbortController) => void> = {
          written: ({ writeAll }) => writeAll(),
          cleared: ({ outlet }) => outlet.clear('x'),
          aborted: (_rig, abort) => abort.abort(),
        };
        for (const [name, end] of Object.entries(endings)) {
          const made = rig();
          const abort = new AbortController();
          let listeners = 0;
          const add = abort.signal.addEventListener.bind(abort.signal);
          const remove = abort.signal.removeEventListener.bind(abort.signal);
          abort.signal.addEventListener = (...args: unknown[]) => {
            listeners++;
            (add as (...args: unknown[]) => void)(...args);
          };
          abort.signal.removeEventListener = (...args: unknown[]) => {
            listeners--;
            (remove as (...args: unknown[]) => void)(...args);
          };
          void made.outlet.write('a', { signal: abort.signal });
          expect(listeners, name).to.equal(1);
          end(made, abort);
          expect(listeners, name).to.equal(0);
        }
      });

      it('listens to no signal for a message that was refused [S11]', () => {
        const { outlet } = rig();
        const { signal } = new AbortController();
        let listens = false;
        signal.addEventListener = () => (listens = true);
        void outlet.write('a\nb', { signal });
        expect(listens).to.equal(false);
      });
    });
  });

  describe('flush', () => {
    it('resolves at once when nothing is queued', async () => {
      const { outlet, writeAll } = rig();
      expect(await outcome(outlet.flush())).to.equal('written');
      outlet.offer('a');
      writeAll();
      expect(await outcome(outlet.flush())).to.equal('written');
    });

    it('waits for what was accepted before it, and for nothing that came after', async () => {
      const { outlet, take } = rig();
      outlet.offer('a');
      const flush = watched(outlet.flush());
      outlet.offer('b');
      outlet.take(1);
      await turns(1);
      expect(flush.now).to.equal('pending');
      outlet.confirm();
      await turns(1);
      expect(flush.now).to.equal('written');
      expect(take()).to.eql(['b\n']);
    });

    it('waits through an outage', async () => {
      const { outlet, take } = rig();
      outlet.offer('a');
      take();
      const flush = watched(outlet.flush());
      outlet.rewind();
      await turns(1);
      expect(flush.now).to.equal('pending');
      take();
      outlet.confirm();
      await turns(1);
      expect(flush.now).to.equal('written');
    });

    for (const [how, settle] of Object.entries<(r: Rig, abort: AbortController) => void>({
      'is withdrawn': (_r, abort) => abort.abort(),
      'is given up': (r) => (r.take(), r.outlet.rewind()),
      'is cleared': (r) => r.outlet.clear('x'),
      'is evicted': (r) => ['b', 'c', 'd'].map((message) => r.outlet.offer(message)),
    })) {
      it(`resolves when the last message before it ${how}: that is an outcome, too`, async () => {
        const made = rig({ retryLimit: 0, overflow: 'dropOldest', writeBuffer: { frames: 3, bytes: 100 } });
        const abort = new AbortController();
        void made.outlet.write('a', { signal: abort.signal });
        const flush = watched(made.outlet.flush());
        settle(made, abort);
        await turns(1);
        expect(flush.now).to.equal('written');
      });
    }

    it('resolves several calls in their order', async () => {
      const { outlet, writeAll } = rig();
      const order: number[] = [];
      for (const at of [1, 2, 3]) {
        outlet.offer('a');
        void outlet.flush().then(() => order.push(at));
      }
      writeAll();
      await turns(1);
      expect(order).to.eql([1, 2, 3]);
    });
  });

  describe('whenRoom', () => {
    it('calls at once where there is room, or could never be', () => {
      const { outlet } = rig({ writeBuffer: { frames: 2, bytes: 10 } });
      let calls = 0;
      outlet.whenRoom(10, () => calls++);
      outlet.whenRoom(11, () => calls++);
      expect(calls).to.equal(2);
    });

    it('calls when a message leaves, those who asked first going first', () => {
      const { outlet, take } = rig({ writeBuffer: { frames: 5, bytes: 10 } });
      outlet.offer('12345678');
      take();
      const order: string[] = [];
      outlet.whenRoom(9, () => order.push('large'));
      outlet.whenRoom(1, () => order.push('small'));
      expect(order).to.eql([]);
      outlet.confirm();
      expect(order).to.eql(['large', 'small']);
    });

    it('calls everyone who waits when it closes', () => {
      const { outlet } = rig({ writeBuffer: { frames: 1, bytes: 10 } });
      outlet.offer('a');
      let calls = 0;
      for (let i = 0; i < 3; i++) outlet.whenRoom(5, () => calls++);
      outlet.close();
      expect(calls).to.equal(3);
    });
  });

  describe('a message whose sender hears only that it will not be written', () => {
    /** Its terms, and what was heard. */
    const terms = () => {
      const heard: TcpError[] = [];
      return { heard, settled: undefined, retryLimit: 0, undelivered: (error: TcpError) => void heard.push(error) };
    };

    it('is told nothing when it is written, and is awaited by nobody', () => {
      const { outlet } = rig();
      const its = terms();
      outlet.offer('a', its);
      outlet.take(65_536);
      expect([outlet.confirm(), its.heard]).to.eql([false, []]);
    });

    it('is told once why not: no room, no bytes, a loss, the end, an eviction [S3]', () => {
      const cases: Record<string, (made: Rig, its: ReturnType<typeof terms>) => void> = {
        TCP_OVERFLOW: ({ outlet }, its) => [outlet.offer('x'), outlet.offer('x'), outlet.offer('a', its)],
        TCP_FRAME: ({ outlet }, its) => outlet.offer('a\nb', its),
        TCP_WRITE: ({ outlet, take }, its) => [outlet.offer('a', its), take(), outlet.rewind()],
        'TCP_WRITE too': ({ outlet }, its) => [outlet.offer('a', its)],
        TCP_CLOSED: ({ outlet }, its) => {
          outlet.close();
          outlet.offer('a', its);
        },
      };
      for (const [code, act] of Object.entries(cases)) {
        const made = rig({ writeBuffer: { frames: 2, bytes: 100 } });
        const its = terms();
        act(made, its);
        made.outlet.clear(undefined);
        expect(its.heard.map((error) => error.code)).to.eql([code.split(' ')[0]]);
      }
    });

    it('goes back without a word when it is withdrawn silently, and makes room [S3]', async () => {
      const { outlet, told, undelivered } = rig({ writeBuffer: { frames: 1, bytes: 100 } });
      const its = terms();
      const place = outlet.offer('a', its);
      const flushed = watched(outlet.flush());
      let room = 0;
      outlet.whenRoom(1, () => room++);
      expect([outlet.writable, outlet.queue.frames]).to.eql([false, 1]);
      told.length = 0;
      outlet.withdraw(place, undefined, true);
      await turns(1);
      expect([flushed.now, room, its.heard, undelivered]).to.eql(['written', 1, [], []]);
      expect([told, outlet.writable]).to.eql([['changed'], true]);
    });
  });

  describe('losers', () => {
    it('hear of each loss before what was in flight waits again, and after it', () => {
      const { outlet, take } = rig();
      const told: unknown[] = [];
      const cause = new ClosedError();
      const look = (what: string, ...more: unknown[]): void =>
        void told.push([what, ...more, outlet.queue.inFlightFrames, outlet.queue.waitingFrames]);
      for (const name of ['first', 'second'])
        outlet.losers.push({ losing: (why) => look(`${name} loses`, why), lost: () => look(`${name} has lost`) });
      outlet.offer('a');
      take();
      outlet.offer('b');
      outlet.rewind(cause);
      expect(told).to.eql([
        ['first loses', cause, 1, 1],
        ['second loses', cause, 1, 1],
        ['first has lost', 0, 2],
        ['second has lost', 0, 2],
      ]);
    });

    it('may take back what is in flight, and hand over what waits, before `changed` is told', () => {
      const { outlet, take, told, undelivered } = rig();
      const its = { settled: undefined, retryLimit: 0 };
      const place = outlet.offer('a', its);
      take();
      told.length = 0;
      outlet.losers.push({
        losing: () => outlet.queue.withdraw(place, undefined, true),
        lost: () => void outlet.offer('a again'),
      });
      expect(outlet.rewind()).to.equal(0);
      expect([told, undelivered, take()]).to.eql([['accepted', 'changed'], [], ['a again\n']]);
    });
  });

  it('refuses what comes after its end with what ended it', async () => {
    const reason = new Error('enough');
    const { outlet } = rig();
    outlet.clear(new ClosedError({ ...WHERE, cause: reason }));
    expect(await outcome(outlet.write('a'))).to.include({ code: 'TCP_CLOSED', cause: reason });
    const limit = rig();
    limit.outlet.clear(reason);
    expect(await outcome(limit.outlet.write('a'))).to.include({ code: 'TCP_CLOSED', cause: reason, ...WHERE });
    const asked = rig();
    asked.outlet.close();
    expect(await outcome(asked.outlet.write('a')))
      .to.include({ code: 'TCP_CLOSED' })
      .and.not.have.property('cause');
  });

  describe('whenClosed', () => {
    it('tells once, unless it was told to forget', () => {
      const { outlet } = rig();
      const heard: TcpError[] = [];
      outlet.whenClosed((error) => heard.push(error));
      outlet.whenClosed(() => expect.fail('it was to forget'))();
      outlet.close();
      outlet.close();
      outlet.clear('x');
      expect(heard).to.have.length(1);
      expect(heard[0]).to.be.instanceOf(ClosedError).and.to.include(WHERE);
    });

    it('tells at once when it is closed already', () => {
      const { outlet } = rig();
      outlet.close();
      const heard: TcpError[] = [];
      outlet.whenClosed((error) => heard.push(error));
      expect(heard).to.have.length(1);
    });
  });

  describe('close', () => {
    it('keeps what is queued, which is written all the same', async () => {
      const { outlet, take } = rig();
      const write = watched(outlet.write('a'));
      outlet.close();
      expect(take()).to.eql(['a\n']);
      outlet.confirm();
      await turns(1);
      expect(write.now).to.equal('written');
    });
  });

  describe('clear', () => {
    it('gives every message its WriteError with the cause, in order, and accepts nothing more [S3]', async () => {
      const { outlet, undelivered } = rig();
      const writes = ['a', 'b', 'c'].map((message) => watched(outlet.write(message)));
      outlet.take(3);
      const cause = new Error('why');
      outlet.clear(cause);
      outlet.clear(new Error('again'));
      await turns(1);
      expect(writes.map(({ now }) => now)).to.eql(undelivered);
      expect(undelivered.map((error) => [(error as WriteError).undelivered, (error as WriteError).fate])).to.eql([
        ...[
          ['a', 'unknown'],
          ['b', 'unsent'],
          ['c', 'unsent'],
        ],
      ]);
      for (const error of undelivered) expect(error.cause).to.equal(cause);
      expect(outlet.offer('d')).to.equal(0);
      expect(outlet.queue.frames).to.equal(0);
    });

    it('gives every message its outcome although the first to hear of it withdraws the others [S3]', async () => {
      const { outlet, undelivered } = rig();
      const abort = new AbortController();
      outlet.offer('a', { settled: () => abort.abort('enough'), retryLimit: undefined });
      const kept = watched(outlet.write('b'));
      const withdrawn = ['c', 'd'].map((message) => watched(outlet.write(message, { signal: abort.signal })));
      const last = watched(outlet.write('e'));
      outlet.clear('why');
      await turns(1);
      const causes = [kept, ...withdrawn, last].map(({ now }) => (now as WriteError).cause);
      expect(causes).to.eql(['why', 'enough', 'enough', 'why']);
      expect(undelivered).to.have.length(5);
    });
  });

  it('tells its owner of a written batch before the change, so that the counters are right by then', () => {
    const made: Rig = rig();
    made.outlet.offer('a');
    made.outlet.offer('b');
    made.writeAll();
    expect(made.told).to.eql(['accepted', 'written 2, 4', 'changed']);
  });

  it('tells `errors` of a loss before the promise of the message hears of it', () => {
    const { outlet, told } = rig();
    outlet.offer('a', { settled: () => told.push('settled'), retryLimit: undefined });
    outlet.clear('x');
    expect(told.filter((event) => event !== 'changed')).to.eql(['accepted', 'undelivered', 'settled']);
  });
});

describe('an Outlet', () => {
  it('tells of a confirmation whether anybody waited for it: by a message of its own, or by flush()', () => {
    const { outlet, take } = rig();
    const confirmed = (): boolean => (take(), outlet.confirm());
    outlet.offer('a');
    expect(confirmed()).to.equal(false);
    void outlet.write('b');
    expect(confirmed()).to.equal(true);
    outlet.offer('c');
    void outlet.flush();
    expect(confirmed()).to.equal(true);
    expect(confirmed()).to.equal(false);
  });

  it('holds no slab once it has refused a message that it had encoded [S5]', () => {
    const { outlet } = rig({ writeBuffer: { frames: 9, bytes: 10 } });
    giveBack(takeSlab(SLAB_BYTES));
    for (const message of ['too long for it', 'a\nb']) {
      outlet.offer(message);
      expect(slabsMade(() => giveBack(takeSlab(SLAB_BYTES)))).to.equal(0);
    }
  });
});

describe('quiet', () => {
  it('gives the same promise, whose rejection nobody has to handle [S9]', async () => {
    const promise = Promise.reject(new Error('x'));
    expect(quiet(promise)).to.equal(promise);
    await turns(2);
  });
});
