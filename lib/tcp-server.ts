import * as net from 'node:net';
import { Subject, Subscription, timer, type Observable } from 'rxjs';
import { given, milliseconds } from './check.js';
import type { Codec } from './codec/codec.js';
import { liveOver } from './connect.js';
import { accept, type AcceptConfig } from './connection/accept.js';
import { withTickets } from './connection/secure.js';
import { upgradeAsServer } from './connection/upgrade.js';
import { pathOf } from './endpoint.js';
import { ClosedError, ConnectError, type Endpoint, type TcpError } from './errors.js';
import { Receiver } from './inbound/receive.js';
import { ErrorLog } from './monitor/error-log.js';
import { list } from './monitor/registry.js';
import { ServerTally, type ServerStats } from './monitor/server-stats.js';
import { newCounters } from './monitor/stats.js';
import { quiet } from './quiet.js';
import { resolveServer, type ResolvedServer } from './resolve-server.js';
import type { TcpServer, TcpServerConfig } from './server.js';
import { ServedConnection, type ServerConnection } from './served.js';

/** What Node itself may hold of a connection that is not read from, in bytes: chunks of one byte cost it 750 each. */
const NODES_OWN = 4096;

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
  readonly connections: Observable<ServerConnection<In, Out>>;
  readonly listening: Promise<net.AddressInfo>;
  readonly errors: Observable<TcpError>;
  readonly #accepted = new Subject<ServerConnection<In, Out>>();
  readonly #config: ResolvedServer<In, Out>;
  readonly #tls: AcceptConfig['tls'];
  readonly #errorLog = new ErrorLog(100);
  readonly #tally = new ServerTally();
  readonly #open = new Set<ServedConnection<In, Out>>();
  /** Those in their handshake. */
  readonly #opening = new Set<Subscription>();
  readonly #server: net.Server;
  #closed: Promise<void> | undefined;

  constructor(options: TcpServerConfig<In, Out>) {
    const config = (this.#config = resolveServer<In, Out>(options));
    this.#tls = config.tls && withTickets(config.tls);
    this.connections = this.#accepted.asObservable();
    this.errors = this.#errorLog.errors;
    const { noDelay, keepAlive, keepAliveInitialDelay } = config.socket;
    const socket = { noDelay, keepAlive, keepAliveInitialDelay, highWaterMark: NODES_OWN, allowHalfOpen: true };
    this.#server = net.createServer(nullPrototype(socket), (raw) => this.#accept(raw));
    if (config.maxConnections < Infinity) this.#server.maxConnections = config.maxConnections;
    this.#server.on('drop', () => this.#tally.refused++);
    this.listening = quiet(this.#listen(config.place));
  }

  stats(): ServerStats {
    return this.#tally.read(this.#open, { opening: this.#opening.size, errorsDropped: this.#errorLog.dropped });
  }

  close(options: { readonly timeout?: number } = {}): Promise<void> {
    const { timeout } = given('close', options, ['timeout']);
    const deadline = milliseconds('timeout', timeout, this.#config.endTimeout);
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
      this.#server.on('close', () => reject(new ClosedError({ endpoint: place })));
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

  /** A connection has come in: TLS, handshake, and then it is one of `connections`. */
  #accept(raw: net.Socket): void {
    const config = this.#config;
    const { handshakeTimeout: timeout, place, name } = config;
    const endpoint = place.path === undefined ? { host: raw.remoteAddress, port: raw.remotePort } : place;
    const report = (error: TcpError): void => this.#errorLog.report(error);
    const receiver = new Receiver<In>(config.codec, { report });
    const counters = { ...newCounters(), epoch: ++this.#tally.accepted };
    const account = this.#tally.account(counters);
    const reportMessage = (error: TcpError): void => {
      report(error);
      if (!this.#open.has(served)) account(); // what comes so late is in no sum yet
    };
    const served = new ServedConnection<In, Out>({ config, receiver, counters, name, report: reportMessage });
    const listed = new Subscription();
    const opening = liveOver<In, Out>(accept(raw, endpoint, { tls: this.#tls, timeout }), {
      ...{ config, timeout, epoch: () => counters.epoch },
      live: () => ({
        ...{ config, receiver, counters, report, upgrade: upgradeAsServer, epoch: counters.epoch },
        halfOpen: config.socket.allowHalfOpen === true,
        unconfirmed: () => served.unconfirmed,
        ending: (asked) => served.ending(asked),
        beforeFin: (fin) => served.beforeFin(fin),
      }),
      tell: ({ lost, asAsked, reason }) => {
        const goodbye = reason === undefined && lost.clean; // how most clients leave: no error
        if (!asAsked && !goodbye) report(reason ?? lost); // before what it left unwritten
        served.ended(lost);
        account();
        listed.unsubscribe();
        receiver.end(() => undefined, account); // what was read and waits for its reader outlives the connection
        return undefined;
      },
      failed: () => {
        this.#tally.failed++;
        account();
      },
    });
    const running = new Subscription();
    this.#opening.add(running);
    running.add(() => this.#opening.delete(running));
    running.add(
      opening.subscribe({
        next: (live) => {
          this.#opening.delete(running);
          served.opened(live);
          listed.add(this.#list(served));
          if (this.#accepted.observed && this.#closed === undefined) this.#accepted.next(served);
          else void served.end();
        },
        error: (error: TcpError) => {
          report(error);
          running.unsubscribe();
        },
        complete: () => running.unsubscribe(),
      }),
    );
  }

  /** The connection is open, until the returned function is called. */
  #list(served: ServedConnection<In, Out>): () => void {
    const unlist = list(served);
    this.#open.add(served);
    return () => {
      unlist();
      this.#open.delete(served);
    };
  }

  async #closeAll(timeout: number): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      this.#server.close(() => resolve()); // its error says that it did not listen: closed all the same
    });
    for (const opening of this.#opening) giveUp(opening);
    const late = timer(timeout).subscribe(() => {
      for (const connection of this.#open) connection.destroy();
    });
    await Promise.all([...this.#open].map((connection) => connection.end(timeout)));
    late.unsubscribe();
    await stopped;
    this.#accepted.complete();
    this.#errorLog.complete();
  }
}

/** What a handshake of the user's throws as it is given up must not keep the others open. */
function giveUp(opening: Subscription): void {
  try {
    opening.unsubscribe();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Options that inherit nothing: a polluted `Object.prototype` must not tell Node where to listen. */
function nullPrototype(options: object): object {
  return Object.assign(Object.create(null) as object, options);
}
