import { given, flag } from './check.js';
import type { SocketOptions } from './config.js';
import { pacedMap } from './inbound/paced-map.js';
import type { TcpServer, TcpServerConfig } from './server.js';
import { tcpServer } from './tcp-server.js';

/** Options of {@link echoServer}. */
export interface EchoServerConfig extends Omit<TcpServerConfig, 'codec' | 'socket' | 'handshake' | 'heartbeat'> {
  /** Options of the accepted sockets. */
  readonly socket?: Pick<SocketOptions, 'noDelay' | 'keepAlive' | 'keepAliveInitialDelay'>;
  /** End each connection after its first reply, as a server that restarts all the time. @default false */
  readonly closeAfterReply?: boolean;
}

/**
 * A server that sends back what it gets, for demos and tests; it reads no faster than its peer takes the echo.
 *
 * Throws a {@link ConfigError} for a bad option.
 *
 * @example
 * import { echoServer, tcpSocket } from 'rx-tcp';
 * const server = echoServer({ port: 0, closeAfterReply: true });
 * const { port } = await server.listening;
 * const socket = tcpSocket({ host: 'localhost', port });
 * socket.inbound.subscribe((chunk) => {
 *   console.log(chunk.toString()); // ping
 *   void socket.end();
 *   void server.close();
 * });
 * socket.outbound.next('ping');
 */
export function echoServer(config: EchoServerConfig = {}): TcpServer {
  const names = (
    'closeAfterReply port host path name tls handshakeTimeout maxConnections idleTimeout writeTimeout ' +
    'socket readBuffer writeBuffer endTimeout'
  ).split(' ');
  const { closeAfterReply, socket, ...listen } = given('echoServer', config, names);
  const closes = flag('closeAfterReply', closeAfterReply, false);
  const accepted = given('socket', socket === undefined ? {} : socket, [
    'noDelay',
    'keepAlive',
    'keepAliveInitialDelay',
  ]);
  // A peer that has sent its FIN still gets the rest of its echo.
  const server = tcpServer({ ...listen, socket: { ...accepted, allowHalfOpen: true } });
  server.connections.subscribe((connection) => {
    const echo = async (chunk: Buffer): Promise<void> => {
      await connection.write(chunk);
      if (closes) void connection.end();
    };
    // An echo that fails has lost its connection, or is larger than `writeBuffer`: the server's `errors` tell it.
    const end = (): void => void connection.end();
    connection.inbound.pipe(pacedMap(connection, echo)).subscribe({ error: end, complete: end });
  });
  return server;
}
