import { expect } from 'chai';
import { ServerTally } from '../../lib/monitor/server-stats.js';
import { newCounters, readStats, type SocketStats } from '../../lib/monitor/stats.js';

const NOW = { opening: 0, errorsDropped: 0 };

/** A connection with these counters and so many frames that wait. */
function connection(counters = newCounters(), waiting = 0): { stats(): SocketStats } {
  const queue = { frames: waiting, bytes: waiting * 10, inFlightFrames: 0 };
  const receiver = { heldBytes: waiting * 100, gate: { holds: 0 } };
  return { stats: () => readStats(counters, { queue, receiver, errorsDropped: 7 }) };
}

describe('ServerTally', () => {
  it('counts from nothing, and its snapshot is frozen', () => {
    const stats = new ServerTally().read(new Set(), NOW);
    expect(Object.isFrozen(stats)).to.be.true;
    expect(Object.values(stats).every((value) => value === 0)).to.be.true;
    expect(Object.keys(stats)).to.have.length(15);
  });

  it('adds up what is open', () => {
    const tally = new ServerTally();
    Object.assign(tally, { accepted: 5, refused: 1, failed: 2 });
    const open = new Set([
      connection({ ...newCounters(), bytesRead: 1, framesRead: 2, framesWritten: 3, framesRefused: 4 }, 1),
      connection({ ...newCounters(), bytesRead: 10, bytesWritten: 20, framesUndelivered: 30 }, 2),
    ]);
    expect(tally.read(open, { opening: 1, errorsDropped: 9 })).to.deep.equal({
      ...{ accepted: 5, refused: 1, failed: 2, opening: 1, open: 2, errorsDropped: 9 },
      ...{ bytesRead: 11, bytesWritten: 20, framesRead: 2, framesWritten: 3, framesUndelivered: 30, framesRefused: 4 },
      ...{ queuedFrames: 3, queuedBytes: 30, heldBytes: 300 },
    });
  });

  it('keeps what is over, and what is read of it later, without counting anything twice', () => {
    const tally = new ServerTally();
    const counters = newCounters();
    const account = tally.account(counters);
    Object.assign(counters, { bytesRead: 8, framesRead: 1 });
    const open = new Set([connection(counters)]);
    expect(tally.read(open, NOW)).to.include({ bytesRead: 8, framesRead: 1 });
    account();
    open.clear();
    expect(tally.read(open, NOW)).to.include({ bytesRead: 8, framesRead: 1 });
    counters.framesRead = 4;
    account();
    account();
    expect(tally.read(open, NOW)).to.include({ bytesRead: 8, framesRead: 4, open: 0 });
  });
});
