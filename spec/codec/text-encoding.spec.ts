import { expect } from 'chai';
import fc from 'fast-check';
import { type TextEncodingName, textEncoding } from '../../lib/codec/text-encoding.js';
import { holds } from '../support/property.js';
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

  const written = (name: TextEncodingName, text: string): Buffer | undefined => {
    const encoding = textEncoding(name, true);
    const bytes = Buffer.alloc(encoding.room(text) + 10, 0xee);
    const end = encoding.write(text, bytes, 5);
    if (end < 0) return undefined;
    expect(end - 5).to.be.at.most(encoding.room(text));
    const beyond = [bytes.subarray(0, 5), bytes.subarray(5 + encoding.room(text))];
    expect(beyond, 'outside of its room').to.eql([Buffer.alloc(5, 0xee), Buffer.alloc(5, 0xee)]);
    return bytes.subarray(5, end);
  };

  it('writes what it can read back, and nothing else', () => {
    const few = ['', 'plain\0\x7f', 'é\xff', '€', '😀', '\ud800', 'a\udc00', '\ufffd'];
    const texts = [0, 12, 300].flatMap((length) => few.map((text) => 'x'.repeat(length) + text)); // tiny, short and long
    const writtenAndRead = (name: TextEncodingName) =>
      texts.filter((text) => {
        const bytes = written(name, text);
        if (bytes !== undefined) expect(read(name, bytes, true)).to.equal(text);
        return bytes !== undefined;
      });
    expect(writtenAndRead('utf8')).to.eql(texts.filter((text) => text.isWellFormed()));
    expect(writtenAndRead('latin1')).to.eql(texts.filter((text) => /^[\0-\xff]*$/.test(text)));
    expect(writtenAndRead('ascii')).to.eql(texts.filter((text) => /^[\0-\x7f]*$/.test(text)));
  });

  holds('writes UTF-8 as Node does, whatever the length of a text', 300, unitsOf16Bits(), (text) => {
    expect(written('utf8', text)).to.eql(text.isWellFormed() ? Buffer.from(text) : undefined);
  });

  it('wants room for exactly the bytes of a long text, and for three a character of a short one', () => {
    const rooms = (...texts: string[]) => texts.map((text) => textEncoding('utf8', false).room(text));
    expect(rooms('', 'abcd', '€€')).to.eql([0, 12, 6]);
    expect(rooms('x'.repeat(1000), '€'.repeat(1000))).to.eql([1000, 3000]);
  });

  /** Texts around the lengths at which another way is taken. */
  function unitsOf16Bits(): fc.Arbitrary<string> {
    const unit = fc.constantFrom('a', 'b', '\0', '\x7f', '\x80', '€', '😀', '\ud83d', '\ude00');
    const some = fc.array(unit, { maxLength: 3 });
    return fc
      .tuple(fc.constantFrom(0, 8, 11, 12, 13, 255, 256, 257), some, some)
      .map(([length, before, behind]) => [...before, 'x'.repeat(length), ...behind].join(''));
  }
});
