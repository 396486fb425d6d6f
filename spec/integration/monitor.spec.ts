import { expect } from 'chai';
import { firstValueFrom, map } from 'rxjs';
import {
  countByName,
  lines,
  openSockets,
  tcpSocket,
  type ConnectionStatus,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { collect, eventually, freePort, live, peers, SOON, turns, type Peers } from '../support/peers.js';

const collectGarbage = globalThis.gc!;

describe('what a socket tells of itself', () => {
  const { serve, track } = peers();
  let server: Peers;

  beforeEach(async () => {
    server = await serve();
  });

  function open(config: TcpSocketConfig<string, string> = {}): TcpSocket<string, string> {
    return track(tcpSocket({ port: server.port, codec: lines(), reconnect: SOON, settle: 0, ...config }));
  }

  describe('status', () => {
    it('goes from connecting over open, backoff and open again to closing and closed, and completes [S8]', async () => {
      const socket = open({ reconnect: { initialDelay: 1, maxDelay: 1, random: () => 0.5 } });
      const endpoint = { host: 'localhost', port: server.port };
      const [statuses, errors] = [collect(socket.status), collect(socket.errors)];
      expect(statuses.values).to.eql([{ type: 'connecting', attempt: 1, endpoint }]);
      const peer = await server.accepted();
      await live(socket);
      peer.fin();
      await statuses.reach(5);
      const next = await server.accepted();
      const ended = socket.end();
      next.fin();
      await ended;
      const [cause] = errors.values;
      expect(cause).to.include({ code: 'TCP_CONNECTION_LOST' });
      const [, , backoff, ...others] = statuses.values;
      expect(statuses.values[1]).to.eql({ type: 'open', endpoint, epoch: 1 });
      expect(backoff).to.include({ type: 'backoff', attempt: 2, cause });
      expect((backoff as { delay: number }).delay).to.be.within(0, 1);
      expect(others).to.eql([
        { type: 'connecting', attempt: 2, endpoint },
        { type: 'open', endpoint, epoch: 2 },
        { type: 'closing' },
        { type: 'closed' },
      ]);
      expect(statuses.end).to.eql({});
    });

    it('counts the attempts from 1 again once a connection has answered [S8]', async () => {
      const socket = open();
      const all = collect(socket.inbound);
      const statuses = collect(socket.status);
      for (let round = 1; round <= 3; round++) {
        const peer = await server.accepted();
        await socket.write('question');
        await peer.heard('question\n');
        await peer.send('answer\n');
        await all.reach(round);
        peer.fin();
        await peer.closed;
      }
      await statuses.reach(11);
      const attempts = statuses.values.flatMap((status) => ('attempt' in status ? [status.attempt] : []));
      expect(attempts).to.eql([1, 1, 1, 1, 1, 1, 1]);
    });

    it('counts from 1 again after an answer even if its subscriber ended the connection inside that frame [S8]', async () => {
      const socket = open({ reconnect: { ...SOON, stableAfter: 60_000 } });
      const statuses = collect(socket.status);
      const connection = await live(socket);
      collect(socket.inbound, () => connection.destroy());
      const peer = await server.accepted();
      await socket.write('question');
      await peer.heard('question\n');
      await peer.send('answer\n');
      await statuses.reach(4);
      const attempts = statuses.values.flatMap((status) => ('attempt' in status ? [status.attempt] : []));
      expect(attempts).to.eql([1, 1, 1]);
    });

    it('goes on counting while connections come and end without an answer [S8]', async () => {
      const socket = open();
      collect(socket.inbound);
      const statuses = collect(socket.status);
      (await server.accepted()).fin();
      const peer = await server.accepted();
      await peer.send('unasked\n');
      await eventually(() => socket.stats().framesRead === 1);
      peer.fin();
      await statuses.reach(7);
      const attempts = statuses.values.flatMap((status) => ('attempt' in status ? [status.attempt] : []));
      expect(attempts.slice(0, 5)).to.eql([1, 2, 2, 3, 3]);
    });

    it('counts dials that fail, each with its error as the cause [S8]', async () => {
      const port = await freePort();
      const socket = open({ port, reconnect: { ...SOON, maxAttempts: 2 } });
      const [statuses, errors] = [collect(socket.status), collect(socket.errors)];
      await statuses.ended;
      const told = statuses.values.map((status) =>
        'attempt' in status ? `${status.type} ${status.attempt}` : status.type,
      );
      expect(told.filter((status) => status !== 'closing')).to.eql(
        'connecting 1, backoff 2, connecting 2, backoff 3, connecting 3, closed'.split(', '),
      );
      expect(errors.values.map(({ code }) => code)).to.eql([
        'TCP_CONNECT',
        'TCP_CONNECT',
        'TCP_CONNECT',
        'TCP_RECONNECT_LIMIT',
      ]);
      const causes = statuses.values.filter((status) => status.type === 'backoff').map(({ cause }) => cause);
      expect(causes).to.eql(errors.values.slice(0, 2));
      expect(statuses.values.at(-1)).to.have.property('cause', errors.values[3]);
    });

    it('is idle with lazyConnect, until there is a subscriber or a message', async () => {
      const [one, two] = [open({ lazyConnect: true }), open({ lazyConnect: true })];
      const statuses = [collect(one.status), collect(two.status)];
      await turns();
      expect(statuses.map(({ values }) => values)).to.eql([[{ type: 'idle' }], [{ type: 'idle' }]]);
      expect(server.count).to.equal(0);
      collect(one.inbound);
      two.outbound.next('hi');
      await Promise.all(statuses.map((collected) => collected.reach(3)));
      expect(statuses.map(({ values }) => values.map(({ type }) => type))).to.eql([
        ['idle', 'connecting', 'open'],
        ['idle', 'connecting', 'open'],
      ]);
    });

    it('gives the current value first, also to those who come after the end, and completes for them', async () => {
      const socket = open();
      await live(socket);
      expect(await firstValueFrom(socket.status)).to.include({ type: 'open', epoch: 1 });
      const reason = new Error('enough');
      socket.destroy(reason);
      const late = collect(socket.status);
      await late.ended;
      const latest = collect(socket.status);
      expect(latest.values).to.have.length(1);
      expect(latest.values[0]).to.include({ type: 'closed' });
      expect(latest.values[0]).to.have.nested.property('cause.cause', reason);
      expect(latest.end).to.eql({});
    });

    it('has no cause when the socket was asked to end', async () => {
      const [one, two] = [open(), open()];
      await Promise.all([live(one), live(two)]);
      const ends = [collect(one.status), collect(two.status)];
      one.destroy();
      void two.end();
      for (let i = 0; i < 2; i++) (await server.accepted()).fin();
      await Promise.all(ends.map(({ ended }) => ended));
      expect(ends.map(({ values }) => values.at(-1))).to.eql([{ type: 'closed' }, { type: 'closed' }]);
    });

    it('is told to all in one order, whatever a subscriber does inside it', async () => {
      const socket = open();
      const first = collect(socket.status, ({ type }) => {
        if (type === 'open') socket.destroy();
      });
      const second = collect(socket.status);
      await Promise.all([first.ended, second.ended]);
      const types = (statuses: ConnectionStatus[]): string[] => statuses.map(({ type }) => type);
      expect(types(second.values)).to.eql(types(first.values));
      expect(types(first.values).filter((type) => type !== 'closing')).to.eql(['connecting', 'open', 'closed']);
    });

    it('of a socket ended inside open tells of no connection, and dials no more [S11]', async () => {
      const socket = open();
      const connections = collect(socket.connections);
      const statuses = collect(socket.status, ({ type }) => {
        if (type === 'open') socket.destroy();
      });
      await Promise.all([statuses.ended, connections.ended]);
      await turns();
      expect(connections.values.length).to.be.at.most(1);
      expect(server.count).to.equal(1);
    });
  });

  describe('errors', () => {
    it('are told to all in one order, whatever a subscriber does inside one', async () => {
      const socket = open();
      const first = collect(socket.errors, () => {
        if (first.values.length < 3) socket.outbound.next(`wrong\n${first.values.length}`);
      });
      const second = collect(socket.errors);
      socket.outbound.next('wrong\n0');
      await Promise.all([first.reach(3), second.reach(3)]);
      expect(second.values).to.eql(first.values);
      second.values.forEach((error, i) => expect(error).to.equal(first.values[i]));
    });

    it('replay the newest, also after the end, without what was undelivered', async () => {
      const port = await freePort();
      const socket = open({ port, errorBuffer: 2, reconnect: { initialDelay: 60_000, maxDelay: 60_000 } });
      await firstValueFrom(socket.errors);
      const early = collect(socket.errors);
      for (const line of ['a', 'b', 'c']) socket.outbound.next(line);
      socket.destroy();
      await early.ended;
      const undelivered = (errors: typeof early.values): unknown[] =>
        errors.map((error) => (error.code === 'TCP_WRITE' ? error.undelivered : error.code));
      expect(undelivered(early.values)).to.eql(['TCP_CONNECT', 'a', 'b', 'c']);
      const late = collect(socket.errors);
      expect(late.end).to.eql({});
      expect(undelivered(late.values)).to.eql([undefined, undefined]);
      expect(late.values.map((error) => error.toJSON())).to.eql(early.values.slice(2).map((error) => error.toJSON()));
    });
  });

  describe('connections', () => {
    it('are the live one first, then each new one, and complete at the end', async () => {
      const socket = open();
      const all = collect(socket.connections);
      const peer = await server.accepted();
      await all.reach(1);
      const late = collect(socket.connections);
      expect(late.values).to.eql(all.values);
      peer.fin();
      await all.values[0]?.closed;
      const between = collect(socket.connections);
      expect(between.values).to.eql([]);
      await server.accepted();
      await between.reach(1);
      expect(all.values.map(({ epoch }) => epoch)).to.eql([1, 2]);
      expect(late.values).to.eql(all.values);
      expect(between.values).to.eql([all.values[1]]);
      socket.destroy();
      const afterwards = collect(socket.connections);
      await Promise.all([all.ended, afterwards.ended]);
      expect([all.end, late.end, afterwards.end, afterwards.values]).to.eql([{}, {}, {}, []]);
    });

    it('tell their endpoint and epoch, and how they closed', async () => {
      const socket = open();
      const connection = await live(socket);
      expect(connection).to.deep.include({ epoch: 1, readBuffer: { frames: 100, bytes: 1024 * 1024 } });
      expect(connection.endpoint).to.eql({ host: 'localhost', port: server.port });
      const peer = await server.accepted();
      await connection.write('past the queue');
      await peer.heard('past the queue\n');
      const all = collect(socket.inbound);
      await peer.send('four\n');
      await all.reach(1);
      peer.fin();
      const lost = await connection.closed;
      expect(lost).to.include({ code: 'TCP_CONNECTION_LOST', clean: true, endedBy: 'peer', epoch: 1 });
      expect(lost).to.include({ bytesRead: 5, bytesWritten: 15, unconfirmed: 0, unread: 0 });
      expect(lost?.age).to.be.at.least(lost!.silence);
    });

    it('closed as asked resolve with nothing', async () => {
      const socket = open();
      const connection = await live(socket);
      const peer = await server.accepted();
      const ended = connection.end();
      peer.fin();
      await ended;
      expect(await connection.closed).to.equal(undefined);
    });
  });

  describe('writable', () => {
    it('is false while the write buffer is full, and true again when there is room [S5]', async () => {
      const port = await freePort();
      const socket = open({ port, writeBuffer: 2, reconnect: { initialDelay: 60_000, maxDelay: 60_000 } });
      const writable = collect(socket.writable);
      socket.outbound.next('a');
      socket.outbound.next('b');
      expect(writable.values).to.eql([true, false]);
      expect(await firstValueFrom(socket.writable)).to.equal(false);
      socket.destroy();
      await writable.ended;
      expect(writable.values.slice(0, 2)).to.eql([true, false]);
    });

    it('turns true once the messages are written', async () => {
      const socket = open({ writeBuffer: 1, lazyConnect: true });
      const writable = collect(socket.writable);
      await socket.write('a');
      await eventually(() => writable.values.length === 3);
      expect(writable.values).to.eql([true, false, true]);
    });
  });

  describe('the closing', () => {
    it('has one order: outcomes, inbound, status, the other streams, end()', async () => {
      const port = await freePort();
      const socket = open({ port, reconnect: { initialDelay: 60_000, maxDelay: 60_000 } });
      const log: string[] = [];
      const at = (what: string) => (): void => void log.push(what);
      await firstValueFrom(socket.errors);
      void socket.write('never').catch(at('write()'));
      socket.errors.subscribe({ next: ({ code }) => log.push(code), complete: at('errors') });
      socket.connections.subscribe({ complete: at('connections') });
      socket.writable.subscribe({ complete: at('writable') });
      socket.status.subscribe({
        next: ({ type }) => {
          if (type === 'closed') log.push('closed');
        },
        complete: at('status'),
      });
      socket.inbound.subscribe({ complete: at('inbound') });
      log.length = 0;
      socket.destroy();
      await socket.end().then(at('end()'));
      expect(log.filter((entry) => entry !== 'write()')).to.eql([
        'TCP_WRITE',
        'inbound',
        'closed',
        'status',
        'connections',
        'writable',
        'errors',
        'end()',
      ]);
      expect(log).to.include('write()');
    });
  });

  describe('stats', () => {
    it('are exact and frozen, and a snapshot', async () => {
      const socket = open();
      const before = socket.stats();
      expect(before).to.eql({
        ...{ epoch: 0, dials: 1, drops: 0, bytesRead: 0, bytesWritten: 0, framesRead: 0, framesWritten: 0 },
        ...{ framesRetried: 0, framesUndelivered: 0, framesRefused: 0, queuedFrames: 0, queuedBytes: 0 },
        ...{ inFlightFrames: 0, holds: 0, heldBytes: 0, errorsDropped: 0 },
      });
      expect(Object.isFrozen(before)).to.equal(true);
      const peer = await server.accepted();
      socket.outbound.next('four');
      void socket.write('three');
      expect(socket.stats()).to.include({ queuedFrames: 2, queuedBytes: 11 });
      await socket.flush();
      await peer.heard('four\nthree\n');
      const all = collect(socket.inbound);
      await peer.send('a\nbc\nd');
      await all.reach(2);
      all.stop();
      await peer.send('e\n');
      await eventually(() => socket.stats().heldBytes > 0);
      const release = socket.pause();
      expect(socket.stats()).to.eql({
        ...{ epoch: 1, dials: 1, drops: 0, bytesRead: 8, bytesWritten: 11, framesRead: 2, framesWritten: 2 },
        ...{ framesRetried: 0, framesUndelivered: 0, framesRefused: 0, queuedFrames: 0, queuedBytes: 0 },
        ...{ inFlightFrames: 0, holds: 1, heldBytes: 2, errorsDropped: 0 },
      });
      release();
      expect(before.epoch).to.equal(0);
    });

    it('are exact inside a frame too', async () => {
      const socket = open();
      const inside: number[] = [];
      const all = collect(socket.inbound, () => inside.push(socket.stats().framesRead));
      await (await server.accepted()).send('a\nb\nc\n');
      await all.reach(3);
      expect(inside).to.eql([1, 2, 3]);
    });

    it('count dials, drops, refusals and what was not delivered', async () => {
      const socket = open({ writeBuffer: 2 });
      const peer = await server.accepted();
      await live(socket);
      socket.outbound.next('not\na line');
      peer.fin();
      await server.accepted();
      await eventually(() => socket.stats().epoch === 2);
      for (const line of ['a', 'b', 'c', 'd']) socket.outbound.next(line);
      expect(socket.stats()).to.include({ dials: 2, drops: 1, epoch: 2, framesRefused: 3, queuedFrames: 2 });
      socket.destroy();
      expect(socket.stats()).to.include({ framesUndelivered: 2, queuedFrames: 0, queuedBytes: 0, drops: 1 });
    });
  });

  describe('the registry', () => {
    it('lists every socket that is not closed, with name, status and stats, and counts them by name', async () => {
      const one = open({ name: 'feed' });
      const two = open({ name: 'feed', lazyConnect: true });
      const three = open({ name: 'orders' });
      await Promise.all([live(one), live(three)]);
      const mine = openSockets().filter(({ name }) => name === 'feed' || name === 'orders');
      expect(mine.map(({ name, status, epoch }) => [name, status.type, epoch])).to.eql([
        ['feed', 'open', 1],
        ['feed', 'idle', 0],
        ['orders', 'open', 1],
      ]);
      expect(mine[0]).to.include(one.stats());
      expect(countByName()).to.include({ feed: 2, orders: 1 });
      one.destroy();
      expect(countByName()).to.include({ feed: 1, orders: 1 });
      two.destroy();
      const ended = three.end();
      expect(countByName()).to.include({ orders: 1 });
      for (let i = 0; i < 2; i++) (await server.accepted()).fin();
      await ended;
      expect(countByName()).to.not.have.any.keys('feed', 'orders');
      expect(openSockets().filter(({ name }) => name === 'feed' || name === 'orders')).to.eql([]);
    });

    it('unlists a socket that gave up', async () => {
      const port = await freePort();
      const socket = open({ port, name: 'gives up', reconnect: false });
      await collect(socket.status.pipe(map(({ type }) => type))).ended;
      expect(countByName()).to.not.have.any.keys('gives up');
    });

    it('keeps no socket alive: one that was never opened and is dropped is collected and leaves the list [S11]', async () => {
      const weak = (() => new WeakRef(tcpSocket({ port: server.port, lazyConnect: true, name: 'forgotten' })))();
      expect(countByName()).to.include({ forgotten: 1 });
      await turns(1); // a WeakRef made in this turn is strong until its end
      await eventually(() => {
        collectGarbage();
        return weak.deref() === undefined;
      });
      expect(countByName()).to.not.have.any.keys('forgotten');
    });

    it('keeps nothing of a socket that is closed: it is collected with its connections [S11]', async () => {
      const weak = await (async () => {
        const socket = tcpSocket({ port: server.port, name: 'done', reconnect: SOON });
        const connection = await live(socket);
        const peer = await server.accepted();
        const ended = socket.end();
        peer.fin();
        await ended;
        return [new WeakRef(socket), new WeakRef(connection)];
      })();
      await turns(1);
      await eventually(() => {
        collectGarbage();
        return weak.every((reference) => reference.deref() === undefined);
      });
    });
  });
});
