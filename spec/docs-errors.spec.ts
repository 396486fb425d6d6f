import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string): string => readFileSync(`${ROOT}${file}`, 'utf8');

/** The classes of lib/errors.ts: name, code, and the fields that each has beside those of all. */
function family(): { name: string; code: string; fields: string[] }[] {
  const classes = read('lib/errors.ts')
    .split(/^export class /m)
    .slice(1);
  return classes.map((source) => {
    const name = /^\w+/.exec(source)?.[0] ?? '';
    const members = [...source.matchAll(/^ {2}readonly (\w+)/gm)].map(([, member = '']) => member);
    const fields = members.filter((member) => member !== 'code');
    if (/^\w+ extends MessageError /.test(source)) fields.push('undelivered');
    return { name, code: /readonly code = '(\w+)'/.exec(source)?.[1] ?? '', fields };
  });
}

describe('docs/errors.md', () => {
  const page = read('docs/errors.md');
  const sections = new Map(
    page.split(/^## `/m).slice(1).map((section) => [/^\w+/.exec(section)?.[0] ?? '', section]), // prettier-ignore
  );

  it('has a section for each code, and for no other', () => {
    expect([...sections.keys()]).to.have.members(family().map(({ code }) => code));
  });

  it('lists each code with its class, in the order of the sections', () => {
    const listed = [...page.matchAll(/^\| \[`(\w+)`\]\(#(\w+)\) \| `(\w+)`/gm)].map(([, ...cells]) => cells);
    const classOf = new Map(family().map(({ code, name }) => [code, name]));
    expect(listed).to.eql([...sections.keys()].map((code) => [code, code.toLowerCase(), classOf.get(code)]));
  });

  for (const { name, code, fields } of family()) {
    it(`names ${name} and what it knows`, () => {
      const section = sections.get(code) ?? '';
      expect(section).to.include(`\n\`${name}\`:`);
      for (const field of fields) expect(section, field).to.include(`\`${field}\``);
    });
  }
});
