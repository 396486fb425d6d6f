/** What becomes of requests when their socket ends, in each way. */
import { expect } from 'chai';
import { ClosedError, ConnectionLostError, ReconnectLimitError, WriteError, type TcpError } from '../../lib/errors.js';
import { pipelined } from '../../lib/request/pipelined.js';
import { virtualSocket, hangs, opens, refuses, virtualTurns, type Play } from '../support/virtual-socket.js';
import type { OnFakeWrite } from '../support/fake-link.js';
import { tape } from '../support/tape.js';
import { EITHER, type Answer, type Asking } from './asking.js';

/** A kernel that takes one write, and no other. */
function confirmsOne(): OnFakeWrite {
  return (link, index) => (index === 0 ? link.confirm() : undefined);
}

const ends = (answers: readonly Answer[]): unknown[] => answers.map(({ ended }) => ended);

for (const { way, start, reply } of EITHER) {
  describe(`Requests ${way} at the end, in virtual time`, () => {
    virtualTurns();

    /** One that is written, one in the queue, and one that waits; then the socket ends in some way. */
    const endings: Record<string, { readonly end: (asking: Asking) => void; readonly codes: readonly string[] }> = {
      'destroy()': {
        end: ({ socket }) => socket.destroy(),
        codes: ['TCP_CLOSED', 'TCP_WRITE', 'TCP_CLOSED'],
      },
      'destroy(error)': {
        end: ({ socket }) => socket.destroy(new Error('enough')),
        codes: ['TCP_CLOSED', 'TCP_WRITE', 'TCP_CLOSED'],
      },
      'outbound.error()': {
        end: ({ socket }) => socket.outbound.error(new Error('enough')),
        codes: ['TCP_CLOSED', 'TCP_WRITE', 'TCP_CLOSED'],
      },
      'end() that comes to its deadline': {
        end: ({ socket }) => void socket.end({ timeout: 10 }),
        codes: ['TCP_CLOSED', 'TCP_WRITE', 'TCP_CLOSED'],
      },
    };
    for (const [what, { end, codes }] of Object.entries(endings)) {
      it(`of ${what}: each errs once, with what became of its message, and nothing is left [S3][S11]`, () => {
        const kernel = confirmsOne();
        const over = start({ requests: { inFlight: 3 }, kernel }, (asking) => {
          const { ask, at, stats, requests } = asking;
          const answers = [ask('written')];
          const unsolicited = tape(requests.unsolicited);
          at(1, () => answers.push(ask('in flight')));
          at(2, () => answers.push(ask('queued'), ask('waiting')));
          at(5, () => end(asking));
          at(20, () => {
            expect(ends(answers)).to.eql([codes[0], codes[1], codes[1], codes[2]]);
            expect(answers.map(({ error }) => (error as WriteError).fate)).to.eql([
              ...[undefined, 'unknown', 'unsent', undefined],
            ]);
            expect(stats()).to.include({ requests: 4, failed: 4, answered: 0, cancelled: 0, inFlight: 0, waiting: 0 });
            expect(unsolicited.ended).to.equal(what.includes('error') ? 'errored' : 'completed');
            const late = ask('late');
            expect([late.ended, stats().failed]).to.eql(['TCP_CLOSED', 5]);
            expect(late.error).to.be.instanceOf(ClosedError);
          });
        });
        expect(over).to.equal(20);
      });
    }

    it('of end(): what was written gets its replies, until the peer has ended too [S3]', () => {
      start({ requests: { inFlight: 2 } }, ({ ask, at, say, socket, dials, stats }) => {
        const answers = ['a', 'b', 'c'].map((message) => ask(message));
        const closed: unknown[] = [];
        at(1, () => void socket.end());
        socket.status.subscribe({ complete: () => closed.push('closed') });
        at(2, () => answers.push(ask('after end()')));
        at(3, () => say([reply(1, 'A')]));
        at(4, () => {
          expect([dials[0]!.link.ends, closed]).to.eql([1, []]);
          expect(ends(answers)).to.eql(['answered', undefined, 'TCP_CLOSED', 'TCP_CLOSED']);
          dials[0]!.link.fin();
          dials[0]!.link.lost();
        });
        at(5, () => {
          expect(ends(answers)).to.eql(['answered', 'TCP_CLOSED', 'TCP_CLOSED', 'TCP_CLOSED']);
          expect([closed, stats().failed]).to.eql([['closed'], 3]);
        });
      });
    });

    it('of end() during an outage: what was never handed over is written, and answered', () => {
      const socket = { settle: 0, reconnect: { initialDelay: 10, jitter: 0 } };
      start({ socket, play: (dialled, index) => (index === 0 ? dialled.fail() : dialled.open()) }, (asking) => {
        const { ask, at, dials, say, wire } = asking;
        const answers = [ask('a'), ask('b', { resend: 'never' })];
        at(1, () => void asking.socket.end());
        at(20, () => {
          expect(wire().length).to.equal(2);
          say([reply(1, 'A'), reply(2, 'B')]);
          dials[1]!.link.lost();
        });
        at(30, () => expect(ends(answers)).to.eql(['answered', 'answered']));
      });
    });

    it('of end() and a drop: each ends once, with the loss: what may go again has nowhere to go [S3]', () => {
      start({ socket: { settle: 0 }, requests: { resend: 'always' } }, ({ ask, at, socket, dials, stats }) => {
        const answers = [ask('a'), ask('b', { resend: 'never' })];
        at(1, () => void socket.end());
        at(2, () => dials[0]!.link.lost(new Error('reset')));
        at(50, () => {
          expect(ends(answers)).to.eql(['TCP_CONNECTION_LOST', 'TCP_CONNECTION_LOST']);
          expect(stats()).to.include({ failed: 2, inFlight: 0, waiting: 0 });
        });
      });
    });

    it('of reconnect: false: what was handed over has the loss, the rest what became of it [S3]', () => {
      const kernel = confirmsOne();
      start({ socket: { reconnect: false }, requests: { inFlight: 3 }, kernel }, (asking) => {
        const { ask, at, dials, stats, requests } = asking;
        const answers = [ask('written')];
        const unsolicited = tape(requests.unsolicited);
        at(1, () => answers.push(ask('in flight')));
        at(2, () => answers.push(ask('queued'), ask('waiting')));
        at(5, () => dials[0]!.link.lost(new Error('reset')));
        at(6, () => {
          expect(ends(answers).slice(0, 2)).to.eql(['TCP_CONNECTION_LOST', 'TCP_CONNECTION_LOST']);
          for (const { error } of answers.slice(2)) {
            expect(error).to.be.instanceOf(WriteError).and.to.include({ fate: 'unsent' });
            expect((error as WriteError).cause).to.be.instanceOf(ConnectionLostError);
          }
          expect(stats()).to.include({ requests: 4, failed: 4, inFlight: 0, waiting: 0 });
          expect([unsolicited.ended, (unsolicited.error as TcpError).code]).to.eql(['errored', 'TCP_CONNECTION_LOST']);
        });
      });
    });

    it('of the last redial: each has the ReconnectLimitError for its cause [S3]', () => {
      const play: Play = (dialled, index) => (index === 0 ? opens(dialled, 0) : refuses(dialled, index));
      const socket = { reconnect: { maxAttempts: 2, initialDelay: 10, jitter: 0 } };
      const over = start({ socket, play, requests: { inFlight: 2, resend: 'always' } }, (asking) => {
        const { ask, at, dials, stats, requests } = asking;
        const answers = ['a', 'b', 'c'].map((message) => ask(message));
        const unsolicited = tape(requests.unsolicited);
        at(5, () => dials[0]!.link.lost());
        at(100, () => {
          expect(dials.length).to.equal(3);
          for (const { error } of answers) expect((error as Error).cause).to.be.instanceOf(ReconnectLimitError);
          expect(ends(answers)).to.eql(['TCP_WRITE', 'TCP_WRITE', 'TCP_CLOSED']);
          expect(stats()).to.include({ failed: 3, inFlight: 0, waiting: 0 });
          expect([unsolicited.ended, (unsolicited.error as TcpError).code]).to.eql(['errored', 'TCP_RECONNECT_LIMIT']);
        });
      });
      expect(over).to.equal(100);
    });

    it('of destroy() with nothing left in the queue: those that waited for their turn err, too [S3]', () => {
      start({ requests: { inFlight: 1, timeout: 0 } }, ({ ask, at, socket, stats }) => {
        const answers = ['a', 'b', 'c'].map((message) => ask(message));
        at(1, () => socket.destroy());
        at(2, () => {
          expect(ends(answers)).to.eql(['TCP_CLOSED', 'TCP_CLOSED', 'TCP_CLOSED']);
          expect(stats()).to.include({ failed: 3, inFlight: 0, waiting: 0 });
        });
      });
    });

    it('of destroy() while a request on its last try keeps others back, or waits for them: no timer is left [S11]', () => {
      const socket = { settle: 0, reconnect: { initialDelay: 10, maxDelay: 10, jitter: 0 } };
      for (const followed of [true, false]) {
        const over = start(
          { socket, requests: { resend: 'always', retryLimit: 1 } },
          ({ ask, at, dials, socket: its }) => {
            const [slow] = [ask('slow', { retryLimit: followed ? 9 : 1 }), ask('last')];
            at(1, () => dials[0]!.link.lost()); // both are on their way again at 11, `slow` first
            at(50, () => expect(dials[1]!.link.texts.join('')).to.match(/^.*slow\n$/));
            at(60, () => its.destroy());
            at(61, () => expect(slow.ended).to.equal('TCP_CLOSED'));
          },
        );
        expect(over).to.equal(61);
      }
    });

    it('of an AbortSignal: as destroy(error)', () => {
      const controller = new AbortController();
      start({ socket: { signal: controller.signal } }, ({ ask, at }) => {
        const a = ask('a');
        at(1, () => controller.abort());
        at(2, () => expect(a.ended).to.equal('TCP_CLOSED'));
      });
    });

    it('of a lazy socket that was never asked: nothing is left [S11]', () => {
      const over = start({ socket: { lazyConnect: true }, play: hangs }, ({ socket, at }) =>
        at(1, () => socket.destroy()),
      );
      expect(over).to.equal(1);
    });

    it('of a deadline while end() waits: a timeout, counted once', () => {
      for (const cancels of [true, false]) {
        start({ play: hangs }, ({ ask, at, socket, stats, now }) => {
          const a = ask('a', { timeout: 10 });
          let closedAt = 0;
          socket.status.subscribe({ complete: () => (closedAt = now()) });
          at(5, () => void socket.end());
          if (cancels) at(9, () => a.cancel());
          at(20, () => {
            expect([a.ended, closedAt]).to.eql(cancels ? [undefined, 9] : ['TCP_REQUEST_TIMEOUT', 10]);
            const wanted = cancels
              ? { cancelled: 1, failed: 0, timedOut: 0 }
              : { cancelled: 0, failed: 1, timedOut: 1 };
            expect(stats()).to.include({ requests: 1, ...wanted });
          });
        });
      }
    });
  });
}

describe('pipelined, in virtual time', () => {
  virtualTurns();

  it('on a socket that has ended: each request errs, and `unsolicited` has ended', () => {
    virtualSocket({}, opens, ({ socket }) => {
      socket.destroy();
      const requests = pipelined(socket);
      const [others, a] = [tape(requests.unsolicited), tape(requests.request('a'))];
      expect([others.ended, (a.error as TcpError).code]).to.eql(['completed', 'TCP_CLOSED']);
    });
  });
});
