import type { Codec } from '../codec/codec.js';
import type { WriteLimits } from '../config.js';
import type { Link } from '../connection/link.js';
import { ClosedError, FrameError, OverflowError, type ErrorContext } from '../errors.js';
import type { Tally } from '../monitor/tally.js';
import { DirectWrites } from '../outbound/direct-writes.js';
import { asFrameError, encodeMessage } from '../outbound/encode.js';
import { quiet } from '../quiet.js';

/** What the street past the queue needs of its connection. */
export interface DirectParts<Out> {
  readonly live: {
    readonly config: { readonly codec: Pick<Codec<unknown, Out>, 'encode'>; readonly writeBuffer: WriteLimits };
    /** A message of the heartbeat could not be made. */
    readonly report?: (error: FrameError) => void;
  };
  readonly tally: Tally;
  /** Where messages go just now. */
  readonly link: () => Link;
  readonly where: () => ErrorContext;
  /** Whether nothing more may be written: who encodes may have ended the connection. */
  readonly ended: () => boolean;
  /** A write failed: the link is of no use. */
  readonly failed: (error: Error) => void;
}

/** The way of messages past the queue: at once, whole, never again; those of a user, and those of the heartbeat. */
export class DirectStreet<Out> {
  readonly #parts: DirectParts<Out>;
  readonly #writes = new DirectWrites();
  #last: Promise<void> = Promise.resolve();

  constructor(parts: DirectParts<Out>) {
    this.#parts = parts;
  }

  /** Messages without an outcome. */
  get unconfirmed(): number {
    return this.#writes.pending.frames;
  }

  /** Resolves once everything that was written so far has its outcome. */
  get settled(): Promise<void> {
    return this.#last.catch(() => undefined);
  }

  /** Writes one message; rejects if it cannot be encoded, or there is no room, or with what ended the connection. */
  write(message: Out): Promise<void> {
    const { live, where, ended } = this.#parts;
    try {
      const bytes = encodeMessage(live.config.codec, message);
      if (ended()) throw new ClosedError(where());
      if (!this.#writes.hasRoom(bytes.length, live.config.writeBuffer))
        throw new OverflowError('unsent', where(), message);
      return (this.#last = this.#write(bytes));
    } catch (error) {
      return quiet(Promise.reject(error instanceof FrameError ? error.at(where()) : (error as Error)));
    }
  }

  /** Writes a message of the heartbeat, if it has any, unless something before it is not written yet: then another would not be either. */
  beat(message: (() => Out) | undefined): void {
    if (message === undefined || this.unconfirmed > 0) return;
    const { live, where, ended } = this.#parts;
    try {
      const bytes = encodeMessage(live.config.codec, message());
      if (!ended()) void this.#write(bytes);
    } catch (error) {
      live.report?.(asFrameError(error, 'the message of the heartbeat threw').at(where()));
    }
  }

  /** The link is over: whatever has no outcome is rejected with this error. */
  fail(error: Error): void {
    this.#writes.fail(error);
  }

  #write(bytes: Uint8Array): Promise<void> {
    const { link, tally, failed } = this.#parts;
    const done = (written: number, error: Error | null | undefined): void =>
      error ? failed(error) : tally.wroteDirectly(written);
    return quiet(this.#writes.write(link(), bytes, done));
  }
}
