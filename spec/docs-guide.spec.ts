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

  /** What stands in the programs between `The client: from here` and `to here`. */
  const marked = (what: string): string[] =>
    snippets.flatMap(
      ({ code }) => new RegExp(`^// The ${what}: from here\n([^]*?)^// to here\\.$`, 'm').exec(code)?.[1] ?? [],
    );

  it('has one client of at most 40 lines, which is the same where it is used and where it is tested', () => {
    const clients = marked('client');
    expect(clients).to.have.lengthOf(2);
    expect(clients[0]).to.equal(clients[1]);
    expect(clients[0]?.trimEnd().split('\n')).to.have.lengthOf.at.most(40);
  });

  it('has one codec for Redis of at most 80 lines, which is the same in each program with it', () => {
    const codecs = marked('codec');
    expect(codecs).to.have.lengthOf(3);
    expect(new Set(codecs).size).to.equal(1);
    expect(codecs[0]?.trimEnd().split('\n')).to.have.lengthOf.at.most(80);
  });
});
