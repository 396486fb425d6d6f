import { expect } from 'chai';
import {
  callable,
  flag,
  given,
  integer,
  MAX_TIMER,
  milliseconds,
  number,
  oneOf,
  refused,
  required,
  text,
} from '../lib/check.js';
import { refusal } from './support/refusal.js';

describe('given', () => {
  it('takes the known options over into an object that inherits nothing', () => {
    const taken = given('thing', { a: 1, b: null }, ['a', 'b', 'c']);
    expect({ ...taken }).to.eql({ a: 1, b: null });
    expect(Object.getPrototypeOf(taken)).to.equal(null);
  });

  it('takes undefined as not given', () => {
    expect(Object.keys(given('thing', { a: undefined }, ['a']))).to.eql([]);
  });

  it('leaves out what the options only inherit', () => {
    expect({ ...given('thing', Object.create({ a: 1 }), ['a']) }).to.eql({});
  });

  it('reads each option once', () => {
    let reads = 0;
    const options = {
      get a() {
        return ++reads;
      },
    };
    expect(given('thing', options, ['a']).a).to.equal(1);
    expect(reads).to.equal(1);
  });

  it('takes frozen options and leaves them as they are', () => {
    const options = Object.freeze({ a: 1 });
    given('thing', options, ['a']);
    expect(options).to.eql({ a: 1 });
  });

  for (const [shown, options] of [
    ['null', null],
    ['undefined', undefined],
    ['an array', []],
    ['"abc" (string)', 'abc'],
    ['5 (number)', 5],
    ['a function', () => {}],
  ] as const) {
    it(`refuses ${shown} in the place of options`, () => {
      expect(refusal(() => given('thing', options, []))).to.equal(`\`thing\` must be an object, got ${shown}`);
    });
  }

  for (const [name, nearest] of [
    ['reconect', 'reconnect'],
    ['RECONNECT', 'reconnect'],
    ['retry', undefined],
    ['zzz', undefined],
    ['prot', 'port'],
    ['hots', 'host'],
    ['connectTimeOut', 'connectTimeout'],
    ['', undefined],
  ] as const) {
    it(`refuses the unknown name '${name}' ${nearest === undefined ? 'without a hint' : `and names ${nearest}`}`, () => {
      const message = refusal(() => given('thing', { [name]: 1 }, ['reconnect', 'port', 'host', 'connectTimeout']));
      const hint = nearest === undefined ? '' : `; did you mean \`${nearest}\`?`;
      expect(message).to.equal(`\`${name}\` is not an option of thing${hint}`);
    });
  }

  it('refuses an unknown name also when its value is undefined, and where no name is known', () => {
    expect(refusal(() => given('thing', { a: undefined }, ['abcdef']))).to.match(/`a` is not an option of thing/);
    expect(refusal(() => given('thing', { abc: 1 }, []))).to.equal('`abc` is not an option of thing');
  });

  it('refuses `__proto__` and `constructor` like any unknown name', () => {
    expect(refusal(() => given('thing', JSON.parse('{"__proto__":{"a":1}}'), ['a']))).to.match(/^`__proto__` is not/);
    expect(refusal(() => given('thing', { constructor: 1 }, ['a']))).to.match(/^`constructor` is not/);
  });

  it('cuts a long name short', () => {
    expect(refusal(() => given('thing', { ['x'.repeat(5_000)]: 1 }, ['a'])).length).to.be.below(120);
  });
});

describe('number', () => {
  it('takes what is within the bounds, both included, and the fallback for undefined', () => {
    expect([1, 1.5, 2].map((value) => number('n', value, 9, 1, 2))).to.eql([1, 1.5, 2]);
    expect(number('n', undefined, 9, 1, 2)).to.equal(9);
    expect(number('n', Infinity, 9, 1, Infinity)).to.equal(Infinity);
  });

  for (const value of [NaN, Infinity, -Infinity, 0.999, 2.001, '1', null, 1n, [1], true]) {
    it(`refuses ${typeof value} ${String(value)}`, () => {
      expect(refusal(() => number('n', value, 9, 1, 2))).to.match(/^`n` must be a number from 1 to 2, got /);
    });
  }
});

describe('integer', () => {
  it('takes whole numbers within the bounds, both included, and the fallback for undefined', () => {
    expect([1, 2, 3].map((value) => integer('n', value, 9, 1, 3))).to.eql([1, 2, 3]);
    expect(integer('n', undefined, 9, 1, 3)).to.equal(9);
  });

  it('takes Infinity only where there is no upper bound', () => {
    expect(integer('n', Infinity, 9, 1, Infinity)).to.equal(Infinity);
    expect(refusal(() => integer('n', Infinity, 9, 1, 3))).to.match(/got Infinity \(number\)$/);
    expect(refusal(() => integer('n', -Infinity, 9, 1, Infinity))).to.match(/got -Infinity \(number\)$/);
  });

  for (const value of [NaN, 1.5, 0, 4, '1', null, 1n, [1], true]) {
    it(`refuses ${typeof value} ${String(value)}`, () => {
      expect(refusal(() => integer('n', value, 9, 1, 3))).to.match(/^`n` must be a whole number from 1 to 3, got /);
    });
  }
});

describe('milliseconds', () => {
  it('takes what a timer of Node can keep, up to 2 ** 31 - 1', () => {
    expect([0, 0.5, MAX_TIMER].map((value) => milliseconds('t', value, 9))).to.eql([0, 0.5, 2_147_483_647]);
    expect(milliseconds('t', undefined, 9)).to.equal(9);
  });

  for (const value of [2 ** 31, Infinity, NaN, -1, '5']) {
    it(`refuses ${typeof value} ${String(value)}, which a timer would take for 1 ms`, () => {
      expect(refusal(() => milliseconds('t', value, 9))).to.match(/^`t` must be a number from 0 to 2147483647, got /);
    });
  }

  it('keeps to a least value', () => {
    expect(refusal(() => milliseconds('t', 9, 50, 10))).to.match(/from 10 to/);
    expect(milliseconds('t', 10, 50, 10)).to.equal(10);
  });
});

describe('flag', () => {
  it('takes true and false, and the fallback for undefined', () => {
    expect([flag('f', true, false), flag('f', false, true), flag('f', undefined, true)]).to.eql([true, false, true]);
  });

  for (const value of [0, 1, 'true', '', null, {}]) {
    it(`refuses ${typeof value} ${JSON.stringify(value)}`, () => {
      expect(refusal(() => flag('f', value, true))).to.match(/^`f` must be true or false, got /);
    });
  }
});

describe('text', () => {
  it('takes a string, and undefined as not given', () => {
    expect([text('s', 'a'), text('s', undefined)]).to.eql(['a', undefined]);
  });

  for (const value of ['', 0, null, [], Buffer.from('a')]) {
    it(`refuses ${JSON.stringify(value)}`, () => {
      expect(refusal(() => text('s', value))).to.match(/^`s` must be a string that is not empty, got /);
    });
  }
});

describe('oneOf', () => {
  it('takes its words, and the fallback for undefined', () => {
    expect([oneOf('w', 'b', 'a', ['a', 'b']), oneOf('w', undefined, 'a', ['a', 'b'])]).to.eql(['b', 'a']);
  });

  for (const value of ['c', 'A', '', 0, null, ['a']]) {
    it(`refuses ${JSON.stringify(value)}, listing the words`, () => {
      expect(refusal(() => oneOf('w', value, 'a', ['a', 'b']))).to.match(/^`w` must be 'a' or 'b', got /);
    });
  }
});

describe('callable', () => {
  it('takes a function as it is, and undefined as not given', () => {
    const f = (): void => {};
    expect([callable('f', f), callable('f', undefined)]).to.eql([f, undefined]);
  });

  for (const value of [null, {}, 'f', 0]) {
    it(`refuses ${JSON.stringify(value)}`, () => {
      expect(refusal(() => callable('f', value))).to.match(/^`f` must be a function, got /);
    });
  }
});

describe('required', () => {
  it('takes a function as it is', () => {
    const f = (): void => {};
    expect(required('f', f)).to.equal(f);
  });

  it('refuses that there is none', () => {
    expect(refusal(() => required('f', undefined))).to.equal('`f` must be a function, got undefined');
  });
});

describe('refused', () => {
  for (const [value, shown] of [
    [undefined, 'undefined'],
    [null, 'null'],
    [-1, '-1 (number)'],
    [NaN, 'NaN (number)'],
    [7n, '7 (bigint)'],
    [true, 'true (boolean)'],
    ['a"b\r\n', '"a\\"b\\r\\n" (string)'],
    [{ secret: 1 }, 'an object'],
    [[1, 2], 'an array'],
    [() => 1, 'a function'],
    [Symbol('s'), 'Symbol(s) (symbol)'],
  ] as const) {
    it(`shows ${shown} as the value that came`, () => {
      const error = refused('option', 'something', value);
      expect(error.message).to.equal(`\`option\` must be something, got ${shown}`);
      expect(error.code).to.equal('TCP_CONFIG');
    });
  }

  for (const [what, value] of [
    ['a long string', 'x'.repeat(10_000)],
    ['a string full of line breaks', '\n'.repeat(10_000)],
    ['a long bigint', 10n ** 5_000n],
    ['a symbol with line breaks', Symbol('a\r\nb')],
  ] as const) {
    it(`stays short and on one line for ${what}`, () => {
      const { message } = refused('option', 'something', value);
      expect(message).to.match(/^.{1,200}$/);
    });
  }
});
