import { expect } from 'chai';
import { resolveLimits, resolveTerms } from '../../lib/request/request-config.js';
import { refusal } from '../support/refusal.js';
import { TERMS } from './asked-for.js';

const until = (reply: string): boolean => reply === 'end';
const failure = (): undefined => undefined;

describe('resolveLimits', () => {
  it('fills every gap, with the retryLimit of the socket', () => {
    const { limits, options } = resolveLimits('pipelined', {}, 7, []);
    expect(limits).to.eql({ inFlight: 1000, waiting: 100_000, terms: { ...TERMS, retryLimit: 7 } });
    expect({ ...options }).to.eql({});
  });

  it('takes what is given, bounds included, and options of others unchecked', () => {
    const terms = { timeout: 0, resend: 'always', retryLimit: 0, until, failure, maxReplies: 1 } as const;
    const { limits, options } = resolveLimits('x', { ...terms, inFlight: 1, waiting: 0, own: 3 }, 7, ['own']);
    expect(limits).to.eql({ inFlight: 1, waiting: 0, terms });
    expect(options.own).to.equal(3);
    const endless = { inFlight: Infinity, waiting: Infinity, maxReplies: Infinity, retryLimit: Infinity };
    expect(resolveLimits('x', endless, 7, []).limits).to.include({ inFlight: Infinity, waiting: Infinity });
  });

  for (const [option, value, message] of [
    ['inFlight', 0, '`inFlight` must be a whole number from 1 to Infinity, got 0 (number)'],
    ['inFlight', 1.5, '`inFlight` must be a whole number from 1 to Infinity, got 1.5 (number)'],
    ['inFlight', '5', '`inFlight` must be a whole number from 1 to Infinity, got "5" (string)'],
    ['waiting', -1, '`waiting` must be a whole number from 0 to Infinity, got -1 (number)'],
    ['waiting', null, '`waiting` must be a whole number from 0 to Infinity, got null'],
    ['inflight', 5, '`inflight` is not an option of pipelined; did you mean `inFlight`?'],
    ['__proto__', 5, '`__proto__` is not an option of pipelined'],
  ] as const) {
    it(`refuses ${option}: ${String(value)}`, () => {
      const config = Object.defineProperty({}, option, { value, enumerable: true });
      expect(refusal(() => resolveLimits('pipelined', config, 7, []))).to.equal(message);
    });
  }
});

const BAD_TERMS = [
  ['timeout', -1, '`timeout` must be a number from 0 to 2147483647, got -1 (number)'],
  ['timeout', NaN, '`timeout` must be a number from 0 to 2147483647, got NaN (number)'],
  ['timeout', Infinity, '`timeout` must be a number from 0 to 2147483647, got Infinity (number)'],
  ['timeout', 2 ** 31, '`timeout` must be a number from 0 to 2147483647, got 2147483648 (number)'],
  ['resend', 'Always', "`resend` must be 'never' or 'unsent' or 'always', got \"Always\" (string)"],
  ['resend', true, "`resend` must be 'never' or 'unsent' or 'always', got true (boolean)"],
  ['retryLimit', -1, '`retryLimit` must be a whole number from 0 to Infinity, got -1 (number)'],
  ['until', /x/, '`until` must be a function, got an object'],
  ['failure', 'code', '`failure` must be a function, got "code" (string)'],
  ['until', null, '`until` must be a function, got null'],
  ['maxReplies', 0, '`maxReplies` must be a whole number from 1 to Infinity, got 0 (number)'],
] as const;

describe('resolveTerms', () => {
  it('fills the gaps of one request with what holds for all', () => {
    const all = { timeout: 5, resend: 'always', retryLimit: 2, until, failure, maxReplies: 3 } as const;
    expect(resolveTerms({}, all)).to.eql(all);
    expect(resolveTerms({ timeout: undefined, until: undefined }, all)).to.eql(all);
    const its = {
      timeout: 0,
      resend: 'never',
      retryLimit: 0,
      until: () => true,
      failure: () => undefined,
      maxReplies: 1,
    } as const;
    expect(resolveTerms(its, all)).to.eql(its);
  });

  for (const [option, value, message] of BAD_TERMS) {
    it(`refuses ${option}: ${String(value)}, of one request and of all`, () => {
      expect(refusal(() => resolveTerms({ [option]: value }, TERMS))).to.equal(message);
      expect(refusal(() => resolveLimits('x', { [option]: value }, 7, []))).to.equal(message);
    });
  }

  it('refuses what is for all requests, and what is no options', () => {
    expect(refusal(() => resolveTerms({ inFlight: 3 }, TERMS))).to.equal('`inFlight` is not an option of request');
    expect(refusal(() => resolveTerms(5_000, TERMS))).to.equal('`request` must be an object, got 5000 (number)');
    expect(refusal(() => resolveTerms(null, TERMS))).to.equal('`request` must be an object, got null');
  });
});
