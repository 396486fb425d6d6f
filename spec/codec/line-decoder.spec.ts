import { expect } from 'chai';
import fc from 'fast-check';
import { type LinesConfig, lines } from '../../lib/codec/lines.js';
import { FrameError, type FrameErrorKind } from '../../lib/errors.js';
import { cut } from '../support/chunkings.js';
import { aliveBytes } from '../support/memory.js';
import { holds } from '../support/property.js';
import { outcomeOf } from './outcome.js';
import { chunkedWires } from './wires.js';
import { workOf } from './work.js';

// What lines come of which bytes is in lines.spec.ts; here is at what cost, and in which state the decoder is in between.
describe('LineDecoder', () => {
  const MIB = 1024 * 1024;

  for (const copy of [true, false]) {
    describe(`with copy: ${String(copy)}`, () => {
      holds(
        'agrees with a reference on any bytes, whatever the limits, however cut and driven [E59]',
        1000,
        fc.tuple(configs(), chunkedWires([10, 10, 10, 13, 13, 65, 66, 0x8a, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xff])),
        ([config, { wire, offsets, takes }]) => {
          const outcome = outcomeOf(lines({ ...config, copy }), cut(wire, offsets), takes);
          expect(outcome).to.eql(reference(wire, config));
        },
      );

      it('looks at each byte twice at most, and copies it a few times, for a line in bytes [E46, E48]', () => {
        const size = 160_000;
        const work = workOf(() => {
          const decoder = lines({ copy }).decoder(() => undefined);
          const byte = Buffer.from('x');
          for (let i = 0; i < size; i++) {
            decoder.push(byte);
            if (decoder.next() !== undefined) throw new Error('no line has ended');
          }
          decoder.push(Buffer.from('\n'));
          if (decoder.next()?.length !== size) throw new Error('the line is not whole');
        });
        expect(work.scanned).to.be.within(size, 2 * size);
        expect(work.copied).to.be.within(size, 3 * size);
        expect(work.decoded).to.equal(size);
        expect(work.allocated).to.be.below(4 * size);
      });

      it('looks at each byte twice at most in a long line of 64 KiB chunks [E47]', () => {
        const size = 32 * MIB;
        const chunk = Buffer.alloc(65_536, 'x');
        const work = workOf(() => {
          const decoder = lines({ copy, maxFrameLength: size }).decoder(() => undefined);
          for (let at = 0; at < size; at += chunk.length) {
            decoder.push(chunk);
            decoder.next();
          }
          decoder.push(Buffer.from('\n'));
          if (decoder.next()?.length !== size) throw new Error('the line is not whole');
        });
        expect(work.scanned).to.be.within(size, 2 * size);
        expect(work.copied).to.be.within(size, 3 * size);
      });

      it('does a fixed amount of work per byte on many lines of many chunks', () => {
        for (const onTooLarge of ['error', 'discard'] as const) {
          const wire = Buffer.from('a line of text\n€\r\n'.repeat(20_000));
          const work = workOf(() => {
            const max = onTooLarge === 'error' ? 1000 : 4; // 1000: a block may be refused; 4: half of the lines are skipped
            const decoder = lines({ copy, maxFrameLength: max, onTooLarge, fatal: true }).decoder(() => undefined);
            for (let at = 0; at < wire.length; at += 5000) {
              decoder.push(wire.subarray(at, at + 5000));
              while (decoder.next() !== undefined);
            }
          });
          expect(work.scanned).to.be.within(wire.length, 3 * wire.length);
          expect(work.decoded).to.be.within(100, 2 * wire.length);
          expect(work.copied).to.be.below(wire.length);
        }
      });

      it('holds no more than the limit of a line that never ends [E48, E53]', () => {
        for (const onTooLarge of ['error', 'discard'] as const) {
          const decoder = lines({ copy, maxFrameLength: 1000, onTooLarge }).decoder(() => undefined);
          const chunk = Buffer.alloc(100, 'x');
          const work = workOf(() => {
            try {
              for (let i = 0; i < 10_000; i++) {
                decoder.push(chunk);
                decoder.next();
              }
            } catch (error) {
              expect(error).to.have.property('kind', 'too-large');
            }
          });
          expect(work.copied).to.be.within(1000, 3000);
          expect(work.allocated).to.be.below(3000);
        }
      });

      it('hands out one line at a time, so that a driver can stop and push between any two [E50, E51]', () => {
        const decoder = lines({ copy }).decoder(() => undefined);
        decoder.push(Buffer.from('a\nb\nc\nd'));
        expect(decoder.next()).to.equal('a');
        expect(decoder.next()).to.equal('b');
        decoder.push(Buffer.from('e\nf\n'));
        expect([decoder.next(), decoder.next(), decoder.next(), decoder.next()]).to.eql(['c', 'de', 'f', undefined]);
      });

      it('does a fixed amount of work per line on a chunk of nothing but LFs [E49]', () => {
        const count = 200_000;
        const chunk = Buffer.alloc(count, '\n');
        let frames = 0;
        const work = workOf(() => {
          const decoder = lines({ copy }).decoder(() => undefined);
          decoder.push(chunk);
          while (decoder.next() === '') frames++;
        });
        expect(frames).to.equal(count);
        expect(work.scanned).to.be.within(count, 3 * count);
        expect(work.texts).to.be.at.most(count);
        expect([work.copied, work.allocated]).to.eql([0, 0]);
      });

      it('gives nothing of what is left once it broke', () => {
        const decoder = lines({ copy, maxFrameLength: 2 }).decoder(() => undefined);
        decoder.push(Buffer.from('a\nabcd\nb\nc\n'));
        expect(decoder.next()).to.equal('a');
        expect(() => decoder.next()).to.throw(FrameError);
        decoder.push(Buffer.from('d\n'));
        expect(decoder.next()).to.equal(undefined);
        expect(() => {
          decoder.end();
        }).not.to.throw();
      });
    });
  }

  it('decodes the lines of a chunk in one go with copy: false, and 1 KiB of them with copy: true', () => {
    const texts = (copy: boolean, kib = 1): number => {
      const decoder = lines({ copy }).decoder(() => undefined);
      decoder.push(Buffer.from('some text, sixt\n'.repeat(64 * kib)));
      return workOf(() => {
        while (decoder.next() !== undefined);
      }).texts;
    };
    expect([texts(false), texts(true)]).to.eql([1, 1]);
    expect([texts(false, 10), texts(true, 10)]).to.eql([1, 10]);
  });

  it('decodes a line of 1 KiB and more on its own, with copy: true', () => {
    const decoder = lines().decoder(() => undefined);
    const [short, long] = ['short\n', `${'l'.repeat(1024)}\n`];
    decoder.push(Buffer.from(`${short}${short}${long}${long}${short}`));
    const work = workOf(() => {
      while (decoder.next() !== undefined);
    });
    expect(work).to.deep.include({ texts: 4, decoded: 3 * 5 + 2 * 1024 + 3 });
  });

  it('lets a line that is kept pin no chunk, with copy: true [E52]', () => {
    const kept = (copy: boolean): number => {
      const before = aliveBytes();
      const decoder = lines({ copy }).decoder(() => undefined);
      const texts = Array.from({ length: 200 }, () => {
        decoder.push(Buffer.alloc(65_536, 'a line, sixteen\n'));
        const first = decoder.next();
        while (decoder.next() !== undefined);
        return first;
      });
      const bytes = aliveBytes() - before;
      expect(texts.length).to.equal(200);
      return bytes;
    };
    expect(kept(true)).to.be.below(4 * MIB);
    expect(kept(false), 'the texts of 200 chunks').to.be.above(8 * MIB);
  });

  it('goes on when `report` itself throws, with the line after', () => {
    const decoder = lines({ maxFrameLength: 1, onTooLarge: 'discard' }).decoder(() => {
      throw new RangeError('of the driver');
    });
    decoder.push(Buffer.from('ab\nc\nde'));
    expect(() => decoder.next()).to.throw(RangeError);
    expect(decoder.next()).to.equal('c');
    expect(() => decoder.next()).to.throw(RangeError);
    decoder.push(Buffer.from('\nf\n'));
    expect(decoder.next()).to.equal('f');
  });

  function configs(): fc.Arbitrary<Required<Omit<LinesConfig, 'copy'>>> {
    return fc.record({
      encoding: fc.constantFrom('utf8', 'latin1', 'ascii'),
      fatal: fc.boolean(),
      maxFrameLength: fc.constantFrom(100, 8, 5, 3, 2, 1),
      onTooLarge: fc.constantFrom('error', 'discard'),
    });
  }

  /** The rules once more, slowly: bytes to lines by `split`, then each line by itself. */
  function reference(wire: Buffer, config: Required<Omit<LinesConfig, 'copy'>>): ReturnType<typeof outcomeOf> {
    const frames: string[] = [];
    const reported: { kind: FrameErrorKind; after: number }[] = [];
    const pieces = wire.toString('latin1').split('\n');
    for (const [i, piece] of pieces.entries()) {
      const isLast = i === pieces.length - 1;
      const line = piece.replace(/\r$/, '');
      if (line.length > config.maxFrameLength) {
        if (config.onTooLarge === 'error') return { frames, reported, error: 'too-large' };
        reported.push({ kind: 'too-large', after: frames.length });
      } else if (isLast) {
        return { frames, reported, error: piece === '' ? undefined : 'truncated' };
      } else {
        const bytes = Buffer.from(line, 'latin1');
        const text = decodeSlowly(bytes, config);
        if (text === undefined) return { frames, reported, error: 'decode' };
        frames.push(text);
      }
    }
    return { frames, reported, error: undefined };
  }

  function decodeSlowly(
    bytes: Buffer,
    { encoding, fatal }: Pick<Required<LinesConfig>, 'encoding' | 'fatal'>,
  ): string | undefined {
    if (encoding === 'latin1') return String.fromCharCode(...bytes);
    if (encoding === 'ascii') {
      if (fatal && bytes.some((byte) => byte > 0x7f)) return undefined;
      return String.fromCharCode(...[...bytes].map((byte) => (byte > 0x7f ? 0xfffd : byte)));
    }
    try {
      return new TextDecoder('utf-8', { fatal, ignoreBOM: true }).decode(bytes);
    } catch {
      return undefined;
    }
  }
});
