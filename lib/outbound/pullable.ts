import type { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { isObservable } from 'rxjs';

/** A source that is asked for one item at a time, and told when no more are wanted. */
export interface Pulled<T> {
  next(): IteratorResult<T> | Promise<IteratorResult<T>>;
  return?(): unknown;
}

/** What can be pulled: iterables, async iterables, Node Readables, ReadableStreams, sockets. An Observable, a Promise and an array-like cannot. */
export function pullable<T>(source: unknown): Pulled<T> | undefined {
  if (typeof source !== 'object' || source === null || isObservable(source)) return undefined;
  if (isReadableStream<T>(source)) return readerOf(source);
  const iterable = source as Partial<AsyncIterable<T> & Iterable<T>>;
  const iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]?.();
  if (iterator === undefined || !isReadable(source)) return iterator;
  // Its own `return` would wait for a read that is pending, perhaps for ever.
  return { next: () => iterator.next(), return: () => source.destroy() };
}

function readerOf<T>(source: ReadableStream<T>): Pulled<T> {
  const reader = source.getReader();
  return {
    next: async () => {
      const result = (await reader.read()) as IteratorResult<T>;
      if (result.done === true) reader.releaseLock();
      return result;
    },
    return: () => reader.cancel(),
  };
}

function isReadableStream<T>(source: object): source is ReadableStream<T> {
  return 'getReader' in source && typeof source.getReader === 'function';
}

/** By shape, so that streams of the `readable-stream` package count. */
function isReadable(source: object): source is Readable {
  return 'pipe' in source && 'destroy' in source && typeof source.destroy === 'function';
}
