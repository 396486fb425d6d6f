/**
 * The other end, driven by hand: real servers on free ports, and what came out of a socket under test.
 *
 *     const { serve, track } = peers();                       in a describe: whatever a spec leaves is closed, and proved gone
 *     const server = await serve();
 *     const socket = track(tcpSocket({ port: server.port }));
 *     const peer = await server.accepted();
 *     await peer.send('one\n');
 */
import * as net from 'node:net';
import { firstValueFrom, type Observable, type Subscription } from 'rxjs';
import type { Connection, ReconnectConfig, TcpSocket } from '../../lib/index.js';
import { atEnd, leavesNothingOpen } from './fixture.js';
import { until } from './leaks.js';

/** Dials again at once, so that a spec waits for nothing. */
export const SOON: ReconnectConfig = { initialDelay: 1, maxDelay: 1 };

/** The server's end of one connection. */
export interface Peer {
  readonly raw: net.Socket;
  /** All that came in so far, as text. */
  readonly text: string;
  /** Resolves when the kernel has taken it. */
  send(bytes: string | Uint8Array): Promise<void>;
  /** Resolves once the text that came in contains this. */
  heard(text: string): Promise<void>;
  /** Sends FIN and goes on reading. */
  fin(): void;
  /** Sends RST. */
  reset(): void;
  /** Resolves when the client has ended it too, or it is lost. */
  readonly closed: Promise<void>;
}

/** A listening server whose connections wait to be taken. */
export interface Peers {
  readonly port: number;
  /** The next connection, in the order of their coming. */
  accepted(): Promise<Peer>;
  /** How many have come. */
  readonly count: number;
}

/** What `peers()` gives to the specs of one describe. */
export interface Bench {
  readonly serve: () => Promise<Peers>;
  /** Remembers a socket, a server or a subscription: it is destroyed after the spec if it is not over by then. */
  readonly track: <T extends Ends>(thing: T) => T;
}

type Ends = { destroy(): void } | { close(): unknown } | { unsubscribe(): void };

/** Call it in a `describe`. After each spec it closes what is left, and fails the spec if a handle stays open all the same. */
export function peers(): Bench {
  leavesNothingOpen();
  return {
    serve: async () => {
      const server = await listen();
      atEnd(() => server.close());
      return server;
    },
    track: (thing) => {
      atEnd(() => {
        if ('close' in thing) return thing.close();
        if ('destroy' in thing) thing.destroy();
        else thing.unsubscribe();
        return undefined;
      });
      return thing;
    },
  };
}

/** A port on which nobody listens just now. */
export async function freePort(): Promise<number> {
  const server = await listen();
  await server.close();
  return server.port;
}

/** A server of one's own, on a given port if need be. */
export async function listen(port = 0): Promise<Peers & { close(): Promise<void> }> {
  const waiting: Peer[] = [];
  const takers: ((peer: Peer) => void)[] = [];
  const open = new Set<net.Socket>();
  let count = 0;
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (raw) => {
    count++;
    open.add(raw);
    raw.once('close', () => open.delete(raw));
    const peer = peerOf(raw);
    const taker = takers.shift();
    if (taker === undefined) waiting.push(peer);
    else taker(peer);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as net.AddressInfo).port,
    accepted: () => {
      const peer = waiting.shift();
      return peer === undefined ? new Promise((resolve) => takers.push(resolve)) : Promise.resolve(peer);
    },
    get count() {
      return count;
    },
    close: () => {
      for (const raw of open) raw.destroy();
      return new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}

function peerOf(raw: net.Socket): Peer {
  let text = '';
  const listeners = new Set<() => void>();
  raw.on('error', () => {});
  raw.on('data', (chunk) => {
    text += chunk.toString('latin1');
    for (const listener of listeners) listener();
  });
  raw.on('end', () => raw.end());
  return {
    raw,
    get text() {
      return text;
    },
    send: (bytes) =>
      new Promise((resolve, reject) => {
        raw.write(bytes, (error) => {
          if (error) reject(error);
          else resolve();
        });
      }),
    heard: (wanted) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!text.includes(wanted)) return;
          listeners.delete(check);
          resolve();
        };
        listeners.add(check);
        check();
      }),
    fin: () => void raw.end(),
    reset: () => void raw.resetAndDestroy(),
    closed: new Promise((resolve) => raw.once('close', () => resolve())),
  };
}

/** What an Observable has said so far. */
export interface Collected<T> {
  readonly values: T[];
  /** Set once it has ended. */
  readonly end: { readonly error?: unknown } | undefined;
  /** Resolves with the values once there are that many; rejects if it ends before. */
  reach(count: number): Promise<T[]>;
  /** Resolves once it has completed or errored. */
  readonly ended: Promise<void>;
  stop(): void;
}

/** Subscribes, and keeps all that comes. */
export function collect<T>(source: Observable<T>, hook: (value: T) => void = () => {}): Collected<T> {
  const values: T[] = [];
  const listeners = new Set<() => void>();
  let end: { readonly error?: unknown } | undefined;
  const tell = (): void => {
    for (const listener of [...listeners]) listener();
  };
  let resolveEnded = (): void => {};
  const ended = new Promise<void>((resolve) => (resolveEnded = resolve));
  const over = (how: { readonly error?: unknown }): void => {
    end = how;
    resolveEnded();
    tell();
  };
  let subscription: Subscription | undefined = undefined;
  subscription = source.subscribe({
    next: (value) => {
      values.push(value);
      tell();
      hook(value);
    },
    error: (error: unknown) => over({ error }),
    complete: () => over({}),
  });
  return {
    values,
    get end() {
      return end;
    },
    reach: (count) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (values.length < count && end === undefined) return;
          listeners.delete(check);
          if (values.length >= count) resolve(values);
          else reject(new Error(`it ended after ${values.length} values`, { cause: end?.error }));
        };
        listeners.add(check);
        check();
      }),
    ended,
    stop: () => subscription?.unsubscribe(),
  };
}

/** Turns of the event loop until the condition holds; rejects when it never does. */
export async function eventually(condition: () => boolean): Promise<void> {
  if (!(await until(condition, 1_000_000))) throw new Error(`it never came true: ${String(condition)}`);
}

/** Enough turns of the event loop for anything that is on its way inside this process to arrive. */
export async function turns(count = 50): Promise<void> {
  let left = count;
  await until(() => left-- <= 0);
}

/** Resolves with a number once it has stayed the same for many turns. */
export async function settled(read: () => number): Promise<number> {
  let last = read();
  let same = 0;
  await eventually(() => {
    const now = read();
    same = now === last ? same + 1 : 0;
    last = now;
    return same > 2_000;
  });
  return last;
}

/** The live connection of a socket, once there is one. */
export function live<In, Out>(socket: TcpSocket<In, Out>): Promise<Connection<In, Out>> {
  return firstValueFrom(socket.connections);
}

/** Resolves once that many bytes have come into this process. */
export function arrived(connection: Connection<unknown, never>, bytes: number): Promise<void> {
  return eventually(() => (connection.raw as net.Socket).bytesRead >= bytes);
}
