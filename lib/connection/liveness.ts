import { interval, Subscription, type SchedulerLike } from 'rxjs';
import { clock } from '../clock.js';
import { IdleTimeoutError, type ErrorContext } from '../errors.js';
import { watchSilence, type Audible } from './silence.js';

/** How a peer is watched, in ms; 0 and `undefined` are not at all. */
export interface LivenessConfig {
  readonly idleTimeout?: number | undefined;
  readonly heartbeat?: { readonly interval: number; readonly timeout: number } | undefined;
  readonly scheduler?: SchedulerLike | undefined;
}

/** The peer that is watched. */
export interface WatchedPeer extends Audible {
  readonly where: ErrorContext;
  /** Time for a message that asks it for a sign of life. */
  ask(): void;
  /** It was silent for too long. */
  silent(error: IdleTimeoutError): void;
}

/** Watches whether a peer is there, until unsubscribed. */
export function watchPeer({ idleTimeout = 0, heartbeat, scheduler }: LivenessConfig, peer: WatchedPeer): Subscription {
  const watch = new Subscription();
  const limitSilence = (limit: number, heard: Audible): void => {
    watch.add(watchSilence(limit, heard, () => peer.silent(new IdleTimeoutError(limit, peer.where)), scheduler));
  };
  if (idleTimeout > 0) limitSilence(idleTimeout, peer);
  if (heartbeat !== undefined) {
    const asked = new Asked(peer, heartbeat.interval);
    watch.add(interval(heartbeat.interval, scheduler).subscribe(() => asked.ask()));
    limitSilence(heartbeat.interval + heartbeat.timeout, asked);
  }
  return watch;
}

/**
 * A peer that may speak only when it is asked, so that its silence begins no sooner than one interval before it was.
 *
 *     heard ·──────── event loop blocked ────────┐ ask            without this, it would have been silent for too long
 *                                     |─interval─┴─── timeout ──| before it was asked anything
 */
class Asked implements Audible {
  readonly #peer: WatchedPeer;
  readonly #interval: number;
  /** When it was asked first since it was heard last. */
  #askedAt = -Infinity;

  constructor(peer: WatchedPeer, every: number) {
    this.#peer = peer;
    this.#interval = every;
  }

  ask(): void {
    if (this.#askedAt <= this.#peer.heardAt()) this.#askedAt = clock.now();
    this.#peer.ask();
  }

  heardAt(): number {
    return Math.max(this.#peer.heardAt(), this.#askedAt - this.#interval);
  }

  wantedSince(): number {
    return this.#peer.wantedSince();
  }
}
