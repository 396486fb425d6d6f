import { Subscription, timer, type SchedulerLike } from 'rxjs';
import { clock } from '../clock.js';
import { TurnEnd } from '../turn.js';

/** The peer as one hears it; times by the clock, in ms. */
export interface Audible {
  /** When the last byte came. */
  heardAt(): number;
  /** Since when somebody wants to hear; `Infinity` if nobody does. */
  wantedSince(): number;
}

/**
 * Tells, once, when a peer was silent for so many ms while somebody wanted to hear it. Unsubscribing stops it.
 *
 *     wanted    ░░░██████████████████░░░░██████████████
 *     heard       ·   ·  ·      |─────── limit ──| ✗     silence begins with the last byte, and anew with demand
 *
 * After an event loop that was blocked the time may be over though bytes wait in the kernel: so they are read first, and then it is judged (on Node
 * 20 Node's own timeout was wrong in six of six cases).
 */
export function watchSilence(
  limit: number,
  peer: Audible,
  silent: () => void,
  scheduler: SchedulerLike | undefined,
): Subscription {
  const watch = new Subscription();
  const left = (): number => Math.max(peer.heardAt(), peer.wantedSince()) + limit - clock.now();
  const wait = (ms: number): void => {
    watch.add(
      timer(Math.min(ms, limit), scheduler).subscribe(() => {
        if (left() > 0) wait(left());
        else TurnEnd.yield(judge);
      }),
    );
  };
  const judge = (): void => {
    if (watch.closed) return;
    if (left() > 0) return wait(left());
    watch.unsubscribe();
    silent();
  };
  wait(limit);
  return watch;
}
