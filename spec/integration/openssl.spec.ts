/** OpenSSL's own programs as peers of a client and of a server of ours: they say why they refuse, which Node's server does not. */
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as tls from 'node:tls';
import { expect } from 'chai';
import {
  lines,
  tcpServer,
  TlsError,
  tcpSocket,
  type Connection,
  type TcpServer,
  type TcpSocket,
} from '../../lib/index.js';
import { certificates, ELSEWHERE, type Certificates, type Pair } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { live } from '../support/peers.js';
import { tape, type Tape } from '../support/tape.js';

const host = '127.0.0.1';
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

let made: Certificates;

/** Files with these texts, by name, in a folder that goes with the spec. */
function files<N extends string>(texts: Readonly<Record<N, string>>): Record<N, string> {
  const folder = mkdtempSync(join(tmpdir(), 'rx-tcp-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const paths: Record<N, string> = { ...texts };
  for (const name of Object.keys(texts) as N[]) {
    paths[name] = join(folder, name);
    writeFileSync(paths[name], texts[name]);
  }
  return paths;
}

/** Starts a program of OpenSSL, which ends with the spec at the latest. */
function openssl(args: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn('openssl', args);
  child.stdin.on('error', () => undefined);
  atEnd(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  });
  return child;
}

/** Its server on a free port, with these arguments beside its certificate, and perhaps a second one for those who ask for `ELSEWHERE`. */
function opensslServer(pair: Pair, args: readonly string[], second?: Pair): Promise<number> {
  const { cert, key, ca } = files({ ...pair, ca: made.ca });
  const identity = ['-cert', cert, '-key', key, '-CAfile', ca];
  if (second !== undefined) {
    const other = files({ ...second });
    identity.push('-servername', ELSEWHERE, '-servername_fatal', '-cert2', other.cert, '-key2', other.key);
  }
  return portOf(openssl(['s_server', '-accept', `${host}:0`, ...identity, ...args]));
}

/** It says where it listens, and a lot besides. */
function portOf({ stdout, stderr }: ChildProcessWithoutNullStreams): Promise<number> {
  let said = '';
  stderr.resume();
  // Not a `for await`: leaving that destroys the stream, and the process with it.
  return new Promise((resolve, reject) => {
    stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      const port = /^ACCEPT .*:(\d+)$/m.exec(said)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    stdout.once('end', () => reject(new Error('openssl s_server has ended')));
  });
}

function dialled(port: number, options: tls.ConnectionOptions): TcpSocket<string, string> {
  const config = { host, port, codec: lines(), tls: { ca: made.ca, ...options }, settle: 0 };
  return kept(tcpSocket({ ...config, reconnect: { initialDelay: 1, maxDelay: 64, jitter: 0, maxAttempts: 3 } }));
}

const causeCode = (error: unknown): unknown => ((error as Error).cause as { readonly code?: unknown }).code;

/** Skips what needs OpenSSL where there is none, visibly. */
async function needsOpenssl(this: Mocha.Context): Promise<void> {
  made = await certificates();
  if (spawnSync('openssl', ['version']).status === 0) return;
  console.log('[note] openssl is not installed: these specs are skipped');
  this.skip();
}

describe('openssl s_server as the peer', function () {
  this.timeout(30_000);

  before(needsOpenssl);
  leavesNothingOpen();

  for (const version of VERSIONS) {
    const only = version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3';

    it(`is spoken with in ${version}, both ways, to the end of it`, async () => {
      const socket = dialled(await opensslServer(made.server, [only, '-rev']), {});
      const heard = tape(socket.inbound);
      const { raw } = await live(socket);
      expect([(raw as tls.TLSSocket).getProtocol(), (raw as tls.TLSSocket).authorized]).to.deep.equal([version, true]);
      await socket.write('hello');
      await socket.write('x'.repeat(5_000) + 'y');
      await heard.at(1);
      expect(heard.values).to.deep.equal(['olleh', 'y' + 'x'.repeat(5_000)]);
      await socket.end();
      expect(tape(socket.errors).values).to.deep.equal([]);
    });

    it(`resumes its session in ${version} after a redial`, async () => {
      const socket = dialled(await opensslServer(made.server, [only, '-rev']), {});
      const [connections, heard] = [tape(socket.connections), tape(socket.inbound)];
      const resumed: boolean[] = [];
      for (let i = 0; i < 3; i++) {
        resumed.push(((await connections.at(i)).raw as tls.TLSSocket).isSessionReused());
        await socket.write('hello');
        await heard.at(i);
        socket.redial();
      }
      expect(resumed).to.deep.equal([false, true, true]);
    });

    it(`gets a client certificate in ${version} where it wants one`, async () => {
      const args = [only, '-rev', '-Verify', '1', '-verify_return_error'];
      const socket = dialled(await opensslServer(made.server, args), made.client);
      const heard = tape(socket.inbound);
      await socket.write('hello');
      expect(await heard.at(0)).to.equal('olleh');
    });

    for (const [name, pair] of [
      ['without one', undefined],
      ['with one of another authority', 'strangeClient'],
    ] as const) {
      it(`refuses a client ${name} in ${version} with an alert: a TlsError, again and again only once it was open [S8]`, async () => {
        const args = [only, '-rev', '-Verify', '1', '-verify_return_error'];
        const socket = dialled(await opensslServer(made.server, args), pair === undefined ? {} : made[pair]);
        const [inbound, errors, statuses] = [tape(socket.inbound), tape(socket.errors), tape(socket.status)];
        await inbound.end;
        const opened = version === 'TLSv1.3';
        const refused = errors.values.filter((error) => error instanceof TlsError);
        expect(refused).to.have.length(opened ? 4 : 1);
        for (const error of refused) expect(error).to.include({ opened });
        for (const error of refused) expect(causeCode(error)).to.match(/^ERR_SSL_/);
        const attempts = statuses.values.flatMap((status) => (status.type === 'backoff' ? [status.attempt] : []));
        expect(attempts).to.deep.equal(opened ? [2, 3, 4] : []);
        expect(inbound.values).to.deep.equal([]);
      });
    }

    it(`is refused in ${version} with a certificate that is not good, and never hears a byte`, async () => {
      for (const [key, code] of [
        ['selfSigned', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
        ['expired', 'CERT_HAS_EXPIRED'],
        ['wrongHost', 'ERR_TLS_CERT_ALTNAME_INVALID'],
      ] as const) {
        const socket = dialled(await opensslServer(made[key], [only, '-rev']), {});
        const inbound = tape(socket.inbound);
        void socket.write('a secret');
        await inbound.end;
        expect(inbound.error).to.be.instanceOf(TlsError).and.to.include({ opened: false });
        expect(causeCode(inbound.error)).to.equal(code);
        expect(inbound.values).to.deep.equal([]);
      }
    });
  }

  it('chooses a protocol by ALPN', async () => {
    const port = await opensslServer(made.server, ['-rev', '-alpn', 'b,c']);
    for (const [protocols, chosen] of [
      [['a', 'b'], 'b'],
      [['c'], 'c'],
      [undefined, false],
    ] as const) {
      const socket = dialled(port, protocols === undefined ? {} : { ALPNProtocols: [...protocols] });
      expect(((await live(socket)).raw as tls.TLSSocket).alpnProtocol).to.equal(chosen);
      await socket.end(); // it serves one at a time
    }
  });

  it('chooses its certificate by the name that it is asked for', async () => {
    const port = await opensslServer(made.server, ['-rev'], made.wrongHost);
    const known = dialled(port, { servername: ELSEWHERE });
    const raw = (await live(known)).raw as tls.TLSSocket;
    expect(raw.getPeerCertificate().subject.CN).to.equal(ELSEWHERE);
    await known.end();
    const unknown = tape(dialled(port, { servername: 'localhost' }).inbound);
    await unknown.end;
    expect(unknown.error).to.be.instanceOf(TlsError).and.to.include({ opened: false });
    expect(causeCode(unknown.error)).to.equal('ERR_SSL_TLSV1_UNRECOGNIZED_NAME');
  });
});

describe('openssl s_client as the peer', function () {
  this.timeout(30_000);
  before(needsOpenssl);
  leavesNothingOpen();

  interface Served {
    readonly server: TcpServer<string, string>;
    readonly port: number;
    readonly connections: Tape<Connection<string, string>>;
  }

  /** A server of ours that sends each line back in capitals. */
  async function served(options: tls.TlsOptions): Promise<Served> {
    const server = tcpServer({ host, codec: lines(), tls: { ...made.server, ...options } });
    atEnd(() => server.close({ timeout: 0 }));
    server.connections.subscribe((connection) => {
      connection.inbound.subscribe((line) => void connection.write(line.toUpperCase()));
    });
    const connections = tape(server.connections);
    return { server, port: (await server.listening).port, connections };
  }

  /** Its client, what it says, and how it exits. */
  function client(port: number, args: readonly string[], pair?: Pair) {
    const { ca, key, cert } = files({ key: '', cert: '', ...pair, ca: made.ca });
    const identity = pair === undefined ? [] : ['-cert', cert, '-key', key];
    const verify = ['-CAfile', ca, '-verify_return_error', '-quiet', '-no_ign_eof'];
    const child = openssl(['s_client', '-connect', `${host}:${String(port)}`, ...verify, ...identity, ...args]);
    child.stderr.resume();
    let said = '';
    const ended = new Promise<number | null>((resolve) => void child.once('close', resolve));
    const heard = new Promise<string>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes('\n')) resolve(said);
      });
      void ended.then(() => resolve(said));
    });
    return { child, heard, ended };
  }

  for (const version of VERSIONS) {
    const only = version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3';

    it(`is served in ${version}, both ways, to the end of it`, async () => {
      const { server, port, connections } = await served({});
      const { child, heard, ended } = client(port, [only, '-verify_hostname', 'localhost', '-servername', 'localhost']);
      child.stdin.write('hello\n');
      expect(await heard).to.equal('HELLO\n');
      const { raw, closed } = await connections.at(0);
      expect((raw as tls.TLSSocket).getProtocol()).to.equal(version);
      child.stdin.end();
      expect(await ended).to.equal(0);
      await closed;
      expect(tape(server.errors).values).to.deep.equal([]);
    });

    it(`is served in ${version} with a client certificate that is good, and is known by it`, async () => {
      const { port, connections } = await served({ ca: made.ca, requestCert: true });
      const { child, heard } = client(port, [only], made.client);
      child.stdin.write('hello\n');
      expect(await heard).to.equal('HELLO\n');
      const raw = (await connections.at(0)).raw as tls.TLSSocket;
      expect([raw.authorized, raw.getPeerCertificate().subject.CN]).to.deep.equal([true, 'client']);
    });

    for (const [name, pair] of [
      ['without one', undefined],
      ['with one of another authority', 'strangeClient'],
    ] as const) {
      it(`is refused in ${version} ${name} where one is wanted: no connection, no byte, one error`, async () => {
        const { server, port, connections } = await served({ ca: made.ca, requestCert: true });
        const errors = tape(server.errors);
        const { child, heard, ended } = client(port, [only], pair && made[pair]);
        child.stdin.write('hello\n');
        expect(await heard).to.equal('');
        await ended;
        const error = await errors.at(0);
        expect(error.code).to.equal('TCP_TLS');
        expect([connections.values.length, errors.values.length]).to.deep.equal([0, 1]);
      });
    }
  }

  it('that does not trust us is an error of the server, and no connection', async () => {
    const { server, port, connections } = await served(made.selfSigned);
    const errors = tape(server.errors);
    const { heard, ended } = client(port, []);
    expect(await heard).to.equal('');
    expect(await ended).to.not.equal(0);
    expect((await errors.at(0)).code).to.equal('TCP_TLS');
    expect(connections.values).to.have.length(0);
  });
});
