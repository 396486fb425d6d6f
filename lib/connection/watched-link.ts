import type { Duplex } from 'node:stream';
import type { SchedulerLike } from 'rxjs';
import { Deque } from '../deque.js';
import type { Endpoint } from '../errors.js';
import { IdleTimer } from '../idle-timer.js';
import { TurnEnd } from '../turn.js';
import type { Link, LinkEvents } from './link.js';

/** Bytes of one write: the kernel says only of whole ones that it took them. */
const PIECE = 64 * 1024;

/** A write, and how much of it the link beneath has by now. */
interface Written {
  readonly batch: Uint8Array;
  readonly done: (error?: Error | null) => void;
  handed: number;
}

/**
 * A link that tells when the kernel has taken nothing of what is being written for too long.
 *
 *     write(200 KiB) ──64──> taken ──64──> taken ──64──> … ──8──> taken ──> done      each piece that is taken is progress
 *
 * No more is handed on while a piece's worth is not taken: what Node has several writes of it makes one of, and tells of the whole alone. The rest waits here,
 * in its order, so that no write is split by another.
 */
export class WatchedLink implements Link {
  readonly limit: ((bytes: number) => void) | undefined;
  readonly #link: Link;
  /** The first may be handed on in part. */
  readonly #waiting = new Deque<Written>();
  readonly #idle: IdleTimer;
  readonly #stalled: () => void;
  /** Writes that were handed on and are not taken, and their bytes. */
  #pending = 0;
  #pendingBytes = 0;
  /** Pieces taken so far. */
  #taken = 0;
  #handing = false;
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
    this.#waiting.push({ batch, done, handed: 0 });
    this.#handOn();
  }

  end(): void {
    this.#ending = true;
    this.#handOn();
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

  /** A loop, because a link may call back before `write` returns. */
  #handOn(): void {
    if (this.#handing) return;
    this.#handing = true;
    for (let first = this.#waiting.first; first !== undefined; first = this.#waiting.first) {
      if (this.#pendingBytes >= PIECE) break;
      this.#handPiece(first);
    }
    this.#handing = false;
    if (!this.#ending || this.#waiting.length > 0) return;
    this.#ending = false;
    this.#link.end();
  }

  #handPiece(first: Written): void {
    const { batch } = first;
    const start = first.handed;
    const end = (first.handed = Math.min(start + PIECE, batch.length));
    if (end === batch.length) this.#waiting.shift();
    this.#pendingBytes += end - start;
    if (this.#pending++ === 0) this.#idle.active();
    this.#link.write(start === 0 && end === batch.length ? batch : batch.subarray(start, end), (error) => {
      this.#pendingBytes -= end - start;
      this.#pending--;
      this.#taken++;
      this.#idle.active();
      if (error && end < batch.length) this.#waiting.shift(); // its rest: no other piece of it is under way
      if (error || end === batch.length) first.done(error);
      this.#handOn();
    });
  }

  /** Time is over; but what the kernel has taken may not have been told yet. */
  #suspect(): void {
    if (this.#pending === 0) return;
    const taken = this.#taken;
    TurnEnd.yield(() => {
      if (this.#pending > 0 && this.#taken === taken) this.#stalled();
    });
  }
}
