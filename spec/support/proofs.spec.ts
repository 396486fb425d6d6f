import { expect } from 'chai';
import { promises, proofsOf, specTexts, withProofs } from './proofs.js';

const REMEDY = 'write it anew: node --no-warnings --loader ts-node/esm spec/support/proofs.ts';

/** As in a title; spelled out here, this file would count as a proof. */
const tag = (n: number): string => `[S${n}]`;

describe('docs/semantics.md', () => {
  const specs = specTexts();
  const now = sectionsOf(promises());
  const wanted = sectionsOf(withProofs(promises(), specs));

  it('has twelve promises', () => {
    expect([...now.keys()]).to.eql(Array.from({ length: 12 }, (_, i) => `S${i + 1}`));
  });

  for (const number of now.keys()) {
    it(`says of ${number} which specs prove it`, () => {
      expect(proofsOf(number, specs)).not.to.equal('');
      expect(now.get(number), REMEDY).to.equal(wanted.get(number));
    });
  }
});

describe('withProofs', () => {
  const specs = {
    'top.spec.ts': `it('a ${tag(1)}', f); it('b ${tag(12)}', f);`,
    'inbound/gate.spec.ts': `it(\n  \`c ${tag(1)}${tag(2)}\`,\n f);`,
    'inbound/other.spec.ts': `// ${tag(1)}\n/**\n * ${tag(2)}\n */\nit('d', f);`,
  };

  it('finds the titles that carry a number, and no comment', () => {
    expect(proofsOf('S1', specs)).to.equal('top; inbound: gate');
    expect(proofsOf('S2', specs)).to.equal('inbound: gate');
    expect(proofsOf('S12', specs)).to.equal('top');
  });

  it('puts the line at the end of each promise, in place of an old one, and leaves the rest as it is', () => {
    const page =
      '# T\n\nIntro.\n\n## S1 One\n\nText.\n\n*Proved by* old,\nvery old\n\n## S2 Two\n\nText.\n\n## More\n\nEnd.\n';
    const proved = '# T\n\nIntro.\n\n## S1 One\n\nText.\n\n*Proved by* top; inbound: gate\n\n';
    const rest = '## S2 Two\n\nText.\n\n*Proved by* inbound: gate\n\n## More\n\nEnd.\n';
    expect(withProofs(page, specs)).to.equal(proved + rest);
    expect(withProofs(proved + rest, specs)).to.equal(proved + rest);
  });
});

/** The text of each promise, by its number. */
function sectionsOf(page: string): Map<string, string> {
  const sections = page.split(/^(?=## )/m).flatMap((text) => {
    const number = /^## (S\d+) /.exec(text)?.[1];
    return number === undefined ? [] : [[number, text] as const];
  });
  return new Map(sections);
}
