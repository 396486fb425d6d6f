import { expect } from 'chai';
import { concat, from, map, NEVER, Observable, of, range, retry, Subject, take, tap, throwError } from 'rxjs';
import type { Codec, Decoder } from '../../lib/codec/codec.js';
import { lengthPrefixed } from '../../lib/codec/length-prefixed.js';
import { lines } from '../../lib/codec/lines.js';
import { ConfigError, FrameError } from '../../lib/errors.js';
import { decode, DecodeDriver } from '../../lib/inbound/decode.js';
import { chunkings } from '../support/chunkings.js';
import { marbles } from '../support/marbles.js';

type Decoding<In> = Pick<Codec<In, never>, 'decoder'>;

/** A decoder of texts whose parts may be replaced. */
function decoding(parts: Partial<Decoder<string>>): Decoding<string> {
  return { decoder: () => ({ push: () => {}, next: () => undefined, end: () => {}, ...parts }) };
}

function throwing(error: unknown): () => never {
  return () => {
    throw error;
  };
}

interface Outcome<T> {
  readonly values: T[];
  end: unknown;
}

function collect<T>(source: Observable<T>): Outcome<T> {
  const outcome: Outcome<T> = { values: [], end: undefined };
  source.subscribe({
    next: (value) => outcome.values.push(value),
    error: (error: unknown) => (outcome.end = error),
    complete: () => (outcome.end = 'completed'),
  });
  return outcome;
}

const chunks = { a: Buffer.from('one\ntw'), b: Buffer.from('o\n'), c: Buffer.from('x\ny\nz\n'), p: Buffer.from('pa') };

describe('decode', () => {
  it('emits each frame with the chunk that ends it', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-b--|', chunks);
      expectObservable(source.pipe(decode(lines()))).toBe('-x-y--|', { x: 'one', y: 'two' });
      expectSubscriptions(source.subscriptions).toBe('^-----!');
    });
  });

  it('emits several frames of one chunk in a row', () => {
    marbles(({ cold, expectObservable }) => {
      expectObservable(cold('--c----|', chunks).pipe(decode(lines()))).toBe('--(xyz)|', { x: 'x', y: 'y', z: 'z' });
    });
  });

  it('passes an error of the source on, and reports no frame that it cut', () => {
    marbles(({ cold, expectObservable }) => {
      expectObservable(cold('-a--#', chunks, 'gone').pipe(decode(lines()))).toBe('-x--#', { x: 'one' }, 'gone');
    });
  });

  it('errors with `truncated` when the source completes inside a frame [S7]', () => {
    marbles(({ cold, expectObservable }) => {
      const kinds = cold('-a--|', chunks).pipe(decode(lines()));
      const told = new Observable<string>((s) =>
        kinds.subscribe({
          next: (v) => s.next(v),
          error: (e: FrameError) => s.error(e.kind),
          complete: () => s.complete(),
        }),
      );
      expectObservable(told).toBe('-x--#', { x: 'one' }, 'truncated');
    });
  });

  it('takes plain Uint8Arrays for bytes, as web streams give them', () => {
    const seen: string[] = [];
    const chunks = ['one\ntw', 'o\n'].map((text) => new TextEncoder().encode(text)) as Buffer[];
    from(chunks)
      .pipe(decode(lines()))
      .subscribe((line) => seen.push(line));
    expect(seen).to.eql(['one', 'two']);
  });

  for (const chunk of ['text', 7, null, { length: 3 }]) {
    it(`errors with a FrameError at a chunk that is ${JSON.stringify(chunk)}, after the frames before it`, () => {
      const seen: unknown[] = [];
      from([Buffer.from('one\n'), chunk as Buffer, Buffer.from('two\n')])
        .pipe(decode(lines()))
        .subscribe({ next: (line) => seen.push(line), error: (error) => seen.push(error) });
      expect(seen).to.have.length(2);
      expect(seen[0]).to.equal('one');
      expect(seen[1]).to.be.instanceOf(FrameError).with.property('kind', 'decode');
    });
  }

  for (const made of [undefined, {}, { push() {}, next() {} }, 'decoder']) {
    it(`errors with a FrameError when the codec makes ${JSON.stringify(made)} for a decoder [S12]`, () => {
      const seen: unknown[] = [];
      const codec = { decoder: () => made as unknown as Decoder<string> };
      of(Buffer.from('x'))
        .pipe(decode(codec))
        .subscribe({ error: (error) => seen.push(error) });
      expect(seen[0]).to.be.instanceOf(FrameError).with.property('kind', 'decode');
    });
  }

  it('makes a FrameError of whatever a codec reports', () => {
    const reported: FrameError[] = [];
    const codec = {
      decoder: (report: (skipped: FrameError) => void) => {
        report('oops' as unknown as FrameError);
        return { push: () => {}, next: () => undefined, end: () => {} };
      },
    };
    of(Buffer.from('x'))
      .pipe(decode(codec, { report: (error) => reported.push(error) }))
      .subscribe();
    expect(reported[0]).to.be.instanceOf(FrameError).with.property('cause', 'oops');
  });

  it('refuses what is no codec, and options that it has not', () => {
    const wrong: [unknown, unknown, string][] = [
      [undefined, {}, '`codec` must be a codec, got undefined'],
      [lines, {}, '`codec` must be a codec, got a function'],
      [lines(), { reprot() {} }, '`reprot` is not an option of decode; did you mean `report`?'],
      [lines(), { report: 1 }, '`report` must be a function, got 1'],
    ];
    for (const [codec, options, message] of wrong)
      expect(() => decode(codec as ReturnType<typeof lines>, options as never)).to.throw(ConfigError, message);
  });

  it('unsubscribes from its source with its subscriber', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-b-a-b-b', chunks);
      expectObservable(source.pipe(decode(lines())), '----!').toBe('-y-x-', { y: 'o', x: 'one' });
      expectSubscriptions(source.subscriptions).toBe('^---!');
    });
  });

  for (const [phase, when, expected] of [
    ['before the first chunk', '!', ''],
    ['inside a frame', '--!', '-x'],
    ['between two frames', '----!', '-x-y'],
  ] as const) {
    it(`unsubscribed ${phase} lets its source go at once`, () => {
      marbles(({ cold, expectObservable, expectSubscriptions }) => {
        const source = cold('-a-b-c|', chunks);
        expectObservable(source.pipe(decode(lines())), when).toBe(expected, { x: 'one', y: 'two' });
        expectSubscriptions(source.subscriptions).toBe(when === '!' ? '(^!)' : `^${when.slice(1)}`);
      });
    });
  }

  it('subscribed twice at once subscribes to its source twice, with a decoder each', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-b|', chunks);
      const frames = source.pipe(decode(lines()));
      expectObservable(frames).toBe('-x-y|', { x: 'one', y: 'two' });
      expectObservable(frames, '--^').toBe('---x-y|', { x: 'one', y: 'two' });
      expectSubscriptions(source.subscriptions).toBe(['^---!', '--^---!']);
    });
  });

  it('subscribed again after an error starts with no byte of before [S7]', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-b-p-#', chunks);
      expectObservable(source.pipe(decode(lines()), retry(1))).toBe('-y----y---#', { y: 'o' });
      expectSubscriptions(source.subscriptions).toBe(['^----!', '-----^----!']);
    });
  });

  it('emits the frames of a source that emits and ends while it is being subscribed to', () => {
    const gone = new Error('gone');
    expect(collect(of(chunks.a, chunks.b).pipe(decode(lines())))).to.eql({ values: ['one', 'two'], end: 'completed' });
    expect(
      collect(
        concat(
          of(chunks.a),
          throwError(() => gone),
        ).pipe(decode(lines())),
      ),
    ).to.eql({
      values: ['one'],
      end: gone,
    });
  });

  it('unsubscribes from its source when the bytes are no frames', () => {
    marbles(({ cold, expectSubscriptions }) => {
      const source = cold('-c--c-c', chunks);
      source.pipe(decode(lines({ maxFrameLength: 1 })), take(4)).subscribe();
      source.pipe(decode(decoding({ next: throwing(new Error('no')) }))).subscribe({ error: () => {} });
      expectSubscriptions(source.subscriptions).toBe(['^---!', '^!']);
    });
  });

  it('has a decoder of its own for every subscription [S7]', () => {
    const source = new Subject<Buffer>();
    const frames = source.pipe(decode(lines()));
    const [first, second] = [collect(frames), collect(frames)];
    source.next(Buffer.from('hal'));
    const third = collect(frames);
    source.next(Buffer.from('f\n'));
    expect([first.values, second.values, third.values]).to.eql([['half'], ['half'], ['f']]);
  });

  it('makes no decoder before it is subscribed to', () => {
    let made = 0;
    const frames = of(chunks.b).pipe(decode({ decoder: () => (made++, lines().decoder(() => {})) }));
    expect(made).to.equal(0);
    frames.subscribe();
    frames.subscribe();
    expect(made).to.equal(2);
  });

  it('emits nothing after an unsubscription inside a frame, and decodes no further', () => {
    let decoded = 0;
    const codec = lines();
    const counting: Decoding<string> = {
      decoder: (report) => {
        const inner = codec.decoder(report);
        return { push: (chunk) => inner.push(chunk), next: () => (decoded++, inner.next()), end: () => inner.end() };
      },
    };
    const { values, end } = collect(of(Buffer.from('a\nb\nc\n')).pipe(decode(counting), take(2)));
    expect([values, end, decoded]).to.eql([['a', 'b'], 'completed', 2]);
  });

  it('stops a synchronous source that would never end', () => {
    let given = 0;
    const endless = range(0, 1_000_000).pipe(map(() => (given++, Buffer.from('x\n'))));
    expect(collect(endless.pipe(decode(lines()), take(3))).values).to.eql(['x', 'x', 'x']);
    expect(given).to.be.below(10);
  });

  it('lets a chunk wait that comes while a frame is being emitted', () => {
    const source = new Subject<Buffer>();
    const seen: string[] = [];
    source.pipe(decode(lines())).subscribe((frame) => {
      seen.push(`<${frame}`);
      if (frame === 'a') source.next(Buffer.from('c\nd'));
      if (frame === 'b') source.next(Buffer.from('d\n'));
      seen.push(`${frame}>`);
    });
    source.next(Buffer.from('a\nb\n'));
    expect(seen).to.eql(['<a', 'a>', '<b', 'b>', '<c', 'c>', '<dd', 'dd>']);
  });

  it('completes after the frames when the source completes while one is being emitted', () => {
    const source = new Subject<Buffer>();
    const seen: string[] = [];
    source.pipe(decode(lines())).subscribe({
      next: (frame) => {
        seen.push(frame);
        if (frame === 'x') source.complete();
      },
      complete: () => seen.push('completed'),
    });
    source.next(chunks.c);
    expect(seen).to.eql(['x', 'y', 'z', 'completed']);
  });

  it('errors at once when the source errors while a frame is being emitted, and drops the frames after it', () => {
    const source = new Subject<Buffer>();
    const gone = new Error('gone');
    const outcome = collect(
      source.pipe(
        decode(lines()),
        tap((frame) => {
          if (frame === 'x') source.error(gone);
        }),
      ),
    );
    source.next(chunks.c);
    expect(outcome).to.eql({ values: [], end: gone });
  });

  it('emits nothing more once unsubscribed inside a frame, neither of this chunk nor of one that waits', () => {
    const source = new Subject<Buffer>();
    const seen: string[] = [];
    const subscription = source.pipe(decode(lines())).subscribe((frame) => {
      seen.push(frame);
      source.next(Buffer.from('later\n'));
      subscription.unsubscribe();
    });
    source.next(chunks.c);
    expect([seen, source.observed]).to.eql([['x'], false]);
  });

  it('does not end the decoder once unsubscribed inside the last frame', () => {
    let ended = 0;
    const codec = lines();
    const watched: Decoding<string> = {
      decoder: (report) => {
        const inner = codec.decoder(report);
        return { push: (chunk) => inner.push(chunk), next: () => inner.next(), end: () => (ended++, undefined) };
      },
    };
    expect(collect(of(chunks.a).pipe(decode(watched), take(1)))).to.eql({ values: ['one'], end: 'completed' });
    expect(ended).to.equal(0);
  });

  it('subscribes to no source for a codec that makes no decoder', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-|', chunks);
      const own = new FrameError('corrupt', 'no decoder');
      expectObservable(source.pipe(decode({ decoder: throwing(own) }))).toBe('#', undefined, own);
      expectSubscriptions(source.subscriptions).toBe([]);
    });
  });

  it('errors with what `report` throws as the cause', () => {
    const report = throwing(new RangeError('of the user'));
    const codec = lines({ maxFrameLength: 1, onTooLarge: 'discard' });
    const { values, end } = collect(of(Buffer.from('a\nlong\nb\n')).pipe(decode(codec, { report })));
    expect(values).to.eql(['a']);
    expect(end).to.be.instanceOf(FrameError);
    expect((end as FrameError).cause).to.be.instanceOf(RangeError);
  });

  it('emits nothing more once unsubscribed inside `report`', () => {
    const source = new Subject<Buffer>();
    const seen: string[] = [];
    const codec = lines({ maxFrameLength: 1, onTooLarge: 'discard' });
    const report = (): void => subscription.unsubscribe();
    const subscription = source.pipe(decode(codec, { report })).subscribe((frame) => seen.push(frame));
    source.next(Buffer.from('a\nlong\nb\n'));
    expect([seen, source.observed]).to.eql([['a'], false]);
  });

  it('emits the frames before the one that is broken, and then its error [S12]', () => {
    const { values, end } = collect(of(Buffer.from('ok\nlong one\nok\n')).pipe(decode(lines({ maxFrameLength: 4 }))));
    expect(values).to.eql(['ok']);
    expect(end).to.include({ code: 'TCP_FRAME', kind: 'too-large' });
  });

  it('reports the frames that the codec skips, and goes on [S12]', () => {
    const skipped: FrameError[] = [];
    const codec = lines({ maxFrameLength: 4, onTooLarge: 'discard' });
    const wire = of(Buffer.from('ok\nlong one\nok\n'));
    const { values, end } = collect(wire.pipe(decode(codec, { report: (error) => skipped.push(error) })));
    expect([values, end, skipped.map(({ kind }) => kind)]).to.eql([['ok', 'ok'], 'completed', ['too-large']]);
    expect(collect(wire.pipe(decode(codec))).values).to.eql(['ok', 'ok']);
  });

  it('gives the same frames however the wire is cut', () => {
    const codec = lengthPrefixed();
    const messages = ['', 'a', 'long enough to be cut', 'z'];
    const wire = Buffer.concat(messages.map((message) => Buffer.from(codec.encode(Buffer.from(message)))));
    for (const { name, chunks: cut } of chunkings(wire)) {
      const { values, end } = collect(
        from(cut).pipe(
          decode(codec),
          map((frame) => frame.toString()),
        ),
      );
      expect([values, end], name).to.eql([messages, 'completed']);
    }
  });

  it('takes a frame that is falsy for a frame', () => {
    const bits = [0, '', false, null, NaN];
    const codec = { decoder: () => ({ push: () => {}, next: () => bits.shift(), end: () => {} }) };
    expect(collect(of(Buffer.from('x')).pipe(decode(codec))).values).to.eql([0, '', false, null, NaN]);
  });

  it('grows no stack over many synchronous chunks and frames', () => {
    const many = range(0, 100_000).pipe(map(() => Buffer.from('x\ny\n')));
    expect(collect(many.pipe(decode(lines()))).values.length).to.equal(200_000);
  });

  const mistake = new Error('mistake');
  for (const [where, codec] of Object.entries<Decoding<string>>({
    'decoder()': { decoder: throwing(mistake) },
    'push()': decoding({ push: throwing(mistake) }),
    'next()': decoding({ next: throwing(mistake) }),
    'end()': decoding({ end: throwing(mistake) }),
  })) {
    it(`errors with a FrameError when ${where} throws [S12]`, () => {
      const { end } = collect(of(chunks.a).pipe(decode(codec)));
      expect(end).to.be.instanceOf(FrameError);
      expect(end).to.include({ kind: 'decode', cause: mistake });
    });
  }

  it('passes a FrameError of the codec on as it is', () => {
    const own = new FrameError('corrupt', 'bad checksum');
    expect(collect(of(chunks.a).pipe(decode(decoding({ next: throwing(own) })))).end).to.equal(own);
  });

  it('does not end the decoder for a source that fails or goes on', () => {
    const codec = decoding({ end: () => expect.fail('ended') });
    expect(collect(throwError(() => 'gone').pipe(decode(codec))).end).to.equal('gone');
    collect(concat(of(chunks.a), NEVER).pipe(decode(codec)));
  });
});

describe('DecodeDriver', () => {
  it('drives one decoder, made at once', () => {
    const driver = new DecodeDriver(lines(), () => {});
    driver.push(Buffer.from('one\ntw'));
    expect([driver.next(), driver.next()]).to.eql(['one', undefined]);
    expect(() => driver.end()).to.throw(FrameError, 'truncated');
    driver.push(Buffer.from('o\n'));
    expect(driver.next()).to.equal('two');
    driver.end();
  });
});
