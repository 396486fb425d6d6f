import { expect } from 'chai';
import { bytes } from '../../lib/codec/bytes.js';
import type { Bytes } from '../../lib/codec/codec.js';
import { FrameError } from '../../lib/errors.js';
import { chunkings, cut } from '../support/chunkings.js';
import { holds } from '../support/property.js';
import { seededRandom } from '../support/random.js';
import { drivers, outcomeOf } from './outcome.js';
import { chunkedWires } from './wires.js';
import { workOf } from './work.js';

describe('bytes()', () => {
  const decoder = () => bytes().decoder(() => undefined);

  it('gives each chunk as it is, the very object, and skips empty ones [L01, L20, E52]', () => {
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

  it('asks for more once all chunks are given out, and goes on after that, also with one pushed between [E50, E51]', () => {
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

  it('can let go of chunks only with `lend: true`, and then copies those that were not given out', () => {
    const detachable = (lend?: boolean): boolean =>
      typeof Reflect.get(
        bytes(lend === undefined ? {} : { lend }).decoder(() => undefined),
        'detach',
      ) === 'function';
    expect([detachable(), detachable(true), detachable(false)]).to.eql([false, true, false]);
    const one = bytes({ lend: true }).decoder(() => undefined);
    const chunks = ['given', 'one', 'two'].map((text) => Buffer.from(text));
    for (const chunk of chunks) one.push(chunk);
    expect(one.next(), 'no copy').to.equal(chunks[0]);
    one.detach?.();
    for (const chunk of chunks) chunk.fill('?');
    expect([one.next(), one.next()].map(String)).to.eql(['one', 'two']);
    expect(one.next()).to.equal(undefined);
    one.detach?.();
    one.push(Buffer.from('more'));
    expect(String(one.next())).to.equal('more');
  });

  it('refuses what is no option of it', () => {
    expect(() => bytes({ lend: 1 } as never)).to.throw('`lend` must be true or false, got 1');
    expect(() => bytes({ copies: true } as never)).to.throw('`copies` is not an option of bytes');
  });

  it('has no frame in an empty stream [L16]', () => {
    expect(outcomeOf(bytes(), [])).to.eql({ frames: [], reported: [], error: undefined });
  });

  it('has nothing to be truncated at the end [L14, L15]', () => {
    const one = decoder();
    one.push(Buffer.from('a'));
    one.end();
    expect(String(one.next())).to.equal('a');
  });

  it('keeps the decoders of two connections apart [S7]', () => {
    const codec = bytes();
    const [one, two] = [codec.decoder(() => undefined), codec.decoder(() => undefined)];
    one.push(Buffer.from('a'));
    expect(two.next()).to.equal(undefined);
    expect(String(one.next())).to.equal('a');
  });

  it('does nothing to the bytes, however many chunks they come in, nor if they pile up [E46, E47, E49]', () => {
    const chunks = Array.from({ length: 160_000 }, () => Buffer.from('x'));
    for (const driver of drivers) {
      let frames = 0;
      const work = workOf(() => (frames = outcomeOf(bytes(), chunks, driver).frames.length));
      expect(frames).to.equal(chunks.length);
      expect(work).to.eql({ scanned: 0, copied: 0, decoded: 0, texts: 0, allocated: 0 });
    }
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

  holds(
    'gives any bytes as they came, however cut and driven [E59]',
    300,
    chunkedWires([0, 10, 13, 0xff]),
    ({ wire, offsets, takes }) => {
      const { frames, ...rest } = outcomeOf(bytes(), cut(wire, offsets), takes);
      expect(Buffer.concat(frames as Buffer[])).to.eql(wire);
      expect(rest).to.eql({ reported: [], error: undefined });
    },
  );
});
