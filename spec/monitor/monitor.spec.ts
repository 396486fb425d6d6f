import { expect } from 'chai';
import { ClosedError, OverflowError, WriteError } from '../../lib/errors.js';
import { Monitor } from '../../lib/monitor/monitor.js';
import { turns } from '../support/fixture.js';
import { tape } from '../support/tape.js';

/** What all streams of a monitor tell, in one list. */
function everything(monitor: Monitor<string>): string[] {
  const told: string[] = [];
  const { status, writable, connections, errors } = monitor;
  status.values.subscribe({ next: ({ type }) => told.push(type), complete: () => told.push('status ends') });
  connections.subscribe({ next: (c) => told.push(c), complete: () => told.push('connections end') });
  writable.values.subscribe({ next: (is) => told.push(`writable ${is}`), complete: () => told.push('writable ends') });
  errors.errors.subscribe({ next: ({ code }) => told.push(code), complete: () => told.push('errors end') });
  void monitor.ended.then(() => told.push('ended'));
  return told;
}

const END = ['status ends', 'connections end', 'writable ends', 'errors end', 'ended'];

describe('Monitor', () => {
  it('begins idle, writable and with every counter at zero', () => {
    const monitor = new Monitor<string>(10);
    expect(monitor.status.value).to.eql({ type: 'idle' });
    expect(monitor.writable.value).to.equal(true);
    expect(new Set(Object.values(monitor.counters))).to.eql(new Set([0]));
    expect(everything(monitor)).to.eql(['idle', 'writable true']);
  });

  describe('connections', () => {
    it('gives the live one first, then each new one', () => {
      const monitor = new Monitor<string>(10);
      const early = tape(monitor.connections);
      monitor.opened('a');
      const late = tape(monitor.connections);
      monitor.lost();
      const between = tape(monitor.connections);
      monitor.opened('b');
      expect([early.values, late.values, between.values]).to.eql([['a', 'b'], ['a', 'b'], ['b']]);
    });

    it('gives none, but the end, once it is closed', () => {
      const monitor = new Monitor<string>(10);
      monitor.opened('a');
      monitor.close(undefined);
      const late = tape(monitor.connections);
      expect([late.values, late.ended]).to.eql([[], 'completed']);
    });
  });

  it('counts written, undelivered and refused messages, and tells the errors of the last two', () => {
    const monitor = new Monitor<string>(10);
    const errors = tape(monitor.errors.errors);
    monitor.written(3, 30);
    monitor.written(1, 5);
    const [lost, refused] = [new WriteError('unsent', 0, {}), new OverflowError('unsent', {})];
    monitor.undelivered(lost);
    monitor.refused(refused);
    expect(monitor.counters).to.include({ framesWritten: 4, bytesWritten: 35, framesUndelivered: 1, framesRefused: 1 });
    expect(errors.values).to.eql([lost, refused]);
  });

  it('counts before it tells, so that a subscriber finds the counter right', () => {
    const monitor = new Monitor<string>(10);
    const counts: number[] = [];
    monitor.errors.errors.subscribe(() =>
      counts.push(monitor.counters.framesUndelivered + monitor.counters.framesRefused),
    );
    monitor.undelivered(new ClosedError());
    monitor.refused(new ClosedError());
    expect(counts).to.eql([1, 2]);
  });

  it('says closing once', () => {
    const monitor = new Monitor<string>(10);
    const { values } = tape(monitor.status.values);
    monitor.closing();
    monitor.closing();
    expect(values.map(({ type }) => type)).to.eql(['idle', 'closing']);
  });

  describe('close', () => {
    it('says closed, then ends every stream, `errors` last, then resolves', async () => {
      const monitor = new Monitor<string>(10);
      const told = everything(monitor);
      monitor.closing();
      told.length = 0;
      monitor.close(undefined);
      await turns(1);
      expect(told.filter((event) => event !== 'writable false')).to.eql(['closed', ...END]);
      expect(told).to.include('writable false');
    });

    it('tells a cause, if there is one', () => {
      for (const cause of [undefined, new ClosedError()]) {
        const monitor = new Monitor<string>(10);
        monitor.close(cause);
        expect(monitor.status.value).to.eql(cause === undefined ? { type: 'closed' } : { type: 'closed', cause });
        expect('cause' in monitor.status.value).to.equal(cause !== undefined);
      }
    });

    it('keeps that order when a subscriber of `status` closes it', async () => {
      const monitor = new Monitor<string>(10);
      monitor.status.values.subscribe(({ type }) => {
        if (type === 'closing') monitor.close(undefined);
      });
      const told = everything(monitor);
      monitor.closing();
      await turns(1);
      expect(told.filter((event) => !event.startsWith('writable ') || event.endsWith('ends')).slice(1)).to.eql([
        ...['closing', 'closed', ...END],
      ]);
    });

    it('leaves the last status, the last errors and the end to those who come late', () => {
      const monitor = new Monitor<string>(10);
      monitor.refused(new ClosedError());
      monitor.close(undefined);
      const [status, writable, errors] = [
        tape(monitor.status.values),
        tape(monitor.writable.values),
        tape(monitor.errors.errors),
      ];
      expect([status.values, status.ended]).to.eql([[{ type: 'closed' }], 'completed']);
      expect([writable.values, writable.ended]).to.eql([[false], 'completed']);
      expect([errors.values.length, errors.ended]).to.eql([1, 'completed']);
    });
  });
});
