import { expect } from 'chai';
import type { Codec } from '../../lib/codec/codec.js';
import { lines } from '../../lib/codec/lines.js';
import { mapCodec } from '../../lib/codec/map-codec.js';
import { ConfigError, FrameError } from '../../lib/errors.js';
import { seededRandom } from '../support/random.js';
import { expectOutcome, outcomeOf } from './outcome.js';

describe('mapCodec()', () => {
  interface Point {
    x: number;
    y: number;
  }

  const points: Codec<Point, Point> = mapCodec(lines(), {
    decode: (line) => {
      const [x = NaN, y = NaN] = line.split(' ').map(Number);
      return { x, y };
    },
    encode: ({ x, y }: Point) => `${String(x)} ${String(y)}`,
  });

  const encode = (line: string) => line;

  it('maps the frames of the codec beneath, whatever the chunks', () => {
    expectOutcome(points, Buffer.from('1 2\n3 4\r\n'), {
      frames: [
        { x: 1, y: 2 },
        { x: 3, y: 4 },
      ],
    });
  });

  it('encodes what `encode` makes of a message', () => {
    expect(String(points.encode({ x: 1, y: 2 }))).to.equal('1 2\n');
  });

  it('is undone by decoding, for random messages [200 rounds]', () => {
    const random = seededRandom(5);
    for (let round = 0; round < 200; round++) {
      const frames = Array.from({ length: random.int(0, 4) }, () => ({ x: random.int(-9, 9), y: random.next() }));
      const wire = Buffer.concat(frames.map((frame) => points.encode(frame)));
      expectOutcome(points, wire, { frames }, { splitsUpTo: 0, random: 2, seed: round });
    }
  });

  it('stacks, and passes null and falsy messages on as values', () => {
    const falsy = mapCodec(points, {
      decode: ({ x }) => [null, 0, '', false][x] ?? null,
      encode: (x: number) => ({ x, y: 0 }),
    });
    const wire = Buffer.concat([0, 1, 2, 3].map((x) => falsy.encode(x)));
    expectOutcome(falsy, wire, { frames: [null, 0, '', false] }, { splitsUpTo: 4 });
  });

  it('refuses a `decode` that returns undefined, which would read as the wish for more bytes', () => {
    const some = mapCodec(lines(), { decode: (line) => (line === 'b' ? undefined : line), encode });
    expectOutcome(some, Buffer.from('a\nb\nc\n'), { frames: ['a'], error: 'decode' });
  });

  it('lets pass what `decode` throws, the very object, and gives nothing after it', () => {
    const thrown = new RangeError('no');
    const codec = mapCodec(lines(), {
      decode: (line) => {
        if (line === 'b') throw thrown;
        return line;
      },
      encode,
    });
    const decoder = codec.decoder(() => undefined);
    decoder.push(Buffer.from('a\nb\nc\nd'));
    expect(decoder.next()).to.equal('a');
    expect(() => decoder.next())
      .to.throw()
      .that.equals(thrown);
    decoder.push(Buffer.from('e\n'));
    expect(decoder.next()).to.equal(undefined);
    decoder.end();
  });

  it('lets pass what `encode` throws, and is as good as before', () => {
    const thrown = new RangeError('no');
    const codec = mapCodec(lines(), {
      decode: String,
      encode: (line: string) => {
        if (line === 'bad') throw thrown;
        return line;
      },
    });
    expect(() => codec.encode('bad'))
      .to.throw()
      .that.equals(thrown);
    expect(() => codec.encode('a\nb')).to.throw(FrameError, 'line feed');
    expect(String(codec.encode('good'))).to.equal('good\n');
  });

  it('passes on the errors and reports of the codec beneath', () => {
    const short = (onTooLarge: 'error' | 'discard') =>
      mapCodec(lines({ maxFrameLength: 2, onTooLarge }), { decode: (line) => line.toUpperCase(), encode });
    const wire = Buffer.from('ab\nabc\nb\n');
    expectOutcome(short('error'), wire, { frames: ['AB'], error: 'too-large' });
    expectOutcome(short('discard'), wire, { frames: ['AB', 'B'], reported: [{ kind: 'too-large', after: 1 }] });
    expectOutcome(short('error'), Buffer.from('a\nb'), { frames: ['A'], error: 'truncated' });
  });

  it('makes a decoder of its own for each connection', () => {
    const [one, two] = [points.decoder(() => undefined), points.decoder(() => undefined)];
    one.push(Buffer.from('1 '));
    two.push(Buffer.from('2\n'));
    expect(two.next()).to.eql({ x: 2, y: NaN });
    expect(one.next()).to.equal(undefined);
  });

  it('calls both functions as plain functions', () => {
    const seen: unknown[] = [];
    const spy = function (this: unknown, line: string): string {
      seen.push(this);
      return line;
    };
    const codec = mapCodec(lines(), { decode: spy, encode: spy });
    outcomeOf(codec, [Buffer.from(codec.encode('a'))]);
    expect(seen).to.eql([undefined, undefined]);
  });

  it('refuses a missing function, an unknown option and what is no codec', () => {
    const decode = String;
    expect(() => mapCodec(lines(), { decode } as never)).to.throw(ConfigError, '`encode` must be a function');
    expect(() => mapCodec(lines(), { encode } as never)).to.throw(ConfigError, '`decode` must be a function');
    expect(() => mapCodec(lines(), { decode: 1, encode } as never)).to.throw(ConfigError, '`decode`');
    expect(() => mapCodec(lines(), { decode, encode, decoder: 1 } as never)).to.throw(ConfigError, '`decoder`');
    for (const codec of [null, {}, lines, { decoder: 1, encode }]) {
      expect(() => mapCodec(codec as never, { decode, encode })).to.throw(ConfigError, '`codec` must be a codec');
    }
  });
});
