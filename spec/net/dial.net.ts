/** Rows 13, 38 and 54 of the fault matrix: dials over a network that is silent, slow, refuses, or is not there. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, type LookupFunction } from 'node:net';
import { expect } from 'chai';
import { codeOf } from '../../lib/errors.js';
import { lines, tcpSocket, type ConnectionStatus, type TcpError, type TcpSocket } from '../../lib/index.js';
import { socketFds } from '../support/fds.js';
import { atEnd, kept, leavesNothingOpen, turns } from '../support/fixture.js';
import { network, SERVER, SERVER_V6, startServer, type Refusal } from '../support/netns.js';
import { tape, type Tape } from '../support/tape.js';

const codec = lines();
/** The delays of the backoff are known beforehand: 20, 40, 80 … ms. */
const DOUBLING = { initialDelay: 20, factor: 2, jitter: 0 };
/** Long enough that no dial follows while a spec looks. */
const MINUTE = { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 };

/** The waits that a socket has told of, in ms. */
function delaysIn(statuses: Tape<ConnectionStatus>): number[] {
  return statuses.values.flatMap((status) => (status.type === 'backoff' ? [status.delay] : []));
}

async function expectEcho(socket: TcpSocket<string, string>): Promise<void> {
  const frames = tape(socket.inbound);
  await socket.write('there');
  expect(await frames.at(0)).to.equal('there');
}

/** After each failed dial a wait, each twice as long as the one before. */
function expectBackoff(errors: Tape<TcpError>, statuses: Tape<ConnectionStatus>): void {
  const delays = delaysIn(statuses);
  expect(delays).to.have.lengthOf(errors.values.length);
  expect(delays).to.deep.equal(delays.map((_, i) => 20 * 2 ** i));
}

describe('row 13: a connect into a SYN blackhole', () => {
  leavesNothingOpen();

  it('fails at the deadline, closes its descriptor, and waits for the next attempt', async () => {
    const net = network();
    const server = await startServer();
    net.drop();
    const before = socketFds();
    const { host, port } = server;
    const socket = kept(tcpSocket({ host, port, connectTimeout: 200, reconnect: MINUTE }));
    const errors = tape(socket.errors);
    const statuses = tape(socket.status);
    await turns(2);
    expect(socketFds()).to.equal(before + 1);
    const waiting = await statuses.first(({ type }) => type === 'backoff');
    expect(errors.values[0]).to.include({ code: 'TCP_CONNECT_TIMEOUT', timeout: 200, phase: 'connect' });
    expect(waiting).to.include({ attempt: 2, delay: 60_000, cause: errors.values[0] });
    await turns(2);
    expect(socketFds()).to.equal(before);
    expect(process.getActiveResourcesInfo()).not.to.include('TCPSocketWrap');
  });

  it('is dialled again with backoff until the path has healed', async () => {
    const net = network();
    const { host, port } = await startServer();
    const heal = net.drop();
    const socket = kept(tcpSocket({ host, port, codec, connectTimeout: 100, reconnect: DOUBLING }));
    const errors = tape(socket.errors);
    const statuses = tape(socket.status);
    await errors.at(2);
    heal();
    await statuses.first(({ type }) => type === 'open');
    expect(new Set(errors.values.map(({ code }) => code))).to.deep.equal(new Set(['TCP_CONNECT_TIMEOUT']));
    expectBackoff(errors, statuses);
    expect(socket.stats()).to.include({ dials: errors.values.length + 1, drops: 0, epoch: 1 });
    await expectEcho(socket);
  });
});

describe('row 38: a name with two addresses, the first slow and the second refused', () => {
  leavesNothingOpen();

  const ADDRESSES = [
    { address: SERVER, family: 4 },
    { address: SERVER_V6, family: 6 },
  ] as const;

  /** The round trip of the handshake with the server in ms, as the client's kernel has measured it. */
  function roundTrip(host: string, port: number): number {
    const filter = ['dst', `[${host}]:${port}`];
    const shown = execFileSync('ss', ['--tcp', '--info', '--no-header', ...filter], { encoding: 'utf8' });
    return Number(/\brtt:([\d.]+)/.exec(shown)?.[1]);
  }

  for (const [first, second] of [ADDRESSES, [...ADDRESSES].reverse()] as const) {
    it(`connects to the first, an IPv${first.family} address that takes 400 ms to answer`, async () => {
      const net = network();
      const host = first.address;
      const { port } = await startServer({ host });
      net.delayFirst(first.family, 400);
      const lookup: LookupFunction = (_name, _options, callback) => callback(null, [first, second]);
      const socket = kept(tcpSocket({ host: 'name.invalid', port, codec, socket: { lookup }, reconnect: false }));
      const live = await tape(socket.connections).at(0);
      expect(roundTrip(host, port)).to.be.above(390);
      expect(live.raw).to.include({ remoteAddress: host });
      expect(socket.stats()).to.include({ dials: 1, drops: 0 });
      await expectEcho(socket);
    });
  }

  it("fails with Node's own patience of 250 ms for each address, and is dialled again", async () => {
    const net = network();
    const { port } = await startServer();
    net.delayFirst(4, 3_000);
    const lookup: LookupFunction = (_name, _options, callback) => callback(null, [...ADDRESSES]);
    const impatient = { lookup, autoSelectFamilyAttemptTimeout: 250 };
    const socket = kept(tcpSocket({ host: 'name.invalid', port, socket: impatient, reconnect: MINUTE }));
    const error = await tape(socket.errors).at(0);
    expect(error).to.include({ code: 'TCP_CONNECT', phase: 'connect' });
    const codes = (error.cause as AggregateError).errors.map((inner) => codeOf(inner));
    expect(codes).to.have.members(['ETIMEDOUT', 'ECONNREFUSED']);
    await tape(socket.status).first(({ type }) => type === 'backoff');
  });
});

describe('row 54: a network that refuses a dial', () => {
  leavesNothingOpen();

  interface Case {
    readonly title: string;
    readonly host: string;
    readonly how: Refusal;
    readonly code: string;
  }
  const cases: readonly Case[] = [
    { title: 'a host that its router cannot reach', host: SERVER, how: 'unreachable', code: 'EHOSTUNREACH' },
    { title: 'a host that a firewall forbids', host: SERVER, how: 'prohibit', code: 'EHOSTUNREACH' },
    { title: 'a network without a route', host: SERVER, how: 'throw', code: 'ENETUNREACH' },
    { title: 'an IPv6 network without a route', host: SERVER_V6, how: 'unreachable', code: 'ENETUNREACH' },
    { title: 'an IPv6 host that a firewall forbids', host: SERVER_V6, how: 'prohibit', code: 'EACCES' },
  ];
  for (const { title, host, how, code } of cases) {
    it(`dials ${title} (${code}) again with backoff until it may`, async () => {
      const net = network();
      const { port } = await startServer({ host });
      const heal = net.refuse(host, how);
      const socket = kept(tcpSocket({ host, port, codec, reconnect: DOUBLING }));
      await expectRetried(socket, code, heal);
    });
  }

  it('dials a port that nobody listens on (ECONNREFUSED) again with backoff until somebody does', async () => {
    network();
    const server = await startServer();
    const { host, port } = server;
    await server.kill();
    const socket = kept(tcpSocket({ host, port, codec, reconnect: DOUBLING }));
    await expectRetried(socket, 'ECONNREFUSED', () => startServer({ port }));
  });

  it('dials over a link that is down (ENETUNREACH) again with backoff until it is up', async () => {
    const net = network();
    const { host, port } = await startServer();
    const heal = net.unplug();
    const socket = kept(tcpSocket({ host, port, codec, reconnect: DOUBLING }));
    await expectRetried(socket, 'ENETUNREACH', heal);
  });

  it('dials without a free port of its own (EADDRNOTAVAIL) again with backoff until there is one', async () => {
    const net = network();
    const { host, port } = await startServer();
    net.set('client', 'ipv4/ip_local_port_range', '40000 40001');
    const others = [connect(port, host), connect(port, host)];
    for (const other of others) {
      other.on('error', () => undefined);
      atEnd(() => other.destroy());
    }
    await Promise.all(others.map((other) => once(other, 'connect')));
    const socket = kept(tcpSocket({ host, port, codec, reconnect: DOUBLING }));
    // A reset leaves no TIME_WAIT, which would keep the port for a minute.
    await expectRetried(socket, 'EADDRNOTAVAIL', () => others[0]!.resetAndDestroy());
  });

  /** Three dials in a row fail with this code; once the cause is removed one succeeds. */
  async function expectRetried(socket: TcpSocket<string, string>, code: string, heal: () => unknown): Promise<void> {
    const errors = tape(socket.errors);
    const statuses = tape(socket.status);
    await errors.at(2);
    await heal();
    await statuses.first(({ type }) => type === 'open');
    for (const error of errors.values) {
      expect(error).to.include({ code: 'TCP_CONNECT', phase: 'connect' });
      expect(codeOf(error.cause)).to.equal(code);
    }
    expectBackoff(errors, statuses);
    expect(socket.stats()).to.include({ dials: errors.values.length + 1, drops: 0, epoch: 1 });
    await expectEcho(socket);
  }
});
