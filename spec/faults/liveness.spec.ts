/**
 * Rows 28 to 32 of the fault matrix, F6 and F19: peers that are dead without a packet, that stall, that are slow; and an event loop that is blocked. What a firewall
 * does to packets is played by a proxy here, and by a firewall in spec/net/silence.net.ts.
 */
import * as fs from 'node:fs';
import type * as net from 'node:net';
import { expect } from 'chai';
import { timer } from 'rxjs';
import {
  ConfigError,
  ConnectionLostError,
  connection,
  IdleTimeoutError,
  lines,
  tcpServer,
  tcpSocket,
  WriteStallError,
  type TcpError,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { certificates } from '../support/certificates.js';
import { confirmAtOnce, fakeLink } from '../support/fake-link.js';
import { faultProxy, type FaultProxy } from '../support/fault-proxy.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { eventually } from '../support/peers.js';
import { echo, listen, neverReading, recordingServer, type Handler } from '../support/servers.js';
import { tape, type Tape } from '../support/tape.js';
import { listenTls } from '../support/tls-servers.js';
import { virtualSocket, virtualTurns, type Dialled, type Play } from '../support/virtual-socket.js';

const host = '127.0.0.1';
const KIB = 1024;
const MIB = 1024 * KIB;
type Config = TcpSocketConfig<string, string>;

/** Far more than what an answer takes on a machine that is busy, and far less than what the kernel would. */
const heartbeat = { interval: 50, timeout: 700, message: () => 'beat' };

/** An echo server behind a proxy, and a socket whose first connection has heard its echo. */
interface Setting {
  readonly proxy: FaultProxy;
  readonly socket: TcpSocket<string, string>;
  readonly frames: Tape<string>;
  readonly errors: Tape<TcpError>;
}

async function connected(config: Config): Promise<Setting> {
  const server = await listen(echo);
  const proxy = await faultProxy(server.port);
  const reconnect = { initialDelay: 1 };
  const options = { host, port: proxy.port, codec: lines({ maxFrameLength: 32 * MIB }), reconnect };
  const socket = kept(tcpSocket<string, string>({ ...options, ...config }));
  const [frames, errors] = [tape(socket.inbound), tape(socket.errors)];
  await socket.write('hello');
  await frames.first((frame) => frame === 'hello');
  return { proxy, socket, frames, errors };
}

/** It was dropped for this reason, told once, and the next connection works. */
async function expectRedial({ socket, frames, errors }: Setting, reason: TcpError['code']): Promise<void> {
  const error = await errors.at(0);
  expect(error).to.include({ code: reason, epoch: 1 });
  await socket.write('here again');
  await frames.first((frame) => frame === 'here again');
  expect(errors.values.filter(({ epoch }) => epoch === 1)).to.deep.equal([error]);
  expect(socket.stats().framesUndelivered).to.equal(0);
}

describe('row 28: a peer that is dead without a packet', () => {
  leavesNothingOpen();

  for (const [name, config] of [
    ['the heartbeat', { heartbeat }],
    ['idleTimeout', { idleTimeout: 400 }],
  ] as const) {
    it(`is noticed by ${name}: an IdleTimeoutError, and a redial [S8][S9]`, async () => {
      const setting = await connected(config);
      const closed = tape(setting.socket.connections).values[0]!.closed;
      const { up, down } = setting.proxy.connections[0]!;
      up.faults = down.faults = { blackhole: true };
      await expectRedial(setting, 'TCP_IDLE_TIMEOUT');
      const lost = await closed;
      expect(lost).to.be.instanceOf(ConnectionLostError).and.include({ clean: false, endedBy: 'us', unread: 0 });
      expect(lost!.cause).to.be.instanceOf(IdleTimeoutError);
    });
  }

  it('is no trouble while it answers: the heartbeat keeps up a connection on which nothing else is said', async () => {
    const { frames, errors, socket } = await connected({ heartbeat });
    await frames.at(20);
    expect(new Set(frames.values.slice(1))).to.deep.equal(new Set(['beat']));
    expect(errors.values).to.deep.equal([]);
    expect(socket.stats().drops).to.equal(0);
  });
});

describe('row 29: unacknowledged data into a blackhole', () => {
  leavesNothingOpen();

  it('is noticed by the heartbeat, though the kernel took the data: written is not delivered [S4]', async () => {
    const setting = await connected({ heartbeat });
    const first = setting.proxy.connections[0]!;
    first.up.faults = { blackhole: true };
    await setting.socket.write('into the void');
    await expectRedial(setting, 'TCP_IDLE_TIMEOUT');
    expect(first.up.discarded).to.be.above(0);
    expect(setting.frames.values).not.to.include('into the void');
  });

  it('is noticed by writeTimeout once the kernel takes no more, and what was in flight is written again [S2]', async () => {
    const setting = await connected({ writeTimeout: 400 });
    setting.proxy.connections[0]!.up.faults = { stall: true };
    const long = 'x'.repeat(15 * MIB);
    const written = setting.socket.write(long);
    const error = await setting.errors.at(0);
    expect(error).to.be.instanceOf(WriteStallError);
    await written;
    await setting.frames.first((frame) => frame === long);
    expect(setting.errors.values.filter(({ epoch }) => epoch === 1)).to.deep.equal([error]);
    expect(setting.socket.stats().framesRetried).to.be.at.least(1);
  });
});

/** Lets nothing of this process run until so many ms have passed. */
function block(ms: number, meanwhile: () => void = () => undefined): void {
  for (const until = performance.now() + ms; performance.now() < until;) meanwhile();
}

describe('row 30: an event loop that is blocked for twice the timeout', () => {
  leavesNothingOpen();

  for (const [over, config] of [
    ['TCP', { idleTimeout: 200 }],
    ['TCP', { heartbeat: { interval: 100, timeout: 100 } }],
    ['TLS', { idleTimeout: 200 }],
    ['TLS', { heartbeat: { interval: 100, timeout: 100 } }],
  ] as const) {
    it(`finds the bytes in the kernel that came meanwhile: ${Object.keys(config).join()}, over ${over}`, async () => {
      const made = await certificates();
      let peer: net.Socket | undefined;
      const greets: Handler = (socket) => void (peer ??= socket).write('hello\n');
      const server = over === 'TLS' ? await listenTls(made.server, greets) : await listen(greets);
      const tls = over === 'TLS' ? { ca: made.ca } : undefined;
      const reads = { host: 'localhost', port: server.port, codec: lines(), reconnect: false as const };
      const socket = kept(tcpSocket({ ...reads, ...config, ...(tls && { tls }) }));
      const errors = tape(socket.errors);
      const frames = tape(socket.inbound);
      const heard = new Promise<void>((resolve) => {
        socket.inbound.subscribe({
          next: (frame) => {
            if (frame === 'late') resolve();
            if (frame !== 'hello') return;
            // In one go, so that it hangs on no timing: it is written, and by the time that the loop goes on it is late.
            peer!.write('late\n');
            block(400);
          },
          error: () => resolve(),
        });
      });
      await heard;
      expect(errors.values).to.deep.equal([]);
      expect(frames.values).to.deep.equal(['hello', 'late']);
    });
  }

  it('asks a peer that speaks when it is asked, and waits for its answer', async () => {
    const server = await listen(echo);
    const asking = { interval: 100, timeout: 500, message: () => 'beat' };
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), heartbeat: asking, reconnect: false }));
    const errors = tape(socket.errors);
    let beats = 0;
    await new Promise<void>((resolve) => {
      socket.inbound.subscribe({
        next: () => {
          if (++beats === 1) block(1_200);
          else resolve();
        },
        error: () => resolve(),
      });
    });
    expect(errors.values).to.deep.equal([]);
    expect(beats).to.equal(2);
  });

  it('hears that the kernel took what was being written: writeTimeout', async () => {
    const server = await listen(neverReading);
    const config = { host, port: server.port, codec: lines({ maxFrameLength: 32 * MIB }), writeTimeout: 300 };
    const socket = kept(tcpSocket({ ...config, reconnect: false }));
    const errors = tape(socket.errors);
    const { raw } = await tape(socket.connections).at(0);
    const peer = await server.socket(0);
    let blocked = 0;
    const write = raw.write.bind(raw) as (bytes: Uint8Array, done: () => void) => boolean;
    await new Promise<void>((resolve) => {
      raw.write = ((bytes: Uint8Array, done: () => void): boolean => {
        if (blocked > 0) resolve(); // the piece after the one that was stuck
        const room = write(bytes, done);
        // The kernel is full just now. While nothing here can run, the peer's side of it is emptied.
        if (raw.writableLength > 0 && blocked++ === 0) block(600, () => drain(peer));
        return room;
      }) as typeof raw.write;
      socket.errors.subscribe(() => resolve());
      socket.outbound.next('x'.repeat(15 * MIB));
    });
    expect(errors.values).to.deep.equal([]);
    expect(blocked).to.be.above(0);
  });
});

const scratch = Buffer.alloc(256 * KIB);

/** Takes what the kernel holds for this socket, without a turn of the loop. */
function drain(socket: net.Socket): void {
  const { fd } = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle;
  try {
    while (fs.readSync(fd, scratch) > 0);
  } catch {
    // EAGAIN: it is empty
  }
}

describe('row 31: a path that stalls, and heals below the timeouts', () => {
  leavesNothingOpen();

  it('causes no reconnect, and nothing is lost [S1]', async () => {
    const patient = { heartbeat: { ...heartbeat, timeout: 60_000 }, writeTimeout: 60_000, idleTimeout: 60_000 };
    const { proxy, socket, frames, errors } = await connected(patient);
    const first = proxy.connections[0]!;
    first.up.faults = first.down.faults = { stall: true };
    const numbers = Array.from({ length: 200 }, (_, i) => `number ${i}`);
    for (const number of numbers) socket.outbound.next(number);
    await socket.flush();
    // The outage lasts until some heartbeats have been written in it, and the kernel takes no more.
    const written = socket.stats().framesWritten;
    await eventually(() => socket.stats().framesWritten > written + 3);
    const long = 'x'.repeat(8 * MIB);
    const stuck = socket.write(long);
    const { raw } = tape(socket.connections).values[0]!;
    await eventually(() => raw.writableLength > 0);
    expect(socket.stats().inFlightFrames).to.equal(1);
    first.up.faults = first.down.faults = {};
    await stuck;
    await frames.first((frame) => frame === long);
    expect(frames.values.filter((frame) => frame.startsWith('number'))).to.deep.equal(numbers);
    expect(errors.values).to.deep.equal([]);
    expect(socket.stats()).to.include({ dials: 1, drops: 0, framesRetried: 0 });
  });
});

describe('row 32: a peer that is slow and goes on', () => {
  leavesNothingOpen();

  // The kernel takes more only once a third of its buffer is free, 1.3 to 1.6 MiB: at this pace every 0.3 s.
  const slow = { bandwidth: 5 * MIB };
  const writeTimeout = 1_200;

  it('takes a message of many MiB without a WriteStallError: each piece is progress', async function () {
    this.timeout(60_000);
    const server = await recordingServer();
    const proxy = await faultProxy(server.port, { plan: () => ({ up: slow }) });
    const limits = { frames: 10, bytes: 32 * MIB };
    const socket = kept(tcpSocket({ host, port: proxy.port, writeTimeout, writeBuffer: limits, reconnect: false }));
    const errors = tape(socket.errors);
    const message = Buffer.alloc(12 * MIB);
    for (let i = 0; i < message.length; i += 4) message.writeUInt32LE(i, i);
    await socket.write(message);
    const recording = await server.recording(0);
    await recording.has(message.length);
    expect(recording.bytes.equals(message)).to.equal(true);
    expect(errors.values).to.deep.equal([]);
  });

  it('takes many messages that were written past the queue at once without one: Node must not merge them', async function () {
    this.timeout(60_000);
    const server = await recordingServer();
    const proxy = await faultProxy(server.port, { plan: () => ({ up: slow }) });
    const limits = { frames: 1_000, bytes: 32 * MIB };
    const socket = kept(tcpSocket({ host, port: proxy.port, writeTimeout, writeBuffer: limits, reconnect: false }));
    const errors = tape(socket.errors);
    const live = await tape(socket.connections).at(0);
    await Promise.all(Array.from({ length: 192 }, (_, i) => live.write(Buffer.alloc(64 * KIB, i))));
    const recording = await server.recording(0);
    await recording.has(12 * MIB);
    const { bytes } = recording;
    for (let i = 0; i < 192; i++) expect(bytes[i * 64 * KIB]).to.equal(i % 256);
    expect(errors.values).to.deep.equal([]);
  });

  it('is no less in order over TLS, and gets the FIN after the last piece [S1]', async () => {
    const made = await certificates();
    const server = await listenTls(made.server);
    const tls = { ca: made.ca };
    const socket = kept(tcpSocket({ host: 'localhost', port: server.port, tls, writeTimeout: 60_000 }));
    const live = await tape(socket.connections).at(0);
    const long = Buffer.alloc(3 * MIB + 5, 'x');
    socket.outbound.next(long);
    await Promise.all([live.write('direct'), socket.end()]);
    const { bytes } = await server.recording(0);
    expect(bytes.length).to.equal(long.length + 6);
    const direct = bytes.indexOf('direct');
    expect([0, long.length], 'before the large one or behind it').to.include(direct);
  });
});

describe('F6: a server that accepts and closes, again and again', () => {
  virtualTurns();

  /** `greets` of its own accord, before anything can have come to it. */
  const dies =
    (life: number, greets: boolean): Play =>
    ({ link, open }) => {
      open();
      if (greets) link.chunk('hello\n');
      timer(life).subscribe(() => {
        link.fin();
        link.lost();
      });
    };
  const setups: [name: string, config: Config, life: number, greets?: boolean][] = [
    ['a handshake that writes', { handshake: (peer) => peer.write('login') }, 0],
    ['a handshake that writes, and a little later', { handshake: (peer) => peer.write('login') }, 20],
    ['a handshake that waits for an answer', { handshake: (peer) => peer.inbound }, 0],
    ['a heartbeat', { heartbeat: { ...heartbeat, interval: 5 } }, 20],
    ['a heartbeat, and it greets', { heartbeat: { ...heartbeat, interval: 5 } }, 20, true],
    ['both', { handshake: (peer) => peer.write('login'), heartbeat: { ...heartbeat, interval: 5 } }, 20],
  ];
  for (const [name, config, life, greets = false] of setups) {
    it(`is dialled at growing delays, whatever we have written to it: ${name} [S8]`, () => {
      let dials: readonly Dialled[] = [];
      virtualSocket(
        config,
        dies(life, greets),
        (stage) => {
          dials = stage.dials;
          stage.socket.inbound.subscribe();
          stage.at(4_000, () => stage.socket.destroy());
        },
        () => fakeLink(confirmAtOnce),
      );
      const gaps = dials.slice(1).map(({ at }, i) => at - dials[i]!.at - life);
      expect(gaps).to.deep.equal([50, 100, 200, 400, 800, 1_600]);
    });
  }
});

describe('F19: numbers that no timer can keep', () => {
  const place = { host, port: 1 };
  const bad: unknown[] = [
    NaN,
    Infinity,
    -Infinity,
    -1,
    2 ** 31,
    '1000',
    '',
    null,
    true,
    {},
    [1],
    10n,
    () => 1,
    Symbol('ms'),
  ];
  const beat = { interval: 1_000, timeout: 1_000 };
  const options: [name: string, config: (value: unknown) => object][] = [
    ['idleTimeout', (value) => ({ idleTimeout: value })],
    ['writeTimeout', (value) => ({ writeTimeout: value })],
    ['heartbeat.interval', (value) => ({ heartbeat: { ...beat, interval: value } })],
    ['heartbeat.timeout', (value) => ({ heartbeat: { ...beat, timeout: value } })],
  ];
  for (const [name, config] of options) {
    it(`are refused by name, by each of those who take it: ${name}`, () => {
      const zero = name.startsWith('heartbeat') ? [0, undefined] : [];
      for (const value of [...bad, ...zero]) {
        const refused = new RegExp(`^\`${name}\` must be a number from [01] to 2147483647, got `);
        const given = { ...place, ...config(value) } as never;
        expect(() => tcpSocket(given), String(value)).to.throw(ConfigError, refused);
        expect(() => connection(given), String(value)).to.throw(ConfigError, refused);
        expect(() => tcpServer(config(value)), String(value)).to.throw(ConfigError, refused);
      }
    });
  }

  it('are no numbers of a heartbeat: an object, its message a function, and no other key', () => {
    for (const heartbeatGiven of [null, 5, true, [], 'beat', {}, { ...beat, message: 'beat' }, { ...beat, every: 1 }]) {
      const given = { ...place, heartbeat: heartbeatGiven } as never;
      expect(() => tcpSocket(given)).to.throw(ConfigError, /heartbeat/);
    }
  });

  it('are not the smallest and the largest that are taken', () => {
    const most = 2 ** 31 - 1;
    for (const config of [
      { idleTimeout: 1, writeTimeout: 1, heartbeat: { interval: 1, timeout: 1 } },
      { idleTimeout: most, writeTimeout: most, heartbeat: { interval: most - 1, timeout: 1 } },
    ]) {
      expect(() => connection({ ...place, ...config })).not.to.throw();
    }
    // They are added up.
    expect(() => connection({ ...place, heartbeat: { interval: most, timeout: 1 } })).to.throw(
      ConfigError,
      /heartbeat/,
    );
    expect(() => connection({ ...place, idleTimeout: 0, writeTimeout: 0 })).not.to.throw();
  });
});
