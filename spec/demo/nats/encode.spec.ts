import { expect } from 'chai';
import { subjects } from '../../../demo/nats/encode.js';
import type { NatsHeaders, Outgoing } from '../../../demo/nats/protocol.js';
import { FrameError, type FrameErrorKind } from '../../../lib/index.js';
import { natsCodec } from './codec.js';

const written = (message: Outgoing, maxPayload?: number) => String(natsCodec(maxPayload).encode(message));

/** What begins a line of one's own, or is no text. */
const TRICKS = ['a\r\nPUB b 0\r\n', 'a\nb', 'a\rb', 'a\0b', 'a\tb', 'a\x7fb', 'a\x85b', 'a\ud800'];

function refuses(message: Outgoing, kind: FrameErrorKind = 'encode', maxPayload?: number): void {
  expect(() => written(message, maxPayload), JSON.stringify(message).slice(0, 80))
    .to.throw(FrameError)
    .with.property('kind', kind);
}

describe('what the NATS client writes', () => {
  it('is a line as it is', () => {
    expect(written('PING')).to.equal('PING\r\n');
    expect(written('SUB a.* 1')).to.equal('SUB a.* 1\r\n');
  });

  it('is a message with its length in bytes', () => {
    expect(written({ subject: 'a.b', payload: 'hi' })).to.equal('PUB a.b 2\r\nhi\r\n');
    expect(written({ subject: 'a', payload: '€' })).to.equal('PUB a 3\r\n€\r\n');
    expect(written({ subject: 'ä', payload: '' })).to.equal('PUB ä 0\r\n\r\n');
    expect(written({ subject: 'a', reply: 'b', payload: Buffer.of(13, 10) })).to.equal('PUB a b 2\r\n\r\n\r\n');
    expect(written({ subject: 'a', payload: new Uint8Array(2).fill(65) })).to.equal('PUB a 2\r\nAA\r\n');
  });

  it('is a message with headers and the length of both', () => {
    const headers: NatsHeaders = [['A', '1'], ['b', 'x: y'], ['A', '']]; // prettier-ignore
    const block = 'NATS/1.0\r\nA: 1\r\nb: x: y\r\nA: \r\n\r\n';
    const first = `HPUB a r ${block.length} ${block.length + 2}\r\n`;
    expect(written({ subject: 'a', reply: 'r', headers, payload: 'hi' })).to.equal(`${first}${block}hi\r\n`);
    expect(written({ subject: 'a', headers: [], payload: '' })).to.equal('HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n');
  });

  it('copies the payload, which may change afterwards', () => {
    const payload = Buffer.from('hi');
    const bytes = natsCodec().encode({ subject: 'a', payload });
    payload.fill('x');
    expect(String(bytes)).to.equal('PUB a 2\r\nhi\r\n');
  });

  it('has no subject that would begin a line of its own, or is none', () => {
    for (const subject of [
      '',
      '.',
      'a.',
      '.a',
      'a..b',
      'a b',
      ' a',
      'a\u00a0b',
      ...TRICKS,
      ...TRICKS.map((trick) => `x.${trick}`),
    ]) {
      refuses({ subject, payload: '' });
      refuses({ subject: 'a', reply: subject, payload: '' });
      expect(() => subjects(subject), JSON.stringify(subject)).to.throw(FrameError);
      expect(() => subjects('a', subject), JSON.stringify(subject)).to.throw(FrameError);
    }
    expect(subjects('a.*.>', undefined)).to.equal('a.*.>');
    expect(subjects('a', 'b')).to.equal('a b');
  });

  it('has no header that would be two, or is none', () => {
    for (const name of ['', 'a b', 'a:', 'ä', ...TRICKS]) refuses({ subject: 'a', headers: [[name, '']], payload: '' });
    for (const value of TRICKS) refuses({ subject: 'a', headers: [['A', value]], payload: '' });
    refuses({ subject: 'a', headers: [['A', '1'], ['B', 'x\r\n\r\n']], payload: '' }); // prettier-ignore
  });

  it('has no line break in a line, and no text that is none', () => {
    refuses('PING\r\nPING');
    refuses('PING \ud800');
    refuses({ subject: 'a', payload: '\ud800' });
    for (const payload of [null, undefined, 1, {}]) refuses({ subject: 'a', payload } as never);
  });

  it('is not longer than the server takes', () => {
    refuses({ subject: 'a', payload: 'abcd' }, 'too-large', 3);
    refuses({ subject: 'a', headers: [], payload: 'abc' }, 'too-large', 14);
    expect(written({ subject: 'a', headers: [], payload: 'abc' }, 15)).to.include('abc');
    expect(written({ subject: 'a', payload: 'abc' }, 3)).to.include('abc');
    const longest = 'a'.repeat(4_096 - 'PUB  0'.length);
    expect(written({ subject: longest, payload: '' })).to.have.lengthOf(4_100);
    refuses({ subject: `${longest}a`, payload: '' }, 'too-large');
    refuses(`SUB ${'a'.repeat(4_091)} 1`, 'too-large');
  });
});
