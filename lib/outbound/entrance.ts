import { Subject } from 'rxjs';

/** What hears of everything that goes into an entrance, each call once. */
export interface Receiving<T> {
  next(value: T): void;
  error(error: unknown): void;
  complete(): void;
}

/**
 * A Subject that hands what it is given straight on, before its subscribers hear of it.
 *
 * A subscription of its own would do the same; but for each value RxJS then makes a closure and an iterator (on Node 20 half the time that
 * a message takes from `next()` to the kernel). Its subscribers, if there are any, are RxJS's business as ever.
 */
export function entrance<T>(to: Receiving<T>): Subject<T> {
  const subject = new Subject<T>();
  const next = subject.next.bind(subject);
  const error = subject.error.bind(subject);
  const complete = subject.complete.bind(subject);
  let ended = false;
  const end = (tell: () => void, tellOthers: () => void): void => {
    if (ended || subject.closed) return tellOthers();
    ended = true;
    tell();
    tellOthers();
  };
  return Object.assign(subject, {
    next: (value: T) => {
      if (ended) return;
      if (subject.closed) return next(value); // unsubscribed: it throws
      to.next(value);
      if (subject.observed) next(value);
    },
    error: (reason: unknown) =>
      end(
        () => to.error(reason),
        () => error(reason),
      ),
    complete: () =>
      end(
        () => to.complete(),
        () => complete(),
      ),
  });
}
