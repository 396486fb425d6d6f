import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';

const FOLDER = new URL('../../../demo/redis/', import.meta.url);

/** Lines that are neither blank nor part of a comment of their own. */
function codeLinesOf(file: string): number {
  const text = readFileSync(new URL(file, FOLDER), 'utf8').replace(/^\s*\/\*\*.*?\*\/$/gms, '');
  return text.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//')).length;
}

describe('the Redis client', () => {
  it('has a core of at most 200 lines of code, codec included, beside its channels and its pings', () => {
    const lines = new Map(readdirSync(FOLDER).map((file) => [file, codeLinesOf(file)]));
    const sum = [...lines.values()].reduce((total, count) => total + count, 0);
    const beside = (lines.get('channels.ts') ?? NaN) + (lines.get('pinging.ts') ?? NaN);
    expect(beside).to.be.within(10, 70);
    expect(sum - beside).to.be.within(100, 200);
  });
});
