/** The process in which a workload runs: one for each, so that no row depends on the rows before it. Answers over IPC. */
import { contest, type Terms } from './contest.js';
import { Peer } from './peer.js';
import { workloads } from './workloads.js';

/** What a worker is told. */
export interface Task {
  /** The name of the workload. */
  readonly workload: string;
  readonly terms: Terms;
}

process.on('message', ({ workload, terms }: Task) => {
  void perform(workload, terms).then((samples) => process.send?.(samples, () => process.exit()));
});

async function perform(wanted: string, terms: Terms): ReturnType<typeof contest> {
  const workload = workloads.find(({ name }) => name === wanted);
  if (workload === undefined) throw new Error(`no workload is called ${wanted}`);
  return contest(workload, terms, await Peer.start());
}
