/** Whether the broker is there. Errors once the connection to it has ended for good, so that nobody waits or takes an end for a yes. */
import type { NatsConnection } from '@nats-io/transport-node';
import { BehaviorSubject, filter, from, map, merge, switchMap, throwError, type Observable } from 'rxjs';

export function isUpOf(connection: Pick<NatsConnection, 'status' | 'closed'>): Observable<boolean> {
  const isUp = new BehaviorSubject(true);
  const changes = from(connection.status()).pipe(
    filter(({ type }) => type === 'disconnect' || type === 'reconnect'),
    map(({ type }) => type === 'reconnect'),
  );
  const end = from(connection.closed()).pipe(
    switchMap((error) => throwError(() => error ?? new Error('the connection to NATS has ended'))),
  );
  merge(changes, end).subscribe(isUp);
  return isUp;
}
