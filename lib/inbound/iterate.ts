import type { Observable, Subscription } from 'rxjs';
import type { BufferLimits } from '../config.js';
import { Deque } from '../deque.js';
import type { Pausable } from './paced-map.js';
import { ReadAhead } from './read-ahead.js';

/** What is read: a stream, and how to hold it. */
export interface Iterated<In> extends Pausable {
  readonly inbound: Observable<In>;
  readonly readBuffer: BufferLimits;
}

/** A frame that was emitted and not used, with whatever tells where it came from. */
export interface Unused<In, Origin> {
  readonly frame: In;
  readonly origin: Origin;
  /** Who emitted it, if the giver has had several. */
  readonly emitter?: unknown;
}

/** Who emits the frames, and takes those back that were not used. */
export interface Giver<In, Origin> {
  /** Where the frame that is emitted just now comes from. */
  readonly origin: Origin;
  /** Who emits now. */
  readonly emitter?: unknown;
  /** Changes when nothing that was emitted before counts any more. */
  readonly era?: unknown;
  giveBack(unused: Deque<Unused<In, Origin>>): void;
}

/**
 * Reads a stream with `for await`, ahead by at most `readBuffer`, and holds the socket beyond that.
 *
 * It subscribes at the first `next()`. Leaving the loop gives back what was read ahead and ends nothing.
 */
export function iterate<In, Origin>(source: Iterated<In>, giver: Giver<In, Origin>): AsyncIterableIterator<In> {
  return new FrameIterator(source, giver);
}

interface Ahead<In, Origin> extends Unused<In, Origin> {
  readonly size: number;
  readonly era: unknown;
}

interface Asking<In> {
  resolve(result: IteratorResult<In, undefined>): void;
  reject(error: unknown): void;
}

class FrameIterator<In, Origin> implements AsyncIterableIterator<In, undefined> {
  readonly #source: Iterated<In>;
  readonly #giver: Giver<In, Origin>;
  readonly #frames = new Deque<Ahead<In, Origin>>();
  readonly #ahead: ReadAhead;
  /** Calls of `next()` that wait; there are none while there are frames. */
  readonly #asking = new Deque<Asking<In>>();
  #subscription: Subscription | undefined;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(source: Iterated<In>, giver: Giver<In, Origin>) {
    this.#source = source;
    this.#giver = giver;
    this.#ahead = new ReadAhead(() => source.pause(), source.readBuffer);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<In, undefined>> {
    this.#forgetStale();
    const ready = this.#frames.shift();
    if (ready !== undefined) {
      this.#ahead.done(ready.size);
      return Promise.resolve({ done: false, value: ready.frame });
    }
    return new Promise((resolve, reject) => {
      this.#asking.push({ resolve, reject });
      if (this.#ended) this.#answerEnd();
      else this.#subscription ??= this.#subscribe();
    });
  }

  return(): Promise<IteratorResult<In, undefined>> {
    this.#subscription?.unsubscribe();
    this.#forgetStale();
    this.#giver.giveBack(this.#frames);
    this.#frames.clear();
    this.#failure = undefined;
    this.#ahead.clear();
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  #forgetStale(): void {
    const { era } = this.#giver;
    for (let oldest = this.#frames.first; oldest !== undefined && oldest.era !== era; oldest = this.#frames.first) {
      this.#frames.shift();
      this.#ahead.done(oldest.size);
    }
  }

  #subscribe(): Subscription {
    return this.#source.inbound.subscribe({
      next: (frame) => this.#take(frame),
      error: (error: unknown) => {
        this.#failure = { error };
        this.#end();
      },
      complete: () => this.#end(),
    });
  }

  #take(frame: In): void {
    const asking = this.#asking.shift();
    if (asking !== undefined) return asking.resolve({ done: false, value: frame });
    const { origin, emitter, era } = this.#giver;
    this.#frames.push({ frame, origin, emitter, era, size: this.#ahead.came(frame) });
  }

  #end(): void {
    this.#ended = true;
    this.#answerEnd();
  }

  /** The error goes to one call, the first; every other gets the end. */
  #answerEnd(): void {
    for (let asking = this.#asking.shift(); asking !== undefined; asking = this.#asking.shift()) {
      const failure = this.#failure;
      this.#failure = undefined;
      if (failure === undefined) asking.resolve({ done: true, value: undefined });
      else asking.reject(failure.error);
    }
  }
}
