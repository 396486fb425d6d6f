import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { milliseconds } from '../check.js';
import type { Connection } from '../connection/connection.js';
import { IdleTimer } from '../idle-timer.js';
import { SocketStream } from './socket-stream.js';

/** What a net.Socket has beneath a connection, and another stream may lack. */
type Raw = Duplex &
  Partial<Pick<Socket, 'remoteAddress' | 'remotePort' | 'setNoDelay' | 'setKeepAlive' | 'ref' | 'unref'>>;

const TIMEOUT = 'timeout';

/** What libraries ask of a `net.Socket` beside its bytes. */
export class NetStream extends SocketStream {
  readonly #idle = new IdleTimer(() => this.emit(TIMEOUT));
  /** What was set, by what it sets: for each connection that opens. */
  readonly #settings = new Map<string, (raw: Raw) => void>();
  #connecting = true;

  /** Whether 'connect' is still to come. */
  get connecting(): boolean {
    return this.#connecting && !this.destroyed;
  }

  get remoteAddress(): string | undefined {
    return this.#raw?.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#raw?.remotePort;
  }

  /** The socket dials by itself; 'connect' comes when it is open, and if it is already, comes again, for who listens only now. */
  connect(...where: unknown[]): this {
    const listener = where.at(-1);
    if (typeof listener === 'function') this.#listen('connect', listener as () => void);
    if (!this.#connecting) process.nextTick(() => this.#connected());
    return this;
  }

  setNoDelay(noDelay = true): this {
    return this.#set('noDelay', (raw) => raw.setNoDelay?.(noDelay));
  }

  setKeepAlive(enable = false, initialDelay = 0): this {
    return this.#set('keepAlive', (raw) => raw.setKeepAlive?.(enable, initialDelay));
  }

  ref(): this {
    return this.#set('ref', (raw) => raw.ref?.());
  }

  unref(): this {
    return this.#set('ref', (raw) => raw.unref?.());
  }

  /** Emits 'timeout' after so many ms in which nothing came in and nothing was written; it ends nothing. 0 switches it off. */
  setTimeout(timeout: number, listener?: () => void): this {
    this.#idle.set(milliseconds('timeout', timeout, 0));
    if (listener === undefined) return this;
    return timeout === 0 ? this.removeListener(TIMEOUT, listener) : this.#listen(TIMEOUT, listener);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#idle.set(0);
    super._destroy(error, callback);
  }

  protected override opened(connection: Connection): void {
    super.opened(connection);
    this.active();
    for (const set of this.#settings.values()) set(connection.raw);
    if (this.#connecting) this.#connected();
  }

  protected override active(): void {
    this.#idle.active();
  }

  get #raw(): Raw | undefined {
    return this.live?.raw;
  }

  #connected(): void {
    if (this.destroyed) return;
    this.#connecting = false;
    this.emit('connect');
    this.emit('ready');
  }

  #set(what: string, set: (raw: Raw) => void): this {
    this.#settings.set(what, set);
    if (this.#raw !== undefined) set(this.#raw);
    return this;
  }

  #listen(event: string, listener: () => void): this {
    return this.once(event, listener);
  }
}
