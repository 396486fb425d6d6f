import type { Observable } from 'rxjs';
import type { TcpError } from '../errors.js';
import { Broadcast } from './broadcast.js';
import { Current } from './current.js';
import { ErrorLog } from './error-log.js';
import { InTurn } from './in-turn.js';
import { newCounters } from './stats.js';
import type { ConnectionStatus } from './status.js';

/** What a socket tells of itself, gathered: its streams emit in one order for all, replay to late subscribers, and end together. */
export class Monitor<C> {
  readonly counters = newCounters();
  readonly #turns = new InTurn();
  readonly status = new Current<ConnectionStatus>({ type: 'idle' }, this.#turns);
  readonly writable = new Current(true, this.#turns);
  readonly errors: ErrorLog;
  /** Resolves after the last word. */
  readonly ended: Promise<void>;
  #resolveEnded: () => void = () => undefined;
  readonly #connections: Broadcast<C>;
  #connection: C | undefined;

  constructor(errorBuffer: number) {
    this.errors = new ErrorLog(errorBuffer, this.#turns);
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    this.#connections = new Broadcast<C>(
      (connection) => (this.#connection = connection),
      (subscriber) => {
        if (this.#connection !== undefined) subscriber.next(this.#connection);
      },
      this.#turns,
    );
  }

  get connections(): Observable<C> {
    return this.#connections.values;
  }

  opened(connection: C): void {
    this.#connections.emit(connection);
  }

  /** The live connection is gone: a late subscriber of `connections` waits for the next. */
  lost(): void {
    this.#connection = undefined;
  }

  written(frames: number, bytes: number): void {
    this.counters.framesWritten += frames;
    this.counters.bytesWritten += bytes;
  }

  /** A message was accepted and will not be written. */
  undelivered(error: TcpError): void {
    this.counters.framesUndelivered++;
    this.errors.report(error);
  }

  /** A message was not accepted. */
  refused(error: TcpError): void {
    this.counters.framesRefused++;
    this.errors.report(error);
  }

  closing(): void {
    if (this.status.value.type !== 'closing') this.status.set({ type: 'closing' });
  }

  /** The last word: status, then every stream completes, `errors` last. */
  close(cause: TcpError | undefined): void {
    this.#connection = undefined;
    this.writable.set(false);
    this.status.set(cause === undefined ? { type: 'closed' } : { type: 'closed', cause });
    this.status.complete();
    this.#connections.complete();
    this.writable.complete();
    this.errors.complete();
    this.#turns.do(() => this.#resolveEnded());
  }
}
