import { expect } from 'chai';
import { type TextEncodingName, textEncoding } from '../../lib/codec/text-encoding.js';
import { seededRandom } from '../support/random.js';

describe('textEncoding', () => {
  const names: TextEncodingName[] = ['utf8', 'latin1', 'ascii'];
  const read = (name: TextEncodingName, bytes: Buffer, fatal = false) =>
    textEncoding(name, fatal).read(bytes, 0, bytes.length);

  it('reads the part it is asked for', () => {
    for (const name of names) expect(textEncoding(name, true).read(Buffer.from('abcd'), 1, 3)).to.equal('bc');
  });

  it('reads each byte below 0x80 as itself, beside any other bytes, so that text can be cut where bytes can [U03]', () => {
    const random = seededRandom(3);
    for (const name of names) {
      for (let round = 0; round < 500; round++) {
        const bytes = Buffer.from(
          Array.from({ length: 30 }, () => random.pick([10, 13, 65, 0x8a, 0xc3, 0xe2, 0xf0, 0xff])),
        );
        const whole = read(name, bytes)?.split('\n');
        const pieces: (string | undefined)[] = [];
        for (let at = 0; at <= bytes.length;) {
          const lf = bytes.indexOf(10, at);
          const end = lf === -1 ? bytes.length : lf;
          pieces.push(read(name, bytes.subarray(at, end)));
          at = end + 1;
        }
        expect(whole).to.eql(pieces);
      }
    }
  });

  it('reads a byte above 0x7f in ascii as U+FFFD, and never as a line feed', () => {
    expect(read('ascii', Buffer.from([0x41, 0x8a, 0xff, 0]))).to.equal('A\ufffd\ufffd\0');
  });

  it('tells malformed bytes, if fatal, from a U+FFFD that was sent [U02]', () => {
    expect(read('utf8', Buffer.from('a\ufffdb'), true)).to.equal('a\ufffdb');
    for (const hex of ['ff', 'c080', 'eda080', 'f4908080', 'e282', '80', 'efbfbdff']) {
      expect(read('utf8', Buffer.from(hex, 'hex'), true), hex).to.equal(undefined);
      expect(read('utf8', Buffer.from(hex, 'hex')), hex).to.include('\ufffd');
    }
    expect(read('ascii', Buffer.from([0x80]), true)).to.equal(undefined);
    expect(read('latin1', Buffer.from([0x80]), true)).to.equal('\x80');
  });

  it('keeps a BOM, at the start and elsewhere [E45]', () => {
    expect(read('utf8', Buffer.from('\ufeffa\ufeff'), true)).to.equal('\ufeffa\ufeff');
  });

  it('writes what it can read back, and nothing else', () => {
    const texts = ['', 'plain\0\x7f', 'é\xff', '€', '😀', '\ud800', 'a\udc00', '\ufffd'];
    const written = (name: TextEncodingName) =>
      texts.filter((text) => {
        const bytes = textEncoding(name, true).write(text);
        if (bytes !== undefined) expect(read(name, bytes, true)).to.equal(text);
        return bytes !== undefined;
      });
    expect(written('utf8')).to.eql(['', 'plain\0\x7f', 'é\xff', '€', '😀', '\ufffd']);
    expect(written('latin1')).to.eql(['', 'plain\0\x7f', 'é\xff']);
    expect(written('ascii')).to.eql(['', 'plain\0\x7f']);
  });
});
