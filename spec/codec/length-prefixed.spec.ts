import { expect } from 'chai';
import fc from 'fast-check';
import type { Bytes } from '../../lib/codec/codec.js';
import { intoOf } from '../../lib/codec/encode-into.js';
import { type LengthPrefixedConfig, lengthPrefixed } from '../../lib/codec/length-prefixed.js';
import { ConfigError, FrameError, type FrameErrorKind } from '../../lib/errors.js';
import { cut } from '../support/chunkings.js';
import { aliveBytes } from '../support/memory.js';
import { holds } from '../support/property.js';
import { seededRandom } from '../support/random.js';
import { lent } from './lent.js';
import { type Expected, expectOutcome, outcomeOf } from './outcome.js';
import { chunkedWires } from './wires.js';
import { targetAt } from './target-at.js';
import { workOf } from './work.js';

describe('lengthPrefixed()', () => {
  const MIB = 1024 * 1024;
  const hex = (text: string) => Buffer.from(text.replace(/[^0-9a-f]/g, ''), 'hex');

  interface Case extends Omit<Expected, 'frames'> {
    readonly title: string;
    /** Hexadecimal, whatever else is in it is for the eye. */
    readonly wire: string;
    readonly config?: LengthPrefixedConfig;
    /** Hexadecimal too. */
    readonly frames: readonly string[];
  }

  const whole: LengthPrefixedConfig = { strip: false, lengthFieldOffset: 1, lengthFieldLength: 2 };
  const inclusive: LengthPrefixedConfig = { lengthFieldLength: 2, lengthAdjustment: -2 };

  const cases: readonly Case[] = [
    { title: 'gives the bodies', wire: '00000002|6869 00000001|21', frames: ['6869', '21'] },
    {
      title: 'gives a frame of no bytes as a value [L01, L02]',
      wire: '00000000 00000000 00000001|ff 00000000',
      frames: ['', '', 'ff', ''],
    },
    { title: 'has no frame in an empty stream [L16]', wire: '', frames: [] },
    {
      title: 'accepts the longest body [L03]',
      wire: '0003|616263',
      config: { lengthFieldLength: 2, maxFrameLength: 3 },
      frames: ['616263'],
    },
    {
      title: 'refuses one byte more at the header [L04]',
      wire: '0004',
      config: { lengthFieldLength: 2, maxFrameLength: 3 },
      frames: [],
      error: 'too-large',
    },
    { title: 'takes 0xffffffff as unsigned [L05]', wire: 'ffffffff', frames: [], error: 'too-large' },
    { title: 'takes 0x80000000 as unsigned [L06]', wire: '80000000', frames: [], error: 'too-large' },
    {
      title: 'does not round 2^53 + 1 in 8 bytes into range [L07]',
      wire: '0020000000000001',
      config: { lengthFieldLength: 8 },
      frames: [],
      error: 'too-large',
    },
    {
      title: 'refuses 2^64 - 1, and 2^64 - 1 with a large negative adjustment [L08]',
      wire: 'ffffffffffffffff',
      config: { lengthFieldLength: 8, lengthAdjustment: -2147483647 },
      frames: [],
      error: 'too-large',
    },
    {
      title: 'refuses more than 2^53 in 7 bytes',
      wire: 'ff000000000000',
      config: { lengthFieldLength: 7 },
      frames: [],
      error: 'too-large',
    },
    { title: 'reads 7 and 8 bytes', wire: '00000000000001|aa', config: { lengthFieldLength: 7 }, frames: ['aa'] },
    {
      title: 'reads 8 bytes little endian',
      wire: '0100000000000000|aa',
      config: { lengthFieldLength: 8, byteOrder: 'little' },
      frames: ['aa'],
    },
    {
      title: 'reads little endian [L09]',
      wire: '0200|6869 0100|21',
      config: { lengthFieldLength: 2, byteOrder: 'little' },
      frames: ['6869', '21'],
    },
    { title: 'reads 3 bytes [L10]', wire: '000002|6869', config: { lengthFieldLength: 3 }, frames: ['6869'] },
    { title: 'reads 1 byte', wire: '02|6869 00', config: { lengthFieldLength: 1 }, frames: ['6869', ''] },
    {
      title: 'reads a length that counts its header [L11]',
      wire: '0004|6869 0002',
      config: inclusive,
      frames: ['6869', ''],
    },
    {
      title: 'calls a length below its header corrupt [L12]',
      wire: '0004|6869 0001|ff',
      config: inclusive,
      frames: ['6869'],
      error: 'corrupt',
    },
    {
      title: 'refuses what the adjustment puts above the limit [L13]',
      wire: '0002|61',
      config: { lengthFieldLength: 2, lengthAdjustment: 2, maxFrameLength: 3 },
      frames: [],
      error: 'too-large',
    },
    {
      title: 'adds a positive adjustment',
      wire: '0001|616263',
      config: { lengthFieldLength: 2, lengthAdjustment: 2 },
      frames: ['616263'],
    },
    {
      title: 'has an error at the end in a header [L14]',
      wire: '00000001|ff 0000',
      frames: ['ff'],
      error: 'truncated',
    },
    {
      title: 'has an error at the end in a body [L15]',
      wire: '00000001|ff 00000002|61',
      frames: ['ff'],
      error: 'truncated',
    },
    { title: 'has an error at the end right behind a header', wire: '00000002', frames: [], error: 'truncated' },
    {
      title: 'gives the good frames before a bad header, and nothing after it [L17, L18]',
      wire: '00000001|ff ffffffff 00000001|ff',
      frames: ['ff'],
      error: 'too-large',
    },
    {
      title: 'refuses the text of an HTTP answer [L19]',
      wire: Buffer.from('HTTP/1.1 400').toString('hex'),
      frames: [],
      error: 'too-large',
    },
    { title: 'refuses a TLS alert [L19]', wire: '15030300020228', frames: [], error: 'too-large' },
    {
      title: 'hands out the header too, if told to',
      wire: '07|0002|6869 08|0000',
      config: whole,
      frames: ['0700026869', '080000'],
    },
    {
      title: 'counts the body alone against the limit, header or not',
      wire: '07|0002|6869 07|0003|686969',
      config: { ...whole, maxFrameLength: 2 },
      frames: ['0700026869'],
      error: 'too-large',
    },
  ];

  for (const { title, wire, config, frames, ...expected } of cases) {
    it(title, () => {
      expectOutcome(lengthPrefixed(config), hex(wire), { ...expected, frames: frames.map(hex) });
    });
  }

  it('decodes what it encoded, for random layouts and messages [200 rounds]', () => {
    const random = seededRandom(8);
    for (let round = 0; round < 200; round++) {
      const strip = random.next() < 0.5;
      const config = {
        strip,
        lengthFieldOffset: strip ? 0 : random.int(0, 5),
        lengthFieldLength: random.int(1, 8),
        lengthAdjustment: random.int(-20, 0),
        byteOrder: random.pick(['big', 'little'] as const),
      };
      const codec = lengthPrefixed(config);
      const header = strip ? 0 : config.lengthFieldOffset + config.lengthFieldLength;
      const messages = Array.from({ length: random.int(0, 5) }, () => random.bytes(header + random.int(0, 30)));
      const encoded = messages.map((message) => codec.encode(random.pick<Bytes>([message, new Uint8Array(message)])));
      const frames = strip ? messages : encoded;
      expectOutcome(codec, Buffer.concat(encoded), { frames }, { splitsUpTo: 0, random: 3, seed: round });
      if (!strip)
        expect(encoded.map((frame) => frame.subarray(header))).to.eql(messages.map((m) => m.subarray(header)));
    }
  });

  it('hands out frames that lie within a chunk as parts of it, without a copy, and so pins it [E52]', () => {
    const chunk = Buffer.concat(['ab', 'c', ''].map((text) => lengthPrefixed().encode(text)));
    const decoder = lengthPrefixed().decoder(() => undefined);
    const frames: Buffer[] = [];
    const work = workOf(() => {
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame);
    });
    expect([work.copied, work.allocated]).to.eql([0, 0]);
    chunk.fill('x');
    expect(frames.map(String)).to.eql(['xx', 'x', '']);
  });

  for (const strip of [true, false]) {
    it(`gives each frame memory of exactly its size, with copy: true and strip: ${String(strip)} [E52]`, () => {
      const codec = lengthPrefixed({ copy: true, strip, lengthFieldLength: 2 });
      const bodies = ['ab', '', 'c'.repeat(200), 'd'.repeat(5000)].map((text) => Buffer.from(text));
      const wires = bodies.map((body) => lengthPrefixed({ lengthFieldLength: 2 }).encode(body));
      const wire = Buffer.concat(wires);
      for (const offsets of [[], [1], [10, 3000], [...wire.keys()].slice(1)]) {
        const { frames } = outcomeOf(lent(codec), cut(wire, offsets));
        expect(frames).to.eql(strip ? bodies : wires);
        expect((frames as Buffer[]).map(({ buffer }) => buffer.byteLength)).to.eql(
          (strip ? bodies : wires).map(({ length }) => length),
        );
      }
    });
  }

  it('promises to let go of its chunks with copy: true alone', () => {
    const detachOf = (config?: LengthPrefixedConfig): unknown =>
      Reflect.get(
        lengthPrefixed(config).decoder(() => undefined),
        'detach',
      );
    expect([detachOf(), detachOf({ copy: false })]).to.eql([undefined, undefined]);
    expect(detachOf({ copy: true })).to.be.a('function');
  });

  it('holds no chunk that is read to its end, and none that broke it', () => {
    for (const tail of ['', 'ffffffff']) {
      const before = aliveBytes();
      const decoders = Array.from({ length: 200 }, () => {
        const decoder = lengthPrefixed().decoder(() => undefined);
        const chunk = Buffer.alloc(65_536 + tail.length / 2);
        chunk.writeUInt32BE(65_532);
        chunk.write(tail, 65_536, 'hex');
        decoder.push(chunk);
        expect(decoder.next()).to.have.lengthOf(65_532);
        if (tail === '') expect(decoder.next()).to.equal(undefined);
        else expect(() => decoder.next()).to.throw(FrameError);
        return decoder;
      });
      expect(aliveBytes() - before).to.be.below(MIB);
      expect(decoders).to.have.lengthOf(200);
    }
  });

  it('gives a frame that chunks cut memory of its own', () => {
    const decoder = lengthPrefixed({ lengthFieldLength: 1 }).decoder(() => undefined);
    const given = (bytes: string) => {
      const chunk = hex(bytes);
      decoder.push(chunk);
      const frame = decoder.next();
      chunk.fill(0);
      return frame;
    };
    expect(given('03 61')).to.equal(undefined);
    const first = given('6263');
    expect(given('03 64')).to.equal(undefined);
    expect([String(given('6566')), String(first)]).to.eql(['def', 'abc']);
  });

  it('gives a large frame that chunks cut memory with no byte to spare', () => {
    const wire = lengthPrefixed().encode(Buffer.alloc(300_000, 'x'));
    const decoder = lengthPrefixed().decoder(() => undefined);
    for (let at = 0; at < wire.length; at += 60_000) {
      decoder.push(Buffer.from(wire.subarray(at, at + 60_000)));
      const frame = decoder.next();
      if (at + 60_000 >= wire.length) expect(frame?.buffer.byteLength).to.equal(300_004);
    }
  });

  it('copies each byte a few times for a frame in single bytes [E46, E53]', () => {
    const size = 160_000;
    const wire = Buffer.from(lengthPrefixed().encode(Buffer.alloc(size, 'x')));
    const work = workOf(() => {
      const decoder = lengthPrefixed().decoder(() => undefined);
      for (let at = 0; at < wire.length; at++) {
        decoder.push(wire.subarray(at, at + 1));
        const frame = decoder.next();
        if ((frame?.length === size) !== (at === wire.length - 1)) throw new Error(`at ${String(at)}`);
      }
    });
    expect(work.copied).to.be.within(size, 3 * size);
    expect(work.allocated).to.be.below(4 * size);
  });

  it('copies each byte a few times for a large frame in 64 KiB chunks [E47]', () => {
    const size = 32 * MIB;
    const chunk = Buffer.alloc(65_536);
    chunk.writeUInt32BE(size - 4);
    const work = workOf(() => {
      const decoder = lengthPrefixed({ maxFrameLength: size }).decoder(() => undefined);
      for (let at = chunk.length; at <= size; at += chunk.length) {
        decoder.push(chunk);
        const frame = decoder.next();
        if ((frame?.length === size - 4) !== (at === size)) throw new Error(`at ${String(at)}`);
      }
    });
    expect(work.copied).to.be.within(size, 3 * size);
  });

  it('allocates nothing for a length that was merely announced, and no more than came [E54]', () => {
    const header = hex('7fffffff');
    const work = workOf(() => {
      for (let i = 0; i < 1000; i++) {
        const decoder = lengthPrefixed({ maxFrameLength: 2 ** 31 - 1 }).decoder(() => undefined);
        for (let at = 0; at < 4; at++) {
          decoder.push(header.subarray(at, at + 1));
          if (decoder.next() !== undefined) throw new Error('there is no frame');
        }
        decoder.push(Buffer.from('x')); // counted too
        decoder.next();
      }
    });
    expect(work.allocated).to.be.within(1000, 300_000);
  });

  it('refuses a length above the limit without allocating for it [E54]', () => {
    const work = workOf(() => {
      const decoder = lengthPrefixed().decoder(() => undefined);
      decoder.push(hex('ffffffff'));
      expect(() => decoder.next()).to.throw(FrameError);
    });
    expect(work.allocated).to.be.below(100);
  });

  it('hands out one frame at a time, so that a driver can stop and push between any two [E50, E51]', () => {
    const decoder = lengthPrefixed({ lengthFieldLength: 1 }).decoder(() => undefined);
    decoder.push(hex('0161 0162 02'));
    expect(String(decoder.next())).to.equal('a');
    decoder.push(hex('6364 01'));
    expect([decoder.next(), decoder.next(), decoder.next()].map(String)).to.eql(['b', 'cd', 'undefined']);
    expect(() => {
      decoder.end();
    }).to.throw(FrameError, 'after 1 bytes');
  });

  it('does no work per frame but to read it, on a chunk of nothing but empty frames [E49]', () => {
    const count = 200_000;
    const chunk = Buffer.alloc(count);
    let frames = 0;
    const work = workOf(() => {
      const decoder = lengthPrefixed({ lengthFieldLength: 1 }).decoder(() => undefined);
      decoder.push(chunk);
      while (decoder.next()?.length === 0) frames++;
    });
    expect(frames).to.equal(count);
    expect(work).to.eql({ scanned: 0, copied: 0, decoded: 0, texts: 0, allocated: 0 });
  });

  it('takes an empty chunk for nothing, wherever it comes [L20]', () => {
    const decoder = lengthPrefixed({ lengthFieldLength: 2 }).decoder(() => undefined);
    const after = (bytes: string) => {
      decoder.push(hex(bytes));
      return decoder.next()?.toString('hex');
    };
    expect(['', '00', '', '01', '', 'ff', '', '0000', ''].map(after)).to.eql([
      ...[undefined, undefined, undefined, undefined, undefined, 'ff', undefined, '', undefined],
    ]);
    decoder.end();
  });

  holds(
    'agrees with a reference on any bytes, whatever the layout, however cut and driven [E59]',
    2000,
    fc.tuple(
      fc.record({
        strip: fc.boolean(),
        offset: fc.nat(3),
        lengthFieldLength: fc.constantFrom(1, 2, 3, 4, 7, 8),
        lengthAdjustment: fc.integer({ min: -4, max: 4 }),
        byteOrder: fc.constantFrom('big', 'little'),
        maxFrameLength: fc.constantFrom(1000, 10, 3, 1),
      }),
      chunkedWires([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 0x80]),
    ),
    ([{ offset, ...rest }, { wire, offsets, takes }]) => {
      const lengthAdjustment = Math.min(rest.lengthAdjustment, rest.maxFrameLength);
      const config = { ...rest, lengthAdjustment, lengthFieldOffset: rest.strip ? 0 : offset };
      expect(outcomeOf(lengthPrefixed(config), cut(wire, offsets), takes)).to.eql(reference(wire, config));
    },
  );

  it('keeps two connections of one codec apart [S7]', () => {
    const codec = lengthPrefixed();
    const [one, two] = [codec.decoder(() => undefined), codec.decoder(() => undefined)];
    one.push(hex('0000'));
    expect(one.next()).to.equal(undefined);
    two.push(hex('00000001ff'));
    expect(two.next()).to.eql(hex('ff'));
  });

  describe('encode', () => {
    it('puts the length before the body, in every width and order', () => {
      const encoded = (config: LengthPrefixedConfig, message: Bytes = 'hi') => lengthPrefixed(config).encode(message);
      expect(encoded({})).to.eql(hex('00000002 6869'));
      expect(encoded({ byteOrder: 'little' })).to.eql(hex('02000000 6869'));
      expect(encoded({ lengthFieldLength: 8 })).to.eql(hex('0000000000000002 6869'));
      expect(encoded({ lengthFieldLength: 7, byteOrder: 'little' })).to.eql(hex('02000000000000 6869'));
      expect(encoded({ lengthFieldLength: 3 }, Buffer.alloc(0x010203)).subarray(0, 3)).to.eql(hex('010203'));
      expect(encoded({ lengthAdjustment: -4 })).to.eql(hex('00000006 6869'));
      expect(encoded({ lengthAdjustment: 2 })).to.eql(hex('00000000 6869'));
      expect(encoded({}, '€')).to.eql(hex('00000003 e282ac'));
      expect(encoded({}, '')).to.eql(hex('00000000'));
    });

    it('writes the length into a copy of the whole frame, if it is not to strip', () => {
      const frame = hex('07 ffff 6869');
      expect(lengthPrefixed(whole).encode(frame)).to.eql(hex('07 0002 6869'));
      expect(frame).to.eql(hex('07 ffff 6869'));
    });

    it('copies the message, which may change afterwards', () => {
      const message = Buffer.from('hi');
      const frame = lengthPrefixed().encode(message);
      message.fill('x');
      expect(frame).to.eql(hex('00000002 6869'));
    });

    it('writes into memory that it is given, with its header and without', () => {
      for (const [config, message, bytes] of [
        [{}, 'hi', '00000002 6869'],
        [{ lengthFieldLength: 2 }, '€', '0003 e282ac'],
        [{ byteOrder: 'little' }, Buffer.from('hi'), '02000000 6869'],
        [whole, hex('07 ffff 6869'), '07 0002 6869'],
      ] as const) {
        const into = intoOf<Bytes>(Reflect.get(lengthPrefixed(config), 'encode'));
        const slab = Buffer.alloc(30, 0xee);
        const end = into?.(message, targetAt(slab, 3));
        expect(slab.subarray(0, end)).to.eql(hex(`eeeeee ${bytes}`));
      }
    });

    it('refuses what its header cannot say before it asks for memory', () => {
      const into = intoOf<Bytes>(Reflect.get(lengthPrefixed({ lengthFieldLength: 1 }), 'encode'));
      for (const message of ['x'.repeat(256), Buffer.alloc(256)]) {
        const target = targetAt(Buffer.alloc(0), 0, () => expect.fail('asked for memory'));
        expect(() => into?.(message, target)).to.throw(FrameError, 'above 255');
      }
    });

    const refusals: readonly [string, LengthPrefixedConfig, unknown, FrameErrorKind][] = [
      ['a body above the limit', { maxFrameLength: 3 }, 'abcd', 'too-large'],
      ['a string above the limit in bytes', { maxFrameLength: 5 }, '€€', 'too-large'],
      ['a length that does not fit the field', { lengthFieldLength: 1 }, Buffer.alloc(256), 'too-large'],
      [
        'a length that the adjustment makes too large for it',
        { lengthFieldLength: 1, lengthAdjustment: -1 },
        Buffer.alloc(255),
        'too-large',
      ],
      ['a body shorter than the adjustment', { lengthAdjustment: 3 }, 'ab', 'encode'],
      ['a frame shorter than its header', whole, 'ab', 'encode'],
      ['a lone surrogate', {}, '\ud800', 'encode'],
      ...[null, undefined, 1, NaN, {}, [1]].map((message): [string, LengthPrefixedConfig, unknown, FrameErrorKind] => [
        `${JSON.stringify(message)} (${typeof message})`,
        {},
        message,
        'encode',
      ]),
    ];
    for (const [title, config, message, kind] of refusals) {
      it(`refuses ${title} [E57]`, () => {
        expect(() => lengthPrefixed(config).encode(message as Bytes))
          .to.throw(FrameError)
          .with.property('kind', kind);
      });
    }

    it('accepts the largest length that fits, and a header alone', () => {
      expect(lengthPrefixed({ lengthFieldLength: 1 }).encode(Buffer.alloc(255))[0]).to.equal(255);
      expect(lengthPrefixed({ maxFrameLength: 3 }).encode('abc').length).to.equal(7);
      expect(lengthPrefixed(whole).encode('abc')).to.eql(hex('61 0000'));
    });
  });

  it('shows nothing of the peer in its errors but numbers [L19]', () => {
    const decoder = lengthPrefixed().decoder(() => undefined);
    decoder.push(Buffer.from('HTTP/1.1 s3cret'));
    expect(() => decoder.next())
      .to.throw(FrameError)
      .that.satisfies((error: FrameError) => !/HTTP|s3cret/.test(JSON.stringify(error)));
  });

  it('validates its options once, by name', () => {
    const bad: readonly [string, unknown][] = [
      ['lengthFieldOffset', -1],
      ['lengthFieldOffset', 1],
      ['lengthFieldOffset', 65_536],
      ['lengthFieldLength', 0],
      ['lengthFieldLength', 9],
      ['lengthFieldLength', '4'],
      ['lengthAdjustment', 0.5],
      ['lengthAdjustment', NaN],
      ['lengthAdjustment', 2 ** 31],
      ['byteOrder', 'BE'],
      ['strip', 0],
      ['maxFrameLength', 0],
      ['maxFrameLength', Infinity],
      ['maxFrameLength', 2 ** 31],
      ['copy', 1],
      ['lengthOffset', 1],
    ];
    for (const [name, value] of bad) {
      expect(() => lengthPrefixed({ [name]: value })).to.throw(ConfigError, `\`${name}\``);
    }
    for (const [lengthFieldLength, lengthAdjustment] of [
      [1, -256],
      [1, 101],
      [2, -65_536],
    ] as const) {
      const config = { lengthFieldLength, lengthAdjustment, maxFrameLength: 100 };
      expect(() => lengthPrefixed(config), 'no frame could be').to.throw(
        ConfigError,
        '`lengthAdjustment` must be from',
      );
    }
    for (const lengthAdjustment of [-255, 100])
      expect(lengthPrefixed({ lengthFieldLength: 1, lengthAdjustment, maxFrameLength: 100 })).to.have.property(
        'encode',
      );
    expect(() => lengthPrefixed({ lengthFieldOffset: 1 })).to.throw(ConfigError, 'unless `strip` is false');
    expect(() => lengthPrefixed(whole)).not.to.throw();
  });

  /** The rules once more, slowly: over the whole wire, and in BigInt. */
  function reference(wire: Buffer, config: Required<Omit<LengthPrefixedConfig, 'copy'>>): ReturnType<typeof outcomeOf> {
    const { lengthFieldOffset, lengthFieldLength, lengthAdjustment, byteOrder, strip, maxFrameLength } = config;
    const header = lengthFieldOffset + lengthFieldLength;
    const frames: Buffer[] = [];
    const ended = (error?: FrameErrorKind) => ({ frames, reported: [], error });
    for (let at = 0; ;) {
      if (wire.length - at < header) return ended(at === wire.length ? undefined : 'truncated');
      const field = Buffer.from(wire.subarray(at + lengthFieldOffset, at + header));
      if (byteOrder === 'little') field.reverse();
      const body = BigInt(`0x${field.toString('hex')}`) + BigInt(lengthAdjustment);
      if (body < 0n) return ended('corrupt');
      if (body > BigInt(maxFrameLength)) return ended('too-large');
      const end = at + header + Number(body);
      if (end > wire.length) return ended('truncated');
      frames.push(wire.subarray(strip ? at + header : at, end));
      at = end;
    }
  }
});
