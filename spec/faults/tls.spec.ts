/** Rows 8, 15, 25, 34, 35 and 58 of the fault matrix and threats F5, F8, F13 and F18, over TLS. What makes verification weaker is in tls-names.spec.ts. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import * as net from 'node:net';
import { PassThrough } from 'node:stream';
import * as tls from 'node:tls';
import { inspect } from 'node:util';
import { expect } from 'chai';
import {
  ConnectError,
  ConnectionLostError,
  lines,
  ReconnectLimitError,
  TlsError,
  tcpSocket,
  type ConnectionStatus,
  type TcpError,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { certificates, type Certificates } from '../support/certificates.js';
import { FakeStream } from '../support/fake-stream.js';
import { faultProxy } from '../support/fault-proxy.js';
import { socketFds } from '../support/fds.js';
import { atEnd, kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { openHandles, stillAlive } from '../support/leaks.js';
import { eventually, live, settled } from '../support/peers.js';
import { listen, sink } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { listenTls } from '../support/tls-servers.js';
import { inVirtualTime } from '../support/virtual-socket.js';

const host = '127.0.0.1';
const soon = { initialDelay: 1, maxDelay: 1 };
/** Redials that come soon, each a little later than the one before. */
const growing = { initialDelay: 1, maxDelay: 64, jitter: 0 };
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

let made: Certificates;
before(async () => {
  made = await certificates();
});

const codesOf = (errors: readonly TcpError[]): string[] => errors.map(({ code }) => code);
const causeCode = (error: unknown): unknown => ((error as TcpError).cause as { readonly code?: unknown }).code;

/** Attempt and delay of each backoff. */
function backoffsOf(statuses: readonly ConnectionStatus[]): [attempt: number, delay: number][] {
  return statuses.flatMap((status) => (status.type === 'backoff' ? [[status.attempt, status.delay]] : []));
}

/** All client sockets that this process makes while the spec runs, as long as they are in memory. */
function rawsMade(): (() => net.Socket[]) & { readonly refs: readonly WeakRef<net.Socket>[] } {
  const refs: WeakRef<net.Socket>[] = [];
  const onSocket = (message: unknown): void => {
    refs.push(new WeakRef((message as { readonly socket: net.Socket }).socket));
  };
  subscribe('net.client.socket', onSocket);
  atEnd(() => unsubscribe('net.client.socket', onSocket));
  return Object.assign(() => refs.flatMap((ref) => ref.deref() ?? []), { refs });
}

/** Resolves once the peer's end of a connection is closed: whatever was on its way to the peer's program has come. */
async function closed(raw: net.Socket): Promise<void> {
  if (!raw.destroyed) await new Promise((resolve) => raw.once('close', resolve));
}

describe('row 15 and F5: a TLS handshake that', () => {
  leavesNothingOpen();

  it('hangs ends exactly at connectTimeout, and the next dial follows after its delay [S8]', () => {
    const steps: [at: number, step: string][] = [];
    const errors: TcpError[] = [];
    const streams: FakeStream[] = [];
    const dial = (): FakeStream => {
      streams.push(new FakeStream());
      return streams.at(-1)!;
    };
    const end = inVirtualTime(({ now, at }) => {
      const socket = tcpSocket({ dial, tls: true, connectTimeout: 700, reconnect: { random: () => 1 } });
      socket.status.subscribe(({ type }) => steps.push([now(), type]));
      socket.errors.subscribe((error) => errors.push(error));
      at(1_600, () => socket.destroy());
    });
    expect(end, 'nothing is left to happen after destroy()').to.equal(1_600);
    expect(steps).to.deep.equal([
      [0, 'connecting'],
      [700, 'backoff'],
      [750, 'connecting'],
      [1_450, 'backoff'],
      [1_550, 'connecting'],
      [1_600, 'closing'],
      [1_600, 'closed'],
    ]);
    expect(codesOf(errors)).to.deep.equal(['TCP_CONNECT_TIMEOUT', 'TCP_CONNECT_TIMEOUT']);
    for (const error of errors) expect(error).to.include({ phase: 'tls', timeout: 700 });
    expect(streams.map(({ destroyed }) => destroyed)).to.deep.equal([true, true, true]);
  });

  it('hangs shares its deadline with the connect before it [S8]', () => {
    const errors: [at: number, error: TcpError][] = [];
    inVirtualTime(({ at, now }) => {
      const stream = Object.assign(new PassThrough(), { connecting: true });
      const socket = tcpSocket({ dial: () => stream, tls: true, connectTimeout: 700, reconnect: false });
      socket.inbound.subscribe({ error: () => undefined });
      socket.errors.subscribe((error) => errors.push([now(), error]));
      at(600, () => Object.assign(stream, { connecting: false }).emit('connect'));
    });
    expect(errors.map(([at]) => at)).to.deep.equal([700]);
    expect(errors[0]![1]).to.include({ code: 'TCP_CONNECT_TIMEOUT', phase: 'tls' });
  });

  it('hangs holds one descriptor until its deadline and none after, and keeps what was queued [S2][S11]', async () => {
    const silent = await listen(sink);
    const before = socketFds();
    const config = { host, port: silent.port, tls: { ca: made.ca }, connectTimeout: 40, reconnect: soon };
    const socket = kept(tcpSocket(config));
    const errors = tape(socket.errors);
    void socket.write('queued');
    await errors.first((error) => error.code === 'TCP_CONNECT_TIMEOUT' && error.phase === 'tls');
    await errors.at(errors.values.length + 2);
    expect(socket.stats()).to.include({ queuedFrames: 1, framesUndelivered: 0 });
    socket.destroy();
    await Promise.all(silent.sockets.map(closed));
    expect(socketFds()).to.equal(before);
    expect(new Set(codesOf(errors.values.slice(0, 3)))).to.deep.equal(new Set(['TCP_CONNECT_TIMEOUT']));
  });

  it('drips a byte at a time ends at the same deadline, for bytes that come put it off by nothing [S8]', async () => {
    const server = await listenTls(made.server);
    const proxy = await faultProxy(server.port);
    proxy.set('down', { bandwidth: 100 });
    const config = { host, port: proxy.port, tls: { ca: made.ca }, connectTimeout: 150, reconnect: soon };
    const socket = kept(tcpSocket(config));
    const dripped = await tape(socket.errors).first(
      (error) => 'phase' in error && error.phase === 'tls' && (proxy.connections.at(-1)?.down.passed ?? 0) > 1,
    );
    expect(dripped).to.include({ code: 'TCP_CONNECT_TIMEOUT', timeout: 150 });
    expect(socket.stats().epoch, 'connections that opened').to.equal(0);
  });

  it('is cut off by the network is a ConnectError, and the next dial opens [S8]', async () => {
    const server = await listenTls(made.server);
    const proxy = await faultProxy(server.port, {
      plan: (index) => ({ down: index < 2 ? { limit: { bytes: 20, then: index === 0 ? 'reset' : 'fin' } } : {} }),
    });
    const socket = kept(tcpSocket({ host, port: proxy.port, tls: { ca: made.ca }, settle: 0, reconnect: soon }));
    const errors = tape(socket.errors);
    await socket.write('at last');
    await (await server.recording(0)).has('at last');
    expect(errors.values).to.have.length(2);
    for (const error of errors.values) expect(error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'tls' });
    expect(errors.values.map(causeCode)).to.deep.equal(['ECONNRESET', 'ECONNRESET']);
  });

  it('is given up by destroy() leaves nothing, whatever has come by then [S11]', async () => {
    const server = await listenTls(made.server);
    for (const bytes of [0, 1, 100, 700]) {
      const proxy = await faultProxy(server.port);
      if (bytes === 0) proxy.set('down', { stall: true });
      else proxy.set('down', { limit: { bytes, then: 'stall' } });
      const before = socketFds();
      const socket = kept(tcpSocket({ host, port: proxy.port, tls: { ca: made.ca } }));
      const { up, down, closed: gone } = await proxy.connection(0);
      await eventually(() => up.passed > 0 && down.passed === bytes);
      socket.destroy();
      proxy.connections[0]!.reset();
      await gone;
      await eventually(() => socketFds() <= before);
      expect(tape(socket.errors).values).to.deep.equal([]);
    }
  });
});

describe('row 25 and F8: a server whose certificate is', () => {
  leavesNothingOpen();

  const bad = [
    ['self-signed', 'selfSigned', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['for another host', 'wrongHost', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['expired', 'expired', 'CERT_HAS_EXPIRED'],
    ['of an unknown authority', 'unknownCa', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ] as const;

  for (const version of VERSIONS) {
    for (const [name, key, code] of bad) {
      it(`${name} is refused under ${version} with a TlsError that ends the socket, and its program sees no byte [S3][S8]`, async () => {
        const server = await listenTls({ ...made[key], maxVersion: version });
        const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca }, reconnect: soon }));
        const [inbound, errors, statuses] = [tape(socket.inbound), tape(socket.errors), tape(socket.status)];
        const written = outcome(socket.write('a secret'));
        socket.outbound.next('another');
        await inbound.end;
        const [refused, ...undelivered] = errors.values;
        expect(refused).to.be.instanceOf(TlsError).and.to.include({ code: 'TCP_TLS', opened: false, epoch: 0 });
        expect(refused).to.deep.include({ endpoint: { host, port: server.port } });
        expect(causeCode(refused)).to.equal(code);
        expect(inbound.error).to.equal(refused);
        expect(undelivered).to.have.length(2);
        for (const error of undelivered) expect(error).to.include({ code: 'TCP_WRITE', fate: 'unsent', attempts: 0 });
        expect(await written).to.equal(undelivered[0]);
        expect(statuses.values.map(({ type }) => type)).to.deep.equal(['connecting', 'closing', 'closed']);
        await closed(await server.raw(0));
        expect(server).to.include({ dials: 1, payload: 0 });
        expect(socket.stats()).to.include({ epoch: 0, bytesWritten: 0, framesWritten: 0 });
      });
    }
  }

  it('bad is tried again where `retryable` says so, later each time, and its program never sees a byte [S8]', async () => {
    const server = await listenTls(made.selfSigned);
    const reconnect = { ...growing, maxAttempts: 4, retryable: () => true };
    const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca }, settle: 0, reconnect }));
    const [inbound, errors, statuses] = [tape(socket.inbound), tape(socket.errors), tape(socket.status)];
    void socket.write('a secret');
    await inbound.end;
    expect(codesOf(errors.values)).to.deep.equal([
      ...Array<string>(5).fill('TCP_TLS'),
      'TCP_WRITE',
      'TCP_RECONNECT_LIMIT',
    ]);
    expect(inbound.error).to.be.instanceOf(ReconnectLimitError);
    expect(backoffsOf(statuses.values)).to.deep.equal([
      [2, 1],
      [3, 2],
      [4, 4],
      [5, 8],
    ]);
    await Promise.all([0, 1, 2, 3, 4].map(async (index) => closed(await server.raw(index))));
    expect(server).to.include({ dials: 5, payload: 0 });
  });

  it('bad leaves an error that shows neither the certificate nor text of the peer (F12, F13)', async () => {
    const server = await listenTls(made.wrongHost);
    const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca, ...made.client }, reconnect: false }));
    const inbound = tape(socket.inbound);
    await inbound.end;
    for (const text of [JSON.stringify(inbound.error), inspect(inbound.error, { depth: 10 }), String(inbound.error)]) {
      expect(text).to.contain('ERR_TLS_CERT_ALTNAME_INVALID');
      expect(text).to.not.match(/elsewhere|BEGIN|PRIVATE|Buffer|<.*>|rx-tcp spec CA/);
    }
  });
});

describe('a server that does not speak TLS', () => {
  leavesNothingOpen();

  const speakers: [string, (raw: net.Socket) => void][] = [
    ['greets', (raw) => void raw.write('220 mail.example.test ESMTP\r\n')],
    ['answers as HTTP does', (raw) => void raw.once('data', () => raw.end('HTTP/1.1 400 Bad Request\r\n\r\n'))],
    ['sends everything back', (raw) => void raw.pipe(raw)],
    ['sends zeros', (raw) => void raw.write(Buffer.alloc(100_000))],
  ];
  for (const [name, speak] of speakers) {
    it(`and ${name} is refused with a TlsError that ends the socket; the text of neither side is in it (F12)`, async () => {
      const received: Buffer[] = [];
      const server = await listen((raw) => {
        raw.on('data', (chunk) => received.push(chunk));
        raw.on('end', () => raw.end());
        speak(raw);
      });
      const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca }, reconnect: soon }));
      const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
      void socket.write('a secret');
      await inbound.end;
      expect(codesOf(errors.values)).to.deep.equal(['TCP_TLS', 'TCP_WRITE']);
      expect(inbound.error).to.equal(errors.values[0]);
      expect(inbound.error).to.be.instanceOf(TlsError).and.to.include({ opened: false });
      expect(causeCode(inbound.error)).to.match(/^(ERR_SSL_[A-Z_]+|EPROTO)$/);
      const shown = inspect(inbound.error) + JSON.stringify(inbound.error) + String(inbound.error);
      expect(shown).to.not.match(/mail|HTTP|secret|routines|record|wrong version/);
      await closed(await server.socket(0));
      expect(server.sockets).to.have.length(1);
      expect(Buffer.concat(received).includes('secret')).to.equal(false);
    });
  }

  it('cannot be had by a TLS server either: what comes in plain reaches no program, and the loss is an ordinary one', async () => {
    const server = await listenTls(made.server);
    const socket = kept(tcpSocket({ host, port: server.port, reconnect: false }));
    const inbound = tape(socket.inbound);
    await socket.write('hello, this is not TLS\n');
    await inbound.end;
    expect(server).to.include({ dials: 1, payload: 0 });
    expect(server.sockets).to.have.length(0);
    if (inbound.error !== undefined) expect(inbound.error).to.be.instanceOf(ConnectionLostError);
  });
});

describe('row 34: a server that wants a client certificate', () => {
  leavesNothingOpen();

  const wanting = (version: tls.SecureVersion): tls.TlsOptions => ({
    ...{ ...made.server, ca: made.ca, requestCert: true, rejectUnauthorized: true },
    ...{ minVersion: version, maxVersion: version },
  });

  const refusedFiveTimes: [attempt: number, delay: number][] = [
    [2, 1],
    [3, 2],
    [4, 4],
    [5, 8],
  ];

  it('and gets none refuses under TLS 1.3 when the connection is open: a TlsError each time, later each time [S8]', async () => {
    const server = await listenTls(wanting('TLSv1.3'));
    const reconnect = { ...growing, maxAttempts: 4 };
    // What is queued waits longer than the refusal takes.
    const config = { host, port: server.port, tls: { ca: made.ca }, settle: 10_000, reconnect };
    const socket = kept(tcpSocket(config));
    const [errors, statuses, inbound] = [tape(socket.errors), tape(socket.status), tape(socket.inbound)];
    const first = await errors.at(0);
    const written = outcome(socket.write('a secret'));
    await inbound.end;
    expect(first).to.be.instanceOf(TlsError).and.to.include({ opened: true, epoch: 1 });
    expect(causeCode(first)).to.equal('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
    const last = ['TCP_WRITE', 'TCP_RECONNECT_LIMIT'];
    expect(codesOf(errors.values)).to.deep.equal([...Array<string>(5).fill('TCP_TLS'), ...last]);
    expect(errors.values.slice(0, 5).map(({ epoch }) => epoch)).to.deep.equal([1, 2, 3, 4, 5]);
    expect(statuses.values.filter(({ type }) => type === 'open')).to.have.length(5);
    expect(backoffsOf(statuses.values)).to.deep.equal(refusedFiveTimes);
    expect(statuses.values.find(({ type }) => type === 'backoff')).to.include({ cause: first });
    expect(await written).to.include({ code: 'TCP_WRITE', fate: 'unsent' });
    expect(server).to.include({ dials: 5, payload: 0 });
    expect(server.sockets).to.have.length(0);
  });

  it('and gets none refuses under TLS 1.2 in the handshake: one TlsError, which ends the socket [S8]', async () => {
    const server = await listenTls(wanting('TLSv1.2'));
    const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca }, reconnect: soon }));
    const inbound = tape(socket.inbound);
    void socket.write('a secret');
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(TlsError).and.to.include({ opened: false, epoch: 0 });
    expect(causeCode(inbound.error)).to.match(/^ERR_SSL_/);
    expect(server).to.include({ dials: 1, payload: 0 });
  });

  for (const version of VERSIONS) {
    // OpenSSL's own server says why: openssl.spec.ts.
    it(`and gets one of another authority closes without a word under ${version}, if it is Node: a fault of the network each time, later each time [S8]`, async () => {
      const server = await listenTls(wanting(version));
      const reconnect = { ...growing, maxAttempts: 4 };
      const options = { ca: made.ca, ...made.strangeClient };
      const socket = kept(tcpSocket({ host, port: server.port, tls: options, settle: 10_000, reconnect }));
      const [errors, statuses, inbound] = [tape(socket.errors), tape(socket.status), tape(socket.inbound)];
      await inbound.end;
      expect(inbound.error).to.be.instanceOf(ReconnectLimitError);
      // Under TLS 1.2 the server has the last word of the handshake, and does not say it.
      const lost = Array<string>(5).fill(version === 'TLSv1.2' ? 'TCP_CONNECT' : 'TCP_CONNECTION_LOST');
      expect(codesOf(errors.values)).to.deep.equal([...lost, 'TCP_RECONNECT_LIMIT']);
      expect(backoffsOf(statuses.values)).to.deep.equal(refusedFiveTimes);
      expect(server).to.include({ dials: 5, payload: 0 });
      expect(server.sockets).to.have.length(0);
    });
  }

  it('is content once a function gives one: the dial after the refusal opens and stays [S8]', async () => {
    const server = await listenTls(wanting('TLSv1.3'));
    let asked = 0;
    const options = (): tls.ConnectionOptions => ({ ca: made.ca, ...(asked++ > 0 && made.client) });
    const socket = kept(tcpSocket({ host, port: server.port, tls: options, reconnect: soon }));
    await tape(socket.errors).at(0);
    await socket.write('with a certificate');
    await (await server.recording(0)).has('with a certificate');
    expect([asked, server.dials, tape(socket.errors).values.length]).to.deep.equal([2, 2, 1]);
  });
});

describe('row 35: certificates that turn to garbage between two dials', () => {
  leavesNothingOpen();

  const garbage = { cert: '-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n', key: 'rubbish' };
  const none = (): Error => new Error('the file is being written');
  const turned: [string, () => unknown][] = [
    ['a bad PEM', () => ({ ...garbage })],
    ['a key that does not fit', () => ({ key: made.server.key, cert: made.client.cert })],
    ['a bad cipher list', () => ({ ciphers: 'no such cipher' })],
    ['an unknown option', () => ({ certificate: 'x' })],
    ['an option of net', () => ({ port: 1 })],
    ['nothing', () => undefined],
    ['a promise', () => Promise.resolve({})],
    [
      'a throw',
      () => {
        throw none();
      },
    ],
  ];

  for (const [name, give] of turned) {
    it(`(${name}) fail that dial with a ConnectError before TCP is dialled; the next one opens, and what was queued is written [S2][S8]`, async () => {
      const server = await listenTls(made.server);
      let asked = 0;
      const options = (): tls.ConnectionOptions => {
        asked++;
        return asked === 2 || asked === 3 ? (give() as tls.ConnectionOptions) : { ca: made.ca };
      };
      const reconnect = { ...growing, retryable: () => true };
      const socket = kept(tcpSocket({ host, port: server.port, tls: options, settle: 0, reconnect }));
      const [errors, statuses] = [tape(socket.errors), tape(socket.status)];
      await live(socket);
      (await server.socket(0)).destroy();
      await errors.at(0);
      await socket.write('kept');
      await (await server.recording(1)).has('kept');
      expect(codesOf(errors.values)).to.deep.equal(['TCP_CONNECTION_LOST', 'TCP_CONNECT', 'TCP_CONNECT']);
      for (const error of errors.values.slice(1)) expect(error).to.include({ phase: 'config', epoch: 1 });
      expect([asked, server.dials]).to.deep.equal([4, 2]);
      expect(backoffsOf(statuses.values).map(([attempt]) => attempt)).to.deep.equal([2, 3, 4]);
      expect(inspect(errors.values) + JSON.stringify(errors.values)).to.not.match(/rubbish|BEGIN|PRIVATE/);
    });
  }

  it('end the socket at once where `retryable` is the default: what is wrong with options does not pass by itself [S8]', async () => {
    const server = await listenTls(made.server);
    const socket = kept(tcpSocket({ host, port: server.port, tls: () => ({ ...garbage }), reconnect: soon }));
    const inbound = tape(socket.inbound);
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'config' });
    expect(server.dials).to.equal(0);
  });
});

describe('row 58: a FIN without close_notify', () => {
  leavesNothingOpen();

  it('in the middle of a frame cuts that frame, then loses the connection, and the next one begins afresh [S7][S12]', async () => {
    const server = await listenTls(
      made.server,
      (peer, index) => void peer.write(index === 0 ? 'whole\nhalf of' : 'anew\n'),
    );
    const proxy = await faultProxy(server.port);
    const config = { host, port: proxy.port, codec: lines(), tls: { ca: made.ca }, reconnect: soon };
    const socket = kept(tcpSocket<string, string>(config));
    const [frames, errors] = [tape(socket.inbound), tape(socket.errors)];
    await frames.at(0);
    const { bytesRead } = socket.stats();
    await eventually(() => socket.stats().bytesRead >= 'whole\nhalf of'.length || bytesRead > 6);
    proxy.connections[0]!.fin('down');
    await frames.at(1);
    expect(frames.values).to.deep.equal(['whole', 'anew']);
    expect(errors.values).to.have.length(2);
    expect(errors.values[0]).to.include({ code: 'TCP_FRAME', kind: 'truncated' });
    expect(errors.values[1]).to.be.instanceOf(ConnectionLostError).and.to.include({ endedBy: 'peer', bytesRead: 13 });
  });

  it('looks like a clean end where there are no frames to be cut', async () => {
    const server = await listenTls(made.server, (peer) => void peer.write('some bytes'));
    const proxy = await faultProxy(server.port);
    const socket = kept(tcpSocket({ host, port: proxy.port, tls: { ca: made.ca }, reconnect: false }));
    const inbound = tape(socket.inbound);
    const { closed: over } = await live(socket);
    await inbound.at(0);
    proxy.connections[0]!.fin('down');
    await inbound.end;
    expect(await over)
      .to.be.instanceOf(ConnectionLostError)
      .and.to.include({ clean: true, endedBy: 'peer' });
    expect(inbound).to.include({ ended: 'completed' });
  });
});

describe('row 8 over TLS: a reset while reading is stopped, with all buffers full', function () {
  this.timeout(60_000);
  leavesNothingOpen();

  for (const version of VERSIONS) {
    it(`is noticed under ${version}, on the raw socket beneath; what was held is delivered, then the loss [S6][S8]`, async () => {
      const server = await listenTls({ ...made.server, maxVersion: version }, () => undefined);
      const proxy = await faultProxy(server.port);
      const socket = kept(tcpSocket({ host, port: proxy.port, tls: { ca: made.ca }, reconnect: false }));
      const release = socket.pause();
      const inbound = tape(socket.inbound);
      const { closed: over, raw } = await live(socket);
      const sent = Buffer.alloc(16 * 1024 * 1024, 'x');
      (await server.socket(0)).write(sent);
      const { down } = await proxy.connection(0);
      await settled(() => down.passed);
      const held = socket.stats().heldBytes + raw.readableLength;
      expect(down.passed).to.be.lessThan(sent.length);
      expect(held).to.be.at.least(16 * 1024);
      expect(held).to.be.lessThan(1024 * 1024);
      proxy.connections[0]!.reset();
      const lost = await over;
      expect(lost).to.be.instanceOf(ConnectionLostError).and.to.include({ clean: false, unread: 0 });
      expect(inbound.values).to.be.empty;
      release();
      await inbound.end;
      expect(inbound.values.reduce((sum, { length }) => sum + length, 0)).to.be.at.least(held);
      expect(inbound.error).to.equal(lost);
    });
  }

  it('is not made up: nothing is written to the socket beneath but nothing, and reading goes on where it was [S6]', async () => {
    const server = await listenTls(made.server, () => undefined);
    const beneath = rawsMade();
    const socket = kept(tcpSocket({ host, port: server.port, tls: { ca: made.ca }, reconnect: false }));
    const release = socket.pause();
    let length = 0;
    const wrong: number[] = [];
    socket.inbound.subscribe((chunk) => {
      for (const byte of chunk) if (byte !== length++ % 251) wrong.push(length);
    });
    await live(socket);
    const total = 4 * 1024 * 1024;
    (await server.socket(0)).write(Buffer.from(Uint8Array.from({ length: total }, (_, i) => i % 251)));
    await settled(() => socket.stats().heldBytes);
    const probes: number[] = [];
    const [raw] = beneath() as [net.Socket];
    const write = (bytes: string | Uint8Array): boolean => net.Socket.prototype.write.call(raw, bytes);
    await new Promise<void>((resolve) => {
      raw.write = (bytes: string | Uint8Array): boolean => {
        if (probes.push(bytes.length) === 2) resolve();
        return write(bytes);
      };
    });
    expect(probes).to.deep.equal([0, 0]);
    release();
    await eventually(() => length === total);
    expect(wrong).to.deep.equal([]);
    expect(tape(socket.errors).values).to.deep.equal([]);
  });
});

/** What this process holds at one moment. */
interface Holding {
  readonly fds: number;
  readonly handles: number;
  readonly heap: number;
}

describe('F18: many TLS handshakes that fail', function () {
  this.timeout(120_000);
  leavesNothingOpen();

  const collectGarbage = globalThis.gc!;
  const heapNow = (): number => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };

  /** A server that remembers nothing, for what is in memory is counted. */
  async function forgetful(options: tls.TlsOptions): Promise<number> {
    const server = tls.createServer(options, (peer) => peer.on('error', () => undefined));
    server.on('tlsClientError', () => undefined);
    server.listen(0, host);
    await once(server, 'listening');
    atEnd(() => new Promise((resolve) => void server.close(resolve)));
    return (server.address() as net.AddressInfo).port;
  }

  const failures: [string, () => tls.TlsOptions, boolean][] = [
    ['for a bad certificate', () => made.selfSigned, false],
    ['for want of a client certificate', () => ({ ...made.server, requestCert: true, ca: made.ca }), true],
  ];
  for (const [name, options, opens] of failures) {
    it(`400 of them, ${name}, leave descriptors, handles, listeners and heap as they were [S5][S11]`, async () => {
      const [dials, warm] = [400, 100];
      const { refs: raws } = rawsMade();
      const port = await forgetful(options());
      const before = socketFds();
      const reconnect = { ...soon, retryable: () => true };
      // Two addresses, so that each dial makes attempts with timers and listeners of their own.
      const lookup: NonNullable<TcpSocketConfig['socket']>['lookup'] = (_host, { all }, callback) => {
        if (all === true)
          callback(
            null,
            ['127.0.0.2', host].map((address) => ({ address, family: 4 })),
          );
        else callback(null, host, 4);
      };
      const config = { host: 'localhost', port, tls: { ca: made.ca }, socket: { lookup }, settle: 60_000, reconnect };
      const socket = kept(tcpSocket(config));
      const failed: string[] = [];
      socket.errors.subscribe(({ code }) => failed.push(code));
      const shapes = new Set<string>();
      socket.connections.subscribe(({ raw }) => shapes.add(listenersOf(raw as net.Socket)));
      const holding: Holding[] = [];
      await new Promise<void>((reached) => {
        socket.status.subscribe((status) => {
          if (status.type !== 'connecting') return;
          if (status.attempt === warm || status.attempt === dials + 1)
            holding.push({ fds: socketFds(), handles: openHandles().length, heap: heapNow() });
          if (status.attempt > dials) reached();
        });
      });
      socket.destroy();
      const [first, last] = holding as [Holding, Holding];
      const left = await stillAlive(raws, 0);
      console.log(
        `[figure] F18: ${dials} failed TLS handshakes ${name}: sockets of the kernel ${first.fds} and ${last.fds}, heap ` +
          `${((last.heap - first.heap) / 1024).toFixed(0)} KiB more between dial ${warm} and ${dials}, ${left} raw sockets in memory`,
      );
      expect([failed.length, new Set(failed)]).to.deep.equal([dials, new Set(['TCP_TLS'])]);
      expect(shapes.size, 'listeners of each open socket').to.equal(opens ? 1 : 0);
      // Some of the server's ends may be closing just then.
      expect(last.handles).to.be.at.most(first.handles + 3);
      expect(last.fds).to.be.at.most(before + 6);
      expect(left).to.be.at.most(2);
      expect(last.heap - first.heap).to.be.below(1024 * 1024);
    });
  }

  /** Its listeners by event, as one text. */
  function listenersOf(raw: net.Socket): string {
    const count = (name: string | symbol): string => `${String(name)} ${String(raw.listenerCount(name))}`;
    return raw.eventNames().map(count).sort().join(', ');
  }
});
