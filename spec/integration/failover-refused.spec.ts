/** Several endpoints, of which one refuses for good: that is said of this one alone. */
import { expect } from 'chai';
import { ConnectError, lines, tcpSocket, TlsError, type TcpSocketConfig } from '../../lib/index.js';
import { certificates, type Certificates } from '../support/certificates.js';
import { kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { tape } from '../support/tape.js';
import { listenTls, type TlsServer } from '../support/tls-servers.js';

const host = '127.0.0.1';
const reconnect = { initialDelay: 1, maxDelay: 1 };

describe('endpoints that refuse for good', () => {
  leavesNothingOpen();

  let made: Certificates;
  before(async () => {
    made = await certificates();
  });

  function open(servers: readonly TlsServer[], config: TcpSocketConfig<string, string> = {}) {
    const endpoints = servers.map(({ port }) => ({ host, port }));
    const tls = { ca: made.ca };
    const socket = kept(tcpSocket({ endpoints, codec: lines(), tls, reconnect, settle: 0, ...config }));
    return { socket, errors: tape(socket.errors), inbound: tape(socket.inbound) };
  }

  for (const endpointCooldown of [0, 10_000]) {
    it(`are passed over for one that lets us in, with a cooldown of ${String(endpointCooldown)} [S8]`, async () => {
      const servers = [await listenTls(made.expired), await listenTls(made.unknownCa), await listenTls(made.server)];
      const { socket, errors } = open(servers, { endpointCooldown });
      await socket.write('hello');
      await (await servers[2]!.recording(0)).has('hello\n');
      expect(errors.values.map(({ code }) => code)).to.eql(['TCP_TLS', 'TCP_TLS']);
      expect(servers.map(({ payload }) => payload)).to.eql([0, 0, 6]);
    });

    it(`end the socket with the error of the last once all have, with a cooldown of ${String(endpointCooldown)} [S8]`, async () => {
      for (const pairs of [[made.expired], [made.expired, made.unknownCa]]) {
        const servers = await Promise.all(pairs.map((pair) => listenTls(pair)));
        const { socket, errors, inbound } = open(servers, { endpointCooldown });
        const written = outcome(socket.write('hello'));
        await inbound.end;
        expect(inbound.error)
          .to.be.instanceOf(TlsError)
          .and.equal(errors.values[pairs.length - 1]);
        expect(socket.stats().dials).to.equal(pairs.length);
        expect(await written).to.include({ code: 'TCP_WRITE' });
      }
    });
  }

  it('are none of them asked again for options that are wrong everywhere [S8]', async () => {
    const servers = [await listenTls(made.server), await listenTls(made.server)];
    const { socket, inbound } = open(servers, { tls: () => ({ ca: made.ca, host: 'elsewhere' }) });
    await inbound.end;
    expect(inbound.error).to.be.instanceOf(ConnectError).and.include({ phase: 'config' });
    expect(socket.stats().dials).to.equal(1);
  });
});
