/** What an observable does, kept, so that a spec can await the value it needs and look at all of them afterwards. */
import type { Observable, Subscription } from 'rxjs';

/** The values of one subscription so far, and how it ended. */
export interface Tape<T> {
  readonly values: readonly T[];
  readonly ended: 'completed' | 'errored' | undefined;
  readonly error: unknown;
  /** The value at this index once it is there; rejects if the stream ends before. */
  at(index: number): Promise<T>;
  /** The first value, past ones included, that the predicate accepts; rejects if the stream ends before. */
  first(predicate: (value: T) => boolean): Promise<T>;
  /** Resolves when the stream has ended, whichever way. */
  readonly end: Promise<void>;
  stop(): void;
}

/** Subscribes at once and records. An error of the source is recorded too, and is thrown to nobody. */
export function tape<T>(source: Observable<T>): Tape<T> {
  const values: T[] = [];
  const waiting = new Set<() => void>();
  let ended: Tape<T>['ended'];
  let failure: unknown;
  const tell = (): void => {
    for (const look of [...waiting]) look();
  };
  const finish = (how: 'completed' | 'errored', error?: unknown): void => {
    ended = how;
    failure = error;
    tell();
  };
  const subscription: Subscription = source.subscribe({
    next: (value) => {
      values.push(value);
      tell();
    },
    error: (error: unknown) => finish('errored', error),
    complete: () => finish('completed'),
  });
  const when = <R>(found: () => { readonly it: R } | undefined): Promise<R> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const result = found();
        if (result !== undefined) resolve(result.it);
        else if (ended !== undefined) reject(new Error(`the stream ${ended} after ${String(values.length)} values`));
        else return void waiting.add(look);
        waiting.delete(look);
      };
      look();
    });
  return {
    values,
    get ended() {
      return ended;
    },
    get error() {
      return failure;
    },
    at: (index) => when(() => (values.length > index ? { it: values[index] as T } : undefined)),
    first: (predicate) =>
      when(() => {
        const at = values.findIndex((value) => predicate(value));
        return at < 0 ? undefined : { it: values[at] as T };
      }),
    get end() {
      return when(() => (ended === undefined ? undefined : { it: undefined }));
    },
    stop: () => subscription.unsubscribe(),
  };
}
