import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { setImmediate } from 'node:timers/promises';
import type { Behaviour } from './protocol.js';
import { send } from './source.js';

/** One listening server and its connections. */
export class Listener {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #bytes = 0;
  #accepted = 0;
  #dropping: NodeJS.Timeout | undefined;

  static async open(behaviour: Behaviour): Promise<Listener> {
    const listener = new Listener(behaviour);
    listener.#server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
    await once(listener.#server, 'listening');
    return listener;
  }

  private constructor(behaviour: Behaviour) {
    const accept = (socket: Socket): void => this.#accept(socket, behaviour);
    const { tls } = behaviour;
    this.#server = tls ? createTlsServer({ ...tls, noDelay: true }, accept) : createServer({ noDelay: true }, accept);
    if (behaviour.kind === 'sink' && behaviour.dropEvery !== undefined) {
      this.#dropping = setInterval(() => this.#reset(), behaviour.dropEvery);
    }
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Bytes of all connections, once there were so many and none is left. */
  async received(connections: number): Promise<number> {
    while (this.#accepted < connections || this.#open.size > 0) await setImmediate();
    return this.#bytes;
  }

  /** Bytes so far, once there are any. */
  async begun(): Promise<number> {
    while (this.#bytes === 0) await setImmediate();
    return this.#bytes;
  }

  /** Resets all connections, of which there is at least one: what is open for the other end may not be accepted here yet. */
  async drop(): Promise<void> {
    while (this.#open.size === 0) await setImmediate();
    this.#reset();
  }

  #reset(): void {
    for (const socket of this.#open) socket.resetAndDestroy();
  }

  close(): void {
    clearInterval(this.#dropping);
    this.#server.close();
    this.#reset();
  }

  #accept(socket: Socket, behaviour: Behaviour): void {
    this.#accepted++;
    this.#open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#open.delete(socket));
    if (behaviour.kind === 'echo') socket.on('data', (chunk) => socket.write(chunk));
    else socket.on('data', (chunk) => (this.#bytes += chunk.length));
    if (behaviour.kind === 'source') send(socket, Buffer.from(behaviour.unit, 'base64'), behaviour.repeat);
  }
}
