import { expect } from 'chai';
import { concat, EMPTY, NEVER, Observable, of, throwError } from 'rxjs';
import { clock } from '../../lib/clock.js';
import type { EndpointsConfig } from '../../lib/config.js';
import { Endpoints } from '../../lib/connection/endpoints.js';
import { ConfigError, type Endpoint } from '../../lib/errors.js';
import { turns } from '../support/fixture.js';

const COOLDOWN = 10_000;
const a = { host: 'a', port: 1 };
const b = { host: 'b', port: 2 };
const c = { path: '/c' };

/** What came of asking once. */
interface Asked {
  endpoint: Endpoint | undefined;
  error: unknown;
  completed: boolean;
}

function ask(endpoints: Endpoints): Asked {
  const asked: Asked = { endpoint: undefined, error: undefined, completed: false };
  try {
    endpoints.next().subscribe({
      next: (endpoint) => (asked.endpoint = endpoint),
      error: (error: unknown) => (asked.error = error),
      complete: () => (asked.completed = true),
    });
  } catch (error) {
    asked.error = error; // of a function that throws
  }
  return asked;
}

function over(list: unknown, config: Partial<EndpointsConfig> = {}): Endpoints {
  return new Endpoints({ list: () => list, dialled: false, cooldown: COOLDOWN, ...config });
}

/** The next ones in turn, in a few letters; those of `failing` fail, the others open. */
function dialled(endpoints: Endpoints, count: number, failing: readonly Endpoint[] = []): string {
  const names = [];
  for (let i = 0; i < count; i++) {
    const endpoint = ask(endpoints).endpoint!;
    if (failing.some((other) => nameOf(other) === nameOf(endpoint))) endpoints.failed(endpoint);
    else endpoints.opened(endpoint);
    names.push(nameOf(endpoint));
  }
  return names.join('');
}

function nameOf({ host, path }: Endpoint): string {
  return host ?? path?.slice(1) ?? '-';
}

describe('Endpoints', () => {
  const { now } = clock;
  let time = 0;
  beforeEach(() => {
    time = 1_000;
    clock.now = () => time;
  });
  after(() => {
    clock.now = now;
  });

  describe('whose turn it is', () => {
    it('goes through the list in its order, one at a time, over and over, starting after the last one', () => {
      expect(dialled(over([a, b, c]), 7)).to.equal('abcabca');
    });

    it('is always the only one of a list of one, also while it fails', () => {
      expect(dialled(over([a]), 3, [a])).to.equal('aaa');
    });

    it('passes over one that failed, for `cooldown` ms and not longer', () => {
      const endpoints = over([a, b, c]);
      expect(dialled(endpoints, 6, [b])).to.equal('abcaca');
      time += COOLDOWN - 1;
      expect(dialled(endpoints, 2, [b])).to.equal('ca');
      time += 1;
      expect(dialled(endpoints, 4, [b])).to.equal('bcac');
    });

    it('passes over none if all have failed: then they are tried in turn', () => {
      const endpoints = over([a, b, c]);
      expect(dialled(endpoints, 6, [a, b, c])).to.equal('abcabc');
      expect(dialled(endpoints, 3, [a, c]), 'b works again').to.equal('abb');
    });

    it('passes over none without a cooldown', () => {
      expect(dialled(over([a, b], { cooldown: 0 }), 4, [a])).to.equal('abab');
    });

    it('counts the cooldown from the last failure', () => {
      const endpoints = over([a, b]);
      expect(dialled(endpoints, 1, [a])).to.equal('a');
      time += COOLDOWN;
      expect(dialled(endpoints, 2, [a])).to.equal('ba');
      time += COOLDOWN - 1;
      expect(dialled(endpoints, 2)).to.equal('bb');
    });

    it('forgets a failure of one that works again', () => {
      const endpoints = over([a, b]);
      endpoints.failed(a);
      endpoints.opened({ ...a });
      expect(dialled(endpoints, 2)).to.equal('ab');
    });

    it('knows an endpoint by what it says, not as an object', () => {
      const endpoints = new Endpoints({
        list: () => [{ ...a }, { ...b }, { host: 'a', port: 3 }],
        ...{ dialled: false, cooldown: COOLDOWN },
      });
      endpoints.failed({ port: 1, host: 'a' });
      expect([ask(endpoints), ask(endpoints), ask(endpoints)].map(({ endpoint }) => endpoint)).to.eql([
        b,
        { host: 'a', port: 3 },
        b,
      ]);
    });

    it('comes to everybody, also in a list that has one of them twice', () => {
      expect(dialled(over([a, a, b]), 6)).to.equal('aabaab');
      expect(dialled(over([a, b, a, c]), 8)).to.equal('abacabac');
    });
  });

  describe('a list that changes', () => {
    it('goes on after the last one, wherever that is now', () => {
      let list = [a, b, c];
      const endpoints = new Endpoints({ list: () => list, dialled: false, cooldown: COOLDOWN });
      expect(dialled(endpoints, 1)).to.equal('a');
      list = [c, a, b];
      expect(dialled(endpoints, 1)).to.equal('b');
      list = [b, c];
      expect(dialled(endpoints, 2)).to.equal('cb');
    });

    it('goes on with whoever has the place of the last one, if that is gone', () => {
      let list: Endpoint[] = [a, b, c];
      const endpoints = new Endpoints({ list: () => list, dialled: false, cooldown: COOLDOWN });
      expect(dialled(endpoints, 2)).to.equal('ab');
      list = [a, c];
      expect(dialled(endpoints, 1)).to.equal('c');
      list = [a];
      expect(dialled(endpoints, 1)).to.equal('a');
    });

    it('forgets the failure of one that has gone from it: if it comes back it is as good as any', () => {
      let list: Endpoint[] = [a, b];
      const endpoints = new Endpoints({ list: () => list, dialled: false, cooldown: COOLDOWN });
      expect(dialled(endpoints, 2, [a])).to.equal('ab');
      list = [b];
      expect(dialled(endpoints, 1)).to.equal('b');
      list = [b, a];
      expect(dialled(endpoints, 1)).to.equal('a');
    });

    it('is asked for at each dial, and only then', () => {
      let asked = 0;
      const endpoints = new Endpoints({ list: () => (asked++, [a]), dialled: false, cooldown: COOLDOWN });
      expect(asked).to.equal(0);
      dialled(endpoints, 3);
      expect(asked).to.equal(3);
    });
  });

  describe('what the function may answer', () => {
    const answers: [string, () => unknown][] = [
      ['a list', () => [a, b]],
      ['a promise of it', () => Promise.resolve([a, b])],
      ['an Observable of it', () => of([a, b])],
      ['an Observable of several, of which the first counts', () => of([a], [b])],
      ['an Observable that never completes', () => concat(of([a]), NEVER)],
      ['a list of lists, of which the first counts', () => [[a], [b]]],
      ['an async iterable of it', async function* () { yield [a]; }], // prettier-ignore
    ];
    for (const [name, list] of answers) {
      it(`is ${name}`, async () => {
        const asked = ask(new Endpoints({ list, dialled: false, cooldown: COOLDOWN }));
        await turns(3);
        expect(asked).to.eql({ endpoint: a, error: undefined, completed: true });
      });
    }

    it('lets go of an Observable once it has its list, and when nobody waits for it any more', () => {
      let gone = 0;
      const source = (...lists: unknown[]): Observable<unknown> =>
        new Observable((subscriber) => {
          for (const list of lists) subscriber.next(list);
          return () => gone++;
        });
      ask(over(source([a])));
      expect(gone).to.equal(1);
      over(source()).next().subscribe().unsubscribe();
      expect(gone).to.equal(2);
    });

    it('is checked and completed like the option itself, and the answer is left as it is', () => {
      const given = Object.freeze([Object.freeze({ port: '7' }), Object.freeze({ host: '[::1]', port: 7 })]);
      const endpoints = over(given);
      expect([ask(endpoints).endpoint, ask(endpoints).endpoint]).to.eql([
        { host: 'localhost', port: 7 },
        { host: '::1', port: 7 },
      ]);
    });

    it('may lack a port where a `dial` of the user’s goes there', () => {
      expect(ask(over([{ host: 'x' }], { dialled: true })).endpoint).to.eql({ host: 'x' });
    });
  });

  describe('what is no list', () => {
    const mine = new Error('mine');
    const wrong: [string, unknown, string | Error][] = [
      ['an empty list', [], '`endpoints` answered an empty list'],
      ['an Observable of an empty list', of([]), '`endpoints` answered an empty list'],
      ['an Observable of none', EMPTY, '`endpoints` completed without a list'],
      ['an Observable that errors', throwError(() => mine), mine],
      ['a promise that rejects', Promise.reject(mine), mine],
    ];
    for (const [, answer] of wrong) if (answer instanceof Promise) answer.catch(() => undefined);
    for (const [name, answer, expected] of wrong) {
      it(`errors: ${name}`, async () => {
        const asked = ask(over(answer));
        await turns(3);
        expect(asked.endpoint).to.be.undefined;
        if (typeof expected === 'string') expect(asked.error).to.be.an('error').with.property('message', expected);
        else expect(asked.error).to.equal(expected);
      });
    }

    it('errors with a TypeError for what can be no source of a list at all', () => {
      for (const answer of [undefined, null, 7, {}]) expect(ask(over(answer)).error).to.be.instanceOf(TypeError);
    });

    it('errors with a ConfigError that names the item and what is wrong with it', () => {
      const garbage: [unknown, string][] = [
        ['localhost:80', 'endpoints'],
        [of({ host: 'x', port: 1 }), 'endpoints'],
        [[a, { host: 'x' }], 'endpoints[1].port'],
        [[{ host: 'x', port: 65_536 }], 'endpoints[0].port'],
        [[{ host: '', port: 1 }], 'endpoints[0].host'],
        [[{ host: 'x', port: 1, prot: 2 }], 'prot'],
        [[null], 'endpoints[0]'],
        [[{ path: '/x', port: 1 }], 'endpoints[0]'],
      ];
      for (const [answer, named] of garbage) {
        const { error } = ask(over(answer));
        expect(error, named).to.be.instanceOf(ConfigError);
        expect((error as Error).message).to.contain(named);
      }
    });

    it('passes on what the function throws', () => {
      const mine = new Error('mine');
      const list = (): never => {
        throw mine;
      };
      expect(ask(new Endpoints({ list, dialled: false, cooldown: COOLDOWN })).error).to.equal(mine);
    });

    it('leaves the turn where it was', () => {
      let list: unknown = [a, b, c];
      const endpoints = new Endpoints({ list: () => list, dialled: false, cooldown: COOLDOWN });
      expect(dialled(endpoints, 1)).to.equal('a');
      list = [];
      ask(endpoints);
      list = [a, b, c];
      expect(dialled(endpoints, 2)).to.equal('bc');
    });
  });
});
