import { expect } from 'chai';
import { config as rxjs, firstValueFrom } from 'rxjs';
import { lines, tcpSocket, type TcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { expectUncaught } from '../support/guard.js';
import { collect, eventually, freePort, live, peers, SOON, turns, type Peers } from '../support/peers.js';

describe('subscribers that go wrong', () => {
  const { serve, track } = peers();
  let server: Peers;

  beforeEach(async () => {
    server = await serve();
  });

  async function opened(config: TcpSocketConfig<string, string> = {}) {
    const socket: TcpSocket<string, string> = track(
      tcpSocket({ port: server.port, codec: lines(), reconnect: SOON, settle: 0, ...config }),
    );
    return { socket, peer: await server.accepted() };
  }

  function thrower(text: string, when: (value: unknown) => boolean = () => true) {
    return (value: unknown): void => {
      if (when(value)) throw new Error(text);
    };
  }

  it('harm neither siblings nor the socket when they throw on a frame, and are told of as uncaught [S9]', async () => {
    const { socket, peer } = await opened();
    const uncaught = expectUncaught(/bad subscriber/);
    const before = collect(socket.inbound);
    const bad: unknown[] = [];
    socket.inbound.subscribe((line) => {
      bad.push(line);
      if (line === 'b') throw new Error('bad subscriber');
    });
    const after = collect(socket.inbound);
    await peer.send('a\nb\nc\n');
    await Promise.all([before.reach(3), after.reach(3), uncaught]);
    expect([before.values, bad, after.values]).to.eql([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
    await socket.write('alive');
    await peer.heard('alive\n');
    expect(socket.stats()).to.include({ epoch: 1, drops: 0, framesRead: 3 });
  });

  it('lose no frame of the chunk when the only one of them throws [S9]', async () => {
    const { socket, peer } = await opened();
    const uncaught = expectUncaught(/only one/);
    const seen: string[] = [];
    socket.inbound.subscribe((line) => {
      seen.push(line);
      if (line === 'a') throw new Error('only one');
    });
    await peer.send('a\nb\nc\n');
    await eventually(() => seen.length === 3);
    await uncaught;
    expect(seen).to.eql(['a', 'b', 'c']);
  });

  it('go to config.onUnhandledError of RxJS when that is set [S9]', async () => {
    const { socket, peer } = await opened();
    const seen: unknown[] = [];
    rxjs.onUnhandledError = (error) => seen.push(error);
    try {
      socket.inbound.subscribe(thrower('for the hook'));
      await peer.send('a\n');
      await eventually(() => seen.length === 1);
    } finally {
      rxjs.onUnhandledError = null;
    }
    expect(String(seen[0])).to.equal('Error: for the hook');
  });

  it('harm nothing when they throw on status, connections, writable or errors [S9]', async () => {
    const { socket } = await opened();
    const all = ['on status', 'on connections', 'on writable', 'on errors'].map((text) =>
      expectUncaught(new RegExp(text)),
    );
    socket.status.subscribe(thrower('on status'));
    socket.connections.subscribe(thrower('on connections'));
    socket.writable.subscribe(thrower('on writable'));
    socket.errors.subscribe(thrower('on errors'));
    const statuses = collect(socket.status);
    const errors = collect(socket.errors);
    const connections = collect(socket.connections);
    const { closed } = await live(socket);
    socket.redial();
    await closed;
    const peer = await server.accepted();
    await connections.reach(2);
    await socket.write('alive');
    await peer.heard('alive\n');
    await socket.end();
    await Promise.all(all);
    expect(statuses.values.map(({ type }) => type).slice(-3)).to.eql(['open', 'closing', 'closed']);
    expect([statuses.end, errors.end, connections.end]).to.eql([{}, {}, {}]);
    expect(errors.values.map(({ code }) => code)).to.eql(['TCP_CONNECTION_LOST']);
  });

  it('are told of an error of inbound that they have no handler for, as uncaught, and the others get it all the same [S9]', async () => {
    const { socket } = await opened();
    const uncaught = expectUncaught(/enough/);
    socket.inbound.subscribe(() => {});
    const sibling = collect(socket.inbound);
    const statuses = collect(socket.status);
    const reason = new Error('enough');
    socket.destroy(reason);
    expect(await uncaught).to.equal(reason);
    await Promise.all([sibling.ended, statuses.ended]);
    expect(sibling.end).to.eql({ error: reason });
  });

  it('harm nothing when they throw at the end of inbound [S9]', async () => {
    const { socket } = await opened();
    const uncaught = expectUncaught(/at the end/);
    socket.inbound.subscribe({ complete: () => thrower('at the end')(0) });
    const sibling = collect(socket.inbound);
    const statuses = collect(socket.status);
    await socket.end();
    await uncaught;
    expect([sibling.end, statuses.end]).to.eql([{}, {}]);
    expect(statuses.values.at(-1)).to.eql({ type: 'closed' });
  });

  it('may end the socket inside a frame: nothing comes after it, and nothing is left [S6][S11]', async () => {
    const { socket, peer } = await opened();
    const sibling = collect(socket.inbound);
    const all = collect(socket.inbound, () => socket.destroy());
    const late = collect(socket.inbound);
    await peer.send('a\nb\nc\n');
    await all.ended;
    await turns();
    expect([sibling.values, all.values, late.values.slice(1)]).to.eql([['a'], ['a'], []]);
    expect([sibling.end, all.end, late.end]).to.eql([{}, {}, {}]);
    await peer.closed;
  });

  it('may redial inside a frame: the rest of the chunk still comes before the next connection [S6]', async () => {
    const { socket, peer } = await opened();
    const all = collect(socket.inbound, (line) => {
      if (line === 'a') socket.redial();
    });
    await peer.send('a\nb\n');
    const next = await server.accepted();
    await next.send('c\n');
    await all.reach(2);
    await eventually(() => all.values.at(-1) === 'c');
    expect(all.values).to.eql(['a', 'b', 'c']);
  });

  it('may be absent altogether: no rejection and no error event is ever unhandled [S9]', async () => {
    const port = await freePort();
    const dead = track(
      tcpSocket({ port, codec: lines(), reconnect: { maxAttempts: 1, initialDelay: 1, maxDelay: 1 } }),
    );
    void dead.write('a');
    void dead.writeAll(['b', 'c']);
    void dead.flush();
    dead.outbound.next('d');
    const statuses = collect(dead.status);
    await statuses.ended;
    expect(statuses.values.at(-1)).to.have.nested.property('cause.code', 'TCP_RECONNECT_LIMIT');
    void dead.write('e');
    void dead.writeAll(['f']);
    void dead.end();

    const { socket, peer } = await opened();
    const connection = await live(socket);
    void connection.closed;
    peer.reset();
    await connection.closed;
    void connection.write('too late');
    void connection.end();
    await socket.end();
    await turns();
  });

  it('find every error on errors, whenever they come, and none of it ends or blocks anything [S9]', async () => {
    const { socket, peer } = await opened({ errorBuffer: 2 });
    for (const wrong of ['a\nb', 'c\nd', 'e\nf']) socket.outbound.next(wrong);
    const late = collect(socket.errors);
    expect(late.values.map(({ code }) => code)).to.eql(['TCP_FRAME', 'TCP_FRAME']);
    expect(socket.stats()).to.include({ framesRefused: 3, errorsDropped: 1 });
    await socket.write('alive');
    await peer.heard('alive\n');
    expect(late.end).to.equal(undefined);
    expect(await firstValueFrom(socket.writable)).to.equal(true);
  });
});
