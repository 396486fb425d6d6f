import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

describe('the links between pages', () => {
  const pages = [
    'README.md',
    ...readdirSync(join(ROOT, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map(inDocs),
  ];

  for (const page of pages) {
    it(`of ${page} lead somewhere`, () => expect(brokenLinks(page, read)).to.eql([]));
  }

  it('are found to be broken when the page, or the heading in it, is missing', () => {
    const tree: Record<string, string> = {
      'README.md':
        '[a](docs/b.md#two-words) [b](#here) [c](docs/b.md#none) [d](docs/none.md) [e](https://none)\n# Here\n',
      'docs/b.md':
        '[up](../README.md#here)\n```ts\n# no heading [x](none.md)\n```\n## `Two`, words!\n## Here\n## Here\n[c](#here-1)',
    };
    const readFake = (path: string): string | undefined => tree[path];
    expect(brokenLinks('README.md', readFake)).to.eql(['docs/b.md#none', 'docs/none.md']);
    expect(brokenLinks('docs/b.md', readFake)).to.eql([]);
  });
});

type Read = (path: string) => string | undefined;

function inDocs(name: string): string {
  return `docs/${name}`;
}

/** Paths are relative to the repository; of what is no page only the existence is known. */
function read(path: string): string | undefined {
  if (!existsSync(join(ROOT, path))) return undefined;
  return path.endsWith('.md') ? readFileSync(join(ROOT, path), 'utf8') : '';
}

function brokenLinks(page: string, readPage: Read): string[] {
  const links = [...prose(readPage(page) ?? '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return links.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [path = '', heading] = target.split('#');
    const text = readPage(path === '' ? page : join(dirname(page), path));
    return text === undefined || (heading !== undefined && !anchorsOf(text).includes(heading));
  });
}

/** The text without its code blocks. */
function prose(text: string): string {
  return text.replace(/^( *)(`{3,}|~{3,})[^]*?^\1\2 *$/gm, '');
}

/** As GitHub makes them: of two headings alike the second ends in `-1`. */
function anchorsOf(text: string): string[] {
  const seen = new Map<string, number>();
  return [...prose(text).matchAll(/^#+ +(.*?) *$/gm)].map(([, heading = '']) => {
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
}
