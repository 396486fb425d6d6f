import type { Link } from '../connection/link.js';
import { clock } from '../clock.js';
import { Deque } from '../deque.js';
import type { FrameError, ErrorContext } from '../errors.js';
import type { DecodeDriver } from './decode.js';
import { HeldBytes } from './held-bytes.js';

/** What a connection is told of its bytes. */
export interface IntakeEvents {
  /** A frame is about to be emitted. */
  decoded(): void;
  /** The bytes are no frames: nothing more comes of this connection. */
  failed(error: FrameError): void;
}

/** Bytes that may wait for demand: one chunk of the longest. */
const ROOM = 64 * 1024;

/**
 * What one connection brings in: the bytes that wait, and the decoder that they go to.
 *
 *     held [ bytes ] ──push──> decoder ──next──> frame
 *                              └ `fresh`: may still have a frame of its last chunk
 *
 * A link that reads into memory of its own goes on reading until 64 KiB wait, and no further; any other is paused while anything
 * does, so that one chunk waits at most. What Node held when the link died comes on top.
 */
export class Intake<In> {
  /** The connection is gone: no chunk follows. */
  over = false;
  /** No frame follows. */
  finished = false;
  /** When reading went on after a pause, by the clock. */
  resumedAt = -Infinity;
  /** The frame that the end of the connection cut off. */
  cut: FrameError | undefined;
  readonly events: IntakeEvents;
  readonly where: Pick<ErrorContext, 'endpoint' | 'epoch'>;
  #link: Link;
  readonly #makeDriver: () => DecodeDriver<In>;
  #driver: DecodeDriver<In> | undefined;
  readonly #held = new HeldBytes();
  /** Frames that were decoded, emitted and given back: they come first. */
  readonly #unread = new Deque<In>();
  /** The newest chunk, if nothing waits before it and its memory is not ours. */
  #lent: { readonly chunk: Buffer; readonly keep: () => Buffer } | undefined;
  /** Whether the decoder may refer to memory that is not ours. */
  #borrowing = false;
  #pushed = 0;
  #fresh = false;
  #paused = false;
  #onSpent: (() => void) | undefined;

  constructor(link: Link, where: Intake<In>['where'], events: IntakeEvents, makeDriver: () => DecodeDriver<In>) {
    this.#link = link;
    this.where = where;
    this.events = events;
    this.#makeDriver = makeDriver;
  }

  /** Whether bytes wait for the decoder, or frames in it: then the link may be paused, and silence is no sign. */
  get busy(): boolean {
    return this.#paused || !this.spent;
  }

  /** Whether everything that came was handed out, save part of a frame. */
  get spent(): boolean {
    return !this.#fresh && this.#held.length === 0 && this.#lent === undefined && this.#unread.length === 0;
  }

  get heldBytes(): number {
    return this.#held.length + (this.#lent?.chunk.length ?? 0) + (this.#fresh ? this.#pushed : 0);
  }

  /** Takes a chunk in: for good, or, with `keep`, until `settle` at the latest. */
  take(chunk: Buffer, keep?: () => Buffer): void {
    if (keep !== undefined && this.spent) {
      this.#lent = { chunk, keep };
      return;
    }
    this.#hold();
    this.#held.push(chunk, keep !== undefined);
  }

  /** The next frame; `undefined` when all chunks are used up. Throws a FrameError. */
  next(): In | undefined {
    if (this.#unread.length > 0) return this.#unread.shift();
    for (;;) {
      const frame = this.#fresh ? this.#driver?.next() : undefined;
      if (frame !== undefined) {
        this.events.decoded();
        return frame;
      }
      this.#fresh = false;
      if (this.spent) return undefined;
      this.#pushNext((this.#driver ??= this.#makeDriver()));
    }
  }

  /** Whatever was lent is given back: what is still needed of it is copied. And no more is read than there is room for. Returns what the decoder throws. */
  settle(): FrameError | undefined {
    this.#hold();
    try {
      if (this.#borrowing) this.#driver?.detach();
    } catch (error) {
      return error as FrameError;
    }
    this.#borrowing = false;
    if (!this.spent) this.#brake();
    return undefined;
  }

  /** No byte follows. Keeps and returns the error for a frame that was cut off. */
  finish(): FrameError | undefined {
    try {
      this.#driver?.end();
    } catch (error) {
      this.cut = (error as FrameError).at(this.where);
    }
    return this.cut;
  }

  resume(): void {
    const spent = this.#onSpent;
    this.#onSpent = undefined;
    spent?.();
    if (!this.#paused) return;
    this.#paused = false;
    this.resumedAt = clock.now();
    if (!this.over) this.#link.resume();
  }

  /** Calls it once everything that came was handed out: now, or after the last frame. */
  whenSpent(go: () => void): void {
    if (this.spent) go();
    else this.#onSpent = go;
  }

  /** Takes frames back that nobody used: they come before everything that waits, in their order. */
  put(unused: Deque<{ readonly frame: In }>): void {
    for (let item = unused.pop(); item !== undefined; item = unused.pop()) this.#unread.unshift(item.frame);
  }

  /** The connection goes on over another link, and nothing that came before counts: not a byte, not half a frame. */
  restart(link: Link): void {
    this.#link = link;
    this.#held.clear();
    this.#unread.clear();
    this.#lent = undefined;
    this.#fresh = this.#paused = false;
    this.#driver = undefined; // `#borrowing` stays: a chunk may still be lent, and a driver that is gone borrows nothing
  }

  /** Lets go of all bytes; returns how many nobody will read. */
  discard(): number {
    const bytes = this.heldBytes;
    this.#held.clear();
    this.#unread.clear();
    this.#lent = undefined;
    this.#borrowing = this.#fresh = false;
    this.#driver = undefined;
    this.finished = true;
    return bytes;
  }

  /** The chunk that is lent has to wait: it is copied. */
  #hold(): void {
    if (this.#lent !== undefined) this.#held.push(this.#lent.chunk, true);
    this.#lent = undefined;
  }

  #pushNext(driver: DecodeDriver<In>): void {
    const lent = this.#lent;
    this.#lent = undefined;
    const borrows = lent !== undefined && driver.detaches;
    if (borrows) this.#borrowing = true; // and remains so: what is pushed on top of it changes nothing
    const chunk = lent === undefined ? this.#held.shift() : borrows ? lent.chunk : lent.keep();
    if (chunk === undefined) return;
    driver.push(chunk);
    this.#pushed = chunk.length;
    this.#fresh = true;
  }

  #brake(): void {
    if (this.over) return;
    const room = ROOM - this.heldBytes;
    if (room > 0 && this.#link.limit !== undefined) return this.#link.limit(room);
    if (!this.#paused) this.#link.pause();
    this.#paused = true;
  }
}
