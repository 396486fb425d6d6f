import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { expect } from 'chai';
import { inTwoLanes, openWorkshop, snippetsOfMarkdown, snippetsOfSource, type Snippet } from './snippets.js';

const page = `# Title

\`\`\`ts
console.log(1);
\`\`\`

prints

\`\`\`text output
1
\`\`\`

\`\`\`ts no-run
const a = 1;
\`\`\`

\`\`\`sh
npm i
\`\`\`

- in a list
  \`\`\`ts
  if (true) {
    console.log('\`\`\`');
  }
  \`\`\`
  \`\`\`console output
  \`\`\`
  \`\`\`

~~~text output
not directly after
~~~
`;

const source = `/** No example. */
export const a = 1;

/**
 * Does it.
 *
 * @example
 * import { a } from 'rx-tcp';
 * f(() => {
 *   a;
 * });
 * @example no-run
 * b;
 *
 * @see a
 */
export const b = '@example';

  /**
   * @example
   * With words:
   * \`\`\`ts
   * c;
   * \`\`\`
   * \`\`\`text output
   * c
   * \`\`\`
   */
`;

function pick({ name, code, runs, output }: Snippet): unknown[] {
  return [name, code, runs, output];
}

function snippet(code: string): Snippet {
  return { name: code, file: 'page.md', line: 5, code, runs: true, output: undefined };
}

describe('the snippets of the documentation', () => {
  it('are the ts blocks of a page, with the output that follows', () => {
    expect(snippetsOfMarkdown('page.md', page).map(pick)).to.eql([
      ['page.md:4', 'console.log(1);\n', true, '1\n'],
      ['page.md:14', 'const a = 1;\n', false, undefined],
      ['page.md:23', "if (true) {\n  console.log('```');\n}\n", true, ''],
    ]);
  });

  it('have an info string that is understood', () => {
    expect(() => snippetsOfMarkdown('page.md', '\n```ts norun\n```\n')).to.throw(
      'page.md:2: `ts norun` is not understood',
    );
  });

  it('are the examples of doc comments, bare or fenced', () => {
    expect(snippetsOfSource('lib/a.ts', source).map(pick)).to.eql([
      ['lib/a.ts:8', "import { a } from 'rx-tcp';\nf(() => {\n  a;\n});\n", true, undefined],
      ['lib/a.ts:13', 'b;\n', false, undefined],
      ['lib/a.ts:23', 'c;\n', true, 'c\n'],
    ]);
  });

  it('are compiled against the library and run, and what they do wrong is told', async () => {
    const good = snippet(
      `import { ConfigError } from 'rx-tcp';\nimport { EMPTY } from 'rxjs';\nconsole.log(new ConfigError('x').code, typeof EMPTY);`,
    );
    const mistyped = snippet(`const x = 1;\n(x satisfies string).trim();`);
    const unknown = snippet(`import { nothing } from 'rx-tcp';\nnothing();`);
    const endless = snippet(`await new Promise((resolve) => setTimeout(resolve, 1e6));`);
    const all = [good, mistyped, unknown, endless];
    const workshop = openWorkshop(all, 'lib/errors.ts');
    try {
      expect(all.map(({ name }) => workshop.faults.get(name))).to.eql([
        [],
        [
          "page.md:6: Type 'number' does not satisfy the expected type 'string'.",
          "page.md:6: Property 'trim' does not exist on type '1'.",
        ],
        ["page.md:5: Module '\"../lib/errors.js\"' has no exported member 'nothing'."],
        [],
      ]);
      expect(await workshop.run(good, 10_000)).to.eql({ exitCode: 0, stdout: 'TCP_CONFIG object\n', stderr: '' });
      const failed = await workshop.run(mistyped, 10_000);
      expect(failed.exitCode).to.equal(1);
      expect(failed.stderr).to.contain('trim is not a function');
      expect((await workshop.run(endless, 200)).exitCode).to.equal(undefined);
    } finally {
      workshop.close();
    }
    expect(readdirSync(new URL('../..', import.meta.url))).to.not.include(basename(workshop.folder));
  });

  it('run two at a time, those that name a port one at a time', async () => {
    const running = new Set<string>();
    const seen: string[] = [];
    const job = (name: string, code: string) => ({
      code,
      start: async () => {
        running.add(name);
        seen.push([...running].sort().join(''));
        for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
        running.delete(name);
        if (name === 'b') throw new Error('b failed');
        return name;
      },
    });
    const jobs = [job('a', 'port: 0'), job('b', '{ port: 2324 }'), job('c', 'listen(80)'), job('d', '')];
    const ended = await Promise.allSettled(inTwoLanes(jobs));
    expect(ended.map(({ status }) => status)).to.eql(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(seen).to.include('ab').and.to.not.include('bc');
    expect(seen.every((names) => names.length <= 2)).to.equal(true);
  });
});
