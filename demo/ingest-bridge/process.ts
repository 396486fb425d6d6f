/** One bridge as a process: `node process.js '{"servers":"127.0.0.1:4222","stream":"ingest","place":0,"of":2,"sources":[…]}'` */
import { interval } from 'rxjs';
import { openBridge, type BridgeConfig } from './bridge.js';
import { numberOf } from './wire.js';
import { openPublisher } from './publisher.js';

export interface BridgeOptions extends Omit<BridgeConfig, 'publish'> {
  readonly servers: string;
  readonly stream: string;
}

/** What it tells whoever started it, five times a second. */
export interface Report {
  /** Frames given to the stream, and those of them that are in it. */
  readonly taken: number;
  readonly acknowledged: number;
  /** Of these, what the stream had already; and publications that failed, each tried again. */
  readonly duplicates: number;
  readonly failed: number;
  /** Bytes of memory, resident. */
  readonly rss: number;
}

const { servers, stream, ...options } = JSON.parse(process.argv[2] ?? '{}') as BridgeOptions;
const { publish, counts, connection } = await openPublisher(servers);
const sockets = openBridge({
  ...options,
  publish: (name, frame) => publish(`${stream}.${name}`, `${name}:${numberOf(frame)}`, frame),
});

const reports = interval(200).subscribe(() => {
  process.send?.({ ...counts, rss: process.memoryUsage.rss() } satisfies Report);
});

let isEnding = false;
async function end(): Promise<void> {
  isEnding = true;
  reports.unsubscribe();
  await Promise.all(sockets.map((socket) => socket.end()));
  await connection.close();
  if (process.connected) process.disconnect();
}
process.once('SIGTERM', () => void end());
process.once('disconnect', () => process.exit());
// Without the broker for good, as after a refused login, it is of no use: the others take its sources over.
void connection.closed().then((error) => {
  if (error instanceof Error || !isEnding) process.exit(1);
});
