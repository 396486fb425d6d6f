/** Rows 28, 29 and 31 of the fault matrix: a firewall that starts to drop every packet of an open connection, and tells nobody. */
import { execFileSync } from 'node:child_process';
import { setTimeout as passing } from 'node:timers/promises';
import { expect } from 'chai';
import { ConnectionLostError, lines, tcpSocket } from '../../lib/index.js';
import type { Connection, ReconnectConfig, TcpSocket, TcpSocketConfig } from '../../lib/index.js';
import { certificates } from '../support/certificates.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import {
  network,
  SERVER,
  startServer,
  type Heal,
  type Network,
  type Server,
  type ServerOptions,
} from '../support/netns.js';
import { tape, type Tape } from '../support/tape.js';

type Config = TcpSocketConfig<string, string>;

const MiB = 1024 * 1024;
/** A server that answers is never so slow, and the kernel's own patience with one that does not is 15 minutes. */
const heartbeat = { interval: 500, timeout: 1_500, message: () => 'beat' };
/** Soon found out once the path has healed. */
const reconnect: ReconnectConfig = { initialDelay: 20, maxDelay: 100 };
/** The first dial must come through even on a machine that stands still for a second; one on its way as the path heals does so with its next SYN. */
const base = { codec: lines({ maxFrameLength: 16 * MiB }), connectTimeout: 2_500, reconnect } satisfies Config;

/** A socket with its first connection to an echo server, and what it has told. */
interface Setting {
  readonly net: Network;
  readonly server: Server;
  readonly socket: TcpSocket<string, string>;
  readonly live: Connection<string, string>;
  readonly frames: Tape<string>;
  readonly errors: Tape<{ readonly code: string }>;
  readonly statuses: Tape<{ readonly type: string }>;
}

async function connected(config: Config, options: ServerOptions = {}): Promise<Setting> {
  const net = network();
  const server = await startServer(options);
  return follow(net, server, { host: server.host, port: server.port, ...config });
}

/** The same over TLS, with a certificate that is verified. */
async function securely(config: Config, options: ServerOptions = {}): Promise<Setting> {
  const net = network();
  const { ca, server: certificate } = await certificates();
  const server = await startServer({ ...certificate, ...options });
  const lookup: NonNullable<Config['socket']>['lookup'] = (_name, _options, callback) =>
    callback(null, [{ address: SERVER, family: 4 }]);
  return follow(net, server, { host: 'localhost', port: server.port, socket: { lookup }, tls: { ca }, ...config });
}

async function follow(net: Network, server: Server, config: Config): Promise<Setting> {
  const socket = kept(tcpSocket<string, string>({ ...base, ...config }));
  const frames = tape(socket.inbound);
  const errors = tape(socket.errors);
  const statuses = tape(socket.status);
  const live = await tape(socket.connections).at(0);
  await socket.write('hello');
  await frames.first((frame) => frame === 'hello');
  return { net, server, socket, live, frames, errors, statuses };
}

/** It was noticed: the connection is dropped for this reason, long before the kernel would have given up. */
async function expectDropped({ live, errors }: Setting, code: string): Promise<ConnectionLostError> {
  const error = await errors.at(0);
  expect(error.code).to.equal(code);
  const lost = await live.closed;
  expect(lost).to.be.instanceOf(ConnectionLostError).and.include({ clean: false, cause: error, unread: 0 });
  expect(lost!.silence).to.be.below(60_000);
  return lost!;
}

/** The path heals: of the dials until then none came through, the next one does, and the socket works. */
async function expectRecovery(heal: Heal, { socket, frames, errors, statuses }: Setting): Promise<void> {
  heal();
  await statuses.first((status) => 'epoch' in status && status.epoch === 2);
  await socket.write('here again');
  await frames.first((frame) => frame === 'here again');
  const [, ...dials] = errors.values;
  for (const { code } of dials) expect(code).to.equal('TCP_CONNECT_TIMEOUT');
  expect(socket.stats()).to.include({ epoch: 2, drops: 1, dials: 2 + dials.length, framesUndelivered: 0 });
}

/** What the client's kernel tells of its established connections to the server. */
function kernelView({ server }: Setting): string {
  const filter = ['dst', `${server.host}:${server.port}`];
  return execFileSync('ss', ['--tcp', '--info', '--no-header', ...filter], { encoding: 'utf8' });
}

for (const [over, open] of [['TCP', connected] as const, ['TLS', securely] as const]) {
  describe(`row 28: an idle server, dead without a packet, over ${over}`, () => {
    leavesNothingOpen();

    it('is noticed by the heartbeat, and dialled again until the path has healed', async () => {
      const setting = await open({ heartbeat });
      await setting.frames.first((frame) => frame === 'beat');
      const heal = setting.net.drop();
      const lost = await expectDropped(setting, 'TCP_IDLE_TIMEOUT');
      expect(lost.silence).to.be.above(1_900);
      await setting.errors.at(1);
      await expectRecovery(heal, setting);
    });

    it('is noticed without a message of ours, if it had always spoken by itself', async () => {
      const setting = await open({ heartbeat: { interval: 500, timeout: 1_500 } }, { speaks: true });
      await setting.frames.first((frame) => frame === 'tick');
      const heal = setting.net.drop();
      await expectDropped(setting, 'TCP_IDLE_TIMEOUT');
      expect(setting.socket.stats().framesWritten).to.equal(1);
      await expectRecovery(heal, setting);
    });
  });
}

describe('row 28: an idle server, dead without a packet', () => {
  leavesNothingOpen();

  it('goes unnoticed where neither heartbeat nor idleTimeout asks', async () => {
    const setting = await connected({ heartbeat });
    const { host, port } = setting.server;
    const trusting = kept(tcpSocket({ ...base, host, port }));
    trusting.inbound.subscribe();
    await tape(trusting.connections).at(0);
    setting.net.drop();
    await expectDropped(setting, 'TCP_IDLE_TIMEOUT');
    expect(trusting.stats()).to.include({ epoch: 1, drops: 0 });
  });
});

describe('row 29: unacknowledged data into a blackhole', () => {
  leavesNothingOpen();

  it('is noticed by the heartbeat, though the kernel took the data', async () => {
    const setting = await connected({ heartbeat });
    const heal = setting.net.drop();
    await setting.socket.write('into the void');
    expect(kernelView(setting)).to.match(/\bunacked:[1-9]/);
    await expectDropped(setting, 'TCP_IDLE_TIMEOUT');
    await expectRecovery(heal, setting);
  });

  it('is noticed by writeTimeout once the kernel takes no more, and what was in flight is written again', async () => {
    const setting = await connected({ writeTimeout: 2_000 });
    const heal = setting.net.drop();
    const long = 'x'.repeat(8 * MiB);
    const written = setting.socket.write(long);
    const lost = await expectDropped(setting, 'TCP_WRITE_STALL');
    expect(lost.unconfirmed).to.equal(1);
    await expectRecovery(heal, setting);
    await written;
    expect(await setting.frames.first((frame) => frame.length > 100)).to.equal(long);
    expect(setting.socket.stats().framesRetried).to.equal(1);
  });
});

function numbersIn(frames: Tape<string>): string[] {
  return frames.values.filter((frame) => frame.startsWith('number'));
}

describe('row 31: a path that heals below the timeouts', () => {
  leavesNothingOpen();

  interface Outage {
    readonly title: string;
    /** How long it lasts. */
    readonly seconds: number;
    /** Begins it, and gives what ends it. */
    readonly begin: (net: Network) => Heal;
  }
  const outages: readonly Outage[] = [
    { title: 'a blackhole of 4 s', seconds: 4, begin: (net) => net.drop() },
    { title: 'a router that answers with ICMP errors', seconds: 1, begin: (net) => net.refuse(SERVER, 'unreachable') },
    { title: 'a link of ours that is down', seconds: 1, begin: (net) => net.unplug() },
  ];
  for (const { title, seconds, begin } of outages) {
    it(`causes no reconnect and no loss: ${title}`, async () => {
      const timeouts = { heartbeat: { ...heartbeat, timeout: 19_500 }, writeTimeout: 20_000 };
      const { net, socket, errors, statuses, frames } = await connected(timeouts);
      const numbers = Array.from({ length: 2_000 }, (_, i) => `number ${i}`);
      const long = 'x'.repeat(8 * MiB);

      const heal = begin(net);
      for (const number of numbers.slice(0, 1_000)) socket.outbound.next(number);
      const stalled = socket.write(long);
      for (const number of numbers.slice(1_000)) socket.outbound.next(number);
      await passing(1_000 * seconds); // the outage itself: nothing tells that it has lasted long enough
      expect(numbersIn(frames)).to.deep.equal([]);
      heal();
      await stalled;
      await frames.first((frame) => frame === numbers.at(-1));

      expect(numbersIn(frames)).to.deep.equal(numbers);
      expect(frames.values.filter((frame) => frame.length > 100)).to.deep.equal([long]);
      expect(errors.values).to.deep.equal([]);
      expect(statuses.values.map(({ type }) => type)).to.deep.equal(['connecting', 'open']);
      expect(socket.stats()).to.include({ dials: 1, drops: 0, framesRetried: 0, framesUndelivered: 0 });
    });
  }
});
