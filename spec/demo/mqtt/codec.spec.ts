import { expect } from 'chai';
import fc from 'fast-check';
import { mqttCodec } from '../../../demo/mqtt/codec.js';
import * as packets from '../../../demo/mqtt/packets.js';
import type { Packet } from '../../../demo/mqtt/parse.js';
import { FrameError, type FrameErrorKind } from '../../../lib/errors.js';
import { expectOutcome, outcomeOf } from '../../codec/outcome.js';
import { chunkedWires } from '../../codec/wires.js';
import { workOf } from '../../codec/work.js';
import { cut } from '../../support/chunkings.js';
import { holds } from '../../support/property.js';

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const message = { topic: 'a/b', payload: Buffer.from('hi'), qos: 0, retain: false } as const;
const identity = { clientId: 'me', clean: true, keepAlive: 30 };

describe('the MQTT codec', () => {
  describe('decodes', () => {
    const published = { type: 'publish', ...message, id: 0, dup: false } as const;
    const cases: readonly [title: string, wire: string, ...frames: Packet[]][] = [
      ['CONNACK', '\x20\x02\0\0', { type: 'connack', sessionPresent: false, returnCode: 0 }],
      [
        'CONNACK of a session that was there',
        '\x20\x02\x01\0',
        { type: 'connack', sessionPresent: true, returnCode: 0 },
      ],
      ['a refusal', '\x20\x02\0\x05', { type: 'connack', sessionPresent: false, returnCode: 5 }],
      ['PUBLISH of QoS 0', '\x30\x07\0\x03a/bhi', published],
      ['PUBLISH of QoS 1', '\x32\x09\0\x03a/b\x12\x34hi', { ...published, qos: 1, id: 0x1234 }],
      ['PUBLISH that was kept', '\x31\x07\0\x03a/bhi', { ...published, retain: true }],
      [
        'PUBLISH that comes again',
        '\x3b\x09\0\x03a/b\0\x01hi',
        { ...published, qos: 1, id: 1, dup: true, retain: true },
      ],
      ['a payload of no bytes', '\x30\x05\0\x03a/b', { ...published, payload: Buffer.alloc(0) }],
      [
        'a topic beyond ASCII',
        '\x30\x07\0\x05\xef\xbb\xbf\xc3\xa9',
        { ...published, topic: '\ufeffé', payload: Buffer.alloc(0) },
      ],
      ['PUBACK', '\x40\x02\xff\xff', { type: 'puback', id: 65_535 }],
      ['SUBACK', '\x90\x06\0\x07\0\x01\x02\x80', { type: 'suback', id: 7, granted: [0, 1, 2, 128] }],
      ['UNSUBACK', '\xb0\x02\0\x07', { type: 'unsuback', id: 7 }],
      ['PINGRESP', '\xd0\0', { type: 'pingresp' }],
      [
        'a length in more bytes than it needs',
        '\xd0\x80\x80\0\x40\x82\0\0\x01',
        { type: 'pingresp' },
        { type: 'puback', id: 1 },
      ],
      [
        'several in one chunk',
        '\xd0\0\x30\x07\0\x03a/bhi\x40\x02\0\x01',
        { type: 'pingresp' },
        published,
        { type: 'puback', id: 1 },
      ],
    ];
    for (const [title, wire, ...frames] of cases) {
      it(title, () => expectOutcome(mqttCodec(), latin1(wire), { frames }));
    }

    for (const length of [127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
      it(`a body of ${length} bytes`, () => {
        const payload = Buffer.alloc(length - 5, 'x');
        const wire = packets.publish({ ...message, payload });
        const chunks = cut(wire, [1, 2, 3, 4, 5, 6, 70, wire.length - 1]);
        expect(outcomeOf(mqttCodec(), chunks)).to.eql({
          frames: [{ ...published, payload }],
          reported: [],
          error: undefined,
        });
      });
    }
  });

  describe('refuses', () => {
    const cases: readonly [title: string, wire: string, error?: FrameErrorKind][] = [
      ['a length of five bytes', '\x30\x80\x80\x80\x80\x01'],
      ['it at its fourth byte', '\x30\xff\xff\xff\xff'],
      ['a length above the limit, before any of its body', '\x30\x81\x80\x40', 'too-large'],
      ['the longest length there is', '\x30\xff\xff\xff\x7f', 'too-large'],
      ['a topic that is longer than its packet', '\x30\x04\0\x03a/'],
      ['a topic without its length', '\x30\x01\0'],
      ['PUBLISH without a body', '\x30\0'],
      ['QoS 1 without an id', '\x32\x06\0\x03a/b\x01'],
      ['QoS 1 with an id of 0', '\x32\x07\0\x03a/b\0\0'],
      ['QoS 2, which nobody asked for', '\x34\x07\0\x03a/b\0\x01'],
      ['QoS 3', '\x36\x07\0\x03a/b\0\x01'],
      ['QoS 0 that comes again', '\x38\x05\0\x03a/b'],
      ['a topic of no characters', '\x30\x02\0\0'],
      ['a topic with a NUL', '\x30\x05\0\x03a\0b'],
      ['a topic with a +', '\x30\x05\0\x03a/+'],
      ['a topic with a #', '\x30\x03\0\x01#'],
      ['a topic that is not UTF-8', '\x30\x04\0\x02\xc3\x28'],
      ['a topic with a surrogate in UTF-8', '\x30\x05\0\x03\xed\xa0\x80'],
      ['CONNACK that is too short', '\x20\x01\0'],
      ['CONNACK that is too long', '\x20\x03\0\0\0'],
      ['CONNACK with a flag', '\x21\x02\0\0'],
      ['PUBACK with an id of 0', '\x40\x02\0\0'],
      ['PUBACK that is too short', '\x40\x01\x01'],
      ['PUBACK with a flag', '\x42\x02\0\x01'],
      ['SUBACK without an answer', '\x90\x02\0\x01'],
      ['SUBACK without an id', '\x90\0'],
      ['SUBACK with an id of 0', '\x90\x03\0\0\x01'],
      ['SUBACK with an answer that is none', '\x90\x03\0\x01\x03'],
      ['UNSUBACK that is too long', '\xb0\x03\0\x01\x01'],
      ['PINGRESP with a body', '\xd0\x01\0'],
      ['a packet of the type 0', '\0\0'],
      ['a packet of the type 15', '\xf0\0'],
      ['what a client writes', '\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0'],
      ['the text of an HTTP answer', 'HTTP/1.1 400'],
    ];
    for (const [title, wire, error = 'corrupt'] of cases) {
      it(title, () => {
        const before = { type: 'puback', id: 5 };
        expectOutcome(mqttCodec(1_048_576), latin1(`\x40\x02\0\x05${wire}\xd0\0`), { frames: [before], error });
      });
    }

    it('an end inside a packet', () => {
      for (const wire of ['\x30', '\x30\x80', '\x30\x07', '\x30\x07\0\x03a/bh']) {
        expectOutcome(mqttCodec(), latin1(`\xd0\0${wire}`), { frames: [{ type: 'pingresp' }], error: 'truncated' });
      }
    });

    it('a body of one byte more than it was told, and not the longest', () => {
      const wire = latin1('\x30\x07\0\x03a/bhi');
      expect(outcomeOf(mqttCodec(7), [wire]).frames).to.have.lengthOf(1);
      expectOutcome(mqttCodec(6), wire, { frames: [], error: 'too-large' });
    });

    it('without showing what the broker wrote', () => {
      for (const [, wire] of cases) {
        const decoder = mqttCodec(1_048_576).decoder(() => undefined);
        decoder.push(latin1(wire));
        expect(() => decoder.next())
          .to.throw(FrameError)
          .with.property('detail')
          .that.matches(/^[\w ,]+$/);
      }
    });
  });

  const meaningful = [0x20, 0x30, 0x32, 0x40, 0x90, 0xb0, 0xd0, 0, 0, 1, 2, 3, 5, 0x61, 0x80];

  holds(
    'agrees with a reference on any bytes, whatever the limit, however cut and driven',
    3_000,
    fc.tuple(fc.constantFrom(1_000, 5, 3), chunkedWires(meaningful)),
    ([longest, { wire, offsets, takes }]) => {
      expect(outcomeOf(mqttCodec(longest), cut(wire, offsets), takes)).to.eql(reference(wire, longest));
    },
  );

  holds(
    'decodes every message that it encodes, however cut',
    300,
    fc.record({
      topic: fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).map((text) => text.replace(/[+#\0]/g, '-')),
      payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      qos: fc.constantFrom(0, 1),
      retain: fc.boolean(),
      dup: fc.boolean(),
      id: fc.integer({ min: 1, max: 65_535 }),
      at: fc.nat(300),
    }),
    ({ at, dup, id, ...sent }) => {
      const numbered = sent.qos === 0 ? { id: 0, dup: false } : { id, dup };
      const wire = packets.publish(sent, id, numbered.dup);
      const frames = [{ type: 'publish', ...sent, ...numbered }];
      expect(outcomeOf(mqttCodec(), cut(wire, at > 0 && at < wire.length ? [at] : []))).to.eql({
        ...{ frames, reported: [], error: undefined },
      });
    },
  );

  it('writes over no payload that it has handed out', () => {
    const decoder = mqttCodec().decoder(() => undefined);
    const kept: Packet[] = [];
    for (let i = 0; i < 500; i++) {
      const wire = packets.publish({ ...message, payload: Buffer.alloc(i, i) });
      for (const chunk of cut(wire, [4])) decoder.push(chunk);
      const packet = decoder.next();
      if (packet !== undefined) kept.push(packet);
    }
    expect(kept).to.have.lengthOf(500);
    for (const [i, packet] of kept.entries()) expect(packet).to.have.property('payload').that.eqls(Buffer.alloc(i, i));
  });

  it('does work in proportion to the bytes when a packet drips in, and takes memory for no more than came', () => {
    const wire = packets.publish({ ...message, payload: Buffer.alloc(300_000) });
    const decoder = mqttCodec().decoder(() => undefined);
    let frames = 0;
    const drip = (from: number, to: number) =>
      workOf(() => {
        for (let at = from; at < to; at++) {
          decoder.push(wire.subarray(at, at + 1));
          if (decoder.next() !== undefined) frames++;
        }
      });
    expect(drip(0, 100).allocated).to.be.within(100, 1_000);
    const { copied, allocated } = drip(100, wire.length);
    expect(frames).to.equal(1);
    expect(copied).to.be.within(wire.length - 100, 4 * wire.length);
    expect(allocated).to.be.within(wire.length, 6 * wire.length);
  });

  /** The rules once more, by a regular expression and from the end of the body. */
  function reference(wire: Buffer, longest: number): ReturnType<typeof outcomeOf> {
    const frames: Packet[] = [];
    const ended = (error?: FrameErrorKind) => ({ frames, reported: [], error });
    for (let rest = wire; rest.length > 0;) {
      const text = rest.toString('latin1');
      if (!/^[\x20\x30-\x33\x3a\x3b\x40\x90\xb0\xd0]/.test(text)) return ended('corrupt');
      const [header = ''] = /^.([\x80-\xff]{0,3}[\0-\x7f])/s.exec(text) ?? [];
      if (header === '') return ended(/^.[\x80-\xff]{4}/s.test(text) ? 'corrupt' : 'truncated');
      const digits = [...latin1(header.slice(1))].reverse();
      const length = digits.reduce((sum, digit) => sum * 128 + (digit & 127), 0);
      if (length > longest) return ended('too-large');
      if (header.length + length > rest.length) return ended('truncated');
      const packet = referenceOf(rest.readUInt8(), rest.subarray(header.length, header.length + length));
      if (packet === undefined) return ended('corrupt');
      frames.push(packet);
      rest = rest.subarray(header.length + length);
    }
    return ended();
  }

  function referenceOf(first: number, body: Buffer): Packet | undefined {
    const text = body.toString('latin1');
    const [high = 0, low = 0, ...codes] = body;
    const id = high * 256 + low;
    if (first === 0x20 && body.length === 2) return { type: 'connack', sessionPresent: high === 1, returnCode: low };
    if (first === 0xd0 && body.length === 0) return { type: 'pingresp' };
    if (first === 0x40 && body.length === 2 && id > 0) return { type: 'puback', id };
    if (first === 0xb0 && body.length === 2 && id > 0) return { type: 'unsuback', id };
    const areAnswers = codes.length > 0 && codes.every((code) => [0, 1, 2, 128].includes(code));
    if (first === 0x90 && id > 0 && areAnswers) return { type: 'suback', id, granted: codes };
    if (first >> 4 !== 3 || body.length < 2 + id) return undefined;
    const name = text.slice(2, 2 + id);
    const topic = latin1(name).toString();
    if (!/^[^\0+#]+$/.test(name) || !Buffer.from(topic).equals(latin1(name))) return undefined;
    const [retain, dup] = [first % 2 === 1, first >= 0x38];
    if ((first & 2) === 0)
      return { type: 'publish', topic, payload: body.subarray(2 + id), qos: 0, id: 0, dup, retain };
    const numbers = body.subarray(2 + id);
    const number = numbers.length < 2 ? 0 : numbers.readUInt16BE();
    if (number === 0) return undefined;
    return { type: 'publish', topic, payload: numbers.subarray(2), qos: 1, id: number, dup, retain };
  }
});

describe('the MQTT packets of a client', () => {
  it('are as the protocol has them', () => {
    const named = { ...identity, username: 'ann', password: 'secret' };
    const wires: readonly [Buffer, string][] = [
      [packets.connect(identity), '\x10\x0e\0\x04MQTT\x04\x02\0\x1e\0\x02me'],
      [packets.connect({ ...identity, clean: false, keepAlive: 65_535 }), '\x10\x0e\0\x04MQTT\x04\0\xff\xff\0\x02me'],
      [packets.connect(named), '\x10\x1b\0\x04MQTT\x04\xc2\0\x1e\0\x02me\0\x03ann\0\x06secret'],
      [packets.publish(message), '\x30\x07\0\x03a/bhi'],
      [packets.publish({ ...message, qos: 1, retain: true }, 0x1234, true), '\x3b\x09\0\x03a/b\x12\x34hi'],
      [packets.publish({ ...message, topic: 'é' }), '\x30\x06\0\x02\xc3\xa9hi'],
      [packets.puback(0xabcd), '\x40\x02\xab\xcd'],
      [packets.subscribe(7, ['a/+', '#']), '\x82\x0c\0\x07\0\x03a/+\x01\0\x01#\x01'],
      [packets.unsubscribe(7, 'a/#'), '\xa2\x07\0\x07\0\x03a/#'],
      [packets.PINGREQ, '\xc0\0'],
      [packets.DISCONNECT, '\xe0\0'],
    ];
    for (const [packet, wire] of wires) expect(packet).to.eql(latin1(wire));
  });

  it('have a length of one to four bytes', () => {
    const headerOf = (length: number) =>
      packets.publish({ ...message, payload: Buffer.alloc(length - 5) }).subarray(0, -length);
    const headers = [5, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152].map((length) =>
      headerOf(length).toString('hex'),
    );
    expect(headers).to.eql(['3005', '307f', '308001', '30ff7f', '30808001', '30ffff7f', '3080808001']);
  });

  it('are refused if the protocol cannot say them', () => {
    const topics = ['', 'a+', '#', 'a\0b', '\ud800', 'x'.repeat(65_536)];
    const filters = ['', 'a+', '+a', 'a/#/b', 'a#', '##', 'a\0', '\udc00', 'x'.repeat(65_536)];
    const calls = [
      ...topics.map((topic) => () => packets.publish({ ...message, topic })),
      ...filters.flatMap((filter) => [() => packets.subscribe(1, [filter]), () => packets.unsubscribe(1, filter)]),
      () => packets.connect({ ...identity, clientId: 'x\0' }),
      () => packets.connect({ ...identity, username: 'x'.repeat(65_536) }),
    ];
    for (const call of calls) expect(call, call.toString()).to.throw(FrameError).with.property('kind', 'encode');
    expect(() => packets.connect({ ...identity, keepAlive: 65_536 })).to.throw(RangeError, 'keepAlive');
    expect(() => packets.publish({ ...message, payload: Buffer.alloc(128 ** 4) })).to.throw(FrameError, 'too-large');
  });
});
