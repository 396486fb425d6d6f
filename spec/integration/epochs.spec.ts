import { once } from 'node:events';
import { expect } from 'chai';
import { ConnectionLostError, lines, tcpSocket } from '../../lib/index.js';
import { FakeDials, FakeStream, nodeError } from '../support/fake-stream.js';
import { kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { listen, sink } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const soon = { settle: 0, reconnect: { initialDelay: 1, maxDelay: 2 } };

/** A socket on its second connection, with a frame in flight on both; the first was lost. */
async function onSecond() {
  const dials = new FakeDials(() => new FakeStream(() => undefined));
  const socket = kept(tcpSocket({ dial: dials.dial, codec: lines(), ...soon }));
  const [statuses, errors, inbound] = [tape(socket.status), tape(socket.errors), tape(socket.inbound)];
  await statuses.first(({ type }) => type === 'open');
  const written = outcome(socket.write('x'));
  await turns(2);
  const first = dials.streams[0]!;
  first.push('half a li');
  await turns(2);
  first.emit('error', nodeError('ECONNRESET'));
  await statuses.first((status) => status.type === 'open' && status.epoch === 2);
  await turns(2);
  const second = dials.streams[1]!;
  expect([first.texts, second.texts]).to.deep.equal([['x\n'], ['x\n']]);
  return { socket, statuses, errors, inbound, written, first, second };
}

describe('a connection that was given up', () => {
  leavesNothingOpen();

  for (const result of ['success', 'failure'] as const) {
    it(`changes nothing with the late ${result} of a write [S10]`, async () => {
      const { socket, written, first, second, errors } = await onSecond();
      const before = errors.values.length;
      first.writes[0]!.done(result === 'failure' ? nodeError('EPIPE') : null);
      await turns();
      expect(socket.stats()).to.include({ framesWritten: 0, inFlightFrames: 1, queuedFrames: 1, drops: 1, epoch: 2 });
      expect(errors.values).to.have.length(before);
      second.writes[0]!.done();
      expect(await written).to.equal('written');
      expect(socket.stats()).to.include({ framesWritten: 1, bytesWritten: 2, framesRetried: 1 });
    });
  }

  it('changes nothing with the late success of a write, even of a stream that never says it is destroyed [S10]', async () => {
    const late: ((error?: null) => void)[] = [];
    const dials = new FakeDials((index) => {
      const stream = new FakeStream(() => undefined);
      if (index > 0) return stream;
      Object.defineProperty(stream, 'destroyed', { value: false });
      stream.write = ((_chunk: Buffer, done: () => void) => late.push(done) > 0) as never;
      return stream;
    });
    const socket = kept(tcpSocket({ dial: dials.dial, ...soon }));
    const statuses = tape(socket.status);
    await statuses.first(({ type }) => type === 'open');
    const written = outcome(socket.write('x'));
    await turns(2);
    dials.streams[0]!.emit('error', nodeError('ECONNRESET'));
    await statuses.first((status) => status.type === 'open' && status.epoch === 2);
    await turns(2);
    for (const done of late) done();
    await turns(2);
    expect(late).to.have.length(1);
    expect(socket.stats()).to.include({ framesWritten: 0, inFlightFrames: 1, queuedFrames: 1 });
    dials.streams[1]!.writes[0]!.done();
    expect(await written).to.equal('written');
  });

  it('changes nothing with late bytes, a late FIN, error or close [S10][S7]', async () => {
    const { socket, errors, inbound, statuses, first, second } = await onSecond();
    const heard = [errors.values.length, statuses.values.length];
    const { bytesRead } = socket.stats();
    first.emit('data', Buffer.from('ne\nlate\n'));
    first.emit('end');
    first.emit('error', nodeError('ETIMEDOUT'));
    first.emit('close');
    first.emit('drain');
    second.push('fresh\n');
    expect(await inbound.at(0)).to.equal('fresh');
    expect(inbound.values).to.have.length(1);
    expect([errors.values.length, statuses.values.length]).to.deep.equal(heard);
    expect(socket.stats()).to.include({ bytesRead: bytesRead + 6, drops: 1 });
  });

  it('changes nothing with its Connection: write() rejects, end() and destroy() leave the next one alone [S10]', async () => {
    const server = await listen(sink);
    const socket = kept(tcpSocket({ host, port: server.port, ...soon }));
    const connections = tape(socket.connections);
    const old = await connections.at(0);
    (await server.socket(0)).destroy();
    expect(await old.closed).to.be.instanceOf(ConnectionLostError);
    await connections.at(1);
    expect(await outcome(old.write('x'))).to.be.instanceOf(Error);
    await old.end();
    old.destroy(new Error('late'));
    await socket.write('y');
    expect(socket.stats()).to.include({ drops: 1, epoch: 2, framesWritten: 1 });
    expect([old.epoch, connections.values[1]!.epoch]).to.deep.equal([1, 2]);
  });

  it('changes nothing with the hold of its Connection beyond the stream that they share [S10]', async () => {
    const server = await listen((peer, index) => {
      if (index === 1) peer.write('from the second\n');
    });
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), ...soon }));
    const [connections, inbound] = [tape(socket.connections), tape(socket.inbound)];
    const release = (await connections.at(0)).pause();
    (await server.socket(0)).destroy();
    await connections.at(1);
    release();
    release();
    expect(await inbound.at(0)).to.equal('from the second');
    expect(socket.stats().holds).to.equal(0);
  });

  it('changes nothing after the socket is destroyed: no status, no error, no frame [S10][S11]', async () => {
    const { socket, errors, statuses, inbound, second } = await onSecond();
    socket.destroy();
    const heard = [errors.values.length, statuses.values.length, inbound.values.length];
    const stats = socket.stats();
    second.emit('data', Buffer.from('late\n'));
    second.emit('end');
    second.emit('error', nodeError('ECONNRESET'));
    second.writes[0]!.done();
    await turns();
    expect([errors.values.length, statuses.values.length, inbound.values.length]).to.deep.equal(heard);
    expect(socket.stats()).to.deep.equal(stats);
  });
});

describe('a dial that was given up', () => {
  leavesNothingOpen();

  it('has what it answers late destroyed, and its signal aborted [S10][S11]', async () => {
    let resolve: (stream: FakeStream) => void = () => undefined;
    const promise = new Promise<FakeStream>((answer) => (resolve = answer));
    let signal: AbortSignal | undefined;
    const socket = kept(
      tcpSocket({
        dial: (_endpoint, given) => {
          signal = given;
          return promise;
        },
      }),
    );
    socket.destroy();
    expect(signal?.aborted).to.be.true;
    const late = new FakeStream();
    resolve(late);
    await once(late, 'close');
    expect(socket.stats()).to.include({ epoch: 0, drops: 0 });
  });

  it('does not confuse the next one when it answers after its deadline [S10]', async () => {
    const late = new FakeStream();
    const next = new FakeStream();
    let resolveLate: (stream: FakeStream) => void = () => undefined;
    let dials = 0;
    const dial = (): FakeStream | Promise<FakeStream> =>
      ++dials === 1 ? new Promise((resolve) => (resolveLate = resolve)) : next;
    const socket = kept(tcpSocket({ dial, ...soon, connectTimeout: 5 }));
    const errors = tape(socket.errors);
    expect((await errors.at(0)).code).to.equal('TCP_CONNECT_TIMEOUT');
    await tape(socket.connections).at(0);
    resolveLate(late);
    await once(late, 'close');
    await socket.write('x');
    expect(next.texts).to.deep.equal(['x']);
    expect(socket.stats()).to.include({ dials: 2, epoch: 1, drops: 0 });
  });
});
