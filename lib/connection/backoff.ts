import type { ReconnectPolicy } from '../config.js';

/** From the second redial in a row on, the least delay in ms: a `random` that always answers 0 must not make a hot loop. */
const FLOOR = 10;

/**
 * Milliseconds to wait before a redial, `redial` counting from 1 those in a row.
 *
 * Full jitter, the first redial included: after a server's restart all its clients would otherwise come back at once.
 * (Exponential backoff with full jitter after M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)
 * A `random` that answers something else than 0 to 1 counts as 1.
 */
export function backoff(policy: ReconnectPolicy, redial: number): number {
  const bound = Math.min(policy.maxDelay, policy.initialDelay * policy.factor ** (redial - 1));
  const answer: unknown = policy.random();
  const random = typeof answer === 'number' && answer >= 0 && answer <= 1 ? answer : 1;
  const delay = bound * (1 - policy.jitter + policy.jitter * random);
  return redial === 1 ? delay : Math.max(delay, Math.min(FLOOR, policy.initialDelay, policy.maxDelay));
}
