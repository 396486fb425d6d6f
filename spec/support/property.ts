/**
 * Properties: what must hold for every input, tried on inputs that fast-check makes up.
 *
 * Where one fails, fast-check looks for the smallest input that fails, and prints it with a seed and a path. In the environment:
 *
 *     FC_SEED=n FC_PATH=p    plays that one input again: with mocha's `-g 'part of the title'`, since a path belongs to one property
 *     FC_SEED=n              makes the inputs from another seed
 *     FC_RUNS=n              n times as many inputs, from a new seed each time unless FC_SEED says which
 *
 * Without any of them the inputs are the same each time, so that a suite that fails has failed for what was changed.
 *
 * @example
 * holds('joins what was split', 100, fc.array(fc.string()), (parts) => expect(join(split(parts))).to.eql(parts));
 */
import fc from 'fast-check';

const { FC_RUNS, FC_SEED, FC_PATH } = process.env;
const SEED = 1;
/** Milliseconds after which the smallest input found so far must do. */
const LIMIT = 60_000;

/** A spec: `judge` throws, or rejects, for no input; so many of them are tried. */
export function holds<T>(
  title: string,
  runs: number,
  inputs: fc.Arbitrary<T>,
  judge: (input: T) => void | Promise<void>,
): void {
  const times = Number(FC_RUNS ?? 1);
  const seed = FC_SEED ?? (FC_RUNS === undefined ? SEED : undefined);
  it(title, async () => {
    const property = fc.asyncProperty(inputs, async (input) => {
      await judge(input);
      await new Promise((resolve) => setImmediate(resolve)); // within one turn of the event loop no WeakRef lets go
    });
    await fc.assert(property, {
      numRuns: Math.ceil(runs * times),
      plugins: [fc.interruptAfterTimeLimit(LIMIT * times, { failOnInterrupt: true })],
      ...(seed !== undefined && { seed: Number(seed) }),
      ...(FC_PATH !== undefined && { path: FC_PATH }),
    });
  }).timeout(2 * LIMIT * times);
}
