/** Six sources and two bridges to a stream of NATS JetStream; one bridge is killed, and nothing is lost. */
import { connect } from '@nats-io/transport-node';
import { filter, firstValueFrom, lastValueFrom, map, merge, sampleTime, share } from 'rxjs';
import { openFleet } from './ingest-bridge/fleet.js';
import { openSource } from './ingest-bridge/source.js';
import { openStream, type Stream } from './ingest-bridge/stream.js';

const [SOURCES, FRAMES] = [6, 5_000];
const TOTAL = SOURCES * FRAMES;
const NATS = process.env.RX_TCP_NATS ?? '127.0.0.1:4222';

export async function run(print: (line: string) => void = console.log, servers = NATS): Promise<void> {
  const connection = await connect({ servers, timeout: 5_000, reconnect: false }).catch(String);
  const stream = typeof connection === 'string' ? connection : await openStream(connection).catch(String);
  if (typeof stream === 'string') {
    print(`This needs a NATS server with JetStream at ${servers}: ${stream}`);
    print('To start one:         nats-server -js');
    print('If it is elsewhere:   RX_TCP_NATS=host:port npm run demo -- ingest-bridge');
    process.exitCode = 1;
  } else {
    await show(stream, servers, print).finally(() => stream.remove());
  }
  if (typeof connection !== 'string') await connection.close();
}

async function show(stream: Stream, servers: string, print: (line: string) => void): Promise<void> {
  const bodyOf = (number: number): Buffer => Buffer.alloc(100, number);
  const opened = Array.from({ length: SOURCES }, () => openSource({ frames: FRAMES, bodyOf }));
  const ports = await Promise.all(opened.map(async ({ server }) => (await server.listening).port));
  const sources = ports.map((port, i) => ({ name: `source-${i}`, host: '127.0.0.1', port }));
  const stored = merge(...opened.map(({ acknowledged }) => acknowledged)).pipe(
    map(() => opened.reduce((sum, { counts }) => sum + counts.acknowledged, 0)),
    share(),
  );
  stored.pipe(sampleTime(250)).subscribe((sum) => print(`  ${sum} of ${TOTAL} frames are in the stream`));
  const all = lastValueFrom(stored);

  const [first, second] = openFleet(2, { servers, stream: stream.name, sources });
  await firstValueFrom(stored.pipe(filter((sum) => sum > TOTAL / 3)));
  await first?.kill('SIGKILL');
  print('-- one of the two bridges is killed; the other one stands in for it');
  await all;
  await second?.kill('SIGTERM');

  const again = opened.reduce((sum, { counts }) => sum + counts.again, 0);
  print(`all are acknowledged; ${again} were not when the bridge was killed, and were given again`);
  const ids: string[] = [];
  for await (const { id } of stream.messages()) ids.push(id);
  print(`the stream has ${ids.length} messages, ${new Set(ids).size} different ones`);
  await Promise.all(opened.map(({ server }) => server.close()));
}
