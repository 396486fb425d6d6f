import type { Fate } from '../errors.js';

/** What happens to a frame whose connection was lost before confirming it. */
export type Verdict = 'again' | 'give-up';

/** A frame may be written again while it was handed to no more connections than `limit` allows; `attempts` are those that were lost with it. */
export function afterLoss(attempts: number, limit: number): Verdict {
  return attempts <= limit ? 'again' : 'give-up';
}

/** What can be said of a frame that will not be written: only one that was never handed to a link is surely not at the peer. */
export function fateOf(attempts: number): Fate {
  return attempts > 0 ? 'unknown' : 'unsent';
}
