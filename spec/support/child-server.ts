/** Servers that need a process of their own. */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { atEnd } from './fixture.js';

/** What the resetting server saw on one connection. */
export interface ConnectionReport {
  /** Of the whole frames, in the order in which they came. */
  readonly numbers: readonly number[];
  readonly torn: boolean;
}

/** Starts `reset-server.mjs`, which resets its first connections at places that the seed decides. */
export async function resetServer(
  seed: number,
  resets: number,
): Promise<{ readonly port: number; report(): Promise<readonly ConnectionReport[]> }> {
  const child = fork(script('reset-server.mjs'), [String(seed), String(resets)], { execArgv: [] });
  atEnd(async () => {
    const exited = once(child, 'exit');
    child.disconnect();
    await exited;
  });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return {
    port,
    report: async () => {
      const answer = once(child, 'message');
      child.send('report');
      const [{ connections }] = (await answer) as [{ connections: ConnectionReport[] }];
      return connections;
    },
  };
}

/** Starts `full-queue.mjs`: whoever dials its port stays in the connect phase. */
export async function unansweredPort(): Promise<number> {
  const child = spawn(process.execPath, [script('full-queue.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
  atEnd(async () => {
    const exited = once(child, 'close');
    child.kill('SIGKILL');
    await exited;
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(line.toString());
  for (let i = 0; i < PLACES; i++) {
    const filler = connect(port, '127.0.0.1');
    filler.on('error', () => undefined);
    atEnd(() => filler.destroy());
    await once(filler, 'connect');
  }
  return port;
}

/** Linux queues one more than the backlog of 1 says. */
const PLACES = 2;

function script(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
