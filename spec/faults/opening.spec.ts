/** Rows 14, 38 and 59 of the fault matrix, as far as one process can show them: what a name stands for, and the one deadline over all of an opening. */
import { once } from 'node:events';
import * as net from 'node:net';
import { expect } from 'chai';
import { map, NEVER, timer } from 'rxjs';
import { ConnectTimeoutError, lines, tcpSocket, type Endpoint, type TcpSocketConfig } from '../../lib/index.js';
import { unansweredPort } from '../support/child-server.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { eventually } from '../support/peers.js';
import { listen, recordingServer, sink } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const soon = { initialDelay: 1, maxDelay: 1 };

/** A lookup that answers what it is told to. */
function lookingUp(answer: (name: string) => readonly string[]): net.LookupFunction {
  return (name, options, callback) => {
    const addresses = answer(name).map((address) => ({ address, family: net.isIP(address) }));
    if (options.all === true) callback(null, addresses);
    else callback(null, addresses[0]!.address, addresses[0]!.family);
  };
}

/** A server on the same port of another address, and how many bytes came to it. */
async function elsewhere(port: number, address: string): Promise<{ readonly heard: string }> {
  const came = { heard: '' };
  const server = net.createServer((socket) => {
    kept(socket).on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => (came.heard += chunk.toString()));
    socket.on('end', () => socket.end());
  });
  server.listen(port, address);
  await once(server, 'listening');
  atEnd(() => server.close());
  return came;
}

describe('row 59: a name that comes to stand for another address', () => {
  leavesNothingOpen();

  it('is resolved anew at each dial: what was queued goes to the new place, in order [S1][S8]', async () => {
    const old = await recordingServer();
    const next = await elsewhere(old.port, '127.0.0.2');
    let address = host;
    const names: string[] = [];
    const lookup = lookingUp((name) => (names.push(name), [address])); // prettier-ignore
    const socket = kept(
      tcpSocket({ host: 'some.name', port: old.port, codec: lines(), socket: { lookup }, reconnect: soon, settle: 0 }),
    );
    const statuses = tape(socket.status);
    await socket.write('one');
    await (await old.recording(0)).has('one\n');
    address = '127.0.0.2';
    (await old.socket(0)).resetAndDestroy();
    await tape(socket.errors).at(0);
    for (const message of ['two', 'three']) void socket.write(message);
    await socket.flush();
    await eventually(() => next.heard === 'two\nthree\n');
    expect(names).to.eql(['some.name', 'some.name']);
    expect((await old.recording(0)).text).to.equal('one\n');
    const places = statuses.values.flatMap((status) => (status.type === 'open' ? [status.endpoint] : []));
    expect(places, 'the endpoint is what was asked for').to.eql(Array(2).fill({ host: 'some.name', port: old.port }));
  });

  it('is resolved anew for each of several endpoints', async () => {
    const server = await listen(sink);
    const names: string[] = [];
    const lookup = lookingUp((name) => (names.push(name), name === 'good' ? [host] : ['127.0.0.3'])); // prettier-ignore
    const endpoints = ['bad', 'good'].map((name) => ({ host: name, port: server.port }));
    const socket = kept(tcpSocket({ endpoints, socket: { lookup }, reconnect: soon }));
    await socket.write('hello');
    expect(names).to.eql(['bad', 'good']);
    expect(server.sockets).to.have.length(1);
  });
});

describe('row 38: a name with several addresses', () => {
  leavesNothingOpen();

  it('is reached at the one that works, also behind one that refuses', async () => {
    const server = await listen(sink);
    const refusing = '127.0.0.2';
    const lookup = lookingUp(() => [refusing, host]);
    const socket = kept(tcpSocket({ host: 'some.name', port: server.port, socket: { lookup }, reconnect: false }));
    await socket.write('hello');
    expect(server.sockets).to.have.length(1);
  });
});

describe('row 14: one deadline over all of an opening', () => {
  leavesNothingOpen();
  const connectTimeout = 60;

  /** Where each of these stays for ever, and the phase that the error names. */
  const stays: [string, string, () => Promise<TcpSocketConfig<string, string>> | TcpSocketConfig<string, string>][] = [
    ['the list of endpoints', 'lookup', () => ({ endpoints: () => NEVER })],
    ['a lookup', 'lookup', () => ({ host: 'some.name', port: 1, socket: { lookup: () => undefined } })],
    ['a connect', 'connect', async () => ({ host, port: await unansweredPort() })],
    ['a `dial` of the user’s', 'connect', () => ({ dial: () => new Promise(() => undefined) })],
    ['TLS', 'tls', async () => ({ host, port: (await listen()).port, tls: true })],
    ['a handshake', 'handshake', async () => ({ host, port: (await listen()).port, handshake: () => NEVER })],
  ];
  for (const [where, phase, config] of stays) {
    it(`ends an attempt that stays in ${where}, says so, and leaves nothing of it [S11]`, async () => {
      const socket = kept(
        tcpSocket({ ...(await config()), codec: lines(), connectTimeout, reconnect: { ...soon, maxAttempts: 1 } }),
      );
      const errors = tape(socket.errors);
      await errors.end;
      expect(errors.values).to.have.length(3);
      for (const error of errors.values.slice(0, 2))
        expect(error).to.be.instanceOf(ConnectTimeoutError).and.to.include({ phase, timeout: connectTimeout });
    });
  }

  it('is not begun anew by a phase: each takes from what the ones before have left', async () => {
    const server = await listen();
    const slow = 45; // three of these are more than the deadline, none alone is
    const list = (): Endpoint[] => [{ host: 'some.name', port: server.port }];
    const lookup: net.LookupFunction = (_name, options, callback) =>
      void timer(slow).subscribe(() => lookingUp(() => [host])('', options, callback));
    const socket = kept(
      tcpSocket({
        ...{ codec: lines(), connectTimeout: 100, reconnect: false, socket: { lookup } },
        endpoints: () => timer(slow).pipe(map(list)),
        handshake: () => timer(slow),
      }),
    );
    const errors = tape(socket.errors);
    await errors.end;
    expect(errors.values[0]).to.be.instanceOf(ConnectTimeoutError).and.to.include({ timeout: 100 });
  });
});
