import { expect } from 'chai';
import { intoOf } from '../../lib/codec/encode-into.js';
import { type LinesConfig, lines } from '../../lib/codec/lines.js';
import { ConfigError, FrameError, type FrameErrorKind } from '../../lib/errors.js';
import { seededRandom } from '../support/random.js';
import { type Expected, expectOutcome } from './outcome.js';
import { targetAt } from './target-at.js';
import { workOf } from './work.js';

describe('lines()', () => {
  const MIB = 1024 * 1024;

  interface Case extends Expected {
    readonly title: string;
    /** Text stands for its bytes in Latin-1. */
    readonly wire: string | Buffer;
    readonly config?: LinesConfig;
  }

  const discard = 'discard';
  const lost = (...after: number[]) => after.map((n) => ({ kind: 'too-large' as const, after: n }));

  const cases: readonly Case[] = [
    { title: 'ends a line at LF or CRLF [D01]', wire: 'a\nbc\r\nd\n', frames: ['a', 'bc', 'd'] },
    { title: 'finds a CRLF that chunks cut [D03]', wire: 'ab\r\ncd\r\n', frames: ['ab', 'cd'] },
    { title: 'gives empty lines as values [L01, D02]', wire: '\n\r\n\na\n\n', frames: ['', '', '', 'a', ''] },
    { title: 'has no frame in an empty stream [L16]', wire: '', frames: [] },
    { title: 'takes a lone CR as data [D04]', wire: 'a\rb\n\r\rc\n', frames: ['a\rb', '\r\rc'] },
    {
      title: 'strips one CR and only right before the LF [D05, D06, D17]',
      wire: 'a\r\r\n\r\r\n\n\r\n',
      frames: ['a\r', '\r', '', ''],
    },
    { title: 'begins anew at each of several CRs [D06, D07]', wire: '\r\r\r\na\r\rb\r\n', frames: ['\r\r', 'a\r\rb'] },
    {
      title: 'takes a CR at the end of a chunk for neither before it knows [D18]',
      wire: 'a\r\nb\rc\n',
      frames: ['a', 'b\rc'],
    },
    { title: 'takes NUL and 0xff as data [D19]', wire: '\0\xff\n', config: { encoding: 'latin1' }, frames: ['\0\xff'] },
    { title: 'gives one empty line for a delimiter alone [D20]', wire: '\r\n', frames: [''] },
    { title: 'has an error for a partial line at the end [D16, L15]', wire: 'a\nb', frames: ['a'], error: 'truncated' },
    { title: 'has an error for half a delimiter at the end [D21]', wire: 'a\nb\r', frames: ['a'], error: 'truncated' },
    { title: 'has an error for a CR alone at the end', wire: 'a\n\r', frames: ['a'], error: 'truncated' },

    {
      title: 'accepts the longest line [L03, D08]',
      wire: 'abc\nabc\r\n',
      config: { maxFrameLength: 3 },
      frames: ['abc', 'abc'],
    },
    {
      title: 'refuses a line one byte longer [L04, D09]',
      wire: 'abc\nabcd\n',
      config: { maxFrameLength: 3 },
      frames: ['abc'],
      error: 'too-large',
    },
    {
      title: 'refuses it without waiting for its LF [L04]',
      wire: 'abcd',
      config: { maxFrameLength: 3 },
      frames: [],
      error: 'too-large',
    },
    {
      title: 'waits for what follows a CR at the limit [D10]',
      wire: 'abc\r',
      config: { maxFrameLength: 3 },
      frames: [],
      error: 'truncated',
    },
    {
      title: 'refuses that CR if it was data [D11]',
      wire: 'abc\rd\n',
      config: { maxFrameLength: 3 },
      frames: [],
      error: 'too-large',
    },
    {
      title: 'counts a CR that is data',
      wire: 'ab\r\r\nabc\r\r\n',
      config: { maxFrameLength: 3 },
      frames: ['ab\r'],
      error: 'too-large',
    },
    {
      title: 'refuses a long line though its LF is in the chunk [D12]',
      wire: 'abcdefgh\nx\n',
      config: { maxFrameLength: 3 },
      frames: [],
      error: 'too-large',
    },
    {
      title: 'hands out the good lines before a long one [D13, L17, L18]',
      wire: 'a\nb\nabcdefgh\nc\n',
      config: { maxFrameLength: 3 },
      frames: ['a', 'b'],
      error: 'too-large',
    },
    {
      title: 'counts bytes and not characters',
      wire: Buffer.from('€\n€a\n'),
      config: { maxFrameLength: 3 },
      frames: ['€'],
      error: 'too-large',
    },
    {
      title: 'counts bytes and not characters when only text is short',
      wire: Buffer.from('ab\n€€\nab\n'),
      config: { maxFrameLength: 5, onTooLarge: discard },
      frames: ['ab', 'ab'],
      reported: lost(1),
    },

    {
      title: 'skips a long line once and resynchronises [D14]',
      wire: 'a\nabcdefgh\nb\n',
      config: { maxFrameLength: 3, onTooLarge: discard },
      frames: ['a', 'b'],
      reported: lost(1),
    },
    {
      title: 'resynchronises at a CRLF, cut or not [D15]',
      wire: 'abcdefgh\r\nb\r\n',
      config: { maxFrameLength: 3, onTooLarge: discard },
      frames: ['b'],
      reported: lost(0),
    },
    {
      title: 'reports each of several long lines',
      wire: 'abcd\nabcde\n\nabcd\r\nabc\n',
      config: { maxFrameLength: 3, onTooLarge: discard },
      frames: ['', 'abc'],
      reported: lost(0, 0, 1),
    },
    {
      title: 'says nothing more of a skipped line that never ends',
      wire: 'a\nabcdefgh',
      config: { maxFrameLength: 3, onTooLarge: discard },
      frames: ['a'],
      reported: lost(1),
    },
    {
      title: 'has an error for a partial line after a skipped one',
      wire: 'abcd\nab',
      config: { maxFrameLength: 3, onTooLarge: discard },
      frames: [],
      reported: lost(0),
      error: 'truncated',
    },
    {
      title: 'skips a CR beyond the limit',
      wire: 'abc\r\r\nb\n',
      config: { maxFrameLength: 3, onTooLarge: discard },
      frames: ['b'],
      reported: lost(0),
    },

    { title: 'decodes characters that chunks cut [U01]', wire: Buffer.from('a€😀b\nü\n'), frames: ['a€😀b', 'ü'] },
    {
      title: 'replaces invalid UTF-8 and goes on [U02]',
      wire: '\xff\na\xe2\x82\nb\n',
      frames: ['\ufffd', 'a\ufffd', 'b'],
    },
    {
      title: 'has an error for invalid UTF-8, if fatal [U02]',
      wire: 'a\n\xc3\nb\n',
      config: { fatal: true },
      frames: ['a'],
      error: 'decode',
    },
    {
      title: 'takes an overlong form and a surrogate for invalid',
      wire: 'a\n\xed\xa0\x80\n',
      config: { fatal: true },
      frames: ['a'],
      error: 'decode',
    },
    {
      title: 'takes a U+FFFD that was sent for valid',
      wire: Buffer.from('\ufffd\na\n'),
      config: { fatal: true },
      frames: ['\ufffd', 'a'],
    },
    {
      title: 'ends a line at an LF inside a broken sequence [U03]',
      wire: '\xe2\x82\n\xac\n',
      frames: ['\ufffd', '\ufffd'],
    },
    {
      title: 'calls a long and invalid line too long',
      wire: '\xff\xff\xff\xff\n',
      config: { fatal: true, maxFrameLength: 3 },
      frames: [],
      error: 'too-large',
    },
    {
      title: 'says truncated of an invalid line without LF',
      wire: '\xff',
      config: { fatal: true },
      frames: [],
      error: 'truncated',
    },
    { title: 'keeps a BOM on any line [E45]', wire: Buffer.from('\ufeffa\n\ufeffb\n'), frames: ['\ufeffa', '\ufeffb'] },
    {
      title: 'reads each byte as a character of Latin-1',
      wire: '\xe9\x8a\x8d\n',
      config: { encoding: 'latin1', fatal: true },
      frames: ['\xe9\x8a\x8d'],
    },
    {
      title: 'finds no LF in the low bits of an ascii byte',
      wire: 'a\x8ab\x8d\n',
      config: { encoding: 'ascii' },
      frames: ['a\ufffdb\ufffd'],
    },
    {
      title: 'has an error for a byte above 0x7f in ascii, if fatal',
      wire: 'a\n\x8a\n',
      config: { encoding: 'ascii', fatal: true },
      frames: ['a'],
      error: 'decode',
    },
    {
      title: 'reads an HTTP answer as lines [L19]',
      wire: 'HTTP/1.1 400 Bad Request\r\n\r\n',
      frames: ['HTTP/1.1 400 Bad Request', ''],
    },
  ];

  for (const copy of [true, false]) {
    describe(`with copy: ${String(copy)}`, () => {
      for (const { title, wire, config, ...expected } of cases) {
        it(title, () => {
          expectOutcome(
            lines({ copy, ...config }),
            typeof wire === 'string' ? Buffer.from(wire, 'latin1') : wire,
            expected,
          );
        });
      }

      it('takes an empty chunk for nothing, wherever it comes [L20]', () => {
        const decoder = lines({ copy }).decoder(() => undefined);
        const after = (text: string) => {
          decoder.push(Buffer.from(text));
          return decoder.next();
        };
        expect(['', 'a', '', '\n', '', 'b\r', '', '\n', ''].map(after)).to.eql([
          ...[undefined, undefined, undefined, 'a', undefined, undefined, undefined, 'b', undefined],
        ]);
        decoder.end();
      });

      it('decodes what it encoded, for random lines in each encoding [200 rounds]', () => {
        const random = seededRandom(1);
        const alphabet = ['', 'a', '\r', '\0', '\x7f', 'é', '€', '😀', '\ufffd', '\ufeff', ' '];
        for (let round = 0; round < 200; round++) {
          const encoding = random.pick(['utf8', 'latin1', 'ascii'] as const);
          const known = alphabet.slice(0, { utf8: alphabet.length, latin1: 6, ascii: 5 }[encoding]);
          const text = () =>
            Array.from({ length: random.int(0, 12) }, () => random.pick(known))
              .join('')
              .replace(/\r+$/, '');
          const frames = Array.from({ length: random.int(0, 6) }, text);
          const codec = lines({ copy, encoding, fatal: true, maxFrameLength: random.pick([48, MIB]) });
          const wire = Buffer.concat(frames.map((frame) => codec.encode(frame)));
          expectOutcome(codec, wire, { frames }, { splitsUpTo: 0, random: 3, seed: round });
        }
      });
    });
  }

  it('keeps two connections of one codec apart [S7]', () => {
    const codec = lines();
    const [one, two] = [codec.decoder(() => undefined), codec.decoder(() => undefined)];
    one.push(Buffer.from('half'));
    expect(one.next()).to.equal(undefined);
    two.push(Buffer.from('a line\n'));
    expect(two.next()).to.equal('a line');
  });

  it('encodes a line with an LF behind it', () => {
    expect(String(lines().encode('hi'))).to.equal('hi\n');
    expect(String(lines().encode(''))).to.equal('\n');
    expect(String(lines().encode('a\rb'))).to.equal('a\rb\n');
    expect([...lines({ encoding: 'latin1' }).encode('é')]).to.eql([0xe9, 10]);
  });

  it('asks for room for exactly a long line, and its LF', () => {
    const into = intoOf<string>(Reflect.get(lines(), 'encode'));
    const bytes = Buffer.alloc(4 * MIB);
    for (const line of ['x'.repeat(MIB), '€'.repeat(MIB / 4)]) {
      let reserved = 0;
      const end = into?.(
        line,
        targetAt(bytes, 0, (size) => (reserved = size)),
      );
      expect([end, reserved]).to.eql([Buffer.byteLength(line) + 1, Buffer.byteLength(line) + 1]);
    }
  });

  describe('encode refuses what could not be read back [E57]:', () => {
    const refusals: readonly [string, unknown, FrameErrorKind, LinesConfig?][] = [
      ['an LF inside', 'a\nb', 'encode'],
      ['an LF alone', '\n', 'encode'],
      ['a CR at the end', 'a\r', 'encode'],
      ['a lone surrogate', '\ud83d', 'encode'],
      ['a character above Latin-1', '€', 'encode', { encoding: 'latin1' }],
      ['a character above ASCII', '\x80', 'encode', { encoding: 'ascii' }],
      ['a line above the limit', 'abcd', 'too-large', { maxFrameLength: 3 }],
      ['a line above the limit in bytes', '€€', 'too-large', { maxFrameLength: 5 }],
      ...[null, undefined, 1, NaN, {}, [], Buffer.from('a'), true].map((message): [string, unknown, FrameErrorKind] => [
        `${JSON.stringify(message)} (${typeof message})`,
        message,
        'encode',
      ]),
    ];
    for (const [title, message, kind, config] of refusals) {
      it(title, () => {
        expect(() => lines(config).encode(message as string))
          .to.throw(FrameError)
          .with.property('kind', kind);
      });
    }

    it('without encoding a line that has more characters than the limit has bytes', () => {
      const line = 'x'.repeat(MIB + 1);
      const work = workOf(() => {
        expect(() => lines().encode(line)).to.throw(FrameError);
      });
      expect(work.allocated).to.equal(0);
    });

    it('and leaves the memory that it is given for the next line', () => {
      const into = intoOf<string>(Reflect.get(lines({ maxFrameLength: 3 }), 'encode'));
      const slab = targetAt(Buffer.alloc(9, '.'), 3);
      for (const line of ['a\n', 'a\r', 'abcd', '€€', '\ud800']) expect(() => into?.(line, slab)).to.throw(FrameError);
      expect(into?.('ab', slab)).to.equal(6);
      expect(String(slab.bytes.subarray(0, 6))).to.equal('...ab\n');
    });

    it('and accepts the longest line there is', () => {
      expect(lines({ maxFrameLength: 3 }).encode('€').length).to.equal(4);
      expect(lines({ maxFrameLength: 3 }).encode('abc').length).to.equal(4);
    });
  });

  it('shows nothing of the peer in its errors [L19]', () => {
    for (const config of [{ maxFrameLength: 3 }, { fatal: true }, {}] satisfies LinesConfig[]) {
      const decoder = lines(config).decoder(() => undefined);
      decoder.push(Buffer.concat([Buffer.from('s3cret'), Buffer.from([0xff, config.fatal === true ? 10 : 65])]));
      expect(() => {
        decoder.next();
        decoder.end();
      })
        .to.throw(FrameError)
        .that.satisfies((error: FrameError) => !/s3c|\ufffd/.test(JSON.stringify(error)));
    }
  });

  it('validates its options once, by name', () => {
    const bad: readonly [string, unknown][] = [
      ['encoding', 'utf16le'],
      ['fatal', 1],
      ['maxFrameLength', 0],
      ['maxFrameLength', -1],
      ['maxFrameLength', NaN],
      ['maxFrameLength', Infinity],
      ['maxFrameLength', 1.5],
      ['maxFrameLength', '10'],
      ['maxFrameLength', 2 ** 32],
      ['onTooLarge', 'skip'],
      ['copy', 'false'],
      ['maxLength', 1],
    ];
    for (const [name, value] of bad) {
      expect(() => lines({ [name]: value })).to.throw(ConfigError, `\`${name}\``);
    }
    expect(() => lines(null as never)).to.throw(ConfigError);
    expect(() => lines({ encoding: undefined as never })).not.to.throw();
  });
});
