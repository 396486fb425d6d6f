/** Small servers for specs, on ports that the system chooses; each is closed when its spec is over. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Subject } from 'rxjs';
import { atEnd } from './fixture.js';
import { tape } from './tape.js';

/** A server and what came to it. */
export interface TestServer {
  /** 0 on a unix path. */
  readonly port: number;
  /** Its connections so far, the oldest first. */
  readonly sockets: readonly net.Socket[];
  /** The connection at this index, once it is there. */
  socket(index: number): Promise<net.Socket>;
  /** Destroys every connection and stops listening. */
  close(): Promise<void>;
}

/** Called with each connection and its index. */
export type Handler = (socket: net.Socket, index: number) => void;

/** Listens on a free port of 127.0.0.1, or on a port or path that a spec has had before. */
export async function listen(handler: Handler = () => undefined, where: number | string = 0): Promise<TestServer> {
  const accepted = new Subject<net.Socket>();
  const sockets = tape(accepted);
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    // A reset is what many of these specs are about.
    socket.on('error', () => undefined);
    accepted.next(socket);
    handler(socket, sockets.values.length - 1);
  });
  if (typeof where === 'string') server.listen(where);
  else server.listen(where, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const close = async (): Promise<void> => {
    const closed = server.listening ? once(server, 'close') : undefined;
    server.close();
    for (const socket of sockets.values) socket.destroy();
    await closed;
  };
  atEnd(close);
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    sockets: sockets.values,
    socket: (index) => sockets.at(index),
    close,
  };
}

/** A port on which nobody listens now: somebody did a moment ago. */
export async function deadPort(): Promise<number> {
  const server = await listen();
  await server.close();
  return server.port;
}

/** A path for a unix socket, in a folder that goes with the spec. */
export function socketPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rx-tcp-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 's');
}

/** Sends back what comes, and its FIN for a FIN. */
export const echo: Handler = (socket) => void socket.pipe(socket);

/** Answers a FIN with a FIN and reads all that comes. */
export const sink: Handler = (socket) => {
  socket.resume();
  socket.once('end', () => socket.end());
};

/** Never reads, so that what is written to it piles up in the kernels and then at the writer. */
export const neverReading: Handler = (socket) => void socket.pause();

/** What one connection has received. */
export interface Recording {
  readonly bytes: Buffer;
  /** As latin1. */
  readonly text: string;
  /** Resolves once it holds this text, or so many bytes. */
  has(wanted: string | number): Promise<void>;
}

/** Reads a connection and keeps what came; a FIN is answered with a FIN. */
export function record(socket: net.Socket): Recording {
  const chunks: Buffer[] = [];
  let length = 0;
  const lengths = new Subject<number>();
  const seen = tape(lengths);
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    lengths.next(length);
  });
  socket.on('end', () => socket.end());
  socket.on('close', () => lengths.complete());
  const bytes = (): Buffer => Buffer.concat(chunks);
  const text = (): string => bytes().toString('latin1');
  return {
    get bytes() {
      return bytes();
    },
    get text() {
      return text();
    },
    has: async (wanted) => {
      const there = (): boolean => (typeof wanted === 'string' ? text().includes(wanted) : length >= wanted);
      if (!there()) await seen.first(there);
    },
  };
}

/** A server that records every connection, save those that the handler takes for itself by answering `true`. */
export async function recordingServer(
  takes: (socket: net.Socket, index: number) => boolean = () => false,
  where: number | string = 0,
): Promise<TestServer & { recording(index: number): Promise<Recording> }> {
  const recordings = new Map<net.Socket, Recording>();
  const server = await listen((socket, index) => {
    if (!takes(socket, index)) recordings.set(socket, record(socket));
  }, where);
  return {
    ...server,
    recording: async (index) => {
      const recording = recordings.get(await server.socket(index));
      if (recording === undefined) throw new Error(`connection ${String(index)} is not recorded`);
      return recording;
    },
  };
}

/** Resets the connection once so many bytes of it are read; what was not read by then is lost. */
export function resetAfter(socket: net.Socket, bytes = 1): void {
  let left = bytes;
  socket.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left > 0) return;
    socket.pause();
    socket.resetAndDestroy();
  });
}
