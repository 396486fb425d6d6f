/** How workloads are measured: contestants take turns in one run, after a warm-up, and the median of the rounds counts. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** One way of doing the work; answers how many units it did a second. */
export interface Contestant {
  readonly name: string;
  run(port: number): Promise<number>;
}

/** The same work done in several ways, the first one raw `node:net`. */
export interface Workload {
  readonly name: string;
  readonly unit: string;
  readonly contestants: readonly Contestant[];
}

/** What came of one contestant: median and range over the rounds. */
export interface Result {
  readonly name: string;
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Runs a workload against a peer process; the rounds are interleaved, so that what disturbs one contestant disturbs all. */
export async function measure(workload: Workload, rounds: number): Promise<Result[]> {
  const peer = fork(new URL('peer.mjs', import.meta.url), { execArgv: [] });
  try {
    const [port] = (await once(peer, 'message')) as [number];
    await runAll(workload, port); // warms up
    const table: number[][] = [];
    for (let round = 0; round < rounds; round++) table.push(await runAll(workload, port));
    return workload.contestants.map(({ name }, i) =>
      summary(
        name,
        table.map((speeds) => speeds[i] ?? NaN),
      ),
    );
  } finally {
    stop(peer);
  }
}

async function runAll({ contestants }: Workload, port: number): Promise<number[]> {
  const speeds: number[] = [];
  for (const contestant of contestants) speeds.push(await contestant.run(port));
  return speeds;
}

/** Units a second of `work`, which does `units` of them. */
export async function speedOf(units: number, work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (units * 1000) / (performance.now() - start);
}

function summary(name: string, samples: number[]): Result {
  const sorted = samples.sort((a, b) => a - b);
  return { name, median: sorted[sorted.length >> 1] ?? NaN, low: sorted[0] ?? NaN, high: sorted.at(-1) ?? NaN };
}

function stop(peer: ChildProcess): void {
  peer.disconnect();
}
