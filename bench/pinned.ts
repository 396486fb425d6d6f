/** Which cores a process runs on: the peer has the last one to itself, if `taskset` is there to see to it. */
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';

// Not `availableParallelism()`: in a process that is pinned it counts the cores of that process alone.
const last = cpus().length - 1;
export const peerCores = String(last);
export const ourCores = last === 1 ? '0' : `0-${String(last - 1)}`;
export const canPin = last > 0 && works(peerCores) && works(ourCores);

/** Options of `fork()`: on these cores, the same Node with these flags; without `taskset` the scheduler decides. */
export function pinned(cores: string, flags: readonly string[] = []): { execPath: string; execArgv: string[] } {
  if (!canPin) return { execPath: process.execPath, execArgv: [...flags] };
  return { execPath: 'taskset', execArgv: ['-c', cores, process.execPath, ...flags] };
}

function works(cores: string): boolean {
  return spawnSync('taskset', ['-c', cores, 'true']).status === 0;
}
