/** Users who do something else in the midst of being told, or of telling. */
import { expect } from 'chai';
import { Subject, takeUntil } from 'rxjs';
import { lines } from '../../lib/codec/lines.js';
import type { TcpSocketConfig } from '../../lib/config.js';
import { mapCodec } from '../../lib/codec/map-codec.js';
import type { RequestId } from '../../lib/request/request-config.js';
import { hangs, virtualTurns } from '../support/virtual-socket.js';
import { askById, askInOrder, BY_ID, EITHER, fromOne, type Answer, type Asking } from './asking.js';

const SOON = { settle: 0, reconnect: { initialDelay: 10, maxDelay: 10, jitter: 0 } } as const;
const ends = (answers: readonly Answer[]): unknown[] => answers.map(({ ended }) => ended);
/** Something to do in the midst of it, given later than the config. */
interface Midst {
  act?: ((message: string) => void) | undefined;
}

/** What users may do in the midst of it. */
const ACTS: readonly ((asking: Asking, answers: Answer[]) => void)[] = [
  ({ ask }, answers) => void answers.push(ask('inner')),
  (_asking, answers) => answers[0]?.cancel(),
  ({ socket }) => socket.redial(),
  ({ socket }) => socket.destroy(),
];

function actOnce(midst: { act?: () => void }): void {
  const { act } = midst;
  delete midst.act;
  act?.();
}

/** A codec that does something for each message before it is encoded. */
function acting(midst: Midst): TcpSocketConfig<string, string> {
  return { codec: mapCodec(lines(), { decode: (line) => line, encode: (line: string) => (midst.act?.(line), line) }) };
}

for (const { way, start, reply } of EITHER) {
  describe(`Requests ${way}, entered again`, () => {
    virtualTurns();

    it('by a reply whose subscriber asks: the next one, and so on', () => {
      start({}, ({ ask, at, say, wire, stats }) => {
        const chain: Answer[] = [];
        const step = (n: number): void =>
          void chain.push(ask(`m${n}`, {}, { reply: () => (n < 20 ? step(n + 1) : undefined) }));
        step(1);
        for (let n = 1; n <= 20; n++) at(n, () => say([reply(n, 'ok')]));
        at(30, () => {
          expect(chain.map(({ replies }) => replies)).to.eql(chain.map((_, i) => [reply(i + 1, 'ok')]));
          expect([wire().length, stats().answered]).to.eql([20, 20]);
        });
      });
    });

    it('by a reply whose subscriber leaves: no other reply comes to it', () => {
      start({ requests: { until: (text) => text.endsWith('end') } }, ({ ask, at, say, stats }) => {
        const a: Answer = ask('a', {}, { reply: () => a.cancel() });
        const b = ask('b');
        at(1, () => say(['1', '2', 'end'].map((text) => reply(1, text))));
        at(2, () => say([reply(2, 'end')]));
        at(3, () => {
          expect([a.replies.length, a.ended, b.ended]).to.eql([1, undefined, 'answered']);
          expect(stats()).to.include({ cancelled: 1, late: 2, answered: 1, inFlight: 0 });
        });
      });
    });

    it('by the last reply, whose subscriber leaves: it was answered', () => {
      start({}, ({ ask, at, say, stats }) => {
        const a: Answer = ask('a', {}, { reply: () => a.cancel() });
        at(1, () => say([reply(1, 'A')]));
        at(2, () => expect([a.ended, stats().answered, stats().cancelled]).to.eql([undefined, 1, 0]));
      });
    });

    it('by a reply whose subscriber destroys the socket: all others err, once', () => {
      start({}, ({ ask, at, say, socket, stats }) => {
        const answers = [ask('a', {}, { reply: () => socket.destroy() }), ask('b'), ask('c')];
        at(1, () => say([reply(1, 'A'), reply(2, 'B')]));
        at(2, () => {
          expect(ends(answers)).to.eql(['answered', 'TCP_CLOSED', 'TCP_CLOSED']);
          expect(stats()).to.include({ answered: 1, failed: 2, inFlight: 0 });
        });
      });
    });

    it('by a reply whose subscriber redials: those behind it are lost, though their replies are at hand [S10]', () => {
      start({ socket: SOON }, ({ ask, at, say, socket, stats }) => {
        const answers = [ask('a', {}, { reply: () => socket.redial() }), ask('b')];
        at(1, () => say([reply(1, 'A'), reply(2, 'B')]));
        at(2, () => expect([ends(answers), stats().stale]).to.eql([['answered', 'TCP_CONNECTION_LOST'], 1]));
      });
    });

    it('by `until`: that ends the socket, leaves, redials, or asks', () => {
      const acts: Record<string, readonly [(asking: Asking, a: () => Answer) => unknown, string | undefined]> = {
        destroys: [({ socket }) => socket.destroy(), 'TCP_CLOSED'],
        leaves: [(_asking, a) => a().cancel(), undefined],
        redials: [({ socket }) => socket.redial(), 'TCP_CONNECTION_LOST'],
        asks: [({ ask }) => ask('more', { until: () => true }), 'answered'],
      };
      for (const [what, [act, ended]] of Object.entries(acts)) {
        start({ socket: SOON }, (asking) => {
          const { ask, at, say, stats, socket } = asking;
          const a: Answer = ask('a', { until: () => (act(asking, () => a), true) });
          at(1, () => say([reply(1, 'A')]));
          at(20, () => {
            expect([what, a.ended]).to.eql([what, ended]);
            const { requests, answered, failed, cancelled, inFlight } = stats();
            expect([what, answered + failed + cancelled + inFlight]).to.eql([what, requests]);
            socket.destroy();
          });
        });
      }
    });

    it('by an error whose subscriber asks again: the new one goes on its own way', () => {
      start({ socket: SOON, requests: { timeout: 50 } }, ({ ask, at, dials, wire, say, stats }) => {
        const again: Answer[] = [];
        ask('a', {}, { end: () => again.push(ask('a2', {}, { end: () => again.push(ask('a3')) })) });
        at(10, () => dials[0]!.link.lost()); // then a2 times out
        at(61, () => {
          expect(wire().map((line) => line.at(-1))).to.eql(['2', '3']);
          say([reply(2, 'late'), reply(3, 'A')]);
        });
        at(62, () => expect([ends(again), stats().late]).to.eql([['TCP_REQUEST_TIMEOUT', 'answered'], 1]));
      });
    });

    it('by an error whose subscriber destroys the socket, or leaves with another: each ends once [S3][S11]', () => {
      for (const deadline of [true, false]) {
        const end = start(
          { socket: SOON, requests: { timeout: 10, resend: 'never' } },
          ({ ask, at, dials, socket, stats }) => {
            const answers: Answer[] = [];
            answers.push(
              ask(
                'a',
                {},
                {
                  end: () => {
                    answers[1]!.cancel();
                    socket.destroy();
                  },
                },
              ),
            );
            answers.push(ask('b'), ask('c'));
            if (!deadline) at(5, () => dials[0]!.link.lost());
            at(20, () => {
              const other = deadline ? 'TCP_CLOSED' : 'TCP_CONNECTION_LOST';
              expect(ends(answers)).to.eql([deadline ? 'TCP_REQUEST_TIMEOUT' : other, undefined, other]);
              expect(stats().requests).to.equal(stats().failed + (deadline ? 1 : 0));
            });
          },
        );
        expect(end).to.equal(20);
      }
    });

    it('by an eviction whose subscriber asks: replies find those who asked for them, in the order of the queue [S1]', () => {
      const socket = { writeBuffer: { frames: 2 }, overflow: 'dropOldest' } as const;
      start({ socket, play: hangs }, ({ ask, at, dials, wire, say }) => {
        const answers: Answer[] = [];
        for (const message of ['a', 'b', 'c', 'd']) {
          const end = (): void => void answers.push(ask(`${message}2`));
          answers.push(ask(message, {}, { end }));
        }
        at(1, () => dials[0]!.open());
        for (const ms of [2, 3, 4, 5]) {
          at(ms, () => {
            const had = answers.filter(({ ended }) => ended === 'answered').length;
            say(
              wire()
                .slice(had)
                .map((line) => `${line} answered`),
            );
          });
        }
        at(10, () => {
          const answered = answers.filter(({ ended }) => ended === 'answered');
          expect(answered.length).to.be.greaterThan(1);
          for (const { message, replies } of answered)
            expect(replies[0]).to.match(new RegExp(`(^| )${message} answered$`));
        });
      });
    });

    it('by what hears of a loss and asks, or writes: replies find those who asked for them', () => {
      const midst: { act?: () => void } = {};
      start({ socket: SOON, requests: { resend: 'always' } }, ({ ask, at, socket, dials, wire, say }) => {
        const answers = ['a', 'b'].map((message) => ask(message));
        socket.errors.subscribe(() => midst.act?.());
        socket.writable.subscribe(() => midst.act?.());
        midst.act = () => {
          midst.act = undefined;
          answers.push(ask('by the error'));
          answers[0]!.cancel();
        };
        at(1, () => dials[0]!.link.lost());
        at(20, () => say(wire().map((line) => `${line} answered`)));
        at(21, () => {
          expect(ends(answers)).to.eql([undefined, 'answered', 'answered']);
          expect(answers.slice(1).map(({ message, replies }) => replies[0]!.endsWith(`${message} answered`))).to.eql([
            true,
            true,
          ]);
        });
      });
    });

    it('by `encode` that asks: the other goes before it, and each gets its own reply [S1]', () => {
      const midst: Midst = {};
      start({ socket: acting(midst), requests: { inFlight: 2 } }, ({ ask, at, wire, say }) => {
        const answers: Answer[] = [];
        midst.act = (line) => {
          if (!line.endsWith('b')) return;
          midst.act = undefined;
          answers.push(ask('inner'));
        };
        answers.push(...['a', 'b', 'c'].map((message) => ask(message)));
        for (const ms of [1, 2, 3]) {
          at(ms, () => {
            const open = wire().slice(answers.filter(({ ended }) => ended === 'answered').length);
            say(open.map((line) => `${line} answered`));
          });
        }
        at(9, () => {
          expect(ends(answers)).to.eql(Array(4).fill('answered'));
          for (const { message, replies } of answers)
            expect(replies[0]).to.match(new RegExp(`(^| )${message} answered$`));
        });
      });
    });

    for (const [what, act, wanted] of [
      ['destroys the socket', ({ socket }) => socket.destroy(), 'TCP_CLOSED'],
      ['ends the socket', ({ socket }) => void socket.end(), 'TCP_CLOSED'],
      ['redials', ({ socket }) => socket.redial(), 'answered'],
    ] as readonly (readonly [string, (asking: Asking) => void, string])[]) {
      it(`by \`encode\` that ${what}: the request ends once [S3]`, () => {
        const midst: Midst = {};
        start({ socket: { ...SOON, ...acting(midst) } }, (asking) => {
          const { ask, at, say, wire, stats, dials } = asking;
          const answers: Answer[] = [];
          at(1, () => {
            midst.act = () => {
              midst.act = undefined;
              act(asking);
            };
            answers.push(ask('a'));
          });
          at(20, () => (dials.at(-1)!.link.texts.length > 0 ? say(wire()) : undefined));
          at(21, () => {
            expect(ends(answers)).to.eql([wanted]);
            expect(stats()).to.include({ requests: 1, inFlight: 0, waiting: 0 });
            asking.socket.destroy();
          });
        });
      });
    }

    it('by `encode` that makes the request’s own subscriber leave: it is taken back', () => {
      const midst: Midst = {};
      start({ socket: acting(midst), requests: { inFlight: 1 } }, ({ ask, at, say, socket, stats, wire }) => {
        ask('first');
        const second = ask('second');
        midst.act = () => second.cancel();
        at(1, () => say([reply(1, 'A')]));
        at(2, () => {
          expect([wire().length, stats().cancelled, stats().inFlight, socket.stats().queuedFrames]).to.eql([
            1, 1, 0, 0,
          ]);
        });
      });
    });

    it('by thousands that fail at once: none is told within another [S5]', () => {
      start(
        {
          socket: {
            codec: {
              ...lines(),
              encode: () => {
                throw new Error('no');
              },
            },
          },
          requests: { inFlight: 1 },
        },
        ({ ask }) => {
          const answers = Array.from({ length: 3_000 }, (_, i) => ask(`m${i}`));
          expect(answers.every(({ ended }) => ended === 'TCP_FRAME')).to.equal(true);
        },
      );
      start({ play: hangs, requests: { inFlight: 1 } }, ({ ask, socket, stats }) => {
        const answers = Array.from({ length: 20_000 }, (_, i) => ask(`m${i}`));
        socket.destroy();
        expect(answers.every(({ ended }) => ended !== undefined)).to.equal(true);
        expect(stats()).to.include({ failed: 20_000, inFlight: 0, waiting: 0 });
      });
    });
  });
}

describe('Requests by id, entered again', () => {
  virtualTurns();

  for (const where of ['assign', 'nextId', 'idOf'] as const) {
    it(`by \`${where}\`, that asks, leaves, redials or destroys: each ends once [S3]`, () => {
      for (const act of ACTS) {
        const midst: { act?: () => void } = {};
        const once = (): void => actOnce(midst);
        const fresh = fromOne();
        const requests = {
          assign: (message: string, id: RequestId) => (where === 'assign' && once(), BY_ID.assign(message, id)),
          nextId: () => (where === 'nextId' && once(), fresh()),
          idOf: (frame: string) => (where === 'idOf' && once(), BY_ID.idOf(frame)),
        };
        askById({ socket: SOON, requests }, (asking) => {
          const { ask, at, say, wire, stats, socket, dials } = asking;
          const answers = [ask('first')];
          at(1, () => {
            midst.act = () => act(asking, answers);
            if (where !== 'idOf') answers.push(ask('second'));
          });
          for (const ms of [2, 3, 30, 31])
            at(ms, () => (dials.at(-1)!.gone || wire().length === 0 ? undefined : say(wire())));
          at(40, () => {
            socket.destroy();
            const { requests: made, answered, failed, cancelled, inFlight, waiting } = stats();
            expect([answered + failed + cancelled, inFlight, waiting]).to.eql([made, 0, 0]);
            for (const { ended } of answers)
              expect(ended).to.be.oneOf(['answered', 'TCP_CLOSED', 'TCP_WRITE', 'TCP_CONNECTION_LOST', undefined]);
          });
        });
      }
    });
  }

  it('by `assign` that makes the request’s own subscriber leave: it is not written, not even when there is room', () => {
    for (const frames of [1, 10]) {
      const leave = new Subject<void>();
      const requests = {
        inFlight: 1,
        assign: (message: string, id: RequestId) => {
          if (message === 'second') leave.next();
          return BY_ID.assign(message, id);
        },
      };
      const setting = { socket: { writeBuffer: { frames } }, requests, kernel: () => undefined };
      askById(setting, ({ ask, at, say, dials, socket, requests: its, stats, wire }) => {
        ask('first');
        its.request('second').pipe(takeUntil(leave)).subscribe();
        at(1, () => dials[0]!.link.confirm());
        at(2, () => socket.outbound.next('filler'));
        at(3, () => say(['1 A'])); // now it is the turn of the second, and the filler may have taken the room
        at(4, () => dials[0]!.link.confirm());
        at(5, () => expect([wire(), stats().cancelled, stats().waiting]).to.eql([['1 first', 'filler'], 1, 0]));
      });
    }
  });
});

describe('Requests in order, entered again', () => {
  virtualTurns();

  it('by `unsolicited`, that asks, redials or destroys: each ends once [S3]', () => {
    for (const act of ACTS) {
      const midst: { act?: () => void } = {};
      const unsolicited = (): boolean => (actOnce(midst), false);
      askInOrder({ socket: SOON, requests: { unsolicited } }, (asking) => {
        const { ask, at, say, stats, socket } = asking;
        const answers = [ask('a'), ask('b')];
        midst.act = () => act(asking, answers);
        at(1, () => say(['A', 'B']));
        at(20, () => {
          socket.destroy();
          const { requests, answered, failed, cancelled, inFlight } = stats();
          expect([answered + failed + cancelled, inFlight]).to.eql([requests, 0]);
        });
      });
    }
  });
});
