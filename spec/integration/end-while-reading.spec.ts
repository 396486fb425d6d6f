/** A peer sends on while we end: what it had to say still comes, over TLS as well. */
import { expect } from 'chai';
import { tcpSocket } from '../../lib/index.js';
import { certificates } from '../support/certificates.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { listen, type Handler } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { listenTls } from '../support/tls-servers.js';

const MIB = 1024 * 1024;

const speaks: Handler = (peer) => {
  peer.resume();
  peer.write(Buffer.alloc(4 * MIB));
  peer.on('end', () => peer.end());
};

describe('end() inside a next, while the peer sends', () => {
  leavesNothingOpen();

  it('loses nothing of it over TCP', async () => {
    const { port } = await listen(speaks);
    expect(await bytesRead(port)).to.equal(4 * MIB);
  });

  it('loses nothing of it over TLS, where Node calls it an end and drops the rest', async () => {
    const { server, ca } = await certificates();
    const { port } = await listenTls(server, speaks);
    expect(await bytesRead(port, { tls: { ca } })).to.equal(4 * MIB);
  });
});

async function bytesRead(port: number, more: { tls?: { ca: string } } = {}): Promise<number> {
  const socket = kept(tcpSocket({ host: 'localhost', port, ...more }));
  let bytes = 0;
  const seen = tape(socket.inbound);
  socket.inbound.subscribe((chunk) => {
    bytes += chunk.length;
    void socket.end();
  });
  await seen.end;
  return bytes;
}
