import { expect } from 'chai';
import { Observable, Subject, type Subscriber } from 'rxjs';
import { iterate, type Giver } from '../../lib/inbound/iterate.js';
import { Gate } from '../../lib/inbound/gate.js';
import { outcome } from '../support/fixture.js';

interface Given extends Giver<string, string> {
  origin: string;
}

/** A stream by hand, and what became of it. */
function iterated(count = 3, bytes = 1000) {
  const frames = new Subject<string>();
  const gate = new Gate(() => {});
  const returned: [frame: string, origin: string][] = [];
  const giver: Given = {
    origin: 'first',
    giveBack: (unused) => {
      for (let item = unused.shift(); item !== undefined; item = unused.shift())
        returned.push([item.frame, item.origin]);
    },
  };
  let subscriptions = 0;
  const inbound = new Observable<string>((subscriber: Subscriber<string>) => {
    subscriptions++;
    gate.enter();
    subscriber.add(() => gate.leave());
    return frames.subscribe(subscriber);
  });
  const iterator = iterate({ inbound, readBuffer: { frames: count, bytes }, pause: () => gate.hold() }, giver);
  const give = (text: string): void => {
    for (const frame of text) frames.next(frame);
  };
  return { frames, gate, giver, returned, iterator, give, subscriptions: () => subscriptions };
}

describe('iterate', () => {
  it('subscribes at the first `next()`, once', () => {
    const { iterator, subscriptions } = iterated();
    expect(subscriptions()).to.equal(0);
    void iterator.next();
    void iterator.next();
    expect(subscriptions()).to.equal(1);
    expect(iterator[Symbol.asyncIterator]()).to.equal(iterator);
  });

  it('answers calls in their order, those that wait and those that come later', async () => {
    const { iterator, give } = iterated(10);
    const waiting = [iterator.next(), iterator.next()];
    give('abc');
    const results = await Promise.all([...waiting, iterator.next()]);
    expect(results).to.eql(['a', 'b', 'c'].map((value) => ({ done: false, value })));
  });

  it('holds at `readBuffer` frames read ahead, and releases at half of that', async () => {
    const { iterator, give, gate } = iterated(4);
    const first = iterator.next();
    give('a');
    await first;
    give('bcd');
    expect(gate.holds).to.equal(0);
    give('e');
    expect(gate.holds).to.equal(1);
    await iterator.next();
    expect(gate.holds, 'three left').to.equal(1);
    await iterator.next();
    expect(gate.holds, 'two left').to.equal(0);
    give('fg');
    expect(gate.holds, 'and again').to.equal(1);
  });

  it('holds at so many bytes read ahead too, and releases at half of both', async () => {
    const { iterator, frames, gate } = iterated(100, 10);
    void iterator.next();
    for (const text of ['asked for', 'abcdefghi', 'j']) {
      expect(gate.holds, text).to.equal(0);
      frames.next(text);
    }
    expect(gate.holds, 'ten bytes').to.equal(1);
    await iterator.next();
    expect(gate.holds, 'one is left').to.equal(0);
  });

  it('lets one frame through that is larger than all, and holds until it is taken', async () => {
    const { iterator, frames, gate } = iterated(100, 10);
    const first = iterator.next();
    frames.next('asked for');
    await first;
    frames.next('x'.repeat(1000));
    expect(gate.holds).to.equal(1);
    expect(await iterator.next()).to.eql({ done: false, value: 'x'.repeat(1000) });
    expect(gate.holds).to.equal(0);
  });

  it('takes one hold, also when more frames come than it wanted', async () => {
    const { iterator, give, gate } = iterated(1);
    void iterator.next();
    give('abcd');
    expect(gate.holds).to.equal(1);
    for (const value of ['b', 'c', 'd']) expect(await iterator.next()).to.eql({ done: false, value });
    expect(gate.holds).to.equal(0);
  });

  it('left, gives back what was read ahead with its origin, and lets go [S6]', async () => {
    const { iterator, give, gate, giver, returned } = iterated(3);
    void iterator.next();
    give('ab');
    giver.origin = 'second';
    give('cd');
    expect(gate.holds).to.equal(1);
    expect(await iterator.return?.()).to.eql({ done: true, value: undefined });
    expect(returned).to.eql([['b', 'first'], ['c', 'second'], ['d', 'second']]); // prettier-ignore
    expect([gate.holds, gate.subscribers]).to.eql([0, 0]);
    expect(await iterator.next()).to.eql({ done: true, value: undefined });
  });

  it('is unsubscribed when it gives back, so that the giver may ask who else reads', async () => {
    const { iterator, give, giver, gate } = iterated();
    void iterator.next();
    give('ab');
    let readers = -1;
    giver.giveBack = () => (readers = gate.subscribers);
    await iterator.return?.();
    expect(readers).to.equal(0);
  });

  it('left before its first `next()` never subscribes', async () => {
    const { iterator, subscriptions } = iterated();
    await iterator.return?.();
    expect(await iterator.next()).to.eql({ done: true, value: undefined });
    expect(subscriptions()).to.equal(0);
  });

  it('left while calls wait answers them with the end', async () => {
    const { iterator } = iterated();
    const waiting = [iterator.next(), iterator.next()];
    await iterator.return?.();
    expect(await Promise.all(waiting)).to.eql(waiting.map(() => ({ done: true, value: undefined })));
  });

  it('gives all frames before the end', async () => {
    const { iterator, give, frames } = iterated();
    const first = iterator.next();
    give('ab');
    frames.complete();
    const results = [await first, await iterator.next(), await iterator.next(), await iterator.next()];
    expect(results.map(({ done, value }) => done === true || value)).to.eql(['a', 'b', true, true]);
  });

  it('gives all frames before the error, and that to one call alone', async () => {
    const { iterator, give, frames } = iterated();
    const first = iterator.next();
    give('ab');
    const failure = new Error('gone');
    frames.error(failure);
    expect(await first).to.eql({ done: false, value: 'a' });
    expect(await iterator.next()).to.eql({ done: false, value: 'b' });
    expect(await outcome(iterator.next())).to.equal(failure);
    expect(await iterator.next()).to.eql({ done: true, value: undefined });
  });

  it('gives the error to the first of the calls that wait, and the end to the others', async () => {
    const { iterator, frames } = iterated();
    const waiting = [outcome(iterator.next()), iterator.next(), iterator.next()];
    const failure = new Error('gone');
    frames.error(failure);
    const ended = { done: true, value: undefined };
    expect(await Promise.all(waiting)).to.eql([failure, ended, ended]);
  });

  it('that is left before it told its error tells it to nobody', async () => {
    const { iterator, give, frames, returned } = iterated();
    void iterator.next();
    give('ab');
    frames.error(new Error('gone'));
    await iterator.return?.();
    expect(await iterator.next()).to.eql({ done: true, value: undefined });
    expect(returned, 'of one connection that is over: the giver knows what to do with it').to.eql([['b', 'first']]);
  });

  it('works with `for await`, and leaving the loop ends nothing', async () => {
    const { iterator, frames, gate } = iterated(10);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const frame of iterator) {
        seen.push(frame);
        if (frame === 'b') break;
      }
    })();
    for (const frame of ['a', 'b', 'c']) frames.next(frame);
    await reading;
    expect(seen).to.eql(['a', 'b']);
    expect([frames.closed, frames.observed, gate.subscribers]).to.eql([false, false, 0]);
  });
});
