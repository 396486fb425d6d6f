/** A handshake whose own teardown throws: the error is told to nobody but the process, and the handshake ends as it would have. */
import * as net from 'node:net';
import { expect } from 'chai';
import { config as rxjs, Observable } from 'rxjs';
import { lines, tcpServer, tcpSocket } from '../../lib/index.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { expectUncaught } from '../support/guard.js';
import { eventually } from '../support/peers.js';
import { echo, listen } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const thrown = /throws in its teardown/;

/** Runs for ever, unless it ends by itself in a moment. */
function throwing(how: 'hangs' | 'fails' | 'is done'): Observable<never> {
  return new Observable((subscriber) => {
    const moment = setImmediate(() => {
      if (how === 'fails') subscriber.error(new Error('no'));
      if (how === 'is done') subscriber.complete();
    });
    return () => {
      clearImmediate(moment);
      throw new Error('throws in its teardown');
    };
  });
}

/** Destroys it at the end of the spec, whatever its handshake throws then. */
function client(port: number): { readonly closed: Promise<void> } {
  const raw = kept(net.connect({ port, host }));
  raw.on('error', () => undefined).resume();
  return { closed: new Promise((resolve) => raw.once('close', () => resolve())) };
}

describe('a handshake that throws in its teardown', () => {
  leavesNothingOpen();

  async function start(how: Parameters<typeof throwing>[0], handshakeTimeout = 60_000) {
    const server = tcpServer({ host, codec: lines(), handshakeTimeout, handshake: () => throwing(how) });
    atEnd(() => server.close({ timeout: 0 }));
    return { server, errors: tape(server.errors), connections: tape(server.connections), ...(await server.listening) };
  }

  it('has failed all the same at the deadline of a server [S9]', async () => {
    const uncaught = expectUncaught(thrown);
    const { server, errors, port } = await start('hangs', 20);
    await client(port).closed;
    expect((await errors.at(0)).code).to.equal('TCP_CONNECT_TIMEOUT');
    await uncaught;
    expect(server.stats()).to.include({ opening: 0, open: 0, failed: 1 });
  });

  it('has failed all the same after an error of its own [S9]', async () => {
    const uncaught = expectUncaught(thrown);
    const { server, errors, port } = await start('fails');
    await client(port).closed;
    expect(await errors.at(0)).to.include({ code: 'TCP_CONNECT', phase: 'handshake' });
    await uncaught;
    expect(server.stats()).to.include({ opening: 0, open: 0, failed: 1 });
  });

  it('is done all the same when it has completed [S9]', async () => {
    const uncaught = expectUncaught(thrown);
    const { server, connections, errors, port } = await start('is done');
    client(port);
    const connection = await connections.at(0);
    await uncaught;
    expect(server.stats()).to.include({ opening: 0, open: 1, failed: 0 });
    expect(errors.values).to.eql([]);
    await connection.write('works');
  });

  it('keeps neither close() nor the other clients [S9]', async () => {
    const uncaught = expectUncaught(thrown);
    const { server, port } = await start('hangs');
    const clients = [client(port), client(port), client(port)];
    await eventually(() => server.stats().opening === 3);
    await server.close();
    await Promise.all(clients.map(({ closed }) => closed));
    await uncaught;
    expect(server.stats()).to.include({ opening: 0, open: 0 });
    await server.close();
  });

  it('has failed all the same at the deadline of a client, which dials again [S8][S9]', async () => {
    const uncaught = expectUncaught(thrown);
    const { port } = await listen(echo);
    let shaken = 0;
    const handshake = (): Observable<never> | [] => (shaken++ === 0 ? throwing('hangs') : []);
    const reconnect = { initialDelay: 1, maxDelay: 1 };
    const socket = kept(tcpSocket({ host, port, codec: lines(), connectTimeout: 20, reconnect, handshake }));
    const errors = tape(socket.errors);
    await socket.write('hello');
    await uncaught;
    expect(errors.values.map(({ code }) => code)).to.eql(['TCP_CONNECT_TIMEOUT']);
  });

  it('is told to config.onUnhandledError of RxJS when that is set [S9]', async () => {
    const seen: unknown[] = [];
    rxjs.onUnhandledError = (error) => seen.push(error);
    try {
      const { errors, port } = await start('hangs', 20);
      await client(port).closed;
      await errors.at(0);
      await eventually(() => seen.length > 0);
    } finally {
      rxjs.onUnhandledError = null;
    }
    expect(String(seen[0])).to.match(thrown);
  });
});
