/**
 * The table of `npm run bench`. Words choose the workloads whose name has all of them: `npm run bench -- write 64`.
 *
 *     --rounds 5          how often each contestant runs; the medians count
 *     --ms 150            how long a run lasts that is measured by the clock
 *     --scale 1           how much of the work is done where the amount is fixed
 *     --only rx-tcp       this contestant alone; may be repeated
 *     --flag --cpu-prof   a flag for Node in the process of the contestants; may be repeated
 *     --json              the samples, for machines, and nothing else
 *     --list              the names
 *     --check             each contestant once and briefly, all in one process: whether they work, not how fast
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { contest, type Samples, type Terms } from './contest.js';
import { installed } from './npm.js';
import { Peer } from './peer.js';
import { canPin } from './pinned.js';
import { race } from './race.js';
import { report, rowsOf, type Row } from './table.js';
import { contestantsOf, type Workload } from './workload.js';
import { workloads } from './workloads.js';

const { values, positionals: words } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    ms: { type: 'string', default: '150' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true, default: [] },
    flag: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
});
const { rounds, ms, scale, only, flag, json, list, check } = values;
const wanted = workloads.filter(({ name }) => words.every((word) => name.includes(word)));
const chosen = list ? wanted : wanted.filter(({ lacks }) => lacks?.() === undefined);

if (list) for (const { name } of chosen) console.log(name);
else if (wanted.length === 0) {
  console.error(`no workload is called that; there are:\n${workloads.map(({ name }) => `  ${name}`).join('\n')}`);
  process.exitCode = 1;
} else if (check) {
  const peer = await Peer.start();
  await run(1, (workload) => contest(workload, { rounds: 1, warmUps: 0, ms: 1, scale: 0.001, only }, peer));
  peer.stop();
} else {
  const terms: Terms = { rounds: Number(rounds), warmUps: 1, ms: Number(ms), scale: Number(scale), only };
  await run(terms.rounds, (workload) => race(workload, terms, flag));
}

function lacking(): string[] {
  return [...new Set(wanted.map(({ lacks }) => lacks?.()).filter((what) => what !== undefined))];
}

async function run(rounds: number, samplesOf: (workload: Workload) => Promise<Samples>): Promise<void> {
  for (const what of lacking()) console.error(`some workloads are left out for want of ${what}`);
  const missing = missingPackages();
  if (missing.length > 0) console.error(`without ${missing.join(', ')}: \`npm ci --prefix bench\` installs them`);
  const rows: Row[] = [];
  for (const workload of chosen) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${workload.name}`);
    try {
      rows.push(...rowsOf(workload, await samplesOf(workload)));
    } catch (error) {
      console.error(`${workload.name}:`, error);
      process.exitCode = 1;
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const [first] = cpus();
  const machine = {
    node: process.version,
    cpu: first?.model.trim() ?? '',
    cores: cpus().length,
    pinned: canPin,
    rounds,
  };
  console.log(json ? JSON.stringify({ ...machine, rows }, null, 1) : report(machine, rows));
}

function missingPackages(): string[] {
  const needed = chosen.flatMap((workload) => contestantsOf(workload)).map(({ needs }) => needs);
  return [...new Set(needed.filter((name) => name !== undefined))].filter((name) => !installed(name));
}
