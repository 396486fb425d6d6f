import { once } from 'node:events';
import * as net from 'node:net';
import * as tls from 'node:tls';
import { expect } from 'chai';
import type { Observable } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { accept } from '../../lib/connection/accept.js';
import type { Link } from '../../lib/connection/link.js';
import { ConnectError, ConnectTimeoutError, TlsError, type TcpError } from '../../lib/errors.js';
import { serverOptions } from '../../lib/resolve-tls.js';
import { certificates, type Certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { listen } from '../support/servers.js';
import { tape, type Tape } from '../support/tape.js';

const endpoint = { host: 'somewhere', port: 7 };

describe('accept()', () => {
  leavesNothingOpen();

  let made: Certificates;
  before(async () => {
    made = await certificates();
  });

  /** Both ends of a fresh connection. */
  async function pair(): Promise<{ peer: net.Socket; raw: net.Socket }> {
    const server = await listen();
    const peer = kept(net.connect(server.port, '127.0.0.1'));
    peer.on('error', () => undefined);
    return { peer, raw: await server.socket(0) };
  }

  function subscribed(links: Observable<Link>): Tape<Link> {
    const result = tape(links);
    atEnd(() => result.stop());
    return result;
  }

  const accepted = (raw: net.Socket, options: object = made.server, timeout = 10_000): Tape<Link> =>
    subscribed(accept(raw, endpoint, { tls: () => serverOptions(options), timeout }));

  async function failure(links: Tape<Link>, raw: net.Socket): Promise<TcpError> {
    await links.end;
    expect([links.values.length, raw.destroyed]).to.deep.equal([0, true]);
    return links.error as TcpError;
  }

  it('emits a link over a plain stream at once, and destroys it when it is unsubscribed', async () => {
    const { raw, peer } = await pair();
    const links = subscribed(accept(raw, endpoint, { tls: undefined, timeout: 1 }));
    expect(links.values[0]).to.include({ raw, endpoint });
    peer.resume();
    links.stop();
    expect(raw.destroyed).to.be.true;
    await once(peer, 'close');
  });

  it('is cold: nothing is asked and nothing is done before it is subscribed to', async () => {
    const { raw } = await pair();
    let asked = 0;
    accept(raw, endpoint, { timeout: 1, tls: () => serverOptions({ ...made.server, dhparam: String(asked++) }) });
    expect([asked, raw.destroyed]).to.deep.equal([0, false]);
  });

  it('puts TLS over it, and emits the link above; unsubscribing takes both streams', async () => {
    const { raw, peer } = await pair();
    const links = accepted(raw);
    const secure = kept(tls.connect({ socket: peer, ca: made.ca, servername: 'localhost' }));
    secure.on('error', () => undefined);
    await once(secure, 'secureConnect');
    const link = await links.at(0);
    expect(link.raw).to.be.instanceOf(tls.TLSSocket);
    expect(link).to.include({ endpoint, destroyed: false });
    links.stop();
    expect([link.destroyed, raw.destroyed]).to.deep.equal([true, true]);
  });

  it('keeps the open end of a half-closed stream above TLS as below it', async () => {
    const { raw, peer } = await pair();
    const links = accepted(raw);
    const secure = kept(tls.connect({ socket: peer, ca: made.ca, servername: 'localhost' }));
    expect((await links.at(0)).raw.allowHalfOpen).to.equal(true);
    secure.destroy();
  });

  it('errors with a ConnectError of phase config where the options are refused, and destroys the stream', async () => {
    const answers = [() => serverOptions({ ...made.server, cert: 'garbage' }), () => serverOptions({})];
    answers.push(() => {
      throw new Error('no file');
    });
    for (const answer of answers) {
      const { raw } = await pair();
      const error = await failure(subscribed(accept(raw, endpoint, { tls: answer, timeout: 10_000 })), raw);
      expect(error).to.be.instanceOf(ConnectError).and.to.deep.include({ phase: 'config', endpoint });
      expect(error.cause).to.be.instanceOf(Error);
    }
  });

  it('errors with a TlsError for what is no TLS', async () => {
    const { raw, peer } = await pair();
    const links = accepted(raw);
    peer.write('GET / HTTP/1.1\r\n\r\n');
    const error = await failure(links, raw);
    expect(error).to.be.instanceOf(TlsError).and.to.deep.include({ endpoint, opened: false });
    expect((error.cause as { code: string }).code).to.match(/^ERR_SSL_/);
    expect(error.message).not.to.include('HTTP/1.1');
  });

  it('errors with a ConnectError of phase tls for a peer that resets or ends before it is secure', async () => {
    for (const leave of ['resetAndDestroy', 'end', 'destroy'] as const) {
      const { raw, peer } = await pair();
      const links = accepted(raw);
      peer.resume();
      peer.write(Buffer.from([22, 3, 1]), () => peer[leave]());
      const error = await failure(links, raw);
      expect(error, leave).to.be.instanceOf(ConnectError).and.to.include({ phase: 'tls' });
    }
  });

  it('errors with a TlsError for a certificate of the client that is missing or not good, with its code', async () => {
    const wants = { ...made.server, ca: made.ca, requestCert: true };
    const bad: [name: string, shown: object, code: RegExp][] = [
      ['none', {}, /PEER_DID_NOT_RETURN_A_CERTIFICATE/],
      ['of another authority', made.strangeClient, /UNABLE_TO_VERIFY_LEAF_SIGNATURE/],
      ['expired', made.expired, /CERT_HAS_EXPIRED/],
    ];
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      for (const [name, shown, code] of bad) {
        const { raw, peer } = await pair();
        const links = accepted(raw, { ...wants, maxVersion: version });
        const secure = tls.connect({ socket: peer, ca: made.ca, servername: 'localhost', ...shown });
        kept(secure).on('error', () => undefined);
        const error = await failure(links, raw);
        expect(error, `${name}, ${version}`).to.be.instanceOf(TlsError);
        expect((error.cause as { code: string }).code, `${name}, ${version}`).to.match(code);
      }
    }
  });

  it('errors with a ConnectTimeoutError of phase tls at its deadline, and not before', async () => {
    const { raw } = await pair();
    const scheduler = new TestScheduler(() => undefined);
    const links = subscribed(accept(raw, endpoint, { tls: () => serverOptions(made.server), timeout: 500, scheduler }));
    scheduler.maxFrames = 499;
    scheduler.flush();
    expect(links.ended).to.be.undefined;
    scheduler.maxFrames = 500;
    scheduler.flush();
    const error = await failure(links, raw);
    expect(error).to.be.instanceOf(ConnectTimeoutError).and.to.include({ phase: 'tls', timeout: 500 });
  });

  it('is of no consequence once it is unsubscribed, in TLS too', async () => {
    const { raw, peer } = await pair();
    const links = accepted(raw);
    const secure = kept(tls.connect({ socket: peer, ca: made.ca, servername: 'localhost' }));
    secure.on('error', () => undefined);
    links.stop();
    await new Promise((resolve) => void secure.once('close', resolve));
    expect([links.values.length, links.ended, raw.destroyed]).to.deep.equal([0, undefined, true]);
  });
});
