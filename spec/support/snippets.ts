/**
 * The code in the documentation: found, type-checked in one program, compiled once, and run.
 *
 *     README.md, docs/*.md   ```ts, ```ts no-run ┐
 *     lib/**.ts              @example            ┴► Snippet ─► .snippets-X/7.ts ─► one program ─► faults
 *                                                                                     │ emit
 *                               .snippets-X/js/lib/**.js, .snippets-X/js/.snippets-X/7.js ─► node
 *
 * The folder is inside the repository, so that `rxjs` is found from it, and git ignores it.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** A piece of code out of the documentation. */
export interface Snippet {
  /** Where its first line stands: `docs/guide.md:12`. */
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly code: string;
  /** `false` for ```` ```ts no-run ````: it is type-checked only. */
  readonly runs: boolean;
  /** What it must print: the ```` ```text output ```` block right after it. */
  readonly output: string | undefined;
}

/** How a snippet ended. */
export interface Outcome {
  /** `undefined` when it was killed. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Snippets that are compiled and can be run. */
export interface Workshop {
  readonly folder: string;
  /** What the compiler says of each snippet, by name; an empty list when it is content. */
  readonly faults: ReadonlyMap<string, readonly string[]>;
  run(snippet: Snippet, timeout: number): Promise<Outcome>;
  close(): void;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Block {
  readonly info: string;
  readonly line: number;
  readonly code: string;
}

/** Every snippet of README.md, docs/ and the doc comments in lib/. */
export function allSnippets(): Snippet[] {
  const pages = [...(existsSync(join(ROOT, 'README.md')) ? ['README.md'] : []), ...filesIn('docs', '.md')];
  const sources = filesIn('lib', '.ts');
  return [
    ...pages.flatMap((file) => snippetsOfMarkdown(file, readFileSync(join(ROOT, file), 'utf8'))),
    ...sources.flatMap((file) => snippetsOfSource(file, readFileSync(join(ROOT, file), 'utf8'))),
  ];
}

/** The ```` ```ts ```` blocks of a page, each with the ```` ```text output ```` block that follows it, if one does. */
export function snippetsOfMarkdown(file: string, text: string, firstLine = 1): Snippet[] {
  const blocks = blocksOf(text.split('\n'));
  return blocks.flatMap((block, i) => {
    const [language, ...words] = block.info.split(/\s+/);
    if (language !== 'ts') return [];
    const unknown = words.find((word) => word !== 'no-run');
    const line = firstLine + block.line;
    if (unknown !== undefined) throw new Error(`${file}:${line - 1}: \`ts ${unknown}\` is not understood`);
    const next = blocks[i + 1];
    const output = next !== undefined && /^(text|console) output$/.test(next.info) ? next.code : undefined;
    return [{ name: `${file}:${line}`, file, line, code: block.code, runs: words.length === 0, output }];
  });
}

/**
 * The examples of the doc comments of a file: what follows `@example`, up to the next tag. It is the code itself, or
 * holds it in ```` ```ts ```` blocks among prose. `@example no-run` is type-checked only.
 */
export function snippetsOfSource(file: string, text: string): Snippet[] {
  return [...text.matchAll(/\/\*\*[^]*?\*\//g)].flatMap((comment) => {
    const firstLine = lineAt(text, comment.index);
    const lines = comment[0].slice(3, -2).split('\n');
    const bare = lines.map((line, i) => (i === 0 ? line.trim() : line.replace(/^\s*\* ?/, '').trimEnd()));
    return bare.flatMap((line, i) => {
      const title = /^@example\b(.*)$/.exec(line)?.[1]?.trim();
      if (title === undefined) return [];
      const rest = bare.slice(i + 1);
      const end = rest.findIndex((other) => /^@[a-zA-Z]/.test(other));
      const body = rest.slice(0, end < 0 ? undefined : end).join('\n');
      return exampleOf(file, firstLine + i + 1, title, body);
    });
  });
}

function exampleOf(file: string, line: number, title: string, body: string): Snippet[] {
  if (/^```/m.test(body)) return snippetsOfMarkdown(file, body, line);
  return [
    { name: `${file}:${line}`, file, line, code: `${body.trimEnd()}\n`, runs: title !== 'no-run', output: undefined },
  ];
}

/** Fenced blocks; `line` is the index of the first line inside. An indented fence takes its indent off its lines. */
function blocksOf(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let fence: { mark: string; indent: number; info: string; line: number } | undefined;
  for (const [i, text] of lines.entries()) {
    const [, indent = '', mark = '', info = ''] = /^( *)(`{3,}|~{3,})\s*([^`]*?)\s*$/.exec(text) ?? [];
    if (fence === undefined) {
      if (mark !== '') fence = { mark, indent: indent.length, info, line: i + 1 };
      continue;
    }
    if (!mark.startsWith(fence.mark) || info !== '') continue;
    const inside = lines.slice(fence.line, i).map((line) => line.slice(Math.min(fence!.indent, line.search(/\S|$/))));
    blocks.push({ info: fence.info, line: fence.line, code: inside.map((line) => `${line}\n`).join('') });
    fence = undefined;
  }
  return blocks;
}

/** Type-checks all of them in one program and compiles them together with lib/; call `close()` to remove the files. */
export function openWorkshop(snippets: readonly Snippet[], index = 'lib/index.ts'): Workshop {
  const folder = mkdtempSync(join(ROOT, '.snippets-'));
  const library = relative(folder, join(ROOT, index)).replaceAll('\\', '/').replace(/\.ts$/, '.js');
  const files = new Map(snippets.map((snippet, i) => [join(folder, `${i}.ts`), snippet]));
  for (const [file, { code }] of files) {
    const proxy = join(dirname(library), 'proxy.js').replaceAll('\\', '/');
    const named = (name: string, path: string, text: string): string =>
      text.replace(new RegExp(`(from\\s+|import\\s*\\(\\s*|import\\s+)(['"])${name}\\2`, 'g'), `$1$2${path}$2`);
    writeFileSync(file, named('rx-tcp/proxy', proxy, named('rx-tcp', library, code)));
  }
  const scratch = join(folder, 'scratch');
  mkdirSync(scratch);
  const out = join(folder, 'js');
  const faults = compile(files, out);
  return {
    folder,
    faults,
    run: (snippet, timeout) => {
      const source = [...files].find(([, other]) => other === snippet)?.[0] ?? '';
      return runScript(join(out, relative(ROOT, source).replace(/\.ts$/, '.js')), scratch, timeout);
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function compile(files: ReadonlyMap<string, Snippet>, outDir: string): Map<string, string[]> {
  const program = ts.createProgram([...files.keys()], {
    ...compilerOptions(),
    noEmit: false,
    outDir,
    rootDir: ROOT,
    types: ['node'],
    // A snippet without imports is a module all the same: it shares no global names with the others.
    moduleDetection: ts.ModuleDetectionKind.Force,
  });
  const faults = new Map([...files.values()].map(({ name }) => [name, [] as string[]]));
  for (const [path, snippet] of files) {
    const file = program.getSourceFile(path);
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    faults.get(snippet.name)!.push(...found.map((diagnostic) => described(diagnostic, snippet)));
  }
  program.emit();
  return faults;
}

function compilerOptions(): ts.CompilerOptions {
  const path = join(ROOT, 'tsconfig.json');
  const { config } = ts.readConfigFile(path, (file) => readFileSync(file, 'utf8')) as { config: unknown };
  return ts.parseJsonConfigFileContent(config, { ...ts.sys, readDirectory: () => [] }, ROOT).options;
}

function described({ file, start, messageText }: ts.Diagnostic, snippet: Snippet): string {
  const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start ?? 0).line;
  return `${snippet.file}:${snippet.line + line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
}

function runScript(script: string, cwd: string, timeout: number): Promise<Outcome> {
  const { FORCE_COLOR: _forced, NODE_OPTIONS: _options, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ exitCode: code ?? undefined, stdout, stderr });
    });
  });
}

/**
 * Runs jobs in two lanes, one after the other in each. What names a port keeps to the second: no two snippets listen
 * on one port at a time.
 */
export function inTwoLanes<T>(jobs: readonly { readonly code: string; start: () => Promise<T> }[]): Promise<T>[] {
  const lanes: [Promise<unknown>, Promise<unknown>] = [Promise.resolve(), Promise.resolve()];
  return jobs.map(({ code, start }) => {
    const lane = /\b(port|PORT)\b['"]?\s*[:=]\s*[1-9]|\blisten\(\s*[1-9]|\.sock\b/.test(code) ? 1 : 0;
    const result = lanes[lane].then(start);
    lanes[lane] = result.catch(() => undefined);
    return result;
  });
}

function filesIn(folder: string, extension: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(extension))
    .map((file) => `${folder}/${file.replaceAll('\\', '/')}`)
    .sort();
}

function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}
