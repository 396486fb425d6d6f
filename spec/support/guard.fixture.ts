/** Specs that go wrong on purpose, each in its own way; guard.spec.ts runs them under a mocha of their own. */
import { expectUncaught } from './guard.js';

function reject(text: string): void {
  void Promise.reject(new Error(text));
}

function throwLater(text: string): void {
  setTimeout(() => {
    throw new Error(text);
  });
}

describe('guarded', () => {
  it('fails: throws in a timer and goes on', async () => {
    throwLater('late throw');
    await new Promise((resolve) => setTimeout(resolve, 20));
  });

  it('fails: throws in a timer after its end', () => throwLater('throw after the end'));

  it('fails: leaves a rejection', () => reject('left alone'));

  it('fails: leaves a rejection and waits for ever', async () => {
    reject('left alone, waiting');
    await new Promise(() => {});
  });

  it('fails: warns', () => process.emitWarning('careful'));

  it('fails: warns, with a callback', (done) => {
    process.emitWarning('careful, called back');
    done();
  });

  it('fails: expects what never comes', () => void expectUncaught(/never/));

  it('fails: expects one and gets another', async () => {
    const expected = expectUncaught(/the one/);
    throwLater('the other');
    await expected;
  });

  it('fails: as ever', () => {
    throw new Error('as ever');
  });

  it('fails: as ever, with a callback', (done) => {
    done(new Error('as ever, called back'));
  });

  it('passes: expects a throw', async () => {
    throwLater('the one');
    await expectUncaught(/the one/);
  });

  it('passes: expects a rejection, without waiting', () => {
    void expectUncaught((reason) => reason instanceof Error && reason.message === 'the rejected');
    reject('the rejected');
  });

  it('passes: expects a warning', async () => {
    process.emitWarning('fine');
    await expectUncaught(/fine/);
  });

  it('passes: with a callback', (done) => void setImmediate(done));

  it('skips', function () {
    this.skip();
  });

  it('skips later', async function () {
    await Promise.resolve();
    this.skip();
  });

  it('fails twice and passes then', function () {
    this.retries(2);
    const { test } = this;
    if ((test as unknown as { currentRetry(): number }).currentRetry() < 2) throw new Error('not yet');
  });
});

describe('with a hook', () => {
  afterEach(() => process.emitWarning('from a hook'));

  it('passes, and its hook fails', () => {});
});
