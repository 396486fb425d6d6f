import { expect } from 'chai';
import { Subject } from 'rxjs';
import { ClosedError } from '../../lib/errors.js';
import { Asked } from '../../lib/request/asked.js';
import type { Resend } from '../../lib/request/request-config.js';
import { askedFor, NOBODY, TERMS } from './asked-for.js';

describe('Asked', () => {
  it('waits to be answered until it is over or nobody waits for it, and may be replied to in the queue and on the wire', () => {
    const request = askedFor('a');
    const states = (['new', 'waiting', 'flying', 'abandoned', 'over'] as const).map((state) => {
      request.state = state;
      return [state, request.pending, request.aloft];
    });
    expect(states).to.eql([
      ['new', true, false],
      ['waiting', true, false],
      ['flying', true, true],
      ['abandoned', false, true],
      ['over', false, false],
    ]);
  });

  // With a retryLimit of 2: what becomes of it, by how many losses it has had.
  for (const [resend, handed, losses, replies, again] of [
    ['never', false, 0, 0, false],
    ['never', true, 1, 0, false],
    ['unsent', false, 0, 0, true],
    ['unsent', true, 1, 0, false],
    ['always', false, 0, 0, true],
    ['always', true, 1, 0, true],
    ['always', true, 2, 0, true],
    ['always', true, 3, 0, false],
    ['always', true, 1, 1, false],
    ['always', false, 3, 0, true],
  ] as readonly (readonly [Resend, boolean, number, number, boolean])[]) {
    const was = handed
      ? `handed over, lost with ${losses} connections and replied to ${replies} times`
      : 'never handed over';
    it(`under '${resend}' is${again ? '' : ' not'} written again when it was ${was}`, () => {
      const request = askedFor('a', { resend, retryLimit: 2 });
      Object.assign(request, { attempts: losses, replies });
      expect(request.mayGoAgain(handed)).to.equal(again);
    });
  }

  it('is on its last try when one more loss would give it up, and never before its first', () => {
    const lastTries = (retryLimit: number): boolean[] =>
      [0, 1, 2, 3].map((attempts) => Object.assign(askedFor('a', { retryLimit }), { attempts }).onLastTry);
    expect([0, 1, 2].map(lastTries)).to.eql([
      [false, true, true, true],
      [false, true, true, true],
      [false, false, true, true],
    ]);
  });

  it('takes off without what was of its last flight', () => {
    const request = askedFor('a');
    Object.assign(request, { state: 'waiting', place: 7, attempts: 2, withdrawn: { cause: 'x', silently: true } });
    request.takeOff();
    expect(request).to.include({ state: 'flying', place: 0, withdrawn: undefined, attempts: 2 });
  });

  it('is written once by a queue, which hears its own terms', () => {
    expect(askedFor('a', { retryLimit: 9, timeout: 7 })).to.include({ retryLimit: 0, settled: undefined, timeout: 7 });
  });

  it('tells its owner that it is queued, that it will not be written, and that its subscriber has left', () => {
    const told: unknown[] = [];
    const owner = {
      queued: (request: { place: number }) => told.push(['queued', request, request.place]),
      undelivered: (...what: unknown[]) => told.push(what),
      left: (...what: unknown[]) => told.push(what),
    };
    const request = askedFor('a', {}, owner);
    const error = new ClosedError();
    request.queued(3);
    request.undelivered(error);
    request.exit.unsubscribe();
    expect(told).to.eql([['queued', request, 3], [request, error], [request]]);
  });

  it('is kept alive by nothing that its subscriber holds once it is over', () => {
    const left: unknown[] = [];
    const request = askedFor('a', {}, { ...NOBODY, left: (who) => left.push(who) });
    const { exit } = request;
    expect(exit.request).to.equal(request);
    request.over();
    expect([request.state, exit.request]).to.eql(['over', undefined]);
    exit.unsubscribe();
    expect(left).to.eql([]);
  });

  it('has nothing more told of its frame once it is silenced, until it takes off again', () => {
    const request = askedFor('a');
    request.silence();
    expect(request.withdrawn).to.include({ silently: true });
    request.takeOff();
    expect(request.withdrawn).to.equal(undefined);
  });

  it('keeps the message and its subscriber by reference', () => {
    const [message, subscriber] = [{ n: 1 }, new Subject<string>()];
    expect(new Asked(message, TERMS, subscriber as never, {} as never)).to.include({ message, subscriber });
  });
});
