import type { Subscriber } from 'rxjs';
import type { Intake } from './intake.js';

/** One subscriber, of the whole stream or of one connection only. */
export interface Listener<In> {
  readonly subscriber: Subscriber<In>;
  readonly only: Intake<In> | undefined;
}

/** Who hears the frames. Somebody who joins or leaves while a frame is told changes nothing for that frame. */
export class Audience<In> {
  #listeners: readonly Listener<In>[] = [];
  #current: Intake<In> | undefined;
  /** Those of the listeners that hear the current connection; kept ready, because it is asked for at each frame. */
  #hearing: readonly Subscriber<In>[] = [];
  /** Where its listeners are now. */
  #heir: Audience<In> | undefined;

  /** Adds a listener; the function that it returns takes it out. */
  join(listener: Listener<In>): () => void {
    this.#listeners = [...this.#listeners, listener];
    this.listenTo(this.#current);
    return () => this.#dismiss(listener);
  }

  /** Takes over the listeners of another; from now on frames come from this connection. */
  absorb(other: Audience<In>, current: Intake<In> | undefined): void {
    other.#heir = this;
    this.#listeners = [...this.#listeners, ...other.#listeners];
    other.#listeners = other.#hearing = [];
    this.listenTo(current);
  }

  /** From now on frames come from this connection. */
  listenTo(current: Intake<In> | undefined): void {
    this.#current = current;
    this.#hearing = this.#hearersOf(current);
  }

  /** Tells a frame of the current connection. */
  hear(frame: In): void {
    const hearing = this.#hearing;
    if (hearing.length === 1) hearing[0]?.next(frame);
    else for (const subscriber of hearing) subscriber.next(frame);
  }

  /** Tells a frame of any connection, or of one that nobody knows any more. */
  hearOf(intake: Intake<In> | undefined, frame: In): void {
    for (const subscriber of this.#hearersOf(intake)) subscriber.next(frame);
  }

  /** No frame of the one connection follows; the next is that of the other. */
  passOn(over: Intake<In>, next: Intake<In> | undefined): void {
    this.listenTo(next);
    this.completeOf(over);
  }

  /** No frame of this connection follows. */
  completeOf(intake: Intake<In>): void {
    for (const { subscriber, only } of this.#listeners) if (only === intake) subscriber.complete();
  }

  /** No frame follows at all. */
  end(error: Error | undefined): void {
    const listeners = this.#listeners;
    this.#listeners = this.#hearing = [];
    this.#current = undefined;
    for (const { subscriber, only } of listeners) settle(subscriber, only === undefined ? error : undefined);
  }

  #dismiss(listener: Listener<In>): void {
    if (this.#heir !== undefined) return this.#heir.#dismiss(listener);
    this.#listeners = this.#listeners.filter((other) => other !== listener);
    this.listenTo(this.#current);
  }

  #hearersOf(intake: Intake<In> | undefined): readonly Subscriber<In>[] {
    return this.#listeners
      .filter(({ only }) => only === undefined || only === intake)
      .map(({ subscriber }) => subscriber);
  }
}

/** Ends one subscriber, with an error or well. */
export function settle<In>(subscriber: Subscriber<In>, error: Error | undefined): void {
  if (error === undefined) subscriber.complete();
  else subscriber.error(error);
}
