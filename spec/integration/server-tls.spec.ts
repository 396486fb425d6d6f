import { connect } from 'node:net';
import * as tls from 'node:tls';
import { expect } from 'chai';
import {
  ConnectError,
  lines,
  TcpError,
  tcpServer,
  tcpSocket,
  TlsError,
  type TcpServerConfig,
} from '../../lib/index.js';
import { certificates, type Certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

describe('tcpServer() in TLS', () => {
  leavesNothingOpen();

  let made: Certificates;
  before(async () => {
    made = await certificates();
  });

  async function start(options: TcpServerConfig['tls']) {
    const server = tcpServer({ host, codec: lines(), tls: options! });
    atEnd(() => server.close({ timeout: 0 }));
    server.connections.subscribe((connection) => {
      connection.inbound.subscribe({ error: () => undefined });
      void connection.write('welcome');
    });
    const [connections, errors] = [tape(server.connections), tape(server.errors)];
    return { server, connections, errors, ...(await server.listening) };
  }

  /** A plain TLS client: what it heard, and how it ended. */
  function client(port: number, options: tls.ConnectionOptions = {}) {
    const raw = kept(tls.connect({ port, host, ca: made.ca, servername: 'localhost', ...options }));
    let text = '';
    const heard = new Promise<boolean>((resolve) => {
      raw.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.includes('\n')) resolve(true);
      });
      raw.on('close', () => resolve(false));
    });
    raw.on('error', () => undefined);
    return { raw, heard };
  }

  for (const version of VERSIONS) {
    const only = { minVersion: version, maxVersion: version };

    it(`lets a client with a good certificate in, and no other, where it asks for one (${version})`, async () => {
      const { port, errors, server, connections } = await start({
        ...{ ...made.server, ca: made.ca, requestCert: true },
        ...only,
      });
      const good = client(port, made.client);
      expect(await good.heard).to.be.true;
      const { raw } = await connections.at(0);
      expect((raw as tls.TLSSocket).getPeerCertificate().subject.CN).to.equal('client');
      const bad: [shown: object, code: RegExp][] = [
        [{}, /PEER_DID_NOT_RETURN_A_CERTIFICATE/],
        [made.strangeClient, /UNABLE_TO_VERIFY_LEAF_SIGNATURE/],
        [made.expired, /CERT_HAS_EXPIRED/],
      ];
      for (const [i, [shown, code]] of bad.entries()) {
        expect(await client(port, shown).heard).to.be.false;
        const error = await errors.at(i);
        expect(error).to.be.instanceOf(TlsError);
        expect((error.cause as { code: string }).code).to.match(code);
      }
      expect(server.stats()).to.include({ accepted: 4, failed: 3, open: 1, opening: 0 });
      expect(connections.values).to.have.length(1);
    });

    it(`resumes a session on another connection (${version})`, async () => {
      const { port } = await start({ ...made.server, ...only });
      const first = client(port);
      const fresh = new Promise<Buffer>((resolve) => first.raw.once('session', resolve));
      expect(await first.heard).to.be.true;
      const session = await fresh;
      const second = client(port, { session });
      expect(await second.heard).to.be.true;
      expect([first.raw.isSessionReused(), second.raw.isSessionReused()]).to.deep.equal([false, true]);
    });
  }

  it('lets anybody in where it asks and `rejectUnauthorized` is exactly false', async () => {
    const { port } = await start({ ...made.server, ca: made.ca, requestCert: true, rejectUnauthorized: false });
    for (const shown of [{}, made.strangeClient]) expect(await client(port, shown).heard).to.be.true;
  });

  it('asks a function for each connection: a new certificate is what the next client sees', async () => {
    const pairs = [made.server, made.renewed];
    let asked = 0;
    const { port } = await start(() => pairs[asked++]!);
    const seen: string[] = [];
    for (let i = 0; i < 2; i++) {
      const { raw, heard } = client(port);
      expect(await heard).to.be.true;
      seen.push(raw.getPeerCertificate().fingerprint256);
    }
    expect([asked, new Set(seen).size]).to.deep.equal([2, 2]);
  });

  it('fails the connection for which the function throws or answers garbage, and lives on [S9]', async () => {
    const answers = [
      () => {
        throw new Error('no such file');
      },
      () => ({}),
      () => ({ ...made.server, cert: 'garbage' }),
      () => undefined as never,
      () => made.server,
    ];
    let asked = 0;
    const { port, errors, server } = await start(() => answers[asked++]!());
    for (let i = 0; i < 4; i++) {
      expect(await client(port).heard).to.be.false;
      expect(await errors.at(i))
        .to.be.instanceOf(ConnectError)
        .and.to.include({ phase: 'config' });
    }
    expect(await client(port).heard).to.be.true;
    expect(server.stats()).to.include({ accepted: 5, failed: 4 });
  });

  it('chooses a certificate by name and a protocol by ALPN, and survives when the choice throws [S9]', async () => {
    const { port, errors } = await start({
      ...made.server,
      SNICallback: (name, answer) => {
        if (name === 'boom') throw new Error('boom');
        answer(null, tls.createSecureContext(name === 'renewed' ? made.renewed : made.server));
      },
      ALPNCallback: ({ protocols }) => {
        if (protocols.includes('boom')) throw new Error('boom');
        return protocols[0];
      },
    });
    const anyName = { checkServerIdentity: () => undefined };
    const seen: string[] = [];
    for (const servername of ['usual', 'renewed']) {
      const { raw, heard } = client(port, { ...anyName, servername, ALPNProtocols: ['x', 'y'] });
      expect(await heard).to.be.true;
      expect(raw.alpnProtocol).to.equal('x');
      seen.push(raw.getPeerCertificate().fingerprint256);
    }
    expect(new Set(seen).size).to.equal(2);
    expect(await client(port, { ...anyName, servername: 'boom' }).heard).to.be.false;
    expect(await client(port, { ...anyName, servername: 'usual', ALPNProtocols: ['boom'] }).heard).to.be.false;
    await errors.at(1);
    for (const error of errors.values) expect(error).to.be.instanceOf(TcpError);
    expect(await client(port).heard).to.be.true;
  });

  it('tells a client that speaks no TLS by a TlsError, without its text, and gives it no byte', async () => {
    const { port, errors, server } = await start(made.server);
    const raw = kept(connect(port, host));
    raw.on('error', () => undefined);
    raw.write('GET /secret HTTP/1.1\r\n\r\n');
    const error = await errors.at(0);
    expect(error).to.be.instanceOf(TlsError);
    expect(error.message).not.to.include('secret');
    expect(server.stats()).to.include({ accepted: 1, failed: 1, open: 0, bytesRead: 0, bytesWritten: 0 });
    expect(await client(port).heard).to.be.true;
  });

  it('serves a client of ours', async () => {
    const { port } = await start(made.server);
    const socket = kept(tcpSocket({ host, port, codec: lines(), tls: { ca: made.ca } }));
    expect(await tape(socket.inbound).at(0)).to.equal('welcome');
    await socket.end();
  });
});
