import { expect } from 'chai';
import fc from 'fast-check';
import type { Bytes } from '../../lib/codec/codec.js';
import { intoOf } from '../../lib/codec/encode-into.js';
import { type VarintPrefixedConfig, varintPrefixed } from '../../lib/codec/varint-prefixed.js';
import { ConfigError, FrameError, type FrameErrorKind } from '../../lib/errors.js';
import { cut } from '../support/chunkings.js';
import { holds } from '../support/property.js';
import { seededRandom } from '../support/random.js';
import { lent } from './lent.js';
import { type Expected, expectOutcome, outcomeOf } from './outcome.js';
import { chunkedWires } from './wires.js';
import { targetAt } from './target-at.js';
import { workOf } from './work.js';

describe('varintPrefixed()', () => {
  const hex = (text: string) => Buffer.from(text.replace(/[^0-9a-f]/g, ''), 'hex');

  interface Case extends Omit<Expected, 'frames'> {
    readonly title: string;
    /** Hexadecimal, whatever else is in it is for the eye. */
    readonly wire: string;
    readonly max?: number;
    /** Hexadecimal too. */
    readonly frames: readonly string[];
  }

  const LARGEST = 2 ** 31 - 1;

  const cases: readonly Case[] = [
    { title: 'gives the bodies', wire: '02|6869 01|21', frames: ['6869', '21'] },
    { title: 'gives a frame of no bytes as a value [L01, L02]', wire: '00 00 01|ff 00', frames: ['', '', 'ff', ''] },
    { title: 'has no frame in an empty stream [L16]', wire: '', frames: [] },
    {
      title: 'reads a length of two bytes, the low one first [L09]',
      wire: `ac02|${'61'.repeat(300)}`,
      frames: ['61'.repeat(300)],
    },
    { title: 'takes 127 in one byte', wire: `7f|${'61'.repeat(127)}`, frames: ['61'.repeat(127)] },
    { title: 'takes 128 in two', wire: `8001|${'61'.repeat(128)}`, frames: ['61'.repeat(128)] },
    { title: 'accepts the longest body [L03]', wire: '03|616263', max: 3, frames: ['616263'] },
    { title: 'refuses one byte more at its length [L04]', wire: '04', max: 3, frames: [], error: 'too-large' },
    {
      title: 'refuses more once the length is whole',
      wire: '8001',
      max: 127,
      frames: [],
      error: 'too-large',
    },
    { title: 'takes 2^32 - 1 as unsigned [L05]', wire: 'ffffffff0f', max: LARGEST, frames: [], error: 'too-large' },
    { title: 'takes 2^31 as unsigned [L06]', wire: '8080808008', max: LARGEST, frames: [], error: 'too-large' },
    { title: 'waits for the body of 2^31 - 1', wire: 'ffffffff07', max: LARGEST, frames: [], error: 'truncated' },
    { title: 'refuses 2^32 [E58, L07]', wire: '8080808010', max: LARGEST, frames: [], error: 'corrupt' },
    { title: 'refuses 2^35 - 1 [E58]', wire: 'ffffffff7f', max: LARGEST, frames: [], error: 'corrupt' },
    { title: 'refuses a sixth byte at the fifth [E58, L08]', wire: 'ffffffff8f', frames: [], error: 'corrupt' },
    { title: 'refuses 0 in five bytes and more [E58]', wire: '80808080 80 80 00', frames: [], error: 'corrupt' },
    { title: 'refuses 0 in two bytes [E58]', wire: '8000', frames: [], error: 'corrupt' },
    { title: 'refuses 1 in five bytes [E58]', wire: '8180808000 ff', frames: [], error: 'corrupt' },
    { title: 'has an error at the end in a length [L14]', wire: '01|ff 80', frames: ['ff'], error: 'truncated' },
    { title: 'has an error at the end in a body [L15]', wire: '01|ff 02|61', frames: ['ff'], error: 'truncated' },
    { title: 'has an error at the end right behind a length', wire: '02', frames: [], error: 'truncated' },
    {
      title: 'gives the good frames before a bad length, and nothing after it [L17, L18]',
      wire: '01|ff 8000 01|ff',
      frames: ['ff'],
      error: 'corrupt',
    },
    {
      title: 'refuses the text of an HTTP answer by its limit [L19]',
      wire: Buffer.from('HTTP/1.1 400').toString('hex'),
      max: 71,
      frames: [],
      error: 'too-large',
    },
  ];

  for (const { title, wire, max, frames, ...expected } of cases) {
    it(title, () => {
      const config: VarintPrefixedConfig = max === undefined ? {} : { maxFrameLength: max };
      const light = { splitsUpTo: 10, random: 5 }; // for long wires
      for (const copy of [true, false]) {
        const outcome = { ...expected, frames: frames.map(hex) };
        expectOutcome(varintPrefixed({ ...config, copy }), hex(wire), outcome, wire.length > 200 ? light : {});
      }
    });
  }

  holds(
    'agrees with a reference on any bytes, whatever the limit, however cut and driven [E59]',
    2000,
    fc.tuple(
      fc.constantFrom(LARGEST, 1000, 10, 3, 1),
      chunkedWires([0, 0, 0, 1, 1, 2, 3, 4, 0x0f, 0x10, 0x80, 0x80, 0x81, 0xff]),
    ),
    ([maxFrameLength, { wire, offsets, takes }]) => {
      expect(outcomeOf(varintPrefixed({ maxFrameLength }), cut(wire, offsets), takes)).to.eql(
        reference(wire, maxFrameLength),
      );
    },
  );

  it('decodes what it encoded, for lengths around each width of a length', () => {
    const random = seededRandom(2);
    const codec = varintPrefixed({ maxFrameLength: LARGEST });
    for (const edge of [0, 2 ** 7, 2 ** 14, 2 ** 21]) {
      const frames = [edge - 1, edge, edge + 1]
        .filter((length) => length >= 0)
        .map((length) => Buffer.alloc(length, 'x'));
      const wire = Buffer.concat(frames.map((frame) => codec.encode(frame)));
      const offsets = Array.from({ length: 5 }, () => random.int(1, wire.length - 1)).sort((a, b) => a - b);
      expect(outcomeOf(codec, cut(wire, offsets)).frames.map((frame) => (frame as Buffer).length)).to.eql(
        frames.map(({ length }) => length),
      );
      expect(outcomeOf(codec, [wire]).frames).to.eql(frames);
    }
  });

  it('hands out frames that lie within a chunk as parts of it, without a copy [E52]', () => {
    const chunk = Buffer.concat(['ab', 'c', ''].map((text) => varintPrefixed().encode(text)));
    const decoder = varintPrefixed().decoder(() => undefined);
    const frames: Buffer[] = [];
    const work = workOf(() => {
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame);
    });
    expect([work.copied, work.allocated]).to.eql([0, 0]);
    chunk.fill('x');
    expect(frames.map(String)).to.eql(['xx', 'x', '']);
    expect(Reflect.get(decoder, 'detach')).to.equal(undefined);
  });

  it('gives each frame memory of exactly its size, with copy: true [E52]', () => {
    const bodies = ['ab', '', 'c'.repeat(200), 'd'.repeat(5000)].map((text) => Buffer.from(text));
    const wire = Buffer.concat(bodies.map((body) => varintPrefixed().encode(body)));
    for (const offsets of [[], [1], [10, 3000]]) {
      const { frames } = outcomeOf(lent(varintPrefixed({ copy: true })), cut(wire, offsets));
      expect(frames).to.eql(bodies);
      expect((frames as Buffer[]).map(({ buffer }) => buffer.byteLength)).to.eql(bodies.map(({ length }) => length));
    }
  });

  it('allocates nothing for a length that was merely announced [E54]', () => {
    const header = hex('ffffffff07');
    const work = workOf(() => {
      for (let i = 0; i < 1000; i++) {
        const decoder = varintPrefixed({ maxFrameLength: LARGEST }).decoder(() => undefined);
        for (let at = 0; at < header.length; at++) {
          decoder.push(header.subarray(at, at + 1));
          if (decoder.next() !== undefined) throw new Error('there is no frame');
        }
      }
    });
    expect(work.allocated).to.be.within(1000, 300_000);
  });

  it('does no work per frame but to read it, on a chunk of nothing but empty frames [E49]', () => {
    const count = 200_000;
    let frames = 0;
    const chunk = Buffer.alloc(count);
    const work = workOf(() => {
      const decoder = varintPrefixed().decoder(() => undefined);
      decoder.push(chunk);
      while (decoder.next()?.length === 0) frames++;
    });
    expect(frames).to.equal(count);
    expect(work).to.eql({ scanned: 0, copied: 0, decoded: 0, texts: 0, allocated: 0 });
  });

  it('takes an empty chunk for nothing, wherever it comes [L20]', () => {
    const decoder = varintPrefixed().decoder(() => undefined);
    const after = (bytes: string) => {
      decoder.push(hex(bytes));
      return decoder.next()?.toString('hex');
    };
    expect(['', '01', '', 'ff', '', '00', ''].map(after)).to.eql([
      ...[undefined, undefined, undefined, 'ff', undefined, '', undefined],
    ]);
    decoder.end();
  });

  it('keeps two connections of one codec apart [S7]', () => {
    const codec = varintPrefixed();
    const [one, two] = [codec.decoder(() => undefined), codec.decoder(() => undefined)];
    one.push(hex('80'));
    expect(one.next()).to.equal(undefined);
    two.push(hex('01ff'));
    expect(two.next()).to.eql(hex('ff'));
  });

  it('shows nothing of the peer in its errors but numbers [L19]', () => {
    for (const [maxFrameLength, wire] of [
      [9, Buffer.from('s3cret')],
      [100, hex('8000')],
    ] as const) {
      const decoder = varintPrefixed({ maxFrameLength }).decoder(() => undefined);
      decoder.push(wire);
      expect(() => decoder.next())
        .to.throw(FrameError)
        .that.satisfies((error: FrameError) => !JSON.stringify(error).includes('s3cret'));
    }
  });

  describe('encode', () => {
    it('puts the length before the body, in as many bytes as it needs', () => {
      const header = (length: number) => varintPrefixed().encode(Buffer.alloc(length)).subarray(0, -length);
      expect(varintPrefixed().encode('hi')).to.eql(hex('02 6869'));
      expect(varintPrefixed().encode('')).to.eql(hex('00'));
      expect([127, 128, 300, 16_383, 16_384, 1_048_576].map((length) => header(length).toString('hex'))).to.eql([
        ...['7f', '8001', 'ac02', 'ff7f', '808001', '808040'],
      ]);
    });

    it('counts bytes and not characters, also where they make the length one byte longer', () => {
      for (const text of [
        '€',
        '€'.repeat(42),
        '€'.repeat(43),
        'é'.repeat(100),
        `${'x'.repeat(127)}é`,
        '€'.repeat(6000),
      ]) {
        const { frames, error } = outcomeOf(varintPrefixed(), [Buffer.from(varintPrefixed().encode(text))]);
        expect([frames.map(String), error]).to.eql([[text], undefined]);
      }
    });

    it('copies the message, which may change afterwards', () => {
      const message = Buffer.from('hi');
      const frame = varintPrefixed().encode(message);
      message.fill('x');
      expect(frame).to.eql(hex('02 6869'));
    });

    it('writes into memory that it is given', () => {
      const into = intoOf<Bytes>(Reflect.get(varintPrefixed(), 'encode'));
      for (const text of ['hi', '€'.repeat(43), 'x'.repeat(500)]) {
        const bytes = Buffer.alloc(600, 0xee);
        const end = into?.(text, targetAt(bytes, 3));
        expect(bytes.subarray(3, end)).to.eql(varintPrefixed().encode(text));
        expect(bytes.subarray(0, 3)).to.eql(hex('eeeeee'));
      }
    });

    const refusals: readonly [string, number, unknown, FrameErrorKind][] = [
      ['a body above the limit', 3, 'abcd', 'too-large'],
      ['bytes above the limit', 3, Buffer.alloc(4), 'too-large'],
      ['a string above the limit in bytes', 5, '€€', 'too-large'],
      ['a lone surrogate', 100, '\ud800', 'encode'],
      ...[null, undefined, 1, NaN, {}, [1]].map((message): [string, number, unknown, FrameErrorKind] => [
        `${JSON.stringify(message)} (${typeof message})`,
        100,
        message,
        'encode',
      ]),
    ];
    for (const [title, maxFrameLength, message, kind] of refusals) {
      it(`refuses ${title} [E57]`, () => {
        expect(() => varintPrefixed({ maxFrameLength }).encode(message as Bytes))
          .to.throw(FrameError)
          .with.property('kind', kind);
      });
    }

    it('accepts the longest body', () => {
      expect(varintPrefixed({ maxFrameLength: 3 }).encode('€')).to.eql(hex('03 e282ac'));
      expect(varintPrefixed({ maxFrameLength: 3 }).encode(Buffer.alloc(3)).length).to.equal(4);
    });
  });

  it('validates its options once, by name', () => {
    const bad: readonly [string, unknown][] = [
      ['maxFrameLength', 0],
      ['maxFrameLength', Infinity],
      ['maxFrameLength', 2 ** 31],
      ['maxFrameLength', '10'],
      ['copy', 0],
      ['maxLength', 1],
    ];
    for (const [name, value] of bad) {
      expect(() => varintPrefixed({ [name]: value })).to.throw(ConfigError, `\`${name}\``);
    }
    expect(() => varintPrefixed(null as never)).to.throw(ConfigError);
    expect(() => varintPrefixed({ maxFrameLength: LARGEST })).not.to.throw();
  });

  /** The rules once more, slowly: over the whole wire, and in BigInt. */
  function reference(wire: Buffer, max: number): ReturnType<typeof outcomeOf> {
    const frames: Buffer[] = [];
    const ended = (error?: FrameErrorKind) => ({ frames, reported: [], error });
    for (let at = 0; ;) {
      if (at === wire.length) return ended();
      const digits: number[] = [];
      while (at < wire.length && digits.length < 5 && (digits.length === 0 || (digits.at(-1) ?? 0) > 0x7f))
        digits.push(wire[at++] ?? 0);
      const last = digits.at(-1) ?? 0;
      if (last > 0x7f) return ended(digits.length === 5 ? 'corrupt' : 'truncated');
      const length = digits.reduceRight((sum, digit) => sum * 128n + BigInt(digit & 0x7f), 0n);
      if ((last === 0 && digits.length > 1) || length >= 2n ** 32n) return ended('corrupt');
      if (length > BigInt(max)) return ended('too-large');
      const end = at + Number(length);
      if (end > wire.length) return ended('truncated');
      frames.push(wire.subarray(at, end));
      at = end;
    }
  }
});
