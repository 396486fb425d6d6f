import { expect } from 'chai';
import type { Codec } from '../../lib/codec/codec.js';
import { intoOf } from '../../lib/codec/encode-into.js';
import { lengthPrefixed } from '../../lib/codec/length-prefixed.js';
import { lines } from '../../lib/codec/lines.js';
import { mapCodec } from '../../lib/codec/map-codec.js';
import { ConfigError, FrameError } from '../../lib/errors.js';
import { seededRandom } from '../support/random.js';
import { expectOutcome, outcomeOf } from './outcome.js';
import { targetAt } from './target-at.js';

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

  describe('with a codec beneath that writes into given memory', () => {
    const slab = targetAt(Buffer.alloc(8, '.'), 2);

    it('does so too, and calls `encode` once', () => {
      let calls = 0;
      const shouting = mapCodec(lines(), { decode: String, encode: (text: string) => (calls++, text.toUpperCase()) });
      const into = intoOf<string>(Reflect.get(shouting, 'encode'));
      expect(into?.('hi', slab)).to.equal(5);
      expect(String(slab.bytes.subarray(0, 5))).to.equal('..HI\n');
      expect(calls).to.equal(1);
      expect(String(shouting.encode('ho'))).to.equal('HO\n');
      expect(calls).to.equal(2);
    });

    it('lets pass what either `encode` throws', () => {
      const thrown = new RangeError('no');
      const codec = mapCodec(lines(), {
        decode: String,
        encode: (text: string) => {
          if (text === 'bad') throw thrown;
          return text;
        },
      });
      const into = intoOf<string>(Reflect.get(codec, 'encode'));
      expect(() => into?.('bad', slab))
        .to.throw()
        .that.equals(thrown);
      expect(() => into?.('a\nb', slab)).to.throw(FrameError, 'line feed');
    });
  });

  it('writes into no given memory if the codec beneath cannot, and calls that as a method', () => {
    const own: Codec<string, string> & { mark: string } = {
      mark: '!',
      decoder: (report) => lines().decoder(report),
      encode(text) {
        return Buffer.from(text + this.mark);
      },
    };
    const codec = mapCodec(own, { decode: String, encode: String });
    expect(intoOf<string>(Reflect.get(codec, 'encode'))).to.equal(undefined);
    expect(String(codec.encode('hi'))).to.equal('hi!');
  });

  it('lets go of chunks if the decoder beneath can, and promises nothing else', () => {
    const decoder = mapCodec(lines(), { decode: String, encode }).decoder(() => undefined);
    const chunk = Buffer.from('ab\ncd\n');
    decoder.push(chunk);
    expect(decoder.next()).to.equal('ab');
    decoder.detach?.();
    chunk.fill('x');
    expect(decoder.next()).to.equal('cd');
    const pinning = mapCodec(lengthPrefixed(), { decode: String, encode }).decoder(() => undefined);
    expect(Reflect.get(pinning, 'detach')).to.equal(undefined);
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
