import { clock } from '../clock.js';
import type { ConnectionFacts } from '../errors.js';
import type { Counters } from './stats.js';

/** The account of one connection, kept beside that of the socket or server it belongs to. */
export class Tally {
  /** Whether a frame came in after one of ours was written: proof of a peer that works. */
  answered = false;
  readonly #counters: Counters;
  readonly #openedAt = clock.now();
  /** When bytes came in last, by the clock; at first when it was opened. */
  lastReadAt = this.#openedAt;
  #bytesRead = 0;
  #bytesWritten = 0;
  /** Whether bytes came in after one of ours was written; they may wait long before they are a frame that is emitted. */
  #replied = false;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** Bytes came in. */
  read(bytes: number): void {
    this.lastReadAt = clock.now();
    this.#bytesRead += bytes;
    if (this.#bytesWritten > 0) this.#replied = true;
    this.#counters.bytesRead += bytes;
  }

  /** A frame is about to be emitted. */
  decoded(): void {
    this.#counters.framesRead++;
    if (this.#replied) this.answered = true;
  }

  /** Bytes of the socket's queue were written, which the queue counts for the socket. */
  wrote(bytes: number): void {
    this.#bytesWritten += bytes;
  }

  /** One message was written past the queue. */
  wroteDirectly(bytes: number): void {
    this.#bytesWritten += bytes;
    this.#counters.bytesWritten += bytes;
    this.#counters.framesWritten++;
  }

  /** What is known of the connection at its end. */
  facts(how: Pick<ConnectionFacts, 'clean' | 'endedBy' | 'unconfirmed' | 'unread'>): ConnectionFacts {
    const now = clock.now();
    return {
      ...how,
      age: now - this.#openedAt,
      silence: now - this.lastReadAt,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#bytesWritten,
      answered: this.answered,
    };
  }
}
