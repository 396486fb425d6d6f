import { expect } from 'chai';
import fc from 'fast-check';
import type { Bytes } from '../../lib/codec/codec.js';
import { fixedLength } from '../../lib/codec/fixed-length.js';
import { ConfigError, FrameError, type FrameErrorKind } from '../../lib/errors.js';
import { cut } from '../support/chunkings.js';
import { holds } from '../support/property.js';
import { lent } from './lent.js';
import { expectOutcome, outcomeOf } from './outcome.js';
import { chunkedWires } from './wires.js';
import { workOf } from './work.js';

describe('fixedLength()', () => {
  const MIB = 1024 * 1024;

  const cases: readonly [title: string, length: number, wire: string, frames: string[], error?: FrameErrorKind][] = [
    ['cuts the bytes into frames of one length [L03]', 3, 'abcdefghi', ['abc', 'def', 'ghi']],
    ['gives single bytes as frames', 1, 'a\0\xff', ['a', '\0', '\xff']],
    ['takes any byte as data [D19]', 4, '\r\n\0\xff\n\n\n\n', ['\r\n\0\xff', '\n\n\n\n']],
    ['has no frame in an empty stream [L16]', 3, '', []],
    ['has an error for a partial frame at the end [L15]', 3, 'abcdefg', ['abc', 'def'], 'truncated'],
    ['has an error for a stream shorter than a frame [L15]', 100, 'ab', [], 'truncated'],
    ['has an error one byte before the end of a frame [L15]', 3, 'ab', [], 'truncated'],
  ];

  for (const copy of [false, true]) {
    describe(`with copy: ${String(copy)}`, () => {
      for (const [title, length, wire, frames, error] of cases) {
        it(title, () => {
          expectOutcome(fixedLength({ length, copy }), Buffer.from(wire, 'latin1'), {
            frames: frames.map((frame) => Buffer.from(frame, 'latin1')),
            ...(error !== undefined && { error }),
          });
        });
      }

      holds(
        'agrees with a reference that has all bytes at once, however cut and driven [E59]',
        1000,
        fc.tuple(fc.integer({ min: 1, max: 9 }), chunkedWires([0, 10, 97])),
        ([length, { wire, offsets, takes }]) => {
          const outcome = outcomeOf(fixedLength({ length, copy }), cut(wire, offsets), takes);
          expect(outcome).to.eql(reference(wire, length));
        },
      );

      holds(
        'decodes what it encoded [E59]',
        500,
        fc
          .integer({ min: 1, max: 20 })
          .chain((length) =>
            fc.tuple(
              fc.array(fc.uint8Array({ minLength: length, maxLength: length })),
              fc.constant(length),
              fc.array(fc.nat(100)),
            ),
          ),
        ([messages, length, cuts]) => {
          const codec = fixedLength({ length, copy });
          const wire = Buffer.concat(messages.map((message) => codec.encode(message)));
          const offsets = [...new Set(cuts)].filter((at) => at > 0 && at < wire.length).sort((a, b) => a - b);
          const frames = messages.map((message) => Buffer.from(message));
          expect(outcomeOf(codec, cut(wire, offsets))).to.eql({ frames, reported: [], error: undefined });
        },
      );

      it('takes an empty chunk for nothing, wherever it comes [L20]', () => {
        const decoder = fixedLength({ length: 2, copy }).decoder(() => undefined);
        const after = (text: string) => {
          decoder.push(Buffer.from(text));
          return decoder.next()?.toString();
        };
        expect(['', 'a', '', 'b', '', 'cd', ''].map(after)).to.eql([
          ...[undefined, undefined, undefined, 'ab', undefined, 'cd', undefined],
        ]);
        decoder.end();
      });

      it('hands out one frame at a time, so that a driver can stop and push between any two [E50, E51]', () => {
        const decoder = fixedLength({ length: 2, copy }).decoder(() => undefined);
        decoder.push(Buffer.from('abcde'));
        expect(String(decoder.next())).to.equal('ab');
        decoder.push(Buffer.from('fg'));
        expect([decoder.next(), decoder.next(), decoder.next()].map(String)).to.eql(['cd', 'ef', 'undefined']);
        expect(() => {
          decoder.end();
        }).to.throw(FrameError, 'after 1 bytes');
      });

      it('copies each byte a few times for a frame in single bytes [E46, E53]', () => {
        const size = 160_000;
        const byte = Buffer.from('x');
        const work = workOf(() => {
          const decoder = fixedLength({ length: size, copy }).decoder(() => undefined);
          for (let i = 1; i <= size; i++) {
            decoder.push(byte);
            if ((decoder.next()?.length === size) !== (i === size)) throw new Error(`at ${String(i)}`);
          }
        });
        expect(work.copied).to.be.within(size, 3 * size);
        expect(work.allocated).to.be.below(4 * size);
      });

      it('copies each byte a few times for a large frame in 64 KiB chunks [E47]', () => {
        const size = 32 * MIB;
        const chunk = Buffer.alloc(65_536, 'x');
        const work = workOf(() => {
          const decoder = fixedLength({ length: size, copy }).decoder(() => undefined);
          for (let at = chunk.length; at <= size; at += chunk.length) {
            decoder.push(chunk);
            if ((decoder.next()?.length === size) !== (at === size)) throw new Error(`at ${String(at)}`);
          }
        });
        expect(work.copied).to.be.within(size, 3 * size);
      });

      it('allocates what came and not what is to come [E54]', () => {
        const work = workOf(() => {
          for (let i = 0; i < 1000; i++) {
            const decoder = fixedLength({ length: 2 ** 31 - 1, copy }).decoder(() => undefined);
            decoder.push(Buffer.from('x')); // counted too
            decoder.next();
          }
        });
        expect(work.allocated).to.be.within(1000, 300_000);
      });
    });
  }

  it('does no work per frame but to read it, and hands out parts of the chunk [E49, E52]', () => {
    const count = 200_000;
    const chunk = Buffer.alloc(count, 'x');
    const frames: Buffer[] = [];
    const work = workOf(() => {
      const decoder = fixedLength({ length: 1 }).decoder(() => undefined);
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame);
    });
    expect(work).to.eql({ scanned: 0, copied: 0, decoded: 0, texts: 0, allocated: 0 });
    chunk.fill('y');
    expect(frames.length).to.equal(count);
    expect(frames.every((frame) => frame[0] === 0x79)).to.equal(true);
  });

  it('hands out memory of exactly the size of a frame with copy: true, cut or not, short or long [E52]', () => {
    for (const length of [3, 300, 5000, 70_000]) {
      const wire = Buffer.alloc(3 * length, 'abcdefg');
      for (const offsets of [[], [1], [length], [length - 1, length + 1, 2 * length + 1]]) {
        const { frames } = outcomeOf(fixedLength({ length, copy: true }), cut(wire, offsets));
        expect(frames).to.eql([0, 1, 2].map((i) => wire.subarray(i * length, (i + 1) * length)));
        expect((frames as Buffer[]).map(({ buffer }) => buffer.byteLength)).to.eql([length, length, length]);
      }
    }
  });

  holds(
    'lets go of chunks when told to, with copy: true: their memory may be written over [E59]',
    300,
    fc.tuple(fc.integer({ min: 1, max: 9 }), chunkedWires([0, 10, 98])),
    ([length, { wire, offsets, takes }]) => {
      const codec = lent(fixedLength({ length, copy: true }));
      expect(outcomeOf(codec, cut(wire, offsets), takes)).to.eql(reference(wire, length));
    },
  );

  it('promises to let go of chunks only with copy: true', () => {
    const decoderOf = (copy: boolean) => fixedLength({ length: 1, copy }).decoder(() => undefined);
    expect(decoderOf(true)).to.respondTo('detach');
    expect(decoderOf(false)).not.to.respondTo('detach');
  });

  it('keeps two connections of one codec apart [S7]', () => {
    const codec = fixedLength({ length: 2 });
    const [one, two] = [codec.decoder(() => undefined), codec.decoder(() => undefined)];
    one.push(Buffer.from('a'));
    expect(one.next()).to.equal(undefined);
    two.push(Buffer.from('bc'));
    expect(String(two.next())).to.equal('bc');
  });

  describe('encode', () => {
    it('takes exactly so many bytes, and copies none', () => {
      const message = Buffer.from('abc');
      expect(fixedLength({ length: 3 }).encode(message)).to.equal(message);
      expect(String(fixedLength({ length: 3 }).encode('€'))).to.equal('€');
      const array = new Uint8Array(MIB);
      const work = workOf(() => fixedLength({ length: MIB }).encode(array));
      expect([work.copied, work.allocated]).to.eql([0, 0]);
    });

    for (const message of [
      '',
      'ab',
      'abcd',
      '€€',
      Buffer.alloc(2),
      Buffer.alloc(4),
      '\ud800',
      null,
      undefined,
      3,
      {},
    ]) {
      it(`refuses ${JSON.stringify(message) ?? 'undefined'} for 3 bytes [E57]`, () => {
        expect(() => fixedLength({ length: 3 }).encode(message as Bytes))
          .to.throw(FrameError)
          .with.property('kind', 'encode');
      });
    }
  });

  it('validates its options once, by name', () => {
    for (const length of [undefined, null, 0, -1, NaN, Infinity, 1.5, '10', 2 ** 31]) {
      expect(() => fixedLength({ length: length as number })).to.throw(
        ConfigError,
        '`length` must be a whole number from 1 to 2147483647, got',
      );
    }
    expect(() => fixedLength({ length: 1, copy: 'yes' as never })).to.throw(ConfigError, '`copy`');
    expect(() => fixedLength({ lenght: 1 } as never)).to.throw(ConfigError, 'did you mean `length`');
    expect(() => fixedLength(undefined as never)).to.throw(ConfigError, '`fixedLength` must be an object');
    expect(() => fixedLength({ length: 2 ** 31 - 1 })).not.to.throw();
  });

  /** The rule once more, over the whole wire. */
  function reference(wire: Buffer, length: number): ReturnType<typeof outcomeOf> {
    const whole = Math.floor(wire.length / length);
    const frames = Array.from({ length: whole }, (_, i) => wire.subarray(i * length, (i + 1) * length));
    return { frames, reported: [], error: wire.length % length === 0 ? undefined : 'truncated' };
  }
});
