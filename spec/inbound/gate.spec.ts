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
});
