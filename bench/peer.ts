import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Behaviour, Envelope, Request } from './peer/protocol.js';
import { peerCores, pinned } from './pinned.js';

/** The other end, in a process of its own and, where that can be had, on a core of its own. */
export class Peer {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (value: number) => void>();
  readonly #ports = new Set<number>();
  #requests = 0;

  static async start(): Promise<Peer> {
    const script = fileURLToPath(new URL('peer/main.js', import.meta.url));
    const peer = new Peer(fork(script, [], pinned(peerCores)));
    await once(peer.#process, 'message');
    return peer;
  }

  private constructor(process: ChildProcess) {
    this.#process = process;
    process.on('message', ({ id, body }: Envelope<number>) => {
      this.#waiting.get(id)?.(body);
      this.#waiting.delete(id);
    });
  }

  /** Opens a listener that treats its connections so; the port. It is closed after the run. */
  async serve(behaviour: Behaviour): Promise<number> {
    const port = await this.#ask({ ask: 'serve', behaviour });
    this.#ports.add(port);
    return port;
  }

  /** Bytes that came to a listener, once it has had so many connections and all are over. */
  received(port: number, connections = 1): Promise<number> {
    return this.#ask({ ask: 'received', port, connections });
  }

  /** Resolves when the first byte has come to a listener. */
  async begun(port: number): Promise<void> {
    await this.#ask({ ask: 'begun', port });
  }

  /** Resets the connections of a listener. */
  async reset(port: number): Promise<void> {
    await this.#ask({ ask: 'reset', port });
  }

  /** Closes all listeners, and resets what is connected to them. */
  async clear(): Promise<void> {
    for (const port of this.#ports) await this.#ask({ ask: 'close', port });
    this.#ports.clear();
  }

  stop(): void {
    this.#process.disconnect();
  }

  #ask(body: Request): Promise<number> {
    const id = ++this.#requests;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#process.send({ id, body } satisfies Envelope<Request>);
    });
  }
}
