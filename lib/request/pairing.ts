import type { Asked } from './asked.js';

/** A frame that is no reply which anybody waits for, and why. */
export type Nobodys = 'unsolicited' | 'stale' | 'late' | 'duplicate' | 'unknown';

/** How a flight ends: with the last reply, with replies that may still come, or with none that could. */
export type Landing = 'answered' | 'unanswered' | 'unsent';

/** How replies find their requests: what tells `pipelined` and `correlated` apart. */
export interface Pairing<In, Out, Message> {
  /** Whether one frame that nobody understands makes the pairing of all that follow worthless. */
  readonly fragile: boolean;
  /** Requests whose replies may still come. */
  readonly size: number;
  /** All of them, in the order in which they were handed over. */
  all(): Asked<In, Message>[];
  /** Makes what is written for a request that is handed over next; may throw. */
  depart(request: Asked<In, Message>): Out;
  /** It has its place in the queue, behind all that were there. */
  flew?(request: Asked<In, Message>): void;
  /**
   * Whose reply a frame is; may throw. `stale` frames are of a connection that is lost, and frames up to the place `handed` were handed to a link:
   * the peer cannot answer what it has not got.
   */
  whose(frame: In, stale: boolean, handed: number): Asked<In, Message> | Nobodys;
  /** Nobody waits any more for the replies of one that was handed over. Answers whether its place must be kept for them. */
  abandon(request: Asked<In, Message>): boolean;
  /** It is not aloft from now on. */
  landed(request: Asked<In, Message>, how: Landing): void;
  /** The connection is lost, and what is still aloft belongs to the next one. */
  renew?(): void;
}
