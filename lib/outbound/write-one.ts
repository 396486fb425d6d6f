import { given, integer } from '../check.js';
import type { TcpError } from '../errors.js';
import { onAbort } from '../on-abort.js';
import { quiet } from '../quiet.js';
import { resolveSignal } from '../resolve-config.js';
import type { FrameTerms } from './queued-frame.js';

/** Options of one message. */
export interface WriteOptions {
  /** Its abort withdraws the message, unless it is in flight just then. */
  readonly signal?: AbortSignal;
  /** Instead of the socket's `retryLimit`, for this message. */
  readonly retryLimit?: number;
}

/** Where one message goes. */
export interface Taking<Out> {
  /** Whether it takes nothing more. */
  readonly closed: boolean;
  /** Takes a message, and answers its place; or refuses it, and settles it. */
  offer(message: Out, terms: FrameTerms): number;
  /** Takes back the message with this place. */
  withdraw(place: number, cause: unknown): void;
  /** Refuses a message unseen, for this reason. */
  turnAway(message: Out, cause: unknown, terms: FrameTerms): void;
}

/** Queues one message and tells its outcome; `socketRetryLimit` is for a message without its own. */
export function writeOne<Out>(
  outlet: Taking<Out>,
  message: Out,
  options: WriteOptions,
  socketRetryLimit: number,
): Promise<void> {
  const taken = given('write', options, ['signal', 'retryLimit']);
  const retryLimit = integer('retryLimit', taken.retryLimit, socketRetryLimit, 0, Infinity);
  const signal = resolveSignal(taken.signal);
  return quiet(
    new Promise((resolve, reject) => {
      let over = false;
      let forget: (() => void) | undefined;
      const settled = (error?: TcpError): void => {
        over = true;
        forget?.();
        if (error === undefined) resolve();
        else reject(error);
      };
      const terms = { settled, retryLimit };
      if (signal?.aborted === true && !outlet.closed) return outlet.turnAway(message, signal.reason, terms);
      const place = outlet.offer(message, terms);
      if (signal !== undefined && !over) forget = onAbort(signal, () => outlet.withdraw(place, signal.reason));
    }),
  );
}
