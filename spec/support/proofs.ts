/**
 * Which spec files prove which promise: those with a title that carries its number. docs/semantics.md says it at the end
 * of each promise. Run as a program, this writes these lines anew:
 *
 *     node --no-warnings --loader ts-node/esm spec/support/proofs.ts
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Paths relative to spec/, and their texts. */
export type SpecTexts = Readonly<Record<string, string>>;

const SPECS = fileURLToPath(new URL('..', import.meta.url));
const PAGE = fileURLToPath(new URL('../../docs/semantics.md', import.meta.url));
const WIDTH = 120;

/** The spec files of this repository. */
export function specTexts(): SpecTexts {
  const paths = readdirSync(SPECS, { recursive: true, encoding: 'utf8' }).map((path) => path.replaceAll('\\', '/'));
  const specs = paths.filter((path) => path.endsWith('.spec.ts')).sort();
  return Object.fromEntries(specs.map((path) => [path, readFileSync(`${SPECS}/${path}`, 'utf8')]));
}

/** The page with the promises. */
export function promises(): string {
  return readFileSync(PAGE, 'utf8');
}

/** The page with a line under each promise that says what proves it, in place of the line that stands there. */
export function withProofs(page: string, specs: SpecTexts): string {
  return page
    .split(/^(?=## )/m)
    .map((section) => {
      const number = /^## (S\d+) /.exec(section)?.[1];
      if (number === undefined) return section;
      const text = section.replace(/\n\*Proved by\*[^]*?(\n\n|$)/, '\n').trimEnd();
      const isLast = page.endsWith(section);
      return `${text}\n\n${wrapped(`*Proved by* ${proofsOf(number, specs)}`)}\n${isLast ? '' : '\n'}`;
    })
    .join('');
}

/** The files that prove a promise, by folder: `demo, tcp-socket; inbound: gate, receive`. */
export function proofsOf(number: string, specs: SpecTexts): string {
  const folders = new Map<string, string[]>();
  for (const [path, text] of Object.entries(specs)) {
    if (!titlesIn(text).includes(`[${number}]`)) continue;
    const [, folder = '', name = ''] = /^(?:(.*)\/)?(.*)\.spec\.ts$/.exec(path) ?? [];
    folders.set(folder, [...(folders.get(folder) ?? []), name]);
  }
  const sorted = [...folders].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([folder, names]) => `${folder === '' ? '' : `${folder}: `}${names.join(', ')}`).join('; ');
}

/** The text without its comments: what stands in those is no title. */
function titlesIn(text: string): string {
  return text.replace(/^\s*(\/\/|\/?\*).*$/gm, '');
}

function wrapped(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(PAGE, withProofs(promises(), specTexts()));
