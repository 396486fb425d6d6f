/** TLS servers for specs, on ports that the system chooses, and what they have seen; each is closed when its spec is over. */
import { once } from 'node:events';
import type * as net from 'node:net';
import * as tls from 'node:tls';
import { Subject } from 'rxjs';
import { atEnd } from './fixture.js';
import { record, type Handler, type Recording } from './servers.js';
import { tape } from './tape.js';

/** A server and what came to it. */
export interface TlsServer {
  readonly port: number;
  /** How many TCP connections have come, whatever became of their handshakes. */
  readonly dials: number;
  /** The TCP connection at this index, once it is there. */
  raw(index: number): Promise<net.Socket>;
  /** Those whose handshake it found good, the oldest first. */
  readonly sockets: readonly tls.TLSSocket[];
  /** The one at this index, once it is there. */
  socket(index: number): Promise<tls.TLSSocket>;
  /** What the one at this index has received. */
  recording(index: number): Promise<Recording>;
  /** The name that each of them asked for; `''` where it asked for none. */
  readonly names: readonly string[];
  /** Bytes of payload that its program was given, on all connections together. */
  readonly payload: number;
  /** Destroys every connection and stops listening. */
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. Every connection is recorded, unless a handler takes them. */
export async function listenTls(options: tls.TlsOptions, handler?: Handler): Promise<TlsServer> {
  const accepted = new Subject<net.Socket>();
  const secured = new Subject<tls.TLSSocket>();
  const [raws, sockets] = [tape(accepted), tape(secured)];
  const recordings = new Map<net.Socket, Recording>();
  // Not half-open: Node leaves a handshake that the client has ended open for ever where it is.
  const server = tls.createServer(options);
  server.on('connection', (raw: net.Socket) => {
    raw.on('error', () => undefined);
    accepted.next(raw);
  });
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.on('secureConnection', (socket) => {
    // Resets and refusals are what many of these specs are about.
    socket.on('error', () => undefined);
    if (handler === undefined) recordings.set(socket, record(socket));
    else handler(socket, sockets.values.length);
    secured.next(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    const closed = server.listening ? once(server, 'close') : undefined;
    server.close();
    for (const socket of [...sockets.values, ...raws.values]) socket.destroy();
    await closed;
  };
  atEnd(close);
  return {
    port: (server.address() as net.AddressInfo).port,
    get dials() {
      return raws.values.length;
    },
    raw: (index) => raws.at(index),
    sockets: sockets.values,
    socket: (index) => sockets.at(index),
    recording: async (index) => {
      const recording = recordings.get(await sockets.at(index));
      if (recording === undefined) throw new Error('a handler has taken it');
      return recording;
    },
    get names() {
      return sockets.values.map(({ servername }) => (typeof servername === 'string' ? servername : ''));
    },
    get payload() {
      return [...recordings.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
    },
    close,
  };
}
