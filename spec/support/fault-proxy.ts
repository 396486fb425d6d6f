/**
 * A TCP proxy in this process that does to a connection what networks and peers do to it.
 *
 *     socket ──> proxy.port ══ up ══> target         const proxy = await faultProxy(server.port, { seed });
 *            <── proxy.port <═ down ══ target        proxy.set('down', { slice: 3, limit: { bytes: 10, then: 'reset' } });
 *
 * All that looks random comes from the seed. Without faults it passes everything on: bytes, FIN, RST and back pressure.
 */
import { once } from 'node:events';
import * as net from 'node:net';
import { Subject } from 'rxjs';
import { FaultPipe, type Faults } from './fault-pipe.js';
import { atEnd } from './fixture.js';
import { seededRandom } from './random.js';
import { tape } from './tape.js';

export type { Faults } from './fault-pipe.js';

/** `up` is from the client to the target. */
export type Direction = 'up' | 'down';

/** What happens to those who dial: their connection is forwarded, or it is closed or reset as soon as it is accepted. */
export type Welcome = 'forward' | 'close' | 'reset';

/** One connection through the proxy. */
export interface ProxiedConnection {
  /** What passed, what waits, and the faults; to be changed there for this connection alone. */
  readonly up: FaultPipe;
  readonly down: FaultPipe;
  /** Resets both sides now, whether or not anything passes; what waits is lost. */
  reset(): void;
  /** Sends FIN now, in one direction or in both; what waits is lost. */
  fin(direction?: Direction): void;
  /** Resolves once both sides are closed. */
  readonly closed: Promise<void>;
}

/** How to make a proxy. */
export interface FaultProxyConfig {
  /** @default 1 */
  readonly seed?: number;
  /** The faults of the connection of this index from its first byte on. @default what `set` has set last */
  readonly plan?: (index: number) => Partial<Record<Direction, Faults>>;
}

/** The proxy itself. */
export interface FaultProxy {
  readonly port: number;
  /** The forwarded connections, the oldest first. */
  readonly connections: readonly ProxiedConnection[];
  /** The connection at this index, once it is forwarded. */
  connection(index: number): Promise<ProxiedConnection>;
  /** How many dials were accepted, forwarded or not. */
  readonly accepted: number;
  /** Sets the faults of one direction, for all connections there are and for those to come. */
  set(direction: Direction, faults: Faults): void;
  /** What happens to those who dial from now on. */
  welcome: Welcome;
  /** Stops listening: who dials is refused. Connections go on. */
  refuse(): void;
  /** Listens again, on the same port. */
  listen(): Promise<void>;
  /** Resets whatever is open and stops listening. */
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1 and forwards to the target's port; closed when the running spec is over. */
export async function faultProxy(target: number, config: FaultProxyConfig = {}): Promise<FaultProxy> {
  const { seed = 1, plan = () => ({}) } = config;
  const current: Record<Direction, Faults> = { up: {}, down: {} };
  const opened = new Subject<ProxiedConnection>();
  const connections = tape(opened);
  const open = new Set<net.Socket>();
  let accepted = 0;

  const keep = (socket: net.Socket): net.Socket => {
    open.add(socket);
    return socket.on('error', () => undefined).once('close', () => open.delete(socket));
  };

  const forward = (client: net.Socket, index: number): void => {
    const server = keep(net.connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }));
    const refused = (): void => void client.resetAndDestroy();
    server.once('error', refused);
    server.once('connect', () => {
      server.off('error', refused);
      if (client.destroyed) return void server.destroy();
      opened.next(join(client, server, { ...current, ...plan(index) }, seed * 1000 + index));
    });
  };

  const server = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) => {
    const index = accepted++;
    keep(client);
    if (proxy.welcome === 'forward') forward(client, index);
    else if (proxy.welcome === 'reset') client.resetAndDestroy();
    else client.destroy();
  });
  const listen = async (port = proxy.port): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };

  let port = 0;
  const proxy: FaultProxy = {
    get port() {
      return port;
    },
    connections: connections.values,
    connection: (index) => connections.at(index),
    get accepted() {
      return accepted;
    },
    set: (direction, faults) => {
      current[direction] = faults;
      for (const connection of connections.values) connection[direction].faults = faults;
    },
    welcome: 'forward',
    refuse: () => void server.close(),
    listen: () => listen(),
    close: async () => {
      if (server.listening) server.close();
      const closed = [...open].map(closeOf);
      for (const connection of connections.values) connection.reset();
      for (const socket of open) socket.destroy();
      await Promise.all(closed);
    },
  };
  await listen(0);
  port = (server.address() as net.AddressInfo).port;
  atEnd(() => proxy.close());
  return proxy;
}

/** Both directions between two open sockets. */
function join(
  client: net.Socket,
  server: net.Socket,
  faults: Record<Direction, Faults>,
  seed: number,
): ProxiedConnection {
  const sides = [client, server];
  const reset = (): void => {
    for (const side of sides) if (!side.destroyed) side.resetAndDestroy();
    close();
  };
  const up = new FaultPipe(client, server, faults.up, seededRandom(2 * seed), reset);
  const down = new FaultPipe(server, client, faults.down, seededRandom(2 * seed + 1), reset);
  const close = (): void => {
    up.close();
    down.close();
  };
  const closed = Promise.all(sides.map(closeOf));
  return {
    up,
    down,
    reset,
    fin: (direction) => {
      if (direction !== 'down') up.fin();
      if (direction !== 'up') down.fin();
    },
    closed: closed.then(close),
  };
}

/** Not `once` of node:events: that rejects at an 'error'. */
function closeOf(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => void socket.once('close', () => resolve()));
}
