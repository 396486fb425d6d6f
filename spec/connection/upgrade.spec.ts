import { once } from 'node:events';
import * as net from 'node:net';
import { PassThrough, type Duplex } from 'node:stream';
import * as tls from 'node:tls';
import { expect } from 'chai';
import type { Link } from '../../lib/connection/link.js';
import { upgradeAsClient, upgradeAsServer, type Upgrade } from '../../lib/connection/upgrade.js';
import { ConfigError, ConnectError, TlsError, type TcpError } from '../../lib/errors.js';
import { certificates, ELSEWHERE, type Certificates } from '../support/certificates.js';
import { FakeStream } from '../support/fake-stream.js';
import { atEnd, kept, leavesNothingOpen, turns } from '../support/fixture.js';
import { eventually } from '../support/peers.js';
import { listen } from '../support/servers.js';
import { tape, type Tape } from '../support/tape.js';

const endpoint = { host: 'localhost', port: 7 };
const where = { endpoint, epoch: 2 };

/** Both ends of a plain TCP connection. */
async function plainPair(): Promise<{ near: net.Socket; far: net.Socket }> {
  const server = await listen();
  const near = kept(net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true }));
  near.on('error', () => undefined);
  await once(near, 'connect');
  return { near, far: await server.socket(0) };
}

/** What the other side speaks: TLS of Node's own, as a server over a plain stream. */
function nodeServer(raw: net.Socket, options: tls.TLSSocketOptions): tls.TLSSocket {
  const secure = new tls.TLSSocket(raw, { isServer: true, ...options });
  secure.on('error', () => undefined);
  return kept(secure);
}

function nodeClient(raw: net.Socket, options: tls.ConnectionOptions): tls.TLSSocket {
  const secure = tls.connect({ socket: raw, servername: 'localhost', ...options });
  secure.on('error', () => undefined);
  return kept(secure);
}

function upgraded(upgrade: Upgrade, raw: Duplex, options?: unknown): Tape<Link> {
  const links = tape(upgrade(raw, options, where));
  atEnd(() => links.stop());
  return links;
}

/** All that a link has read, as text. */
function reading(link: Link): { text: string; lost: number } {
  const read = { text: '', lost: 0 };
  link.listen({
    chunk: (chunk) => (read.text += chunk.toString()),
    fin: () => {},
    lost: () => read.lost++,
  });
  return read;
}

describe('an upgrade', () => {
  leavesNothingOpen();
  let made: Certificates;
  before(async () => {
    made = await certificates();
  });

  describe('of a client', () => {
    it('emits the link above, once the peer is verified, and asks for it by its name', async () => {
      const { near, far } = await plainPair();
      const secure = nodeServer(far, made.server);
      const links = upgraded(upgradeAsClient, near, { ca: made.ca });
      const link = await links.at(0);
      expect(link.endpoint).to.equal(endpoint);
      expect(link.raw).to.be.instanceOf(tls.TLSSocket).and.to.include({ authorized: true });
      expect(secure.servername).to.equal('localhost');
      const read = reading(link);
      secure.write('hello');
      await eventually(() => read.text === 'hello');
      link.write(Buffer.from('hi'), () => undefined);
      expect(String((await once(secure, 'data'))[0])).to.equal('hi');
    });

    it('neither completes nor errors when the link is lost: that is told by the link', async () => {
      const { near, far } = await plainPair();
      const secure = nodeServer(far, made.server);
      const links = upgraded(upgradeAsClient, near, { ca: made.ca });
      const link = await links.at(0);
      const read = reading(link);
      secure.destroy();
      link.end();
      await eventually(() => read.lost === 1);
      expect(links.ended).to.be.undefined;
    });

    const refusals: [string, (made: Certificates) => tls.TLSSocketOptions][] = [
      ['for another host', ({ wrongHost }) => wrongHost],
      ['that has expired', ({ expired }) => expired],
      ['signed by itself', ({ selfSigned }) => selfSigned],
      ['of an unknown authority', ({ unknownCa }) => unknownCa],
    ];
    for (const [name, pair] of refusals) {
      it(`errors with a TlsError for a certificate ${name}, and destroys the stream`, async () => {
        const { near, far } = await plainPair();
        nodeServer(far, pair(made));
        const links = upgraded(upgradeAsClient, near, { ca: made.ca });
        await links.end;
        expect([links.values, near.destroyed]).to.eql([[], true]);
        expect(links.error).to.be.instanceOf(TlsError);
        expect(links.error).to.deep.include({ opened: false, endpoint, epoch: 2 });
      });
    }

    it('takes the name that the options want instead', async () => {
      const { near, far } = await plainPair();
      const secure = nodeServer(far, made.wrongHost);
      await upgraded(upgradeAsClient, near, { ca: made.ca, servername: ELSEWHERE }).at(0);
      expect(secure.servername).to.equal(ELSEWHERE);
    });

    it('errors with a TlsError for a peer that does not speak TLS', async () => {
      const { near, far } = await plainPair();
      const links = upgraded(upgradeAsClient, near, {});
      far.write('250 what do you mean\r\n');
      await links.end;
      expect(links.error).to.be.instanceOf(TlsError);
      expect(near.destroyed).to.be.true;
    });

    it('errors with a ConnectError of the phase `tls` for a peer that leaves, which may help next time', async () => {
      for (const leave of ['end', 'resetAndDestroy'] as const) {
        const { near, far } = await plainPair();
        const links = upgraded(upgradeAsClient, near, {});
        await once(far, 'data');
        far[leave]();
        await links.end;
        expect(links.error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'tls' });
        expect(near.destroyed).to.be.true;
      }
    });

    it('speaks TLS over any Duplex', async () => {
      const { near, far } = await plainPair();
      const secure = nodeServer(far, made.server);
      const carried = new FakeStream(({ bytes, done }) => void near.write(bytes, done));
      near.on('data', (chunk) => carried.push(chunk));
      const link = await upgraded(upgradeAsClient, carried, { ca: made.ca }).at(0);
      const read = reading(link);
      secure.write('hello');
      await eventually(() => read.text === 'hello');
      link.destroy();
      await eventually(() => carried.destroyed);
    });
  });

  describe('of a server', () => {
    it('emits the link above, and takes a client’s certificate where it asks for one', async () => {
      const { near, far } = await plainPair();
      const links = upgraded(upgradeAsServer, far, { ...made.server, ca: made.ca, requestCert: true });
      const secure = nodeClient(near, { ca: made.ca, ...made.client });
      const link = await links.at(0);
      expect(link.raw).to.include({ authorized: true });
      const read = reading(link);
      secure.write('hello');
      await eventually(() => read.text === 'hello');
      link.write(Buffer.from('hi'), () => undefined);
      expect(String((await once(secure, 'data'))[0])).to.equal('hi');
    });

    it('errors for a client that is a stranger, that does not speak TLS, or that leaves', async () => {
      const clients: [(near: net.Socket) => unknown, RegExp][] = [
        [(near) => nodeClient(near, { ca: made.ca, ...made.strangeClient }), /^TCP_(TLS|CONNECT)$/],
        [(near) => near.write('GET / HTTP/1.1\r\n\r\n'), /^TCP_TLS$/],
        [(near) => near.resetAndDestroy(), /^TCP_CONNECT$/],
      ];
      for (const [act, expected] of clients) {
        const { near, far } = await plainPair();
        const options = { ...made.server, ca: made.ca, requestCert: true, maxVersion: 'TLSv1.2' };
        const links = upgraded(upgradeAsServer, far, options);
        act(near);
        await links.end;
        expect((links.error as TcpError).code).to.match(expected);
        expect([links.values, far.destroyed]).to.eql([[], true]);
      }
    });

    it('destroys a stream that becomes secure when nobody waits for it any more [S11]', async () => {
      const { near, far } = await plainPair();
      const links = upgraded(upgradeAsServer, far, made.server);
      const secure = nodeClient(near, { ca: made.ca });
      links.stop();
      await eventually(() => far.destroyed && secure.destroyed);
      expect(links.values).to.eql([]);
    });
  });

  describe('with wrong options', () => {
    const client: [string, unknown][] = [
      ['an unknown name', { certificate: 'x' }],
      ['an option of the connection', { host: 'elsewhere' }],
      ['what is no object', 'tls'],
      ['a function', () => ({})],
      ['a servername that is none', { servername: 7 }],
    ];
    for (const [name, options] of client) {
      it(`errors with a ConfigError, and destroys the stream: ${name}`, () => {
        const raw = new PassThrough();
        const links = upgraded(upgradeAsClient, raw, options);
        expect(links.error).to.be.instanceOf(ConfigError);
        expect(raw.destroyed).to.be.true;
      });
    }

    it('errors with a ConfigError on a server without a certificate, and destroys the stream', () => {
      for (const options of [undefined, {}, { ca: made.ca }, { ...made.server, servername: 'x' }]) {
        const raw = new PassThrough();
        const links = upgraded(upgradeAsServer, raw, options);
        expect(links.error).to.be.instanceOf(ConfigError);
        expect(raw.destroyed).to.be.true;
      }
    });

    it('errors with a ConnectError of the phase `config` for what Node throws, on both sides', () => {
      for (const upgrade of [upgradeAsClient, upgradeAsServer]) {
        const raw = new PassThrough();
        const links = upgraded(upgrade, raw, { key: 'no key', cert: 'no certificate' });
        expect(links.error).to.be.instanceOf(ConnectError);
        expect(links.error).to.deep.include({ phase: 'config', endpoint, epoch: 2 });
        expect(raw.destroyed).to.be.true;
      }
    });

    it('writes nothing to the peer', async () => {
      const { near, far } = await plainPair();
      const came: unknown[] = [];
      far.on('data', (chunk) => came.push(chunk));
      upgraded(upgradeAsClient, near, { key: 'no key' });
      await once(far, 'end');
      expect(came).to.eql([]);
    });
  });

  describe('given up', () => {
    it('destroys both streams, in every phase [S11]', async () => {
      const phases: ((far: net.Socket, links: Tape<Link>) => unknown)[] = [
        () => undefined,
        (far) => once(far, 'data'),
        async (far, links) => {
          nodeServer(far, made.server);
          await links.at(0);
        },
      ];
      for (const phase of phases) {
        const { near, far } = await plainPair();
        const links = upgraded(upgradeAsClient, near, { ca: made.ca });
        await phase(far, links);
        links.stop();
        expect(near.destroyed).to.be.true;
        await turns();
        expect(links.ended).to.be.undefined;
      }
    });

    it('inside the emission of the link destroys it', async () => {
      const { near, far } = await plainPair();
      nodeServer(far, made.server);
      const emitted = await new Promise<Link>((resolve) => {
        const subscription = upgradeAsClient(near, { ca: made.ca }, where).subscribe((link) => {
          subscription.unsubscribe();
          resolve(link);
        });
      });
      expect([emitted.destroyed, near.destroyed]).to.eql([true, true]);
    });
  });
});
