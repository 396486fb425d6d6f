import { expect } from 'chai';
import { FrameError, type TcpError } from '../../lib/errors.js';
import { Answers } from '../../lib/request/answers.js';
import { Asked } from '../../lib/request/asked.js';
import type { Nobodys } from '../../lib/request/pairing.js';
import type { RequestTerms } from '../../lib/request/request-config.js';
import { newCounters } from '../../lib/request/request-stats.js';
import { tape } from '../support/tape.js';
import { subscriberOf, TERMS } from './asked-for.js';

const WHERE = { endpoint: { host: 'db', port: 1 }, epoch: 3 };

/** What the frame at hand is: a request's reply, nobody's, or one that cannot be told. */
type Whose = Asked<string, string> | Nobodys | Error;

function rig({ fragile = true, lostEpoch = 2 } = {}) {
  const told: unknown[] = [];
  const dropped: TcpError[] = [];
  const reported: TcpError[] = [];
  const seen: unknown[] = [];
  const counters = newCounters();
  const state = { whose: 'unsolicited' as Whose };
  const streets = {
    receiver: { origin: { where: WHERE, events: { failed: (error: TcpError) => dropped.push(error) } } },
    outlet: { queue: { handed: 7 } },
    monitor: { errors: { report: (error: TcpError) => reported.push(error) } },
  };
  const pairing = {
    fragile,
    whose: (...what: unknown[]) => {
      seen.push(what);
      if (state.whose instanceof Error) throw state.whose;
      return state.whose;
    },
  };
  const all = {
    lostEpoch,
    began: () => void told.push('began'),
    answered: () => void told.push('answered'),
    fail: (_request: unknown, error: TcpError) => void told.push(error),
    admit: () => void told.push('admit'),
  };
  const answers = new Answers<string, string, string>(streets as never, pairing as never, all, counters);
  /** A request whose subscriber writes down what it hears. */
  const ask = (terms: Partial<RequestTerms<string>> = {}): Asked<string, string> => {
    const subscriber = subscriberOf({
      next: (reply) => told.push(reply),
      error: () => told.push('error'),
      complete: () => told.push('complete'),
    });
    const request = new Asked('m', { ...TERMS, ...terms }, subscriber, {} as never);
    request.takeOff();
    state.whose = request;
    return request;
  };
  return { answers, told, dropped, reported, seen, counters, state, ask };
}

const STREAM = { until: (reply: string): boolean => reply === 'end' };

describe('Answers', () => {
  it('gives the only reply to the subscriber, after the request is over, and then lets the next one go', () => {
    const { answers, told, ask } = rig();
    ask();
    answers.hear('A');
    expect(told).to.eql(['answered', 'A', 'complete', 'admit']);
  });

  it('gives every reply of a stream, which `until` ends', () => {
    const { answers, told, ask } = rig();
    ask(STREAM);
    for (const reply of ['A', 'B', 'end']) answers.hear(reply);
    expect(told).to.eql(['A', 'began', 'B', 'answered', 'end', 'complete', 'admit']);
  });

  it('asks whose a frame is, of which connection, and what was handed over', () => {
    for (const [lostEpoch, stale] of [
      [2, false],
      [3, true],
      [4, true],
    ] as const) {
      const { answers, seen } = rig({ lostEpoch });
      answers.hear('A');
      expect(seen).to.eql([['A', stale, 7]]);
    }
  });

  for (const nobodys of ['unsolicited', 'stale', 'late', 'duplicate', 'unknown'] as const) {
    const passes = nobodys === 'unsolicited';
    it(`counts what is ${nobodys}, and ${passes ? 'passes it on' : 'drops it'}`, () => {
      const { answers, counters, state, told } = rig();
      const unsolicited = tape(answers.unsolicited);
      state.whose = nobodys;
      answers.hear('A');
      expect([unsolicited.values, told]).to.eql([passes ? ['A'] : [], []]);
      expect(counters).to.eql({ ...newCounters(), [nobodys]: 1 });
    });
  }

  it('swallows replies that nobody waits for, counts them, and lets the next one go after the last', () => {
    const { answers, told, counters, ask } = rig();
    const request = ask(STREAM);
    request.subscriber.unsubscribe();
    request.state = 'abandoned';
    for (const reply of ['A', 'end']) answers.hear(reply);
    expect([told, counters.late]).to.eql([['began', 'answered', 'admit'], 2]);
  });

  for (const fragile of [true, false]) {
    const connection = fragile ? 'the connection, where replies have no ids' : 'nothing else, where replies have ids';
    it(`takes as many replies as there may be; one more costs the request and ${connection} [S5]`, () => {
      const { answers, told, dropped, ask } = rig({ fragile });
      ask({ until: () => false, maxReplies: 2 });
      for (const reply of ['A', 'B', 'C']) answers.hear(reply);
      const error = told[3] as FrameError;
      expect(told).to.eql(['A', 'began', 'B', error, 'admit']);
      expect(error)
        .to.be.instanceOf(FrameError)
        .and.to.include({ kind: 'too-large', ...WHERE });
      expect(error.message).to.match(/more than 2 replies to one request/);
      expect(dropped).to.eql(fragile ? [error] : []);
    });

    it(`takes an \`until\` that throws for an error of the request, which costs ${connection}`, () => {
      const { answers, told, dropped, reported, ask } = rig({ fragile });
      const cause = new Error('mine');
      ask({
        until: () => {
          throw cause;
        },
      });
      answers.hear('A');
      const error = told[0] as FrameError;
      expect(told).to.eql([error, 'admit']);
      expect(error)
        .to.be.instanceOf(FrameError)
        .and.to.include({ kind: 'decode', cause, ...WHERE });
      expect(error.message).to.match(/`until` or `failure` threw/);
      expect([dropped, reported]).to.eql([fragile ? [error] : [], []]);
    });
  }

  it('drops the connection when `unsolicited` throws: which request the frame answers cannot be told', () => {
    const { answers, dropped, reported, state, counters } = rig();
    state.whose = new Error('mine');
    answers.hear('A');
    expect(dropped[0])
      .to.be.instanceOf(FrameError)
      .and.to.include({ kind: 'decode', cause: state.whose, ...WHERE });
    expect(dropped[0]!.message).to.match(/`unsolicited` threw/);
    expect([reported, counters]).to.eql([[], newCounters()]);
  });

  it('reports a frame whose id cannot be read, counts it and goes on', () => {
    const { answers, dropped, reported, state, counters } = rig({ fragile: false });
    state.whose = new Error('mine');
    answers.hear('A');
    expect(reported[0])
      .to.be.instanceOf(FrameError)
      .and.to.include({ kind: 'decode', cause: state.whose, ...WHERE });
    expect(reported[0]!.message).to.match(/`idOf` threw/);
    expect([dropped, counters.unknown]).to.eql([[], 1]);
  });

  it('ends `unsolicited` as the socket ends: completed, or with its error', () => {
    const cases = [undefined, new Error('lost')].map((error) => {
      const { answers } = rig();
      const unsolicited = tape(answers.unsolicited);
      answers.end(error);
      return [unsolicited.ended, unsolicited.error === error, tape(answers.unsolicited).ended];
    });
    expect(cases).to.eql([
      ['completed', true, 'completed'],
      ['errored', true, 'errored'],
    ]);
  });

  it('keeps what answers nobody for nobody', () => {
    const { answers } = rig();
    answers.hear('A');
    const late = tape(answers.unsolicited);
    answers.hear('B');
    expect(late.values).to.eql(['B']);
  });
});
