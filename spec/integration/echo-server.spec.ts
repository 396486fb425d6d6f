import { once } from 'node:events';
import { connect } from 'node:net';
import * as tls from 'node:tls';
import { expect } from 'chai';
import { ConfigError, echoServer, OverflowError, type EchoServerConfig } from '../../lib/index.js';
import { certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { record } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';

describe('echoServer() and its options', () => {
  leavesNothingOpen();

  async function start(config: EchoServerConfig) {
    const server = echoServer({ host, ...config });
    atEnd(() => server.close({ timeout: 0 }));
    return { server, ...(await server.listening) };
  }

  function client(port: number) {
    const raw = kept(connect({ port, host, allowHalfOpen: true }));
    raw.on('error', () => undefined);
    return raw;
  }

  it('echoes in TLS, and the rest of it after the FIN of its client', async () => {
    const made = await certificates();
    const { port } = await start({ tls: made.server });
    const socket = client(port);
    const raw = kept(tls.connect({ socket, ca: made.ca, servername: 'localhost' }));
    raw.on('error', () => undefined);
    const recording = record(raw);
    const megabyte = Buffer.alloc(1024 * 1024, 'abcdefg');
    raw.end(megabyte);
    await once(raw, 'end');
    expect(recording.bytes.equals(megabyte)).to.be.true;
  });

  it('ends each connection after its first reply with `closeAfterReply`, in TLS too', async () => {
    const made = await certificates();
    const { port } = await start({ tls: made.server, closeAfterReply: true });
    for (let i = 0; i < 2; i++) {
      const raw = kept(tls.connect({ port, host, ca: made.ca, servername: 'localhost' }));
      raw.on('error', () => undefined);
      const recording = record(raw);
      raw.write('ping');
      await once(raw, 'end');
      expect(recording.text).to.equal('ping');
    }
  });

  it('takes no more than `maxConnections`', async () => {
    const { server, port } = await start({ maxConnections: 1 });
    const first = client(port);
    const recording = record(first);
    first.write('ping');
    await recording.has('ping');
    const second = client(port);
    second.resume();
    second.once('end', () => second.end());
    await new Promise((resolve) => void second.once('close', resolve));
    expect(server.stats()).to.include({ accepted: 1, refused: 1, open: 1 });
    first.write('pong');
    await recording.has('pingpong');
  });

  it('ends a connection whose echo does not fit into `writeBuffer`, rather than let it wait for ever', async () => {
    const { server, port } = await start({ writeBuffer: { bytes: 3 } });
    const errors = tape(server.errors);
    const raw = client(port);
    const recording = record(raw);
    raw.write('much too long');
    await once(raw, 'end');
    expect(recording.text).to.equal('');
    expect(await errors.at(0)).to.be.instanceOf(OverflowError);
  });

  it('refuses what is no option of it', () => {
    for (const config of [{ codec: {} }, { handshake: () => [] }, { closeAfterReply: 1 }, { tls: {} }])
      expect(() => echoServer(config as never)).to.throw(ConfigError);
  });
});
