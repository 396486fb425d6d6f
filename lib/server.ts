import type * as net from 'node:net';
import type * as tls from 'node:tls';
import type { Observable } from 'rxjs';
import type { Bytes } from './codec/codec.js';
import type { SocketOptions, StreamConfig } from './config.js';
import type { TcpError } from './errors.js';
import type { ServerStats } from './monitor/server-stats.js';
import type { ServerConnection } from './served.js';

/** Options of {@link tcpServer}. */
export interface TcpServerConfig<In = Buffer, Out = Bytes> extends StreamConfig<In, Out> {
  /** Port to listen on; 0 lets the system choose one. @default 0 */
  readonly port?: number | string;
  /** Address to listen on. @default every address of the machine */
  readonly host?: string;
  /** Path of a unix socket or name of a named pipe, instead of `host` and `port`. */
  readonly path?: string;
  /**
   * Speaks TLS, with Node's options of `tls.createServer` that are about TLS, `key` and `cert` first of all; a function is asked for each connection, so that certificates can be
   * changed. With `requestCert` a client that cannot be verified is refused, save where `rejectUnauthorized` is exactly `false`.
   */
  readonly tls?: tls.TlsOptions | (() => tls.TlsOptions);
  /** Milliseconds that a client may take for TLS and `handshake` together. @default 10_000 */
  readonly handshakeTimeout?: number;
  /** How many connections there may be at once, those in their handshake included; any more are closed as they come, and counted in `stats()`. @default Infinity */
  readonly maxConnections?: number;
  /** Groups the connections in `openSockets()` and `countByName()`. */
  readonly name?: string;
  /**
   * Options of the accepted sockets. With `allowHalfOpen` a connection whose peer has sent its FIN can still be written to, and must be ended by
   * you; without, it is ended as soon as what was accepted is written. @default false
   */
  readonly socket?: Pick<SocketOptions, 'noDelay' | 'keepAlive' | 'keepAliveInitialDelay' | 'allowHalfOpen'>;
}

/** A listening server. */
export interface TcpServer<In = Buffer, Out = Bytes> {
  /**
   * Each connection, once its handshake is done. One that comes while nobody is subscribed is ended. Completes when closed, or when it cannot listen.
   */
  readonly connections: Observable<ServerConnection<In, Out>>;
  /**
   * Where it listens, once it does; for a `path` that is the address. Rejects with a {@link ConnectError} if it cannot, with a {@link ClosedError} if it was closed before;
   * it may be ignored.
   */
  readonly listening: Promise<net.AddressInfo>;
  /**
   * What went wrong with a connection: its handshake, its loss by anything but a FIN, a frame that was cut or skipped, a message that was refused or not written.
   * It ends nothing and replays the newest 100. How each connection ended is in its `closed`.
   */
  readonly errors: Observable<TcpError>;
  /** A frozen snapshot of what it has done, and of what stands now. */
  stats(): ServerStats;
  /**
   * Stops listening, gives up what is in its handshake, and ends every connection once what it accepted is written; those that are left after `timeout` ms (default
   * `endTimeout`, 0 is at once) are destroyed. Always resolves.
   */
  close(options?: { readonly timeout?: number }): Promise<void>;
}
