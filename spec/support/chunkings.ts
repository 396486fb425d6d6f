import { seededRandom } from './random.js';

/** One way in which TCP may cut a wire. */
export interface Chunking {
  /** For the message of a failed assertion. */
  readonly name: string;
  /** Each with memory of its own, as chunks of a socket have. */
  readonly chunks: Buffer[];
}

/** How `chunkings` cuts. */
export interface ChunkingsConfig {
  /** Wires up to this many bytes are cut in two at every point. @default 64 */
  readonly splitsUpTo?: number;
  /** Wires up to this many bytes are cut in every way there is: 2 ** (length - 1). @default 8 */
  readonly allUpTo?: number;
  /** How many random cuts to make. @default 20 */
  readonly random?: number;
  /** @default 1 */
  readonly seed?: number;
}

/** Cuts a wire in the ways that find bugs: whole, byte by byte, in two at every point, at random, with empty chunks between. */
export function* chunkings(wire: Uint8Array, config: ChunkingsConfig = {}): Generator<Chunking> {
  const { splitsUpTo = 64, allUpTo = 8, random: rounds = 20, seed = 1 } = config;
  const every = Array.from({ length: Math.max(0, wire.length - 1) }, (_, i) => i + 1);
  yield { name: 'all at once', chunks: cut(wire, []) };
  yield { name: 'byte by byte', chunks: cut(wire, every) };
  yield { name: 'byte by byte, with empty chunks', chunks: cut(wire, every).flatMap((c) => [Buffer.alloc(0), c]) };
  if (wire.length <= splitsUpTo)
    for (const at of every) yield { name: `in two at ${String(at)}`, chunks: cut(wire, [at]) };
  if (wire.length <= allUpTo) {
    for (let mask = 0; mask < 2 ** every.length; mask++) {
      yield named(
        wire,
        every.filter((_, i) => (mask >> i) & 1),
      );
    }
  }
  const random = seededRandom(seed);
  for (let round = 0; round < rounds; round++) {
    const share = random.next() ** 2; // from hardly ever to nearly everywhere
    yield named(
      wire,
      every.filter(() => random.next() < share),
    );
  }
}

/** The wire cut before each of these offsets, which rise. */
export function cut(wire: Uint8Array, offsets: readonly number[]): Buffer[] {
  const ends = [...offsets, wire.length];
  return ends.map((end, i) => Buffer.from(wire.slice(i === 0 ? 0 : ends[i - 1], end)));
}

function named(wire: Uint8Array, offsets: readonly number[]): Chunking {
  return { name: `at ${offsets.slice(0, 50).join(', ')}`, chunks: cut(wire, offsets) };
}
