import { from, Observable, takeWhile } from 'rxjs';
import type { ObservableInput, OperatorFunction, Subscriber } from 'rxjs';
import { integer, required } from '../check.js';
import type { BufferLimits } from '../config.js';
import { Deque } from '../deque.js';
import { resolveReadBuffer } from '../resolve-config.js';
import { ReadAhead } from './read-ahead.js';

/** What `pacedMap` holds: a TcpSocket or a Connection, or anything else that pauses and releases. */
export interface Pausable {
  /** Takes a hold; the returned function releases it. */
  pause(): () => void;
  /**
   * What may be pending before it holds: a number of values, or values and bytes; a TcpSocket and a Connection bring their own.
   * @default { frames: 100, bytes: 1_048_576 }
   */
  readonly readBuffer?: number | { readonly frames?: number; readonly bytes?: number };
}

/**
 * Maps frames to asynchronous work, at most `concurrency` at a time, and holds the socket while too much of it is pending.
 *
 * It counts the values that reached it and are not finished, and their bytes: at either bound of `readBuffer` it takes a hold, at half of
 * both it releases it, so that memory stays bounded and the peer is slowed down. A string counts its length; of what is neither a string
 * nor bytes it knows no size, and counts it as one value. Put only synchronous operators (map, filter, scan) before it: what `delay`,
 * `observeOn`, `concatMap` or `bufferTime` queue is counted by nobody. Results come in the order of completion. An error of `project` errors
 * the result; the socket lives on. Unsubscribing, error and completion release the hold, and drop what is pending. `project` must not wait for a
 * reply on its own socket: a hold stops replies too. Throws a {@link ConfigError} if `concurrency` is no whole number from 1.
 *
 * @example
 * import { echoServer, lines, pacedMap, tcpSocket } from 'rx-tcp';
 * const server = echoServer({ port: 0 });
 * const { port } = await server.listening;
 * const socket = tcpSocket({ host: 'localhost', port, codec: lines() });
 * const store = async (line: string) => line.toUpperCase();
 * socket.inbound.pipe(pacedMap(socket, store)).subscribe((stored) => {
 *   console.log(stored); // HELLO
 *   void socket.end();
 *   void server.close();
 * });
 * socket.outbound.next('hello');
 */
export function pacedMap<T, R>(
  pausable: Pausable,
  project: (value: T, index: number) => ObservableInput<R>,
  concurrency = 1,
): OperatorFunction<T, R> {
  required('pausable.pause', Reflect.get(Object(pausable) as object, 'pause'));
  required('project', project);
  const parallel = integer('concurrency', concurrency, 1, 1, Infinity);
  const limits = resolveReadBuffer(pausable.readBuffer);
  return (source) =>
    new Observable((subscriber) => {
      const work = new PacedWork({ pausable, project, parallel, limits }, subscriber);
      subscriber.add(() => work.stop());
      subscriber.add(
        source.pipe(takeWhile(() => !subscriber.closed)).subscribe({
          next: (value) => work.add(value),
          error: (error: unknown) => subscriber.error(error),
          complete: () => work.complete(),
        }),
      );
    });
}

interface Pace<T, R> {
  readonly pausable: Pausable;
  readonly project: (value: T, index: number) => ObservableInput<R>;
  readonly parallel: number;
  readonly limits: BufferLimits;
}

interface Waiting<T> {
  readonly value: T;
  readonly size: number;
}

/** The values of one subscription that are not finished: some run, the rest wait. */
class PacedWork<T, R> {
  readonly #pace: Pace<T, R>;
  readonly #subscriber: Subscriber<R>;
  readonly #waiting = new Deque<Waiting<T>>();
  /** Those that run, too. */
  readonly #ahead: ReadAhead;
  #running = 0;
  #index = 0;
  #completed = false;
  #starting = false;

  constructor(pace: Pace<T, R>, subscriber: Subscriber<R>) {
    this.#pace = pace;
    this.#subscriber = subscriber;
    this.#ahead = new ReadAhead(() => pace.pausable.pause(), pace.limits);
  }

  add(value: T): void {
    try {
      this.#waiting.push({ value, size: this.#ahead.came(value) });
    } catch (error) {
      this.#subscriber.error(error);
    }
    this.#start();
  }

  complete(): void {
    this.#completed = true;
    this.#start();
  }

  stop(): void {
    this.#waiting.clear();
    this.#ahead.clear();
  }

  /** A loop, not recursion: work that finishes synchronously must not grow the stack. */
  #start(): void {
    if (this.#starting) return;
    this.#starting = true;
    while (this.#running < this.#pace.parallel && this.#waiting.length > 0)
      this.#run(this.#waiting.shift() as Waiting<T>);
    this.#starting = false;
    if (this.#completed && this.#running === 0 && this.#waiting.length === 0) this.#subscriber.complete();
  }

  #run({ value, size }: Waiting<T>): void {
    this.#running++;
    try {
      const work = from(this.#pace.project(value, this.#index++));
      this.#subscriber.add(
        work.subscribe({
          next: (result) => this.#subscriber.next(result),
          error: (error: unknown) => this.#subscriber.error(error),
          complete: () => this.#finished(size),
        }),
      );
    } catch (error) {
      this.#subscriber.error(error);
    }
  }

  #finished(size: number): void {
    this.#running--;
    this.#ahead.done(size);
    this.#start();
  }
}
