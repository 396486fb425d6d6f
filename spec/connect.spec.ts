import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { Observable, Subject, take } from 'rxjs';
import { lines } from '../lib/codec/lines.js';
import type { ConnectionConfig } from '../lib/config.js';
import type { Link } from '../lib/connection/link.js';
import type { Connection } from '../lib/connection/connection.js';
import { connection, liveOver, type OpeningConfig } from '../lib/connect.js';
import { ConfigError, ConnectError, ConnectionLostError, type TcpError } from '../lib/errors.js';
import type { LiveConnection } from '../lib/framed.js';
import type { Ending, LiveConfig } from '../lib/framed/live-config.js';
import { Receiver } from '../lib/inbound/receive.js';
import { newCounters } from '../lib/monitor/stats.js';
import { fakeLink } from './support/fake-link.js';
import { FakeStream } from './support/fake-stream.js';
import { outcome, turns } from './support/fixture.js';
import { noneLeft, openHandles } from './support/leaks.js';

function config(): Omit<LiveConfig<string, string>, 'ended'> {
  const codec = lines();
  return {
    config: {
      codec,
      readBuffer: { frames: 10, bytes: 100 },
      writeBuffer: { frames: 10, bytes: 100 },
      endTimeout: 60_000,
    },
    receiver: new Receiver<string>(codec, { report: () => {} }),
    ...{ epoch: 1, counters: newCounters(), ending: () => {} },
  };
}

function opening(tell: (how: Ending) => TcpError | undefined): OpeningConfig<string, string> {
  return { config: config().config, timeout: 60_000, epoch: () => 0, live: config, tell };
}

interface Lived {
  readonly connections: LiveConnection<string, string>[];
  error: TcpError | undefined;
  completed: boolean;
}

function live(dialled: Observable<Link>, tell: (how: Ending) => TcpError | undefined = ({ lost }) => lost) {
  const lived: Lived = { connections: [], error: undefined, completed: false };
  const subscription = liveOver<string, string>(dialled, opening(tell)).subscribe({
    next: (made) => lived.connections.push(made),
    error: (error: TcpError) => (lived.error = error),
    complete: () => (lived.completed = true),
  });
  return Object.assign(lived, { subscription });
}

describe('liveOver', () => {
  it('makes a connection of the link that the dial gives', () => {
    const dialled = new Subject<Link>();
    const { connections } = live(dialled);
    expect(connections).to.eql([]);
    const link = fakeLink();
    dialled.next(link);
    expect(connections.map((made) => made.link)).to.eql([link]);
  });

  it('passes an error of the dial on', () => {
    const dialled = new Subject<Link>();
    const lived = live(dialled);
    const error = new ConnectError('connect', {});
    dialled.error(error);
    expect(lived.error).to.equal(error);
  });

  it('errors with what is told of the end of the connection, or completes', () => {
    for (const asked of [true, false]) {
      const dialled = new Subject<Link>();
      const lived = live(dialled, ({ lost }) => (asked ? undefined : lost));
      const link = fakeLink();
      dialled.next(link);
      link.lost();
      expect([lived.completed, lived.error instanceof ConnectionLostError]).to.eql([asked, !asked]);
      expect(dialled.observed, 'the dial is let go').to.be.false;
    }
  });

  it('unsubscribed destroys the connection, or gives the dial up', () => {
    const open = new Subject<Link>();
    const lived = live(open);
    const link = fakeLink();
    open.next(link);
    lived.subscription.unsubscribe();
    expect([link.destroyed, lived.error, open.observed]).to.eql([true, undefined, false]);
    const dialling = new Subject<Link>();
    live(dialling).subscription.unsubscribe();
    expect(dialling.observed).to.be.false;
  });

  it('may be unsubscribed inside its emission, also of a dial that opens at once', () => {
    const link = fakeLink();
    let given = false;
    const dialled = new Observable<Link>((subscriber) => {
      subscriber.next(link);
      return () => (given = true);
    });
    const made: unknown[] = [];
    liveOver<string, string>(
      dialled,
      opening(({ lost }) => lost),
    )
      .pipe(take(1))
      .subscribe((connection) => made.push(connection));
    expect([made.length, link.destroyed, given]).to.eql([1, true, true]);
  });
});

describe('liveOver with a handshake', () => {
  function opened(handshake: NonNullable<OpeningConfig<string, string>['config']['handshake']>) {
    const [dialled, link] = [new Subject<Link>(), fakeLink()];
    const [failures, told]: [TcpError[], Ending[]] = [[], []];
    const lived: Lived = { connections: [], error: undefined, completed: false };
    const subscription = liveOver<string, string>(dialled, {
      ...opening((how) => (told.push(how), how.lost)), // prettier-ignore
      config: { ...config().config, handshake },
      epoch: () => 7,
      failed: (error) => failures.push(error),
    }).subscribe({
      next: (made) => lived.connections.push(made),
      error: (error: TcpError) => (lived.error = error),
    });
    return { dialled, link, failures, told, lived, subscription };
  }

  it('emits the connection when it is done, and not before', () => {
    const done = new Subject<void>();
    const { dialled, link, lived, failures, told, subscription } = opened(() => done);
    dialled.next(link);
    expect(lived.connections).to.eql([]);
    done.complete();
    expect(lived.connections.map((made) => made.link)).to.eql([link]);
    link.lost();
    expect([told.length, failures.length]).to.eql([1, 0]);
    expect(lived.error).to.equal(told[0]!.lost);
    subscription.unsubscribe();
  });

  it('errors with what went wrong in it, once, and destroys the link', () => {
    const mine = new Error('mine');
    const done = new Subject<void>();
    const { dialled, link, lived, failures, told } = opened(() => done);
    dialled.next(link);
    done.error(mine);
    expect(lived.error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'handshake', epoch: 7, cause: mine });
    expect([failures, told, link.destroyed, dialled.observed]).to.eql([[lived.error], [], true, false]);
  });

  it('errors when its connection is lost meanwhile, with that as the cause', () => {
    const { dialled, link, lived, failures, told } = opened(() => new Subject());
    dialled.next(link);
    link.lost(new Error('reset'));
    expect(lived.error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'handshake' });
    expect(lived.error?.cause).to.be.instanceOf(ConnectionLostError);
    expect([failures, told]).to.eql([[lived.error], []]);
  });

  it('tells of a failed dial in the same way', () => {
    const { dialled, failures, lived } = opened(() => new Subject());
    const error = new ConnectError('connect', {});
    dialled.error(error);
    expect([failures, lived.error]).to.eql([[error], error]);
  });

  it('unsubscribed gives it up, destroys the link, and tells nothing', () => {
    let gone = 0;
    const { dialled, link, subscription, failures, lived, told } = opened(() => new Observable(() => () => gone++));
    dialled.next(link);
    subscription.unsubscribe();
    expect([gone, link.destroyed, failures, told, lived.error]).to.eql([1, true, [], [], undefined]);
  });
});

describe('connection', () => {
  let before: string[];
  beforeEach(() => {
    before = openHandles();
  });
  afterEach(() => noneLeft(before));

  function opened(given: ConnectionConfig<string, string> = {}) {
    const streams: FakeStream[] = [];
    const ends: unknown[] = [];
    const connections: Connection<string, string>[] = [];
    const dial = (): FakeStream => {
      const stream = new FakeStream();
      streams.push(stream);
      return stream;
    };
    const source = connection({ dial, codec: lines(), ...given });
    const subscribe = () =>
      source.subscribe({
        next: (made) => connections.push(made),
        error: (error: unknown) => ends.push(error),
        complete: () => ends.push('completed'),
      });
    return { source, subscribe, streams, ends, connections };
  }

  it('refuses bad options before it is subscribed to', () => {
    expect(() => connection({ port: -1 })).to.throw(ConfigError, 'port');
    expect(() => connection({ port: 1, retryLimit: 1 } as ConnectionConfig)).to.throw(ConfigError, 'retryLimit');
  });

  it('is cold: every subscription is a connection of its own', () => {
    const { subscribe, streams, connections } = opened();
    expect(streams.length).to.equal(0);
    const subscriptions = [subscribe(), subscribe()];
    expect([streams.length, connections.length]).to.eql([2, 2]);
    for (const subscription of subscriptions) subscription.unsubscribe();
    expect(streams.map(({ destroyed }) => destroyed)).to.eql([true, true]);
  });

  it('reads and writes frames', async () => {
    const { subscribe, streams, connections } = opened();
    const subscription = subscribe();
    const [made] = connections;
    const frames: string[] = [];
    made!.inbound.subscribe((frame) => frames.push(frame));
    streams[0]!.push('one\ntwo\n');
    await made!.write('hi');
    await turns(3);
    expect([frames, streams[0]!.texts]).to.eql([['one', 'two'], ['hi\n']]);
    subscription.unsubscribe();
  });

  it('completes after its own end() alone', async () => {
    const { subscribe, ends, connections } = opened();
    subscribe();
    await connections[0]!.end();
    expect(ends).to.eql(['completed']);
  });

  it('errors with a clean loss at the peer’s FIN', async () => {
    const { subscribe, ends, connections, streams } = opened();
    subscribe();
    connections[0]!.inbound.subscribe();
    streams[0]!.push(null);
    await connections[0]!.closed;
    expect(ends[0]).to.be.instanceOf(ConnectionLostError);
    expect(ends[0]).to.include({ clean: true, endedBy: 'peer', epoch: 1 });
  });

  it('errors with a loss at an error, and at destroy()', async () => {
    for (const end of [
      ({ streams }: ReturnType<typeof opened>) => streams[0]!.destroy(new Error('broken')),
      ({ connections }: ReturnType<typeof opened>) => connections[0]!.destroy(new Error('broken')),
    ]) {
      const made = opened();
      made.subscribe();
      end(made);
      await turns(5);
      expect(made.ends[0]).to.be.instanceOf(ConnectionLostError);
      expect((made.ends[0] as Error).cause)
        .to.be.an('error')
        .with.property('message', 'broken');
    }
  });

  it('errors with the dial’s error', async () => {
    const made = opened({ dial: () => Promise.reject(new Error('no')) });
    made.subscribe();
    await turns(3);
    expect(made.ends[0]).to.be.instanceOf(ConnectError);
    expect(made.ends[0]).to.include({ epoch: 0 });
  });

  it('unsubscribed destroys it, and its messages reject', async () => {
    const made = opened({ dial: () => new FakeStream(() => {}) });
    const subscription = made.subscribe();
    const written = outcome(made.connections[0]!.write('x'));
    subscription.unsubscribe();
    expect(await written).to.be.instanceOf(ConnectionLostError);
    expect(await made.connections[0]!.closed).to.include({ endedBy: 'us' });
    expect(made.ends).to.eql([]);
  });

  it('leaves what was read to its readers when it is over [S6]', async () => {
    const { subscribe, streams, connections } = opened();
    subscribe();
    streams[0]!.push('one\ntwo\n');
    await turns(3);
    streams[0]!.destroy(new Error('broken'));
    await connections[0]!.closed;
    const frames: string[] = [];
    for await (const frame of connections[0]!) frames.push(frame);
    expect(frames).to.eql(['one', 'two']);
  });

  it('end() reads and discards what nobody reads, so that the peer’s FIN is found', async () => {
    const { subscribe, streams, connections, ends } = opened();
    subscribe();
    streams[0]!.push('unread\n');
    await turns(3);
    await connections[0]!.end();
    expect(ends).to.eql(['completed']);
  });

  it('takes a plain PassThrough for a connection', () => {
    const raw = new PassThrough();
    const subscription = connection({ dial: () => raw }).subscribe((made) => expect(made.raw).to.equal(raw));
    subscription.unsubscribe();
    expect(raw.destroyed).to.be.true;
  });
});
