import { expect } from 'chai';
import { timer } from 'rxjs';
import { WriteError } from '../lib/errors.js';
import { countByName } from '../lib/monitor/registry.js';
import type { StayingSocket } from '../lib/tcp-socket.js';
import { confirmAtOnce, type FakeLink } from './support/fake-link.js';
import { outcome } from './support/fixture.js';
import { opens, stage, statusText, type Dialled, type Play, type Stage } from './support/stage.js';
import { virtualTurns } from './support/virtual-socket.js';

const reset = (): Error => Object.assign(new Error('reset'), { code: 'ECONNRESET' });
/** Answers our FIN with the peer's. */
const answersFin = (link: FakeLink): void => {
  link.fin();
  link.lost();
};

describe('StayingSocket', () => {
  virtualTurns();

  describe('its life', () => {
    it('dials before it is returned, and tells each step', () => {
      const { told } = stage({}, ({ socket, at, link }) => {
        expect(told_(socket)).to.equal('open 1');
        at(10, () => link.chunk('hi\n'));
        at(20, () => socket.destroy());
      });
      expect(told.all).to.eql([
        ...['open 1', 'hi', 'closing', 'inbound completed', 'closed', 'status completed'],
        ...['connections completed', 'writable completed', 'errors completed'],
      ]);
    });

    it('is idle when lazy, until somebody subscribes or a message is accepted', () => {
      for (const wake of ['subscribe', 'write', 'next', 'redial'] as const) {
        const { dials } = stage({ config: { lazyConnect: true }, reads: false }, ({ socket, at, dials }) => {
          expect(told_(socket)).to.equal('idle');
          at(10, () => {
            expect(dials.length).to.equal(0);
            if (wake === 'subscribe') socket.inbound.subscribe();
            else if (wake === 'write') void socket.write('x');
            else if (wake === 'next') socket.outbound.next('x');
            else socket.redial();
            expect(dials.length, wake).to.equal(1);
          });
          at(20, () => socket.destroy());
        });
        expect(dials.length).to.equal(1);
      }
    });

    it('that is idle ends without a dial', () => {
      for (const end of ['end', 'destroy'] as const) {
        const { dials, told } = stage({ config: { lazyConnect: true }, reads: false }, ({ socket }) => {
          void socket[end]();
          socket.redial();
          void socket.write('late');
        });
        expect([dials.length, told.statuses.at(-1)]).to.eql([0, 'closed']);
      }
    });

    it('leaves no timer, no dial and no listing behind, from any phase [S11]', () => {
      const phases: [string, Play][] = [
        ['dialling', () => {}],
        ['open', opens],
        ['waiting', (dialled) => dialled.fail()],
        ['settling', (dialled, index) => (index === 0 ? dialled.fail() : dialled.open())],
      ];
      for (const [name, play] of phases) {
        const config = { name: 'left?', reconnect: { random: () => 0.5 }, settle: 1000 };
        const played = stage({ config, play }, ({ socket, at }) => {
          void socket.write('x');
          at(100, () => socket.destroy());
        });
        expect([played.now(), played.dial.gone], name).to.eql([100, true]);
        expect(countByName()['left?'], name).to.be.undefined;
      }
    });
  });

  describe('settle', () => {
    const play: Play = (dialled, index) => (index === 0 ? dialled.fail() : dialled.open());

    it('holds the frames of a new connection back for a while after a failed dial [S4]', () => {
      const { link } = stage({ play, onWrite: confirmAtOnce }, ({ socket, at, dials }) => {
        void socket.write('x');
        at(50, () => expect(dials.length).to.equal(2));
        at(59, () => expect(dials[1]!.link.texts).to.eql([]));
        at(61, () => expect(dials[1]!.link.texts).to.eql(['x\n']));
        at(70, () => socket.destroy());
      });
      expect(link.texts).to.eql(['x\n']);
    });

    it('does the same after a loss, and not for the very first connection [S4]', () => {
      stage({}, ({ socket, at, dials }) => {
        void socket.write('x');
        at(0, () => expect(dials[0]!.link.texts).to.eql(['x\n']));
        at(10, () => dials[0]!.link.lost(reset()));
        at(69, () => expect([dials.length, dials[1]!.link.texts]).to.eql([2, []]));
        at(71, () => expect(dials[1]!.link.texts).to.eql(['x\n']));
        at(80, () => socket.destroy());
      });
    });

    it('of 0 is none', () => {
      stage({ play, config: { settle: 0 } }, ({ socket, at, dials }) => {
        void socket.write('x');
        at(50, () => void timer(0).subscribe(() => expect(dials[1]!.link.texts).to.eql(['x\n'])));
        at(60, () => socket.destroy());
      });
    });

    it('gives a connection that does not live that long not one frame [S4]', () => {
      const { dials } = stage({ play, config: { settle: 20 } }, ({ socket, at, dials }) => {
        void socket.write('x');
        at(69, () => dials[1]!.link.lost());
        at(3000, () => socket.destroy());
      });
      expect(dials.map(({ link }) => link.texts)).to.eql([[], [], ['x\n']]);
    });

    it('is called off by the peer’s FIN, after which nothing is handed over', () => {
      const { dials } = stage({ play, config: { settle: 20 } }, ({ socket, at, dials }) => {
        void socket.write('x');
        at(55, () => dials[1]!.link.fin());
        at(100, () => dials[1]!.link.lost());
        at(3000, () => socket.destroy());
      });
      expect(dials.map(({ link }) => link.texts)).to.eql([[], [], ['x\n']]);
    });

    it('keeps frames that come in meanwhile from nobody', () => {
      const { told } = stage({ play }, ({ socket, at, dials }) => {
        at(51, () => dials[1]!.link.chunk('early\n'));
        at(52, () => expect(told_frames).to.eql(['early']));
        const told_frames: string[] = [];
        socket.inbound.subscribe((frame) => told_frames.push(frame));
        at(60, () => socket.destroy());
      });
      expect(told.frames).to.eql(['early']);
    });
  });

  describe('attempts', () => {
    const dies =
      (...lives: number[]): Play =>
      (dialled, index) => {
        dialled.open();
        const life = lives[index];
        if (life !== undefined) timer(life).subscribe(() => dialled.link.lost(reset()));
      };

    it('start anew after `stableAfter` ms up [S8]', () => {
      const { told } = stage({ play: dies(10, 10, 5000, 10) }, ({ socket, at }) => at(9000, () => socket.destroy()));
      expect(told.statuses.filter((text) => text.startsWith('backoff'))).to.eql([
        ...['backoff 2 50', 'backoff 3 100', 'backoff 1 50', 'backoff 2 100'],
      ]);
    });

    it('start anew once a frame came in after one of ours was written [S8]', () => {
      const play: Play = (dialled, index) => {
        dialled.open();
        if (index > 3) return;
        timer(12).subscribe(() => {
          if (index === 2) dialled.link.chunk('answer\n');
          dialled.link.lost(reset());
        });
      };
      const { told } = stage({ play, onWrite: confirmAtOnce }, ({ socket, at }) => {
        for (let ms = 1; ms < 2000; ms += 1) at(ms, () => void socket.write('ping'));
        at(2000, () => socket.destroy());
      });
      expect(told.statuses.filter((text) => text.startsWith('backoff'))).to.eql([
        ...['backoff 2 50', 'backoff 3 100', 'backoff 1 50', 'backoff 2 100'],
      ]);
    });

    it('go on counting for a peer that only talks', () => {
      const play: Play = (dialled, index) => {
        dialled.open();
        dialled.link.chunk('hello\n');
        if (index < 2) timer(1).subscribe(() => dialled.link.lost(reset()));
      };
      const { told } = stage({ play }, ({ socket, at }) => at(1000, () => socket.destroy()));
      expect(told.statuses.filter((text) => text.startsWith('backoff'))).to.eql(['backoff 2 50', 'backoff 3 100']);
    });

    it('at their limit end the socket, and give every message its outcome [S3][S8]', async () => {
      const writes: Promise<unknown>[] = [];
      const config = { reconnect: { maxAttempts: 1, random: () => 1 } };
      const { told, socket } = stage({ config, play: (dialled) => dialled.fail() }, ({ socket }) => {
        writes.push(outcome(socket.write('a')), outcome(socket.write('b')));
      });
      expect(told.all).to.eql([
        ...['backoff 2 50', 'TCP_CONNECT', 'connecting 2', 'TCP_CONNECT', 'closing'],
        ...['TCP_WRITE', 'TCP_WRITE', 'TCP_RECONNECT_LIMIT', 'inbound errored TCP_RECONNECT_LIMIT'],
        ...['closed TCP_RECONNECT_LIMIT', 'status completed', 'connections completed', 'writable completed'],
        'errors completed',
      ]);
      for (const error of await Promise.all(writes)) {
        expect(error).to.be.instanceOf(WriteError);
        expect(error).to.include({ fate: 'unsent', attempts: 0 });
        expect((error as Error).cause).to.include({ code: 'TCP_RECONNECT_LIMIT' });
      }
      await socket.end();
    });
  });

  describe('frames of a lost connection', () => {
    it('are written again, whole and in order, before later ones [S2]', () => {
      const { dials } = stage({ config: { settle: 0 } }, ({ socket, at, dials }) => {
        for (const message of ['a', 'b', 'c']) void socket.write(message);
        at(1, () => void socket.write('d'));
        at(10, () => dials[0]!.link.lost(reset()));
        at(11, () => void socket.write('e'));
        at(70, () => dials[1]!.link.confirm());
        at(71, () => dials[1]!.link.confirm());
        at(80, () => socket.destroy());
      });
      expect(dials[0]!.link.texts).to.eql(['a\nb\nc\n']);
      expect(dials[1]!.link.texts, 'the oldest alone, then a batch').to.eql(['a\n', 'b\nc\nd\ne\n']);
    });

    it('are given up after `retryLimit` connections, one after another [S2][S3]', async () => {
      const writes: Promise<unknown>[] = [];
      const config = { settle: 0, retryLimit: 1, reconnect: { initialDelay: 1, maxDelay: 1, random: () => 1 } };
      const play: Play = (dialled) => {
        dialled.open();
        timer(5).subscribe(() => dialled.link.lost(reset()));
      };
      const { dials, told } = stage({ config, play }, ({ socket, at }) => {
        for (const message of ['a', 'b']) writes.push(outcome(socket.write(message)));
        at(100, () => socket.destroy());
      });
      expect(dials.slice(0, 4).map(({ link }) => link.texts)).to.eql([['a\nb\n'], ['a\n'], ['b\n'], []]);
      const errors = await Promise.all(writes);
      for (const error of errors) expect(error).to.include({ code: 'TCP_WRITE', fate: 'unknown', attempts: 2 });
      expect(told.errors.filter((error) => error instanceof WriteError)).to.eql(errors);
    });

    it('with a `retryLimit` of 0 are handed over at most once [S2]', async () => {
      let written: Promise<unknown> | undefined;
      const { dials } = stage({ config: { settle: 0, retryLimit: 0 } }, ({ socket, at, dials }) => {
        written = outcome(socket.write('a'));
        at(1, () => void socket.write('b'));
        at(10, () => dials[0]!.link.lost(reset()));
        at(100, () => socket.destroy());
      });
      expect(dials.map(({ link }) => link.texts)).to.eql([['a\n'], ['b\n']]);
      expect(await written).to.include({ fate: 'unknown', attempts: 1 });
    });
  });

  describe('of a connection given up', () => {
    for (const [name, give] of Object.entries<(stage: Stage) => void>({
      'by a loss': ({ link }) => link.lost(reset()),
      'by redial()': ({ socket }) => socket.redial(),
      'by its own destroy()': ({ socket }) =>
        socket.connections.subscribe((connection) => connection.destroy()).unsubscribe(),
    })) {
      it(`${name} no late chunk, event or callback changes anything [S10]`, () => {
        const { told, socket, dials } = stage({ config: { settle: 0 } }, (made) => {
          const { socket, at, dials } = made;
          for (const message of ['a', 'b']) void socket.write(message);
          at(10, () => give(made));
          at(100, () => {
            expect(dials.length).to.equal(2);
            const before = { ...socket.stats(), told: made.told.all.length };
            dials[0]!.link.haunt();
            expect({ ...socket.stats(), told: made.told.all.length }).to.eql(before);
          });
          at(101, () => dials[1]!.link.confirm());
          at(102, () => dials[0]!.link.haunt());
          at(110, () => socket.destroy());
          at(120, () => {
            for (const { link } of dials) link.haunt();
          });
        });
        expect(dials[1]!.link.texts).to.eql(['a\n', 'b\n']);
        expect(told.frames).to.eql([]);
        expect(socket.stats()).to.include({ framesWritten: 1, drops: 1, dials: 2, bytesRead: 0 });
      });
    }

    it('a write that is confirmed by a destroyed link counts as not written [S4]', () => {
      const { dials, socket } = stage({ config: { settle: 0 } }, ({ socket, at, dials }) => {
        void socket.write('a');
        at(10, () => {
          const { link } = dials[0]!;
          link.destroyed = true;
          link.confirm();
          link.lost(reset());
        });
        at(100, () => dials[1]!.link.confirm());
        at(110, () => socket.destroy());
      });
      expect(dials[1]!.link.texts).to.eql(['a\n']);
      expect(socket.stats()).to.include({ framesWritten: 1, framesRetried: 1 });
    });

    it('the connection is told no late subscriber', () => {
      stage({ config: { settle: 0 } }, ({ socket, at, link }) => {
        const epochs = (): number[] => {
          const seen: number[] = [];
          socket.connections.subscribe(({ epoch }) => seen.push(epoch)).unsubscribe();
          return seen;
        };
        at(1, () => expect(epochs()).to.eql([1]));
        at(10, () => {
          link.lost(reset());
          expect(epochs()).to.eql([]);
        });
        at(100, () => expect(epochs()).to.eql([2]));
        at(110, () => {
          socket.destroy();
          expect(epochs()).to.eql([]);
        });
      });
    });
  });

  describe('redial()', () => {
    it('while open destroys the connection and dials at once; attempts go on', () => {
      const { dials, told } = stage({}, ({ socket, at }) => {
        at(10, () => socket.redial());
        at(20, () => socket.destroy());
      });
      expect(dials.map(({ at, gone }) => [at, gone])).to.eql([[0, true], [10, true]]); // prettier-ignore
      expect(told.statuses).to.eql(['open 1', 'connecting 2', 'open 2', 'closing', 'closed']);
      expect(told.errors.map(({ code }) => code)).to.eql(['TCP_CONNECTION_LOST']);
      expect(told.errors[0]).to.include({ endedBy: 'us', clean: false });
    });

    it('counts as a failure of the frames in flight [S2]', async () => {
      let written: Promise<unknown> | undefined;
      stage({ config: { retryLimit: 0 } }, ({ socket, at }) => {
        written = outcome(socket.write('a'));
        at(10, () => socket.redial());
        at(20, () => socket.destroy());
      });
      expect(await written).to.include({ code: 'TCP_WRITE', fate: 'unknown', attempts: 1 });
    });

    it('while waiting dials at once', () => {
      const play: Play = (dialled, index) => (index === 0 ? dialled.fail() : dialled.open());
      const { dials } = stage({ play }, ({ socket, at }) => {
        at(10, () => socket.redial());
        at(100, () => socket.destroy());
      });
      expect(dials.map(({ at }) => at)).to.eql([0, 10]);
    });

    it('by somebody who hears of the wait dials at once', () => {
      let called = false;
      const play: Play = (dialled, index) =>
        index === 0 ? void timer(5).subscribe(() => dialled.fail()) : dialled.open();
      const { dials } = stage({ play }, ({ socket, at }) => {
        socket.status.subscribe(({ type }) => {
          if (type !== 'backoff' || called) return;
          called = true;
          socket.redial();
        });
        at(100, () => socket.destroy());
      });
      expect(dials.map(({ at }) => at)).to.eql([0, 5]);
    });

    it('while dialling changes nothing', () => {
      const play: Play = (dialled) => void timer(30).subscribe(() => dialled.open());
      const { dials } = stage({ play }, ({ socket, at }) => {
        at(10, () => socket.redial());
        at(100, () => socket.destroy());
      });
      expect(dials.map(({ at }) => at)).to.eql([0]);
    });

    it('while settling starts that anew', () => {
      const play: Play = (dialled, index) => (index === 0 ? dialled.fail() : dialled.open());
      stage({ play }, ({ socket, at, dials }) => {
        void socket.write('x');
        at(55, () => socket.redial());
        at(64, () => expect(dials.map(({ link }) => link.texts)).to.eql([[], [], []]));
        at(66, () => expect(dials.map(({ link }) => link.texts)).to.eql([[], [], ['x\n']]));
        at(70, () => socket.destroy());
      });
    });

    it('with `reconnect: false` dials once', () => {
      const { dials, told } = stage({ config: { reconnect: false } }, ({ socket, at, dials }) => {
        at(10, () => socket.redial());
        at(20, () => dials[1]!.link.lost(reset()));
      });
      expect(dials.map(({ at }) => at)).to.eql([0, 10]);
      expect(told.statuses.at(-1)).to.equal('closed TCP_CONNECTION_LOST');
    });

    it('while closing, while the rest is read, and when closed does nothing', () => {
      const { dials } = stage({}, ({ socket, at, dials }) => {
        at(10, () => {
          void socket.end();
          socket.redial();
        });
        at(20, () => {
          answersFin(dials[0]!.link);
          socket.redial();
        });
        at(30, () => socket.redial());
      });
      expect(dials.length).to.equal(1);
      expect(dials[0]!.link.ends).to.equal(1);
    });

    it('by somebody who hears of the new connection leaves no dead one behind', () => {
      let epochs: number[] = [];
      let redialled = false;
      const { told } = stage({}, ({ socket, at }) => {
        socket.connections.subscribe(({ epoch }) => epochs.push(epoch));
        epochs = [];
        socket.status.subscribe((status) => {
          if (status.type !== 'open' || status.epoch !== 2 || redialled) return;
          redialled = true;
          socket.redial();
        });
        at(10, () => socket.redial());
        at(20, () => {
          const now: number[] = [];
          socket.connections.subscribe(({ epoch }) => now.push(epoch)).unsubscribe();
          expect(now).to.eql([3]);
          socket.destroy();
        });
      });
      expect(epochs).to.eql([3]);
      expect(told.statuses.slice(-3)).to.eql(['open 3', 'closing', 'closed']);
    });
  });

  describe('end()', () => {
    it('writes what is queued, sends FIN and reads on until the peer’s', async () => {
      let ended: Promise<void> | undefined;
      const { told, link, now } = stage({}, ({ socket, at, link }) => {
        void socket.write('a');
        at(10, () => {
          ended = socket.end();
          expect(socket.end()).to.equal(ended);
          expect(link.ends).to.equal(0);
        });
        at(20, () => {
          link.confirm();
          expect(link.ends).to.equal(1);
          link.chunk('last\n');
        });
        at(30, () => answersFin(link));
      });
      expect(told.all).to.eql([
        ...['open 1', 'closing', 'last', 'inbound completed', 'closed', 'status completed'],
        ...['connections completed', 'writable completed', 'errors completed'],
      ]);
      expect([link.texts, now()]).to.eql([['a\n'], 30]);
      await ended;
    });

    it('with nothing queued and no connection closes at once', () => {
      for (const play of [() => {}, (dialled: Dialled) => dialled.fail()]) {
        const { told, now } = stage({ play }, ({ socket, at }) => at(10, () => void socket.end()));
        expect([told.statuses.at(-1), now()]).to.eql(['closed', 10]);
      }
    });

    it('goes on dialling for what is queued; a backoff is cut short, once', () => {
      const play: Play = (dialled, index) => (index < 3 ? dialled.fail() : dialled.open());
      const config = { reconnect: { initialDelay: 100, random: () => 1 } };
      const { dials, told } = stage({ play, config, onWrite: confirmAtOnce }, ({ socket, at, dials }) => {
        void socket.write('a');
        at(10, () => void socket.end());
        at(1000, () => answersFin(dials[3]!.link));
      });
      expect(dials.map(({ at }) => at)).to.eql([0, 10, 210, 610]);
      expect(dials[3]!.link).to.deep.include({ texts: ['a\n'], ends: 1 });
      expect(told.statuses.slice(-2), 'no word of the dials').to.eql(['closing', 'closed']);
    });

    it('by somebody who hears of the wait cuts it short too', () => {
      const play: Play = (dialled, index) =>
        index === 0 ? void timer(5).subscribe(() => dialled.fail()) : dialled.open();
      const { dials } = stage({ play, onWrite: confirmAtOnce }, ({ socket, at, dials }) => {
        void socket.write('a');
        socket.status.subscribe(({ type }) => {
          if (type === 'backoff') void socket.end();
        });
        at(100, () => answersFin(dials[1]!.link));
      });
      expect(dials.map(({ at }) => at)).to.eql([0, 5]);
    });

    it('destroys at its deadline, and what is left is undelivered, caused by the end [S3]', async () => {
      const writes: Promise<unknown>[] = [];
      const { told, now, link } = stage({}, ({ socket, at }) => {
        writes.push(outcome(socket.write('a')));
        at(1, () => writes.push(outcome(socket.write('b'))));
        at(10, () => void socket.end({ timeout: 200 }));
      });
      expect([now(), told.statuses.at(-1), link.destroyed]).to.eql([210, 'closed', true]);
      const [handed, waiting] = (await Promise.all(writes)) as [WriteError, WriteError];
      expect([handed.fate, waiting.fate]).to.eql(['unknown', 'unsent']);
      for (const { cause } of [handed, waiting]) expect(cause).to.include({ code: 'TCP_CLOSED' });
      expect(told.errors).to.eql([handed, waiting]);
    });

    it('waits for the peer until its own deadline, shorter or longer than `endTimeout`', () => {
      for (const timeout of [100, 20_000]) {
        const { told, now } = stage({}, ({ socket, at }) => at(0, () => void socket.end({ timeout })));
        expect([now(), told.statuses.at(-1), told.errors]).to.eql([timeout, 'closed', []]);
        const patient = stage({}, ({ socket, at, link }) => {
          void socket.end({ timeout });
          at(timeout - 1, () => link.chunk('late\n'));
          at(timeout - 1, () => answersFin(link));
        });
        expect([patient.told.frames, patient.told.errors]).to.eql([['late'], []]);
      }
    });

    it('keeps the holds of its readers, and their frames, until the deadline', () => {
      const { told } = stage({}, ({ socket, at, link }) => {
        const release = socket.pause();
        at(10, () => void socket.end());
        at(11, () => link.chunk('a\nb\n'));
        at(12, () => answersFin(link));
        at(4000, () => expect(told_(socket)).to.equal('closing'));
        at(4000, release);
      });
      expect(told.frames).to.eql(['a', 'b']);
      expect(told.all.slice(2, 6)).to.eql(['a', 'b', 'inbound completed', 'closed']);
    });

    it('discards what nobody reads', () => {
      const { now, socket } = stage({ reads: false }, ({ socket, at, link }) => {
        at(5, () => link.chunk('held\n'));
        at(10, () => void socket.end());
        at(11, () => link.chunk('a\nb\n'));
        at(12, () => answersFin(link));
      });
      expect([now(), socket.stats().heldBytes]).to.eql([12, 0]);
    });

    it('after a loss while closing dials again only for what is left', () => {
      const { dials, told } = stage({ config: { settle: 0 } }, ({ socket, at, dials }) => {
        void socket.write('a');
        at(10, () => void socket.end());
        at(20, () => dials[0]!.link.lost(reset()));
        at(100, () => dials[1]!.link.confirm());
        at(110, () => dials[1]!.link.lost(reset()));
      });
      expect(dials.map(({ link }) => link.texts)).to.eql([['a\n'], ['a\n']]);
      expect(told.statuses.at(-1)).to.equal('closed');
    });

    it('accepts nothing more: `outbound` completes, write() rejects, next() is lost', async () => {
      let late: Promise<unknown> | undefined;
      let completed = false;
      const { link } = stage({}, ({ socket, at, link }) => {
        socket.outbound.subscribe({ complete: () => (completed = true) });
        at(10, () => {
          void socket.end();
          late = outcome(socket.write('late'));
          socket.outbound.next('late');
        });
        at(20, () => answersFin(link));
      });
      expect(completed).to.be.true;
      expect(await late).to.include({ code: 'TCP_CLOSED' });
      expect(link.texts).to.eql([]);
    });

    it('is resolved by destroy()', async () => {
      let ended: Promise<void> | undefined;
      const { now } = stage({}, ({ socket, at }) => {
        void socket.write('never confirmed');
        ended = socket.end();
        at(10, () => socket.destroy());
      });
      await ended;
      expect(now()).to.equal(10);
    });

    it('is what `outbound.complete()` does, and `error()` is destroy(error)', () => {
      const completing = stage({}, ({ socket, at, link }) => {
        socket.outbound.complete();
        at(10, () => answersFin(link));
      });
      expect(completing.told.all).to.include('inbound completed');
      const erring = stage({}, ({ socket }) => socket.outbound.error(new Error('mine')));
      expect(erring.told.statuses.at(-1)).to.equal('closed TCP_CLOSED');
    });
  });

  describe('destroy()', () => {
    it('inside any callback of its own end still closes, once, in order', async () => {
      const places: Record<string, (socket: Stage['socket'], destroy: () => void) => void> = {
        closing: (socket, destroy) => {
          socket.status.subscribe(({ type }) => {
            if (type === 'closing') destroy();
          });
        },
        closed: (socket, destroy) => {
          socket.status.subscribe(({ type }) => {
            if (type === 'closed') destroy();
          });
        },
        undelivered: (socket, destroy) => void socket.errors.subscribe(destroy),
        inbound: (socket, destroy) => void socket.inbound.subscribe({ error: destroy, complete: destroy }),
        outbound: (socket, destroy) => void socket.outbound.subscribe({ error: destroy, complete: destroy }),
        writable: (socket, destroy) => {
          socket.writable.subscribe((room) => {
            if (!room) destroy();
          });
        },
      };
      const ways: Record<string, (made: Stage) => void> = {
        'destroy()': ({ socket }) => socket.destroy(),
        'end()': ({ socket }) => void socket.end({ timeout: 50 }),
        'a loss': ({ link }) => link.lost(reset()),
        'a FIN': ({ link }) => answersFin(link),
      };
      for (const [place, listen] of Object.entries(places)) {
        for (const [way, end] of Object.entries(ways)) {
          const name = `destroy() in ${place} after ${way}`;
          const config = { reconnect: false as const, name: 'hung?' };
          const { told, socket } = stage({ config }, (made) => {
            made.socket.outbound.next('in flight');
            made.at(1, () => made.socket.outbound.next('waiting'));
            listen(made.socket, () => made.socket.destroy());
            made.at(10, () => end(made));
            made.at(20, () => answersFin(made.link));
          });
          const ends = told.all.filter((text) => / (completed|errored)/.test(text)).map((text) => text.split(' ')[0]);
          expect(ends, name).to.eql(['inbound', 'status', 'connections', 'writable', 'errors']);
          expect(
            told.statuses.slice(-2).map((text) => text.split(' ')[0]),
            name,
          ).to.eql(['closing', 'closed']);
          expect(told.errors.filter((error) => error instanceof WriteError).length, name).to.equal(2);
          expect(countByName()['hung?'], name).to.be.undefined;
          await socket.end();
        }
      }
    });

    it('inside its own end is not forgotten: it does not wait for readers', () => {
      const { told } = stage({ config: { reconnect: false }, reads: false }, ({ socket, at, link }) => {
        socket.status.subscribe(({ type }) => {
          if (type === 'closing') socket.destroy();
        });
        at(10, () => link.chunk('unread\n'));
        at(20, () => answersFin(link));
      });
      expect(told.statuses.at(-1)).to.match(/^closed/);
    });

    it('believes no callback that comes while it gives its messages up [S3][S10]', () => {
      const { told, socket } = stage({}, ({ socket, at, link }) => {
        for (const message of ['a', 'b']) socket.outbound.next(message);
        socket.errors.subscribe(() => {
          if (link.unanswered > 0) link.confirm();
        });
        at(10, () => socket.destroy());
      });
      expect(told.errors.map(({ code }) => code)).to.eql(['TCP_WRITE', 'TCP_WRITE']);
      expect(socket.stats()).to.include({ framesWritten: 0, framesUndelivered: 2, queuedFrames: 0, queuedBytes: 0 });
    });

    it('with an error errors `inbound` with that very error, and tells it as the cause', () => {
      const mine = new Error('mine');
      let error: unknown;
      const { told } = stage({ reads: false }, ({ socket }) => {
        socket.inbound.subscribe({ error: (thrown: unknown) => (error = thrown) });
        socket.destroy(mine);
      });
      expect(error).to.equal(mine);
      expect(told.statuses.at(-1)).to.equal('closed TCP_CLOSED');
    });

    it('by somebody who hears that it is open leaves nothing open [S11]', () => {
      const play: Play = (dialled) => void timer(5).subscribe(() => dialled.open());
      const { dial, socket, now, told } = stage({ play }, ({ socket }) => {
        void socket.write('x');
        socket.status.subscribe(({ type }) => {
          if (type === 'open') socket.destroy();
        });
      });
      expect([dial.gone, now(), told.statuses.at(-1)]).to.eql([true, 5, 'closed']);
      const late: unknown[] = [];
      socket.connections.subscribe((connection) => late.push(connection));
      expect(late).to.eql([]);
    });

    it('inside a frame emits no further one', () => {
      const { told } = stage({}, ({ socket, at, link }) => {
        socket.inbound.subscribe(() => socket.destroy());
        at(10, () => link.chunk('a\nb\n'));
      });
      expect(told.frames).to.eql(['a']);
      expect(told.statuses.at(-1)).to.equal('closed');
    });

    it('by the abort signal gives its reason, before and after the start', () => {
      for (const early of [true, false]) {
        const controller = new AbortController();
        const reason = new Error('enough');
        if (early) controller.abort(reason);
        const { told, dials } = stage({ config: { signal: controller.signal }, reads: false }, ({ at }) => {
          at(10, () => controller.abort(reason));
        });
        expect(told.statuses.at(-1)).to.equal('closed TCP_CLOSED');
        expect(dials.length).to.equal(early ? 0 : 1);
      }
    });
  });

  describe('with `reconnect: false`', () => {
    const config = { reconnect: false as const };

    it('a clean FIN completes `inbound` [S8]', () => {
      const { told, dials } = stage({ config }, ({ at, link }) => {
        at(10, () => link.chunk('bye\n'));
        at(20, () => answersFin(link));
      });
      expect(told.all.slice(1, 5)).to.eql(['bye', 'TCP_CONNECTION_LOST', 'closing', 'inbound completed']);
      expect(dials.length).to.equal(1);
    });

    it('a FIN inside a frame errors it, truncated [S7][S8]', () => {
      const { told } = stage({ config }, ({ at, link }) => {
        at(10, () => link.chunk('whole\nhalf'));
        at(20, () => answersFin(link));
      });
      expect(told.frames).to.eql(['whole']);
      expect(told.all).to.include('inbound errored TCP_FRAME');
      expect(told.errors.map(({ code }) => code)).to.eql(['TCP_FRAME', 'TCP_CONNECTION_LOST']);
    });

    it('anything else errors it [S8]', () => {
      const { told } = stage({ config }, ({ at, link }) => at(10, () => link.lost(reset())));
      expect(told.all).to.include('inbound errored TCP_CONNECTION_LOST');
      const failed = stage({ config, play: (dialled) => void timer(1).subscribe(() => dialled.fail()) }, () => {});
      expect(failed.told.all).to.include('inbound errored TCP_CONNECT');
    });
  });
});

function told_(socket: StayingSocket<string, string>): string {
  return statusText(socket.snapshot().status);
}
