import { expect } from 'chai';
import { clock } from '../lib/clock.js';

describe('clock', () => {
  const { now } = Date;
  afterEach(() => {
    Date.now = now;
  });

  it('goes on in milliseconds, whatever becomes of the time of day', () => {
    const before = clock.now();
    Date.now = () => 0;
    expect(clock.now()).to.be.at.least(before);
    Date.now = () => before + 1e12;
    expect(clock.now()).to.be.below(before + 1e9);
  });
});
