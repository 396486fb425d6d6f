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
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const HOSTS = ['client', 'router', 'server'];

/** A spec that fails may leave a handle that keeps mocha alive for ever. */
const TIME_LIMIT = 180_000;

/** One spec: the kernel answers a path that heals with its next retransmission, seconds later. */
const SPEC_LIMIT = 40_000;

const run = `rx-tcp-${process.pid}`;
const args = process.argv.slice(2);
const firstOption = args.findIndex((arg) => arg.startsWith('--'));
const [asked, forMocha] = firstOption < 0 ? [args, []] : [args.slice(0, firstOption), args.slice(firstOption)];

const missing = whatIsMissing();
if (missing === undefined) {
  process.exitCode = await specs();
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

/** Runs mocha as .mocharc.json says, save which specs, and how long one may take; gives its exit code. */
async function specs() {
  const file = readFileSync(new URL('../.mocharc.json', import.meta.url), 'utf8');
  const { 'node-option': forNode, require: required } = JSON.parse(file);
  const options = ['--no-config', ...required.flatMap((path) => ['--require', path]), '--timeout', SPEC_LIMIT];
  const files = asked.length > 0 ? asked : ['spec/net/*.net.ts'];
  const mocha = ['node_modules/mocha/bin/mocha.js', ...options, ...forMocha, ...files];
  const node = [process.execPath, ...forNode.map((option) => `--${option}`)];
  // A group of its own, so that nothing that it starts outlives it.
  const child = spawn('ip', ['netns', 'exec', `${run}-client`, ...node, ...mocha], {
    cwd: ROOT,
    env: { ...process.env, RX_TCP_NETNS: run },
    stdio: 'inherit',
    detached: true,
  });
  let ended;
  const stop = (why, code) => {
    console.error(`test:net: ${why}`);
    ended ??= code;
    killGroup(child.pid);
  };
  const limit = setTimeout(() => stop(`not over after ${TIME_LIMIT / 1000} s`, 1), TIME_LIMIT);
  process.on('SIGINT', () => stop('interrupted', 130));
  process.on('SIGTERM', () => stop('terminated', 143));
  try {
    const [code] = await once(child, 'exit');
    return ended ?? code ?? 1;
  } finally {
    clearTimeout(limit);
    killGroup(child.pid);
    remove(run);
  }
}

function killGroup(leader) {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
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
