import { expect } from 'chai';
import { afterLoss, fateOf } from '../../lib/outbound/write-retry.js';

describe('afterLoss', () => {
  it('lets a frame be written again as often as its limit says [S2]', () => {
    expect([1, 2, 3, 4].map((attempts) => afterLoss(attempts, 3))).to.eql(['again', 'again', 'again', 'give-up']);
  });

  it('lets no frame be written again at a limit of 0, which is at most once [S2]', () => {
    expect(afterLoss(1, 0)).to.equal('give-up');
  });

  it('never gives up at a limit of Infinity', () => {
    expect(afterLoss(Number.MAX_SAFE_INTEGER, Infinity)).to.equal('again');
  });
});

describe('fateOf', () => {
  it('calls unsent only what was handed to no connection [S3]', () => {
    expect([0, 1, 7].map((attempts) => fateOf(attempts))).to.eql(['unsent', 'unknown', 'unknown']);
  });
});
