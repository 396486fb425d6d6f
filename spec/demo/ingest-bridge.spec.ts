/** The parts of the ingest bridge, with a stream that a spec plays. With a real one: spec/interop/ingest-bridge.interop.ts. */
import type { PubAck } from '@nats-io/jetstream';
import type { NatsConnection, Status } from '@nats-io/transport-node';
import { expect } from 'chai';
import { EMPTY, filter, firstValueFrom, lastValueFrom, map, of, ReplaySubject, Subject, type Observable } from 'rxjs';
import { IN_FLIGHT, openBridge, type BridgeConfig } from '../../demo/ingest-bridge/bridge.js';
import { inOrder } from '../../demo/ingest-bridge/in-order.js';
import { publisherOver } from '../../demo/ingest-bridge/publisher.js';
import { pump } from '../../demo/ingest-bridge/pump.js';
import { openSource, type Source, type SourceConfig } from '../../demo/ingest-bridge/source.js';
import { streamConfig } from '../../demo/ingest-bridge/stream.js';
import { frameOf, framing, isSignOfLife, numberOf } from '../../demo/ingest-bridge/wire.js';
import { tcpServer, tcpSocket, type TcpSocket } from '../../lib/index.js';
import { atEnd, kept, leavesNothingOpen, turns } from '../support/fixture.js';
import { tape, type Tape } from '../support/tape.js';

describe('inOrder', () => {
  it('tells the newest that is done and has nothing undone before it', () => {
    const told: number[] = [];
    const begin = inOrder((newest) => told.push(newest));
    const [one, two, three, four] = [1, 2, 3, 4].map(begin);
    two!();
    three!();
    expect(told).to.eql([]);
    one!();
    expect(told).to.eql([3]);
    four!();
    begin(5)();
    expect(told).to.eql([3, 4, 5]);
  });
});

describe('the publisher of the ingest bridge', () => {
  const message = Buffer.from('message');

  it('gives the acknowledgement, after however many failures', async () => {
    const { connection } = playedNats();
    const answers = [() => Promise.reject(new Error('no room')), () => Promise.resolve(ACK)];
    const { publish, counts } = publisherOver(connection, { publish: () => answers.shift()!() });
    expect(await lastValueFrom(publish('a.b', 'id', message))).to.equal(ACK);
    expect(counts).to.eql({ taken: 1, acknowledged: 1, duplicates: 0, failed: 1 });
  });

  for (const [how, cause] of [
    ['without a cause', undefined],
    ['with an error', new Error('the login was refused')],
  ] as const) {
    it(`errors what is not acknowledged when the connection ends ${how}`, async () => {
      const { connection, end } = playedNats();
      const { publish } = publisherOver(connection, { publish: () => new Promise(() => {}) });
      const published = tape(publish('a.b', 'id', message));
      end(cause);
      await published.end;
      expect(published).to.include({ ended: 'errored' });
      if (cause !== undefined) expect(published.error).to.equal(cause);
    });

    it(`errors what is published after the connection ended ${how}`, async () => {
      const { connection, end } = playedNats();
      const { publish, counts } = publisherOver(connection, { publish: () => Promise.resolve(ACK) });
      end(cause);
      await turns();
      const published = tape(publish('a.b', 'id', message));
      await published.end;
      expect(published).to.include({ ended: 'errored' });
      expect(counts).to.include({ taken: 1, acknowledged: 0 });
    });
  }
});

describe('the stream of the ingest bridge', () => {
  it('refuses what it has no room for, and drops nothing that it has acknowledged', () => {
    expect(streamConfig('ingest', 1_000)).to.include({ name: 'ingest', discard: 'new' });
  });
});

describe('a source of the ingest bridge', () => {
  leavesNothingOpen();

  it('gives the next bridge all that was not acknowledged, from the first on', async () => {
    const { port, source } = await opened({ frames: 10 });
    const first = dialled(port);
    await first.at(9);
    await first.socket.write(frameOf(4));
    await reaches(source, 4);
    first.socket.destroy();
    const second = dialled(port);
    await second.at(5);
    expect(second.values).to.eql([5, 6, 7, 8, 9, 10]);
    expect(source.counts).to.eql({ made: 10, again: 6, acknowledged: 4 });
  });

  it('takes one bridge at a time, and the other one when that is gone', async () => {
    const { port } = await opened({ frames: 1 });
    const first = dialled(port);
    await first.at(0);
    const second = dialled(port);
    await tape(second.socket.errors).first(({ code }) => code === 'TCP_CONNECTION_LOST');
    expect(second.values).to.eql([]);
    first.socket.destroy();
    expect(await second.at(0)).to.equal(1);
  });

  it('is ahead of what is acknowledged by no more than its window', async () => {
    const { port, source } = await opened({ frames: 10, window: 3 });
    const bridge = dialled(port);
    await bridge.at(2);
    await turns();
    expect(source.counts.made).to.equal(3);
    await bridge.socket.write(frameOf(2));
    await bridge.at(4);
    await turns();
    expect(source.counts).to.eql({ made: 5, again: 0, acknowledged: 2 });
  });

  it('does not take what it never gave for acknowledged, nor what it has forgotten for new', async () => {
    const { port, source } = await opened({ frames: 3 });
    const bridge = dialled(port);
    await bridge.at(2);
    await bridge.socket.writeAll([frameOf(9), frameOf(2), frameOf(1)]);
    await reaches(source, 2);
    await bridge.socket.write(frameOf(3));
    await reaches(source, 3);
    expect(source.counts).to.eql({ made: 3, again: 0, acknowledged: 3 });
  });
});

describe('a bridge', () => {
  leavesNothingOpen();

  it('takes no more from its sources than may wait while the stream acknowledges nothing, and goes on afterwards [S6]', async () => {
    const [first, second] = [await opened({ frames: 5_000, window: 5_000 }), await opened({ frames: 1 })];
    const stream = new PlayedStream();
    bridgeTo([first.port, second.port], { publish: stream.publish });
    await stream.taken.at(IN_FLIGHT / 2);
    await turns(200);
    expect(stream.taken.values).to.have.lengthOf(IN_FLIGHT / 2 + 1);
    expect(first.source.counts.acknowledged).to.equal(0);
    stream.acknowledgesAll();
    await reaches(first.source, 5_000);
    expect(stream.taken.values).to.have.lengthOf(5_001);
  });

  it('acknowledges to the source only what is in the stream with all before it', async () => {
    const { port, source } = await opened({ frames: 3 });
    const stream = new PlayedStream();
    bridgeTo([port], { publish: stream.publish });
    await stream.taken.at(2);
    const told = tape(source.acknowledged);
    stream.acknowledges(3);
    stream.acknowledges(1);
    expect(await told.at(0)).to.equal(1);
    stream.acknowledges(2);
    expect(await told.at(1)).to.equal(3);
    await told.end;
  });

  it('does not take an end for an acknowledgement: it errors, and leaves its source to others', async () => {
    const { port, source } = await opened({ frames: 3 });
    const socket = kept(tcpSocket({ port, codec: framing(), reconnect: { initialDelay: 1, maxDelay: 20 } }));
    const pumped = tape(pump(socket, (frame) => (numberOf(frame) === 1 ? of('ack') : EMPTY)));
    await pumped.end;
    expect(pumped.ended).to.equal('errored');
    const other = dialled(port);
    await other.first((number) => number === 3);
    expect(other.values).to.include.members([2, 3]);
    expect(source.counts.acknowledged).to.be.below(2);
  });

  it('acknowledges over the next connection what it took over the one before', async () => {
    const { port, source } = await opened({ frames: 3 });
    const stream = new PlayedStream();
    const [socket] = bridgeTo([port], { publish: stream.publish });
    await stream.taken.at(2);
    socket!.redial();
    await stream.taken.at(5);
    expect(stream.taken.values).to.eql([1, 2, 3, 1, 2, 3]);
    stream.acknowledgesAll();
    await reaches(source, 3);
  });

  for (const [what, nonsense] of [
    ['is too short for its number', Buffer.from([0, 0, 0, 2, 1, 1])],
    ['has a number that is not safe', Buffer.from([0, 0, 0, 8, 0xff, 0, 0, 0, 0, 0, 0, 1])],
  ] as const) {
    it(`gives up the connection that a frame came over which ${what}, and lives on [S12]`, async () => {
      const server = tcpServer();
      atEnd(() => server.close({ timeout: 0 }));
      const greetings = [nonsense, Buffer.concat([Buffer.from([0, 0, 0, 8]), frameOf(7)])];
      server.connections.subscribe((connection) => {
        connection.inbound.subscribe();
        void connection.write(greetings.shift()!);
      });
      const stream = new PlayedStream();
      const [socket] = bridgeTo([(await server.listening).port], { publish: stream.publish });
      await tape(socket!.errors).first((error) => error.code === 'TCP_FRAME' && error.kind === 'decode');
      expect(await stream.taken.at(0)).to.equal(7);
    });
  }

  it('stands in for one that is gone, and lets it have what is its own when it is back', async () => {
    const { port, source } = await opened({ frames: Infinity, window: 10 });
    const [owned, stoodIn] = [new PlayedStream(), new PlayedStream()];
    const own = { place: 0, of: 2, publish: owned.publish };
    owned.acknowledgesAll();
    stoodIn.acknowledgesAll();
    const [owner] = bridgeTo([port], own);
    await owned.taken.at(100);
    bridgeTo([port], { place: 1, of: 2, patience: 0, term: 100, publish: stoodIn.publish });
    owner!.destroy();
    await stoodIn.taken.at(0);
    await reaches(source, owned.taken.values.at(-1)! + 1);
    const before = owned.taken.values.length;
    bridgeTo([port], own);
    await owned.taken.at(before);
  });
});

async function opened(
  config: Omit<SourceConfig, 'bodyOf'>,
): Promise<{ readonly port: number; readonly source: Source }> {
  const source = openSource({ bodyOf: () => Buffer.from('body'), ...config });
  atEnd(() => source.server.close({ timeout: 0 }));
  return { port: (await source.server.listening).port, source };
}

/** A bridge that does nothing by itself, and the numbers of the frames that it gets. */
function dialled(port: number): Tape<number> & { readonly socket: TcpSocket<Buffer, Buffer> } {
  const socket = kept(tcpSocket({ port, codec: framing(), reconnect: { initialDelay: 1, maxDelay: 20 } }));
  const numbers = socket.inbound.pipe(
    filter((frame) => !isSignOfLife(frame)),
    map(numberOf),
  );
  return Object.assign(tape(numbers), { socket });
}

function bridgeTo(ports: readonly number[], config: Partial<BridgeConfig> & Pick<BridgeConfig, 'publish'>) {
  const sources = ports.map((port, i) => ({ name: `source-${i}`, host: 'localhost', port }));
  return openBridge({ place: 0, of: 1, sources, ...config }).map(kept);
}

async function reaches({ counts, acknowledged }: Source, enough: number): Promise<void> {
  if (counts.acknowledged >= enough) return;
  await firstValueFrom(acknowledged.pipe(filter(() => counts.acknowledged >= enough)));
}

const ACK = { stream: 'ingest', seq: 1, duplicate: false } as PubAck;

/** A connection to NATS that says nothing, and ends when it is told to. */
function playedNats() {
  let end: (error?: Error) => void = () => {};
  const closed = new Promise<Error | undefined>((resolve) => (end = resolve));
  async function* status(): AsyncGenerator<Status> {
    await closed;
    yield* [];
  }
  return {
    connection: { status, closed: () => closed as ReturnType<NatsConnection['closed']> },
    end: (error?: Error) => end(error),
  };
}

/** A stream that acknowledges when it is told to. */
class PlayedStream {
  readonly #waiting = new Map<number, Subject<string>[]>();
  readonly #taken = new Subject<number>();
  #acknowledgesAll = false;
  /** The numbers of the frames that were given to it. */
  readonly taken = tape(this.#taken);

  readonly publish = (_name: string, frame: Buffer): Observable<string> => {
    const number = numberOf(frame);
    const acknowledged = new ReplaySubject<string>();
    this.#waiting.set(number, [...(this.#waiting.get(number) ?? []), acknowledged]);
    this.#taken.next(number);
    if (this.#acknowledgesAll) this.acknowledges(number);
    return acknowledged;
  };

  acknowledges(number: number): void {
    for (const acknowledged of this.#waiting.get(number) ?? []) acknowledged.next('ack');
    this.#waiting.delete(number);
  }

  /** What waits, and what comes. */
  acknowledgesAll(): void {
    this.#acknowledgesAll = true;
    for (const number of [...this.#waiting.keys()]) this.acknowledges(number);
  }
}
