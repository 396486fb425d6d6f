import { once } from 'node:events';
import * as net from 'node:net';
import { PassThrough, type Duplex } from 'node:stream';
import { expect } from 'chai';
import type { Subscription } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import type { ConnectionConfig } from '../../lib/config.js';
import { dial } from '../../lib/connection/dial.js';
import type { Link } from '../../lib/connection/link.js';
import { ConnectError, ConnectTimeoutError } from '../../lib/errors.js';
import { resolveConnection } from '../../lib/resolve-config.js';
import { atEnd, kept, leavesNothingOpen, turns } from '../support/fixture.js';
import { noneLeft, openHandles, until } from '../support/leaks.js';
import { deadPort, listen, socketPath } from '../support/servers.js';

type Lookup = NonNullable<NonNullable<ConnectionConfig['socket']>['lookup']>;

/** What came of one subscription to a dial. */
interface Attempt {
  readonly links: Link[];
  readonly errors: (ConnectError | ConnectTimeoutError)[];
  completed: boolean;
  readonly subscription: Subscription;
  /** Resolves once it has opened or failed. */
  readonly done: Promise<void>;
}

function attempt(config: ConnectionConfig, epoch = 0): Attempt {
  const links: Link[] = [];
  const errors: Attempt['errors'] = [];
  const made = { links, errors, completed: false };
  let tell = (): void => {};
  const done = new Promise<void>((resolve) => (tell = resolve));
  const subscription = dial(resolveConnection(config), () => epoch).subscribe({
    next: (link) => {
      links.push(link);
      tell();
    },
    error: (error: ConnectError) => {
      errors.push(error);
      tell();
    },
    complete: () => (made.completed = true),
  });
  atEnd(() => subscription.unsubscribe());
  return Object.assign(made, { subscription, done });
}

async function failure(config: ConnectionConfig): Promise<ConnectError | ConnectTimeoutError> {
  const { done, errors, links, subscription } = attempt(config);
  await done;
  expect(links).to.eql([]);
  expect(subscription.closed).to.be.true;
  return errors[0]!;
}

/** A dial under virtual time, until it has nothing more to wait for. */
function virtual(config: ConnectionConfig, script: (made: Attempt) => void = () => {}): Attempt {
  const scheduler = new TestScheduler((actual, expected) => void expect(actual).to.eql(expected));
  return scheduler.run(() => {
    const made = attempt(config);
    script(made);
    return made;
  });
}

const never = (): Promise<Duplex> => new Promise(() => {});

describe('dial', () => {
  leavesNothingOpen();

  it('does nothing until it is subscribed to, and dials for each subscription', async () => {
    const server = await listen();
    const cold = dial(resolveConnection({ host: '127.0.0.1', port: server.port }), () => 0);
    await turns();
    expect(server.sockets).to.eql([]);
    const subscriptions = [cold.subscribe(), cold.subscribe()];
    await server.socket(1);
    for (const subscription of subscriptions) subscription.unsubscribe();
  });

  it('emits an open link, and then neither completes nor errors when that is lost', async () => {
    const server = await listen();
    const made = attempt({ host: '127.0.0.1', port: server.port });
    await made.done;
    const raw = made.links[0]!.raw as net.Socket;
    expect(raw.readyState).to.equal('open');
    expect(made.links[0]!.endpoint).to.eql({ host: '127.0.0.1', port: server.port });
    (await server.socket(0)).resetAndDestroy();
    await until(() => raw.destroyed);
    await turns();
    expect([made.links.length, made.errors, made.completed]).to.eql([1, [], false]);
  });

  it('dials a unix path', async () => {
    const path = socketPath();
    const server = await listen(undefined, path);
    const made = attempt({ path });
    await made.done;
    expect(made.links[0]?.endpoint).to.eql({ path });
    await server.socket(0);
  });

  it('tells a refusal, with endpoint, epoch and cause', async () => {
    const port = await deadPort();
    const made = attempt({ host: '127.0.0.1', port }, 4);
    await made.done;
    expect(made.errors[0]).to.be.instanceOf(ConnectError);
    expect(made.errors[0]).to.deep.include({ phase: 'connect', endpoint: { host: '127.0.0.1', port }, epoch: 4 });
    expect(made.errors[0]?.cause).to.include({ code: 'ECONNREFUSED' });
  });

  it('takes no path from a polluted prototype', async () => {
    const server = await listen();
    const path = socketPath();
    Object.assign(Object.prototype, { path });
    try {
      const made = attempt({ host: '127.0.0.1', port: server.port });
      await made.done;
      expect(made.errors).to.eql([]);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'path');
    }
  });

  describe('a custom dial', () => {
    it('is given the endpoint, and its stream is open at once', () => {
      const raw = new PassThrough();
      const endpoints: unknown[] = [];
      const made = attempt({
        ...{ host: 'h', port: 1 },
        dial: (endpoint) => {
          endpoints.push(endpoint);
          return raw;
        },
      });
      expect(made.links.map((link) => link.raw)).to.eql([raw]);
      expect(endpoints).to.eql([{ host: 'h', port: 1 }]);
    });

    it('may answer later', async () => {
      const raw = new PassThrough();
      const made = attempt({ dial: async () => raw });
      expect(made.links).to.eql([]);
      await made.done;
      expect(made.links[0]?.raw).to.equal(raw);
    });

    it('may answer a socket that connects: it is awaited', async () => {
      const server = await listen();
      const raw = net.connect(server.port, '127.0.0.1');
      const made = attempt({ dial: () => raw });
      expect(made.links).to.eql([]);
      await made.done;
      expect(raw.readyState).to.equal('open');
      expect(made.links.length).to.equal(1);
    });

    it('may answer, later, a socket that connects', async () => {
      const server = await listen();
      const made = attempt({ dial: async () => net.connect(server.port, '127.0.0.1') });
      await made.done;
      expect((made.links[0]?.raw as net.Socket).readyState).to.equal('open');
    });

    it('that answers a socket which cannot connect fails as net does', async () => {
      const port = await deadPort();
      const error = await failure({ dial: () => net.connect(port, '127.0.0.1') });
      expect(error).to.include({ code: 'TCP_CONNECT', phase: 'connect' });
      expect(error.cause).to.include({ code: 'ECONNREFUSED' });
    });

    it('that throws or rejects fails with that as the cause', async () => {
      const mistake = new Error('mistake');
      const throwing = await failure({
        dial: () => {
          throw mistake;
        },
      });
      const rejecting = await failure({ dial: () => Promise.reject(mistake) });
      expect(throwing).to.include({ code: 'TCP_CONNECT', phase: 'config', cause: mistake });
      expect(rejecting).to.include({ code: 'TCP_CONNECT', phase: 'connect', cause: mistake });
    });

    const half = new PassThrough();
    const hostile = {
      get write(): never {
        throw new Error('hostile');
      },
    };
    for (const [name, rubbish] of [
      ['nothing', undefined],
      ['null', null],
      ['a number', 5],
      ['a text', 'stream'],
      ['an object', {}],
      ['half a stream', { write: () => {}, read: () => {}, pause: () => {}, on: () => {} }],
      ['an object that throws when it is looked at', hostile],
      ['a function', () => half],
    ] as const) {
      for (const [how, answer] of [
        ['at once', rubbish],
        ['later', Promise.resolve(rubbish)],
      ] as const)
        // prettier-ignore
        it(`that answers ${name} ${how} fails, and nothing else is dialled`, async () => {
          const server = await listen();
          const dialled = (): Duplex => answer as unknown as Duplex;
          const error = await failure({ host: '127.0.0.1', port: server.port, dial: dialled });
          expect(error).to.include({ code: 'TCP_CONNECT' });
          expect(error.cause).to.be.instanceOf(Error);
          expect(server.sockets).to.eql([]);
        });
    }

    it('that answers a stream which is over fails, and gives that stream up', async () => {
      const ended = new PassThrough({ allowHalfOpen: true });
      ended.end();
      const read = new PassThrough({ allowHalfOpen: true });
      read.push(null);
      read.resume();
      await once(read, 'end');
      const destroyed = new PassThrough();
      destroyed.destroy();
      for (const over of [ended, read, destroyed]) {
        const error = await failure({ dial: () => over });
        expect(error).to.include({ phase: 'config' });
        expect(over.destroyed).to.be.true;
      }
    });

    describe('its signal', () => {
      function signalled(): { signals: AbortSignal[]; made: Attempt; answer: (raw: Duplex) => void } {
        const signals: AbortSignal[] = [];
        let answer: (raw: Duplex) => void = () => {};
        const made = attempt({
          dial: (_, signal) => {
            signals.push(signal);
            return new Promise((resolve) => (answer = resolve));
          },
        });
        return { signals, made, answer: (raw) => answer(raw) };
      }

      it('aborts when the attempt is given up', () => {
        const { signals, made } = signalled();
        expect(signals[0]?.aborted).to.be.false;
        made.subscription.unsubscribe();
        expect(signals[0]?.aborted).to.be.true;
      });

      it('does not abort once the link is open, not even at its end', async () => {
        const { signals, made, answer } = signalled();
        answer(new PassThrough());
        await made.done;
        made.subscription.unsubscribe();
        expect(made.links[0]?.destroyed).to.be.true;
        expect(signals[0]?.aborted).to.be.false;
      });

      it('aborts while the stream that was answered still connects', async () => {
        const { signals, made, answer } = signalled();
        const raw = Object.assign(new PassThrough(), { connecting: true });
        answer(raw);
        await turns(2);
        made.subscription.unsubscribe();
        expect(signals[0]?.aborted).to.be.true;
        expect(raw.destroyed).to.be.true;
      });

      it('aborts at the deadline', () => {
        let signal: AbortSignal | undefined;
        virtual({ dial: (_, given) => ((signal = given), never()), connectTimeout: 50 });
        expect(signal?.aborted).to.be.true;
      });
    });

    it('that answers after it was given up has its stream destroyed, and its errors heard [S11]', async () => {
      let answer: (raw: Duplex) => void = () => {};
      const made = attempt({ dial: () => new Promise((resolve) => (answer = resolve)) });
      made.subscription.unsubscribe();
      const raw = new PassThrough();
      answer(raw);
      await turns(2);
      expect(raw.destroyed).to.be.true;
      raw.emit('error', new Error('late'));
      expect([made.links, made.errors]).to.eql([[], []]);
    });

    it('that answers rubbish or rejects after it was given up is no news [S9]', async () => {
      for (const late of [() => Promise.resolve(5), () => Promise.reject(new Error('late'))]) {
        const made = attempt({ dial: late as never });
        made.subscription.unsubscribe();
        await turns(2);
        expect(made.errors).to.eql([]);
      }
    });
  });

  describe('the lookup', () => {
    const looking = (lookup: unknown): ConnectionConfig => ({
      ...{ host: 'some.name', port: 1, socket: { lookup: lookup as Lookup } },
    });
    type Answer = (error: unknown, address?: unknown, family?: number) => void;

    for (const [name, answer] of [
      ['an empty list', []],
      ['null', null],
      ['nothing', undefined],
      ['a number', 5],
      ['a name', 'other.name'],
      ['a list of rubbish', [null, {}, { address: 5 }, { address: 'x', family: 4 }]],
    ] as const) {
      for (const later of [false, true])
        it(`that answers ${name} ${later ? 'later' : 'at once'} fails the dial in its phase`, async () => {
          const error = await failure(
            looking((_host: string, _options: object, callback: Answer) => {
              if (later) setImmediate(() => callback(null, answer));
              else callback(null, answer);
            }),
          );
          expect(error).to.include({ code: 'TCP_CONNECT', phase: 'lookup' });
          expect((error.cause as Error).message).to.equal('lookup answered no address');
        });
    }

    it('that fails tells its error, in its phase', async () => {
      const mistake = Object.assign(new Error('no'), { code: 'ENOTFOUND' });
      const error = await failure(looking((_h: string, _o: object, callback: Answer) => callback(mistake)));
      expect(error).to.include({ phase: 'lookup' });
      expect(error.cause).to.equal(mistake);
    });

    it('that fails with no Error, or throws, fails the dial', async () => {
      const odd = await failure(looking((_h: string, _o: object, callback: Answer) => callback('no')));
      expect(odd.cause).to.be.instanceOf(Error);
      for (const thrown of [new Error('thrown'), undefined]) {
        const error = await failure(
          looking(() => {
            throw thrown;
          }),
        );
        expect(error).to.include({ phase: 'lookup' });
        if (thrown !== undefined) expect(error.cause).to.equal(thrown);
      }
    });

    it('is believed in its first answer alone', async () => {
      const server = await listen();
      const made = attempt({
        ...{ host: 'some.name', port: server.port },
        socket: {
          lookup: ((_host: string, options: { all?: boolean }, callback: Answer) => {
            const address = { address: '127.0.0.1', family: 4 };
            callback(null, options.all === true ? [address] : address.address, 4);
            callback(null, []);
            callback(new Error('again'));
          }) as Lookup,
        },
      });
      await made.done;
      await turns();
      expect([made.links.length, made.errors]).to.eql([1, []]);
    });

    it('may answer one address or a list, whichever was asked for', async () => {
      const server = await listen();
      for (const autoSelectFamily of [true, false]) {
        for (const answer of ['127.0.0.1', [{ address: '127.0.0.1', family: 4 }], [{ address: '127.0.0.1' }]]) {
          const lookup = ((_h: string, _o: object, callback: Answer) => callback(null, answer, 4)) as Lookup;
          const made = attempt({ host: 'some.name', port: server.port, socket: { lookup, autoSelectFamily } });
          await made.done;
          expect(made.errors).to.eql([]);
          made.subscription.unsubscribe();
        }
      }
    });

    it('that answers after the dial was given up opens nothing [S11]', async () => {
      const server = await listen();
      const before = openHandles();
      let answer: Answer = () => {};
      const lookup = ((_h: string, _o: object, callback: Answer) => (answer = callback)) as Lookup;
      const made = attempt({ host: 'some.name', port: server.port, socket: { lookup } });
      await turns(2);
      made.subscription.unsubscribe();
      answer(null, '127.0.0.1', 4);
      await turns();
      await noneLeft(before);
      expect(server.sockets).to.eql([]);
    });

    it('that has answered is not the phase in which a refusal comes', async () => {
      const lookup = ((_h: string, _o: object, callback: Answer) => callback(null, '127.0.0.1', 4)) as Lookup;
      const error = await failure({ host: 'some.name', port: await deadPort(), socket: { lookup } });
      expect(error).to.include({ phase: 'connect' });
    });

    it('that never answers runs into the deadline, which names the phase', async () => {
      const error = await failure({ ...looking(() => {}), connectTimeout: 20 });
      expect(error).to.be.instanceOf(ConnectTimeoutError);
      expect(error).to.include({ phase: 'lookup', timeout: 20 });
    });
  });

  describe('the deadline', () => {
    it('ends an attempt that takes too long', () => {
      const { errors, links } = virtual({ host: 'h', port: 1, connectTimeout: 10_000, dial: never });
      expect(links).to.eql([]);
      expect(errors.length).to.equal(1);
      expect(errors[0]).to.be.instanceOf(ConnectTimeoutError);
      expect(errors[0]).to.deep.include({ timeout: 10_000, phase: 'connect', endpoint: { host: 'h', port: 1 } });
    });

    it('covers a stream that was answered and never opens, and destroys it', () => {
      const raw = Object.assign(new PassThrough(), { connecting: true });
      expect(virtual({ dial: () => raw, connectTimeout: 100 }).errors[0]).to.be.instanceOf(ConnectTimeoutError);
      expect(raw.destroyed).to.be.true;
    });

    it('is over once the link is open', () => {
      const raw = kept(new PassThrough());
      const { errors, links } = virtual({ dial: () => raw, connectTimeout: 100 });
      expect([errors, links.length, raw.destroyed]).to.eql([[], 1, false]);
    });
  });

  it('refuses a socket that is connected to itself, as if nobody listened there', async () => {
    const port = await deadPort();
    const error = await failure({ host: '127.0.0.1', port, socket: { localPort: port, localAddress: '127.0.0.1' } });
    expect(error).to.include({ phase: 'connect' });
    expect(error.cause).to.include({ code: 'ECONNREFUSED' });
    const server = await listen(undefined, port); // the port is free for its server
    expect(server.port).to.equal(port);
  });

  describe('unsubscribing leaves no handle [S11]', () => {
    const phases: [string, (made: Attempt) => unknown][] = [
      ['in the same turn', () => {}],
      ['while connecting', () => turns(1)],
      ['when open', (made) => made.done],
    ];
    for (const [name, reach] of phases) {
      it(`${name} [S11]`, async () => {
        const server = await listen((socket) => socket.destroy());
        const before = openHandles();
        const made = attempt({ host: 'localhost', port: server.port, connectTimeout: 60_000 });
        await reach(made);
        made.subscription.unsubscribe();
        await noneLeft(before);
        await turns();
        expect(made.errors).to.eql([]);
      });
    }

    it('after a failure [S11]', async () => {
      const before = openHandles();
      await failure({ host: '127.0.0.1', port: await deadPort(), connectTimeout: 60_000 });
      await noneLeft(before);
    });

    it('inside the emission of the link [S11]', async () => {
      const raw = new PassThrough();
      const made = dial(resolveConnection({ dial: async () => raw }), () => 0);
      const subscription = made.subscribe(() => subscription.unsubscribe());
      await turns(2);
      expect(raw.destroyed).to.be.true;
    });
  });
});
