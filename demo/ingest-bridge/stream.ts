/** The stream of the demo: made, read back from its beginning, and removed. */
import { DiscardPolicy, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { nanos, type NatsConnection } from '@nats-io/transport-node';

export type Stream = Awaited<ReturnType<typeof openStream>>;

export interface Stored {
  readonly id: string;
  readonly frame: Uint8Array;
}

/** Within `window` milliseconds a message whose id came before is acknowledged, and not stored again. A full stream refuses. */
export function streamConfig(name: string, window: number) {
  const config = { name, subjects: [`${name}.*`], storage: StorageType.File, discard: DiscardPolicy.New };
  return { ...config, duplicate_window: nanos(window) };
}

export async function openStream(connection: NatsConnection, window = 120_000) {
  const name = `ingest-${process.pid}`;
  const manager = await jetstreamManager(connection);
  await manager.streams.add(streamConfig(name, window));

  /** All that is in it, in its order. */
  async function* messages(): AsyncGenerator<Stored> {
    const consumer = await manager.jetstream().consumers.get(name);
    let { num_pending: left } = await consumer.info();
    if (left === 0) return;
    for await (const { headers, data } of await consumer.consume({ max_messages: 1_000 })) {
      yield { id: headers?.get('Nats-Msg-Id') ?? '', frame: data };
      if (--left === 0) return;
    }
  }

  return { name, messages, remove: () => manager.streams.delete(name) };
}
