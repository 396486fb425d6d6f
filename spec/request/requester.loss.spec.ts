/** What becomes of requests when connections are lost, at each moment. */
import { expect } from 'chai';
import { ConnectionLostError } from '../../lib/errors.js';
import { nodeError } from '../support/fake-stream.js';
import { opens, virtualTurns } from '../support/virtual-socket.js';
import { askById, askInOrder, EITHER, type Answer, type Asking } from './asking.js';

/** Every redial after 10 ms, and what opens is written to at once. */
const SOON = { settle: 0, reconnect: { initialDelay: 10, maxDelay: 10, jitter: 0 } } as const;
const TILL_END = { until: (reply: string): boolean => reply.endsWith('end') };

/** What the newest connection was given, without ids. */
const messages = ({ wire }: Asking, index = -1): string[] => wire(index).map((line) => line.split(' ').at(-1)!);
const ends = (answers: readonly Answer[]): unknown[] => answers.map(({ ended }) => ended);

for (const { way, start } of EITHER) {
  /** The peer answers everything that the newest connection was given, or so much of it. */
  const answerAll = ({ wire, say }: Asking, upTo = Infinity): void =>
    say(
      wire()
        .slice(0, upTo)
        .map((line) => line.toUpperCase()),
    );
  const lose = ({ dials }: Asking): void => dials.at(-1)!.link.lost(nodeError('ECONNRESET'));

  describe(`Requests ${way} on a drop, in virtual time`, () => {
    virtualTurns();

    for (const [resend, wanted] of [
      ['never', { handed: 'TCP_CONNECTION_LOST', queued: 'TCP_CONNECTION_LOST', waiting: 'TCP_CONNECTION_LOST' }],
      ['unsent', { handed: 'TCP_CONNECTION_LOST', queued: 'answered', waiting: 'answered' }],
      ['always', { handed: 'answered', queued: 'answered', waiting: 'answered' }],
    ] as const) {
      for (const by of ['all', 'each'] as const) {
        it(`end under '${resend}', given for ${by}, as they stood: handed over ${wanted.handed}, queued ${wanted.queued}, waiting ${wanted.waiting} [S3]`, () => {
          const terms = { resend };
          const requests = { inFlight: 2, ...(by === 'all' && terms) };
          // Nothing is confirmed on the first connection, so that the second request stays in the queue.
          const setting = { socket: SOON, requests, kernel: () => undefined };
          start(setting, (asking) => {
            const { ask, at, dials } = asking;
            const its = by === 'each' ? terms : {};
            const answers = [ask('handed', its)];
            at(1, () => void answers.push(ask('queued', its), ask('waiting', its)));
            at(2, () => expect([dials[0]!.link.unanswered, asking.stats().waiting]).to.eql([1, 1]));
            at(5, () => lose(asking));
            for (const ms of [16, 17, 18, 19, 20]) {
              at(ms, () => {
                const { link } = dials[1]!;
                link.confirm(link.unanswered);
                answerAll(asking);
              });
            }
            at(30, () => {
              expect(ends(answers)).to.eql(Object.values(wanted));
              const failed = answers.filter(({ ended }) => ended !== 'answered');
              for (const { error, endedAt } of failed) {
                expect(error).to.be.instanceOf(ConnectionLostError).and.to.include({ epoch: 1 });
                expect(endedAt).to.equal(5);
              }
              expect(new Set(failed.map(({ error }) => error)).size).to.be.below(2);
              const { stats } = asking;
              expect(stats()).to.include({
                failed: failed.length,
                answered: 3 - failed.length,
                inFlight: 0,
                waiting: 0,
              });
              expect(stats().resent).to.equal(resend === 'always' ? 1 : 0);
            });
          });
        });
      }
    }

    it('are told of it by their own error alone, the very one of `errors` [S9]', () => {
      start({ socket: SOON }, (asking) => {
        const { ask, at, errors, socket } = asking;
        const losses: unknown[] = [];
        socket.errors.subscribe((error) => losses.push(error));
        const answers = [ask('a'), ask('b')];
        at(1, () => lose(asking));
        at(30, () => {
          expect(answers.map(({ error }) => error)).to.eql([losses[0], losses[0]]);
          expect(answers[0]!.error).to.equal(losses[0]);
          expect([errors, socket.stats().framesUndelivered]).to.eql([['TCP_CONNECTION_LOST'], 0]);
        });
      });
    });

    it('that were answered are not touched by it, though the kernel never confirmed them [S3]', () => {
      start({ socket: SOON, requests: { resend: 'always' }, kernel: () => undefined }, (asking) => {
        const { ask, at, errors, dials } = asking;
        const a = ask('a');
        at(1, () => answerAll(asking));
        at(2, () => lose(asking));
        at(30, () => {
          expect([a.ended, errors, dials[1]!.link.texts]).to.eql(['answered', ['TCP_CONNECTION_LOST'], []]);
        });
      });
    });

    it('that nobody waits for any more are not written again, nor told of [S9]', () => {
      for (const kernel of [undefined, () => undefined]) {
        start({ socket: SOON, requests: { resend: 'always', timeout: 3 }, ...(kernel && { kernel }) }, (asking) => {
          const { ask, at, errors, dials, stats } = asking;
          const [a] = [ask('a'), ask('b')];
          at(1, () => a.cancel());
          at(5, () => lose(asking));
          at(30, () => {
            expect([errors, dials[1]!.link.texts]).to.eql([['TCP_CONNECTION_LOST'], []]);
            expect(stats()).to.include({ cancelled: 1, timedOut: 1, failed: 1, resent: 0, inFlight: 0 });
          });
        });
      }
    });

    it('whose stream has begun are not written again, be it idempotent or not [S3]', () => {
      start({ socket: SOON, requests: { ...TILL_END, resend: 'always' } }, (asking) => {
        const { ask, at, say } = asking;
        const [begun, not] = [ask('begun'), ask('end')];
        at(1, () => say([asking.wire()[0]!]));
        at(2, () => lose(asking));
        at(20, () => expect(messages(asking)).to.eql(['end']));
        at(21, () => answerAll(asking));
        at(22, () => say(asking.wire().map((line) => `${line} end`)));
        at(30, () => {
          expect([begun.ended, begun.replies.length]).to.eql(['TCP_CONNECTION_LOST', 1]);
          expect([not.ended, not.replies.length > 0]).to.eql(['answered', true]);
        });
      });
    });

    it('that wait for room in the write buffer stay behind those that go again, and err under `never` [S3]', () => {
      const setting = {
        socket: { ...SOON, writeBuffer: { frames: 1 } },
        requests: { resend: 'always' as const },
        kernel: () => undefined,
      };
      for (const resend of ['always', 'never'] as const) {
        start(setting, (asking) => {
          const { ask, at, dials, stats } = asking;
          const answers = [ask('a'), ask('room', { resend }), ask('c')];
          at(1, () => lose(asking));
          for (const ms of [15, 16, 17, 18, 19]) {
            at(ms, () => {
              const { link } = dials[1]!;
              if (link.unanswered > 0) link.confirm();
            });
          }
          const out = resend === 'always' ? ['a', 'room', 'c'] : ['a', 'c'];
          at(25, () => expect(messages(asking)).to.eql(out));
          at(26, () => answerAll(asking));
          at(30, () => {
            expect(ends(answers)).to.eql([
              'answered',
              resend === 'always' ? 'answered' : 'TCP_CONNECTION_LOST',
              'answered',
            ]);
            expect(stats()).to.include({ inFlight: 0, waiting: 0 });
          });
        });
      }
    });

    it('go again in their order, and before all that wait', () => {
      start({ socket: SOON, requests: { inFlight: 3, resend: 'always' } }, (asking) => {
        const { ask, at } = asking;
        const answers = ['a', 'b', 'c', 'd', 'e'].map((message) => ask(message));
        at(1, () => answerAll(asking, 1));
        at(2, () => expect(messages(asking)).to.eql(['a', 'b', 'c', 'd']));
        at(3, () => lose(asking));
        at(4, () => answers.push(ask('f')));
        at(20, () => expect(messages(asking)).to.eql(['b', 'c', 'd']));
        for (const ms of [21, 22, 23]) at(ms, () => answerAll(asking));
        at(30, () => {
          expect(messages(asking)).to.eql(['b', 'c', 'd', 'e', 'f']);
          expect(ends(answers)).to.eql(Array(6).fill('answered'));
        });
      });
    });

    it('that were never handed over go out in their order, however often the connection is lost', () => {
      const kernel = () => undefined;
      start({ socket: SOON, requests: { resend: 'unsent' }, kernel }, (asking) => {
        const { ask, at, dials } = asking;
        const answers = [ask('first')];
        at(1, () => answers.push(...['a', 'b', 'c'].map((message) => ask(message))));
        at(2, () => lose(asking));
        at(8, () => answers.push(ask('d')));
        at(20, () => {
          expect(ends(answers)).to.eql(['TCP_CONNECTION_LOST', undefined, undefined, undefined, undefined]);
          // The oldest goes alone after a loss.
          expect(messages(asking)).to.eql(['a']);
          dials[1]!.link.confirm();
        });
        at(21, () => expect(messages(asking)).to.eql(['a', 'b', 'c', 'd']));
      });
    });

    for (const retryLimit of [0, 1, 3]) {
      for (const by of ['all', 'each', 'the socket'] as const) {
        it(`go again ${retryLimit} times at most with a retryLimit of ${retryLimit}, given for ${by}`, () => {
          const socket = { ...SOON, ...(by === 'the socket' && { retryLimit }) };
          const requests = { resend: 'always', ...(by === 'all' && { retryLimit }) } as const;
          start({ socket, requests }, (asking) => {
            const { ask, at, dials, stats } = asking;
            const poison = ask('poison', by === 'each' ? { retryLimit } : undefined);
            for (let drop = 0; drop <= retryLimit; drop++) {
              at(5 + drop * 100, () => {
                expect(poison.ended).to.equal(undefined);
                lose(asking);
              });
            }
            at(1_000, () => {
              expect(dials.map(({ link }) => link.texts.length)).to.eql([...Array<number>(retryLimit + 1).fill(1), 0]);
              expect([poison.ended, stats().resent]).to.eql(['TCP_CONNECTION_LOST', retryLimit]);
              expect(poison.error).to.include({ epoch: retryLimit + 1 });
            });
          });
        });
      }
    }

    it('that were not handed over lose no try, however many connections are lost before', () => {
      start({ socket: SOON, requests: { resend: 'always', retryLimit: 1 }, kernel: () => undefined }, (asking) => {
        const { ask, at } = asking;
        const first = ask('first', { retryLimit: 9 });
        const patient: Answer[] = [];
        at(1, () => patient.push(ask('patient')));
        for (const ms of [100, 200, 300, 400]) at(ms, () => lose(asking));
        at(450, () => asking.dials.at(-1)!.link.confirm());
        at(460, () => answerAll(asking));
        at(470, () => expect([first.ended, ends(patient)]).to.eql(['answered', ['answered']]));
      });
    });

    it('on their last try go alone, so that what kills its connection takes no other along', () => {
      start({ socket: SOON, requests: { resend: 'always', retryLimit: 1 } }, (asking) => {
        const { ask, at } = asking;
        const answers = ['poison', 'b', 'c'].map((message) => ask(message));
        at(1, () => lose(asking));
        at(20, () => {
          expect(messages(asking)).to.eql(['poison']);
          lose(asking);
        });
        at(40, () => {
          expect([messages(asking), ends(answers)]).to.eql([['b'], ['TCP_CONNECTION_LOST', undefined, undefined]]);
          answers.push(ask('new'));
        });
        at(41, () => answerAll(asking));
        at(42, () => expect(messages(asking)).to.eql(['b', 'c']));
        at(43, () => answerAll(asking));
        at(44, () => answerAll(asking));
        at(50, () => {
          expect(messages(asking)).to.eql(['b', 'c', 'new']);
          expect(ends(answers)).to.eql(['TCP_CONNECTION_LOST', 'answered', 'answered', 'answered']);
        });
      });
    });

    it('on their last try keep the others back for a second of a connection, or two: a peer may take long to answer', () => {
      start({ socket: SOON, requests: { resend: 'always', retryLimit: 1 } }, (asking) => {
        const { ask, at } = asking;
        const slow = ask('slow');
        at(1, () => lose(asking)); // the next connection opens at 11
        at(20, () => ask('next'));
        at(1_010, () => expect(messages(asking)).to.eql(['slow']));
        at(2_011, () => expect(messages(asking)).to.eql(['slow', 'next']));
        at(2_100, () => answerAll(asking));
        at(2_101, () => expect(slow.ended).to.equal('answered'));
      });
    });

    it('on their last try wait for a second, if need be, that others aloft may show whether they kill the connection', () => {
      start({ socket: SOON, requests: { resend: 'always', retryLimit: 1 } }, (asking) => {
        const { ask, at } = asking;
        const answers = [ask('last'), ask('slow', { retryLimit: 9 })];
        at(1, () => lose(asking)); // they are on their way again at 11: `last` alone
        at(12, () => answerAll(asking, 1));
        at(13, () =>
          expect([messages(asking), ends(answers)]).to.eql([
            ['last', 'slow'],
            ['answered', undefined],
          ]),
        );
        at(100, () => answers.push(ask('third')));
        at(101, () => expect(messages(asking)).to.eql(['last', 'slow', 'third']));
        at(110, () => lose(asking)); // `slow` and `third` at 120, of which `third` is on its last try
        at(125, () => expect(messages(asking)).to.eql(['slow']));
        at(1_109, () => expect(messages(asking)).to.eql(['slow']));
        at(1_121, () => expect(messages(asking)).to.eql(['slow', 'third']));
        at(1_122, () => answerAll(asking));
        at(1_123, () => expect(ends(answers)).to.eql(['answered', 'answered', 'answered']));
      });
    });

    it('go again after the wait and the settling of the connection, and in no ms before', () => {
      const reconnect = { initialDelay: 100, maxDelay: 100, jitter: 0 };
      start({ socket: { settle: 50, reconnect }, requests: { resend: 'always' } }, (asking) => {
        const { ask, at, dials } = asking;
        const a = ask('a');
        at(10, () => lose(asking));
        at(159, () =>
          expect(dials.map((dialled) => [dialled.at, dialled.link.texts.length])).to.eql([
            [0, 1],
            [110, 0],
          ]),
        );
        at(161, () => expect(messages(asking)).to.eql(['a']));
        at(170, () => answerAll(asking));
        at(171, () => expect(a).to.include({ ended: 'answered', endedAt: 170 }));
      });
    });

    it('keep their deadline, which an outage does not put off', () => {
      const reconnect = { initialDelay: 500, maxDelay: 500, jitter: 0 };
      start({ socket: { reconnect }, requests: { resend: 'always', timeout: 100 } }, (asking) => {
        const a = asking.ask('a');
        asking.at(50, () => lose(asking));
        asking.at(101, () => expect(a).to.include({ ended: 'TCP_REQUEST_TIMEOUT', endedAt: 100 }));
        asking.at(1_100, () => expect(asking.dials[1]!.link.texts).to.eql([]));
      });
    });

    it('get no reply of a lost connection that a hold has kept: it is counted as stale [S10]', () => {
      start({ socket: SOON, requests: { resend: 'always' } }, (asking) => {
        const { ask, at, socket, stats, say, wire } = asking;
        const answers = [ask('a'), ask('b')];
        let release = (): void => undefined;
        at(1, () => (release = socket.pause()));
        at(2, () => say(wire().map((line) => `${line} old`)));
        at(3, () => lose(asking));
        at(20, () => release());
        at(21, () => expect([stats().stale, ends(answers)]).to.eql([2, [undefined, undefined]]));
        at(22, () => say(wire().map((line) => `${line} new`)));
        at(23, () => {
          expect(ends(answers)).to.eql(['answered', 'answered']);
          for (const { replies } of answers) expect(replies.join()).to.match(/new$/);
        });
      });
    });

    it('get what came with the last bytes of the connection, before its loss', () => {
      start({ socket: SOON }, (asking) => {
        const { ask, at, dials, wire } = asking;
        const answers = [ask('a'), ask('b')];
        at(1, () => (dials[0]!.link.unread = Buffer.from(`${wire()[0]!}\n`)));
        at(2, () => lose(asking));
        at(3, () => expect(ends(answers)).to.eql(['answered', 'TCP_CONNECTION_LOST']));
      });
    });

    it('made by whoever hears of the loss go to the next connection', () => {
      start({ socket: SOON }, (asking) => {
        const { ask, at, socket } = asking;
        const again: Answer[] = [];
        const first = ask('first', {}, { end: () => again.push(ask('by its error')) });
        socket.status.subscribe(({ type }) => type === 'backoff' && again.push(ask('by the status')));
        at(1, () => lose(asking));
        at(20, () =>
          expect(messages(asking)).to.have.members(
            ['by its error', 'by the status'].map((text) => text.split(' ').at(-1)),
          ),
        );
        at(21, () => answerAll(asking));
        at(22, () => expect([first.ended, ends(again)]).to.eql(['TCP_CONNECTION_LOST', ['answered', 'answered']]));
      });
    });

    it('made by whoever hears of the loss stand behind those that go again', () => {
      start({ socket: SOON, requests: { resend: 'always' } }, (asking) => {
        const { ask, at } = asking;
        ask('told', { resend: 'never' }, { end: () => ask('new') });
        ask('again');
        at(1, () => lose(asking));
        at(20, () => expect(messages(asking)).to.eql(['again', 'new']));
        at(21, () => answerAll(asking));
      });
    });

    it('are lost to redial() as to any other end of a connection', () => {
      start({ socket: SOON, requests: { resend: 'always' } }, (asking) => {
        const { ask, at, socket } = asking;
        const answers = [ask('a'), ask('b', { resend: 'never' }), ask('c', { resend: 'unsent' })];
        at(1, () => socket.redial());
        at(20, () => answerAll(asking));
        at(21, () => expect(ends(answers)).to.eql(['answered', 'TCP_CONNECTION_LOST', 'TCP_CONNECTION_LOST']));
      });
    });

    it('of several lost connections end once each, and nothing is left of them [S3][S11]', () => {
      const end = start({ socket: SOON, requests: { inFlight: 3, retryLimit: 2 } }, (asking) => {
        const { ask, at, stats, socket } = asking;
        const kinds = ['never', 'unsent', 'always'] as const;
        const answers = Array.from({ length: 30 }, (_, i) => ask(`m${i}`, { resend: kinds[i % 3]! }));
        for (let ms = 5; ms < 300; ms += 15) {
          at(ms, () => answerAll(asking, 1));
          at(ms + 1, () => lose(asking));
        }
        at(400, () => {
          socket.destroy();
          for (const { ended } of answers)
            expect(['answered', 'TCP_CONNECTION_LOST', 'TCP_WRITE', 'TCP_CLOSED']).to.include(ended);
          const { requests, answered, failed, inFlight, waiting } = stats();
          expect([requests, answered + failed, inFlight, waiting]).to.eql([30, 30, 0, 0]);
        });
      });
      expect(end).to.equal(400);
    });
  });
}

describe('Requests in order on a drop, in virtual time', () => {
  virtualTurns();

  it('drop the connection where `unsolicited` or `until` throws, and no frame behind it answers anybody', () => {
    for (const thrower of ['unsolicited', 'until'] as const) {
      const requests = {
        [thrower]: (frame: string) => {
          if (frame === 'X') throw new Error('mine');
          return thrower === 'until';
        },
      };
      askInOrder({ socket: SOON, requests }, ({ ask, at, say, errors, dials, stats }) => {
        const answers = ['a', 'b', 'c'].map((message) => ask(message));
        at(1, () => say(['A', 'X', 'C']));
        at(2, () => {
          expect(answers.map(({ ended }) => ended)).to.eql([
            ...['answered', 'TCP_FRAME', thrower === 'until' ? 'TCP_FRAME' : 'TCP_FRAME'],
          ]);
          expect([errors, dials[0]!.gone, stats().stale]).to.eql([['TCP_FRAME'], true, 1]);
        });
      });
    }
  });

  it('swallow replies in the place of one that has left, up to the loss and not behind it', () => {
    askInOrder({ socket: SOON, requests: { resend: 'always' } }, (asking) => {
      const { ask, at, say, dials } = asking;
      const [a, b] = [ask('a'), ask('b')];
      at(1, () => a.cancel());
      at(2, () => dials[0]!.link.lost());
      at(20, () => say(['B']));
      at(21, () => expect([a.replies, b.replies]).to.eql([[], ['B']]));
    });
  });
});

describe('Requests by id on a drop, in virtual time', () => {
  virtualTurns();

  it('get another id when they go again, so that a late reply to the first is nobody’s', () => {
    askById({ socket: SOON, requests: { resend: 'always' } }, ({ ask, at, say, wire, dials, stats }) => {
      const a = ask('a');
      at(1, () => dials[0]!.link.lost());
      at(20, () => expect(wire()).to.eql(['2 a']));
      at(21, () => say(['1 old', '2 new']));
      at(22, () => expect([a.replies, stats().unknown]).to.eql([['2 new'], 1]));
    });
  });

  it('lose the connection to no frame, whatever throws', () => {
    const until = (): never => {
      throw new Error('mine');
    };
    askById({ play: opens, requests: { until } }, ({ ask, at, say, dials, errors }) => {
      const answers = [ask('a'), ask('b', { until: () => true })];
      at(1, () => say(['bad id', '1 A', '2 B']));
      at(2, () => {
        expect([answers.map(({ ended }) => ended), errors]).to.eql([['TCP_FRAME', 'answered'], ['TCP_FRAME']]);
        expect(dials[0]!.gone).to.equal(false);
      });
    });
  });
});
