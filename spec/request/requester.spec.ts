import { expect } from 'chai';
import { concat, firstValueFrom, repeat, retry, toArray, type Observable } from 'rxjs';
import { lines } from '../../lib/codec/lines.js';
import { OverflowError, RequestTimeoutError } from '../../lib/errors.js';
import { hangs, opens, virtualTurns } from '../support/virtual-socket.js';
import { askById, askInOrder, EITHER } from './asking.js';

/** The last of a stream. */
const TILL_END = { until: (reply: string): boolean => reply.endsWith('end') };

for (const { way, start, reply } of EITHER) {
  describe(`Requests ${way}, in virtual time`, () => {
    virtualTurns();

    describe('a request', () => {
      it('gets its reply and is over', () => {
        start({}, ({ ask, say, at, stats }) => {
          const ping = ask('ping');
          at(5, () => say([reply(1, 'pong')]));
          at(6, () => {
            expect(ping).to.include({ ended: 'answered', endedAt: 5 });
            expect(ping.replies).to.eql([reply(1, 'pong')]);
            expect(stats()).to.include({ requests: 1, answered: 1, failed: 0, cancelled: 0, inFlight: 0 });
          });
        });
      });

      it('is cold: without a subscription nothing is written, and each subscription is a request', () => {
        start({}, ({ requests, stats, wire, at, say }) => {
          const request = requests.request('ping');
          at(5, () => expect([wire(), stats().requests]).to.eql([[], 0]));
          const replies: string[] = [];
          at(6, () => {
            request.subscribe((frame) => replies.push(`first ${frame}`));
            request.subscribe((frame) => replies.push(`second ${frame}`));
          });
          at(7, () => expect([wire().length, stats().requests]).to.eql([2, 2]));
          at(8, () => say([reply(1, 'A'), reply(2, 'B')]));
          at(9, () => expect(replies).to.eql([`first ${reply(1, 'A')}`, `second ${reply(2, 'B')}`]));
        });
      });

      it('gets a stream of replies, up to the one that `until` takes for the last', () => {
        start({ requests: TILL_END }, ({ ask, say, at, stats }) => {
          const stream = ask('list');
          at(5, () => say(['A', 'B'].map((text) => reply(1, text))));
          at(6, () => expect([stream.replies.length, stream.ended, stats().inFlight]).to.eql([2, undefined, 1]));
          at(7, () => say([reply(1, 'end'), reply(1, 'more')]));
          at(8, () => {
            expect(stream.replies).to.eql(['A', 'B', 'end'].map((text) => reply(1, text)));
            expect([stream.ended, stream.endedAt, stats().inFlight]).to.eql(['answered', 7, 0]);
          });
        });
      });

      it('errs with what `failure` makes of its last reply, and gives no reply of it; nobody else is told', () => {
        const refusal = new Error('refused');
        const failure = (text: string): Error | undefined => (text.endsWith('ERR end') ? refusal : undefined);
        start({ requests: { ...TILL_END, failure } }, ({ ask, say, at, errors, stats, dials }) => {
          const answers = [ask('a'), ask('b'), ask('c', { failure: () => undefined })];
          const lines = [
            [1, 'ERR'],
            [1, 'ERR end'],
            [2, 'end'],
            [3, 'ERR end'],
          ] as const;
          at(1, () => say(lines.map(([number, text]) => reply(number, text))));
          at(2, () => {
            expect(answers.map(({ replies }) => replies.length)).to.eql([1, 1, 1]);
            expect([answers[0]!.error === refusal, answers[1]!.ended, answers[2]!.ended]).to.eql([
              ...[true, 'answered', 'answered'],
            ]);
            expect([errors, dials[0]!.gone, stats().inFlight]).to.eql([[], false, 0]);
          });
        });
      });

      it('has options of its own before those of all', () => {
        start({ requests: { ...TILL_END, timeout: 50 } }, ({ ask, say, at }) => {
          const [short, long] = [ask('a', { until: () => true, timeout: 20 }), ask('b', { timeout: 0 })];
          at(5, () => say([reply(1, 'A'), reply(2, 'B')]));
          at(60, () => expect([short.ended, long.ended]).to.eql(['answered', undefined]));
        });
      });

      it('works with the operators of RxJS: one after the other, again, and again after an error', () => {
        start({ requests: { timeout: 10 } }, ({ requests, at, say, wire }) => {
          const heard: string[] = [];
          const collect = (source: Observable<string>): void =>
            void source.subscribe({ next: (frame) => heard.push(frame), complete: () => heard.push('done') });
          collect(concat(requests.request('a'), requests.request('b')));
          at(1, () => say([reply(1, 'A')]));
          at(2, () => say([reply(2, 'B')]));
          at(10, () => collect(requests.request('c').pipe(repeat(2), toArray()) as never));
          at(11, () => say([reply(3, 'C')]));
          at(12, () => say([reply(4, 'C2')]));
          at(20, () => collect(requests.request('d').pipe(retry(1))));
          // Its reply comes too late; where replies come in order, before that of the second try.
          at(31, () => say([reply(5, 'late'), reply(6, 'D')]));
          at(32, () => {
            const texts = [
              reply(1, 'A'),
              reply(2, 'B'),
              'done',
              [reply(3, 'C'), reply(4, 'C2')],
              'done',
              reply(6, 'D'),
            ];
            expect(heard).to.eql([...texts, 'done']);
            expect(wire().length).to.equal(6);
          });
        });
      });

      it('may be awaited', async () => {
        let answered: Promise<string> | undefined;
        start({}, ({ requests, at, say }) => {
          answered = firstValueFrom(requests.request('ping'));
          at(1, () => say([reply(1, 'pong')]));
        });
        expect(await answered).to.equal(reply(1, 'pong'));
      });
    });

    describe('requests', () => {
      it('that are made in one turn go out together, in their order', () => {
        start({}, ({ ask, dials, at, wire }) => {
          for (const message of ['a', 'b', 'c']) ask(message);
          at(1, () => {
            expect(wire().map((line) => line.at(-1))).to.eql(['a', 'b', 'c']);
            expect(dials[0]!.link.writes.length).to.equal(1);
          });
        });
      });

      it('stand in line with messages of others, as they were made [S1]', () => {
        start({}, ({ ask, socket, at, wire }) => {
          ask('a');
          socket.outbound.next('b');
          ask('c');
          at(1, () => expect(wire().map((line) => line.at(-1))).to.eql(['a', 'b', 'c']));
        });
      });

      it('are written no more of than `inFlight` before a reply, then one for each last reply [S5]', () => {
        start({ requests: { inFlight: 2, ...TILL_END } }, ({ ask, at, wire, say, stats }) => {
          const answers = ['a', 'b', 'c', 'd'].map((message) => ask(message));
          at(1, () => expect([wire().length, stats().inFlight, stats().waiting]).to.eql([2, 2, 2]));
          at(2, () => say([reply(1, 'A')]));
          at(3, () => expect(wire().length).to.equal(2));
          at(4, () => say([reply(1, 'end'), reply(2, 'end')]));
          at(5, () => expect(wire().map((line) => line.at(-1))).to.eql(['a', 'b', 'c', 'd']));
          at(6, () => say([reply(3, 'end'), reply(4, 'end')]));
          at(7, () => {
            expect(answers.map(({ ended }) => ended)).to.eql(Array(4).fill('answered'));
            expect(stats()).to.include({ inFlight: 0, waiting: 0 });
          });
        });
      });

      it('wait in bounds: one more errors at once, and is told by nobody else [S5]', () => {
        start({ requests: { inFlight: 1, waiting: 2 } }, ({ ask, stats, errors, at, say, wire }) => {
          const answers = ['a', 'b', 'c', 'd'].map((message) => ask(message));
          expect(answers.map(({ ended }) => ended)).to.eql([undefined, undefined, undefined, 'TCP_OVERFLOW']);
          const error = answers[3]!.error as OverflowError;
          expect(error).to.be.instanceOf(OverflowError).and.to.include({ fate: 'unsent', undelivered: 'd' });
          expect(error.endpoint).to.eql({ host: 'fake', port: 1 });
          expect(stats()).to.include({ requests: 4, failed: 1, inFlight: 1, waiting: 2 });
          at(1, () => say([reply(1, 'A')]));
          at(2, () => expect([ask('e').ended, ask('f').ended]).to.eql([undefined, 'TCP_OVERFLOW']));
          at(3, () => expect([errors, wire().length]).to.eql([[], 2]));
        });
      });

      it('that none may wait of go out as long as `inFlight` allows [S5]', () => {
        start({ requests: { inFlight: 2, waiting: 0 } }, ({ ask }) => {
          const answers = ['a', 'b', 'c'].map((message) => ask(message).ended);
          expect(answers).to.eql([undefined, undefined, 'TCP_OVERFLOW']);
        });
      });

      it('wait for room in the write buffer, in their order, and for none that there will never be [S5]', () => {
        const small = { writeBuffer: { frames: 2, bytes: 20 } };
        start({ socket: small, kernel: () => undefined }, ({ ask, errors, stats, dials, at, wire, socket }) => {
          const answers = ['a', 'b', 'c', 'd', 'x'.repeat(30)].map((message) => ask(message));
          expect(stats().waiting).to.be.greaterThan(1);
          at(1, () => dials[0]!.link.confirm());
          at(2, () => dials[0]!.link.confirm());
          at(3, () => {
            expect(wire().map((line) => line.at(-1))).to.eql(['a', 'b', 'c', 'd']);
            expect(answers.map(({ ended }) => ended)).to.eql([
              undefined,
              undefined,
              undefined,
              undefined,
              'TCP_OVERFLOW',
            ]);
            expect([errors, stats().waiting]).to.eql([['TCP_OVERFLOW'], 0]);
            socket.destroy();
          });
        });
      });

      it('that wait for room are not encoded before it is their turn, save the first of them [S5]', () => {
        let encoded = 0;
        const codec = { ...lines(), encode: (line: string) => (encoded++, Buffer.from(`${line}\n`)) };
        start({ socket: { codec, writeBuffer: { frames: 1 } }, kernel: () => undefined }, ({ ask, at, dials }) => {
          for (let i = 0; i < 100; i++) ask(`m${i}`);
          expect(encoded).to.equal(2);
          at(1, () => dials[0]!.link.confirm());
          at(2, () => expect(encoded).to.equal(3));
        });
      });

      it('that cannot be encoded error, alone, and let the next one go', () => {
        start({ requests: { inFlight: 1 } }, ({ ask, errors, at, say, wire }) => {
          const answers = ['a', 'b\nb', 'c'].map((message) => ask(message));
          at(1, () => say([reply(1, 'A')]));
          at(2, () => {
            expect(answers.map(({ ended }) => ended)).to.eql(['answered', 'TCP_FRAME', undefined]);
            expect([errors, wire().length]).to.eql([['TCP_FRAME'], 2]);
          });
        });
      });

      it('are demand: replies come although nobody else reads', () => {
        start({ play: opens }, ({ dials, at, ask, say }) => {
          at(5, () => expect(dials[0]!.link.paused).to.equal(false));
          const ping = ask('ping');
          at(6, () => say([reply(1, 'pong')]));
          at(7, () => expect(ping.ended).to.equal('answered'));
        });
      });

      it('start a lazy socket', () => {
        start({ socket: { lazyConnect: true } }, ({ dials }) => expect(dials.length).to.equal(1));
      });

      it('wait for a hold as all readers do, and get the replies that came meanwhile', () => {
        start({}, ({ socket, ask, at, say }) => {
          const ping = ask('ping');
          let release = (): void => undefined;
          at(1, () => (release = socket.pause()));
          at(2, () => say([reply(1, 'pong')]));
          at(50, () => {
            expect(ping.ended).to.equal(undefined);
            release();
          });
          at(51, () => expect(ping).to.include({ ended: 'answered', endedAt: 50 }));
        });
      });

      it('give a snapshot that is frozen and does not change', () => {
        start({}, ({ stats, ask }) => {
          const before = stats();
          ask('a');
          expect([Object.isFrozen(before), before.requests, stats().requests]).to.eql([true, 0, 1]);
        });
      });

      it('refuse bad options of one request before it is made', () => {
        start({}, ({ requests, stats }) => {
          expect(() => requests.request('a', { timeout: -1 })).to.throw('`timeout` must be');
          expect(stats().requests).to.equal(0);
        });
      });
    });

    describe('a timeout', () => {
      it('ends a request without its last reply in the very ms, however many came before', () => {
        start({ requests: { ...TILL_END, timeout: 100 } }, ({ ask, say, at, stats, errors }) => {
          const [stream, silent] = [ask('a'), ask('b')];
          at(60, () => say([reply(1, 'A')]));
          at(101, () => {
            expect([stream.ended, silent.ended]).to.eql(['TCP_REQUEST_TIMEOUT', 'TCP_REQUEST_TIMEOUT']);
            expect([stream.endedAt, silent.endedAt, stream.replies.length]).to.eql([100, 100, 1]);
            expect(stream.error).to.be.instanceOf(RequestTimeoutError).and.to.include({ epoch: 1 });
            expect((stream.error as Error).message).to.match(/100 ms/);
            expect([stats().timedOut, stats().failed, errors]).to.eql([2, 2, []]);
          });
        });
      });

      it('is 30 s where none is given, and none at all with 0', () => {
        const end = start({}, ({ ask, at }) => {
          const [usual, patient] = [ask('a'), ask('b', { timeout: 0 })];
          at(29_999, () => expect(usual.ended).to.equal(undefined));
          at(30_001, () => expect([usual.endedAt, patient.ended]).to.eql([30_000, undefined]));
        });
        expect(end).to.equal(30_001);
      });

      it('runs from the subscription: for one that waits its turn, and over an outage too', () => {
        start({ requests: { inFlight: 1, timeout: 100 } }, ({ ask, at, wire, stats }) => {
          ask('a', { timeout: 300 });
          const waits = ask('b');
          at(101, () => {
            expect([waits.endedAt, wire().length]).to.eql([100, 1]);
            expect(stats()).to.include({ waiting: 0, inFlight: 1 });
          });
        });
        start({ play: hangs, requests: { timeout: 100 } }, ({ ask, at, socket, stats }) => {
          const queued = ask('a');
          at(101, () => {
            expect([queued.endedAt, socket.stats().queuedFrames, stats().inFlight]).to.eql([100, 0, 0]);
            socket.destroy();
          });
        });
      });

      it('does not keep what came in time: no reply, no timer [S11]', () => {
        const end = start({}, ({ ask, say, at, socket }) => {
          ask('a');
          at(5, () => say([reply(1, 'A')]));
          at(10, () => socket.destroy());
        });
        expect(end).to.equal(10);
      });

      it('leaves room for the next', () => {
        start({ requests: { inFlight: 1, waiting: 1 } }, ({ ask, at, say, stats, wire }) => {
          const [a, b] = [ask('a', { timeout: 10 }), ask('b')];
          // In order its place is kept, and the next one waits for the reply.
          at(20, () => say([reply(1, 'A')]));
          at(21, () => say([reply(2, 'B')]));
          at(22, () => {
            expect([a.ended, b.ended, b.replies]).to.eql(['TCP_REQUEST_TIMEOUT', 'answered', [reply(2, 'B')]]);
            expect([wire().length, stats().late]).to.eql([2, 1]);
          });
        });
      });
    });

    describe('cancelling', () => {
      it('of one that waits its turn writes nothing of it', () => {
        start({ requests: { inFlight: 1 } }, ({ ask, at, say, wire, stats }) => {
          const [, b, c] = ['a', 'b', 'c'].map((message) => ask(message));
          b!.cancel();
          expect(stats()).to.include({ cancelled: 1, waiting: 1, inFlight: 1 });
          at(1, () => say([reply(1, 'A')]));
          at(2, () => say([reply(2, 'C')]));
          at(3, () => {
            expect(wire().map((line) => line.at(-1))).to.eql(['a', 'c']);
            expect([b!.ended, c!.replies]).to.eql([undefined, [reply(2, 'C')]]);
          });
        });
      });

      it('of one in the queue takes it back, without a word, and lets the next one go', () => {
        start({ play: hangs, requests: { inFlight: 1 } }, ({ ask, at, socket, stats, errors, dials }) => {
          const [a, b] = [ask('a'), ask('b')];
          at(1, () => a.cancel());
          at(2, () => {
            expect(socket.stats()).to.include({ queuedFrames: 1, framesUndelivered: 0 });
            expect(stats()).to.include({ cancelled: 1, inFlight: 1, waiting: 0, failed: 0 });
            dials[0]!.open();
          });
          at(3, () => {
            expect(dials[0]!.link.texts.join('')).to.match(/^.*b\n$/);
            dials[0]!.link.chunk(`${reply(2, 'B')}\n`);
          });
          at(4, () => expect([b.replies, errors]).to.eql([[reply(2, 'B')], []]));
        });
      });

      it('of one that waits for room in the write buffer lets the others have it', () => {
        start(
          { socket: { writeBuffer: { frames: 1 } }, kernel: () => undefined },
          ({ ask, at, stats, dials, wire }) => {
            const [, b] = ['a', 'b', 'c'].map((message) => ask(message));
            expect(stats()).to.include({ waiting: 2 });
            at(1, () => b!.cancel());
            at(2, () => {
              expect(stats()).to.include({ waiting: 1, cancelled: 1 });
              dials[0]!.link.confirm();
            });
            at(3, () => {
              expect(wire().map((line) => line.at(-1))).to.eql(['a', 'c']);
              dials[0]!.link.confirm();
            });
          },
        );
      });

      it('of one that is handed over swallows its replies, which are counted, and no others', () => {
        start({ requests: TILL_END }, ({ ask, at, say, stats, others, errors }) => {
          const [a, b] = [ask('a'), ask('b')];
          at(1, () => say([reply(1, 'A')]));
          at(2, () => a.cancel());
          at(3, () => say([reply(1, 'A2'), reply(1, 'end'), reply(2, 'B'), reply(2, 'end')]));
          at(4, () => {
            expect([a.replies.length, a.ended, b.replies.length, b.ended]).to.eql([1, undefined, 2, 'answered']);
            expect(stats()).to.include({ cancelled: 1, answered: 1, failed: 0, late: 2, inFlight: 0 });
            expect([others, errors]).to.eql([[], []]);
          });
        });
      });

      it('leaves no timer of its own [S11]', () => {
        const end = start({}, ({ ask, at, socket }) => {
          const a = ask('a');
          at(1, () => a.cancel());
          at(2, () => socket.destroy());
        });
        expect(end).to.equal(2);
      });

      it('is no cancelling once it is over', () => {
        start({}, ({ ask, at, say, stats }) => {
          const a = ask('a');
          at(1, () => say([reply(1, 'A')]));
          at(2, () => a.cancel());
          at(3, () => expect(stats()).to.include({ cancelled: 0, answered: 1 }));
        });
      });

      it('frees the queue for those who wait for it: flush(), `writable`, and the end [S3]', () => {
        const told: string[] = [];
        const socket = { writeBuffer: { frames: 1 } };
        start({ socket, play: hangs }, ({ ask, at, socket: its, now }) => {
          const a = ask('a');
          its.writable.subscribe((writable) => told.push(`${now()} ${writable ? 'writable' : 'full'}`));
          its.status.subscribe(({ type }) => told.push(`${now()} ${type}`));
          at(5, () => a.cancel());
          at(10, () => {
            told.push(`${its.stats().queuedFrames} queued`);
            const b = ask('b');
            at(5, () => void its.end({ timeout: 500 }));
            at(10, () => b.cancel());
          });
        });
        expect(told).to.eql([
          ...['0 full', '0 connecting', '5 writable', '0 queued', '10 full'],
          ...['15 full', '15 closing', '20 closed'].filter((text) => text !== '15 full'),
        ]);
      });
    });
  });
}

describe('Requests in order, in virtual time', () => {
  virtualTurns();

  it('keep the places of those who have left, among others who have not', () => {
    askInOrder({}, ({ ask, at, say, stats }) => {
      const answers = ['a', 'b', 'c', 'd'].map((message) => ask(message));
      at(1, () => [answers[0]!, answers[2]!].forEach((answer) => answer.cancel()));
      at(2, () => say(['A', 'B', 'C', 'D']));
      at(3, () => {
        expect(answers.map(({ replies }) => replies)).to.eql([[], ['B'], [], ['D']]);
        expect(stats()).to.include({ late: 2, cancelled: 2, answered: 2 });
      });
    });
  });

  it('pass frames on that come while nobody waits, or that `unsolicited` knows', () => {
    const requests = { unsolicited: (frame: string): boolean => frame.startsWith('*') };
    askInOrder({ requests }, ({ ask, at, say, others, stats }) => {
      at(1, () => say(['hello', '*push']));
      const b: { replies?: readonly string[] } = {};
      at(2, () => Object.assign(b, ask('b')));
      at(3, () => say(['*push', 'B', 'B again']));
      at(4, () => {
        expect([others, b.replies]).to.eql([['hello', '*push', '*push', 'B again'], ['B']]);
        expect(stats()).to.include({ unsolicited: 4, late: 0, unknown: 0 });
      });
    });
  });

  it('take a reply that comes before the kernel has confirmed the request', () => {
    askInOrder({ kernel: () => undefined }, ({ ask, at, say, dials, socket, errors }) => {
      const a = ask('a');
      at(1, () => say(['A']));
      at(2, () => {
        expect(a.ended).to.equal('answered');
        dials[0]!.link.confirm();
        expect(socket.stats()).to.include({ framesWritten: 1, queuedFrames: 0 });
        expect(errors).to.eql([]);
      });
    });
  });

  it('take no frame for the reply to one that is still in the queue', () => {
    askInOrder({ kernel: () => undefined }, ({ ask, at, say, dials, others }) => {
      ask('a');
      at(1, () => {
        const b = ask('b'); // behind the batch that is not confirmed
        say(['A', 'B?']);
        expect([b.replies, others]).to.eql([[], ['B?']]);
        dials[0]!.link.confirm();
      });
      at(2, () => say(['B']));
    });
  });
});

describe('Requests by id, in virtual time', () => {
  virtualTurns();

  it('get their replies in whatever order they come', () => {
    askById({}, ({ ask, at, say }) => {
      const answers = ['a', 'b', 'c'].map((message) => ask(message));
      at(1, () => say(['3 C', '1 A', '2 B']));
      at(2, () => expect(answers.map(({ replies }) => replies[0])).to.eql(['1 A', '2 B', '3 C']));
    });
  });

  it('free their place at once when nobody waits for them', () => {
    askById({ requests: { inFlight: 1 } }, ({ ask, at, wire, stats }) => {
      const [a] = [ask('a'), ask('b')];
      at(1, () => a.cancel());
      at(2, () => expect([wire(), stats().inFlight]).to.eql([['1 a', '2 b'], 1]));
    });
  });

  it('tell late, doubled and unknown replies apart, and give them to nobody', () => {
    askById({ requests: { timeout: 10 } }, ({ ask, at, say, stats, others, errors }) => {
      const late = ask('a');
      const doubled = ask('b');
      at(1, () => say(['2 B', '2 B']));
      at(20, () => say(['1 A', '77 X', 'constructor', '__proto__']));
      at(21, () => {
        expect([late.replies, doubled.replies]).to.eql([[], ['2 B']]);
        expect(stats()).to.include({ late: 1, duplicate: 1, unknown: 3, unsolicited: 0, inFlight: 0 });
        expect([others, errors]).to.eql([[], []]);
      });
    });
  });

  it('take no reply to an id that was guessed before it was handed over', () => {
    askById({ kernel: () => undefined }, ({ ask, at, say, dials, stats }) => {
      ask('a');
      at(1, () => {
        const b = ask('b');
        say(['2 guessed']);
        expect([b.replies, stats().unknown]).to.eql([[], 1]);
        dials[0]!.link.confirm();
        at(1, () => say(['2 B']));
        at(2, () => expect(b.replies).to.eql(['2 B']));
      });
    });
  });

  it('report each frame whose id cannot be read, and go on', () => {
    askById({}, ({ ask, at, say, errors, stats }) => {
      const a = ask('a');
      at(1, () => say(['bad id', '1 A', 'bad id']));
      at(2, () => expect([a.ended, errors, stats().unknown]).to.eql(['answered', ['TCP_FRAME', 'TCP_FRAME'], 2]));
    });
  });

  it('pass frames without an id on', () => {
    askById({}, ({ ask, at, say, others }) => {
      ask('a');
      at(1, () => say(['*one', '1 A', '*two']));
      at(2, () => expect(others).to.eql(['*one', '*two']));
    });
  });

  it('go on with 16 ids, never two of them in use at once', () => {
    let id = 0;
    const requests = { nextId: () => id++ % 16, inFlight: 16 };
    askById({ requests }, ({ ask, at, say, wire }) => {
      const answers = Array.from({ length: 64 }, (_, i) => ask(`m${i}`));
      for (let round = 1; round <= 4; round++) {
        at(round, () => {
          const open = wire().slice(-16);
          expect(new Set(open.map((line) => line.split(' ')[0])).size).to.equal(16);
          say(open.toReversed());
        });
      }
      at(9, () =>
        expect(answers.map(({ replies }) => replies[0]?.split(' ')[1])).to.eql(answers.map((a) => a.message)),
      );
    });
  });

  it('err with a ConfigError where no id is free, and let the others be', () => {
    let id = 0;
    askById({ requests: { nextId: () => id++ % 2 } }, ({ ask, at, say, stats, errors }) => {
      const answers = ['a', 'b', 'c'].map((message) => ask(message));
      expect(answers.map(({ ended }) => ended)).to.eql([undefined, undefined, 'TCP_CONFIG']);
      at(1, () => say(['0 A', '1 B']));
      at(2, () => {
        expect(answers.slice(0, 2).map(({ ended }) => ended)).to.eql(['answered', 'answered']);
        expect([stats().inFlight, errors]).to.eql([0, []]);
      });
    });
  });

  for (const thrower of ['assign', 'nextId'] as const) {
    it(`err with a FrameError that names \`${thrower}\` where it throws, and let the next one go`, () => {
      let calls = 0;
      const throws = (): never => {
        throw new Error('mine');
      };
      const requests = {
        assign: (message: string, id: unknown) =>
          thrower === 'assign' && message === 'b' ? throws() : `${String(id)} ${message}`,
        nextId: () => (++calls === 2 && thrower === 'nextId' ? throws() : calls),
      };
      askById({ requests }, ({ ask, at, say, wire, stats }) => {
        const answers = ['a', 'b', 'c'].map((message) => ask(message));
        expect(answers.map(({ ended }) => ended)).to.eql([undefined, 'TCP_FRAME', undefined]);
        expect((answers[1]!.error as Error).message).to.include(`\`${thrower}\` threw`);
        at(1, () => say(wire()));
        at(2, () => expect([answers[2]!.ended, stats().inFlight]).to.eql(['answered', 0]));
      });
    });
  }

  it('share a socket with others who ask by id, and each counts what is the other’s', () => {
    askById({ requests: { nextId: () => 1 } }, ({ ask, at, say, stats }) => {
      const a = ask('a');
      at(1, () => say(['5 other', '1 A']));
      at(2, () => expect([a.ended, stats().unknown]).to.eql(['answered', 1]));
    });
  });
});
