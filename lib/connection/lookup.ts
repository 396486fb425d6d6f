/**
 * A lookup may throw, answer twice, or answer nonsense, which Node turns into an uncaught exception; here it becomes an ordinary error.
 */
import type * as dns from 'node:dns';
import * as net from 'node:net';

/** The same lookup, checked; `entered` hears when it begins, and when an address is there. */
export function checkedLookup(
  lookup: net.LookupFunction,
  entered: (phase: 'lookup' | 'connect') => void,
): net.LookupFunction {
  return (hostname, options, callback) => {
    let over = false;
    const answer = (error: unknown, address?: unknown): void => {
      if (over) return;
      over = true;
      const addresses = error ? [] : addressesIn(address);
      const first = addresses[0];
      if (first === undefined) return callback(asError(error), '', 0);
      entered('connect');
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    };
    entered('lookup');
    try {
      // An async function is taken for one that answers nothing; what it throws is its answer.
      const ask: (...args: Parameters<net.LookupFunction>) => unknown = lookup;
      const answered = ask(hostname, options, answer);
      if (answered instanceof Promise) answered.catch(answer);
    } catch (error) {
      answer(error ?? new Error('lookup threw'));
    }
  };
}

function addressesIn(answer: unknown): dns.LookupAddress[] {
  const list: unknown[] = Array.isArray(answer) ? answer : [answer];
  return list.flatMap((item) => {
    const address: unknown = typeof item === 'object' && item !== null ? Reflect.get(item, 'address') : item;
    const family = typeof address === 'string' ? net.isIP(address) : 0;
    return family === 0 ? [] : [{ address: address as string, family }];
  });
}

function asError(error: unknown): Error {
  if (error instanceof Error) return error;
  return new Error(error ? 'lookup failed with something that is not an Error' : 'lookup answered no address');
}
