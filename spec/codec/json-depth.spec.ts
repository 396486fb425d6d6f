import { expect } from 'chai';
import fc from 'fast-check';
import { nestsDeeper } from '../../lib/codec/json-depth.js';
import { holds } from '../support/property.js';
import { workOf } from './work.js';

describe('nestsDeeper()', () => {
  holds('counts as the parsed value does, for any JSON', 1000, fc.jsonValue({ maxDepth: 8 }), (value) => {
    const text = JSON.stringify(value);
    const depth = depthOf(JSON.parse(text));
    expect([depth - 1, depth, depth + 1].map((max) => nestsDeeper(text, max))).to.eql([depth > 0, false, false]);
  });

  it('does not go into quadratic work on escapes and strings without an end', () => {
    for (const text of [
      '[[',
      '"\\'.repeat(200_000),
      `[["${'\\"'.repeat(200_000)}`,
      `[["${'\\\\'.repeat(200_000)}"[[[`,
    ]) {
      expect(workOf(() => nestsDeeper(text, 1)).scanned).to.be.at.most(3 * text.length);
    }
  });
});

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
