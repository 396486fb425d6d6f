import { expect } from 'chai';
import { concat, EMPTY, NEVER, Observable, of, Subject, throwError, timer, type ObservableInput } from 'rxjs';
import type { Connection } from '../lib/connection/connection.js';
import { ConnectError, ConnectionLostError, ConnectTimeoutError, TlsError, type TcpError } from '../lib/errors.js';
import { Handshake, handshakeFailure } from '../lib/handshake.js';
import { turns } from './support/fixture.js';
import { inVirtualTime } from './support/virtual-socket.js';

type Answering = (connection: Connection<string, string>) => ObservableInput<unknown>;

const endpoint = { host: 'h', port: 1 };
const TIMEOUT = 1000;
const connection = { endpoint } as Connection<string, string>;

/** A handshake, and what it told. */
function made(handshake: Answering) {
  const told: ('done' | TcpError)[] = [];
  const events = { done: () => void told.push('done'), failed: (error: TcpError) => void told.push(error) };
  const one = new Handshake<string, string>({ handshake, timeout: TIMEOUT, scheduler: undefined }, events);
  return { one, told, run: () => one.run(connection, 3) };
}

/** How it turned out, run at once, after all that was on its way has arrived. */
async function outcomeOf(handshake: Answering): Promise<'done' | TcpError | undefined> {
  const { one, told, run } = made(handshake);
  run();
  await turns(3);
  one.stop();
  expect(told.length).to.be.at.most(1);
  return told[0];
}

describe('Handshake', () => {
  it('is given the connection, once, and not before that is there', () => {
    const given: unknown[] = [];
    const { one, run } = made((each) => {
      given.push(each);
      return NEVER;
    });
    expect(given).to.eql([]);
    run();
    expect(given).to.eql([connection]);
    one.stop();
  });

  const done: [string, Answering][] = [
    ['a promise', () => Promise.resolve('anything')],
    ['an async function', async () => {}],
    ['an Observable that completes', () => of(1, 2, 3)],
    ['an empty Observable', () => EMPTY],
    ['a list', () => []],
    ['an async generator', async function* () { yield 1; }], // prettier-ignore
  ];
  for (const [name, handshake] of done)
    it(`is done when its answer completes: ${name}`, async () => expect(await outcomeOf(handshake)).to.equal('done'));

  it('is not done by what an Observable emits, but by its completion', () => {
    const answer = new Subject<number>();
    const { told, run } = made(() => answer);
    run();
    answer.next(1);
    expect(told).to.eql([]);
    answer.complete();
    expect(told).to.eql(['done']);
  });

  const mine = new Error('mine');
  const failing: [string, Answering][] = [
    ['it throws', () => { throw mine; }], // prettier-ignore
    ['its promise rejects', () => Promise.reject(mine)],
    ['its Observable errors', () => throwError(() => mine)],
    [
      'its Observable errors after values',
      () =>
        concat(
          of(1),
          throwError(() => mine),
        ),
    ],
  ];
  for (const [name, handshake] of failing) {
    it(`fails when ${name}, with a ConnectError of its phase`, async () => {
      const error = await outcomeOf(handshake);
      expect(error).to.be.instanceOf(ConnectError);
      expect(error).to.deep.include({ phase: 'handshake', endpoint, epoch: 3, cause: mine });
    });
  }

  it('fails when its answer is nothing that can be waited for, with a TypeError as the cause', async () => {
    for (const answer of [undefined, null, 7, true, {}, () => EMPTY]) {
      const error = await outcomeOf((() => answer) as unknown as Answering);
      expect(error).to.include({ phase: 'handshake' });
      expect((error as ConnectError).cause).to.be.instanceOf(TypeError);
    }
  });

  it('has for its cause whatever it rejected with', async () => {
    for (const reason of [null, 'no', 7]) {
      const error = (await outcomeOf(() => Promise.reject(reason))) as ConnectError;
      expect(error).to.include({ phase: 'handshake', cause: reason });
    }
  });

  describe('the deadline', () => {
    const alarmsOf = (handshake: Answering, runAt: number, stopAt?: number): [number, 'done' | TcpError][] => {
      const alarms: [number, 'done' | TcpError][] = [];
      inVirtualTime(({ at, now }) => {
        const events = {
          done: () => void alarms.push([now(), 'done']),
          failed: (error: TcpError) => void alarms.push([now(), error]),
        };
        const one = new Handshake<string, string>({ handshake, timeout: TIMEOUT, scheduler: undefined }, events);
        at(runAt, () => one.run(connection, 3));
        if (stopAt !== undefined) at(stopAt, () => one.stop());
      });
      return alarms;
    };

    it('counts from the begin of the dial', () => {
      for (const runAt of [0, 1, 999]) {
        const [[time, error] = []] = alarmsOf(() => NEVER, runAt);
        expect(time).to.equal(TIMEOUT);
        expect(error).to.be.instanceOf(ConnectTimeoutError);
        expect(error).to.deep.include({ phase: 'handshake', timeout: TIMEOUT, endpoint, epoch: 3 });
      }
    });

    it('is the dial’s own while there is no connection', () => {
      expect(alarmsOf(() => NEVER, 5000, 0)).to.eql([]);
    });

    it('is over at once for a link that comes when it has passed: the dial’s own may be a moment late', () => {
      const [[at, error] = [], ...more] = alarmsOf(() => NEVER, TIMEOUT);
      expect([at, more.length]).to.eql([TIMEOUT, 0]);
      expect(error).to.be.instanceOf(ConnectTimeoutError);
    });

    it('is over once the handshake is', () => {
      expect(alarmsOf(() => timer(600), 300)).to.eql([[900, 'done']]);
      expect(alarmsOf(() => throwError(() => mine), 300)).to.have.length(1);
    });

    it('cuts off what comes too late', () => {
      const alarms = alarmsOf(() => timer(701), 300);
      expect(alarms).to.have.length(1);
      expect(alarms[0]![1]).to.be.instanceOf(ConnectTimeoutError);
    });

    it('lets go of the answer', () => {
      let gone = 0;
      const answer = new Observable<never>(() => () => gone++);
      alarmsOf(() => answer, 0);
      expect(gone).to.equal(1);
    });

    it('is over when nobody waits for the handshake any more, and nothing is told after that', () => {
      expect(alarmsOf(() => timer(600), 300, 500)).to.eql([]);
      expect(alarmsOf(() => NEVER, 300, 500)).to.eql([]);
    });
  });

  it('stopped lets go of its answer, also within the call that asks for it', () => {
    for (const inside of [true, false]) {
      let gone = 0;
      const { one, told, run } = made(() => {
        if (inside) one.stop();
        return new Observable<never>(() => () => gone++);
      });
      run();
      one.stop();
      expect([gone, told]).to.eql([1, []]);
    }
  });

  it('stopped leaves no rejection alone [S9]', async () => {
    let reject = (_error: Error): void => {};
    const { one, told, run } = made(() => new Promise((_resolve, no) => (reject = no)));
    run();
    one.stop();
    reject(mine);
    await turns(3);
    expect(told).to.eql([]);
  });
});

describe('handshakeFailure', () => {
  const where = { endpoint, epoch: 3 };

  it('is TLS’s own error if it was TLS that failed', () => {
    const failures = [new TlsError({ cause: new Error('x') }), new ConnectError('tls', {})];
    for (const failure of failures) expect(handshakeFailure(failure, where)).to.equal(failure);
  });

  it('is a ConnectError that names the handshake, for anything else', () => {
    for (const cause of [new Error('x'), new ConnectError('connect', {}), new TypeError('x')]) {
      const failure = handshakeFailure(cause, where);
      expect(failure).to.be.instanceOf(ConnectError);
      expect(failure).to.deep.include({ phase: 'handshake', cause, ...where });
    }
  });

  it('keeps the loss of the connection as the cause', () => {
    const facts = { clean: true, endedBy: 'peer', unconfirmed: 0, unread: 0, age: 1, silence: 1 } as const;
    const lost = new ConnectionLostError({ ...facts, bytesRead: 0, bytesWritten: 0, answered: false }, where);
    expect(handshakeFailure(lost, where).cause).to.equal(lost);
  });
});
