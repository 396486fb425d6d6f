/**
 * `npm run bench`: compiles bench/ and lib/ as they are now into a folder of their own, so that nothing but plain JavaScript is
 * measured and edits meanwhile change nothing, and runs index.ts there. `--node 24` runs it on another Node: one that
 * `npm run test:matrix` has installed, or the path of a binary.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, URL } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BENCH = join(ROOT, 'bench');

const args = process.argv.slice(2);
const at = args.indexOf('--node');
const node = at < 0 ? process.execPath : nodeOf(args.splice(at, 2)[1]);
const built = mkdtempSync(join(BENCH, '.build-')); // in bench/, so that its packages are found from there
process.on('SIGINT', () => undefined); // what runs below ends, then this
try {
  compile('lib');
  compile('bench');
  compile('demo'); // its clients are measured too
  const { status } = spawnSync(node, [join(built, 'bench/index.js'), ...args], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  rmSync(built, { recursive: true });
}

/** As `npm run build` does, without looking at types. */
function compile(folder) {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
  const compilerOptions = { target: config.compilerOptions.target, module: 'esnext', verbatimModuleSyntax: true };
  for (const file of readdirSync(join(ROOT, folder), { recursive: true })) {
    if (!/^(?!node_modules|\.build-).*\.ts$/.test(file)) continue;
    const text = readFileSync(join(ROOT, folder, file), 'utf8');
    const { outputText } = ts.transpileModule(text, { compilerOptions });
    const target = join(built, folder, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, outputText);
  }
}

/** The binary of a version that the matrix of specs has installed. */
function nodeOf(version = '') {
  const windows = process.platform === 'win32';
  const name = `node-${windows ? 'win' : process.platform}-${process.arch}`;
  const place = join(ROOT, 'node_modules/.cache/node', version, 'node_modules', name);
  const binary = [join(place, 'bin', windows ? 'node.exe' : 'node'), version].find((path) => existsSync(path));
  if (binary !== undefined) return binary;
  process.stderr.write(`no Node "${version}" is installed; \`npm run test:matrix -- ${version}\` installs it\n`);
  process.exit(1);
}
