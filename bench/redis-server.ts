import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canPin, peerCores } from './pinned.js';

/** Why there can be no Redis here, if there cannot. */
export function lacksRedis(): string | undefined {
  const found = spawnSync('redis-server', ['--version']).status === 0;
  return found ? undefined : 'redis-server, which is not installed';
}

/** A Redis of our own, which keeps nothing, where the peer would run; it ends with this process at the latest. */
export async function startRedis(): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'rx-tcp-bench-'));
  const server = ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
  const command = [...(canPin ? ['taskset', '-c', peerCores] : []), ...server, '--save', '', '--appendonly', 'no'];
  const [program = '', ...args] = command;
  const redis = spawn(program, args, { stdio: 'ignore' });
  const kill = (): void => void redis.kill('SIGKILL');
  process.once('exit', kill);
  const exited = once(redis, 'exit');
  while (!(await answers(port))) if (redis.exitCode !== null) throw new Error('redis-server has ended');
  return {
    port,
    async stop() {
      process.off('exit', kill);
      kill();
      await exited;
      rmSync(folder, { recursive: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function answers(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false; // not yet
  } finally {
    socket.destroy();
  }
}
