import { expect } from 'chai';
import { PastIds } from '../../lib/request/past-ids.js';

describe('PastIds', () => {
  it('knows how each ended, and what a reply to it is', () => {
    const past = new PastIds();
    past.answered(1);
    past.unanswered('2', true);
    expect([1, '2', 2, '1'].map((id) => past.has(id))).to.eql([true, true, false, false]);
    expect([1, '2', 3].map((id) => past.heard(id))).to.eql(['duplicate', 'late', 'unknown']);
    expect(past.size).to.equal(2);
  });

  it('takes the only reply that may come for the last: what follows is doubled', () => {
    const past = new PastIds();
    past.unanswered(1, true);
    past.unanswered(2, false);
    expect([1, 1, 2, 2].map((id) => past.heard(id))).to.eql(['late', 'duplicate', 'late', 'late']);
    expect(past.size).to.equal(2);
  });

  it('remembers in bounds, the newest: the more of those whose replies may still come [S5]', () => {
    const past = new PastIds();
    for (let id = 1; id <= 100_000; id++) {
      past.answered(-id);
      past.unanswered(id, true);
    }
    expect(past.size).to.equal(1024 + 65_536);
    const newest = [-100_000, -100_000 + 1_023, 100_000, 100_000 - 65_535];
    expect(newest.map((id) => past.has(id))).to.eql([true, true, true, true]);
    expect([-100_000 + 1_024, 100_000 - 65_536].map((id) => past.has(id))).to.eql([false, false]);
  });

  it('gives ids back, the oldest first, and those last whose replies may still come', () => {
    const past = new PastIds();
    past.unanswered(1, false);
    past.unanswered(2, true);
    past.answered(3);
    past.answered(4);
    past.heard(2);
    expect(Array.from({ length: 5 }, () => past.takeOldest())).to.eql([3, 4, 2, 1, undefined]);
    expect([past.size, past.heard(3)]).to.eql([0, 'unknown']);
  });

  it('forgets all of a connection that is lost', () => {
    const past = new PastIds();
    past.answered(1);
    past.unanswered(2, true);
    past.clear();
    expect([past.has(1), past.heard(2), past.size]).to.eql([false, 'unknown', 0]);
  });
});
