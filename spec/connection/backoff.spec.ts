import { expect } from 'chai';
import type { ReconnectPolicy } from '../../lib/config.js';
import { backoff } from '../../lib/connection/backoff.js';
import { resolveReconnect } from '../../lib/resolve-config.js';
import { seededRandom } from '../support/random.js';

function policy(config: object = {}): ReconnectPolicy {
  return resolveReconnect({ random: () => 1, ...config });
}

/** The delays of the first redials in a row. */
function delays(config: object, count: number): number[] {
  return Array.from({ length: count }, (_, i) => backoff(policy(config), i + 1));
}

describe('backoff', () => {
  it('multiplies its bound at each redial in a row, up to the greatest delay [S8]', () => {
    expect(delays({}, 9)).to.eql([50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    expect(delays({ initialDelay: 20, factor: 3, maxDelay: 500 }, 5)).to.eql([20, 60, 180, 500, 500]);
    expect(delays({ initialDelay: 70, factor: 1 }, 3)).to.eql([70, 70, 70]);
  });

  it('takes a share of the bound at random, as large as the jitter says', () => {
    for (const random of [0, 0.25, 1]) {
      expect(backoff(policy({ random: () => random }), 3), 'full').to.equal(Math.max(10, 200 * random));
      expect(backoff(policy({ random: () => random, jitter: 0.5 }), 3), 'half').to.equal(100 + 100 * random);
      expect(backoff(policy({ random: () => random, jitter: 0 }), 3), 'none').to.equal(200);
    }
  });

  it('spreads the very first redial over all of its bound [S8]', () => {
    expect(backoff(policy({ random: () => 0 }), 1)).to.equal(0);
    const random = seededRandom(7);
    const first = Array.from({ length: 1000 }, () => backoff(policy({ random: () => random.next() }), 1));
    expect(Math.min(...first)).to.be.below(2);
    expect(Math.max(...first)).to.be.above(48);
    expect(first.reduce((sum, delay) => sum + delay, 0) / first.length).to.be.closeTo(25, 2);
  });

  it('stays within its bounds for any policy, redial and seed', () => {
    for (let seed = 1; seed <= 500; seed++) {
      const random = seededRandom(seed);
      const initialDelay = random.int(1, 200);
      const config = {
        initialDelay,
        maxDelay: random.int(initialDelay, 5000),
        factor: 1 + random.next() * 4,
        jitter: random.next(),
      };
      const redial = random.int(1, 60);
      const bound = Math.min(config.maxDelay, initialDelay * config.factor ** (redial - 1));
      const delay = backoff(policy({ ...config, random: () => random.next() }), redial);
      expect(delay, `seed ${seed}`).to.be.within(bound * (1 - config.jitter), Math.max(bound, 10));
    }
  });

  it('never waits longer than the greatest delay', () => {
    for (const redial of [1, 2, 3, 50]) {
      for (const random of [0, 1])
        expect(backoff(policy({ initialDelay: 50, maxDelay: 5, random: () => random }), redial)).to.be.at.most(5);
    }
  });

  it('makes no hot loop when `random` always answers 0', () => {
    expect(delays({ random: () => 0 }, 4)).to.eql([0, 10, 10, 10]);
    expect(delays({ random: () => 0, initialDelay: 3 }, 3)).to.eql([0, 3, 3]);
  });

  it('overflows to the greatest delay and not to a broken number', () => {
    for (const redial of [2000, Number.MAX_SAFE_INTEGER, Infinity]) expect(backoff(policy(), redial)).to.equal(5000);
    expect(backoff(policy({ initialDelay: 2 ** 31 - 1, maxDelay: 2 ** 31 - 1, factor: 1000 }), 500)).to.equal(
      2 ** 31 - 1,
    );
  });

  for (const answer of [NaN, -0.1, 1.1, Infinity, -Infinity, undefined, 'often', () => 1]) {
    it(`counts a \`random\` that answers ${String(answer)} as 1`, () => {
      expect(delays({ random: () => answer }, 3)).to.eql([50, 100, 200]);
    });
  }

  it('asks `random` once a delay', () => {
    let asked = 0;
    backoff(policy({ random: () => ++asked / 10 }), 1);
    expect(asked).to.equal(1);
  });
});
