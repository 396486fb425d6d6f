import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { snippetsOfMarkdown } from './support/snippets.js';

describe('docs/guide.md', () => {
  const page = readFileSync(fileURLToPath(new URL('../docs/guide.md', import.meta.url)), 'utf8');
  const snippets = snippetsOfMarkdown('docs/guide.md', page);

  it('shows what each of its programs prints, under a file name of its own', () => {
    const names = [...page.matchAll(/`(\d+-[a-z]+\.ts)`(?:; [^\n]*)?:\n\n```ts\n/g)].map(([, name]) => name);
    expect(new Set(names).size).to.equal(snippets.length);
    for (const { name, output } of snippets) expect(output, name).to.not.equal(undefined);
  });

  it('has one client of at most 80 lines, which is the same where it is used and where it is tested', () => {
    const clients = snippets.flatMap(
      ({ code }) => /^\/\/ The client: from here\n([^]*?)^\/\/ to here\.$/m.exec(code)?.[1] ?? [],
    );
    expect(clients).to.have.lengthOf(2);
    expect(clients[0]).to.equal(clients[1]);
    expect(clients[0]?.trimEnd().split('\n')).to.have.lengthOf.at.most(80);
  });
});
