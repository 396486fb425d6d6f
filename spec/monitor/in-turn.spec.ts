import { expect } from 'chai';
import { InTurn } from '../../lib/monitor/in-turn.js';

describe('InTurn', () => {
  it('does at once what is asked for while nothing is being done', () => {
    const turns = new InTurn();
    const done: string[] = [];
    turns.do(() => done.push('a'));
    expect(done).to.eql(['a']);
    turns.now(() => done.push('b'));
    expect(done).to.eql(['a', 'b']);
  });

  it('lets what is asked for meanwhile wait, in the order of asking', () => {
    const turns = new InTurn();
    const done: string[] = [];
    turns.do(() => {
      turns.do(() => {
        turns.do(() => done.push('d'));
        done.push('b');
      });
      turns.do(() => done.push('c'));
      done.push('a');
    });
    expect(done).to.eql(['a', 'b', 'c', 'd']);
  });

  it('does what must be done now without waiting, and lets what that asks for wait', () => {
    const turns = new InTurn();
    const done: string[] = [];
    turns.do(() => {
      turns.do(() => done.push('c'));
      turns.now(() => {
        turns.do(() => done.push('d'));
        done.push('a');
      });
      done.push('b');
    });
    expect(done).to.eql(['a', 'b', 'c', 'd']);
  });

  it('goes on after something that throws', () => {
    const turns = new InTurn();
    const done: string[] = [];
    const failing = (): void => {
      turns.do(() => done.push('a'));
      throw new Error('mine');
    };
    expect(() => turns.do(failing)).to.throw('mine');
    turns.do(() => done.push('b'));
    expect(done).to.eql(['a', 'b']);
  });

  it('does a long row without growing the stack', () => {
    const turns = new InTurn();
    let done = 0;
    const next = (): void => {
      if (++done < 50_000) turns.do(next);
    };
    turns.do(next);
    expect(done).to.equal(50_000);
  });
});
