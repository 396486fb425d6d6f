import type { Link } from '../connection/link.js';
import type { FrameError, ErrorContext } from '../errors.js';
import type { DecodeDriver } from './decode.js';

/** What a connection is told of its bytes. */
export interface IntakeEvents {
  /** A frame is about to be emitted. */
  decoded(): void;
  /** The bytes are no frames: nothing more comes of this connection. */
  failed(error: FrameError): void;
}

/**
 * What one connection brings in: the chunks that wait, and the decoder that they go to.
 *
 *     held [ chunk chunk ] ──push──> decoder ──next──> frame
 *                                    └ `fresh`: may still have a frame of its last chunk
 *
 * While anything is held or fresh the link is paused, so that there is one chunk at most, beside what Node held when the link died.
 */
export class Intake<In> {
  /** The connection is gone: no chunk follows. */
  over = false;
  /** No frame follows. */
  finished = false;
  /** The frame that the end of the connection cut off. */
  cut: FrameError | undefined;
  readonly events: IntakeEvents;
  readonly where: Pick<ErrorContext, 'endpoint' | 'epoch'>;
  readonly #link: Link;
  readonly #makeDriver: () => DecodeDriver<In>;
  #driver: DecodeDriver<In> | undefined;
  #held: Buffer[] = [];
  #pushed = 0;
  #fresh = false;
  #paused = false;

  constructor(link: Link, where: Intake<In>['where'], events: IntakeEvents, makeDriver: () => DecodeDriver<In>) {
    this.#link = link;
    this.where = where;
    this.events = events;
    this.#makeDriver = makeDriver;
  }

  /** Whether everything that came was handed out, save part of a frame. */
  get spent(): boolean {
    return !this.#fresh && this.#held.length === 0;
  }

  get heldBytes(): number {
    return this.#held.reduce((sum, chunk) => sum + chunk.length, this.#fresh ? this.#pushed : 0);
  }

  take(chunk: Buffer): void {
    this.#held.push(chunk);
  }

  /** The next frame; `undefined` when all chunks are used up. Throws a FrameError. */
  next(): In | undefined {
    for (;;) {
      const frame = this.#fresh ? this.#driver?.next() : undefined;
      if (frame !== undefined) return frame;
      this.#fresh = false;
      const chunk = this.#held.shift();
      if (chunk === undefined) return undefined;
      this.#driver ??= this.#makeDriver();
      this.#driver.push(chunk);
      this.#pushed = chunk.length;
      this.#fresh = true;
    }
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

  pause(): void {
    if (!this.#paused && !this.over) this.#link.pause();
    this.#paused = true;
  }

  resume(): void {
    if (this.#paused && !this.over) this.#link.resume();
    this.#paused = false;
  }

  /** Lets go of all bytes; returns how many nobody will read. */
  discard(): number {
    const bytes = this.heldBytes;
    this.#held = [];
    this.#fresh = false;
    this.#driver = undefined;
    this.finished = true;
    return bytes;
  }
}
