/**
 * Runs the specs that need a network of their own: routers that drop, refuse and come back.
 *
 *     npm run test:net                             all of spec/net
 *     npm run test:net -- spec/net/dial.net.ts     this file
 *     npm run test:net -- --fgrep "row 13"         what begins with the first -- goes to mocha
 *
 * It makes three namespaces, named after its process id, and runs mocha inside the first:
 *
 *     rx-tcp-<pid>-client    mocha and the sockets under test
 *     rx-tcp-<pid>-router
 *     rx-tcp-<pid>-server    the servers that the specs start
 *
 * spec/support/netns.ts lays the wires between them, anew for each spec. They are removed when the run ends, whichever way; what a
 * run that was killed has left behind goes at the next one's start. Linux and root alone can do it: elsewhere it says that it was
 * not run, and passes, unless RX_TCP_NET=require.
 */
import { execFileSync } from 'node:child_process';
import { runMocha } from './mocha.mjs';

const HOSTS = ['client', 'router', 'server'];
const run = `rx-tcp-${process.pid}`;

const missing = whatIsMissing();
if (missing === undefined) {
  try {
    process.exitCode = await runMocha({
      title: 'test:net',
      specs: 'spec/net/*.net.ts',
      args: process.argv.slice(2),
      specLimit: 40_000, // the kernel answers a path that heals with its next retransmission, seconds later
      timeLimit: 180_000,
      prefix: ['ip', 'netns', 'exec', `${run}-client`],
      env: { RX_TCP_NETNS: run },
    });
  } finally {
    remove(run);
  }
} else {
  console.log(`test:net: NOT RUN: ${missing}`);
  process.exitCode = process.env.RX_TCP_NET === 'require' ? 1 : 0;
}

/** Makes the namespaces, and says why it cannot. */
function whatIsMissing() {
  if (process.platform !== 'linux') return 'it needs the network namespaces of Linux';
  if (process.getuid() !== 0) return 'it needs root';
  try {
    removeRunsThatDied();
    for (const host of HOSTS) ip('netns', 'add', `${run}-${host}`);
    ip('-n', `${run}-client`, 'link', 'set', 'lo', 'up');
    return undefined;
  } catch (error) {
    remove(run);
    return error.code === 'ENOENT'
      ? 'it needs `ip` of iproute2'
      : `namespaces fail: ${(error.stderr ?? error.message).trim()}`;
  }
}

/** The namespaces of runs whose process is no more. */
function removeRunsThatDied() {
  for (const name of namespaces()) {
    const [, pid] = /^rx-tcp-(\d+)-/.exec(name) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) remove(`rx-tcp-${pid}`);
  }
}

/** Removes the namespaces of a run, with the processes that are still in them, the wires and the addresses. */
function remove(ofRun) {
  for (const name of namespaces().filter((name) => name.startsWith(`${ofRun}-`))) {
    for (const pid of ip('netns', 'pids', name).split('\n').filter(Boolean)) {
      if (isAlive(Number(pid))) process.kill(Number(pid), 'SIGKILL');
    }
    ip('netns', 'delete', name);
  }
}

function namespaces() {
  try {
    return ip('netns', 'list')
      .split('\n')
      .map((line) => line.split(' ')[0]);
  } catch {
    return []; // no `ip`, no namespace
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function ip(...command) {
  return execFileSync('ip', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
