import { cleanUp } from './memory.js';
import { installed } from './npm.js';
import type { Peer } from './peer.js';
import { contestantsOf, type Bench, type Rival, type Workload } from './workload.js';

/** How long and how often the contestants of a workload run. */
export interface Terms {
  readonly rounds: number;
  /** Rounds before, which do not count. */
  readonly warmUps: number;
  readonly ms: number;
  readonly scale: number;
  /** Names of the contestants that take part; all of them if there are none. */
  readonly only: readonly string[];
}

/** For each contestant its samples, one a round. */
export type Samples = Readonly<Record<string, readonly (readonly number[])[]>>;

/** What hangs is an error, not an endless run. */
const TIME_LIMIT = 60_000;

/** Those that take part: named, and their package is there. */
export function participants(workload: Workload, only: readonly string[]): readonly Rival[] {
  return contestantsOf(workload).filter(
    ({ name, needs }) => (only.length === 0 || only.includes(name)) && installed(needs),
  );
}

/** Runs a workload in this process: the contestants take turns, so that what disturbs one disturbs all. */
export async function contest(workload: Workload, terms: Terms, peer: Peer): Promise<Samples> {
  const { rounds, warmUps, ms, scale, only } = terms;
  const running = participants(workload, only);
  const bench: Bench = { peer, ms, amount: (whole) => Math.max(1, Math.ceil(whole * scale)) };
  const samples: Record<string, number[][]> = Object.fromEntries(running.map(({ name }) => [name, []]));
  for (let round = -warmUps; round < rounds; round++) {
    for (const contestant of rotated(running, round + warmUps)) {
      const sample = await runOnce(contestant, bench);
      if (round >= 0) samples[contestant.name]?.push([...sample]);
    }
  }
  return samples;
}

/** Each round begins with another one, so that none always runs behind the same. */
function rotated<T>(list: readonly T[], round: number): T[] {
  const at = round % Math.max(1, list.length);
  return [...list.slice(at), ...list.slice(0, at)];
}

async function runOnce({ name, run }: Rival, bench: Bench): Promise<readonly number[]> {
  cleanUp();
  const late = setTimeout(() => {
    throw new Error(`${name} did not finish within ${String(TIME_LIMIT / 1000)} s`);
  }, TIME_LIMIT);
  try {
    return await run(bench);
  } catch (cause) {
    throw new Error(`${name} failed`, { cause });
  } finally {
    clearTimeout(late);
    await bench.peer.clear();
  }
}
