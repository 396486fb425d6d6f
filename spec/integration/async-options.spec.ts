/** Functions that are to answer at once, written `async`: what they reject with is an answer too, and no unhandled rejection. */
import * as tls from 'node:tls';
import type { LookupFunction } from 'node:net';
import { expect } from 'chai';
import { ConfigError, ConnectError, lines, tcpServer, tcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const mine = new Error('mine');

/** As TypeScript takes it for a function that returns nothing. */
const rejecting = (): Promise<never> => Promise.reject(mine);

async function failed(config: TcpSocketConfig): Promise<unknown> {
  const socket = kept(tcpSocket({ port: 1, connectTimeout: 60_000, reconnect: false, ...config }));
  return tape(socket.errors).at(0);
}

describe('a function that should not be async', () => {
  leavesNothingOpen();

  it('as `lookup` fails the dial at once when it rejects [S9]', async () => {
    const lookup = rejecting as LookupFunction;
    const error = await failed({ host: 'a.test', socket: { lookup } });
    expect(error).to.be.instanceOf(ConnectError).and.include({ phase: 'lookup', cause: mine });
  });

  it('as `lookup` may answer, and then reject: its answer counts [S9]', async () => {
    const server = tcpServer({ host, codec: lines() });
    atEnd(() => server.close({ timeout: 0 }));
    server.connections.subscribe((connection) => void connection.write('welcome'));
    const { port } = await server.listening;
    const lookup = async (_name: string, { all }: { all?: boolean }, answer: (...args: unknown[]) => void) => {
      if (all === true) answer(null, [{ address: host, family: 4 }]);
      else answer(null, host, 4);
      return Promise.reject(mine);
    };
    const options = { host: 'a.test', port, socket: { lookup: lookup as LookupFunction } };
    const socket = kept(tcpSocket({ ...options, codec: lines() }));
    expect(await tape(socket.inbound).at(0)).to.equal('welcome');
  });

  it('as `tls` fails the dial, whether it rejects or not [S9]', async () => {
    for (const answer of [rejecting, () => Promise.resolve({})]) {
      const error = (await failed({ host, tls: answer as never })) as Error;
      expect(error).to.be.instanceOf(ConnectError).and.include({ phase: 'config' });
      expect(error.cause).to.be.instanceOf(ConfigError);
    }
  });

  it('as `tls` of a server fails the connection, and the server lives on [S9]', async () => {
    const made = await certificates();
    const answers: (() => unknown)[] = [rejecting, () => made.server];
    const server = tcpServer({ host, tls: () => answers.shift()?.() as tls.TlsOptions });
    atEnd(() => server.close({ timeout: 0 }));
    const [errors, connections] = [tape(server.errors), tape(server.connections)];
    const { port } = await server.listening;
    for (let i = 0; i < 2; i++) {
      const raw = kept(tls.connect({ port, host, ca: made.ca }));
      raw.on('error', () => undefined);
      if (i === 0)
        expect(await errors.at(0))
          .to.be.instanceOf(ConnectError)
          .and.include({ phase: 'config' });
    }
    await connections.at(0);
  });
});
