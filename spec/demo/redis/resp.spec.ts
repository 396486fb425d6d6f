import { expect } from 'chai';
import { resp, type RespConfig } from '../../../demo/redis/resp.js';
import { Push, RedisError, type Reply } from '../../../demo/redis/reply.js';
import type { Message } from '../../../demo/redis/command.js';
import { FrameError, type FrameErrorKind } from '../../../lib/index.js';
import { workOf } from '../../codec/work.js';
import { chunkings, cut } from '../../support/chunkings.js';
import { seededRandom } from '../../support/random.js';

interface Case {
  readonly title: string;
  readonly wire: string | Buffer;
  readonly replies?: readonly unknown[];
  readonly error?: FrameErrorKind;
  readonly config?: RespConfig;
}

/** All that comes of the chunks, up to the end of the stream or the first error. */
function outcomeOf(chunks: readonly Buffer[], config?: RespConfig, pileUp = false): Pick<Case, 'replies' | 'error'> {
  const replies: Reply[] = [];
  const decoder = resp(config).decoder(() => expect.fail('nothing is skipped'));
  const drain = (): void => {
    for (let reply = decoder.next(); reply !== undefined; reply = decoder.next()) replies.push(reply);
  };
  try {
    for (const chunk of chunks) {
      decoder.push(chunk);
      if (!pileUp) drain();
      decoder.detach?.();
      chunk.fill(0x21); // what was lent is written over
    }
    drain();
    decoder.end();
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    return { replies: replies.map(plain), error: error.kind };
  }
  return { replies: replies.map(plain), error: undefined };
}

/** Errors and pushes as what is in them, which `eql` compares. */
function plain(reply: unknown): unknown {
  if (reply instanceof RedisError) return { error: reply.message, code: reply.code };
  if (reply instanceof Push) return { push: reply.push.map(plain) };
  return Array.isArray(reply) ? reply.map(plain) : reply;
}

function expectOutcome({ wire, replies = [], error, config }: Omit<Case, 'title'>): void {
  for (const { name, chunks } of chunkings(Buffer.from(wire))) {
    for (const pileUp of [false, true]) {
      const copies = chunks.map((chunk) => Buffer.from(chunk));
      expect(outcomeOf(copies, config, pileUp), `cut ${name}`).to.eql({ replies, error });
    }
  }
}

describe('the replies of resp()', () => {
  const cases: readonly Case[] = [
    { title: 'are texts for a status', wire: '+OK\r\n+\r\n+PONG\r\n+grüße\r\n', replies: ['OK', '', 'PONG', 'grüße'] },
    {
      title: 'are numbers for integers',
      wire: ':0\r\n:-7\r\n:+12\r\n:9007199254740991\r\n',
      replies: [0, -7, 12, 2 ** 53 - 1],
    },
    {
      title: 'are bigints for integers that are not exact as numbers',
      wire: ':9223372036854775807\r\n:-9007199254740993\r\n(5\r\n(-123456789012345678901234567890\r\n',
      replies: [9223372036854775807n, -9007199254740993n, 5n, -123456789012345678901234567890n],
    },
    {
      title: 'are numbers for doubles',
      wire: ',1.5\r\n,-2e3\r\n,inf\r\n,-inf\r\n,nan\r\n',
      replies: [1.5, -2000, Infinity, -Infinity, NaN],
    },
    { title: 'are booleans', wire: '#t\r\n#f\r\n', replies: [true, false] },
    { title: 'are null, in each of its forms', wire: '_\r\n$-1\r\n*-1\r\n', replies: [null, null, null] },
    {
      title: 'are errors, with their first word as code',
      wire: '-ERR no\r\n!9\r\nBAD\r\nthis\r\n-LOADING\r\n',
      replies: [
        { error: 'ERR no', code: 'ERR' },
        { error: 'BAD\r\nthis', code: 'BAD' },
        { error: 'LOADING', code: 'LOADING' },
      ],
    },
    {
      title: 'are texts for bulks',
      wire: '$5\r\nhello\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n$7\r\ngrüße\r\n$2\r\n-1\r\n',
      replies: ['hello', '', '\r\n\r\n', 'grüße', '-1'],
    },
    {
      title: 'are Buffers for bulks if one wants',
      wire: Buffer.from('$3\r\na\0\xff\r\n+OK\r\n$-1\r\n', 'latin1'),
      config: { strings: false },
      replies: [Buffer.from('a\0\xff', 'latin1'), 'OK', null],
    },
    {
      title: 'leave out how a verbatim text is marked up',
      wire: '=15\r\ntxt:Some string\r\n',
      replies: ['Some string'],
    },
    {
      title: 'are arrays, also empty ones and in each other',
      wire: '*0\r\n*3\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n_\r\n:2\r\n',
      replies: [[], ['a', [1, []], null], 2],
    },
    {
      title: 'are Maps, in which no key is special',
      wire: '%2\r\n+__proto__\r\n:1\r\n:2\r\n%0\r\n',
      replies: [
        new Map<unknown, unknown>([
          ['__proto__', 1],
          [2, new Map()],
        ]),
      ],
    },
    { title: 'are Sets', wire: '~3\r\n+a\r\n+b\r\n+a\r\n~0\r\n', replies: [new Set(['a', 'b']), new Set()] },
    {
      title: 'are pushes',
      wire: '>3\r\n+message\r\n+news\r\n$2\r\nhi\r\n:1\r\n',
      replies: [{ push: ['message', 'news', 'hi'] }, 1],
    },
    {
      title: 'come without their attributes',
      wire: '|1\r\n+ttl\r\n*1\r\n:3600\r\n:1\r\n|0\r\n*2\r\n|1\r\n+a\r\n|0\r\n_\r\n:2\r\n:3\r\n|1\r\n+a\r\n+b\r\n*0\r\n',
      replies: [1, [2, 3], []],
    },
    {
      title: 'have errors among them',
      wire: '*2\r\n-ERR no\r\n:1\r\n',
      replies: [[{ error: 'ERR no', code: 'ERR' }, 1]],
    },

    {
      title: 'end with an error at a streamed text',
      wire: '+OK\r\n$?\r\n;4\r\nHell\r\n',
      replies: ['OK'],
      error: 'corrupt',
    },
    { title: 'end with an error at a streamed array', wire: '*?\r\n:1\r\n.\r\n', error: 'corrupt' },
    { title: 'end with an error at a negative length', wire: '$-2\r\n', error: 'corrupt' },
    { title: 'end with an error at a negative count', wire: ':1\r\n*-2\r\n', replies: [1], error: 'corrupt' },
    ...[
      '$',
      '*',
      '$1.5',
      '*1e1',
      '$0x1',
      '$ 1',
      '*+1',
      ':',
      ':1.5',
      ':x',
      '(',
      '(1n',
      '#',
      '#x',
      '$--1',
      '%',
      '~NaN',
      '>Infinity',
    ].map((line): Case => ({
      title: `end with an error at ${line}`,
      wire: `+OK\r\n${line}\r\n`,
      replies: ['OK'],
      error: 'corrupt',
    })),
    { title: 'end with an error at a type that is none', wire: 'HTTP/1.1 400 Bad Request\r\n', error: 'corrupt' },
    { title: 'end with an error at an empty line', wire: '\r\n', error: 'corrupt' },
    { title: 'end with an error at a line without its CR', wire: '+OK\n', error: 'corrupt' },
    { title: 'end with an error at a length without its CR', wire: '$55\n12345\r\n', error: 'corrupt' },
    { title: 'end with an error at a bulk that is longer than it says', wire: '$5\r\nhello!\r\n', error: 'corrupt' },
    { title: 'end with an error at a bulk without its CR', wire: '$5\r\nhello\n\r\n', error: 'corrupt' },
    { title: 'end with an error at a bulk with another byte for its CR', wire: '$5\r\nhellox\n', error: 'corrupt' },
    { title: 'end with an error at a bulk with another byte for its LF', wire: '$5\r\nhello\rx', error: 'corrupt' },
    { title: 'end with an error at a length of 2^53', wire: '$9007199254740992\r\n', error: 'too-large' },
    { title: 'end with an error at a length of 400 digits', wire: `$${'9'.repeat(400)}\r\n`, error: 'too-large' },
    { title: 'end with an error at a count of 10^9', wire: '*1000000000\r\n', error: 'too-large' },
    { title: 'end with an error at a map of 10^9', wire: '%1000000000\r\n', error: 'too-large' },
    { title: 'take the longest bulk', wire: '$5\r\nhello\r\n', config: { maxFrameLength: 11 }, replies: ['hello'] },
    {
      title: 'refuse a bulk one byte longer before it comes',
      wire: '$6\r\n',
      config: { maxFrameLength: 11 },
      error: 'too-large',
    },
    {
      title: 'count all that is in a reply',
      wire: '+OK\r\n*2\r\n$5\r\nhello\r\n$5\r\nhello\r\n',
      config: { maxFrameLength: 25 },
      replies: ['OK'],
      error: 'too-large',
    },
    {
      title: 'count attributes without end',
      wire: '|0\r\n'.repeat(10),
      config: { maxFrameLength: 39 },
      error: 'too-large',
    },
    { title: 'end with an error at a line without an end', wire: `+${'x'.repeat(8192)}`, error: 'too-large' },
    { title: 'are truncated inside a line', wire: '+OK\r\n+O', replies: ['OK'], error: 'truncated' },
    { title: 'are truncated inside a bulk', wire: '$5\r\nhell', error: 'truncated' },
    { title: 'are truncated inside an array', wire: '*2\r\n:1\r\n', error: 'truncated' },
    { title: 'are truncated after an attribute', wire: '|1\r\n+a\r\n+b\r\n', error: 'truncated' },
  ];
  for (const { title, ...rest } of cases) it(title, () => expectOutcome(rest));

  it('end with an error at a nesting of 100,000, and not with a stack overflow', () => {
    for (const opens of ['*1\r\n', '%1\r\n:1\r\n', '|1\r\n']) {
      expect(outcomeOf([Buffer.from(opens.repeat(100_000))])).to.eql({ replies: [], error: 'too-large' });
    }
    const deep = `${'*1\r\n'.repeat(128)}:1\r\n`;
    expect(outcomeOf([Buffer.from(deep)]).error).to.equal(undefined);
  });

  it('have the length of what is sent, however it is cut at random', () => {
    const random = seededRandom(7);
    const values = Array.from({ length: 500 }, () => 'äx'.repeat(random.int(0, 400)).slice(0, random.int(0, 500)));
    const wire = Buffer.from(values.map((value) => `$${Buffer.byteLength(value)}\r\n${value}\r\n`).join(''));
    const offsets = [...new Set(Array.from({ length: 300 }, () => random.int(1, wire.length - 1)))].sort(
      (a, b) => a - b,
    );
    expect(outcomeOf(cut(wire, offsets))).to.eql({ replies: values, error: undefined });
  });

  describe('cost', () => {
    const SIZE = 200_000;
    const big = Buffer.from(`$${SIZE}\r\n${'x'.repeat(SIZE)}\r\n`);

    it('no memory for what is announced and does not come', () => {
      const decoder = resp().decoder(() => undefined);
      const { allocated } = workOf(() => {
        for (const announced of ['*20000000\r\n', '$60000000\r\n']) {
          decoder.push(Buffer.from(announced));
          expect(decoder.next()).to.equal(undefined);
          decoder.detach?.();
        }
      });
      expect(allocated).to.be.below(1000);
    });

    for (const size of [1, 1000, 65_536]) {
      it(`a few copies of a bulk of 200 kB that comes in chunks of ${size} B`, () => {
        const decoder = resp().decoder(() => undefined);
        let reply: Reply | undefined;
        const { copied, allocated } = workOf(() => {
          for (let at = 0; at < big.length; at += size) {
            decoder.push(big.subarray(at, at + size));
            reply = decoder.next();
            decoder.detach?.();
          }
        });
        expect(reply).to.have.lengthOf(SIZE);
        expect(copied).to.be.within(SIZE, 4 * SIZE);
        expect(allocated).to.be.below(8 * SIZE);
      });
    }

    it('a look at each byte when a long array comes byte by byte', () => {
      const wire = Buffer.from(`*10000\r\n${':12345\r\n'.repeat(10_000)}`);
      const { scanned, copied } = workOf(() => {
        expect(
          outcomeOf(
            cut(
              wire,
              Array.from({ length: wire.length - 1 }, (_, i) => i + 1),
            ),
          ).replies,
        ).to.have.lengthOf(1);
      });
      expect(scanned).to.be.within(wire.length, 10 * wire.length);
      expect(copied).to.be.below(20 * wire.length);
    });
  });
});

describe('the commands of resp()', () => {
  const wireOf = (message: Message): string => Buffer.from(resp().encode(message)).toString('latin1');

  it('are arrays of bulks, whose lengths are bytes', () => {
    expect(wireOf(['SET', 'k', 'grüße', 1, -0.5, 10n ** 20n])).to.equal(
      Buffer.from(
        '*6\r\n$3\r\nSET\r\n$1\r\nk\r\n$7\r\ngrüße\r\n$1\r\n1\r\n$4\r\n-0.5\r\n$21\r\n100000000000000000000\r\n',
      ).toString('latin1'),
    );
    expect(wireOf(['SET', '', '€'.repeat(300)])).to.equal(
      Buffer.from(`*3\r\n$3\r\nSET\r\n$0\r\n\r\n$900\r\n${'€'.repeat(300)}\r\n`).toString('latin1'),
    );
  });

  it('take bytes as they are', () => {
    const value = Buffer.from('\0\xff\r\n', 'latin1');
    expect(wireOf(['SET', 'ü', value])).to.equal('*3\r\n$3\r\nSET\r\n$2\r\n\xc3\xbc\r\n$4\r\n\0\xff\r\n\r\n');
    expect(wireOf(['SET', new Uint8Array([65]), value, 'x'])).to.equal(
      '*4\r\n$3\r\nSET\r\n$1\r\nA\r\n$4\r\n\0\xff\r\n\r\n$1\r\nx\r\n',
    );
  });

  it('are several in one message if they stay together', () => {
    const text = '*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nEXEC\r\n';
    expect(wireOf([['MULTI'], ['INCR', 'n'], ['EXEC']])).to.equal(text);
    expect(wireOf([['MULTI'], ['INCR', Buffer.from('n')], ['EXEC']])).to.equal(text);
  });

  it('are written into memory that is given, if they are text', () => {
    expect(resp()).to.have.nested.property('encode.into');
  });

  const bad: readonly [string, unknown][] = [
    ['no words', []],
    ['no words in one of several', [['MULTI'], []]],
    ['undefined', ['GET', undefined]],
    ['null', ['GET', null]],
    ['NaN', ['SET', 'k', NaN]],
    ['Infinity', ['SET', 'k', Infinity]],
    ['an object', ['SET', 'k', { a: 1 }]],
    ['a list', ['MGET', ['a', 'b']]],
    ['a boolean', ['SET', 'k', true]],
    ['a lone surrogate', ['SET', 'k', '\ud800']],
    ['a lone surrogate beside bytes', ['SET', Buffer.from('k'), '\ud800']],
    ['a text in place of a list', 'GET'],
  ];
  for (const [what, message] of bad) {
    it(`are refused with ${what}`, () => {
      expect(() => wireOf(message as Message))
        .to.throw(FrameError)
        .with.property('kind', 'encode');
    });
  }
});
