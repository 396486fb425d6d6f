import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import * as net from 'node:net';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { proxy } from '../../demo/proxy.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { settled } from '../support/leaks.js';
import { deadPort, echo, listen, record, type Handler } from '../support/servers.js';

const MIB = 1024 * 1024;

/** A client that stays half-open, connected through the proxy to a server with that handler. */
async function through(handler: Handler | { readonly port: number }) {
  const server = typeof handler === 'function' ? await listen(handler) : undefined;
  const front = proxy(server?.port ?? (handler as { readonly port: number }).port);
  atEnd(() => front.close({ timeout: 0 }));
  const { port } = await front.listening;
  const client = kept(net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }));
  client.on('error', () => undefined);
  return { client, server };
}

function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Small pieces of it, and how many bytes were taken so far. */
function inPieces(bytes: Buffer) {
  const state = { taken: 0, pieces: pieces() };
  function* pieces(): Generator<Buffer> {
    while (state.taken < bytes.length) yield bytes.subarray(state.taken, (state.taken += 10_000));
  }
  return state;
}

/** Reads all, and stops once on the way until the writer at the far end makes no progress. */
async function readSlowly(stream: net.Socket, from: { taken: number }): Promise<{ sha: string; ahead: number }> {
  const hash = createHash('sha256');
  let [read, ahead] = [0, 0];
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk);
    read += chunk.length;
    if (ahead === 0 && read > 4 * MIB) ahead = (await settled(() => from.taken)) - read;
  }
  return { sha: hash.digest('hex'), ahead };
}

describe('the proxy of the demos', function () {
  this.timeout(60_000);
  leavesNothingOpen();

  // What may be on the way: the buffers of four kernels' sockets and of the proxy.
  const ON_THE_WAY = 40 * MIB;
  const sent = randomBytes(96 * MIB);

  it('loses nothing on the way up while the server is slow, and stops the client meanwhile', async () => {
    const { client, server } = await through((peer) => void peer.pause());
    const from = inPieces(sent);
    const all = pipeline(from.pieces, client);
    const peer = await server!.socket(0);
    const { sha: got, ahead } = await readSlowly(peer, from);
    expect(got).to.equal(sha(sent));
    expect(ahead).to.be.within(1, ON_THE_WAY);
    peer.end();
    client.resume();
    await all;
  });

  it('loses nothing on the way down while the client is slow, and stops the server meanwhile', async () => {
    const from = inPieces(sent);
    const { client } = await through((peer) => void pipeline(from.pieces, peer.resume()));
    client.end();
    const closed = once(client, 'close');
    const { sha: got, ahead } = await readSlowly(client, from);
    expect(got).to.equal(sha(sent));
    expect(ahead).to.be.within(1, ON_THE_WAY);
    await closed;
  });

  it('passes on an end in one direction, and everything that comes in the other after it', async () => {
    const { client, server } = await through(echo);
    const back = record(client);
    client.end('all of it');
    await back.has('all of it');
    await once(client, 'close');
    expect(back.text).to.equal('all of it');
    expect((await server!.socket(0)).readableEnded).to.be.true;
  });

  it('passes on a greeting to a client that has ended before the server was dialled', async () => {
    const { client } = await through((peer) => void peer.end('welcome'));
    const back = record(client);
    client.end();
    await once(client, 'close');
    expect(back.text).to.equal('welcome');
  });

  it('passes on all of the answer of a server that ends while the client still writes', async () => {
    const answer = sent.subarray(0, 8 * MIB);
    const { client } = await through((peer) => void peer.resume().end(answer));
    const back = record(client);
    const writing = pipeline([sent.subarray(0, 4 * MIB)], client, { end: false });
    await back.has(answer.length);
    await writing;
    client.end();
    await once(client, 'close');
    expect(sha(back.bytes)).to.equal(sha(answer));
  });

  for (const when of ['before any byte', 'in the middle', 'after the end of the client'] as const) {
    it(`passes a reset of the server on as a reset, ${when}: cut short is not ended`, async () => {
      const { client, server } = await through((peer) => void peer.resume());
      const peer = await server!.socket(0);
      const back = record(client);
      if (when !== 'before any byte') {
        peer.write('half of');
        await back.has('half of');
      }
      if (when === 'after the end of the client') {
        client.end();
        await once(peer, 'end');
      }
      const failed = outcome(once(client, 'end'));
      peer.resetAndDestroy();
      expect(await failed).to.have.property('code', 'ECONNRESET');
    });
  }

  it('passes a reset of the client on as a reset', async () => {
    const { client, server } = await through((peer) => void peer.resume());
    const peer = await server!.socket(0);
    client.write('half of');
    await once(peer, 'data');
    const failed = new Promise((resolve) => peer.once('error', resolve));
    client.resetAndDestroy();
    expect(await failed).to.have.property('code', 'ECONNRESET');
  });

  it('passes a reset of a client that has ended on to a server that still answers', async () => {
    const { client, server } = await through((peer) => void peer.resume());
    const peer = await server!.socket(0);
    client.end('question');
    await once(peer, 'end');
    const failed = new Promise((resolve) => peer.once('error', resolve));
    client.resetAndDestroy();
    // Behind an end a reset is noticed by what is written, at each of the two connections.
    const answer = (error?: Error | null): unknown => error ?? peer.write('answer', (e) => setImmediate(answer, e));
    answer();
    expect(await failed)
      .to.have.property('code')
      .that.is.oneOf(['EPIPE', 'ECONNRESET']);
  });

  it('resets a client for which there is no server', async () => {
    const { client } = await through({ port: await deadPort() });
    const failed = new Promise((resolve) => client.once('error', resolve));
    expect(await failed).to.have.property('code', 'ECONNRESET');
    await turns();
  });
});
