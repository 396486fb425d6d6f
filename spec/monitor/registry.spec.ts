import { expect } from 'chai';
import { countByName, list, openSockets, type Listed } from '../../lib/monitor/registry.js';
import { newCounters, readSnapshot, readStats } from '../../lib/monitor/stats.js';
import { until } from '../support/leaks.js';

function listed(name?: string): Listed {
  const standing = {
    queue: { frames: 0, bytes: 0, inFlightFrames: 0 },
    receiver: { heldBytes: 0, gate: { holds: 0 } },
    errorsDropped: 0,
  };
  return { name, snapshot: () => readSnapshot(readStats(newCounters(), standing), name, { type: 'idle' }) };
}

function namesOf(): (string | undefined)[] {
  return openSockets().map(({ name }) => name);
}

describe('the registry', () => {
  it('lists a socket until it is taken off, in the order of listing', () => {
    const sockets = ['spec-a', 'spec-b', 'spec-c'].map(listed);
    const off = sockets.map(list);
    const ours = (): (string | undefined)[] => namesOf().filter((name) => name?.startsWith('spec-'));
    expect(ours()).to.eql(['spec-a', 'spec-b', 'spec-c']);
    off[1]!();
    off[1]!();
    expect(ours()).to.eql(['spec-a', 'spec-c']);
    off[0]!();
    off[2]!();
    expect(ours()).to.eql([]);
  });

  it('takes a snapshot when it is asked, not before', () => {
    let snapshots = 0;
    const socket = listed('spec-late');
    const off = list({ name: 'spec-late', snapshot: () => (snapshots++, socket.snapshot()) });
    expect(snapshots).to.equal(0);
    off();
  });

  it('counts by name, those without one under the empty string', () => {
    const before = countByName()[''] ?? 0;
    const sockets = [listed('spec-x'), listed('spec-x'), listed('spec-y'), listed(), listed()];
    const off = sockets.map(list);
    expect(countByName()).to.include({ 'spec-x': 2, 'spec-y': 1, '': before + 2 });
    off.forEach((take) => take());
    expect(countByName()).to.not.have.any.keys('spec-x', 'spec-y');
  });

  it('counts names that every object inherits like any other', () => {
    const names = ['__proto__', 'constructor', 'toString'];
    const sockets = names.map((name) => listed(name));
    const off = sockets.map(list);
    const counts = countByName();
    expect(names.map((name) => counts[name])).to.eql([1, 1, 1]);
    off.forEach((take) => take());
  });

  it('keeps nothing alive: a socket that was dropped is collected, and gone from the list', async () => {
    const drop = (): WeakRef<Listed> => {
      const socket = listed('spec-dropped');
      list(socket);
      return new WeakRef(socket);
    };
    const dropped = drop();
    const gone = await until(() => {
      globalThis.gc!();
      return dropped.deref() === undefined;
    }, 50);
    expect(gone).to.equal(true);
    expect(countByName()).to.not.have.property('spec-dropped');
  });
});
