/** A custom `dial` that answers a paused stream: who speaks with a proxy first must pause it, so as to lose no byte. */
import { once } from 'node:events';
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { lines, tcpSocket, type Endpoint } from '../../lib/index.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { listen } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';

describe('a `dial` that answers a paused stream', () => {
  leavesNothingOpen();

  const paused = (port: number): net.Socket => net.connect(port, host).pause();
  const dials: readonly (readonly [name: string, dial: (endpoint: Endpoint) => Duplex | Promise<Duplex>])[] = [
    ['while it connects', ({ port }) => paused(port!)],
    [
      'once it is connected',
      async ({ port }) => {
        const stream = paused(port!);
        await once(stream, 'connect');
        return stream;
      },
    ],
    [
      'once something has come',
      async ({ port }) => {
        const stream = paused(port!);
        await once(stream, 'readable');
        return stream.pause();
      },
    ],
  ];
  for (const [name, dial] of dials) {
    it(`${name} is read from, and its end is seen [S1][S6]`, async () => {
      const server = await listen((peer) => void peer.resume().write('hello\n'));
      const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), reconnect: false, dial }));
      const inbound = tape(socket.inbound);
      expect(await inbound.at(0)).to.equal('hello');
      (await server.socket(0)).end('bye\n');
      await inbound.end;
      expect(inbound.values).to.eql(['hello', 'bye']);
    });
  }
});
