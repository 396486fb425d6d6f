import { expect } from 'chai';
import { map, Observable, of, range, retry, Subject, take } from 'rxjs';
import { ConfigError, FrameError } from '../../lib/errors.js';
import { encoder } from '../../lib/codec/encode-into.js';
import { lines } from '../../lib/codec/lines.js';
import { asFrameError, encode, encodeInto, encodeMessage } from '../../lib/outbound/encode.js';
import { FrameSlabs } from '../../lib/outbound/slabs.js';
import { marbles } from '../support/marbles.js';
import { tape } from '../support/tape.js';

/** What a call throws. */
function thrown(call: () => unknown): FrameError {
  try {
    call();
  } catch (error) {
    expect(error).to.be.instanceOf(FrameError);
    return error as FrameError;
  }
  throw new Error('it did not throw');
}

describe('encodeMessage', () => {
  it('gives the very bytes that the codec made, in one call', () => {
    const bytes = Uint8Array.of(1, 2);
    const messages: unknown[] = [];
    const message = { id: 1 };
    const codec = { encode: (given: unknown) => (messages.push(given), bytes) };
    expect(encodeMessage(codec, message)).to.equal(bytes);
    expect(messages).to.eql([message]);
  });

  it('calls `encode` as a method of its codec', () => {
    const codec = {
      bytes: Buffer.from('x'),
      encode() {
        return this.bytes;
      },
    };
    expect(encodeMessage(codec, 0)).to.equal(codec.bytes);
  });

  it('passes a FrameError of the codec on as it is', () => {
    const error = new FrameError('too-large', '5 bytes');
    expect(
      thrown(() =>
        encodeMessage(
          {
            encode: () => {
              throw error;
            },
          },
          0,
        ),
      ),
    ).to.equal(error);
  });

  for (const cause of [new Error('c0ffee'), 'c0ffee', undefined]) {
    it(`wraps ${cause instanceof Error ? 'an Error' : typeof cause} that the codec throws, whose text is in no message`, () => {
      const error = thrown(() =>
        encodeMessage(
          {
            encode: () => {
              throw cause;
            },
          },
          0,
        ),
      );
      expect([error.kind, error.cause]).to.eql(['encode', cause]);
      expect(error.message).to.equal('encode frame: the codec refused the message');
    });
  }

  for (const [what, answer] of [
    ['nothing', undefined],
    ['a string', 'x'],
    ['an array', [1]],
    ['a promise', Promise.resolve(Buffer.alloc(1))],
    ['other typed memory', new Uint16Array(1)],
    ['an ArrayBuffer', new ArrayBuffer(1)],
  ] as const) {
    it(`refuses a codec that answers ${what}`, () => {
      const error = thrown(() => encodeMessage({ encode: () => answer as never }, 0));
      expect(error).to.include({ kind: 'encode', message: 'encode frame: the codec did not answer with bytes' });
    });
  }
});

describe('encodeInto', () => {
  const slabs = (): FrameSlabs => new FrameSlabs(() => 8);

  it('writes straight into the memory it is given, if the codec can', () => {
    const target = slabs();
    const into = encodeInto(lines());
    target.commit(into('one', target));
    const end = into('two', target);
    expect([target.start, end]).to.eql([4, 8]);
    expect(target.bytes.subarray(0, end).toString()).to.equal('one\ntwo\n');
  });

  it('gives the very bytes of a codec that cannot, by reference', () => {
    const bytes = Uint8Array.of(1, 2, 3);
    const target = slabs();
    expect(encodeInto({ encode: () => bytes })(0, target)).to.equal(3);
    expect([target.bytes === bytes, target.start]).to.eql([true, 0]);
  });

  it('calls `encode` as a method of its codec', () => {
    const codec = {
      bytes: Buffer.from('x'),
      encode() {
        return this.bytes;
      },
    };
    const target = slabs();
    encodeInto(codec)(0, target);
    expect(target.bytes).to.equal(codec.bytes);
  });

  it('calls the `encode` that somebody has put in the place of the codec’s own', () => {
    const target = slabs();
    const codec = { ...lines(), encode: (message: string) => Buffer.from(`<${message}>`) };
    expect(encodeInto(codec)('a', target)).to.equal(3);
    expect(target.bytes.toString()).to.equal('<a>');
  });

  it('throws what the codec throws, or a FrameError of what it answers', () => {
    const cause = new Error('mine');
    const codec = {
      encode: encoder(() => {
        throw cause;
      }),
    };
    expect(() => encodeInto(codec)(0, slabs())).to.throw(cause);
    expect(thrown(() => encodeInto({ encode: () => 'x' as never })(0, slabs()))).to.include({ kind: 'encode' });
    expect(thrown(() => encodeInto({} as never)(0, slabs()))).to.include({ kind: 'encode' });
  });
});

describe('asFrameError', () => {
  it('takes a FrameError as it is, and makes one of anything else', () => {
    const error = new FrameError('too-large', 'x');
    expect(asFrameError(error)).to.equal(error);
    for (const cause of [new Error('c0ffee'), 'c0ffee', undefined]) {
      const made = asFrameError(cause);
      expect([made instanceof FrameError, made.kind, made.cause]).to.eql([true, 'encode', cause]);
    }
  });
});

describe('encode', () => {
  it('makes one buffer of each message', () => {
    const { values, ended } = tape(of('one', 'two').pipe(encode(lines())));
    expect(values.map(String)).to.eql(['one\n', 'two\n']);
    expect(ended).to.equal('completed');
  });

  it('gives a Buffer over the same memory where the codec answers a Uint8Array', () => {
    const memory = Uint8Array.of(1, 2, 3);
    const { values } = tape(of(0).pipe(encode({ encode: () => memory.subarray(1) })));
    expect(Buffer.isBuffer(values[0])).to.equal(true);
    memory[1] = 9;
    expect([...values[0]!]).to.eql([9, 3]);
  });

  it('errors at the first message that the codec refuses, and lets the source go', () => {
    const source = new Subject<string>();
    const encoded = tape(source.pipe(encode(lines())));
    source.next('a');
    source.next('b\nc');
    expect(encoded.values.map(String)).to.eql(['a\n']);
    expect(encoded.error).to.be.instanceOf(FrameError);
    expect(source.observed).to.equal(false);
  });

  it('passes errors and completion on, and can be subscribed anew', () => {
    const source = new Subject<string>();
    const encoded = source.pipe(encode(lines()));
    const [first, second] = [tape(encoded), tape(encoded)];
    first.stop();
    expect(source.observed).to.equal(true);
    const error = new Error('x');
    source.error(error);
    expect([first.ended, second.error]).to.eql([undefined, error]);
  });

  /** As text, for marbles. */
  const encoded = (source: Observable<string>): Observable<string> =>
    source.pipe(
      encode(lines()),
      map((bytes) => bytes.toString()),
    );
  const messages = { a: 'a', b: 'b', x: 'x\ny' };
  const texts = { a: 'a\n', b: 'b\n' };

  it('emits each buffer with its message, and ends with its source', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-b--|', messages);
      expectObservable(encoded(source)).toBe('a-b--|', texts);
      expectSubscriptions(source.subscriptions).toBe('^----!');
      expectObservable(encoded(cold('-a-#', messages, 'gone'))).toBe('-a-#', texts, 'gone');
    });
  });

  it('gives its source up with the message that the codec refuses, and starts anew when subscribed again', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-x-b|', messages);
      const kinds = encoded(source).pipe(retry({ count: 1 }));
      const told = new Observable<string>((subscriber) =>
        kinds.subscribe({
          next: (text) => subscriber.next(text),
          error: ({ kind }: FrameError) => subscriber.error(kind),
        }),
      );
      expectObservable(told).toBe('-a--a-#', texts, 'encode');
      expectSubscriptions(source.subscriptions).toBe(['^--!', '---^--!']);
    });
  });

  it('unsubscribed lets its source go at once, whenever that is, and one subscription leaves another alone', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-b-|', messages);
      expectObservable(encoded(source), '!').toBe('');
      expectObservable(encoded(source), '--!').toBe('-a', texts);
      expectObservable(encoded(source)).toBe('-a-b-|', texts);
      expectSubscriptions(source.subscriptions).toBe(['(^!)', '^-!', '^----!']);
    });
  });

  it('takes a synchronous source, and encodes no message after an unsubscription inside a buffer', () => {
    let calls = 0;
    const codec = { encode: (n: number) => (calls++, Buffer.from([n])) };
    const { values, ended } = tape(range(0, 1000).pipe(encode(codec), take(2)));
    expect([values.map(([byte]) => byte), ended, calls]).to.eql([[0, 1], 'completed', 2]);
  });

  it('encodes what comes while a buffer is emitted at once, as `map` does', () => {
    const source = new Subject<string>();
    const seen: string[] = [];
    encoded(source).subscribe((text) => {
      seen.push(text);
      if (text === 'a\n') source.next('b');
    });
    source.next('a');
    expect(seen).to.eql(['a\n', 'b\n']);
  });

  it('refuses what is no codec', () => {
    for (const codec of [undefined, lines, {}])
      expect(() => encode(codec as unknown as ReturnType<typeof lines>)).to.throw(
        ConfigError,
        '`codec` must be a codec',
      );
  });
});
