/** Numbers that look random and are the same for the same seed, so that a failure can be run again. */
export interface Random {
  /** From 0 up to, but not including, 1: fits wherever `Math.random` does. */
  next(): number;
  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number;
  /** One of the items. */
  pick<T>(items: readonly T[]): T;
  /** So many bytes, each of any value. */
  bytes(count: number): Buffer;
}

/** Mulberry32: 32 bits of state, good enough to cut wires and make up messages. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  return {
    next,
    int,
    pick: (items) => {
      if (items.length === 0) throw new RangeError('nothing to pick from');
      return items[int(0, items.length - 1)] as (typeof items)[number];
    },
    bytes: (count) => Buffer.from(Array.from({ length: count }, () => int(0, 255))),
  };
}

/**
 * The seeds of a race that a spec runs again and again: 1 to `count`; with the environment variable `SEED=n`, that one alone.
 *
 * @example
 * for (const seed of seeds(50)) await race(seededRandom(seed));
 */
export function seeds(count: number): readonly number[] {
  const wanted = process.env.SEED;
  return wanted === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(wanted)];
}

/** The same in groups of ten, one for each `it`. */
export function seedsInTens(count: number): readonly (readonly number[])[] {
  const all = seeds(count);
  return Array.from({ length: Math.ceil(all.length / 10) }, (_, ten) => all.slice(ten * 10, ten * 10 + 10));
}
