/**
 * `npm run bench` measures every workload against raw `node:net` doing the same work in the same run; `npm run bench -- 64` only those
 * whose name contains all the words given. The first row of each table is 1.0; the last one, raw again, shows the noise.
 */
import { measure, type Result, type Workload } from './run.js';
import { writeBursts } from './write.js';

const ROUNDS = 7;
const workloads: readonly Workload[] = [
  writeBursts(64, 1000, 300_000),
  writeBursts(64, 100, 100_000),
  writeBursts(64, 1, 10_000),
];

const words = process.argv.slice(2);
const chosen = workloads.filter(({ name }) => words.every((word) => name.includes(word)));
if (chosen.length === 0) {
  console.error(`no workload is called that; there are:\n${workloads.map(({ name }) => `  ${name}`).join('\n')}`);
  process.exitCode = 1;
}
for (const workload of chosen) print(workload, await measure(workload, ROUNDS));

function print({ name, unit }: Workload, results: readonly Result[]): void {
  const first = results[0]?.median ?? NaN;
  console.log(`\n${name} (${unit}; median of ${String(ROUNDS)}, range)`);
  for (const { name: contestant, median, low, high } of results) {
    const ratio = `${(median / first).toFixed(2)}x`;
    console.log(`  ${contestant.padEnd(24)} ${count(median)} ${ratio.padStart(8)}   ${count(low)} to ${count(high)}`);
  }
}

function count(n: number): string {
  return Math.round(n).toLocaleString('en').padStart(11);
}
