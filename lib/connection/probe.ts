import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { interval, Subscription, type SchedulerLike } from 'rxjs';

/** How often, in ms. */
const PROBE_INTERVAL = 1_000;

const NOTHING = Buffer.alloc(0);

/**
 * Asks the kernel, until unsubscribed, whether a TCP connection that is not read from still stands.
 *
 * Who does not read does not hear of a reset either. To write nothing costs no packet, and fails if the connection was reset; then
 * the stream has its `error` (measured on Node 20 to 26). It does not reveal a FIN. A
 * TLSSocket hides it: there the socket that carries it is asked.
 */
export function probe(raw: Duplex, scheduler?: SchedulerLike): Subscription {
  if (!(raw instanceof Socket) || 'encrypted' in raw) return Subscription.EMPTY;
  return interval(PROBE_INTERVAL, scheduler).subscribe(() => {
    if (raw.writable && raw.writableLength === 0) raw.write(NOTHING);
  });
}
