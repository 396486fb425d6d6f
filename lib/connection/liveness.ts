import { interval, Subscription, type SchedulerLike } from 'rxjs';
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
  const limitSilence = (limit: number): void => {
    watch.add(watchSilence(limit, peer, () => peer.silent(new IdleTimeoutError(limit, peer.where)), scheduler));
  };
  if (idleTimeout > 0) limitSilence(idleTimeout);
  if (heartbeat !== undefined) {
    watch.add(interval(heartbeat.interval, scheduler).subscribe(() => peer.ask()));
    limitSilence(heartbeat.interval + heartbeat.timeout);
  }
  return watch;
}
