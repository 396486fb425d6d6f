import { once } from 'node:events';
import * as tls from 'node:tls';
import { expect } from 'chai';
import { firstValueFrom } from 'rxjs';
import { lines, tcpSocket } from '../../lib/index.js';
import { certificates } from '../support/certificates.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { listen } from '../support/servers.js';
import { tape } from '../support/tape.js';

describe('scratch', () => {
  leavesNothingOpen();
  for (const how of ['for await', 'first'] as const)
    it(`drops ${how}`, async () => {
      const made = await certificates();
      const server = await listen((raw) => {
        raw.once('data', () => {
          raw.write('go\nEVIL\nhalf');
          const secure = new tls.TLSSocket(raw, { isServer: true, ...made.server });
          secure.on('error', () => undefined);
          secure.on('data', (chunk) => void secure.write(`echo ${String(chunk)}`));
        });
      });
      const socket = kept(
        tcpSocket({
          host: 'localhost',
          port: server.port,
          codec: lines(),
          handshake: async (connection) => {
            void connection.write('starttls');
            if (how === 'first') await firstValueFrom(connection.inbound);
            else for await (const line of connection) if (line === 'go') break;
            await connection.upgrade({ ca: made.ca });
          },
        }),
      );
      const inbound = tape(socket.inbound);
      tape(socket.errors);
      await socket.write('hi');
      await inbound.at(0);
      expect(inbound.values).to.eql(['echo hi']);
      void once;
    });
});
