import type { LookupFunction } from 'node:net';
import * as net from 'node:net';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { ConnectTimeoutError, tcpSocket, type TcpError, type TcpSocketConfig } from '../../lib/index.js';
import { unansweredPort } from '../support/child-server.js';
import { socketFds } from '../support/fds.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { recordingServer } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { inVirtualTime } from '../support/virtual-socket.js';

const host = '127.0.0.1';
const soon = { initialDelay: 1, maxDelay: 1 };

/** A stream that says it is connecting, and never says more. */
const neverOpening = (): PassThrough => Object.assign(new PassThrough(), { connecting: true });

/** Virtual ms of each step of a socket whose dials hang, over some seconds. */
function timeline(config: TcpSocketConfig): { steps: [at: number, step: string][]; errors: TcpError[] } {
  const steps: [number, string][] = [];
  const errors: TcpError[] = [];
  const end = inVirtualTime(({ now, at }) => {
    const socket = tcpSocket({ connectTimeout: 700, reconnect: { random: () => 1 }, ...config });
    socket.status.subscribe((status) => {
      if (status.type === 'connecting') steps.push([now(), `connecting ${status.attempt}`]);
      if (status.type === 'backoff') steps.push([now(), `backoff ${status.attempt}, ${status.delay} ms`]);
    });
    socket.errors.subscribe((error) => errors.push(error));
    at(2_500, () => socket.destroy());
  });
  expect(end, 'nothing is left to happen after destroy()').to.equal(2_500);
  return { steps, errors };
}

/** Each dial gives up exactly at its deadline, and the next one follows after its delay. */
const AT_THE_DEADLINE = [
  [0, 'connecting 1'],
  [700, 'backoff 2, 50 ms'],
  [750, 'connecting 2'],
  [1_450, 'backoff 3, 100 ms'],
  [1_550, 'connecting 3'],
  [2_250, 'backoff 4, 200 ms'],
  [2_450, 'connecting 4'],
];

/**
 * Follows a socket whose dials all run into their deadline, until so many have: the sockets that the kernel holds for this process as each dial
 * begins and as it times out, and whether each timed out after its deadline's turn had come.
 */
async function deadlines(config: TcpSocketConfig, count: number) {
  const connectTimeout = 40;
  const fds: { atStart: number[]; atDeadline: number[] } = { atStart: [], atDeadline: [] };
  const order: string[] = [];
  const socket = kept(tcpSocket({ ...config, lazyConnect: true, connectTimeout, reconnect: soon }));
  const errors = tape(socket.errors);
  socket.errors.subscribe(() => {
    order.push('timed out');
    fds.atDeadline.push(socketFds());
  });
  socket.status.subscribe(({ type }) => {
    if (type !== 'connecting') return;
    fds.atStart.push(socketFds());
    // Timers of one length fire in the order in which they were set: this one is older than the deadline of the dial that begins now.
    const timer = setTimeout(() => order.push('time is up'), connectTimeout);
    atEnd(() => clearTimeout(timer));
  });
  socket.redial();
  await errors.at(count - 1);
  return { socket, errors: errors.values.slice(0, count), fds, order: order.slice(0, 2 * count) };
}

describe('row 13: a connect into a SYN blackhole', () => {
  leavesNothingOpen();

  it('ends exactly at connectTimeout, and the next dial follows after its delay [S8]', () => {
    const streams: PassThrough[] = [];
    const dial = (): PassThrough => {
      expect(streams.filter(({ destroyed }) => !destroyed)).to.deep.equal([]);
      streams.push(neverOpening());
      return streams.at(-1)!;
    };
    const { steps, errors } = timeline({ dial });
    expect(steps).to.deep.equal(AT_THE_DEADLINE);
    expect(errors.map(({ code }) => code)).to.deep.equal(Array(3).fill('TCP_CONNECT_TIMEOUT'));
    for (const error of errors) expect(error).to.include({ phase: 'connect', timeout: 700 });
    expect(streams.map(({ destroyed }) => destroyed)).to.deep.equal([true, true, true, true]);
  });

  it('has its descriptor closed before the next dial, each time, and none is left at the end [S11]', async () => {
    const port = await unansweredPort();
    const before = socketFds();
    const { socket, errors, fds, order } = await deadlines({ host, port }, 5);
    socket.destroy();
    expect(socketFds(), 'after destroy()').to.equal(before);
    for (const error of errors) {
      expect(error).to.be.instanceOf(ConnectTimeoutError);
      expect(error).to.deep.include({ phase: 'connect', endpoint: { host, port }, epoch: 0 });
    }
    expect(order).to.deep.equal(Array(5).fill(['time is up', 'timed out']).flat());
    expect(new Set(fds.atStart), 'as a dial begins').to.deep.equal(new Set([before]));
    expect(new Set(fds.atDeadline), 'the dial that times out has one').to.deep.equal(new Set([before + 1]));
  });

  it('keeps what was queued, and does not keep the socket from another server [S2][S8]', async () => {
    const dead = await unansweredPort();
    const server = await recordingServer();
    const ports = [dead, dead, server.port];
    const socket = kept(
      tcpSocket({
        dial: () => net.connect(ports.shift() ?? server.port, host),
        ...{ connectTimeout: 30, settle: 0, reconnect: soon },
      }),
    );
    const statuses = tape(socket.status);
    const [errors, written] = [tape(socket.errors), ['a', 'b'].map((message) => outcome(socket.write(message)))];
    await statuses.first(({ type }) => type === 'open');
    expect(await Promise.all(written)).to.deep.equal(['written', 'written']);
    // On a machine that is busy for longer than the deadline, a dial of the server may time out as well.
    await server.socket(0);
    await (await server.recording(server.sockets.length - 1)).has('ab');
    const attempts = statuses.values.flatMap((status) => (status.type === 'connecting' ? status.attempt : []));
    const { dials, epoch, drops } = socket.stats();
    expect(attempts).to.deep.equal(Array.from({ length: dials }, (_, i) => i + 1));
    expect(errors.values.map(({ code }) => code)).to.deep.equal(Array(dials - 1).fill('TCP_CONNECT_TIMEOUT'));
    expect(dials).to.be.at.least(3);
    expect([epoch, drops]).to.deep.equal([1, 0]);
  });
});

describe('row 14: a lookup that never calls back', () => {
  leavesNothingOpen();

  const hanging: LookupFunction = () => undefined;

  it('ends exactly at connectTimeout, as a connect does, and the next dial asks anew [S8]', () => {
    let asked = 0;
    const lookup: LookupFunction = () => {
      asked++;
    };
    const { steps, errors } = timeline({ host: 'hangs.invalid', port: 1, socket: { lookup } });
    expect(steps).to.deep.equal(AT_THE_DEADLINE);
    for (const error of errors)
      expect(error).to.include({ code: 'TCP_CONNECT_TIMEOUT', phase: 'lookup', timeout: 700 });
    expect([errors.length, asked]).to.deep.equal([3, 4]);
  });

  it('shares its deadline with the connect that follows it [S8]', () => {
    const errors: [at: number, error: TcpError][] = [];
    inVirtualTime(({ at, now }) => {
      const lookup: LookupFunction = (_host, _options, callback) => {
        // No answer of the kernel comes while time is virtual: the connect has the 100 ms that are left.
        at(600, () => callback(null, [{ address: '127.0.0.1', family: 4 }]));
      };
      const socket = tcpSocket({ host: 'slow.invalid', port: 9, connectTimeout: 700, socket: { lookup } });
      socket.errors.subscribe((error) => errors.push([now(), error]));
      at(710, () => socket.destroy());
    });
    expect(errors.map(([at]) => at)).to.deep.equal([700]);
    expect(errors[0]![1]).to.include({ code: 'TCP_CONNECT_TIMEOUT', phase: 'connect' });
  });

  it('opens no descriptor and leaves no handle [S11]', async () => {
    const before = socketFds();
    const config = { host: 'hangs.invalid', port: 1, socket: { lookup: hanging } };
    const { socket, errors, fds, order } = await deadlines(config, 5);
    socket.destroy();
    expect(socketFds(), 'after destroy()').to.equal(before);
    for (const error of errors) expect(error).to.include({ code: 'TCP_CONNECT_TIMEOUT', phase: 'lookup' });
    expect(order).to.deep.equal(Array(5).fill(['time is up', 'timed out']).flat());
    expect(new Set([...fds.atStart, ...fds.atDeadline])).to.deep.equal(new Set([before]));
  });

  it('that answers at last, long given up, opens nothing beside the connection that is there [S10]', async () => {
    const server = await recordingServer();
    const late: (() => void)[] = [];
    let asked = 0;
    const lookup: LookupFunction = (_host, _options, callback) => {
      const answer = (): void => callback(null, [{ address: host, family: 4 }]);
      if (asked++ < 3) late.push(answer);
      else answer();
    };
    const config = { host: 'late.invalid', port: server.port, socket: { lookup } };
    const socket = kept(tcpSocket({ ...config, connectTimeout: 20, settle: 0, reconnect: soon }));
    await Promise.all([tape(socket.connections).at(0), server.socket(0)]);
    const before = [socketFds(), server.sockets.length, socket.stats()];
    for (const answer of late) answer();
    await turns(50);
    expect([socketFds(), server.sockets.length, socket.stats()]).to.deep.equal(before);
    await socket.write('x');
    await (await server.recording(0)).has('x');
    expect(late).to.have.length(3);
  });
});
