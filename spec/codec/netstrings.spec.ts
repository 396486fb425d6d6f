import { expect } from 'chai';
import fc from 'fast-check';
import type { Bytes } from '../../lib/codec/codec.js';
import { intoOf } from '../../lib/codec/encode-into.js';
import { type NetstringsConfig, netstrings } from '../../lib/codec/netstrings.js';
import { ConfigError, FrameError, type FrameErrorKind } from '../../lib/errors.js';
import { cut } from '../support/chunkings.js';
import { holds } from '../support/property.js';
import { seededRandom } from '../support/random.js';
import { lent } from './lent.js';
import { type Expected, expectOutcome, outcomeOf } from './outcome.js';
import { chunkedWires } from './wires.js';
import { targetAt } from './target-at.js';
import { workOf } from './work.js';

describe('netstrings()', () => {
  interface Case extends Expected {
    readonly title: string;
    /** Text stands for its bytes in Latin-1, in the frames too. */
    readonly wire: string;
    readonly max?: number;
    readonly frames: readonly string[];
  }

  const LARGEST = 2 ** 31 - 1;
  const latin1 = (text: string) => Buffer.from(text, 'latin1');

  const cases: readonly Case[] = [
    { title: 'gives the bodies', wire: '5:hello,2:hi,', frames: ['hello', 'hi'] },
    { title: 'gives a frame of no bytes as a value [L01, L02]', wire: '0:,0:,1:a,0:,', frames: ['', '', 'a', ''] },
    { title: 'has no frame in an empty stream [L16]', wire: '', frames: [] },
    { title: 'takes digits, colons and commas inside of a body for data', wire: '6:1:a,:,,', frames: ['1:a,:,'] },
    { title: 'takes NUL and 0xff as data', wire: '2:\0\xff,', frames: ['\0\xff'] },
    {
      title: 'reads a length of several digits',
      wire: `10:${'x'.repeat(10)},105:${'y'.repeat(105)},`,
      frames: ['x'.repeat(10), 'y'.repeat(105)],
    },
    { title: 'accepts the longest body [L03]', wire: '3:abc,', max: 3, frames: ['abc'] },
    { title: 'refuses one byte more at its digit [L04]', wire: '4', max: 3, frames: [], error: 'too-large' },
    { title: 'refuses one digit more at that digit', wire: '100', max: 99, frames: [], error: 'too-large' },
    { title: 'calls a length too large whatever comes behind it', wire: '4x', max: 3, frames: [], error: 'too-large' },
    { title: 'takes 2^32 - 1 as unsigned [L05]', wire: '4294967295', max: LARGEST, frames: [], error: 'too-large' },
    { title: 'takes 2^31 as unsigned [L06]', wire: '2147483648', max: LARGEST, frames: [], error: 'too-large' },
    { title: 'waits for the body of 2^31 - 1', wire: '2147483647:', max: LARGEST, frames: [], error: 'truncated' },
    {
      title: 'does not round a length above 2^53 into range [L07, L08]',
      wire: '9007199254740993:',
      max: LARGEST,
      frames: [],
      error: 'too-large',
    },
    { title: 'refuses a zero in front of another digit', wire: '01:a,', frames: [], error: 'corrupt' },
    { title: 'refuses two zeros', wire: '00:,', frames: [], error: 'corrupt' },
    { title: 'refuses a colon without a digit', wire: ':,', frames: [], error: 'corrupt' },
    { title: 'refuses a sign', wire: '-1:,', frames: [], error: 'corrupt' },
    { title: 'refuses a space', wire: '1 :a,', frames: [], error: 'corrupt' },
    { title: 'refuses the byte before 0 and the byte behind 9', wire: '0:,1/', frames: [''], error: 'corrupt' },
    { title: 'refuses a line feed between frames', wire: '1:a,\n1:b,', frames: ['a'], error: 'corrupt' },
    { title: 'refuses another byte in the place of the comma', wire: '1:ab,', frames: [], error: 'corrupt' },
    { title: 'refuses it behind an empty body too', wire: '0:0:,', frames: [], error: 'corrupt' },
    { title: 'has an error at the end in a length [L14]', wire: '1:a,1', frames: ['a'], error: 'truncated' },
    { title: 'has an error at the end behind the colon', wire: '1:', frames: [], error: 'truncated' },
    { title: 'has an error at the end in a body [L15]', wire: '1:a,2:b', frames: ['a'], error: 'truncated' },
    { title: 'has an error at the end before the comma', wire: '1:a,2:bc', frames: ['a'], error: 'truncated' },
    {
      title: 'gives the good frames before a bad one, and nothing after it [L17, L18]',
      wire: '1:a,1:bb1:c,',
      frames: ['a'],
      error: 'corrupt',
    },
    { title: 'refuses the text of an HTTP answer [L19]', wire: 'HTTP/1.1 400', frames: [], error: 'corrupt' },
    { title: 'refuses a TLS alert [L19]', wire: '\x15\x03\x03\0\x02\x02\x28', frames: [], error: 'corrupt' },
  ];

  for (const { title, wire, max, frames, ...expected } of cases) {
    it(title, () => {
      const config: NetstringsConfig = max === undefined ? {} : { maxFrameLength: max };
      const light = { splitsUpTo: 10, random: 5 }; // for long wires
      for (const copy of [true, false]) {
        const outcome = { ...expected, frames: frames.map(latin1) };
        expectOutcome(netstrings({ ...config, copy }), latin1(wire), outcome, wire.length > 100 ? light : {});
      }
    });
  }

  holds(
    'agrees with a reference on any bytes, whatever the limit, however cut and driven [E59]',
    2000,
    fc.tuple(fc.constantFrom(LARGEST, 1000, 10, 3, 1), chunkedWires([...Buffer.from('00111234:::::,,,,,,a')])),
    ([maxFrameLength, { wire, offsets, takes }]) => {
      expect(outcomeOf(netstrings({ maxFrameLength }), cut(wire, offsets), takes)).to.eql(
        reference(wire, maxFrameLength),
      );
    },
  );

  it('decodes what it encoded, for lengths around each number of digits', () => {
    const random = seededRandom(2);
    const codec = netstrings({ maxFrameLength: LARGEST });
    for (const edge of [0, 10, 100, 1000, 10_000, 1_000_000]) {
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
    const chunk = Buffer.concat(['ab', 'c', ''].map((text) => netstrings().encode(text)));
    const decoder = netstrings().decoder(() => undefined);
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
    const wire = Buffer.concat(bodies.map((body) => netstrings().encode(body)));
    for (const offsets of [[], [1], [10, 3000]]) {
      const { frames } = outcomeOf(lent(netstrings({ copy: true })), cut(wire, offsets));
      expect(frames).to.eql(bodies);
      expect((frames as Buffer[]).map(({ buffer }) => buffer.byteLength)).to.eql(bodies.map(({ length }) => length));
    }
  });

  it('allocates nothing for a length that was merely announced [E54]', () => {
    const header = Buffer.from('2147483647:');
    const work = workOf(() => {
      for (let i = 0; i < 1000; i++) {
        const decoder = netstrings({ maxFrameLength: LARGEST }).decoder(() => undefined);
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
    const chunk = Buffer.alloc(3 * count, '0:,');
    const work = workOf(() => {
      const decoder = netstrings().decoder(() => undefined);
      decoder.push(chunk);
      while (decoder.next()?.length === 0) frames++;
    });
    expect(frames).to.equal(count);
    expect(work).to.eql({ scanned: 0, copied: 0, decoded: 0, texts: 0, allocated: 0 });
  });

  it('takes an empty chunk for nothing, wherever it comes [L20]', () => {
    const decoder = netstrings().decoder(() => undefined);
    const after = (text: string) => {
      decoder.push(Buffer.from(text));
      return decoder.next()?.toString();
    };
    expect(['', '1', '', ':', '', 'a', '', ',', '', '0:,', ''].map(after)).to.eql([
      ...[undefined, undefined, undefined, undefined, undefined, undefined, undefined, 'a', undefined, '', undefined],
    ]);
    decoder.end();
  });

  it('keeps two connections of one codec apart [S7]', () => {
    const codec = netstrings();
    const [one, two] = [codec.decoder(() => undefined), codec.decoder(() => undefined)];
    one.push(Buffer.from('1'));
    expect(one.next()).to.equal(undefined);
    two.push(Buffer.from('2:hi,'));
    expect(String(two.next())).to.equal('hi');
  });

  it('shows nothing of the peer in its errors but numbers [L19]', () => {
    for (const [maxFrameLength, wire] of [
      [100, '7:s3cret'],
      [3, '7:s3cret'],
      [100, 's3cret'],
      [100, '2:s3cret'],
    ] as const) {
      const decoder = netstrings({ maxFrameLength }).decoder(() => undefined);
      decoder.push(Buffer.from(wire));
      expect(() => {
        decoder.next();
        decoder.end();
      })
        .to.throw(FrameError)
        .that.satisfies((error: FrameError) => !JSON.stringify(error).includes('s3cret'));
    }
  });

  describe('encode', () => {
    it('puts the length before the body, and a comma behind it', () => {
      const encoded = ['hello', '', 'x'.repeat(10)].map((text) => String(netstrings().encode(text)));
      expect(encoded).to.eql(['5:hello,', '0:,', '10:xxxxxxxxxx,']);
      const header = (length: number) =>
        netstrings()
          .encode(Buffer.alloc(length))
          .subarray(0, -length - 1);
      expect([9, 99, 100, 1_048_576].map((length) => String(header(length)))).to.eql(['9:', '99:', '100:', '1048576:']);
    });

    it('counts bytes and not characters, also where they make the length one digit longer', () => {
      for (const text of ['€', '€'.repeat(3), '€'.repeat(4), 'é'.repeat(50), `${'x'.repeat(98)}é`, '€'.repeat(6000)]) {
        const { frames, error } = outcomeOf(netstrings(), [Buffer.from(netstrings().encode(text))]);
        expect([frames.map(String), error]).to.eql([[text], undefined]);
      }
    });

    it('copies the message, which may change afterwards', () => {
      const message = Buffer.from('hi');
      const frame = netstrings().encode(message);
      message.fill('x');
      expect(String(frame)).to.equal('2:hi,');
    });

    it('writes into memory that it is given', () => {
      const into = intoOf<Bytes>(Reflect.get(netstrings(), 'encode'));
      for (const text of ['hi', '€'.repeat(43), 'x'.repeat(500)]) {
        const bytes = Buffer.alloc(600, '.');
        const end = into?.(text, targetAt(bytes, 3));
        expect(bytes.subarray(3, end)).to.eql(netstrings().encode(text));
        expect(String(bytes.subarray(0, 3))).to.equal('...');
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
        expect(() => netstrings({ maxFrameLength }).encode(message as Bytes))
          .to.throw(FrameError)
          .with.property('kind', kind);
      });
    }

    it('accepts the longest body', () => {
      expect(netstrings({ maxFrameLength: 3 }).encode('€')).to.eql(Buffer.from('3:€,'));
      expect(netstrings({ maxFrameLength: 3 }).encode(Buffer.alloc(3)).length).to.equal(6);
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
      expect(() => netstrings({ [name]: value })).to.throw(ConfigError, `\`${name}\``);
    }
    expect(() => netstrings(null as never)).to.throw(ConfigError);
    expect(() => netstrings({ maxFrameLength: LARGEST })).not.to.throw();
  });

  /** The rules once more, slowly: by a regular expression, and in BigInt. */
  function reference(wire: Buffer, max: number): ReturnType<typeof outcomeOf> {
    const frames: Buffer[] = [];
    const ended = (error?: FrameErrorKind) => ({ frames, reported: [], error });
    for (let rest = wire; ;) {
      const [digits = ''] = /^(0|[1-9][0-9]*)?/.exec(rest.toString('latin1')) ?? [];
      const next = rest[digits.length];
      if (digits !== '' && BigInt(digits) > BigInt(max)) return ended('too-large');
      if (next === undefined) return ended(rest.length === 0 ? undefined : 'truncated');
      if (digits === '' || next !== 58) return ended('corrupt');
      const body = digits.length + 1;
      const end = body + Number(digits);
      if (end >= rest.length) return ended('truncated');
      if (rest[end] !== 44) return ended('corrupt');
      frames.push(rest.subarray(body, end));
      rest = rest.subarray(end + 1);
    }
  }
});
