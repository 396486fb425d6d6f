import { expect } from 'chai';
import { Gate } from '../../lib/inbound/gate.js';

/** Resolves when the microtasks of this turn are over. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function counted(): { gate: Gate; opened: () => number } {
  let opened = 0;
  const gate = new Gate(() => opened++);
  return { gate, opened: () => opened };
}

describe('Gate', () => {
  it('opens in a later microtask than the subscription, once for all who come in one turn [S6]', async () => {
    const { gate, opened } = counted();
    gate.enter();
    gate.enter();
    expect([gate.open, opened(), gate.subscribers]).to.eql([false, 0, 2]);
    await turn();
    expect([gate.open, opened()]).to.eql([true, 1]);
    gate.enter();
    await turn();
    expect(opened()).to.equal(1);
  });

  it('shuts within the call by which the last subscriber leaves [S6]', async () => {
    const { gate } = counted();
    gate.enter();
    gate.enter();
    await turn();
    gate.leave();
    expect(gate.open).to.be.true;
    gate.leave();
    expect(gate.open).to.be.false;
  });

  it('shuts within the call that holds, and opens in a later microtask than the last release [S6]', async () => {
    const { gate, opened } = counted();
    gate.enter();
    await turn();
    const [one, two] = [gate.hold(), gate.hold()];
    expect([gate.open, gate.holds]).to.eql([false, 2]);
    one();
    await turn();
    expect([gate.open, gate.holds]).to.eql([false, 1]);
    two();
    expect([gate.open, gate.holds]).to.eql([false, 0]);
    await turn();
    expect([gate.open, opened()]).to.eql([true, 2]);
  });

  it('takes a release once, so that nobody gives another’s hold back', async () => {
    const { gate } = counted();
    gate.enter();
    const one = gate.hold();
    gate.hold();
    one();
    one();
    expect(gate.holds).to.equal(1);
    await turn();
    expect(gate.open).to.be.false;
  });

  it('does not open when demand ends in the turn in which it began [S6]', async () => {
    const { gate, opened } = counted();
    gate.enter();
    gate.leave();
    await turn();
    gate.enter();
    const release = gate.hold();
    await turn();
    expect([gate.open, opened()]).to.eql([false, 0]);
    release();
    await turn();
    expect([gate.open, opened()]).to.eql([true, 1]);
  });

  it('opens again when demand ends and begins in one turn', async () => {
    const { gate, opened } = counted();
    gate.enter();
    await turn();
    gate.leave();
    gate.enter();
    expect(gate.open).to.be.false;
    await turn();
    expect([gate.open, opened()]).to.eql([true, 2]);
  });

  it('may be shut by the very callback that tells of its opening', async () => {
    let release: (() => void) | undefined;
    const gate: Gate = new Gate(() => (release ??= gate.hold()));
    gate.enter();
    await turn();
    expect(gate.open).to.be.false;
    release?.();
    await turn();
    expect(gate.open).to.be.true;
  });

  describe('draining', () => {
    it('takes the absence of subscribers for demand', async () => {
      const { gate } = counted();
      gate.drain();
      expect(gate.open).to.be.false;
      await turn();
      expect(gate.open).to.be.true;
    });

    it('ignores the holds of nobody', async () => {
      const { gate } = counted();
      gate.hold();
      gate.drain();
      await turn();
      expect(gate.open).to.be.true;
    });

    it('obeys the holds of subscribers, and goes on when they leave', async () => {
      const { gate } = counted();
      gate.enter();
      gate.hold();
      gate.drain();
      await turn();
      expect(gate.open).to.be.false;
      gate.leave();
      await turn();
      expect(gate.open).to.be.true;
    });
  });

  it('closed is shut at once, and a pending opening is called off [S11]', async () => {
    const { gate, opened } = counted();
    gate.enter();
    gate.close();
    await turn();
    expect([gate.open, opened()]).to.eql([false, 0]);
  });

  describe('absorb()', () => {
    it('takes over subscribers and holds, and shuts the other for good', async () => {
      const [gate, other] = [counted(), counted()];
      other.gate.enter();
      await turn();
      other.gate.enter();
      const release = other.gate.hold();
      gate.gate.absorb(other.gate);
      expect([gate.gate.subscribers, gate.gate.holds, other.gate.open]).to.eql([2, 1, false]);
      release();
      await turn();
      expect([gate.gate.open, gate.opened()]).to.eql([true, 1]);
      expect([other.gate.open, other.opened()]).to.eql([false, 1]);
    });

    it('opens in a later microtask, for subscribers that the other had alone [S6]', async () => {
      const [gate, other] = [counted(), counted()];
      other.gate.enter();
      await turn();
      gate.gate.absorb(other.gate);
      expect([gate.gate.open, other.gate.open]).to.eql([false, false]);
      await turn();
      expect(gate.gate.open).to.be.true;
    });

    it('counts for itself who leaves, and what is released, later, each once', async () => {
      const { gate } = counted();
      const other = counted().gate;
      other.enter();
      const release = other.hold();
      gate.absorb(other);
      gate.enter();
      release();
      release();
      expect([gate.subscribers, gate.holds]).to.eql([2, 0]);
      other.leave();
      await turn();
      expect([gate.subscribers, gate.open]).to.eql([1, true]);
      gate.leave();
      expect([gate.subscribers, gate.open]).to.eql([0, false]);
    });

    it('shuts within the call, if the other was held [S6]', async () => {
      const { gate } = counted();
      const other = counted().gate;
      gate.enter();
      await turn();
      const release = other.hold();
      gate.absorb(other);
      expect([gate.open, gate.openSince]).to.eql([false, Infinity]);
      release();
      await turn();
      expect(gate.open).to.be.true;
    });

    it('leaves one that is open open, and its own holds in force', async () => {
      const { gate, opened } = counted();
      gate.enter();
      await turn();
      gate.absorb(counted().gate);
      expect([gate.open, opened()]).to.eql([true, 1]);
      const release = gate.hold();
      const other = counted().gate;
      other.enter();
      gate.absorb(other);
      await turn();
      expect(gate.open).to.be.false;
      release();
      await turn();
      expect(gate.open).to.be.true;
    });

    it('calls a pending opening of the other off [S11]', async () => {
      const { gate } = counted();
      const other = counted();
      other.gate.enter();
      gate.absorb(other.gate);
      await turn();
      expect([other.gate.open, other.opened()]).to.eql([false, 0]);
    });
  });
});
