/** A TCP proxy that loses nothing: it reads no faster than the other end takes, and an end stays an end, a reset a reset. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { echoServer, tcpServer, tcpSocket, toDuplex } from '../lib/index.js';
import type { Connection, TcpServer, TcpSocket } from '../lib/index.js';

const [MIB, FOREVER] = [1024 * 1024, 2 ** 31 - 1];

/** Passes on what comes, to that port and back. */
export function proxy(port: number): TcpServer {
  const limits = { readBuffer: 4, writeBuffer: { bytes: MIB }, endTimeout: FOREVER };
  const front = tcpServer({ socket: { allowHalfOpen: true }, ...limits });
  front.connections.subscribe((client) => {
    const upstream = tcpSocket({ port, reconnect: false, ...limits });
    upstream.connections.subscribe((server) => {
      void client.closed.then((lost) => lost?.clean === false && reset(server));
      void server.closed.then((lost) => lost?.clean === false && reset(client));
      void there(client, upstream).catch(() => undefined); // a server that takes no more may still have answered
    });
    void back(upstream, client).catch(() => reset(client));
  });
  return front;
}

async function there(client: Connection, upstream: TcpSocket): Promise<void> {
  await upstream.writeAll(client);
  await upstream.end(); // as the client did; what comes back goes on coming
}

async function back(upstream: TcpSocket, client: Connection): Promise<void> {
  for await (const chunk of upstream) await client.write(chunk);
  await client.end();
}

function reset({ raw }: Connection): void {
  (raw as Socket).resetAndDestroy();
}

export async function run(print: (line: string) => void = console.log): Promise<void> {
  const sha = (bytes?: Buffer) => (bytes ? createHash('sha256').update(bytes) : createHash('sha256'));
  const echo = echoServer();
  const toEcho = proxy((await echo.listening).port);
  const stream = toDuplex(tcpSocket({ port: (await toEcho.listening).port, reconnect: false }));
  const [sent, received] = [randomBytes(8 * MIB), sha()];
  await pipeline([sent], stream, received);
  print(`8 MiB to an echo server and back, the same bytes: ${received.digest('hex') === sha(sent).digest('hex')}`);

  const rude = tcpServer();
  rude.connections.subscribe((connection) => connection.inbound.subscribe(() => reset(connection)));
  const toRude = proxy((await rude.listening).port);
  const failing = toDuplex(tcpSocket({ port: (await toRude.listening).port, reconnect: false }));
  failing.write('hello?');
  const [error] = (await once(failing, 'error')) as [Error & { code: string }];
  print(`A server that resets its connection resets ours: ${error.code}`);
  await Promise.all([toEcho, echo, toRude, rude].map((server) => server.close()));
}
