/** What has become of requests so far, and of replies that nobody wanted. */
export interface RequestStats {
  /** Requests made: subscriptions of what `request()` gave. */
  readonly requests: number;
  /** Requests that got their last reply. */
  readonly answered: number;
  /** Requests that errored, those that timed out among them. */
  readonly failed: number;
  readonly timedOut: number;
  /** Requests that were unsubscribed before their last reply. */
  readonly cancelled: number;
  /** How often a request was written again, having been handed to a connection that was lost. */
  readonly resent: number;
  /** Requests in the socket's queue, or written and without their last reply, those among them that nobody waits for any more. */
  readonly inFlight: number;
  /** Requests that wait for their turn. */
  readonly waiting: number;
  /** Replies to a request that had timed out, had errored or was cancelled. */
  readonly late: number;
  /** Replies to a request that was answered already; known by id alone. */
  readonly duplicate: number;
  /** Replies with an id that is not, or no longer, known. */
  readonly unknown: number;
  /** Replies of a connection that was lost before they were read. */
  readonly stale: number;
  /** Frames that answer no request. */
  readonly unsolicited: number;
}

/** The counters behind the stats; `inFlight` and `waiting` are not counted but looked up. */
export type RequestCounters = Record<Exclude<keyof RequestStats, 'inFlight' | 'waiting'>, number>;

/** All at nothing. */
export function newCounters(): RequestCounters {
  const asked = { requests: 0, answered: 0, failed: 0, timedOut: 0, cancelled: 0, resent: 0 };
  return { ...asked, late: 0, duplicate: 0, unknown: 0, stale: 0, unsolicited: 0 };
}
