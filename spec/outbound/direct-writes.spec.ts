import { expect } from 'chai';
import { DirectWrites } from '../../lib/outbound/direct-writes.js';
import { confirmAtOnce, fakeLink } from '../support/fake-link.js';
import { outcome, turns } from '../support/fixture.js';

type Told = [written: number, error: Error | null | undefined];

/** A promise's outcome once it has one; until then `'pending'`. */
function watched(promise: Promise<unknown>): { now: unknown } {
  const state: { now: unknown } = { now: 'pending' };
  void outcome(promise).then((result) => (state.now = result));
  return state;
}

describe('DirectWrites', () => {
  it('hands the very bytes over at once, and resolves when the kernel took them', async () => {
    const [direct, link, told] = [new DirectWrites(), fakeLink(), [] as Told[]];
    const bytes = Buffer.from('hi');
    const write = watched(direct.write(link, bytes, (...args) => told.push(args)));
    expect(link.writes[0]?.batch).to.equal(bytes);
    await turns(1);
    expect([write.now, told]).to.eql(['pending', []]);
    link.confirm();
    await turns(1);
    expect([write.now, told]).to.eql(['written', [[2, null]]]);
  });

  it('writes in the order of the calls, each message in a write of its own [S1]', async () => {
    const [direct, link] = [new DirectWrites(), fakeLink(confirmAtOnce)];
    await Promise.all(['a', 'b', 'c'].map((text) => direct.write(link, Buffer.from(text), () => {})));
    expect(link.texts).to.eql(['a', 'b', 'c']);
  });

  it('counts what has no outcome, in frames and bytes [S5]', () => {
    const [direct, link] = [new DirectWrites(), fakeLink()];
    for (const size of [3, 4]) void direct.write(link, Buffer.alloc(size), () => {});
    expect(direct.pending).to.eql({ frames: 2, bytes: 7 });
    link.confirm();
    expect(direct.pending).to.eql({ frames: 1, bytes: 4 });
    link.confirm();
    expect(direct.pending).to.eql({ frames: 0, bytes: 0 });
  });

  it('has room up to the bounds, both included [S5]', () => {
    const [direct, link] = [new DirectWrites(), fakeLink()];
    const room = (bytes: number, limits = { frames: 2, bytes: 10 }): boolean => direct.hasRoom(bytes, limits);
    expect([room(10), room(11)]).to.eql([true, false]);
    void direct.write(link, Buffer.alloc(4), () => {});
    expect([room(6), room(7), room(0, { frames: 1, bytes: 10 })]).to.eql([true, false, false]);
  });

  it('tells its owner of a failed write, and leaves the promise to the loss that follows [S3]', async () => {
    const [direct, link, told] = [new DirectWrites(), fakeLink(), [] as Told[]];
    const write = watched(direct.write(link, Buffer.from('hi'), (...args) => told.push(args)));
    const error = new Error('EPIPE');
    link.fail(error);
    await turns(1);
    expect([write.now, told]).to.eql(['pending', [[0, error]]]);
    const lost = new Error('lost');
    direct.fail(lost);
    await turns(1);
    expect(write.now).to.equal(lost);
  });

  it('takes success on a destroyed link for no proof [S4]', async () => {
    const [direct, link, told] = [new DirectWrites(), fakeLink(), [] as Told[]];
    const write = watched(direct.write(link, Buffer.from('hi'), (...args) => told.push(args)));
    link.destroyed = true;
    link.confirm();
    await turns(1);
    expect([write.now, told]).to.eql(['pending', []]);
    const lost = new Error('lost');
    direct.fail(lost);
    await turns(1);
    expect(write.now).to.equal(lost);
  });

  it('rejects all that has no outcome when the link is over, and nothing else [S3]', async () => {
    const [direct, link] = [new DirectWrites(), fakeLink()];
    const writes = ['a', 'b', 'c'].map((text) => watched(direct.write(link, Buffer.from(text), () => {})));
    link.confirm();
    const lost = new Error('lost');
    direct.fail(lost);
    await turns(1);
    expect(writes.map(({ now }) => now)).to.eql(['written', lost, lost]);
    expect(direct.pending.frames).to.equal(0);
  });

  it('takes a late callback for nothing [S10]', async () => {
    const [direct, link, told] = [new DirectWrites(), fakeLink(), [] as Told[]];
    const write = watched(direct.write(link, Buffer.from('hi'), (...args) => told.push(args)));
    const lost = new Error('lost');
    direct.fail(lost);
    link.confirm();
    await turns(1);
    expect([write.now, told]).to.eql([lost, []]);
    expect(direct.pending).to.eql({ frames: 0, bytes: 0 });
  });
});
