/** Row 43 of the fault matrix: a server that ends its side, and goes on reading; real sockets, over TCP and TLS. */
import type * as net from 'node:net';
import { expect } from 'chai';
import { ConnectionLostError, lines, tcpServer, tcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { listen, record, type Recording } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { listenTls } from '../support/tls-servers.js';

type Config = TcpSocketConfig<string, string> & Required<Pick<TcpSocketConfig<string, string>, 'codec'>>;

/** A server that says 'bye' on its first connection, ends its side of it, and reads on; all that its connections have said, by their order. */
async function leavingServer(
  over: 'TCP' | 'TLS',
): Promise<{ config: Config; heard: (index: number) => Promise<Recording> }> {
  const heard: Recording[] = [];
  const leave = (peer: net.Socket): void => {
    heard.push(record(peer));
    if (heard.length === 1) peer.end('bye\n');
  };
  const made = await certificates();
  const server = over === 'TLS' ? await listenTls(made.server, leave) : await listen(leave);
  const config = { host: 'localhost', port: server.port, codec: lines({ maxFrameLength: 16 * 1024 * 1024 }) };
  return {
    config: { ...config, reconnect: { initialDelay: 1 }, ...(over === 'TLS' && { tls: { ca: made.ca } }) },
    heard: async (index) => {
      await server.socket(index);
      return heard[index]!;
    },
  };
}

for (const over of ['TCP', 'TLS'] as const) {
  describe(`row 43: a server that half-closes, over ${over}`, () => {
    leavesNothingOpen();

    it('is still written to with allowHalfOpen, until it is ended here; its inbound is over, that of the socket waits', async () => {
      const { config, heard } = await leavingServer(over);
      const socket = kept(tcpSocket({ ...config, socket: { allowHalfOpen: true } }));
      const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
      const live = await tape(socket.connections).at(0);
      const own = tape(live.inbound);
      await own.end;
      expect([own.ended, inbound.ended]).to.deep.equal(['completed', undefined]);
      expect(inbound.values).to.deep.equal(['bye']);
      const long = 'x'.repeat(8 * 1024 * 1024);
      await socket.write('queued');
      await live.write('direct');
      await socket.write(long);
      const recording = await heard(0);
      await recording.has(long.length + 15);
      expect(recording.text === `queued\ndirect\n${long}\n`).to.equal(true);
      expect(errors.values).to.deep.equal([]);
      expect(socket.stats()).to.include({ dials: 1, drops: 0 });
      await live.end();
      expect(await live.closed).to.equal(undefined);
      const lost = await errors.at(0);
      expect(lost).to.be.instanceOf(ConnectionLostError).and.include({ clean: true, endedBy: 'us', unconfirmed: 0 });
      await socket.write('to the next');
      await (await heard(1)).has('to the next');
      expect(errors.values).to.deep.equal([lost]);
    });

    it('ends with the socket, with allowHalfOpen too', async () => {
      const { config, heard } = await leavingServer(over);
      const socket = kept(tcpSocket({ ...config, socket: { allowHalfOpen: true } }));
      await tape((await tape(socket.connections).at(0)).inbound).end;
      socket.outbound.next('last');
      await socket.end();
      await (await heard(0)).has('last\n');
      expect(tape(socket.errors).values).to.deep.equal([]);
    });

    it('is left without it: what is in flight is written, then the socket dials again [S2][S8]', async () => {
      const { config, heard } = await leavingServer(over);
      const socket = kept(tcpSocket({ ...config, settle: 0 }));
      const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
      const lost = await errors.at(0);
      expect(lost).to.be.instanceOf(ConnectionLostError).and.include({ clean: true, endedBy: 'peer', epoch: 1 });
      await socket.write('to the next');
      await (await heard(1)).has('to the next');
      expect((await heard(0)).text).to.equal('');
      expect(inbound.values).to.deep.equal(['bye']);
      expect([inbound.ended, errors.values]).to.deep.equal([undefined, [lost]]);
    });

    it('gets a large frame to its last byte that was under way when it ended', async () => {
      for (const writeTimeout of [0, 60_000]) {
        const long = 'x'.repeat(12 * 1024 * 1024);
        const made = await certificates();
        let recording: Recording | undefined;
        // It reads on only once it has ended its side: the kernel alone could not have taken the frame.
        const leave = (peer: net.Socket): void => {
          recording = record(peer);
          peer.once('data', () => {
            peer.pause();
            peer.once('finish', () => peer.resume());
            // Not in the middle of a read: a TLSSocket that is ended there reads nothing more (measured on Node 20 to 26).
            setImmediate(() => peer.end());
          });
        };
        const server = over === 'TLS' ? await listenTls(made.server, leave) : await listen(leave);
        const tls = over === 'TLS' ? { tls: { ca: made.ca } } : {};
        const config = {
          host: 'localhost',
          port: server.port,
          codec: lines({ maxFrameLength: 2 ** 24 }),
          writeTimeout,
        };
        const socket = kept(tcpSocket({ ...config, ...tls, reconnect: false }));
        await socket.write(long);
        await recording!.has(long.length + 1);
        expect(recording!.text === `${long}\n`).to.equal(true);
      }
    });
  });
}

describe('row 43: a client that half-closes', () => {
  leavesNothingOpen();

  it('is answered by a server with allowHalfOpen, and dismissed by one without', async () => {
    for (const allowHalfOpen of [true, false]) {
      const server = tcpServer({ host: '127.0.0.1', codec: lines(), socket: { allowHalfOpen } });
      atEnd(() => server.close());
      const { port } = await server.listening;
      const served = tape(server.connections);
      const client = kept(tcpSocket({ host: '127.0.0.1', port, codec: lines(), reconnect: false }));
      const heard = tape(client.inbound);
      const live = await served.at(0);
      const own = tape(live.inbound);
      await client.write('question');
      const ended = client.end();
      await own.end;
      expect(own.values).to.deep.equal(['question']);
      const answered = await live.write('answer').then(
        () => true,
        () => false,
      );
      expect(answered).to.equal(allowHalfOpen);
      if (allowHalfOpen) await live.end();
      await ended;
      expect(heard.values).to.deep.equal(allowHalfOpen ? ['answer'] : []);
      expect(tape(server.errors).values).to.deep.equal([]);
    }
  });
});
