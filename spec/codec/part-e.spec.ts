/**
 * Part E of the reliability study: every adversarial input for a framing codec, one row each, for every codec that it can be sent to.
 *
 * The rows that name a wire hold for every chunking of it and under every driver. What a codec does besides is in its own spec; what
 * holds for any input at all, in laws.spec.ts.
 */
import { expect } from 'chai';
import { Subject } from 'rxjs';
import { bytes } from '../../lib/codec/bytes.js';
import type { Codec } from '../../lib/codec/codec.js';
import { delimited } from '../../lib/codec/delimited.js';
import { fixedLength } from '../../lib/codec/fixed-length.js';
import { jsonLines } from '../../lib/codec/json-lines.js';
import { lengthPrefixed } from '../../lib/codec/length-prefixed.js';
import { lines } from '../../lib/codec/lines.js';
import { netstrings } from '../../lib/codec/netstrings.js';
import { varintPrefixed } from '../../lib/codec/varint-prefixed.js';
import { ConfigError, FrameError, type FrameErrorKind } from '../../lib/errors.js';
import { decode } from '../../lib/inbound/decode.js';
import { cut } from '../support/chunkings.js';
import { aliveBytes } from '../support/memory.js';
import { seededRandom } from '../support/random.js';
import { everyCodec } from './every-codec.js';
import { drivers, type Expected, expectOutcome, outcomeOf } from './outcome.js';
import { workOf } from './work.js';

const MIB = 1024 * 1024;

type Any = Codec<unknown, never>;
/** A codec without its options. */
interface Kind {
  readonly name: string;
  readonly make: (options: object) => Any;
  /** What it makes of these bytes, which stand as Latin-1. */
  readonly frame: (text: string) => unknown;
  readonly copies: boolean;
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const hex = (text: string): Buffer => Buffer.from(text.replace(/[^0-9a-f]/g, ''), 'hex');

const textLines: Kind = {
  name: 'lines()',
  make: (options) => lines({ encoding: 'latin1', ...options }),
  frame: (text) => text,
  copies: true,
};
const delimiters: Kind = {
  name: 'delimited()',
  make: (options) => delimited({ delimiter: '\r\n', ...options }),
  frame: latin1,
  copies: true,
};
const lengths: Kind = { name: 'lengthPrefixed()', make: lengthPrefixed, frame: latin1, copies: true };
const varints: Kind = { name: 'varintPrefixed()', make: varintPrefixed, frame: latin1, copies: true };
const decimals: Kind = { name: 'netstrings()', make: netstrings, frame: latin1, copies: true };
const fixed: Kind = {
  name: 'fixedLength()',
  make: (options) => fixedLength({ length: 3, ...options }),
  frame: latin1,
  copies: true,
};
const json: Kind = {
  name: 'jsonLines()',
  make: jsonLines,
  frame: (text) => JSON.parse(text) as unknown,
  copies: false,
};

/** A wire, given as Latin-1 or bytes, and all that comes of it. */
interface Wire {
  readonly of: Kind;
  readonly wire: string | Buffer;
  readonly frames: readonly string[];
  readonly error?: FrameErrorKind;
  readonly reported?: Expected['reported'];
  readonly options?: object;
}

type Rest = Pick<Wire, 'error' | 'reported' | 'options'>;

function on(of: Kind, wire: string | Buffer, frames: readonly string[], rest: Rest | FrameErrorKind = {}): Wire {
  return { of, wire, frames, ...(typeof rest === 'string' ? { error: rest } : rest) };
}

const lost = (after: number): Expected['reported'] => [{ kind: 'too-large', after }];
const two = { lengthFieldLength: 2 };
const max3 = { maxFrameLength: 3 };
const large = (options: object): Rest => ({ error: 'too-large', options });
const corrupt = (options: object): Rest => ({ error: 'corrupt', options });
const skips = (after: number, options: object = {}): Rest => ({
  reported: lost(after),
  options: { ...max3, onTooLarge: 'discard', ...options },
});

/** The rows that are a wire: id, what happens, and to whom. */
const WIRES: readonly (readonly [id: string, what: string, wires: readonly Wire[]])[] = [
  [
    'L01',
    'a frame of no bytes is a value, and neither the end nor skipped',
    [
      on(textLines, '\na\n', ['', 'a']),
      on(delimiters, '\r\na\r\n', ['', 'a']),
      on(lengths, hex('00000000 00000001 61'), ['', 'a']),
      on(varints, hex('00 01 61'), ['', 'a']),
      on(decimals, '0:,1:a,', ['', 'a']),
    ],
  ],
  [
    'L02',
    'several frames of no bytes in a row are as many values',
    [
      on(textLines, '\n\n\n', ['', '', '']),
      on(delimiters, '\r\n\r\n', ['', '']),
      on(lengths, hex('0000 0000 0000'), ['', '', ''], { options: two }),
      on(varints, hex('00 00 00'), ['', '', '']),
      on(decimals, '0:,0:,', ['', '']),
    ],
  ],
  [
    'L03',
    'the longest frame is accepted',
    [
      on(textLines, 'abc\nabc\r\n', ['abc', 'abc'], { options: max3 }),
      on(delimiters, 'abc\r\n', ['abc'], { options: max3 }),
      on(lengths, hex('00000003 616263'), ['abc'], { options: max3 }),
      on(varints, hex('03 616263'), ['abc'], { options: max3 }),
      on(decimals, '3:abc,', ['abc'], { options: max3 }),
      on(fixed, 'abc', ['abc']),
      on(json, '123\n', ['123'], { options: max3 }),
    ],
  ],
  [
    'L04',
    'one byte more is too large, as soon as that is certain',
    [
      on(textLines, 'abcd', [], large(max3)),
      on(delimiters, 'abcd\r', [], large(max3)),
      on(lengths, hex('00000004'), [], large(max3)),
      on(varints, hex('04'), [], large(max3)),
      on(decimals, '4', [], large(max3)),
      on(json, '1234', [], large(max3)),
    ],
  ],
  [
    'L05',
    'a length of 0xffffffff is unsigned, and too large',
    [
      on(lengths, hex('ffffffff'), [], 'too-large'),
      on(varints, hex('ffffffff0f'), [], 'too-large'),
      on(decimals, '4294967295:', [], 'too-large'),
    ],
  ],
  [
    'L06',
    'a length of 0x80000000 is unsigned, and too large',
    [
      on(lengths, hex('80000000'), [], 'too-large'),
      on(varints, hex('8080808008'), [], 'too-large'),
      on(decimals, '2147483648:', [], 'too-large'),
    ],
  ],
  [
    'L07',
    'a length of 2^53 + 1 is not rounded into range',
    [
      on(lengths, hex('0020000000000001'), [], large({ lengthFieldLength: 8 })),
      on(decimals, '9007199254740993:', [], 'too-large'),
    ],
  ],
  [
    'L08',
    'a length of 2^64 - 1 is too large, with a large negative adjustment too',
    [
      on(lengths, hex('ffffffffffffffff'), [], large({ lengthFieldLength: 8 })),
      on(lengths, hex('ffffffffffffffff'), [], large({ lengthFieldLength: 8, lengthAdjustment: -2147483647 })),
      on(decimals, '18446744073709551615:', [], 'too-large'),
    ],
  ],
  [
    'L09',
    'a length in little endian is read',
    [on(lengths, hex('0200 6869'), ['hi'], { options: { ...two, byteOrder: 'little' } })],
  ],
  [
    'L10',
    'a length of 3 bytes is read',
    [on(lengths, hex('000002 6869'), ['hi'], { options: { lengthFieldLength: 3 } })],
  ],
  [
    'L11',
    'a length may count its header',
    [on(lengths, hex('0004 6869 0002'), ['hi', ''], { options: { ...two, lengthAdjustment: -2 } })],
  ],
  [
    'L12',
    'a length below its header is corrupt',
    [on(lengths, hex('0004 6869 0001'), ['hi'], corrupt({ ...two, lengthAdjustment: -2 }))],
  ],
  [
    'L13',
    'a length that an adjustment brings above the limit is too large',
    [on(lengths, hex('0002 000000'), [], large({ ...two, ...max3, lengthAdjustment: 2 }))],
  ],
  [
    'L14',
    'the end inside a header is truncated',
    [
      on(lengths, hex('00000001 61 000000'), ['a'], 'truncated'),
      on(varints, hex('01 61 80'), ['a'], 'truncated'),
      on(decimals, '1:a,1', ['a'], 'truncated'),
    ],
  ],
  [
    'L15',
    'the end inside a body is truncated, after the frames before it',
    [
      on(lengths, hex('00000001 61 00000002 61'), ['a'], 'truncated'),
      on(varints, hex('01 61 02 61'), ['a'], 'truncated'),
      on(decimals, '1:a,2:a', ['a'], 'truncated'),
      on(decimals, '1:a,2:ab', ['a'], 'truncated'),
      on(fixed, 'abcd', ['abc'], 'truncated'),
    ],
  ],
  [
    'L16',
    'the end between two frames is clean, and so is an empty stream',
    [textLines, delimiters, lengths, varints, decimals, fixed, json]
      .map((of) => on(of, '', []))
      .concat(
        on(textLines, 'a\n', ['a']),
        on(delimiters, 'a\r\n', ['a']),
        on(lengths, hex('00000001 61'), ['a']),
        on(varints, hex('01 61'), ['a']),
        on(decimals, '1:a,', ['a']),
        on(fixed, 'abc', ['abc']),
        on(json, '1\n', ['1']),
      ),
  ],
  [
    'L17',
    'the good frames before a bad header are delivered',
    [
      on(lengths, hex('0001 61 0001 62 ffff'), ['a', 'b'], large({ ...two, ...max3 })),
      on(varints, hex('01 61 01 62 ff7f'), ['a', 'b'], large(max3)),
      on(decimals, '1:a,1:b,x', ['a', 'b'], 'corrupt'),
      on(decimals, '1:a,1:b;', ['a'], 'corrupt'),
      on(json, '1\n2\n{]\n', ['1', '2'], 'decode'),
    ],
  ],
  [
    'L18',
    'nothing is decoded behind an error',
    [
      on(textLines, 'a\nabcd\nb\n', ['a'], large(max3)),
      on(delimiters, 'a\r\nabcd\r\nb\r\n', ['a'], large(max3)),
      on(lengths, hex('0001 61 ffff 0001 62'), ['a'], large({ ...two, ...max3 })),
      on(varints, hex('01 61 ff7f 01 62'), ['a'], large(max3)),
      on(decimals, '1:a,01:b,1:c,', ['a'], 'corrupt'),
      on(json, '1\nx\n2\n', ['1'], 'decode'),
    ],
  ],
  [
    'L19',
    'an answer in HTTP or TLS is no frame',
    [
      on(lengths, 'HTTP/1.1 400 Bad Request\r\n\r\n', [], 'too-large'),
      on(lengths, hex('15030100 020228'), [], 'too-large'),
      on(varints, 'HTTP/1.1 400', [], large({ maxFrameLength: 50 })),
      on(varints, hex('15030100 020228'), [], 'truncated'),
      on(decimals, 'HTTP/1.1 400', [], 'corrupt'),
      on(decimals, hex('15030100 020228'), [], 'corrupt'),
      on(json, 'HTTP/1.1 400 Bad Request\r\n\r\n', [], 'decode'),
      on(json, hex('15030100 0202280a'), [], 'decode'),
    ],
  ],
  [
    'D01',
    'a delimiter ends a frame',
    [
      on(textLines, 'a\nbc\r\n', ['a', 'bc']),
      on(delimiters, 'a\r\nbc\r\n', ['a', 'bc']),
      on(json, '1\n23\r\n', ['1', '23']),
    ],
  ],
  [
    'D02',
    'a line of no bytes is a frame, except of JSON, where it is no value',
    [
      on(textLines, '\n\r\n\na\n', ['', '', '', 'a']),
      on(delimiters, '\r\n\r\na\r\n', ['', '', 'a']),
      on(json, '\n\r\n\n1\n', ['1']),
    ],
  ],
  [
    'D03',
    'a delimiter is found where chunks cut it',
    [
      on(textLines, 'ab\r\ncd\r\n', ['ab', 'cd']),
      on(delimiters, 'ab<=>cd<=>', ['ab', 'cd'], { options: { delimiter: '<=>' } }),
      on(json, '12\r\n34\r\n', ['12', '34']),
    ],
  ],
  [
    'D04',
    'half a delimiter is data',
    [
      on(textLines, 'a\rb\r\n', ['a\rb']),
      on(delimiters, 'a\rb\nc\r\n', ['a\rb\nc']),
      on(json, '[1,\r2]\r\n', ['[1,2]']),
    ],
  ],
  [
    'D05',
    'of `\\r\\r\\n` the first CR is data',
    [on(textLines, 'a\r\r\n', ['a\r']), on(delimiters, 'a\r\r\n', ['a\r']), on(json, '1\r\r\n', ['1'])],
  ],
  [
    'D06',
    'a delimiter that overlaps itself skips no start: `aab` in `aaab`',
    [
      on(textLines, '\r\r\r\n', ['\r\r']),
      on(delimiters, 'aaabaab', ['a', ''], { options: { delimiter: 'aab' } }),
      on(delimiters, 'aaaa', ['', ''], { options: { delimiter: 'aa' } }),
      on(delimiters, 'ababac', ['ab'], { options: { delimiter: 'abac' } }),
    ],
  ],
  [
    'D07',
    'nor does `<<>` in `<<<>`',
    [
      on(delimiters, '<<<>a<<>', ['<', 'a'], { options: { delimiter: '<<>' } }),
      on(delimiters, '<<<<>', ['<'], { options: { delimiter: '<<<>' } }),
    ],
  ],
  [
    'D08',
    'a frame of the limit is accepted, its delimiter not counted',
    [
      on(textLines, 'abc\r\nabc\n', ['abc', 'abc'], { options: max3 }),
      on(delimiters, 'abc\r\nabc\r\n', ['abc', 'abc'], { options: max3 }),
      on(json, '123\r\n', ['123'], { options: max3 }),
    ],
  ],
  [
    'D09',
    'one byte more is too large',
    [
      on(textLines, 'abc\nabcd\n', ['abc'], large(max3)),
      on(delimiters, 'abc\r\nabcd\r\n', ['abc'], large(max3)),
      on(json, '123\n1234\n', ['123'], large(max3)),
    ],
  ],
  [
    'D10',
    'the limit with half a delimiter behind it waits for the other half',
    [
      on(textLines, 'abc\r\n', ['abc'], { options: max3 }),
      on(textLines, 'abc\r', [], { error: 'truncated', options: max3 }),
      on(delimiters, 'abc\r', [], { error: 'truncated', options: max3 }),
      on(delimiters, 'abcaab', ['abc'], { options: { ...max3, delimiter: 'aab' } }),
      on(json, '123\r\n', ['123'], { options: max3 }),
    ],
  ],
  [
    'D11',
    'and is too large if another byte comes',
    [
      on(textLines, 'abc\rd', [], large(max3)),
      on(delimiters, 'abc\rd', [], large(max3)),
      on(delimiters, 'abcaac', [], large({ ...max3, delimiter: 'aab' })),
      on(json, '123\r ', [], large(max3)),
    ],
  ],
  [
    'D12',
    'a long line is too large though its delimiter is in the same chunk',
    [
      on(textLines, 'abcdefgh\na\n', [], large(max3)),
      on(delimiters, 'abcdefgh\r\na\r\n', [], large(max3)),
      on(json, '12345678\n1\n', [], large(max3)),
    ],
  ],
  [
    'D13',
    'the good line before it is delivered',
    [
      on(textLines, 'a\nabcdefgh\nb\n', ['a'], large(max3)),
      on(delimiters, 'a\r\nabcdefgh\r\nb\r\n', ['a'], large(max3)),
      on(json, '1\n12345678\n2\n', ['1'], large(max3)),
    ],
  ],
  [
    'D14',
    'a long line that is discarded is reported once, and the next is read',
    [
      on(textLines, 'a\nabcdefgh\nb\n', ['a', 'b'], skips(1)),
      on(delimiters, 'a\r\nabcdefgh\r\nb\r\n', ['a', 'b'], skips(1)),
      on(json, '1\n12345678\n2\n', ['1', '2'], skips(1)),
    ],
  ],
  [
    'D15',
    'so it is where chunks cut the delimiter of what is discarded',
    [
      on(textLines, 'abcd\r\nb\r\n', ['b'], skips(0)),
      on(delimiters, 'abcdaaabbaab', ['b'], skips(0, { delimiter: 'aab' })),
      on(delimiters, 'abcdefgh', [], skips(0)),
      on(json, '1234\r\n2\r\n', ['2'], skips(0)),
    ],
  ],
  [
    'D16',
    'a partial line at the end is truncated',
    [
      on(textLines, 'a\nb', ['a'], 'truncated'),
      on(delimiters, 'a\r\nb', ['a'], 'truncated'),
      on(json, '1\n2', ['1'], 'truncated'),
    ],
  ],
  [
    'D17',
    'a CR is stripped right before the LF alone',
    [on(textLines, '\ra\rb\r\n', ['\ra\rb']), on(json, '\r1\r\n', ['1'])],
  ],
  [
    'D18',
    'a CR at the end of a chunk is neither before it is known',
    [
      on(textLines, 'a\r\nb\rc\n', ['a', 'b\rc']),
      on(delimiters, 'a\r\nb\rc\r\n', ['a', 'b\rc']),
      on(json, '1\r\n[2\r]\n', ['1', '[2]']),
    ],
  ],
  [
    'D19',
    'NUL and 0xff are data',
    [
      on(textLines, '\0\xff\n', ['\0\xff']),
      on(delimiters, '\0\xff\r\n\xff\xfe', ['\0', '\r\n'], {
        options: { delimiter: Buffer.of(255) },
        error: 'truncated',
      }),
      on(delimiters, '\0\xff\r\n', ['\0\xff']),
      on(fixed, '\0\xff\0', ['\0\xff\0']),
      on(lengths, hex('00000002 00ff'), ['\0\xff']),
      on(varints, hex('02 00ff'), ['\0\xff']),
      on(decimals, '2:\0\xff,', ['\0\xff']),
    ],
  ],
  [
    'D20',
    'a delimiter alone is one empty frame',
    [
      on(textLines, '\r\n', ['']),
      on(textLines, '\n', ['']),
      on(delimiters, '\r\n', ['']),
      on(delimiters, 'aab', [''], { options: { delimiter: 'aab' } }),
      on(json, '\r\n', []),
    ],
  ],
  [
    'D21',
    'half a delimiter at the end is truncated',
    [
      on(textLines, 'a\nb\r', ['a'], 'truncated'),
      on(textLines, 'a\n\r', ['a'], 'truncated'),
      on(delimiters, 'a\r\n\r', ['a'], 'truncated'),
      on(delimiters, 'aa', [], { error: 'truncated', options: { delimiter: 'aab' } }),
      on(json, '1\n\r', ['1'], 'truncated'),
    ],
  ],
  [
    'U01',
    'a character that chunks cut is decoded whole',
    [
      on(textLines, Buffer.from('a€😀b\nü\n'), ['a€😀b', 'ü'], { options: { encoding: 'utf8' } }),
      on(json, Buffer.from('"a€😀b"\n"ü"\n'), ['"a€😀b"', '"ü"']),
    ],
  ],
  [
    'U02',
    'invalid UTF-8 is U+FFFD, or where it is fatal an error',
    [
      on(textLines, 'a\xe2\x82\nb\n', ['a\ufffd', 'b'], { options: { encoding: 'utf8' } }),
      on(textLines, 'a\n\xc3\nb\n', ['a'], { error: 'decode', options: { encoding: 'utf8', fatal: true } }),
      on(json, '1\n"\xc3"\n2\n', ['1'], 'decode'),
    ],
  ],
  [
    'U03',
    'an LF is never a part of a character',
    [
      on(textLines, '\xe2\x82\n\xac\n', ['\ufffd', '\ufffd'], { options: { encoding: 'utf8' } }),
      on(json, '"\xe2\x82\n\xac"\n', [], 'decode'),
    ],
  ],
  [
    'E45',
    'a BOM is kept, at the start and on any line; in JSON it is an error',
    [
      on(textLines, Buffer.from('\ufeffa\n\ufeffb\n'), ['\ufeffa', '\ufeffb'], { options: { encoding: 'utf8' } }),
      on(json, Buffer.from('\ufeff1\n'), [], 'decode'),
      on(json, Buffer.from('"\ufeff"\n'), ['"\ufeff"']),
    ],
  ],
  [
    'E58',
    'a varint of too many bytes, bits or zeros is corrupt after 5 bytes at most',
    [
      on(varints, hex('01 61 8080808080'), ['a'], 'corrupt'),
      on(varints, hex('ffffffffffffffffff01'), [], 'corrupt'),
      on(varints, hex('ffffffff10'), [], 'corrupt'),
      on(varints, hex('8000'), [], 'corrupt'),
      on(varints, hex('818000'), [], 'corrupt'),
    ],
  ],
];

/** The rows that are more than a wire. */
const DEEDS: readonly (readonly [id: string, what: string, deed: () => void])[] = [
  [
    'L20',
    'an empty chunk is nothing, wherever it comes',
    () => {
      const empty = Buffer.alloc(0);
      for (const { name, make, long } of everyCodec) {
        expect(outcomeOf(make(50), [empty, empty]), name).to.eql({ frames: [], reported: [], error: undefined });
        const chunks = cut(Buffer.concat([long(50), long(50)]), [1, 20, 50, 99]);
        for (const driver of drivers) {
          const between = chunks.flatMap((chunk) => [empty, chunk, empty]);
          expect(outcomeOf(make(50), between, driver), name).to.eql(outcomeOf(make(50), chunks, driver));
        }
      }
    },
  ],
  [
    'E46',
    'a frame of 160 kB that drips in byte by byte costs a fixed amount of work per byte',
    () => {
      const size = 160_000;
      for (const { name, make, long } of framing) {
        const chunks = cut(
          long(size),
          Array.from({ length: size - 1 }, (_, i) => i + 1),
        );
        let frames: unknown[] = [];
        const work = workOf(() => ({ frames } = outcomeOf(make(size), chunks)));
        expect(frames, name).to.have.lengthOf(1);
        expect(work.scanned + work.copied + work.decoded + work.allocated, name).to.be.within(size, 12 * size);
      }
    },
  ],
  [
    'E47',
    'a frame of 32 MiB in chunks of 64 KiB is copied less than four times',
    () => {
      const size = 32 * MIB;
      for (const { name, make, long } of framing) {
        const wire = long(size);
        const chunks = Array.from({ length: size / 65_536 }, (_, i) => wire.subarray(i * 65_536, (i + 1) * 65_536));
        let frames: unknown[] = [];
        const work = workOf(() => ({ frames } = outcomeOf(make(size), chunks)));
        expect(frames, name).to.have.lengthOf(1);
        expect(work.copied, name).to.be.within(size - 65_536, 4 * size);
        expect(work.allocated, name).to.be.below(4 * size);
        expect(work.scanned, name).to.be.at.most(3 * size); // JSON is searched for brackets besides
      }
    },
  ],
  [
    'E48',
    'bytes without a delimiter are searched twice at most, for ever',
    () => {
      const chunk = Buffer.alloc(1000, 'x');
      for (const { name, make } of [textLines, delimiters, json]) {
        let reports = 0;
        const decoder = make({ maxFrameLength: MIB, onTooLarge: 'discard' }).decoder(() => reports++);
        const work = workOf(() => {
          for (let i = 0; i < 4000; i++) {
            decoder.push(chunk);
            decoder.next();
          }
        });
        expect(work.scanned, name).to.be.within(4_000_000, 8_000_000);
        expect(work.copied, name).to.be.below(3 * MIB);
        expect(reports, name).to.equal(1);
      }
    },
  ],
  [
    'E49',
    '200,000 frames in one chunk come one by one, and stop at once',
    () => {
      const count = 200_000;
      const chunks: readonly (readonly [Kind, string])[] = [
        [textLines, '\n'],
        [delimiters, '\r\n'],
        [lengths, '\0\0\0\0'],
        [varints, '\0'],
        [decimals, '0:,'],
        [fixed, 'abc'],
        [json, '1\n'],
      ];
      for (const [{ name, make }, frame] of chunks) {
        const asked = { times: 0 };
        const chunk = latin1(frame.repeat(count));
        for (const most of [3, Infinity]) {
          let frames = 0;
          asked.times = 0;
          const source = new Subject<Buffer>();
          const subscription = source.pipe(decode(counting(make({}), asked))).subscribe(() => {
            if (++frames === most) subscription.unsubscribe();
          });
          source.next(chunk);
          expect([frames, asked.times], name).to.eql(most === 3 ? [3, 3] : [count, count + 1]);
        }
      }
    },
  ],
  [
    'E50',
    'nothing comes after an unsubscription in the middle of a burst, and nothing is lost by one who stops and goes on',
    () => {
      for (const { name, make, long } of framing) {
        const wire = Buffer.concat(Array.from({ length: 10 }, () => long(50)));
        const frames: unknown[] = [];
        const source = new Subject<Buffer>();
        const subscription = source.pipe(decode(make(50))).subscribe((frame) => {
          if (frames.push(frame) === 4) subscription.unsubscribe();
        });
        source.next(wire);
        source.next(wire);
        expect(frames, name).to.have.lengthOf(4);
        const whole = outcomeOf(make(50), [wire, wire]);
        expect(whole.frames, name).to.have.lengthOf(20);
        expect(outcomeOf(make(50), [wire, wire], [4, 1]), name).to.eql(whole);
      }
    },
  ],
  [
    'E51',
    'bytes, and the end, that come while a frame is handed out wait for the frames before them, and enter no decoder twice',
    () => {
      for (const { name, make, long } of framing) {
        const source = new Subject<Buffer>();
        const events: unknown[] = [];
        const wire = Buffer.concat([long(50), long(50), long(50)]);
        source.pipe(decode(neverEntered(make(50)))).subscribe({
          next: () => {
            if (events.push('frame') === 1) source.next(wire);
            if (events.length === 4) source.complete();
          },
          error: (error: unknown) => events.push(error),
          complete: () => events.push('end'),
        });
        source.next(wire);
        expect(events, name).to.eql([...Array<string>(6).fill('frame'), 'end']);
      }
    },
  ],
  [
    'E52',
    'small frames that are kept keep no chunk alive, where each has memory of its own',
    () => {
      const grown = (own: boolean): number => {
        const specimens = framing.filter(({ name }) => /copy: true|json|map/.test(name) === own);
        const chunks = specimens.map(({ long }) => Buffer.concat(Array.from({ length: 1300 }, () => long(50))));
        const before = aliveBytes();
        const kept = specimens.flatMap(({ make }, i) =>
          Array.from({ length: 100 }, () => {
            const decoder = make(50).decoder(() => undefined);
            decoder.push(Buffer.from(chunks[i]!));
            return decoder.next();
          }),
        );
        const bytes = aliveBytes() - before;
        expect(kept).to.not.include(undefined);
        return bytes / specimens.length;
      };
      expect(grown(false)).to.be.above(5 * MIB);
      expect(grown(true)).to.be.below(MIB / 4);
    },
  ],
  [
    'E53',
    '20,000 chunks of one frame are let go of as they come',
    () => {
      const size = 20_000;
      const wires = framing.map(({ long }) => long(size + 1));
      const before = aliveBytes();
      const decoders = framing.map(({ make }, i) => {
        const decoder = make(size + 1).decoder(() => undefined);
        for (let at = 0; at < size; at++) {
          const chunk = Buffer.allocUnsafeSlow(1); // memory of its own, as a chunk of a socket has
          chunk[0] = wires[i]![at]!;
          decoder.push(chunk);
          expect(decoder.next() === undefined).to.equal(true);
        }
        return decoder;
      });
      expect(aliveBytes() - before).to.be.below(2 * MIB); // what all chunks of one codec came to, were they kept
      for (const [i, decoder] of decoders.entries()) {
        decoder.push(wires[i]!.subarray(size));
        expect(decoder.next(), framing[i]!.name).to.not.equal(undefined);
      }
    },
  ],
  [
    'E54',
    'nothing is allocated for what 1,000 headers announce',
    () => {
      const announced: readonly [Kind, Buffer, object][] = [
        [lengths, hex('7fffffff 61'), { maxFrameLength: 2 ** 31 - 1 }],
        [varints, hex('ffffffff07 61'), { maxFrameLength: 2 ** 31 - 1 }],
        [decimals, latin1('2147483647:a'), { maxFrameLength: 2 ** 31 - 1 }],
        [fixed, hex('61'), { length: 2 ** 31 - 1 }],
      ];
      for (const [{ name, make }, header, options] of announced) {
        for (const copy of [true, false]) {
          const work = workOf(() => {
            for (let connection = 0; connection < 1000; connection++) {
              const decoder = make({ ...options, copy }).decoder(() => undefined);
              decoder.push(header);
              expect(decoder.next()).to.equal(undefined);
            }
          });
          expect(work.allocated, name).to.be.within(1000, 1024 * 1000);
        }
      }
    },
  ],
  [
    'E55',
    'JSON is data: prototypes, depth, numbers, equal keys and lone surrogates do no harm',
    () => {
      const decoded = (line: string): unknown => {
        const decoder = json.make({ maxFrameLength: 16 * MIB }).decoder(() => undefined);
        decoder.push(Buffer.from(`${line}\n`));
        return decoder.next();
      };
      expect(JSON.stringify(decoded('{"__proto__":{"a":1},"constructor":2}'))).to.equal(
        '{"__proto__":{"a":1},"constructor":2}',
      );
      expect('a' in {}).to.equal(false);
      expect(decoded('{"a":1,"a":2}')).to.eql({ a: 2 });
      expect(decoded('"\\udc00\\ud800"')).to.equal('\udc00\ud800');
      expect(decoded('1'.repeat(10 * MIB))).to.equal(Infinity);
      const refused: readonly [string, string][] = [
        ['['.repeat(100_000), 'a line nests deeper than 64'],
        ['{"s3cret":s3cret}', 'a line is no JSON from character 10 of 17 on'],
      ];
      for (const [line, detail] of refused) {
        expect(() => decoded(line))
          .to.throw(FrameError)
          .that.includes({ kind: 'decode', detail })
          .and.not.property('cause');
      }
      const digits = Array.from({ length: 160 }, () => Buffer.alloc(65_536, '1'));
      expect(outcomeOf(json.make({}), digits)).to.eql({ frames: [], reported: [], error: 'too-large' });
    },
  ],
  [
    'E56',
    'a RegExp is no delimiter',
    () => {
      expect(() => delimited({ delimiter: /(\r?\n)+$/ as never })).to.throw(ConfigError, '`delimiter`');
    },
  ],
  [
    'E57',
    'what could not be read back is refused when it is sent',
    () => {
      const messages: readonly [Kind, object, unknown, FrameErrorKind][] = [
        [textLines, max3, 'abcd', 'too-large'],
        [textLines, { ...max3, encoding: 'utf8' }, '€€', 'too-large'],
        [textLines, {}, 'a\nb', 'encode'],
        [textLines, {}, 'a\r', 'encode'],
        [textLines, {}, '€', 'encode'],
        [delimiters, max3, 'abcd', 'too-large'],
        [delimiters, max3, '€€', 'too-large'],
        [delimiters, {}, 'a\r\nb', 'encode'],
        [delimiters, { delimiter: 'aa' }, 'ba', 'encode'],
        [lengths, max3, 'abcd', 'too-large'],
        [lengths, max3, '€€', 'too-large'],
        [lengths, { lengthFieldLength: 1 }, Buffer.alloc(256), 'too-large'],
        [lengths, { lengthAdjustment: 3 }, 'ab', 'encode'],
        [varints, max3, '€€', 'too-large'],
        [decimals, max3, '€€', 'too-large'],
        [fixed, {}, 'ab', 'encode'],
        [fixed, {}, '€€', 'encode'],
        [json, max3, 'ab', 'too-large'],
        [json, { maxFrameLength: 7 }, '€€', 'too-large'],
        [json, { maxDepth: 1 }, [[]], 'encode'],
        [json, {}, 1n, 'encode'],
        ...[textLines, delimiters, lengths, varints, decimals, fixed].flatMap((kind) =>
          [NaN, null, {}, '\ud800'].map((message): [Kind, object, unknown, FrameErrorKind] => [
            kind,
            {},
            message,
            'encode',
          ]),
        ),
      ];
      for (const [{ name, make }, options, message, kind] of messages) {
        const codec = make(options);
        expect(() => codec.encode(message as never), `${name} of ${typeof message}`)
          .to.throw(FrameError)
          .with.property('kind', kind);
      }
      expect(() => bytes().encode(NaN as never))
        .to.throw(FrameError)
        .with.property('kind', 'encode');
    },
  ],
  [
    'E59',
    'any bytes in any chunks come to the same, and to nothing but frames and a FrameError',
    () => {
      const random = seededRandom(59);
      for (const { name, make, alphabet } of framing) {
        for (let round = 0; round < 200; round++) {
          const wire = random.bytes(random.int(0, 60)).map((byte) => (byte < 230 ? random.pick(alphabet) : byte));
          const offsets = Array.from(wire.keys()).filter((at) => at > 0 && random.next() < 0.2);
          const takes = offsets.map(() => random.int(0, 3));
          const max = random.int(1, 12);
          const whole = outcomeOf(make(max), [Buffer.from(wire)]);
          expect(outcomeOf(make(max), cut(wire, offsets), takes), `${name}, round ${String(round)}`).to.eql(whole);
        }
      }
    },
  ],
];

/** Those that have frames: of bytes() a chunk is one. */
const framing = everyCodec.filter(({ name }) => name !== 'bytes()');

/** Counts how often a frame is asked for. */
function counting(codec: Any, asked: { times: number }): Any {
  return guarded(codec, (next) => {
    asked.times++;
    return next();
  });
}

/** Throws if it is entered while it is at work, and while its frame is handed out by it. */
function neverEntered(codec: Any): Any {
  let inside = false;
  return guarded(codec, (call) => {
    if (inside) throw new Error('entered twice');
    inside = true;
    const result = call();
    inside = false;
    return result;
  });
}

/** A codec whose decoder does `push` and `next` by way of a function. */
function guarded(codec: Any, around: (call: () => unknown) => unknown): Any {
  return {
    encode: () => Buffer.alloc(0),
    decoder: (report) => {
      const decoder = codec.decoder(report);
      return {
        push: (chunk) => decoder.push(chunk),
        next: () => around(() => decoder.next()),
        end: () => decoder.end(),
      };
    },
  };
}

describe('part E', () => {
  const ids = [...WIRES, ...DEEDS].map(([id]) => id);

  it('has a row for each of its cases', () => {
    const series = (letter: string, from: number, to: number): string[] =>
      Array.from({ length: to - from + 1 }, (_, i) => `${letter}${String(from + i).padStart(2, '0')}`);
    expect(ids).to.have.members([
      ...series('L', 1, 20),
      ...series('D', 1, 21),
      ...series('U', 1, 3),
      ...series('E', 45, 59),
    ]);
  });

  for (const [id, what, wires] of WIRES) {
    for (const { of, copy, tries } of byCodec(wires)) {
      it(`${id} ${what}: ${of.name}${copy === undefined ? '' : ` with copy: ${String(copy)}`}`, () => {
        for (const { wire, frames, options, ...rest } of tries) {
          const codec = of.make({ ...options, ...(copy !== undefined && { copy }) });
          const expected = { ...rest, frames: frames.map((frame) => of.frame(frame)) };
          expectOutcome(codec, typeof wire === 'string' ? latin1(wire) : wire, expected);
        }
      });
    }
  }

  for (const [id, what, deed] of DEEDS) it(`${id} ${what}`, deed);
});

interface Tries {
  readonly of: Kind;
  readonly copy: boolean | undefined;
  readonly tries: readonly Omit<Wire, 'of'>[];
}

/** The wires of each codec, with and without `copy` where it has that. */
function byCodec(wires: readonly Wire[]): Tries[] {
  const kinds = [...new Set(wires.map(({ of }) => of))];
  return kinds.flatMap((kind) => {
    const tries = wires.flatMap(({ of, ...rest }) => (of === kind ? [rest] : []));
    return (kind.copies ? [true, false] : [undefined]).map((copy) => ({ of: kind, copy, tries }));
  });
}
