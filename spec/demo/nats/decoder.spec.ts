import { expect } from 'chai';
import fc from 'fast-check';
import type { NatsHeaders, NatsMessage } from '../../../demo/nats/protocol.js';
import { FrameError } from '../../../lib/index.js';
import { drivers, expectOutcome, outcomeOf, type Expected } from '../../codec/outcome.js';
import { chunkedWires } from '../../codec/wires.js';
import { workOf } from '../../codec/work.js';
import { cut } from '../../support/chunkings.js';
import { holds } from '../../support/property.js';
import { natsCodec, relayed } from './codec.js';

const KIB = 1024;
/** The longest line and the longest block of headers, in bytes. */
const LONGEST = 64 * KIB;

const msg = (payload: string, more: Partial<NatsMessage> = {}) => ({
  ...{ op: 'MSG', subject: 'a', sid: '1', reply: undefined },
  ...{ headers: [], payload: Buffer.from(payload, 'latin1'), ...more },
});

/** A block of headers with what makes a message of it. */
const hmsg = (block: string, payload = ''): string =>
  `HMSG a 1 ${block.length} ${block.length + payload.length}\r\n${block}${payload}\r\n`;

const withHeaders = (headers: NatsHeaders, payload = '', status?: number) => msg(payload, { headers, status });

describe('the decoder of the NATS client', () => {
  interface Case extends Expected {
    readonly title: string;
    /** Text stands for its bytes in Latin-1. */
    readonly wire: string;
    readonly max?: number;
  }

  const cases: readonly Case[] = [
    {
      title: 'gives each line with what stands behind its first word',
      wire: `INFO {"port":4222} \r\nPING\r\nPONG\r\n+OK\r\n-ERR 'Slow Consumer'\r\n`,
      frames: [
        { op: 'INFO', text: '{"port":4222} ' },
        { op: 'PING', text: '' },
        { op: 'PONG', text: '' },
        { op: '+OK', text: '' },
        { op: '-ERR', text: "'Slow Consumer'" },
      ],
    },
    {
      title: 'gives messages, with and without a subject for the answer',
      wire: 'MSG a 1 2\r\nhi\r\nMSG b.c 22 inbox.7 0\r\n\r\n',
      frames: [msg('hi'), msg('', { subject: 'b.c', sid: '22', reply: 'inbox.7' })],
    },
    {
      title: 'takes a number for the subject of an answer',
      wire: 'MSG a 1 3 2\r\nhi\r\n',
      frames: [msg('hi', { reply: '3' })],
    },
    ...['\r\n', '\r\n\r\n', '\n', '\r', 'a\r\nb', '\nab\r', '\r\nPING\r\n', '\r\r\n\n', '\0\xff'].map((payload) => ({
      title: `takes ${JSON.stringify(payload)} in a payload for data`,
      wire: `MSG a 1 ${payload.length}\r\n${payload}\r\nPONG\r\n`,
      frames: [msg(payload), { op: 'PONG', text: '' }],
    })),
    {
      title: 'gives headers in their order, repeated ones too, without the spaces around a value',
      wire: hmsg('NATS/1.0\r\nA: 1\r\nb:x:y\r\nA:\t2 \r\nC:\r\n\r\n', 'hi'),
      frames: [withHeaders([['A', '1'], ['b', 'x:y'], ['A', '2'], ['C', '']], 'hi')], // prettier-ignore
    },
    {
      title: 'gives the status of what the server itself says',
      wire: hmsg('NATS/1.0 503\r\n\r\n') + hmsg('NATS/1.0 100 Idle Heartbeat\r\nA: b\r\n\r\n'),
      frames: [withHeaders([], '', 503), withHeaders([['A', 'b']], '', 100)],
    },
    {
      title: 'takes headers as part of the length',
      wire: hmsg('NATS/1.0\r\n\r\n', 'abc'),
      max: 15,
      frames: [withHeaders([], 'abc')],
    },
    {
      title: 'keeps names apart that objects have of their own',
      wire: hmsg('NATS/1.0\r\n__proto__: x\r\n\r\n'),
      frames: [withHeaders([['__proto__', 'x']])],
    },
    ...['a\0b', '\x01', 'a\rb', 'a\nb', '__proto__', '>', 'a..b'].map((subject) => ({
      title: `takes the subject ${JSON.stringify(subject)}, which a server passes on`,
      wire: `MSG ${subject} 1 2\r\nhi\r\n`,
      frames: [msg('hi', { subject })],
    })),
    {
      title: 'gives a subject that is no UTF-8 with the sign for that',
      wire: 'MSG a\xff 1 2\r\nhi\r\n',
      frames: [msg('hi', { subject: 'a\ufffd' })],
    },
    { title: 'has no frame in an empty stream', wire: '', frames: [] },
    { title: 'accepts the longest message', wire: 'MSG a 1 3\r\nabc\r\n', max: 3, frames: [msg('abc')] },
    { title: 'refuses one byte more at its first line', wire: 'MSG a 1 4\r\n', max: 3, frames: [], error: 'too-large' },
    ...['4294967295', '9007199254740993', '9'.repeat(400)].map((digits) => ({
      title: `does not round or wrap a length of ${digits.slice(0, 20)} into range`,
      wire: `PING\r\nMSG a 1 ${digits}\r\n`,
      frames: [{ op: 'PING', text: '' }],
      error: 'too-large' as const,
    })),
    ...['-1', 'NaN', '', '+2', '0x2', '2e0', '2.0', ' 2', '2 ', '\x002', '2\0', '２', '²', 'Infinity'].flatMap(
      (length) => [
        {
          title: `refuses a length of ${JSON.stringify(length)}`,
          wire: `MSG a 1 ${length}\r\nhi\r\n`,
          frames: [],
          error: 'corrupt' as const,
        },
        {
          title: `refuses it as that of headers`,
          wire: `HMSG a 1 ${length} 2\r\nhi\r\n`,
          frames: [],
          error: 'corrupt' as const,
        },
      ],
    ),
    {
      title: 'refuses headers that are longer than their message',
      wire: 'HMSG a 1 3 2\r\nhi\r\n',
      frames: [],
      error: 'corrupt',
    },
    {
      title: 'refuses them for any lengths',
      wire: `HMSG a 1 ${'9'.repeat(400)} 2\r\nhi\r\n`,
      frames: [],
      error: 'corrupt',
    },
    { title: 'refuses a payload that is too long', wire: 'MSG a 1 2\r\nhi!\r\n', frames: [], error: 'corrupt' },
    { title: 'refuses a payload that is too short', wire: 'MSG a 1 4\r\nhi\r\nPING\r\n', frames: [], error: 'corrupt' },
    { title: 'refuses a payload without the CRLF', wire: 'MSG a 1 2\r\nhiPING\r\n', frames: [], error: 'corrupt' },
    { title: 'refuses a payload with half of it', wire: 'MSG a 1 2\r\nhi\nPING\r\n', frames: [], error: 'corrupt' },
    {
      title: 'refuses one that ends inside the CRLF',
      wire: 'MSG a 1 3\r\nhi\r\nPING\r\n',
      frames: [],
      error: 'corrupt',
    },
    ...[
      '',
      ' ',
      'MSG',
      'MSG a',
      'MSG a 1',
      'MSG  1 2',
      'MSG a b c d 2',
      'HMSG a 1 2',
      'HMSG a b c d 1 2',
      'msg a 1 2',
    ].map((line) => ({
      title: `refuses the line ${JSON.stringify(line)}`,
      wire: `${line}\r\n`,
      frames: [],
      error: 'corrupt' as const,
    })),
    ...['PINGS', 'PIN', '\0PING', ' PING', 'PING\0', 'INFO{}', '__proto__', 'HTTP/1.1 400 Bad Request'].map((line) => ({
      title: `refuses the line ${JSON.stringify(line)}`,
      wire: `PONG\r\n${line}\r\n`,
      frames: [{ op: 'PONG', text: '' }],
      error: 'corrupt' as const,
    })),
    {
      title: 'has an error at the end in a line',
      wire: 'PING\r\nPIN',
      frames: [{ op: 'PING', text: '' }],
      error: 'truncated',
    },
    { title: 'has an error at the end before a payload', wire: 'MSG a 1 2\r\n', frames: [], error: 'truncated' },
    { title: 'has an error at the end in a payload', wire: 'MSG a 1 4\r\nh\r\n', frames: [], error: 'truncated' },
    {
      title: 'has an error at the end in the CRLF behind it',
      wire: 'MSG a 1 2\r\nhi\r',
      frames: [],
      error: 'truncated',
    },
  ];

  for (const { title, wire, max, ...expected } of cases) {
    it(title, () => {
      const light = { splitsUpTo: 10, random: 5 }; // for long wires
      expectOutcome(natsCodec(max), Buffer.from(wire, 'latin1'), expected, wire.length > 100 ? light : {});
    });
  }

  const noHeaders = [
    'abcd',
    '\r\n\r\n',
    'NATS/1.0',
    'NATS/1.0\r\n',
    'NATS/1.0\n\n',
    'NATS/1.0\r\n\r\n\r\n',
    'NATS/1.1\r\n\r\n',
    'NATS/1.0 5\r\n\r\n',
    'NATS/1.0 5033\r\n\r\n',
    'NATS/1.0x\r\n\r\n',
    'NATS/1.0 503 a\rb\r\n\r\n',
    'NATS/1.0\r\nA\r\n\r\n',
    'NATS/1.0\r\n: b\r\n\r\n',
    'NATS/1.0\r\nA : b\r\n\r\n',
    'NATS/1.0\r\n A: b\r\n\r\n',
    'NATS/1.0\r\nA: b\r\n c\r\n\r\n',
    'NATS/1.0\r\nA: b\nC: d\r\n\r\n',
    'NATS/1.0\r\nA: b\rC: d\r\n\r\n',
    'NATS/1.0\r\nA: b\n\r\n',
    'NATS/1.0\r\nA: b\0\r\n\r\n',
    'NATS/1.0\r\nA\0: b\r\n\r\n',
    'NATS/1.0\r\nA\xe4: b\r\n\r\n',
    'NATS/1.0\r\nA: b\r\n\r\nC: d\r\n\r\n',
  ];
  for (const block of noHeaders) {
    it(`skips a message with the headers ${JSON.stringify(block)}, reports it and goes on`, () => {
      const wire = `PING\r\n${hmsg(block, 'hi')}PONG\r\n`;
      expectOutcome(natsCodec(), Buffer.from(wire, 'latin1'), {
        frames: [
          { op: 'PING', text: '' },
          { op: 'PONG', text: '' },
        ],
        reported: [{ kind: 'corrupt', after: 1 }],
      });
    });
  }

  it('skips headers above their limit, and takes those at it', () => {
    const blockOf = (length: number) => `NATS/1.0\r\nA:${'x'.repeat(length - 16)}\r\n\r\n`;
    const manyOf = (length: number) => `NATS/1.0\r\n${'a:\r\n'.repeat((length - 12) / 4)}\r\n`;
    for (const block of [blockOf(LONGEST), manyOf(LONGEST)]) {
      expect(block).to.have.lengthOf(LONGEST);
      const { frames, reported, error } = outcomeOf(natsCodec(), [Buffer.from(hmsg(block, 'hi'))]);
      expect([reported, error]).to.eql([[], undefined]);
      expect(frames).to.have.lengthOf(1);
    }
    const wire = Buffer.from(`${hmsg(blockOf(LONGEST + 1))}PONG\r\n`);
    for (const chunks of [[wire], cut(wire, [10, 40, 50_000])]) {
      expect(outcomeOf(natsCodec(), chunks)).to.eql({
        frames: [{ op: 'PONG', text: '' }],
        reported: [{ kind: 'too-large', after: 0 }],
        error: undefined,
      });
    }
  });

  it('accepts the longest line and refuses a longer one', () => {
    const infoOf = (length: number) => Buffer.from(`INFO ${'x'.repeat(length - 5)}\r\n`);
    expect(outcomeOf(natsCodec(), [infoOf(LONGEST)]).frames).to.have.lengthOf(1);
    for (const wire of [infoOf(LONGEST + 1), infoOf(3 * 1024 * KIB)]) {
      for (const chunks of [[wire], cut(wire, [10, 40_000])]) {
        expect(outcomeOf(natsCodec(), chunks)).to.include({ error: 'too-large' });
      }
    }
  });

  it('holds no line without an end for longer than a message may be', () => {
    const decoder = natsCodec(LONGEST).decoder(() => undefined);
    let held = 0;
    expect(() => {
      for (; held < 1024 * KIB; held += KIB) {
        decoder.push(Buffer.alloc(KIB, 'x'));
        decoder.next();
      }
    })
      .to.throw(FrameError)
      .with.property('kind', 'too-large');
    expect(held).to.equal(LONGEST);
  });

  const text = fc.string({ unit: fc.constantFrom(...Array.from('abc*>-_ä€')), minLength: 1, maxLength: 6 });
  const subject = fc.array(text, { minLength: 1, maxLength: 3 }).map((tokens) => tokens.join('.'));
  const name = fc.string({ unit: fc.constantFrom(...Array.from('Aa-_!~;9')), minLength: 1, maxLength: 6 });
  const value = fc
    .string({ unit: fc.constantFrom(...Array.from('ab: ;ä€"')), maxLength: 8 })
    .map((some) => some.trim());
  const byte = fc.oneof(fc.constantFrom(13, 10), fc.nat(255));
  const published = fc.record({
    subject,
    reply: fc.option(subject, { nil: undefined }),
    headers: fc.option(fc.array(fc.tuple(name, value), { maxLength: 3 }), { nil: undefined }),
    payload: fc.array(byte, { maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  });

  holds(
    'gives what was published, however cut and driven',
    300,
    fc.tuple(fc.array(published, { maxLength: 5 }), fc.array(fc.nat(300), { maxLength: 8 }), fc.array(fc.nat(2))),
    ([messages, cuts, takes]) => {
      const wire = Buffer.concat(messages.map((message) => relayed(natsCodec().encode(message))));
      const offsets = [...new Set(cuts)].filter((at) => at > 0 && at < wire.length).sort((a, b) => a - b);
      const frames = messages.map(({ headers, ...message }) => ({
        ...{ op: 'MSG', sid: '1', ...message, headers: headers ?? [] },
        ...(headers !== undefined && { status: undefined }),
      }));
      for (const driver of [takes, ...drivers]) {
        expect(outcomeOf(natsCodec(), cut(wire, offsets), driver)).to.eql({ frames, reported: [], error: undefined });
      }
    },
  );

  holds(
    'makes the same of any bytes, however cut and driven, and throws nothing but a FrameError',
    500,
    fc.tuple(
      fc.array(published, { maxLength: 3 }),
      chunkedWires([...Buffer.from('MSGHPIN 012\r\n\r\n')]),
      fc.nat(200),
      fc.nat(3),
    ),
    ([messages, { wire: noise, offsets, takes }, at, lost]) => {
      const good = Buffer.concat(messages.map((message) => relayed(natsCodec().encode(message))));
      const wire = Buffer.concat([good.subarray(0, at), noise, good.subarray(at + lost)]);
      const whole = outcomeOf(natsCodec(40), [wire]);
      for (const driver of [takes, ...drivers]) {
        const inWire = offsets.filter((offset) => offset < wire.length);
        expect(outcomeOf(natsCodec(40), cut(wire, inWire), driver)).to.eql(whole);
      }
    },
  );

  it('does twice the work for twice the bytes, if they come one by one', () => {
    const workFor = (wire: Buffer, frames: number): number => {
      const chunks = cut(wire, [...wire.keys()].slice(1));
      let given: unknown[] = [];
      const work = workOf(() => ({ frames: given } = outcomeOf(natsCodec(), chunks)));
      expect(given).to.have.lengthOf(frames);
      return wire.length + work.scanned + work.copied + work.decoded + work.allocated;
    };
    const size = 10_000;
    const wires: readonly ((size: number) => [Buffer, number])[] = [
      (length) => [Buffer.from(`MSG a 1 ${length}\r\n${'x'.repeat(length)}\r\n`), 1],
      (length) => [Buffer.from(`MSG a 1 ${length}\r\n${'\r\n'.repeat(length / 2)}\r\n`), 1],
      (length) => [Buffer.from(`INFO ${'x'.repeat(length)}\r\n`), 1],
      (length) => [Buffer.from(hmsg(`NATS/1.0\r\n${'a:\r\n'.repeat(length / 4)}\r\n`)), 1],
      (length) => [Buffer.from('MSG a 1 2\r\nhi\r\n'.repeat(length / 10)), length / 10],
    ];
    for (const wireOf of wires) {
      const one = workFor(...wireOf(size));
      expect(one).to.be.below(30 * size);
      expect(workFor(...wireOf(2 * size)) / one).to.be.below(2.3);
    }
  });

  it('gives payloads that are nobody else’s', () => {
    const chunk = Buffer.from('MSG a 1 2\r\nhi\r\n'); // the very chunk that it came in
    const decoder = natsCodec().decoder(() => undefined);
    decoder.push(chunk);
    const frame = decoder.next() as NatsMessage;
    chunk.fill('x');
    expect(String(frame.payload)).to.equal('hi');
  });

  it('shows nothing of the peer in its errors', () => {
    for (const wire of [
      's3cret\r\n',
      'MSG s3cret 1 s3cret\r\n',
      hmsg('s3cret'),
      'MSG a 1 1\r\ns3cret\r\n',
      'MSG s3cret 1 9\r\ns',
    ]) {
      const told: FrameError[] = [];
      const decoder = natsCodec().decoder((skipped) => told.push(skipped));
      decoder.push(Buffer.from(wire));
      try {
        decoder.next();
        decoder.end();
      } catch (error) {
        told.push(error as FrameError);
      }
      expect(told).to.have.lengthOf(1);
      expect(`${JSON.stringify(told)} ${String(told[0])}`).not.to.include('s3cret');
    }
  });
});
