import { expect } from 'chai';
import { bytes } from '../../lib/codec/bytes.js';
import type { Bytes } from '../../lib/codec/codec.js';
import { FrameError } from '../../lib/errors.js';
import { chunkings } from '../support/chunkings.js';
import { seededRandom } from '../support/random.js';
import { drivers, outcomeOf } from './outcome.js';
import { workOf } from './work.js';

describe('bytes()', () => {
  const decoder = () => bytes().decoder(() => undefined);

  it('gives each chunk as it is, the very object, and skips empty ones [L20]', () => {
    for (const { name, chunks } of chunkings(Buffer.from('abcdef'))) {
      const full = chunks.filter(({ length }) => length > 0);
      for (const driver of drivers) {
        const { frames, error } = outcomeOf(bytes(), chunks, driver);
        expect(error).to.equal(undefined);
        expect(frames.length, name).to.equal(full.length);
        expect(
          frames.every((frame, i) => frame === full[i]),
          name,
        ).to.equal(true);
      }
    }
  });

  it('asks for more once all chunks are given out, and goes on after that', () => {
    const one = decoder();
    expect(one.next()).to.equal(undefined);
    for (const text of ['a', 'b']) {
      one.push(Buffer.from(text));
      expect(String(one.next())).to.equal(text);
      expect(one.next()).to.equal(undefined);
    }
    one.push(Buffer.from('c'));
    one.push(Buffer.from('d'));
    expect(String(one.next())).to.equal('c');
    one.push(Buffer.from('e'));
    expect([one.next(), one.next(), one.next()].map(String)).to.eql(['d', 'e', 'undefined']);
  });

  it('has nothing to be truncated at the end', () => {
    const one = decoder();
    one.push(Buffer.from('a'));
    one.end();
    expect(String(one.next())).to.equal('a');
  });

  it('keeps the decoders of two connections apart', () => {
    const codec = bytes();
    const [one, two] = [codec.decoder(() => undefined), codec.decoder(() => undefined)];
    one.push(Buffer.from('a'));
    expect(two.next()).to.equal(undefined);
    expect(String(one.next())).to.equal('a');
  });

  it('copies nothing in either direction', () => {
    const chunk = Buffer.alloc(65_536, 1);
    const work = workOf(() => {
      const one = decoder();
      one.push(chunk);
      one.next();
      bytes().encode(chunk);
      bytes().encode(new Uint8Array(65_536));
    });
    expect([work.copied, work.allocated]).to.eql([0, 0]);
    expect(workOf(() => Buffer.from(chunk)).copied).to.equal(65_536);
  });

  it('is undone by joining the frames, for random messages [200 rounds]', () => {
    const random = seededRandom(45);
    for (let round = 0; round < 200; round++) {
      const messages: Bytes[] = Array.from({ length: random.int(0, 5) }, () => {
        const sent = random.bytes(random.int(0, 40));
        return random.pick<Bytes>([sent, new Uint8Array(sent), sent.toString('hex'), 'a€😀']);
      });
      const wire = Buffer.concat(messages.map((message) => bytes().encode(message)));
      const expected = Buffer.concat(messages.map((m) => Buffer.from(m as string)));
      for (const { name, chunks } of chunkings(wire, { splitsUpTo: 0, random: 3, seed: round })) {
        const frames = outcomeOf(bytes(), chunks).frames as Buffer[];
        expect(Buffer.concat(frames).equals(expected), `round ${String(round)}, cut ${name}`).to.equal(true);
      }
    }
  });

  it('refuses what is neither bytes nor a string [E57]', () => {
    for (const message of [null, undefined, 1, NaN, {}, [1, 2], true, 1n, Symbol('s'), () => 1, new ArrayBuffer(2)]) {
      expect(() => bytes().encode(message as never))
        .to.throw(FrameError, 'bytes() takes bytes or a string')
        .with.property('kind', 'encode');
    }
  });
});
