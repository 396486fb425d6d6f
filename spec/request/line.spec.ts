import { expect } from 'chai';
import { Line, type Spot } from '../../lib/request/line.js';
import { seededRandom } from '../support/random.js';

function lineOf(...items: string[]): { readonly line: Line<string>; readonly spots: Spot<string>[] } {
  const line = new Line<string>();
  return { line, spots: items.map((item) => line.push(item)) };
}

describe('Line', () => {
  it('is empty at first', () => {
    const line = new Line<string>();
    expect([line.length, line.first, line.all()]).to.eql([0, undefined, []]);
  });

  it('keeps items in the order in which they came', () => {
    const { line } = lineOf('a', 'b', 'c');
    expect([line.length, line.first, line.all()]).to.eql([3, 'a', ['a', 'b', 'c']]);
  });

  it('puts an item before the first, also where there is none', () => {
    const line = new Line<string>();
    line.unshift('b');
    line.unshift('a');
    line.push('c');
    expect([line.length, line.all()]).to.eql([3, ['a', 'b', 'c']]);
  });

  for (const [leaves, rest] of [
    [[0], 'bcd'],
    [[3], 'abc'],
    [[1], 'acd'],
    [[1, 2], 'ad'],
    [[2, 1, 3], 'a'],
    [[0, 1, 2, 3], ''],
  ] as const) {
    it(`is left from the places ${leaves.join(', ')}, and takes others in behind and before the rest`, () => {
      const { line, spots } = lineOf('a', 'b', 'c', 'd');
      for (const index of leaves) line.leave(spots[index]!);
      expect([line.length, line.first ?? '', line.all().join('')]).to.eql([rest.length, rest[0] ?? '', rest]);
      line.push('z');
      line.unshift('x');
      expect([line.length, line.all().join('')]).to.eql([rest.length + 2, `x${rest}z`]);
    });
  }

  it('lets a spot that was left keep no other alive', () => {
    const { line, spots } = lineOf('a', 'b', 'c');
    for (const spot of [spots[1]!, spots[0]!, spots[2]!]) line.leave(spot);
    for (const { before, behind } of spots) expect([before, behind]).to.eql([undefined, undefined]);
  });

  it('gives a copy of those that stand in it', () => {
    const { line, spots } = lineOf('a', 'b');
    const all = line.all();
    line.leave(spots[0]!);
    expect(all).to.eql(['a', 'b']);
  });

  it('does as an array does, through thousands of random steps', () => {
    const random = seededRandom(3);
    const line = new Line<number>();
    const model: Spot<number>[] = [];
    for (let step = 0; step < 5_000; step++) {
      const choice = random.next();
      if (choice < 0.35) model.push(line.push(step));
      else if (choice < 0.5) model.unshift(line.unshift(step));
      else if (model.length > 0) line.leave(model.splice(random.int(0, model.length - 1), 1)[0]!);
      expect([line.length, line.first]).to.eql([model.length, model[0]?.item]);
      if (step % 50 === 0) expect(line.all()).to.eql(model.map(({ item }) => item));
    }
  });
});
