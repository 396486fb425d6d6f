import { expect } from 'chai';
import { newCounters, readSnapshot, readStats, type Standing } from '../../lib/monitor/stats.js';

const STANDING: Standing = {
  queue: { frames: 1, bytes: 2, inFlightFrames: 3 },
  receiver: { heldBytes: 4, gate: { holds: 5 } },
  errorsDropped: 6,
};

/** As the contract lists them. */
const NAMES = [
  ...['epoch', 'dials', 'drops', 'bytesRead', 'bytesWritten', 'framesRead', 'framesWritten', 'framesRetried'],
  ...['framesUndelivered', 'framesRefused', 'queuedFrames', 'queuedBytes', 'inFlightFrames', 'holds', 'heldBytes'],
  'errorsDropped',
];

describe('newCounters', () => {
  it('begins at zero, for each socket anew', () => {
    expect(new Set(Object.values(newCounters()))).to.eql(new Set([0]));
    expect(newCounters()).to.not.equal(newCounters());
  });
});

describe('readStats', () => {
  it('gives every number of the contract, and no other', () => {
    expect(Object.keys(readStats(newCounters(), STANDING)).sort()).to.eql([...NAMES].sort());
  });

  it('takes each from where it lives', () => {
    const counters = newCounters();
    Object.keys(counters).forEach((name, i) => (counters[name as keyof typeof counters] = 10 + i));
    expect(readStats(counters, STANDING)).to.eql({
      ...counters,
      ...{ queuedFrames: 1, queuedBytes: 2, inFlightFrames: 3, heldBytes: 4, holds: 5, errorsDropped: 6 },
    });
  });

  it('is a frozen snapshot, which later counting does not change', () => {
    const counters = newCounters();
    const stats = readStats(counters, STANDING);
    counters.dials = 9;
    expect(stats.dials).to.equal(0);
    expect(Object.isFrozen(stats)).to.equal(true);
  });
});

describe('readSnapshot', () => {
  const stats = readStats(newCounters(), STANDING);
  const status = { type: 'idle' } as const;

  it('adds name and status, and is frozen', () => {
    const snapshot = readSnapshot(stats, 'n', status);
    expect(snapshot).to.eql({ ...stats, name: 'n', status });
    expect(Object.isFrozen(snapshot)).to.equal(true);
  });

  it('has no name where the socket has none', () => {
    expect(readSnapshot(stats, undefined, status)).to.not.have.property('name');
  });
});
