import { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { expect } from 'chai';
import { of } from 'rxjs';
import { pullable } from '../../lib/outbound/pullable.js';
import { turns } from '../support/fixture.js';

async function allOf(source: unknown): Promise<unknown[]> {
  const pulled = pullable(source)!;
  const items: unknown[] = [];
  for (let step = await pulled.next(); step.done !== true; step = await pulled.next()) items.push(step.value);
  return items;
}

async function* lettersAsync(): AsyncGenerator<string> {
  yield 'a';
  yield 'b';
}

describe('pullable', () => {
  for (const [what, source] of Object.entries<() => unknown>({
    'an array': () => ['a', 'b'],
    'a Set': () => new Set(['a', 'b']),
    'an async generator': () => lettersAsync(),
    'a Readable': () => Readable.from(['a', 'b']),
    'a ReadableStream': () => ReadableStream.from(['a', 'b']),
  })) {
    it(`gives the items of ${what} one by one`, async () => {
      expect(await allOf(source())).to.eql(['a', 'b']);
    });
  }

  for (const [what, source] of Object.entries<unknown>({
    'an Observable': of('a'),
    'a Promise': Promise.resolve('a'),
    'an array-like': { length: 1, 0: 'a' },
    'an object': {},
    null: null,
    undefined,
    'a number': 5,
    'a function': () => [],
    'something with a getReader that is no method': { getReader: true },
  })) {
    it(`cannot pull ${what}`, () => {
      expect(pullable(source)).to.equal(undefined);
    });
  }

  it('prefers the async iterator of what has both', async () => {
    const both = { [Symbol.asyncIterator]: lettersAsync, [Symbol.iterator]: () => expect.fail('the other one') };
    expect(await allOf(both)).to.eql(['a', 'b']);
  });

  it('takes nothing for a Readable that only looks like one', () => {
    for (const half of [{ pipe: 1 }, { pipe: 1, destroy: true }, { destroy: () => expect.fail('not a stream') }]) {
      const iterator = ['a'][Symbol.iterator]();
      expect(pullable({ ...half, [Symbol.iterator]: () => iterator })).to.equal(iterator);
    }
  });

  it('lets go of a ReadableStream that has ended, and not before', async () => {
    const stream = ReadableStream.from(['a']);
    const pulled = pullable(stream)!;
    await pulled.next();
    expect(stream.locked).to.equal(true);
    await pulled.next();
    expect(stream.locked).to.equal(false);
  });

  it('keeps a synchronous source synchronous', () => {
    expect(pullable(['a'])!.next()).to.eql({ done: false, value: 'a' });
  });

  it('destroys a Readable at once, though a read is pending', async () => {
    const source = new Readable({ read() {} });
    const pulled = pullable(source)!;
    const pending = Promise.resolve(pulled.next()).then(
      () => 'ended',
      () => 'failed',
    );
    await turns(1);
    pulled.return!();
    expect(source.destroyed).to.equal(true);
    expect(await pending).to.be.oneOf(['ended', 'failed']);
  });

  it('cancels a ReadableStream at once, though a read is pending', async () => {
    let cancelled = false;
    const pulled = pullable(new ReadableStream({ cancel: () => void (cancelled = true) }))!;
    const pending = pulled.next();
    await pulled.return!();
    expect(cancelled).to.equal(true);
    expect(await pending).to.include({ done: true });
  });
});
