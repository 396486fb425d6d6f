/** Publishes to JetStream until it is acknowledged, however often the broker goes away meanwhile. */
import { jetstream, type JetStreamClient, type PubAck } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { defer, NEVER, retry, switchMap, take, timer, type Observable } from 'rxjs';
import { isUpOf } from './is-up.js';

export interface Publisher {
  /** Emits the acknowledgement, or errors when the connection has ended: it never completes without. The same message has the same `id` whenever it is published. */
  readonly publish: (subject: string, id: string, message: Buffer) => Observable<PubAck>;
  readonly counts: { taken: number; acknowledged: number; duplicates: number; failed: number };
  readonly connection: NatsConnection;
}

export async function openPublisher(servers: string): Promise<Publisher> {
  const forEver = { waitOnFirstConnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 250, pingInterval: 5_000 };
  const connection = await connect({ servers, noAsyncTraces: true, ...forEver });
  return { ...publisherOver(connection, jetstream(connection)), connection };
}

/** The same over a connection that is open. */
export function publisherOver(
  connection: Pick<NatsConnection, 'status' | 'closed'>,
  stream: Pick<JetStreamClient, 'publish'>,
): Omit<Publisher, 'connection'> {
  const counts = { taken: 0, acknowledged: 0, duplicates: 0, failed: 0 };
  const isUp = isUpOf(connection);

  const once = async (subject: string, msgID: string, message: Buffer): Promise<PubAck> => {
    const ack = await stream.publish(subject, message, { msgID, timeout: 30_000 });
    counts.acknowledged++;
    if (ack.duplicate) counts.duplicates++;
    return ack;
  };
  // While the broker is away nothing is given to its client, which would queue it.
  const publish = (subject: string, id: string, message: Buffer): Observable<PubAck> => {
    counts.taken++;
    const untilStored = defer(() => once(subject, id, message)).pipe(
      retry({ delay: () => timer((counts.failed++, 250)) }),
    );
    return isUp.pipe(
      switchMap((up) => (up ? untilStored : NEVER)),
      take(1),
    );
  };
  return { publish, counts };
}
