/** Requests played at random, over connections that are cut at random. */
import { expect } from 'chai';
import fc from 'fast-check';
import { asyncScheduler, timer } from 'rxjs';
import type { Resend } from '../../lib/request/request-config.js';
import type { FakeLink } from '../support/fake-link.js';
import { holds } from '../support/property.js';
import { virtualTurns } from '../support/virtual-socket.js';
import { EITHER, type Answer } from './asking.js';

/** One request of a play. */
interface Part {
  readonly at: number;
  readonly resend: Resend;
  /** Two replies, of which the second is the last. */
  readonly streams: boolean;
  /** Ms after it was made. */
  readonly cancelledAfter: number | undefined;
}

interface Script {
  readonly parts: readonly Part[];
  /** When the connection is lost. */
  readonly cuts: readonly number[];
  /** When a hold begins, and for how long. */
  readonly pauses: readonly (readonly [at: number, ms: number])[];
  /** Ms until the kernel confirms a batch, and until the peer has answered it. */
  readonly confirming: number;
  readonly answering: number;
  readonly inFlight: number;
}

const ms = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });

const scripts: fc.Arbitrary<Script> = fc.record({
  parts: fc.array(
    fc.record({
      at: ms(200),
      resend: fc.constantFrom<Resend>('always', 'unsent', 'never'),
      streams: fc.boolean(),
      cancelledAfter: fc.option(ms(60), { nil: undefined, freq: 6 }),
    }),
    { minLength: 1, maxLength: 25 },
  ),
  cuts: fc.array(ms(300), { maxLength: 12 }),
  pauses: fc.array(fc.tuple(ms(250), ms(60)), { maxLength: 3 }),
  confirming: ms(15),
  answering: ms(25),
  inFlight: fc.integer({ min: 1, max: 6 }),
});

/** What a peer says to a line: `a` is answered with `a!` and, for the last, `a!!`. */
const repliesTo = (line: string): string[] => (line.includes('s') ? [`${line}!`, `${line}!!`] : [`${line}!!`]);

/** A peer that answers each batch as a whole, over a kernel that takes its time. */
function peer({ confirming, answering }: Script): (link: FakeLink, index: number) => void {
  return (link, index) => {
    const lines = link.writes[index]!.text.split('\n').slice(0, -1);
    timer(confirming).subscribe(() => (link.destroyed ? undefined : link.confirm()));
    for (const [step, reply] of lines.flatMap(repliesTo).entries())
      timer(answering + step).subscribe(() => (link.destroyed ? undefined : link.chunk(`${reply}\n`)));
  };
}

/** What may have become of a request. */
function judge({ resend, streams, cancelledAfter }: Part, answer: Answer): void {
  const replies = answer.replies.map((reply) => reply.split(' ').at(-1)!);
  const whole = repliesTo(answer.message);
  expect(whole.slice(0, replies.length)).to.eql(replies); // its own alone, in their order, each once
  if (answer.ended === undefined) expect(cancelledAfter).not.to.equal(undefined);
  else if (answer.ended === 'answered') expect(replies).to.eql(whole);
  else {
    expect(answer.ended).to.equal('TCP_CONNECTION_LOST');
    expect(resend === 'always' && !(streams && replies.length === 1)).to.equal(false);
  }
}

for (const { way, start } of EITHER) {
  describe(`Requests ${way}, played at random`, () => {
    virtualTurns(asyncScheduler);

    holds(
      'get, through whatever cuts, their own replies if they are idempotent, and one outcome if not [S3][S10]',
      300,
      scripts,
      (script) => {
        const reconnect = { initialDelay: 5, maxDelay: 5, jitter: 0 };
        const requests = {
          ...{ inFlight: script.inFlight, timeout: 0, retryLimit: Infinity },
          until: (reply: string) => reply.endsWith('!!'),
        };
        start({ socket: { settle: 0, reconnect }, requests, kernel: peer(script) }, (asking) => {
          const { ask, at, dials, socket, stats } = asking;
          const played: (readonly [Part, Answer])[] = [];
          for (const [index, part] of script.parts.entries()) {
            at(part.at, () => {
              const answer = ask(`${part.streams ? 's' : 'm'}${index}`, { resend: part.resend });
              played.push([part, answer]);
              if (part.cancelledAfter !== undefined) at(part.cancelledAfter, () => answer.cancel());
            });
          }
          for (const cut of script.cuts) at(cut, () => (dials.at(-1)!.gone ? undefined : dials.at(-1)!.link.lost()));
          for (const [from, length] of script.pauses) {
            at(from, () => {
              const release = socket.pause();
              at(length, release);
            });
          }
          at(60_000, () => {
            for (const [part, answer] of played) judge(part, answer);
            const { requests: made, answered, failed, cancelled, inFlight, waiting } = stats();
            expect([answered + failed + cancelled, inFlight, waiting]).to.eql([made, 0, 0]);
            expect(socket.stats()).to.include({ queuedFrames: 0, framesUndelivered: 0 });
            socket.destroy();
          });
        });
      },
    );
  });
}
