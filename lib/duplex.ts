import type { Duplex } from 'node:stream';
import { refused } from './check.js';
import { NetStream } from './duplex/net-stream.js';
import type { TcpSocket } from './socket.js';

/**
 * Makes a Node stream of a socket, for `stream.pipeline` and for libraries that take a stream.
 *
 * Reading is demand: nothing is read ahead beyond the stream's own buffer. A write calls back when it is written; it waits for room in the
 * socket's queue, into which it goes in pieces of at most 1 MiB (`writeBuffer` must have room for one, else the write fails with an
 * {@link OverflowError}). `end()` sends FIN once all is written, and reading goes on until the peer's, however long that takes; `destroy()`
 * destroys the socket. The end of `inbound` ends the stream; its error, or a message that was not written, destroys it with that error: a reset
 * that comes while nobody reads once what came before it was read.
 *
 * A protocol keeps its state per connection: give it `reconnect: false` and a new stream each time. With reconnect on, bytes go on over a
 * drop, and 'reconnect' is emitted between the last byte of the lost connection and the first of the next. For libraries that expect a `net.Socket` it
 * emits 'connect' and 'ready' when open, and has `connecting`, `remoteAddress`, `remotePort`, `connect()` (which dials nothing),
 * `setNoDelay()`, `setKeepAlive()`, `setTimeout()`, `ref()` and `unref()`; these two act on the connection alone, and timers of the socket or of
 * `setTimeout()` still keep the process.
 *
 * Throws a {@link ConfigError} for what is no socket. The socket must give bytes: the first message that is none destroys the stream with such an error.
 *
 * @example
 * import { pipeline } from 'node:stream/promises';
 * import { echoServer, tcpSocket, toDuplex } from 'rx-tcp';
 * const server = echoServer();
 * const { port } = await server.listening;
 * const stream = toDuplex(tcpSocket({ port, reconnect: false }));
 * await pipeline(['hello'], stream, async (echo) => {
 *   for await (const chunk of echo) console.log(String(chunk)); // hello
 * });
 * await server.close();
 */
export function toDuplex(socket: TcpSocket): Duplex {
  if (!isSocket(socket)) throw refused('socket', 'a socket of tcpSocket()', socket);
  return new NetStream(socket);
}

function isSocket(value: unknown): value is TcpSocket {
  return typeof value === 'object' && value !== null && 'inbound' in value && 'writeAll' in value && 'pause' in value;
}
