/**
 * From a Duplex to a Link: the only file that names a socket event.
 *
 * What it relies on was measured on Node 20, 22, 24 and 26: an `error` listener must stay for the socket's whole life; after an
 * error the bytes that Node holds can still be had with `read()`; a `data` listener that pauses gets no further chunk.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { Subscription, type SchedulerLike } from 'rxjs';
import type { Endpoint } from '../errors.js';
import { TurnEnd } from '../turn.js';
import { chunkBytes } from './chunk-bytes.js';
import type { Link, LinkEvents } from './link.js';
import { probe } from './probe.js';
import type { SlabReader } from './slab-reader.js';

/** Who waits for a stream to open. Exactly one of the two is called, at once if the stream is open already. */
export interface Opening {
  opened(): void;
  failed(error: Error): void;
}

/** How a link is made of an open stream. */
export interface LinkParts {
  /** Where the bytes come from, instead of `data` events. */
  readonly reader?: SlabReader | undefined;
  /** What carries the stream, if that is another: it is probed, and goes with it. */
  readonly carrier?: Duplex | undefined;
  readonly scheduler?: SchedulerLike | undefined;
}

/** Waits until a stream is open: a net.Socket when connected, a TLSSocket when secure, any other at once. One that fails is destroyed. */
export function whenOpen(raw: Duplex, opening: Opening): void {
  listenForErrors(raw);
  const open = openEvent(raw);
  if (open === undefined) return opening.opened();
  const settled = (outcome: () => void): void => {
    raw.off(open, onOpen);
    raw.off('error', onError);
    raw.off('close', onClose);
    outcome();
  };
  const onOpen = (): void => settled(() => opening.opened());
  const onError = (error: Error): void =>
    settled(() => {
      discard(raw);
      opening.failed(error);
    });
  const onClose = (): void => onError(new Error('the stream closed before it was open'));
  raw.once(open, onOpen);
  raw.once('error', onError);
  raw.once('close', onClose);
}

/** Makes a link of a stream that is open. */
export function linkOver(raw: Duplex, endpoint: Endpoint, parts: LinkParts = {}): Link {
  return new SocketLink(raw, endpoint, parts);
}

/** Destroys a stream that nobody wants any more, and hears its last errors so that none of them is uncaught. */
export function discard(raw: Duplex): void {
  listenForErrors(raw);
  raw.destroy();
}

function openEvent(raw: Duplex): 'connect' | 'secureConnect' | undefined {
  const { connecting, secureConnecting } = raw as Partial<Socket> & { secureConnecting?: boolean };
  if (secureConnecting === true || ((raw as Partial<TLSSocket>).encrypted === true && connecting === true))
    return 'secureConnect';
  return connecting === true ? 'connect' : undefined;
}

/** Once a stream, however often it is handed to us. */
function listenForErrors(raw: Duplex): void {
  if (!raw.listeners('error').includes(ignore)) raw.on('error', ignore);
}

/** An error after the end of a link is nobody's business, but without a listener Node makes it an uncaught exception. */
function ignore(): void {
  return;
}

class SocketLink implements Link {
  readonly raw: Duplex;
  readonly endpoint: Endpoint;
  readonly limit: ((bytes: number) => void) | undefined;
  readonly #parts: LinkParts;
  #events: LinkEvents | undefined;
  #probing = Subscription.EMPTY;
  #over = false;
  #ended = false;
  #released = false;

  constructor(raw: Duplex, endpoint: Endpoint, parts: LinkParts) {
    const { reader, carrier } = parts;
    this.raw = raw;
    this.endpoint = endpoint;
    this.#parts = parts;
    this.limit = reader && ((bytes) => reader.limit(bytes));
    listenForErrors(raw);
    if (carrier !== undefined) listenForErrors(carrier);
    if (reader !== undefined) raw.pause(); // until somebody listens: it would read, and the bytes be lost
  }

  get destroyed(): boolean {
    return this.raw.destroyed;
  }

  listen(events: LinkEvents): void {
    this.#events = events;
    this.raw.on('end', this.#onEnd);
    this.raw.on('finish', this.#onFinish);
    this.raw.on('error', this.#onLost);
    this.raw.on('close', this.#onClose);
    const { reader } = this.#parts;
    if (reader === undefined) this.raw.on('data', this.#onData);
    else reader.listen(this.#onRead);
    this.raw.resume(); // a custom dial may have paused it, so as to lose nothing
  }

  pause(): void {
    if (this.#over) return;
    this.raw.pause();
    this.#probing.unsubscribe();
    this.#probing = probe(this.#parts.carrier ?? this.raw, this.#parts.scheduler);
  }

  resume(): void {
    if (this.#over) return;
    this.#probing.unsubscribe();
    this.raw.resume();
  }

  write(batch: Uint8Array, done: (error?: Error | null) => void): void {
    if (this.#released) return done(new Error('the stream carries another by now'));
    try {
      // Of a net.Socket alone is it known that it has no use for the bytes after `done`: any other Duplex may only have queued them.
      this.raw.write(this.raw instanceof Socket ? batch : Buffer.from(batch), done);
    } catch (error) {
      done(error as Error);
    }
  }

  end(): void {
    const fin = (): void => {
      if (!this.raw.destroyed) this.raw.end();
    };
    // A TLSSocket that is ended in the middle of a read loses all that follows, and calls that an end (measured on Node 20 to 26).
    if ('encrypted' in this.raw) TurnEnd.yield(fin);
    else fin();
  }

  destroy(): void {
    this.#detach();
    this.raw.destroy();
    this.#parts.carrier?.destroy();
  }

  release(): Duplex {
    this.#released = true;
    this.#detach();
    this.raw.pause();
    this.rest(); // dropped
    return this.raw;
  }

  rest(): Buffer {
    const chunks: Buffer[] = [];
    // No more than it holds now: not every stream stops making bytes when it is destroyed.
    for (let left = this.raw.readableLength; left > 0;) {
      const chunk: unknown = this.raw.read();
      if (chunk === null || chunk === undefined) break;
      const bytes = chunkBytes(chunk);
      if (bytes !== undefined) chunks.push(bytes);
      left -= this.raw.readableObjectMode ? 1 : (bytes?.length ?? left);
    }
    return Buffer.concat(chunks);
  }

  readonly #onData = (chunk: unknown): void => {
    if (this.#over) return;
    const bytes = chunkBytes(chunk);
    if (bytes === undefined) this.#onLost(new TypeError('the stream emitted something that is not bytes'));
    else if (bytes.length > 0) this.#events?.chunk(bytes);
  };

  readonly #onRead = (chunk: Buffer, keep: () => Buffer): void => {
    if (!this.#over) this.#events?.chunk(chunk, keep);
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    if (!this.#over) this.#events?.fin();
    if (this.raw.writableFinished) this.#onLost(undefined);
  };

  /** Both sides have ended. Not every Duplex says 'close' after that. */
  readonly #onFinish = (): void => {
    if (this.#ended) this.#onLost(undefined);
  };

  readonly #onClose = (): void => {
    this.#onLost(undefined);
  };

  readonly #onLost = (error: Error | undefined): void => {
    if (this.#over) return;
    this.destroy();
    this.#events?.lost(error);
  };

  #detach(): void {
    this.#over = true;
    this.#probing.unsubscribe();
    this.raw.off('data', this.#onData);
    this.raw.off('end', this.#onEnd);
    this.raw.off('finish', this.#onFinish);
    this.raw.off('error', this.#onLost);
    this.raw.off('close', this.#onClose);
  }
}
