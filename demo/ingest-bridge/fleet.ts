/** Starts bridges as processes of their own. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { fromEvent, share, takeUntil, type Observable } from 'rxjs';
import type { BridgeOptions, Report } from './process.js';

export interface Bridge {
  readonly process: ChildProcess;
  readonly reports: Observable<Report>;
  /** Resolves once it is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

const SCRIPT = fileURLToPath(new URL('process.ts', import.meta.url));

/** So many of them, each with all the sources. */
export function openFleet(of: number, options: Omit<BridgeOptions, 'place' | 'of'>): Bridge[] {
  return Array.from({ length: of }, (_, place) => openBridgeProcess({ ...options, place, of }));
}

export function openBridgeProcess(options: BridgeOptions): Bridge {
  const child = fork(SCRIPT, [JSON.stringify(options)], { execArgv: ['--no-warnings', '--loader', 'ts-node/esm'] });
  const said = fromEvent(child, 'message', (report: unknown) => report as Report);
  const reports = said.pipe(takeUntil(fromEvent(child, 'exit')), share());
  reports.subscribe(); // Node keeps for later what nobody listens to
  return {
    process: child,
    reports,
    kill: async (signal) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    },
  };
}
