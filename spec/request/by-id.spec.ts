import { expect } from 'chai';
import { ConfigError, FrameError } from '../../lib/errors.js';
import type { Asked } from '../../lib/request/asked.js';
import { ById, countingIds } from '../../lib/request/by-id.js';
import type { RequestId } from '../../lib/request/request-config.js';
import { refusal } from '../support/refusal.js';
import { askedFor } from './asked-for.js';

interface Frame {
  readonly id?: unknown;
}

function rig(nextId: () => RequestId = fromOne()) {
  const pairing = new ById<Frame, string, string>(
    { assign: (message, id) => `${String(id)} ${message}`, idOf: ({ id }) => id as RequestId },
    nextId,
  );
  let place = 0;
  const fly = (message = 'm'): Asked<Frame, string> => {
    const request = askedFor(message) as Asked<Frame, string>;
    request.takeOff();
    pairing.depart(request);
    request.place = ++place;
    return request;
  };
  const whose = (id: unknown, { stale = false, handed = Infinity } = {}) => pairing.whose({ id }, stale, handed);
  return { pairing, fly, whose };
}

function fromOne(): () => number {
  let newest = 0;
  return () => ++newest;
}

/** Gives these, again and again. */
function inTurn<T>(...ids: readonly T[]): () => T {
  let next = 0;
  return () => ids[next++ % ids.length]!;
}

describe('ById', () => {
  it('writes what `assign` makes of the message and an id', () => {
    const { pairing } = rig();
    expect(['a', 'b'].map((message) => pairing.depart(askedFor(message) as never))).to.eql(['1 a', '2 b']);
  });

  it('finds requests by id in whatever order their replies come, as often as they come before it has landed', () => {
    const { pairing, fly, whose } = rig();
    const [a, b, c] = [fly(), fly(), fly()];
    expect([3, 1, 2, 1].map((id) => whose(id))).to.eql([c, a, b, a]);
    expect([pairing.size, pairing.all()]).to.eql([3, [a, b, c]]);
  });

  it('takes a frame without an id for one that answers nobody, of whatever connection', () => {
    const { fly, whose } = rig();
    fly();
    expect([whose(undefined), whose(undefined, { stale: true })]).to.eql(['unsolicited', 'unsolicited']);
  });

  it('takes no reply of a lost connection, whatever its id [S10]', () => {
    const { pairing, fly, whose } = rig();
    pairing.landed(fly(), 'answered');
    fly();
    expect([1, 2, 3].map((id) => whose(id, { stale: true }))).to.eql(['stale', 'stale', 'stale']);
  });

  it('tells replies to what is over apart, until the connection is lost', () => {
    const { pairing, fly, whose } = rig();
    const [answered, left] = [fly(), fly()];
    pairing.landed(answered, 'answered');
    expect(pairing.abandon(left)).to.equal(false);
    expect([1, 2, 3].map((id) => whose(id))).to.eql(['duplicate', 'late', 'unknown']);
    expect(pairing.size).to.equal(0);
    pairing.renew();
    expect([1, 2].map((id) => whose(id))).to.eql(['unknown', 'unknown']);
  });

  it('takes no reply to what was not handed over: an id that was guessed', () => {
    const { pairing, fly, whose } = rig();
    const request = fly();
    expect([whose(1, { handed: 0 }), whose(1, { handed: 1 })]).to.eql(['unknown', request]);
    const early = askedFor('early') as Asked<Frame, string>;
    pairing.depart(early);
    expect(whose(2)).to.equal('unknown');
  });

  it('lets no id of another type in', () => {
    const { fly, whose } = rig();
    fly();
    for (const id of ['1', 1n, true, [1], new Number(1), { valueOf: () => 1 }, NaN, null])
      expect(whose(id)).to.equal('unknown');
  });

  it('has ids of every kind that a Map tells apart, those of objects’ own properties too', () => {
    const ids = ['__proto__', 'constructor', 'toString', '', 0, 2 ** 53, -1.5, 10n ** 30n, NaN];
    const { fly, whose } = rig(inTurn(...ids));
    const requests = ids.map(() => fly());
    expect(ids.map((id) => whose(id))).to.eql(requests);
    expect(whose('hasOwnProperty')).to.equal('unknown');
  });

  it('takes an object for no id but that very one', () => {
    const { fly, whose } = rig();
    fly();
    expect([{}, { id: 1 }, Object.create(null)].map((id) => whose(id))).to.eql(['unknown', 'unknown', 'unknown']);
  });

  it('asks for another id while it gets one that is in use, and gives one that was used lately only where there is no other', () => {
    const { pairing, fly, whose } = rig(inTurn(0, 1, 2));
    const [a, b, c] = [fly('a'), fly('b'), fly('c')];
    expect([a.id, b.id, c.id]).to.eql([0, 1, 2]);
    pairing.landed(b, 'unanswered');
    pairing.landed(a, 'unanswered');
    const [d, e] = [fly('d'), fly('e')];
    expect(new Set([d.id, e.id])).to.eql(new Set([0, 1]));
    expect([whose(d.id), whose(e.id), whose(2)]).to.eql([d, e, c]);
  });

  it('does not give the id of one whose replies may still come, while there are others', () => {
    const { pairing, fly, whose } = rig(inTurn(...Array.from({ length: 16 }, (_, id) => id)));
    const timedOut = fly();
    const { id } = timedOut;
    pairing.landed(timedOut, 'unanswered');
    for (let i = 0; i < 15; i++) {
      const request = fly();
      expect([0, id]).not.to.include(request.id);
      pairing.landed(request, 'answered');
    }
    expect([id, whose(id)]).to.eql([0, 'late']);
  });

  it('goes on with few ids for ever, and with each of them in use at once', () => {
    const { pairing, fly, whose } = rig(inTurn(...Array.from({ length: 16 }, (_, id) => id)));
    for (let round = 0; round < 200; round++) {
      const all = Array.from({ length: 16 }, () => fly());
      expect(new Set(all.map(({ id }) => id)).size).to.equal(16);
      for (const request of all) expect(whose(request.id)).to.equal(request);
      for (const request of all) pairing.landed(request, round % 2 === 0 ? 'answered' : 'unanswered');
    }
  });

  it('asks for no more ids once all are spent, until the connection is lost', () => {
    let asked = 0;
    const { pairing, fly } = rig(() => asked++ % 16);
    for (let i = 0; i < 17; i++) pairing.landed(fly(), 'answered');
    asked = 0;
    for (let i = 0; i < 100; i++) pairing.landed(fly(), 'answered');
    expect(asked).to.equal(0);
    pairing.renew();
    fly();
    expect(asked).to.equal(1);
  });

  it('refuses a request for which there is no id, after as many tries as there are ids to pass over', () => {
    let asked = 0;
    const { pairing, fly } = rig(() => (asked++, asked % 2));
    fly();
    fly();
    asked = 0;
    const message = refusal(() => fly());
    expect(message).to.equal('`nextId` must give an id that is not in use');
    expect([asked, pairing.size]).to.eql([3, 2]);
  });

  it('lets go of the id when `assign` or `nextId` throws, and of no other', () => {
    const ids = inTurn<RequestId | Error>(1, 2, 2, new Error('none'));
    const { pairing, fly, whose } = rig(() => {
      const id = ids();
      if (id instanceof Error) throw id;
      return id;
    });
    const [a, b] = [fly('a'), fly('b')];
    for (const request of [a, b]) pairing.landed(request, 'unanswered'); // their connection is lost
    pairing.renew();
    for (const request of [a, b]) request.takeOff();
    pairing.depart(a);
    a.place = 3;
    expect(() => pairing.depart(b)).to.throw(FrameError, '`nextId` threw');
    pairing.landed(b, 'unanswered');
    expect([a.id, whose(2)]).to.eql([2, a]);
  });

  for (const [what, id] of [
    ['undefined', undefined],
    ['null', null],
    ['an object', {}],
    ['true', true],
    ['a symbol', Symbol('id')],
  ] as const) {
    it(`refuses ${what} for an id`, () => {
      const { pairing, fly } = rig(() => id as never);
      expect(() => fly()).to.throw(ConfigError, '`nextId` must');
      expect(pairing.size).to.equal(0);
    });
  }

  it('remembers ids that are over in bounds, the newest of them [S5]', () => {
    const { pairing, fly, whose } = rig();
    for (let i = 0; i < 5_000; i++) pairing.landed(fly(), 'answered');
    const known = Array.from({ length: 5_000 }, (_, i) => whose(i + 1)).lastIndexOf('unknown');
    expect([known, whose(5_000), pairing.size]).to.eql([5_000 - 1024 - 1, 'duplicate', 0]);
  });

  it('does not remember one to which no reply can come', () => {
    const { pairing, fly, whose } = rig();
    pairing.landed(fly(), 'unsent');
    pairing.landed(askedFor('never flew') as never, 'unanswered');
    expect([whose(1), pairing.size]).to.eql(['unknown', 0]);
  });

  it('gives the id of one that was answered before that of one whose replies may still come', () => {
    const { pairing, fly } = rig(inTurn(0, 1, 2));
    const [left, answered] = [fly(), fly()];
    fly();
    pairing.landed(left, 'unanswered');
    pairing.landed(answered, 'answered');
    expect([fly().id, fly().id]).to.eql([1, 0]);
  });

  it('can do without a frame', () => {
    expect(rig().pairing.fragile).to.equal(false);
  });
});

describe('countingIds', () => {
  it('gives each number once in this process, whoever asks', () => {
    const ids = Array.from({ length: 100 }, countingIds);
    expect(ids).to.eql(Array.from({ length: 100 }, (_, i) => ids[0]! + i));
  });
});
