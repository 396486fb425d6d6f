import { expect } from 'chai';
import fc from 'fast-check';
import { jsonLines, type JsonLinesConfig } from '../../lib/codec/json-lines.js';
import { ConfigError, FrameError, type FrameErrorKind } from '../../lib/errors.js';
import { cut } from '../support/chunkings.js';
import { holds } from '../support/property.js';
import { drivers, type Expected, expectOutcome, outcomeOf } from './outcome.js';
import { chunkedWires } from './wires.js';
import { workOf } from './work.js';

const MIB = 1024 * 1024;

/** Arrays in arrays, this many. */
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

/** What `next` throws for this line. */
function errorOf(line: string, config?: JsonLinesConfig): FrameError {
  const decoder = jsonLines(config).decoder(() => undefined);
  decoder.push(Buffer.from(`${line}\n`));
  try {
    decoder.next();
  } catch (error) {
    if (error instanceof FrameError) return error;
    throw error;
  }
  throw new Error('the line was decoded');
}

describe('jsonLines()', () => {
  interface Case extends Expected {
    readonly title: string;
    /** Text stands for its bytes in Latin-1. */
    readonly wire: string | Buffer;
    readonly config?: JsonLinesConfig;
  }

  const discard = 'discard';
  const lost = (...after: number[]) => after.map((n) => ({ kind: 'too-large' as const, after: n }));

  const cases: readonly Case[] = [
    { title: 'gives a value for each line', wire: '{"a":1}\n[2]\r\n"b"\n', frames: [{ a: 1 }, [2], 'b'] },
    { title: 'takes any JSON value for a frame', wire: 'null\nfalse\n0\n""\n', frames: [null, false, 0, ''] },
    { title: 'takes spaces around a value for nothing', wire: ' \t1 \r\n[ 2 ]\n', frames: [1, [2]] },
    { title: 'has no frame in an empty stream [L16]', wire: '', frames: [] },
    {
      title: 'skips blank lines, which peers send as a sign of life',
      wire: '\n\r\n1\n \t \n\r\r\n2\n\n',
      frames: [1, 2],
    },
    {
      title: 'decodes characters that chunks cut [U01]',
      wire: Buffer.from('"a€😀b"\n["ü"]\n'),
      frames: ['a€😀b', ['ü']],
    },
    { title: 'takes an escaped lone surrogate for data [E55]', wire: '"\\ud83d"\n', frames: ['\ud83d'] },
    { title: 'takes the last of two equal keys [E55]', wire: '{"a":1,"b":2,"a":3}\n', frames: [{ a: 3, b: 2 }] },
    { title: 'has an error for half a line at the end [D16, L15]', wire: '1\n[2', frames: [1], error: 'truncated' },
    {
      title: 'has an error for a whole value without its LF, since 12 may have been 123',
      wire: '1\n12',
      frames: [1],
      error: 'truncated',
    },
    {
      title: 'accepts the longest line [L03, D08]',
      wire: '123\n"a"\r\n',
      config: { maxFrameLength: 3 },
      frames: [123, 'a'],
    },
    {
      title: 'refuses a line one byte longer, after the values before it [L04, D09, D13]',
      wire: '123\n1234\n5\n',
      config: { maxFrameLength: 3 },
      frames: [123],
      error: 'too-large',
    },
    {
      title: 'refuses it without waiting for its LF [L04]',
      wire: '1234',
      config: { maxFrameLength: 3 },
      frames: [],
      error: 'too-large',
    },
    {
      title: 'skips a long line once and resynchronises [D14, D15]',
      wire: '1\n[1,2]\r\n2\n"€€"\n3\n',
      config: { maxFrameLength: 3, onTooLarge: discard },
      frames: [1, 2, 3],
      reported: lost(1, 2),
    },
    {
      title: 'ends at a line that is no JSON, after the values before it [E55]',
      wire: '1\n{a}\n2\n',
      frames: [1],
      error: 'decode',
    },
    {
      title: 'ends at a line that is no JSON, whatever is done with long ones',
      wire: '1\n{a}\n2\n',
      config: { onTooLarge: discard },
      frames: [1],
      error: 'decode',
    },
    { title: 'takes a BOM for no JSON [E45]', wire: Buffer.from('1\n\ufeff2\n'), frames: [1], error: 'decode' },
    { title: 'has an error for invalid UTF-8 [U02]', wire: '1\n"\xc3"\n2\n', frames: [1], error: 'decode' },
    { title: 'has an error for an HTTP answer [L19]', wire: 'HTTP/1.1 400 Bad\r\n\r\n', frames: [], error: 'decode' },
    { title: 'takes two values on a line for no JSON', wire: '1 2\n', frames: [], error: 'decode' },
    {
      title: 'accepts the deepest value [E55]',
      wire: '[[[]]]\n{"a":[{}]}\n[[[1],[2]],[[3]]]\n',
      config: { maxDepth: 3 },
      frames: [[[[]]], { a: [{}] }, [[[1], [2]], [[3]]]],
    },
    {
      title: 'refuses one level more [E55]',
      wire: '[[[]]]\n[[[[]]]]\n1\n',
      config: { maxDepth: 3 },
      frames: [[[[]]]],
      error: 'decode',
    },
    {
      title: 'refuses one level more of objects [E55]',
      wire: '{"a":{"b":[{}]}}\n',
      config: { maxDepth: 3 },
      frames: [],
      error: 'decode',
    },
    {
      title: 'counts no bracket in a string, behind whatever escapes [E55]',
      wire: '["[[[[", "\\"[[", "\\\\\\"[[", "\\\\", {"[{[{":[]}]\n',
      config: { maxDepth: 3 },
      frames: [['[[[[', '"[[', '\\"[[', '\\', { '[{[{': [] }]],
    },
  ];

  for (const { title, wire, config, ...expected } of cases) {
    it(title, () => {
      expectOutcome(jsonLines(config), typeof wire === 'string' ? Buffer.from(wire, 'latin1') : wire, expected);
    });
  }

  it('takes `__proto__` and `constructor` for keys, and merges nothing [E55]', () => {
    const wire = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}\n';
    const decoder = jsonLines<object>().decoder(() => undefined);
    decoder.push(Buffer.from(wire));
    const value = decoder.next()!;
    expect(Object.keys(value)).to.eql(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(value)).to.equal(Object.prototype);
    expect('polluted' in {}).to.equal(false);
    expect(`${JSON.stringify(value)}\n`).to.equal(wire);
    expect(String(jsonLines().encode(value))).to.equal(wire);
  });

  it('refuses 100,000 open brackets for their depth, and any number of them that could not close in time [E55]', () => {
    expect(errorOf('['.repeat(100_000)).message).to.equal('decode frame: a line nests deeper than 64');
    expect(errorOf('{"a":'.repeat(100_000)).message).to.equal('decode frame: a line nests deeper than 64');
    expect(errorOf('['.repeat(100)).kind).to.equal('decode');
    expect(errorOf(nested(1001), { maxDepth: 1000 }).kind).to.equal('decode');
    expectOutcome(jsonLines({ maxDepth: 1000 }), Buffer.from(`${nested(1000)}\n`), {
      frames: [JSON.parse(nested(1000))],
    });
  });

  it('takes a number of 10 MB for the number that it is, if such lines are allowed [E55]', () => {
    const wire = Buffer.alloc(10 * MIB, '1');
    wire[1] = 0x2e;
    wire[wire.length - 1] = 10;
    const chunks = Array.from({ length: 160 }, (_, i) => wire.subarray(i * 65_536, (i + 1) * 65_536));
    expect(outcomeOf(jsonLines(), chunks).error).to.equal('too-large');
    expect(outcomeOf(jsonLines({ maxFrameLength: 10 * MIB }), chunks).frames).to.eql([10 / 9]);
  });

  it('says where a line ceases to be JSON, and never what it holds [E55]', () => {
    const faults: readonly [string, number][] = [
      ['s3cret', 0],
      ['{"s3cret":s3cret}', 10],
      ['{"s3cret":1,}', 12],
      ['["s3cret"', 9],
      ['"\u0007 s3cret"', 1],
      ['"s3cret in JSON at position 7', 29],
    ];
    for (const [line, offset] of faults) {
      const error = errorOf(line);
      expect(error.message).to.equal(
        `decode frame: a line is no JSON from character ${String(offset)} of ${String(line.length)} on`,
      );
      expect([error.kind, error.cause]).to.eql(['decode', undefined]);
      expect(JSON.stringify(error)).to.not.match(/s3c/);
    }
  });

  it('shows nothing of the peer in any other error [L19]', () => {
    for (const error of [
      errorOf('"s3cret"', { maxFrameLength: 3 }),
      errorOf('[[["s3cret"]]]', { maxDepth: 2 }),
      errorOf('\ud800s3cret'),
    ]) {
      expect(error.cause).to.equal(undefined);
      expect(JSON.stringify(error)).to.not.match(/s3c/);
    }
  });

  it('keeps two connections of one codec apart [S7]', () => {
    const codec = jsonLines();
    const [one, two] = [codec.decoder(() => undefined), codec.decoder(() => undefined)];
    one.push(Buffer.from('[1,'));
    expect(one.next()).to.equal(undefined);
    two.push(Buffer.from('2\n'));
    expect(two.next()).to.equal(2);
  });

  it('hands out one value at a time, so that a driver can stop and push between any two [E50, E51]', () => {
    const decoder = jsonLines().decoder(() => undefined);
    decoder.push(Buffer.from('1\n\n2\n[3'));
    expect(decoder.next()).to.equal(1);
    decoder.push(Buffer.from(']\n4\n'));
    expect([decoder.next(), decoder.next(), decoder.next(), decoder.next()]).to.eql([2, [3], 4, undefined]);
    decoder.end();
  });

  it('goes on after its chunks were written over, if it was told to let go of them', () => {
    const chunks = ['{"a":"one"}\n["tw', 'o"]\n\n{"b":', '"three"}\n"fo', 'ur"\n'].map((text) => Buffer.from(text));
    for (const take of [0, 1, Infinity]) {
      const decoder = jsonLines().decoder(() => undefined);
      const values: unknown[] = [];
      const drain = (most: number): void => {
        for (let value; values.length < most && (value = decoder.next()) !== undefined;) values.push(value);
      };
      for (const chunk of chunks.map((bytes) => Buffer.from(bytes))) {
        decoder.push(chunk);
        drain(values.length + take);
        decoder.detach?.();
        chunk.fill('x');
      }
      drain(Infinity);
      decoder.end();
      expect(values).to.eql([{ a: 'one' }, ['two'], { b: 'three' }, 'four']);
    }
  });

  it('does a fixed amount of work per byte, however many chunks a line comes in [E46, E48]', () => {
    const workFor = (size: number) => {
      const wire = Buffer.from(`"${'x'.repeat(size - 3)}"\n`);
      let frames: unknown[] = [];
      const work = workOf(() => (frames = outcomeOf(jsonLines(), cut(wire, [...wire.keys()].slice(1))).frames));
      expect(frames).to.have.lengthOf(1);
      return work.scanned + work.copied + work.decoded;
    };
    const ratio = workFor(40_000) / workFor(20_000);
    expect(ratio).to.be.within(1.5, 2.3);
  });

  describe('encode', () => {
    const written = (message: unknown): string => String(jsonLines().encode(message));

    it('writes a value as JSON.stringify does, with an LF behind it', () => {
      const values: unknown[] = [
        { id: 1, name: 'a\nb\r', gone: undefined },
        [NaN, undefined],
        null,
        '',
        '\u2028 €😀',
        -0,
      ];
      for (const value of values) expect(written(value)).to.equal(`${JSON.stringify(value)}\n`);
    });

    it('asks `toJSON` once', () => {
      let asked = 0;
      const message = { toJSON: () => ({ asked: ++asked }) };
      expect(written(message)).to.equal('{"asked":1}\n');
      expect(written({ at: new Date(0) })).to.equal('{"at":"1970-01-01T00:00:00.000Z"}\n');
    });

    it('escapes a lone surrogate, and so carries it [E55]', () => {
      expect(written('\ud83d')).to.equal('"\\ud83d"\n');
    });

    describe('refuses what JSON cannot say, or could not be read back [E57]:', () => {
      const circle: Record<string, unknown> = {};
      circle.self = circle;
      const failing = {
        toJSON: () => {
          throw new Error('mine');
        },
      };
      const refusals: readonly [string, unknown, FrameErrorKind, JsonLinesConfig?][] = [
        ['undefined', undefined, 'encode'],
        ['a function', () => 1, 'encode'],
        ['a symbol', Symbol('s'), 'encode'],
        ['a `toJSON` that answers undefined', { toJSON: () => undefined }, 'encode'],
        ['a BigInt', 1n, 'encode'],
        ['a BigInt inside', { a: [1n] }, 'encode'],
        ['a circle', circle, 'encode'],
        ['what a `toJSON` throws', failing, 'encode'],
        ['a value too deep', [[[[]]]], 'encode', { maxDepth: 3 }],
        ['a value so deep that JSON.stringify gives up', JSON.parse(nested(100_000)), 'encode'],
        ['a line above the limit', 1234, 'too-large', { maxFrameLength: 3 }],
        ['a line above the limit in bytes', '€€', 'too-large', { maxFrameLength: 7 }],
      ];
      for (const [title, message, kind, config] of refusals) {
        it(title, () => {
          expect(() => jsonLines(config).encode(message))
            .to.throw(FrameError)
            .with.property('kind', kind);
        });
      }

      it('with what was thrown as the cause', () => {
        expect(() => jsonLines().encode(failing))
          .to.throw(FrameError)
          .with.nested.property('cause.message', 'mine');
        expect(() => jsonLines().encode(circle))
          .to.throw(FrameError)
          .with.property('cause')
          .instanceOf(TypeError);
      });

      it('and accepts the longest line and the deepest value there is', () => {
        expect(jsonLines({ maxFrameLength: 5 }).encode('€').length).to.equal(6);
        expect(String(jsonLines({ maxDepth: 3 }).encode([[[]]]))).to.equal('[[[]]]\n');
      });
    });
  });

  it('validates its options once, by name', () => {
    const bad: readonly [string, unknown][] = [
      ['maxFrameLength', 0],
      ['maxFrameLength', NaN],
      ['maxFrameLength', 1.5],
      ['maxFrameLength', 2 ** 32],
      ['maxDepth', 0],
      ['maxDepth', 1001],
      ['maxDepth', Infinity],
      ['maxDepth', '8'],
      ['onTooLarge', 'skip'],
      ['depth', 1],
      ['copy', true],
    ];
    for (const [name, value] of bad) {
      expect(() => jsonLines({ [name]: value })).to.throw(ConfigError, `\`${name}\``);
    }
    expect(() => jsonLines(null as never)).to.throw(ConfigError, 'jsonLines');
    expect(() => jsonLines({ maxDepth: undefined as never })).not.to.throw();
  });

  holds(
    'decodes what it encoded, any JSON value, however cut and driven [E59]',
    200,
    fc.record({
      values: fc.array(fc.jsonValue({ maxDepth: 4 }), { maxLength: 5 }),
      cuts: fc.array(fc.nat(300)),
      driver: fc.constantFrom(...drivers),
    }),
    ({ values, cuts, driver }) => {
      const wire = Buffer.concat(values.map((value) => jsonLines().encode(value)));
      const offsets = [...new Set(cuts)].filter((at) => at > 0 && at < wire.length).sort((a, b) => a - b);
      const { frames, ...rest } = outcomeOf(jsonLines(), cut(wire, offsets), driver);
      expect(frames.map((frame) => JSON.stringify(frame))).to.eql(values.map((value) => JSON.stringify(value)));
      expect(rest).to.eql({ reported: [], error: undefined });
    },
  );

  holds(
    'takes any bytes for what split, fatal UTF-8 and JSON.parse would, however cut and driven [E59]',
    1000,
    chunkedWires([...Buffer.from('[]{}"":,1 \n\n\n\r\\')]),
    ({ wire, offsets, takes }) => {
      expect(outcomeOf(jsonLines({ maxDepth: 2 }), cut(wire, offsets), takes)).to.eql(naively(wire, 2));
    },
  );
});

/** What comes of a wire, by the shortest program that could be right. */
function naively(wire: Buffer, maxDepth: number): ReturnType<typeof outcomeOf> {
  const frames: unknown[] = [];
  const outcome = (error?: FrameErrorKind) => ({ frames, reported: [], error });
  const whole = wire.toString('latin1').split('\n');
  const rest = whole.pop();
  for (const line of whole) {
    const bytes = Buffer.from(line.replace(/\r$/, ''), 'latin1');
    try {
      const text = new TextDecoder('utf8', { fatal: true, ignoreBOM: true }).decode(bytes);
      if (/^[ \t\r]*$/.test(text)) continue;
      const value: unknown = JSON.parse(text);
      if (depthOf(value) > maxDepth) return outcome('decode');
      frames.push(value);
    } catch {
      return outcome('decode');
    }
  }
  return outcome(rest === '' ? undefined : 'truncated');
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
