import fc from 'fast-check';

/** Bytes, where they are cut, and how many frames are taken at most after each chunk. */
export interface ChunkedWire {
  readonly wire: Buffer;
  /** Rising, each within the wire. */
  readonly offsets: readonly number[];
  readonly takes: readonly number[];
}

/** Wires of bytes that are mostly among these, cut and driven in any way. */
export function chunkedWires(bytes: readonly number[], maxLength = 60): fc.Arbitrary<ChunkedWire> {
  const byte = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...bytes) }, { weight: 1, arbitrary: fc.nat(255) });
  const list = <T>(items: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(items, { maxLength, size: 'max' });
  return fc
    .record({ wire: list(byte), cuts: list(fc.nat(maxLength)), takes: list(fc.nat(3)) })
    .map(({ wire, cuts, takes }) => ({
      wire: Buffer.from(wire),
      offsets: [...new Set(cuts)].filter((at) => at > 0 && at < wire.length).sort((a, b) => a - b),
      takes,
    }));
}
