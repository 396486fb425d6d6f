import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';

const FOLDER = new URL('../../../demo/nats/', import.meta.url);

describe('the NATS client', () => {
  it('is at most 200 lines of code, codec included, comments and blank lines not', () => {
    const sources = readdirSync(FOLDER).map((file) => readFileSync(new URL(file, FOLDER), 'utf8'));
    const code = sources.map((source) => source.replace(/^\s*(\/\*\*.*?\*\/|\/\/.*?)$/gms, '')).join('\n');
    expect(code.split('\n').filter((line) => line.trim() !== '')).to.have.lengthOf.within(150, 200);
  });
});
