import { expect } from 'chai';
import { Broadcast } from '../../lib/monitor/broadcast.js';
import { expectUncaught } from '../support/guard.js';
import { tape } from '../support/tape.js';

interface Rig {
  readonly broadcast: Broadcast<number>;
  readonly remembered: [value: number, observed: boolean][];
}

/** One that replays all that it has ever told. */
function rig(): Rig {
  const remembered: [number, boolean][] = [];
  const broadcast = new Broadcast<number>(
    (value, observed) => remembered.push([value, observed]),
    (subscriber) => [...remembered].forEach(([value]) => subscriber.next(value)),
  );
  return { broadcast, remembered };
}

describe('Broadcast', () => {
  it('tells every subscriber every value, and the end', () => {
    const { broadcast } = rig();
    const tapes = [tape(broadcast.values), tape(broadcast.values)];
    broadcast.emit(1);
    broadcast.emit(2);
    broadcast.complete();
    expect(tapes.map(({ values, ended }) => [values, ended])).to.eql([
      [[1, 2], 'completed'],
      [[1, 2], 'completed'],
    ]);
  });

  it('remembers each value before it is told, with whether anybody hears it', () => {
    const { broadcast, remembered } = rig();
    broadcast.emit(1);
    const heard = tape(broadcast.values);
    broadcast.emit(2);
    heard.stop();
    broadcast.emit(3);
    expect(remembered).to.eql([
      [1, false],
      [2, true],
      [3, false],
    ]);
  });

  it('tells a late subscriber what it missed, also after completion', () => {
    const { broadcast } = rig();
    broadcast.emit(1);
    expect(tape(broadcast.values).values).to.eql([1]);
    broadcast.complete();
    const late = tape(broadcast.values);
    expect([late.values, late.ended]).to.eql([[1], 'completed']);
  });

  it('keeps the order for all when a subscriber emits out of its `next`', () => {
    const { broadcast } = rig();
    broadcast.values.subscribe((value) => {
      if (value < 4) broadcast.emit(value + 1);
    });
    const second = tape(broadcast.values);
    broadcast.emit(1);
    expect(second.values).to.eql([1, 2, 3, 4]);
  });

  it('completes after the values that were emitted before', () => {
    const { broadcast } = rig();
    broadcast.values.subscribe((value) => {
      if (value !== 1) return;
      broadcast.emit(2);
      broadcast.complete();
    });
    const second = tape(broadcast.values);
    broadcast.emit(1);
    expect([second.values, second.ended]).to.eql([[1, 2], 'completed']);
  });

  it('tells one who subscribes within a `next` each value once', () => {
    const { broadcast } = rig();
    let inner: readonly number[] = [];
    broadcast.values.subscribe((value) => {
      if (value === 1) inner = tape(broadcast.values).values;
    });
    broadcast.emit(1);
    broadcast.emit(2);
    expect(inner).to.eql([1, 2]);
  });

  it('tells one who emits while it is told what it missed that value, too', () => {
    const { broadcast } = rig();
    broadcast.emit(1);
    const heard: number[] = [];
    broadcast.values.subscribe((value) => {
      heard.push(value);
      if (value === 1) broadcast.emit(2);
    });
    expect(heard).to.eql([1, 2]);
  });

  it('ends for one who completes it while it is told what it missed', () => {
    const { broadcast } = rig();
    broadcast.emit(1);
    let completed = false;
    broadcast.values.subscribe({ next: () => broadcast.complete(), complete: () => (completed = true) });
    expect(completed).to.equal(true);
  });

  it('goes on for the others when a subscriber throws', async () => {
    const { broadcast } = rig();
    const thrown = expectUncaught(/mine/);
    broadcast.values.subscribe(() => {
      throw new Error('mine');
    });
    const second = tape(broadcast.values);
    broadcast.emit(1);
    broadcast.emit(2);
    await thrown;
    expect(second.values).to.eql([1, 2]);
  });

  it('replays nothing to one who has gone by then', () => {
    const { broadcast } = rig();
    broadcast.emit(1);
    broadcast.emit(2);
    const heard: number[] = [];
    const subscription = broadcast.values.subscribe((value) => heard.push(value));
    subscription.unsubscribe();
    broadcast.emit(3);
    expect(heard).to.eql([1, 2]);
  });
});
