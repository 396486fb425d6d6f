import { once } from 'node:events';
import { inspect } from 'node:util';
import { expect } from 'chai';
import {
  ConnectError,
  ConnectionLostError,
  FrameError,
  IdleTimeoutError,
  lines,
  OverflowError,
  ReconnectLimitError,
  tcpSocket,
  TcpError,
  TlsError,
  type WriteError,
  type Codec,
} from '../../lib/index.js';
import { FakeDials, FakeStream, nodeError } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { expectUncaught } from '../support/guard.js';
import { deadPort, echo, listen, resetAfter, sink } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const soon = { settle: 0, reconnect: { initialDelay: 1, maxDelay: 2 } };
const never = { reconnect: { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 } };

describe('errors', () => {
  leavesNothingOpen();

  it('tells one ConnectError a failed dial, and ReconnectLimitError last [S9]', async () => {
    const socket = kept(
      tcpSocket({ host, port: await deadPort(), reconnect: { initialDelay: 1, maxDelay: 1, maxAttempts: 2 } }),
    );
    const errors = tape(socket.errors);
    for (const message of ['a', 'b', 'c']) socket.outbound.next(message);
    await errors.end;
    const [d1, d2, d3, ...rest] = errors.values;
    for (const error of [d1, d2, d3]) {
      expect(error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'connect' });
      expect((error!.cause as { code: string }).code).to.equal('ECONNREFUSED');
    }
    expect(new Set([d1, d2, d3]).size).to.equal(3);
    expect(rest.slice(0, 3).map((error) => (error as WriteError).undelivered)).to.deep.equal(['a', 'b', 'c']);
    expect(rest[3]).to.be.instanceOf(ReconnectLimitError);
    expect(errors.values).to.have.length(7);
  });

  it('tells one ConnectionLostError a drop, with what is known of it [S9]', async () => {
    const server = await listen((peer, index) => {
      if (index === 0) resetAfter(peer, 3);
      else if (index === 1) peer.once('data', () => peer.end('bye'));
    });
    const socket = kept(tcpSocket({ host, port: server.port, ...soon }));
    socket.inbound.subscribe();
    const errors = tape(socket.errors);
    await socket.write('abc');
    const reset = await errors.at(0);
    await socket.write('de');
    const fin = await errors.at(1);
    await server.socket(2);
    await turns();
    expect(errors.values).to.have.length(2);
    const endpoint = { host, port: server.port };
    expect(reset).to.be.instanceOf(ConnectionLostError).and.to.deep.include({ clean: false, epoch: 1, endpoint });
    expect(reset).to.include({ bytesWritten: 3, bytesRead: 0, unconfirmed: 0, unread: 0, answered: false });
    expect((reset.cause as { code: string }).code).to.equal('ECONNRESET');
    expect(fin).to.be.instanceOf(ConnectionLostError).and.to.deep.include({ clean: true, epoch: 2, endpoint });
    expect(fin).to.include({ endedBy: 'peer', bytesWritten: 2, bytesRead: 3, answered: true, unread: 0 });
    for (const error of [reset, fin] as ConnectionLostError[]) {
      expect(error.age).to.be.at.least(error.silence);
      expect(error.silence).to.be.at.least(0);
    }
  });

  it('tells a cut frame before the loss that cut it [S9][S7]', async () => {
    const server = await listen((peer, index) => {
      if (index === 0) peer.end('one\ntw');
    });
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), ...soon }));
    const [errors, inbound] = [tape(socket.errors), tape(socket.inbound)];
    await server.socket(1);
    expect(inbound.values).to.deep.equal(['one']);
    expect(errors.values).to.have.length(2);
    expect(errors.values[0]).to.be.instanceOf(FrameError).and.to.include({ kind: 'truncated', epoch: 1 });
    expect(errors.values[1]).to.be.instanceOf(ConnectionLostError).and.to.include({ epoch: 1, clean: true });
  });

  it('tells only the reason for a drop of ours: bytes that are no frame [S9][S12]', async () => {
    const server = await listen((peer, index) => {
      if (index === 0) peer.write('good\nmuch too long\n');
      else peer.write('again\n');
    });
    const codec = lines({ maxFrameLength: 5 });
    const socket = kept(tcpSocket({ host, port: server.port, codec, ...soon }));
    const [errors, inbound] = [tape(socket.errors), tape(socket.inbound)];
    await inbound.at(1);
    expect(inbound.values).to.deep.equal(['good', 'again']);
    expect(errors.values).to.have.length(1);
    expect(errors.values[0]).to.be.instanceOf(FrameError).and.to.include({ kind: 'too-large', epoch: 1 });
  });

  it('tells only the reason for a drop of ours: a peer that is silent [S9]', async () => {
    const server = await listen();
    const socket = kept(tcpSocket({ host, port: server.port, idleTimeout: 1, ...soon }));
    const [errors, statuses] = [tape(socket.errors), tape(socket.status)];
    socket.inbound.subscribe();
    await errors.at(1);
    for (const [i, error] of errors.values.entries()) {
      const endpoint = { host, port: server.port };
      expect(error)
        .to.be.instanceOf(IdleTimeoutError)
        .and.to.deep.include({ epoch: i + 1, endpoint });
    }
    const backoff = await statuses.first(({ type }) => type === 'backoff');
    expect(backoff).to.have.property('cause', errors.values[0]);
  });

  it('tells one ConnectError a handshake that fails, with what it failed with, and nothing of the link [S9]', async () => {
    const server = await listen(sink);
    const refusals = [new Error('mine'), 'mine', undefined];
    let asked = 0;
    const handshake = (): Promise<unknown> => Promise.reject(refusals[asked++]);
    const reconnect = { ...soon.reconnect, maxAttempts: 2 };
    const socket = kept(tcpSocket({ host, port: server.port, handshake, settle: 0, reconnect }));
    const errors = tape(socket.errors);
    const written = outcome(socket.write('waits'));
    await errors.end;
    const [first, second, third, ...rest] = errors.values;
    for (const error of [first, second, third]) {
      expect(error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'handshake' });
      expect(error?.endpoint).to.deep.equal({ host, port: server.port });
    }
    expect(first?.cause).to.equal(refusals[0]);
    expect(rest.map(({ code }) => code)).to.deep.equal(['TCP_WRITE', 'TCP_RECONNECT_LIMIT']);
    expect(await written).to.equal(rest[0]);
    expect(socket.stats()).to.include({ dials: 3, framesWritten: 0 });
  });

  it('tells each failed dial with the endpoint that it went to [S9]', async () => {
    const endpoints = [
      { host, port: await deadPort() },
      { host, port: await deadPort() },
    ];
    const socket = kept(tcpSocket({ endpoints, ...soon }));
    const errors = tape(socket.errors);
    await errors.at(2);
    const [a, b] = endpoints;
    expect(errors.values.slice(0, 3).map(({ endpoint }) => endpoint)).to.deep.equal([a, b, a]);
  });

  it('tells one TlsError where the peer speaks no TLS, which ends the socket and so is what inbound errors with [S9][S8]', async () => {
    const server = await listen((peer) => peer.end('220 hello\r\n'));
    const socket = kept(tcpSocket({ host, port: server.port, tls: true, ...soon }));
    const [errors, inbound] = [tape(socket.errors), tape(socket.inbound)];
    await errors.end;
    expect(errors.values).to.have.length(1);
    expect(errors.values[0]).to.be.instanceOf(TlsError).and.to.include({ opened: false, epoch: 0 });
    expect(inbound.error).to.equal(errors.values[0]);
    expect(tape(socket.status).values).to.deep.equal([{ type: 'closed', cause: errors.values[0] }]);
  });

  it('tells options that `tls` answers and that are wrong as a ConnectError of the phase config, by default once [S9][S8]', async () => {
    const server = await listen(sink);
    const tls = (): never => ({ cret: 'x' }) as never;
    const socket = kept(tcpSocket({ host, port: server.port, tls, ...soon }));
    const errors = tape(socket.errors);
    await errors.end;
    expect(errors.values).to.have.length(1);
    expect(errors.values[0]).to.be.instanceOf(ConnectError).and.to.include({ phase: 'config' });
    expect(String(errors.values[0]?.cause)).to.match(/`cret` is not an option of tls; did you mean `cert`/);
    expect(server.sockets).to.have.length(0);
  });

  it('tells one error a message that cannot be encoded; its neighbours are written [S9][S3]', async () => {
    const server = await listen(echo);
    const socket = kept(tcpSocket({ host, port: server.port }));
    const [errors, inbound] = [tape(socket.errors), tape(socket.inbound)];
    const nonsense: unknown[] = [null, undefined, 7, {}, [], Symbol('s'), () => 1, new Date(), NaN, true, 10n];
    socket.outbound.next('a');
    const refused = nonsense.map((message) => outcome(socket.write(message as never)));
    for (const message of nonsense) socket.outbound.next(message as never);
    await socket.write('b');
    const rejections = await Promise.all(refused);
    expect(errors.values).to.have.length(2 * nonsense.length);
    expect(errors.values.slice(0, nonsense.length)).to.deep.equal(rejections);
    for (const error of errors.values) expect(error).to.be.instanceOf(FrameError).and.to.include({ kind: 'encode' });
    expect(socket.stats()).to.include({ framesRefused: 2 * nonsense.length, framesWritten: 2, drops: 0 });
    await inbound.first(() => Buffer.concat(inbound.values).toString() === 'ab');
  });

  it('survives a codec whose encode throws or answers anything [S9][S3]', async () => {
    const answers: unknown[] = ['text', null, undefined, 7, [1], {}, Promise.resolve(Buffer.from('x'))];
    const codec: Codec<Buffer, number> = {
      decoder: () => ({ push: () => undefined, next: () => undefined, end: () => undefined }),
      encode: (index) => {
        if (index < 0) throw index === -1 ? undefined : new Error('secret text');
        return index < answers.length ? (answers[index] as never) : Buffer.from([index]);
      },
    };
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port, codec }));
    const indices = [-2, -1, ...answers.keys()];
    for (const index of indices) {
      const error = await outcome(socket.write(index));
      expect(error).to.be.instanceOf(FrameError).and.to.include({ kind: 'encode' });
      expect(inspect(error) + JSON.stringify(error)).not.to.include('secret');
    }
    await socket.write(answers.length);
    expect(socket.stats()).to.include({ framesWritten: 1, framesRefused: indices.length });
  });

  it('is safe without a subscriber, and replays the newest to those who come late, also after the end [S9]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...soon, errorBuffer: 3 }));
    await tape(socket.status).first((status) => status.type === 'backoff' && status.attempt === 6);
    const late = tape(socket.errors);
    expect(late.values).to.have.length(3);
    for (const error of late.values) expect(error).to.be.instanceOf(ConnectError);
    socket.destroy();
    expect(late.ended).to.equal('completed');
    const later = tape(socket.errors);
    expect(later.ended).to.equal('completed');
    expect(later.values).to.have.length(3);
  });

  it('ends nothing and never errors: the same subscription hears of many drops [S9]', async () => {
    const server = await listen((peer) => peer.end());
    const socket = kept(tcpSocket({ host, port: server.port, ...soon }));
    const errors = tape(socket.errors);
    await errors.at(9);
    expect(errors.ended).to.be.undefined;
    socket.destroy(new Error('mine'));
    expect(errors.ended).to.equal('completed');
  });

  it('goes on when a subscriber throws: that is uncaught, as in RxJS, and its sibling hears everything [S9]', async () => {
    const uncaught = expectUncaught(/mine/);
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...soon }));
    let thrown = false;
    socket.errors.subscribe(() => {
      if (thrown) return;
      thrown = true;
      throw new Error('mine');
    });
    const sibling = tape(socket.errors);
    await sibling.at(2);
    expect(String(await uncaught)).to.equal('Error: mine');
  });

  it('is told in one order to all, whatever a subscriber does meanwhile [S9]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never, writeBuffer: 1 }));
    socket.outbound.next('full');
    let more = 0;
    socket.errors.subscribe((error) => {
      if (error instanceof OverflowError && more < 5) socket.outbound.next(`nested ${String(more++)}`);
    });
    const second = tape(socket.errors);
    socket.outbound.next('first');
    const undelivered = second.values.map((error) => (error as OverflowError).undelivered);
    expect(undelivered).to.deep.equal(['first', ...Array.from({ length: 5 }, (_, i) => `nested ${String(i)}`)]);
  });

  it('may be unsubscribed from inside, and subscribed to inside [S9]', async () => {
    const socket = kept(tcpSocket({ host, port: await deadPort(), ...never, writeBuffer: 1 }));
    socket.outbound.next('full');
    const inner: unknown[] = [];
    const subscription = socket.errors.subscribe((error) => {
      subscription.unsubscribe();
      socket.errors.subscribe((again) => inner.push(again));
      expect(error).to.be.instanceOf(OverflowError);
    });
    for (const message of ['a', 'b']) socket.outbound.next(message);
    expect(inner.map((error) => (error as OverflowError).code)).to.have.length.within(2, 2);
  });

  it('has every error safe to log, without payload or text of the peer [S9]', async () => {
    const dials = new FakeDials((index) => {
      if (index > 1) throw Object.assign(new Error('secret\u001b[31m'), { code: 'EX\nTRA', circular: {} });
      return new FakeStream(({ done }) => done(index === 0 ? nodeError('ECONNRESET') : new Error('secret')));
    });
    const reconnect = { initialDelay: 1, maxDelay: 1, maxAttempts: 3, retryable: () => true };
    const socket = kept(tcpSocket({ dial: dials.dial, settle: 0, reconnect, writeBuffer: { frames: 1 } }));
    const errors = tape(socket.errors);
    socket.outbound.next('secret');
    socket.outbound.next('secret');
    await errors.end;
    expect(new Set(errors.values.map(({ code }) => code)).size).to.be.greaterThan(3);
    for (const error of errors.values) {
      expect(error).to.be.instanceOf(TcpError);
      const shown = `${JSON.stringify(error)} ${inspect(error)} ${String(error)}`;
      expect(shown).not.to.include('secret').and.not.to.include('\u001b');
      expect(error.name).to.match(/Error$/);
      expect(error.code).to.match(/^TCP_/);
    }
  });
});

describe('nothing is uncaught', () => {
  leavesNothingOpen();

  it('when a link fails in every way after it was given up [S9][S10]', async () => {
    const dials = new FakeDials(() => new FakeStream(() => undefined));
    const socket = kept(tcpSocket({ dial: dials.dial, ...never }));
    await tape(socket.status).first(({ type }) => type === 'open');
    socket.outbound.next('x');
    await turns(2);
    const stream = dials.streams[0]!;
    socket.destroy();
    stream.emit('error', new Error('late'));
    stream.emit('error', new Error('later'));
    stream.writes[0]!.done(new Error('latest'));
    await turns();
  });

  it('when the peer resets just as the socket ends, over and over [S9]', async () => {
    const server = await listen((peer) => {
      peer.once('end', () => peer.resetAndDestroy());
      peer.resume();
    });
    for (let i = 0; i < 20; i++) {
      const socket = kept(tcpSocket({ host, port: server.port, ...soon }));
      if (i % 2 === 0) await socket.write('x');
      await socket.end();
    }
  });

  it('when an inbound subscriber throws: its sibling and the socket go on [S9][S6]', async () => {
    const uncaught = expectUncaught(/mine/);
    const server = await listen(echo);
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines() }));
    socket.inbound.subscribe((line) => {
      if (line === 'bad') throw new Error('mine');
    });
    const sibling = tape(socket.inbound);
    for (const line of ['good', 'bad', 'good again']) socket.outbound.next(line);
    await sibling.at(2);
    await uncaught;
    expect(socket.stats().drops).to.equal(0);
  });

  it("save an error of inbound that its subscriber has no handler for, which stays RxJS's [S9]", async () => {
    const uncaught = expectUncaught(/ECONNREFUSED/);
    const socket = kept(tcpSocket({ host, port: await deadPort(), reconnect: false }));
    socket.inbound.subscribe();
    expect(await uncaught).to.be.instanceOf(ConnectError);
    await socket.end();
  });

  it('when a server dies in the middle of everything [S9]', async () => {
    const server = await listen((peer) => {
      peer.write(Buffer.alloc(100_000));
      peer.once('data', () => peer.resetAndDestroy());
    });
    const socket = kept(tcpSocket({ host, port: server.port, ...soon }));
    const release = socket.pause();
    socket.inbound.subscribe();
    for (let i = 0; i < 5; i++) {
      void socket.write(Buffer.alloc(100_000));
      const peer = await server.socket(i);
      await once(peer, 'close');
    }
    release();
    await socket.end({ timeout: 20 });
  });
});
