/** The `tls` function of a server that answers something else: what was let in by the old options must prove itself anew. */
import * as tls from 'node:tls';
import { expect } from 'chai';
import { lines, tcpServer, TlsError } from '../../lib/index.js';
import { certificates, type Certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';

describe('tcpServer() whose TLS options change', () => {
  leavesNothingOpen();

  let made: Certificates;
  before(async () => {
    made = await certificates();
  });

  /** Serves by the answers of this function, and says 'welcome' to whom it lets in. */
  async function start(options: () => tls.TlsOptions) {
    const server = tcpServer({ host, codec: lines(), tls: options });
    atEnd(() => server.close({ timeout: 0 }));
    server.connections.subscribe((connection) => {
      connection.inbound.subscribe({ error: () => undefined });
      void connection.write('welcome');
    });
    return { server, errors: tape(server.errors), ...(await server.listening) };
  }

  /** One connection of a client: whether it was let in, and whether by this session; without one, with the session that it got. */
  async function visit(port: number, session?: Buffer) {
    const known = { ca: made.ca, servername: 'localhost', ...made.client };
    const raw = kept(tls.connect({ port, host, ...known, ...(session && { session }) }));
    raw.on('error', () => undefined);
    const closed = new Promise<undefined>((resolve) => raw.once('close', () => resolve(undefined)));
    const got = (event: string): Promise<Buffer | undefined> =>
      Promise.race([closed, new Promise<Buffer>((resolve) => raw.once(event, resolve))]);
    const [welcome, fresh] = await Promise.all([got('data'), session ?? got('session')]);
    const reused = raw.isSessionReused();
    raw.destroy();
    return { isIn: welcome !== undefined, reused, session: fresh };
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const only = { minVersion: version, maxVersion: version };

    it(`does not let a client in by its session once its authority is trusted no more (${version})`, async () => {
      let ca = [made.ca];
      const { port, errors } = await start(() => ({ ...made.server, ...only, ca, requestCert: true }));
      const { isIn, session } = await visit(port);
      expect([isIn, session !== undefined]).to.eql([true, true]);
      ca = [made.otherCa];
      expect((await visit(port, session)).isIn).to.equal(false);
      expect(await errors.first(({ code }) => code === 'TCP_TLS')).to.be.instanceOf(TlsError);
    });

    it(`does not let a client in by its session once it must show a certificate (${version})`, async () => {
      let requestCert = false;
      const { port } = await start(() => ({ ...made.server, ...only, ca: made.otherCa, requestCert }));
      const { isIn, session } = await visit(port);
      expect([isIn, session !== undefined]).to.eql([true, true]);
      requestCert = true;
      expect((await visit(port, session)).isIn).to.equal(false);
    });

    it(`sees a list that was changed in place (${version})`, async () => {
      const ca = [made.ca];
      const { port } = await start(() => ({ ...made.server, ...only, ca, requestCert: true }));
      const { isIn, session } = await visit(port);
      expect([isIn, session !== undefined]).to.eql([true, true]);
      ca[0] = made.otherCa;
      expect((await visit(port, session)).isIn).to.equal(false);
    });

    it(`resumes sessions as long as its function says the same, in whatever objects (${version})`, async () => {
      const pair = (): tls.TlsOptions => ({ key: Buffer.from(made.server.key), cert: made.server.cert });
      const { port } = await start(() => ({ ...pair(), ...only, ca: [made.ca], requestCert: true }));
      const { session } = await visit(port);
      expect(session).to.be.instanceOf(Buffer);
      const again = await visit(port, session);
      expect([again.isIn, again.reused]).to.eql([true, true]);
    });
  }
});
