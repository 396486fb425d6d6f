import type { Duplex } from 'node:stream';
import type { SchedulerLike } from 'rxjs';
import { Deque } from '../deque.js';
import type { Endpoint } from '../errors.js';
import { IdleTimer } from '../idle-timer.js';
import { TurnEnd } from '../turn.js';
import type { Link, LinkEvents } from './link.js';

/** Bytes of one write: the kernel says only of whole ones that it took them. */
const PIECE = 64 * 1024;

interface Written {
  readonly batch: Uint8Array;
  readonly done: (error?: Error | null) => void;
}

/**
 * A link that tells when the kernel has taken nothing of what is being written for too long.
 *
 *     write(200 KiB) ──64──> taken ──64──> taken ──64──> … ──8──> taken ──> done      each piece that is taken is progress
 *
 * What is handed over meanwhile waits until the last piece is, so that no write is split by another.
 */
export class WatchedLink implements Link {
  readonly limit: ((bytes: number) => void) | undefined;
  readonly #link: Link;
  readonly #waiting = new Deque<Written>();
  readonly #idle: IdleTimer;
  readonly #stalled: () => void;
  /** Writes that the kernel has not taken. */
  #pending = 0;
  /** Pieces taken so far. */
  #taken = 0;
  #inPieces = false;
  #ending = false;

  /** `stalled` is called once nothing was taken for `timeout` ms; the link is then to be destroyed. */
  constructor(link: Link, timeout: number, stalled: () => void, scheduler: SchedulerLike | undefined) {
    this.#link = link;
    this.limit = link.limit?.bind(link);
    this.#stalled = stalled;
    this.#idle = new IdleTimer(() => this.#suspect(), scheduler);
    this.#idle.set(timeout);
  }

  get endpoint(): Endpoint {
    return this.#link.endpoint;
  }

  get raw(): Duplex {
    return this.#link.raw;
  }

  get destroyed(): boolean {
    return this.#link.destroyed;
  }

  listen(events: LinkEvents): void {
    this.#link.listen(events);
  }

  pause(): void {
    this.#link.pause();
  }

  resume(): void {
    this.#link.resume();
  }

  write(batch: Uint8Array, done: (error?: Error | null) => void): void {
    this.#waiting.push({ batch, done });
    if (!this.#inPieces) this.#writeNext();
  }

  end(): void {
    this.#ending = true;
    if (!this.#inPieces) this.#link.end();
  }

  destroy(): void {
    this.#idle.set(0);
    this.#link.destroy();
  }

  release(): Duplex | undefined {
    this.#idle.set(0);
    return this.#link.release?.();
  }

  rest(): Buffer {
    this.#idle.set(0);
    return this.#link.rest();
  }

  #writeNext(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#inPieces = next.batch.length > PIECE;
      this.#writeFrom(next, 0);
      if (this.#inPieces) return;
    }
    if (this.#ending) this.#link.end();
  }

  #writeFrom({ batch, done }: Written, start: number): void {
    const end = Math.min(start + PIECE, batch.length);
    if (this.#pending++ === 0) this.#idle.active();
    this.#link.write(start === 0 && end === batch.length ? batch : batch.subarray(start, end), (error) => {
      this.#pending--;
      this.#taken++;
      this.#idle.active();
      if (!error && end < batch.length) return this.#writeFrom({ batch, done }, end);
      done(error);
      if (batch.length <= PIECE) return;
      this.#inPieces = false;
      this.#writeNext();
    });
  }

  /** Time is over; but what the kernel has taken may not have been told yet. */
  #suspect(): void {
    const taken = this.#taken;
    TurnEnd.yield(() => {
      if (this.#pending > 0 && this.#taken === taken) this.#stalled();
    });
  }
}
