import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { participants, type Samples, type Terms } from './contest.js';
import { ourCores, pinned } from './pinned.js';
import type { Task } from './worker.js';
import type { Workload } from './workload.js';

/** Runs a workload in a process of its own, or each run of it, as it says; with these flags for Node. */
export async function race(workload: Workload, terms: Terms, flags: readonly string[]): Promise<Samples> {
  if (workload.fresh !== true) return perform({ workload: workload.name, terms }, flags);
  const names = participants(workload, terms.only).map(({ name }) => name);
  const samples: Record<string, (readonly number[])[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < terms.rounds; round++) {
    for (const name of names) {
      const alone = { ...terms, only: [name], rounds: 1, warmUps: 0 };
      const one = await perform({ workload: workload.name, terms: alone }, flags);
      samples[name]?.push(...(one[name] ?? []));
    }
  }
  return samples;
}

async function perform(task: Task, flags: readonly string[]): Promise<Samples> {
  const script = fileURLToPath(new URL('worker.js', import.meta.url));
  const worker = fork(script, [], pinned(ourCores, ['--expose-gc', '--no-warnings', ...flags]));
  worker.send(task);
  const answer = once(worker, 'message') as Promise<[Samples]>;
  const died = once(worker, 'exit').then(([code]) => {
    throw new Error(`its process ended with ${String(code)}`);
  });
  const [samples] = await Promise.race([answer, died]);
  await died.catch(() => undefined);
  return samples;
}
