import { from, takeWhile, type Observable, type ObservableInput } from 'rxjs';
import { ConfigError } from '../errors.js';
import type { Outlet } from './outlet.js';
import { pullable, type Pulled } from './pullable.js';

/**
 * Writes everything that a source gives: one that can be pulled is asked for an item when there is room, so that nothing overflows; an
 * Observable's values meet the overflow policy.
 *
 * Resolves when the source has ended and all its messages are written. Rejects with the first refusal or loss of one of them, with an error of the source,
 * or when the outlet closes; the source is then closed. A string or bytes are refused as a source: each would be one message per character.
 */
export function writeAll<Out>(outlet: Outlet<Out>, source: ObservableInput<Out>): Promise<void> {
  return new Promise((resolve, reject) => {
    if (typeof source === 'string' || ArrayBuffer.isView(source)) {
      const came = typeof source === 'string' ? 'a string' : 'bytes'; // which may be secret
      reject(new ConfigError(`\`source\` must be ${SOURCES}, got ${came}`));
      return;
    }
    const transfer = new Transfer(outlet, resolve, reject);
    try {
      const iterator = pullable<Out>(source);
      if (iterator !== undefined) transfer.pull(iterator);
      else transfer.push(source);
    } catch (error) {
      transfer.fail(error);
    }
  });
}

class Transfer<Out> {
  readonly #outlet: Outlet<Out>;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  #forget: () => void = () => undefined;
  #closeSource: () => void = () => undefined;
  #unsettled = 0;
  /** The item that waits for room. */
  #waiting: { readonly message: Out } | undefined;
  #ended = false;
  #over = false;
  #failure: unknown;

  constructor(outlet: Outlet<Out>, resolve: () => void, reject: (error: unknown) => void) {
    this.#outlet = outlet;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#forget = outlet.whenClosed((error) => {
      if (!this.#ended) this.fail(error);
    });
  }

  push(source: ObservableInput<Out>): void {
    if (this.#over) return;
    // A source that emits while it is being subscribed to is stopped by its own completion.
    const wanted = observableOf(source).pipe(takeWhile(() => !this.#over));
    const subscription = wanted.subscribe({
      next: (message) => {
        this.#unsettled++;
        this.#outlet.offer(message, this.#terms);
      },
      error: (error: unknown) => this.fail(error),
      complete: () => this.#end(),
    });
    this.#closeSource = () => subscription.unsubscribe();
    if (this.#over) subscription.unsubscribe();
  }

  pull(iterator: Pulled<Out>): void {
    this.#closeSource = () => {
      void Promise.resolve(iterator.return?.()).catch(() => undefined); // what it says to being closed changes nothing
    };
    if (this.#over) return this.#closeSource();
    this.#pullNext(iterator);
  }

  /** Stops with the first thing that went wrong. */
  fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#failure = error;
    this.#forget();
    // Taken from the source and not queued: told, for the source has it no more.
    if (this.#waiting !== undefined) this.#outlet.turnAway(this.#waiting.message, error);
    this.#reject(error);
    if (this.#ended) return;
    try {
      this.#closeSource();
    } catch {
      // The transfer has failed already; what the source says to being closed changes nothing.
    }
  }

  /** A loop while items and room are there at once, a callback when either must be waited for. */
  #pullNext(iterator: Pulled<Out>): void {
    try {
      while (!this.#over) {
        const step = iterator.next();
        if ('then' in step) {
          step
            .then((result) => {
              if (this.#over) this.#tooLate(result);
              else if (this.#take(iterator, result)) this.#pullNext(iterator);
            })
            .catch((error: unknown) => this.#sourceFailed(error));
          return;
        }
        if (!this.#take(iterator, step)) return;
      }
    } catch (error) {
      this.#sourceFailed(error);
    }
  }

  /** Queues an item, now or when there is room. True if the next one may be pulled at once. */
  #take(iterator: Pulled<Out>, result: IteratorResult<Out>): boolean {
    if (result.done === true) {
      this.#end();
      return false;
    }
    const message = result.value;
    this.#unsettled++;
    this.#outlet.offer(message, this.#terms, (bytes) => {
      let waited = false;
      this.#waiting = { message };
      this.#outlet.whenRoom(bytes.length, () => {
        if (this.#over) return;
        this.#waiting = undefined;
        this.#outlet.enqueue(message, bytes, this.#terms);
        if (waited) this.#pullNext(iterator);
      });
      waited = true;
    });
    return this.#waiting === undefined && !this.#over;
  }

  /** It was asked for before the end. */
  #tooLate(result: IteratorResult<Out>): void {
    if (result.done !== true) this.#outlet.turnAway(result.value, this.#failure);
  }

  #sourceFailed(error: unknown): void {
    this.#ended = true; // a source that threw is closed already
    this.fail(error);
  }

  #end(): void {
    this.#ended = true;
    this.#forget();
    this.#finishIfDone();
  }

  /** The same for all its messages. */
  readonly #terms = {
    retryLimit: undefined,
    settled: (error?: unknown): void => {
      this.#unsettled--;
      if (error !== undefined) this.fail(error);
      else this.#finishIfDone();
    },
  };

  #finishIfDone(): void {
    if (this.#over || !this.#ended || this.#unsettled > 0) return;
    this.#over = true;
    this.#resolve();
  }
}

function observableOf<Out>(source: ObservableInput<Out>): Observable<Out> {
  try {
    return from(source);
  } catch (cause) {
    throw new ConfigError(`\`source\` must be ${SOURCES}, got ${typeof source}`, { cause });
  }
}

const SOURCES = 'a source of messages, such as an iterable, a stream or an Observable';
