/** Runs specs that `npm test` leaves out, in a process group of their own, within a time limit. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * Runs mocha as .mocharc.json says, save which specs, and how long one may take; gives its exit code. Of `args` what stands before the first option are files,
 * instead of `specs`, and the rest goes to mocha. `prefix` is a command that runs Node. Times are in ms.
 */
export async function runMocha({ title, specs, args, specLimit, timeLimit, prefix = [], env = {} }) {
  const firstOption = args.findIndex((arg) => arg.startsWith('--'));
  const [asked, forMocha] = firstOption < 0 ? [args, []] : [args.slice(0, firstOption), args.slice(firstOption)];
  const file = readFileSync(new URL('../.mocharc.json', import.meta.url), 'utf8');
  const { 'node-option': forNode, require: required } = JSON.parse(file);
  const options = ['--no-config', ...required.flatMap((path) => ['--require', path]), '--timeout', specLimit];
  const mocha = ['node_modules/mocha/bin/mocha.js', ...options, ...forMocha, ...(asked.length > 0 ? asked : [specs])];
  const [command, ...rest] = [...prefix, process.execPath, ...forNode.map((option) => `--${option}`), ...mocha];
  // A group of its own, so that nothing that it starts outlives it.
  const child = spawn(command, rest, { cwd: ROOT, env: { ...process.env, ...env }, stdio: 'inherit', detached: true });
  let ended;
  const stop = (why, code) => {
    console.error(`${title}: ${why}`);
    ended ??= code;
    killGroup(child.pid);
  };
  // A spec that fails may leave a handle that keeps mocha alive for ever.
  const limit = setTimeout(() => stop(`not over after ${timeLimit / 1000} s`, 1), timeLimit);
  process.on('SIGINT', () => stop('interrupted', 130));
  process.on('SIGTERM', () => stop('terminated', 143));
  try {
    const [code] = await once(child, 'exit');
    return ended ?? code ?? 1;
  } finally {
    clearTimeout(limit);
    killGroup(child.pid);
  }
}

function killGroup(leader) {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}
