import { expect } from 'chai';
import fc from 'fast-check';
import type { Decoder } from '../../lib/codec/codec.js';
import { type EncodeTarget, intoOf } from '../../lib/codec/encode-into.js';
import { cut } from '../support/chunkings.js';
import { aliveBytes } from '../support/memory.js';
import { holds } from '../support/property.js';
import { everyCodec, type Specimen } from './every-codec.js';
import { drivers, outcomeOf } from './outcome.js';
import { chunkedWires } from './wires.js';
import { workOf } from './work.js';

const KIB = 1024;
const MAX = 200;

/** Its `encode`, as a function with what hangs on it. */
function encodeOf({ make }: Specimen): (message: unknown) => Uint8Array {
  return Reflect.get(make(MAX), 'encode') as (message: unknown) => Uint8Array;
}

/** Messages one behind the other, and where to cut them. */
function conversations({ messages }: Specimen): fc.Arbitrary<{ sent: unknown[]; cuts: number[]; takes: number[] }> {
  const list = <T>(items: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(items, { maxLength: 8 });
  return fc.record({ sent: list(messages), cuts: list(fc.nat(5 * MAX)), takes: list(fc.nat(3)) });
}

function offsets(cuts: readonly number[], wire: Buffer): number[] {
  return [...new Set(cuts)].filter((at) => at > 0 && at < wire.length).sort((a, b) => a - b);
}

/** Frames that are parts of a stream mean nothing alone: bytes() has no other. */
function joined({ name }: Specimen, frames: readonly unknown[]): readonly unknown[] {
  return name === 'bytes()' ? [Buffer.concat(frames as Buffer[])] : frames;
}

describe('every codec', () => {
  for (const specimen of everyCodec) {
    const { name, make, alphabet, long } = specimen;

    describe(name, () => {
      holds(
        'decodes what it encoded, however cut and driven [E59]',
        100,
        conversations(specimen),
        ({ sent, cuts, takes }) => {
          const encode = encodeOf(specimen);
          const wire = Buffer.concat(sent.map((message) => encode(message)));
          for (const driver of [takes, ...drivers]) {
            const { frames, ...rest } = outcomeOf(make(MAX), cut(wire, offsets(cuts, wire)), driver);
            expect(joined(specimen, frames)).to.eql(joined(specimen, sent));
            expect(rest).to.eql({ reported: [], error: undefined });
          }
        },
      );

      holds(
        'makes the same of any bytes, however cut and driven, and throws nothing but a FrameError [E59]',
        300,
        fc.tuple(chunkedWires(alphabet), fc.integer({ min: 1, max: 12 })),
        ([{ wire, offsets: at, takes }, max]) => {
          const { frames, ...whole } = outcomeOf(make(max), [wire]);
          for (const driver of [takes, ...drivers]) {
            const { frames: cutFrames, ...rest } = outcomeOf(make(max), cut(wire, at), driver);
            expect(joined(specimen, cutFrames)).to.eql(joined(specimen, frames));
            expect(rest).to.eql(whole);
          }
        },
      );

      const into = intoOf(encodeOf(specimen));
      if (into !== undefined) {
        holds(
          'writes into given memory what it would have made, and nothing outside of what it reserved',
          100,
          fc.tuple(fc.array(specimen.messages, { minLength: 1, maxLength: 4 }), fc.constantFrom(0, 0xa5), fc.nat(9)),
          ([sent, fill, before]) => {
            const slab = new Slab(fill, before);
            const encode = encodeOf(specimen);
            for (const message of sent) slab.take(into(message, slab));
            expect(slab.written).to.eql(Buffer.concat(sent.map((message) => encode(message))));
            expect(slab.untouched).to.equal(true);
          },
        );
      } else {
        it('writes into no memory, and so has to hand bytes on as they are', () => {
          expect(specimen.byReference).to.equal(true);
        });
      }

      if (specimen.detaches) {
        holds(
          'gives the same frames though its chunks are written over, once told so between any two of them',
          150,
          fc.tuple(conversations(specimen), chunkedWires(alphabet), fc.boolean()),
          ([{ sent, cuts, takes }, random, meant]) => {
            const encode = encodeOf(specimen);
            const wire = meant ? Buffer.concat(sent.map((message) => encode(message))) : random.wire;
            const chunks = cut(wire, meant ? offsets(cuts, wire) : random.offsets);
            const codec = make(MAX);
            const overwriting: typeof codec = {
              encode: () => Buffer.alloc(0),
              decoder: (report) => overwritten(codec.decoder(report)),
            };
            for (const driver of [takes, ...drivers]) {
              const copies = chunks.map((chunk) => Buffer.from(chunk));
              expect(outcomeOf(overwriting, copies, driver)).to.eql(outcomeOf(codec, chunks, driver));
            }
          },
        );
      } else {
        it('has decoders that keep their chunks, and does not promise to let them go', () => {
          expect(
            Reflect.get(
              make(MAX).decoder(() => undefined),
              'detach',
            ),
          ).to.equal(undefined);
        });
      }

      it('does twice the work for twice the bytes, if they come one by one [E46]', () => {
        const workFor = (wire: Buffer, max: number, least: number): number => {
          const chunks = cut(wire, [...wire.keys()].slice(1));
          let frames: unknown[] = [];
          const work = workOf(() => ({ frames } = outcomeOf(make(max), chunks)));
          expect(frames).to.have.lengthOf.at.least(least);
          return wire.length + work.scanned + work.copied + work.decoded + work.allocated;
        };
        const size = 20_000;
        const one = workFor(long(size), size, 1);
        expect(one).to.be.below(20 * size);
        expect(workFor(long(2 * size), 2 * size, 1) / one).to.be.below(2.3);
        const wire = Buffer.concat(Array.from({ length: size / 50 }, () => long(50)));
        const many = workFor(wire, 50, size / 50);
        expect(workFor(Buffer.concat([wire, wire]), 50, size / 25) / many).to.be.below(2.3);
      });
    });
  }

  for (const specimen of everyCodec) {
    it(`${specimen.name} holds no more than its limit and 64 KiB [E48, E53]`, () => {
      const max = 256 * KIB;
      const bytes = heldBy(specimen, max, [1, 1000, 64 * KIB]);
      expect(bytes).to.be.below(max + 64 * KIB);
      if (specimen.name !== 'bytes()') expect(bytes).to.be.above(max / 2);
    });
  }
});

/**
 * What a decoder holds, in bytes, of a frame that lacks only its last byte and came in chunks of these sizes, when nobody else holds the
 * chunks: the mean of several, so that what else lives in the process counts less.
 */
function heldBy({ make, long }: Specimen, max: number, sizes: readonly number[]): number {
  const wire = long(max).subarray(0, -1);
  const decoderInside = (size: number): Decoder<unknown> => {
    const decoder = make(max).decoder(() => undefined);
    for (let at = 0; at < wire.length; at += size) {
      decoder.push(Buffer.from(wire.subarray(at, at + size)));
      while (decoder.next() !== undefined);
    }
    return decoder;
  };
  sizes.map(decoderInside);
  const before = aliveBytes();
  const decoders = [...sizes, ...sizes, ...sizes].map(decoderInside);
  const bytes = (aliveBytes() - before) / decoders.length;
  expect(decoders.every((decoder) => decoder.next() === undefined)).to.equal(true);
  return bytes;
}

/** Writes over each chunk as soon as the decoder was told to let go of it: after it came, and after each frame. */
function overwritten<In>(decoder: Decoder<In>): Decoder<In> {
  const chunks: Buffer[] = [];
  const letGo = (): void => {
    decoder.detach!();
    for (const chunk of chunks.splice(0)) chunk.fill(0x31);
  };
  return {
    push: (chunk) => {
      decoder.push(chunk);
      chunks.push(chunk);
      letGo();
    },
    next: () => {
      const frame = decoder.next();
      letGo();
      return frame;
    },
    end: () => {
      decoder.end();
    },
  };
}

/** Memory with something else before and behind what is reserved. */
class Slab implements EncodeTarget {
  readonly bytes: Buffer;
  readonly #fill: number;
  readonly #from: number;
  #at: number;
  #reserved = 0;

  constructor(fill: number, from: number) {
    this.bytes = Buffer.alloc(8 * KIB, fill);
    this.#fill = fill;
    this.#from = this.#at = from;
  }

  reserve(size: number): number {
    this.#reserved = size;
    return this.#at;
  }

  refer(bytes: Uint8Array): number {
    this.bytes.set(bytes, this.reserve(bytes.length));
    return this.#at + bytes.length;
  }

  /** The frame ends here. */
  take(end: number): void {
    expect(end).to.be.within(this.#at, this.#at + this.#reserved);
    const spill = this.bytes.subarray(this.#at + this.#reserved);
    expect(
      spill.every((byte) => byte === this.#fill),
      'nothing behind the reservation',
    ).to.equal(true);
    this.bytes.fill(this.#fill, end);
    this.#at = end;
  }

  get written(): Buffer {
    return this.bytes.subarray(this.#from, this.#at);
  }

  get untouched(): boolean {
    return this.bytes.subarray(0, this.#from).every((byte) => byte === this.#fill);
  }
}
