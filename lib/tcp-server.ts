import * as net from 'node:net';
import { Subject, timer, type Observable } from 'rxjs';
import { flag, given, milliseconds, text, type Given } from './check.js';
import type { Bytes, Codec } from './codec/codec.js';
import type { ConnectionConfig, SocketOptions } from './config.js';
import type { Connection } from './connection/connection.js';
import { fromSocket } from './connection/from-socket.js';
import type { Link } from './connection/link.js';
import { pathOf } from './endpoint.js';
import { ConfigError, ConnectError, type Endpoint, type TcpError } from './errors.js';
import { LiveConnection } from './framed.js';
import { Receiver } from './inbound/receive.js';
import { ErrorLog } from './monitor/error-log.js';
import { list, type Listed } from './monitor/registry.js';
import { newCounters, readSnapshot, readStats, type Counters, type SocketSnapshot } from './monitor/stats.js';
import { quiet } from './quiet.js';
import { resolveHost, resolvePort, resolveSocketOptions, resolveStreams } from './resolve-config.js';

/** What Node itself may hold of a connection that is not read from, in bytes: chunks of one byte cost it 750 each. */
const NODES_OWN = 4096;

/** Options of {@link tcpServer}. */
export interface TcpServerConfig<In = Buffer, Out = Bytes> extends Pick<
  ConnectionConfig<In, Out>,
  'codec' | 'readBuffer' | 'writeBuffer' | 'endTimeout'
> {
  /** Port to listen on; 0 lets the system choose one. @default 0 */
  readonly port?: number | string;
  /** Address to listen on. @default every address of the machine */
  readonly host?: string;
  /** Path of a unix socket or name of a named pipe, instead of `host` and `port`. */
  readonly path?: string;
  /** Groups the connections in `openSockets()` and `countByName()`. */
  readonly name?: string;
  /**
   * Options of the accepted sockets. With `allowHalfOpen` a connection whose peer has sent its FIN can still be written to, and must be ended by
   * you; without, it is ended as soon as what was handed over is written. @default false
   */
  readonly socket?: Pick<SocketOptions, 'noDelay' | 'keepAlive' | 'keepAliveInitialDelay'> & {
    readonly allowHalfOpen?: boolean;
  };
}

/** A listening server. */
export interface TcpServer<In = Buffer, Out = Bytes> {
  /** Each accepted connection. One that comes while nobody is subscribed is ended. Completes when closed, or when it cannot listen. */
  readonly connections: Observable<Connection<In, Out>>;
  /** Where it listens, once it does; for a `path` that is the address. Rejects with a {@link ConnectError} if it cannot; it may be ignored. */
  readonly listening: Promise<net.AddressInfo>;
  /**
   * What went wrong with a connection: its loss by anything but a FIN, a frame that was cut or skipped. It ends nothing and replays the newest 100.
   * How each connection ended is in its `closed`.
   */
  readonly errors: Observable<TcpError>;
  /** Stops listening and ends every connection; those that are left after `timeout` ms (default `endTimeout`, 0 is at once) are destroyed. Always resolves. */
  close(options?: { readonly timeout?: number }): Promise<void>;
}

/**
 * The other end: accepts connections, with the same codecs and the same Connection as the client.
 *
 * It listens before it returns. Throws a {@link ConfigError} for a bad option. A connection reads only while its `inbound` has a subscriber.
 *
 * @example
 * import { lines, tcpServer, tcpSocket } from 'rx-tcp';
 * const server = tcpServer({ codec: lines() });
 * server.connections.subscribe((connection) => void connection.write('welcome'));
 * const { port } = await server.listening;
 * const socket = tcpSocket({ host: 'localhost', port, codec: lines() });
 * socket.inbound.subscribe((line) => {
 *   console.log(line); // welcome
 *   void socket.end();
 *   void server.close();
 * });
 */
export function tcpServer<In, Out>(
  config: TcpServerConfig<In, Out> & { readonly codec: Codec<In, Out> },
): TcpServer<In, Out>;
export function tcpServer(config?: TcpServerConfig): TcpServer;
export function tcpServer<In, Out>(config: TcpServerConfig<In, Out> = {}): TcpServer<In, Out> {
  return new Listener(config);
}

class Listener<In, Out> implements TcpServer<In, Out> {
  readonly connections: Observable<Connection<In, Out>>;
  readonly listening: Promise<net.AddressInfo>;
  readonly errors: Observable<TcpError>;
  readonly #accepted = new Subject<Connection<In, Out>>();
  readonly #streams: ReturnType<typeof resolveStreams<In, Out>>;
  readonly #errorLog = new ErrorLog(100);
  readonly #open = new Map<LiveConnection<In, Out>, Listed>();
  readonly #server: net.Server;
  readonly #name: string | undefined;
  readonly #halfOpen: boolean;
  #accepts = 0;
  #closed: Promise<void> | undefined;

  constructor(config: TcpServerConfig<In, Out>) {
    const names = 'port host path name socket codec readBuffer writeBuffer endTimeout'.split(' ');
    const options = given('tcpServer', config, names);
    const place = listeningPlace(options);
    this.#name = text('name', options.name);
    this.#streams = resolveStreams<In, Out>(options);
    const { allowHalfOpen, ...rest } = takeSocket(options.socket);
    if (place.path !== undefined && Object.keys(rest).length > 0) {
      throw new ConfigError('`path` excludes the TCP options of `socket`; tcpServer got both');
    }
    const { noDelay, keepAlive, keepAliveInitialDelay } = resolveSocketOptions(rest);
    this.#halfOpen = flag('socket.allowHalfOpen', allowHalfOpen, false);
    const highWaterMark = NODES_OWN;
    const serverOptions = nullPrototype({
      noDelay,
      keepAlive,
      keepAliveInitialDelay,
      highWaterMark,
      allowHalfOpen: true,
    });
    this.connections = this.#accepted.asObservable();
    this.errors = this.#errorLog.errors;
    this.#server = net.createServer(serverOptions, (raw) => {
      const endpoint =
        place.path === undefined ? { host: raw.remoteAddress, port: raw.remotePort } : { path: place.path };
      fromSocket(raw, endpoint, { opened: (link) => this.#accept(link), failed: () => undefined });
    });
    this.listening = quiet(this.#listen(place));
  }

  close(options: { readonly timeout?: number } = {}): Promise<void> {
    const { timeout } = given('close', options, ['timeout']);
    const deadline = milliseconds('timeout', timeout, this.#streams.endTimeout);
    this.#closed ??= this.#closeAll(deadline);
    return this.#closed;
  }

  #listen(place: Endpoint): Promise<net.AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.on('error', (cause) => {
        const error = new ConnectError('config', { cause, endpoint: place }, 'listen on');
        reject(error);
        this.#errorLog.report(error);
        if (!this.#server.listening) this.#accepted.complete();
      });
      const path = pathOf(place);
      // An own `port: undefined` would make Node listen on any port.
      const where = path === undefined ? { port: place.port, host: place.host, path } : { path };
      this.#server.listen(nullPrototype(where), () => {
        const address = this.#server.address();
        if (typeof address === 'object' && address !== null) resolve(address);
        else resolve({ address: path ?? '', family: 'unix', port: 0 });
      });
    });
  }

  #accept(link: Link): void {
    const receiver = new Receiver<In>(this.#streams.codec, { report: (error) => this.#errorLog.report(error) });
    const counters = { ...newCounters(), epoch: ++this.#accepts };
    const connection: LiveConnection<In, Out> = new LiveConnection<In, Out>(link, {
      config: this.#streams,
      receiver,
      epoch: counters.epoch,
      counters,
      halfOpen: this.#halfOpen,
      ending: (asked) => {
        if (asked) receiver.gate.drain();
      },
      ended: ({ lost, asAsked, reason }) => {
        unlist();
        this.#open.delete(connection);
        receiver.end(() => undefined); // what was read and waits for its reader outlives the connection
        const goodbye = reason === undefined && lost.clean; // how most clients leave: no error
        if (!asAsked && !goodbye) this.#errorLog.report(reason ?? lost);
      },
    });
    const entry: Listed = { name: this.#name, snapshot: () => snapshotOf(connection, counters, receiver, this.#name) };
    const unlist = list(entry);
    this.#open.set(connection, entry);
    if (this.#accepted.observed && this.#closed === undefined) this.#accepted.next(connection);
    else void connection.end();
  }

  async #closeAll(timeout: number): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      this.#server.close(() => resolve()); // its error says that it did not listen: closed all the same
    });
    const late = timer(timeout).subscribe(() => {
      for (const connection of this.#open.keys()) connection.destroy();
    });
    await Promise.all([...this.#open.keys()].map((connection) => connection.end(timeout)));
    late.unsubscribe();
    await stopped;
    this.#accepted.complete();
    this.#errorLog.complete();
  }
}

function takeSocket(socket: unknown = {}): Given {
  return given('socket', socket, ['noDelay', 'keepAlive', 'keepAliveInitialDelay', 'allowHalfOpen']);
}

function listeningPlace(options: Given): Endpoint {
  const path = text('path', options.path);
  const host = resolveHost(options.host);
  if (path === undefined) return { port: resolvePort(options.port, 0, 0), ...(host === undefined ? {} : { host }) };
  if (host === undefined && options.port === undefined) return { path };
  throw new ConfigError('`path` excludes `host` and `port`; tcpServer got both');
}

function snapshotOf<In, Out>(
  connection: LiveConnection<In, Out>,
  counters: Counters,
  receiver: Receiver<In>,
  name: string | undefined,
): SocketSnapshot {
  const { endpoint, epoch, pendingWrites } = connection;
  const queue = { ...pendingWrites, inFlightFrames: pendingWrites.frames };
  const stats = readStats(counters, { queue, receiver, errorsDropped: 0 });
  return readSnapshot(stats, name, { type: 'open', endpoint, epoch });
}

/** Options that inherit nothing: a polluted `Object.prototype` must not tell Node where to listen. */
function nullPrototype(options: object): object {
  return Object.assign(Object.create(null) as object, options);
}
