import { expect } from 'chai';
import { ClosedError, FrameError, OverflowError, WriteError, type TcpError } from '../../lib/errors.js';
import { ErrorLog } from '../../lib/monitor/error-log.js';
import { tape } from '../support/tape.js';
import { stillAlive } from '../support/leaks.js';

function frameErrors(count: number): FrameError[] {
  return Array.from({ length: count }, (_, i) => new FrameError('corrupt', `number ${i}`));
}

function detailsOf(errors: readonly TcpError[]): string[] {
  return errors.map((error) => (error as FrameError).detail);
}

describe('ErrorLog', () => {
  it('tells its subscribers every error as it is, and the end', () => {
    const log = new ErrorLog(10);
    const heard = tape(log.errors);
    const reported = [new ClosedError(), new WriteError('unsent', 0, {}, 'x')];
    for (const error of reported) log.report(error);
    log.complete();
    expect(heard.values).to.eql(reported);
    expect(heard.values[1]).to.equal(reported[1]);
    expect(heard.ended).to.equal('completed');
  });

  it('needs no subscriber [S9]', () => {
    const log = new ErrorLog(1);
    for (const error of frameErrors(1_000)) log.report(error);
    expect(log.dropped).to.equal(999);
  });

  it('takes a cause that throws when it is looked at, and causes that go round in a circle [S9]', () => {
    const log = new ErrorLog(2);
    const shy = Object.defineProperty(new Error('shy'), 'stack', { get: () => expect.fail('looked at') });
    const circle: Error = new Error('a');
    circle.cause = new Error('b', { cause: circle });
    for (const cause of [shy, circle]) log.report(new FrameError('decode', 'x', { cause }));
    expect(tape(log.errors).values.map(({ cause }) => cause)).to.eql([shy, circle]);
  });

  it('keeps an error without what V8 keeps for its stack: the objects whose methods were running [S5]', async () => {
    class Caller {
      fail(): FrameError {
        return new FrameError('decode', 'x', { cause: new TypeError('x') });
      }
    }
    const log = new ErrorLog(1);
    const caller = new WeakRef(new Caller());
    log.report(caller.deref()!.fail());
    expect(await stillAlive([caller])).to.equal(0);
    expect(tape(log.errors).values).to.have.length(1);
  });

  it('replays the newest to each late subscriber, also after the end [S5]', () => {
    const log = new ErrorLog(3);
    for (const error of frameErrors(5)) log.report(error);
    expect(detailsOf(tape(log.errors).values)).to.eql(['number 2', 'number 3', 'number 4']);
    log.complete();
    const late = tape(log.errors);
    expect(detailsOf(late.values)).to.eql(['number 2', 'number 3', 'number 4']);
    expect(late.ended).to.equal('completed');
  });

  it('replays nothing at a size of 0, and tells the living all the same', () => {
    const log = new ErrorLog(0);
    log.report(new ClosedError());
    const heard = tape(log.errors);
    log.report(new ClosedError());
    expect([heard.values.length, log.dropped]).to.eql([1, 1]);
  });

  it('counts those that fell out before anybody had heard them, and no others', () => {
    const log = new ErrorLog(2);
    const [a, b, c, d, e, f] = frameErrors(6) as [
      FrameError,
      FrameError,
      FrameError,
      FrameError,
      FrameError,
      FrameError,
    ];
    log.report(a);
    log.report(b);
    log.report(c); // a falls out unheard
    expect(log.dropped).to.equal(1);
    const heard = tape(log.errors); // b and c are heard
    log.report(d); // b falls out, heard in the replay
    heard.stop();
    log.report(e); // c falls out, heard
    log.report(f); // d falls out, heard live
    expect(log.dropped).to.equal(1);
    log.report(a); // e falls out unheard
    expect(log.dropped).to.equal(2);
  });

  for (const [name, make] of [
    ['WriteError', (message: unknown) => new WriteError('unknown', 2, { epoch: 4, cause: new Error('x') }, message)],
    ['OverflowError', (message: unknown) => new OverflowError('unsent', { epoch: 4 }, message)],
  ] as const) {
    it(`keeps a ${name} without its message, so that the log pins no payload [S5]`, async () => {
      const log = new ErrorLog(10);
      const report = (): [WeakRef<object>, string] => {
        const message = { big: new Array(10) };
        const error = make(message);
        log.report(error);
        return [new WeakRef(message), JSON.stringify(error)];
      };
      const [message, json] = report();
      const [kept] = tape(log.errors).values as (WriteError | OverflowError)[];
      expect(kept?.undelivered).to.equal(undefined);
      expect(JSON.stringify(kept)).to.equal(json);
      expect(await stillAlive([message])).to.equal(0);
    });
  }

  it('tells one who causes an error while it is told what it missed that error, too, once and last', () => {
    const log = new ErrorLog(10);
    for (const error of frameErrors(2)) log.report(error);
    const heard: TcpError[] = [];
    log.errors.subscribe((error) => {
      if (heard.push(error) === 1) log.report(new FrameError('corrupt', 'caused'));
    });
    expect(detailsOf(heard)).to.eql(['number 0', 'number 1', 'caused']);
    expect(detailsOf(tape(log.errors).values)).to.eql(['number 0', 'number 1', 'caused']);
  });

  it('tells errors in one order to all when a subscriber causes another', () => {
    const log = new ErrorLog(10);
    log.errors.subscribe((error) => {
      if ((error as FrameError).detail === 'number 0') log.report(new FrameError('corrupt', 'caused'));
    });
    const second = tape(log.errors);
    for (const error of frameErrors(2)) log.report(error);
    expect(detailsOf(second.values)).to.eql(['number 0', 'caused', 'number 1']);
  });
});
