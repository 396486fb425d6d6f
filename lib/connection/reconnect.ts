import { AsyncSubject, defaultIfEmpty, from, map, Observable, Subscription, switchMap, take, timer } from 'rxjs';
import type { MonoTypeOperatorFunction, SchedulerLike, Subscriber } from 'rxjs';
import type { ReconnectConfig, ReconnectPolicy } from '../config.js';
import { ConnectionLostError, ReconnectLimitError, type TcpError } from '../errors.js';
import { resolveReconnect } from '../resolve-config.js';
import { backoff } from './backoff.js';
import { isRetryable } from './retryable.js';

/** What a socket adds to the operator; every member is optional. */
export interface ReconnectHooks<T> {
  /** A dial begins; `attempt` counts those since the last reset, from 1. */
  readonly dialling?: (attempt: number) => void;
  /** A dial, numbered `attempt`, will follow in `delay` ms. */
  readonly waiting?: (attempt: number, delay: number, cause: TcpError) => void;
  /** Whether this connection has proved, by an answer, that its peer works. */
  readonly answered?: (connection: T, error: TcpError) => boolean;
  /** Whether the next dial goes somewhere else, where this error says nothing. */
  readonly elsewhere?: (error: TcpError) => boolean;
  /** Cuts a wait short; while connected, it grants one dial at once after the next loss, whatever the policy. */
  readonly hurry?: Observable<unknown>;
  readonly scheduler?: SchedulerLike | undefined;
}

/**
 * Subscribes to its source again after an error, with backoff: `retryWhen` for connections.
 *
 * It resubscribes on error only; completion passes. The attempts start anew once a value has been there for `stableAfter` ms
 * without an error, or if the error is a {@link ConnectionLostError} of a connection that had answered: a server that accepts and
 * closes is not dialled in a hot loop. An error that `retryable` refuses passes on; at `maxAttempts` redials in a row, or when `delay`
 * gives up, it errors with {@link ReconnectLimitError}. Bad options throw a {@link ConfigError}. Nothing is buffered: what was
 * in the lost connection is lost here (`tcpSocket` keeps it).
 *
 * @example
 * import { connection, echoServer, reconnect } from 'rx-tcp';
 * const server = echoServer({ port: 0 });
 * const { port } = await server.listening;
 * const live = connection({ host: 'localhost', port }).pipe(reconnect({ maxAttempts: 3 }));
 * const subscription = live.subscribe(() => {
 *   console.log('connected');
 *   subscription.unsubscribe();
 *   void server.close();
 * });
 */
export function reconnect<T>(config: ReconnectConfig = {}): MonoTypeOperatorFunction<T> {
  return reconnectWith<T>(resolveReconnect(config), {
    answered: (_, error) => error instanceof ConnectionLostError && error.answered,
  });
}

/** {@link reconnect} with the hooks of a socket; a policy of `false` passes every error on, unless a dial was granted. */
export function reconnectWith<T>(
  policy: ReconnectPolicy | false,
  hooks: ReconnectHooks<T>,
): MonoTypeOperatorFunction<T> {
  return (source) => new Observable((subscriber) => new Redialler(source, policy, hooks, subscriber).start());
}

/** One subscription to the operator: the source again and again, and the waits between. */
class Redialler<T> {
  readonly #source: Observable<T>;
  readonly #policy: ReconnectPolicy | false;
  readonly #hooks: ReconnectHooks<T>;
  readonly #subscriber: Subscriber<T>;
  readonly #timers = { spacing: Subscription.EMPTY, stability: Subscription.EMPTY, wait: Subscription.EMPTY };
  /** Emits once `initialDelay` has passed since the last dial. */
  #spaced = new AsyncSubject<unknown>();
  #live: { readonly value: T; stable: boolean } | undefined;
  #granted = false;
  /** Dials since the last reset. */
  #attempt = 0;
  /** Redials in a row since the last reset. */
  #redials = 0;

  constructor(
    source: Observable<T>,
    policy: ReconnectPolicy | false,
    hooks: ReconnectHooks<T>,
    subscriber: Subscriber<T>,
  ) {
    this.#source = source;
    this.#policy = policy;
    this.#hooks = hooks;
    this.#subscriber = subscriber;
  }

  start(): void {
    this.#subscriber.add(() => {
      for (const running of Object.values(this.#timers)) running.unsubscribe();
    });
    this.#subscriber.add(this.#hooks.hurry?.subscribe(() => this.#hurry()));
    this.#dial();
  }

  #hurry(): void {
    if (!this.#timers.wait.closed) this.#redial();
    else this.#granted = this.#live !== undefined;
  }

  #redial(): void {
    this.#redials++;
    this.#dial();
  }

  #dial(): void {
    this.#timers.wait.unsubscribe();
    this.#timers.spacing.unsubscribe();
    this.#spaced = new AsyncSubject();
    if (this.#policy !== false)
      this.#timers.spacing = timer(this.#policy.initialDelay, this.#hooks.scheduler).subscribe(this.#spaced);
    this.#attempt++;
    this.#hooks.dialling?.(this.#attempt);
    if (this.#subscriber.closed) return;
    const connected = this.#source.subscribe({
      next: (value) => this.#opened(value),
      error: (error: TcpError) => this.#failed(error),
      complete: () => this.#subscriber.complete(),
    });
    this.#subscriber.add(connected);
  }

  #opened(value: T): void {
    if (this.#subscriber.closed) return; // a synchronous source goes on for a while
    const live = { value, stable: false };
    this.#live = live;
    this.#timers.stability.unsubscribe();
    if (this.#policy !== false) {
      this.#timers.stability = timer(this.#policy.stableAfter, this.#hooks.scheduler).subscribe(
        () => (live.stable = true),
      );
    }
    this.#subscriber.next(value);
  }

  #failed(error: TcpError): void {
    this.#timers.stability.unsubscribe();
    const live = this.#live;
    const granted = this.#granted;
    this.#live = undefined;
    this.#granted = false;
    if (live !== undefined && (live.stable || this.#hooks.answered?.(live.value, error) === true)) {
      this.#attempt = this.#redials = 0;
    }
    if (granted) this.#redial();
    else if (this.#policy === false) this.#subscriber.error(error);
    else this.#redialAfterWait(this.#policy, error);
  }

  /** Whatever a user's policy answers or throws, it waits, passes the error on, or gives up. */
  #redialAfterWait(policy: ReconnectPolicy, error: TcpError): void {
    try {
      const byDefault = isRetryable(error) || this.#hooks.elsewhere?.(error) === true;
      if (!(policy.retryable === undefined ? byDefault : policy.retryable(error, byDefault)))
        this.#subscriber.error(error);
      else if (this.#redials >= policy.maxAttempts) this.#giveUp(error);
      else this.#wait(policy, error);
    } catch (thrown) {
      this.#giveUp(error, thrown);
    }
  }

  #wait(policy: ReconnectPolicy, error: TcpError): void {
    const attempt = this.#attempt + 1;
    const delay = policy.delay === undefined ? backoff(policy, this.#redials + 1) : policy.initialDelay;
    const due =
      policy.delay === undefined
        ? timer(delay, this.#hooks.scheduler)
        : this.#chosen(from(policy.delay(error, attempt)));
    const wait = new Subscription();
    this.#timers.wait = wait; // open already: who hears of the wait may hurry it
    this.#hooks.waiting?.(attempt, delay, error);
    if (wait.closed || this.#subscriber.closed) {
      due.subscribe({ error: () => undefined }).unsubscribe(); // a promise that is not waited for may still reject
      return;
    }
    const dialOrNot = due.pipe(
      map(() => true),
      defaultIfEmpty(false),
    );
    wait.add(
      dialOrNot.subscribe({
        next: (dial) => (dial ? this.#redial() : this.#giveUp(error)),
        error: (thrown: unknown) => this.#giveUp(error, thrown),
      }),
    );
  }

  /** A user's choice counts from its first emission, and never sooner than `initialDelay` after the last dial. */
  #chosen(choice: Observable<unknown>): Observable<unknown> {
    return choice.pipe(
      take(1),
      switchMap(() => this.#spaced),
    );
  }

  #giveUp(last: TcpError, cause: unknown = last): void {
    const { endpoint, epoch } = Object(last) as Partial<TcpError>; // any source may error with anything
    this.#subscriber.error(new ReconnectLimitError(this.#redials, { cause, endpoint, epoch }));
  }
}
