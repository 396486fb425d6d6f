import { expect } from 'chai';
import fc from 'fast-check';
import type { Bytes, Codec } from '../../lib/codec/codec.js';
import { type DelimitedConfig, delimited } from '../../lib/codec/delimited.js';
import { intoOf } from '../../lib/codec/encode-into.js';
import { ConfigError, FrameError, type FrameErrorKind } from '../../lib/errors.js';
import { cut } from '../support/chunkings.js';
import { holds } from '../support/property.js';
import { lent } from './lent.js';
import { type Expected, expectOutcome, outcomeOf } from './outcome.js';
import { chunkedWires } from './wires.js';
import { workOf } from './work.js';

describe('delimited()', () => {
  const MIB = 1024 * 1024;
  const latin1 = (text: string) => Buffer.from(text, 'latin1');

  /** Text stands for its bytes in Latin-1. */
  interface Case extends Omit<Expected, 'frames'> {
    readonly title: string;
    readonly delimiter: string;
    readonly config?: Omit<DelimitedConfig, 'delimiter'>;
    readonly wire: string;
    readonly frames: readonly string[];
  }

  const crlf = '\r\n';
  const discard = 'discard';
  const lost = (...after: number[]) => after.map((n) => ({ kind: 'too-large' as const, after: n }));
  const three = { maxFrameLength: 3 };

  const cases: readonly Case[] = [
    { title: 'ends a frame at its delimiter [D01]', delimiter: crlf, wire: 'a\r\nbc\r\n', frames: ['a', 'bc'] },
    { title: 'takes one byte as delimiter', delimiter: '\0', wire: 'a\0\0bc\0', frames: ['a', '', 'bc'] },
    {
      title: 'finds a long delimiter that chunks cut [D03]',
      delimiter: '-end-',
      wire: 'a-end-b-end-',
      frames: ['a', 'b'],
    },
    {
      title: 'gives empty frames as values [L01, D02, D20]',
      delimiter: crlf,
      wire: '\r\n\r\na\r\n\r\n',
      frames: ['', '', 'a', ''],
    },
    { title: 'has no frame in an empty stream [L16]', delimiter: crlf, wire: '', frames: [] },
    {
      title: 'takes half a delimiter as data [D04]',
      delimiter: crlf,
      wire: 'a\rb\nc\n\r\r\n',
      frames: ['a\rb\nc\n\r'],
    },
    {
      title: 'begins anew within half a delimiter [D05, D06, D07]',
      delimiter: crlf,
      wire: 'a\r\r\n\r\r\r\n\r\n',
      frames: ['a\r', '\r\r', ''],
    },
    { title: 'finds aab in aaab [D07]', delimiter: 'aab', wire: 'aaabaaaabaab', frames: ['a', 'aa', ''] },
    { title: 'finds <<> in <<<> [D07]', delimiter: '<<>', wire: '<<<>a<<<<>', frames: ['<', 'a<<'] },
    { title: 'finds abac in ababac', delimiter: 'abac', wire: 'ababacabacab', frames: ['ab', ''], error: 'truncated' },
    {
      title: 'finds a delimiter within what was nearly one',
      delimiter: 'aabaaa',
      wire: 'aabaabaaaxaaaabaaa',
      frames: ['aab', 'xaa'],
    },
    {
      title: 'takes the first of two that overlap',
      delimiter: 'aa',
      wire: 'aaaaba',
      frames: ['', ''],
      error: 'truncated',
    },
    {
      title: 'takes no byte for two delimiters',
      delimiter: 'aa',
      wire: 'aaabaaaba',
      frames: ['', 'ab'],
      error: 'truncated',
    },
    {
      title: 'takes NUL and 0xff as data and as delimiter [D19]',
      delimiter: '\xff\0',
      wire: '\0\xff\xff\0\xff\0',
      frames: ['\0\xff', ''],
    },
    {
      title: 'has an error for a partial frame at the end [D16, L15]',
      delimiter: crlf,
      wire: 'a\r\nb',
      frames: ['a'],
      error: 'truncated',
    },
    {
      title: 'has an error for half a delimiter at the end [D21]',
      delimiter: crlf,
      wire: 'a\r\n\r',
      frames: ['a'],
      error: 'truncated',
    },

    {
      title: 'accepts the longest frame [L03, D08]',
      delimiter: crlf,
      config: three,
      wire: 'abc\r\nab\r\r\n',
      frames: ['abc', 'ab\r'],
    },
    {
      title: 'refuses a frame one byte longer [L04, D09]',
      delimiter: crlf,
      config: three,
      wire: 'abc\r\nabcd\r\n',
      frames: ['abc'],
      error: 'too-large',
    },
    {
      title: 'refuses it without waiting for its delimiter [L04]',
      delimiter: crlf,
      config: three,
      wire: 'abcd',
      frames: [],
      error: 'too-large',
    },
    {
      title: 'waits for what follows half a delimiter at the limit [D10]',
      delimiter: '-end-',
      config: three,
      wire: 'abc-end',
      frames: [],
      error: 'truncated',
    },
    {
      title: 'refuses that half if it was data [D11]',
      delimiter: '-end-',
      config: three,
      wire: 'abc-ende',
      frames: [],
      error: 'too-large',
    },
    {
      title: 'refuses it as soon as a delimiter can only begin too late',
      delimiter: 'aab',
      config: three,
      wire: 'xxxaaa',
      frames: [],
      error: 'too-large',
    },
    {
      title: 'waits while a delimiter may have begun in time',
      delimiter: 'aab',
      config: three,
      wire: 'xxaaabxxaaa',
      frames: ['xxa'],
      error: 'truncated',
    },
    {
      title: 'refuses a long frame though its delimiter is in the chunk [D12]',
      delimiter: crlf,
      config: three,
      wire: 'abcdefgh\r\nx\r\n',
      frames: [],
      error: 'too-large',
    },
    {
      title: 'hands out the good frames before a long one, and nothing after it [D13, L17, L18]',
      delimiter: crlf,
      config: three,
      wire: 'a\r\nb\r\nabcdefgh\r\nc\r\n',
      frames: ['a', 'b'],
      error: 'too-large',
    },

    {
      title: 'skips a long frame once and resynchronises, its delimiter cut or not [D14, D15]',
      delimiter: '-end-',
      config: { ...three, onTooLarge: discard },
      wire: 'a-end-abcdefgh-end-b-end-',
      frames: ['a', 'b'],
      reported: lost(1),
    },
    {
      title: 'resynchronises at a delimiter that overlaps what was nearly one [D15]',
      delimiter: 'aab',
      config: { ...three, onTooLarge: discard },
      wire: 'xxxxaaabyaab',
      frames: ['y'],
      reported: lost(0),
    },
    {
      title: 'resynchronises at a delimiter that was half there when the frame was found too long',
      delimiter: 'aab',
      config: { ...three, onTooLarge: discard },
      wire: 'xxxaaabyaab',
      frames: ['y'],
      reported: lost(0),
    },
    {
      title: 'reports each of several long frames',
      delimiter: crlf,
      config: { ...three, onTooLarge: discard },
      wire: 'abcd\r\nabcde\r\n\r\nabc\r\r\nabc\r\n',
      frames: ['', 'abc'],
      reported: lost(0, 0, 1),
    },
    {
      title: 'says nothing more of a skipped frame that never ends',
      delimiter: crlf,
      config: { ...three, onTooLarge: discard },
      wire: 'a\r\nabcdefgh\r',
      frames: ['a'],
      reported: lost(1),
    },
    {
      title: 'has an error for a partial frame after a skipped one',
      delimiter: crlf,
      config: { ...three, onTooLarge: discard },
      wire: 'abcd\r\nab',
      frames: [],
      reported: lost(0),
      error: 'truncated',
    },
  ];

  for (const copy of [false, true]) {
    describe(`with copy: ${String(copy)}`, () => {
      for (const { title, delimiter, config, wire, frames, ...expected } of cases) {
        it(title, () => {
          const codec = delimited({ delimiter: latin1(delimiter), copy, ...config });
          expectOutcome(codec, latin1(wire), { ...expected, frames: frames.map(latin1) });
        });
      }

      holds(
        'agrees with a reference that has all bytes at once, however cut and driven [E59]',
        2000,
        fc.tuple(configs(), chunkedWires([97, 97, 97, 97, 98, 98, 99])),
        ([config, { wire, offsets, takes }]) => {
          const outcome = outcomeOf(delimited({ ...config, copy }), cut(wire, offsets), takes);
          expect(outcome).to.eql(reference(wire, config));
        },
      );

      holds(
        'decodes what it encoded, and refuses only what it could not [E57, E59]',
        500,
        fc.tuple(configs(), fc.array(word(12, 0)), fc.array(fc.nat(100))),
        ([config, messages, cuts]) => {
          const codec = delimited({ ...config, copy });
          const frames = messages.filter((message) => encodes(codec, message));
          const readable = messages.filter((message) => {
            const alone = reference(Buffer.concat([message, config.delimiter]), { ...config, onTooLarge: 'error' });
            return alone.error === undefined && message.equals((alone.frames[0] ?? '') as Buffer);
          });
          expect(frames).to.eql(readable);
          const wire = Buffer.concat(frames.map((frame) => codec.encode(frame)));
          const offsets = [...new Set(cuts)].filter((at) => at > 0 && at < wire.length).sort((a, b) => a - b);
          expect(outcomeOf(codec, cut(wire, offsets))).to.eql({ frames, reported: [], error: undefined });
        },
      );

      it('takes an empty chunk for nothing, wherever it comes [L20]', () => {
        const decoder = delimited({ delimiter: crlf, copy }).decoder(() => undefined);
        const after = (text: string) => {
          decoder.push(Buffer.from(text));
          return decoder.next()?.toString();
        };
        expect(['', 'a', '', '\r', '', '\n', '', '\r\n', ''].map(after)).to.eql([
          ...[undefined, undefined, undefined, undefined, undefined, 'a', undefined, '', undefined],
        ]);
        decoder.end();
      });

      it('hands out one frame at a time, so that a driver can stop and push between any two [E50, E51]', () => {
        const decoder = delimited({ delimiter: crlf, copy }).decoder(() => undefined);
        decoder.push(Buffer.from('a\r\nb\r\nc\r'));
        expect(String(decoder.next())).to.equal('a');
        decoder.push(Buffer.from('\nd'));
        expect([decoder.next(), decoder.next(), decoder.next()].map(String)).to.eql(['b', 'c', 'undefined']);
        expect(() => {
          decoder.end();
        }).to.throw(FrameError, 'after 1 bytes');
      });

      it('copies each byte a few times, and looks at it twice at most, for a frame in single bytes [E46, E53]', () => {
        const size = 160_000;
        const work = workOf(() => {
          const decoder = delimited({ delimiter: crlf, copy }).decoder(() => undefined);
          const byte = Buffer.from('x');
          for (let i = 0; i < size; i++) {
            decoder.push(byte);
            if (decoder.next() !== undefined) throw new Error('no frame has ended');
          }
          decoder.push(Buffer.from(crlf));
          if (decoder.next()?.length !== size) throw new Error('the frame is not whole');
        });
        expect(work.scanned).to.be.within(size, 2 * size);
        expect(work.copied).to.be.within(size, 4 * size);
        expect(work.allocated).to.be.below(5 * size);
      });

      it('copies each byte a few times for a large frame in 64 KiB chunks [E47]', () => {
        const size = 32 * MIB;
        const chunk = Buffer.alloc(65_536, 'x');
        const work = workOf(() => {
          const decoder = delimited({ delimiter: crlf, copy, maxFrameLength: size }).decoder(() => undefined);
          for (let at = 0; at < size; at += chunk.length) {
            decoder.push(chunk);
            decoder.next();
          }
          decoder.push(Buffer.from(crlf));
          if (decoder.next()?.length !== size) throw new Error('the frame is not whole');
        });
        expect(work.scanned).to.be.within(size, 2 * size);
        expect(work.copied).to.be.within(size, 4 * size);
      });

      it('holds no more than the limit of a frame that never ends [E48, E53]', () => {
        for (const onTooLarge of ['error', 'discard'] as const) {
          const config = { delimiter: 'xxxxxxxxx-', copy, maxFrameLength: 700, onTooLarge };
          const decoder = delimited(config).decoder(() => undefined);
          const chunk = Buffer.alloc(100, 'x');
          const work = workOf(() => {
            try {
              for (let i = 0; i < 10_000; i++) {
                decoder.push(chunk);
                decoder.next();
              }
            } catch (error) {
              expect(error).to.have.property('kind', 'too-large');
            }
          });
          expect(work.copied).to.be.within(700, 2100);
          expect(work.allocated).to.be.within(700, 1700); // in three steps, the last no longer than it may come to
        }
      });

      it('looks at each byte twice at most, on a chunk of nothing but delimiters [E49]', () => {
        const count = 100_000;
        const chunk = Buffer.alloc(2 * count, crlf);
        const decoder = delimited({ delimiter: crlf, copy }).decoder(() => undefined);
        let frames = 0;
        const work = workOf(() => {
          decoder.push(chunk);
          while (decoder.next()?.length === 0) frames++;
        });
        expect(frames).to.equal(count);
        expect(work.scanned).to.be.within(count, 2 * chunk.length);
        expect([work.copied, work.allocated]).to.eql([0, 0]);
      });

      it('goes on when `report` itself throws, with the frame after', () => {
        const decoder = delimited({ delimiter: crlf, copy, maxFrameLength: 1, onTooLarge: discard }).decoder(() => {
          throw new RangeError('of the driver');
        });
        decoder.push(Buffer.from('ab\r\nc\r\nde'));
        expect(() => decoder.next()).to.throw(RangeError);
        expect(String(decoder.next())).to.equal('c');
        expect(() => decoder.next()).to.throw(RangeError);
        decoder.push(Buffer.from('\r\nf\r\n'));
        expect(String(decoder.next())).to.equal('f');
      });
    });
  }

  describe('hands out frames', () => {
    const framesOf = (codec: Codec<Buffer, Bytes>, ...chunks: Buffer[]): Buffer[] =>
      outcomeOf(codec, chunks).frames as Buffer[];

    it('as parts of their chunk, without a copy [E52]', () => {
      const codec = delimited({ delimiter: crlf });
      const chunk = Buffer.from('ab\r\nc\r\n\r\n');
      let frames: Buffer[] = [];
      const work = workOf(() => (frames = framesOf(codec, chunk)));
      expect([work.copied, work.allocated]).to.eql([0, 0]);
      chunk.fill('x');
      expect(frames.map(String)).to.eql(['xx', 'x', '']);
    });

    it('in memory of exactly their size with copy: true, cut or not, short or long [E52]', () => {
      const codec = delimited({ delimiter: crlf, copy: true });
      const long = 'y'.repeat(70_000);
      const wire = Buffer.from(`ab\r\n${long}\r\n\r\ncde\r\n`);
      for (const offsets of [[], [2], [3], [50_000], [70_003], [70_004, 70_005], [1, 30_000, 60_000, 70_010]]) {
        const frames = framesOf(codec, ...cut(wire, offsets));
        expect(frames.map(String), String(offsets)).to.eql(['ab', long, '', 'cde']);
        expect(
          frames.map(({ buffer }) => buffer.byteLength),
          String(offsets),
        ).to.eql([2, 70_000, 0, 3]);
      }
    });

    it('in memory of their own if chunks cut them', () => {
      const decoder = delimited({ delimiter: crlf }).decoder(() => undefined);
      const given = (text: string) => {
        const chunk = Buffer.from(text);
        decoder.push(chunk);
        const frame = decoder.next();
        chunk.fill(0);
        return frame;
      };
      expect(given('ab')).to.equal(undefined);
      const first = given('c\r\n');
      expect(given('d\r')).to.equal(undefined);
      expect([given('\n'), first].map(String)).to.eql(['d', 'abc']);
    });
  });

  holds(
    'lets go of chunks when told to, with copy: true: their memory may be written over [E59]',
    500,
    fc.tuple(configs(), chunkedWires([97, 97, 97, 97, 98, 98, 99])),
    ([config, { wire, offsets, takes }]) => {
      const codec = lent(delimited({ ...config, copy: true }));
      expect(outcomeOf(codec, cut(wire, offsets), takes)).to.eql(reference(wire, config));
    },
  );

  it('promises to let go of chunks only with copy: true', () => {
    const decoderOf = (copy: boolean) => delimited({ delimiter: crlf, copy }).decoder(() => undefined);
    expect(decoderOf(true)).to.respondTo('detach');
    expect(decoderOf(false)).not.to.respondTo('detach');
  });

  it('keeps two connections of one codec apart [S7]', () => {
    const codec = delimited({ delimiter: crlf });
    const [one, two] = [codec.decoder(() => undefined), codec.decoder(() => undefined)];
    one.push(Buffer.from('half\r'));
    expect(one.next()).to.equal(undefined);
    two.push(Buffer.from('\na\r\n'));
    expect(String(two.next())).to.equal('\na');
  });

  it('keeps a copy of the delimiter', () => {
    const delimiter = Buffer.from('--');
    const codec = delimited({ delimiter });
    delimiter.fill('x');
    expect(String(codec.encode('a'))).to.equal('a--');
    expectOutcome(codec, Buffer.from('axx--'), { frames: [Buffer.from('axx')] });
  });

  describe('encode', () => {
    it('puts the delimiter behind the message', () => {
      const encoded = (message: Bytes, delimiter: Bytes = crlf) => String(delimited({ delimiter }).encode(message));
      expect(encoded('hi')).to.equal('hi\r\n');
      expect(encoded('')).to.equal('\r\n');
      expect(encoded('ü', '€')).to.equal('ü€');
      expect(encoded(new Uint8Array([104, 105]), '\0')).to.equal('hi\0');
      expect(encoded(Buffer.from('a\r'))).to.equal('a\r\r\n');
      expect(encoded('\nb\ra')).to.equal('\nb\ra\r\n');
    });

    it('copies the message, which may change afterwards', () => {
      const message = Buffer.from('hi');
      const frame = delimited({ delimiter: crlf }).encode(message);
      message.fill('x');
      expect(String(frame)).to.equal('hi\r\n');
    });

    it('writes into memory that it is given, and looks at nothing else in it', () => {
      const into = intoOf<Bytes>(Reflect.get(delimited({ delimiter: crlf }), 'encode'));
      const bytes = Buffer.alloc(24, crlf);
      const expected = Buffer.from(bytes);
      expected.write('hi\r\n', 5);
      const target = { bytes, reserve: () => 5, refer: () => -1 };
      expect(into?.('hi', target)).to.equal(9);
      expect(bytes).to.eql(expected);
      expect(() => into?.('\rhi\r\n', target)).to.throw(FrameError);
    });

    const refusals: readonly [string, Bytes, unknown, FrameErrorKind, number?][] = [
      ['a delimiter inside', crlf, 'a\r\nb', 'encode'],
      ['a delimiter alone', crlf, crlf, 'encode'],
      ['a delimiter at the end', crlf, 'a\r\n', 'encode'],
      ['one byte that is the delimiter', '\n', 'a\nb', 'encode'],
      ['an end with which a delimiter begins', 'aa', 'a', 'encode'],
      ['a longer end with which a delimiter begins', 'abab', 'xab', 'encode'],
      ['a message above the limit', crlf, 'abcd', 'too-large', 3],
      ['bytes above the limit', crlf, Buffer.from('abcd'), 'too-large', 3],
      ['a string above the limit in bytes', crlf, '€€', 'too-large', 5],
      ['a lone surrogate', crlf, '\ud800', 'encode'],
      ...[null, undefined, 1, NaN, {}, [1]].map((message): [string, Bytes, unknown, FrameErrorKind] => [
        `${JSON.stringify(message)} (${typeof message})`,
        crlf,
        message,
        'encode',
      ]),
    ];
    for (const [title, delimiter, message, kind, maxFrameLength = MIB] of refusals) {
      it(`refuses ${title} [E57]`, () => {
        expect(() => delimited({ delimiter, maxFrameLength }).encode(message as Bytes))
          .to.throw(FrameError)
          .with.property('kind', kind);
      });
    }

    it('refuses a message above the limit before it makes bytes of it', () => {
      const work = workOf(() => {
        for (const message of ['x'.repeat(MIB + 1), new Uint8Array(MIB + 1)]) {
          expect(() => delimited({ delimiter: crlf }).encode(message)).to.throw(FrameError);
        }
      });
      expect(work.allocated).to.be.below(100);
      expect(work.scanned).to.equal(0);
    });

    it('accepts the longest message, and an end that merely looks like a delimiter', () => {
      expect(delimited({ delimiter: crlf, maxFrameLength: 3 }).encode('abc').length).to.equal(5);
      expect(delimited({ delimiter: crlf, maxFrameLength: 3 }).encode('€').length).to.equal(5);
      expect(String(delimited({ delimiter: 'aab' }).encode('xa'))).to.equal('xaaab');
    });
  });

  it('shows nothing of the peer in its errors [L19]', () => {
    for (const maxFrameLength of [3, 1000]) {
      const decoder = delimited({ delimiter: crlf, maxFrameLength }).decoder(() => undefined);
      decoder.push(Buffer.from('s3cret'));
      expect(() => {
        decoder.next();
        decoder.end();
      })
        .to.throw(FrameError)
        .that.satisfies((error: FrameError) => !JSON.stringify(error).includes('s3c'));
    }
  });

  it('validates its options once, by name', () => {
    const bad: readonly [string, unknown][] = [
      ...[undefined, null, 1, '', Buffer.alloc(0), Buffer.alloc(251), '\ud800', [10], /\n/].map(
        (delimiter): [string, unknown] => ['delimiter', delimiter],
      ),
      ...[0, -1, NaN, Infinity, 1.5, '10', 2 ** 31].map((max): [string, unknown] => ['maxFrameLength', max]),
      ['onTooLarge', 'skip'],
      ['copy', 1],
      ['delimeter', crlf],
    ];
    for (const [name, value] of bad) {
      expect(() => delimited({ delimiter: crlf, [name]: value }), name).to.throw(ConfigError, `\`${name}\``);
    }
    expect(() => delimited({} as never)).to.throw(ConfigError, '`delimiter` must be bytes or a well-formed string');
    expect(() => delimited(undefined as never)).to.throw(ConfigError, '`delimited` must be an object');
    expect(() => delimited({ delimiter: Buffer.alloc(251) })).to.throw(ConfigError, '1 to 250 bytes long, got 251');
    for (const delimiter of [Buffer.alloc(250), '€', new Uint8Array(1)])
      expect(() => delimited({ delimiter })).not.to.throw();
  });

  type Rules = Required<Omit<DelimitedConfig, 'copy'>> & { readonly delimiter: Buffer };

  /** Words in which delimiters overlap. */
  function word(maxLength: number, minLength = 1): fc.Arbitrary<Buffer> {
    return fc.array(fc.constantFrom(97, 97, 98), { minLength, maxLength }).map((bytes) => Buffer.from(bytes));
  }

  function configs(): fc.Arbitrary<Rules> {
    return fc.record({
      delimiter: word(6),
      maxFrameLength: fc.constantFrom(100, 8, 5, 3, 2, 1),
      onTooLarge: fc.constantFrom('error', 'discard'),
    });
  }

  function encodes(codec: Codec<Buffer, Bytes>, message: Buffer): boolean {
    try {
      codec.encode(message);
      return true;
    } catch (error) {
      expect(error).to.be.instanceOf(FrameError);
      return false;
    }
  }

  /** The rules once more, slowly: all bytes cut by `split`, then each frame by itself. */
  function reference(wire: Buffer, { delimiter, maxFrameLength, onTooLarge }: Rules): ReturnType<typeof outcomeOf> {
    const frames: Buffer[] = [];
    const reported: { kind: FrameErrorKind; after: number }[] = [];
    const end = delimiter.toString('latin1');
    const pieces = wire.toString('latin1').split(end);
    for (const [i, piece] of pieces.entries()) {
      const isLast = i === pieces.length - 1;
      const sure = piece.length - (isLast ? begunDelimiter(piece, end) : 0);
      if (sure > maxFrameLength) {
        if (onTooLarge === 'error') return { frames, reported, error: 'too-large' };
        reported.push({ kind: 'too-large', after: frames.length });
      } else if (isLast) {
        return { frames, reported, error: piece === '' ? undefined : 'truncated' };
      } else {
        frames.push(latin1(piece));
      }
    }
    return { frames, reported, error: undefined };
  }

  /** How much of the delimiter is at the end of these bytes. */
  function begunDelimiter(piece: string, delimiter: string): number {
    for (let length = delimiter.length - 1; length > 0; length--) {
      if (piece.endsWith(delimiter.slice(0, length))) return length;
    }
    return 0;
  }
});
