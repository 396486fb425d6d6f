import { setTimeout as sleep } from 'node:timers/promises';
import { timer } from 'rxjs';
import { pacedMap } from '../../lib/index.js';
import { ourDialling, rawDialling } from '../ends.js';
import type { Bench, Workload } from '../workload.js';

const MIB = 1024 ** 2;
const LASTS = 2000;

/** A source of 64 MiB that would send it at once, and a consumer that takes 1 MiB a second: how far memory grows in 2 s. */
export const slowConsumer: Workload = {
  name: 'slow consumer, 1 MiB/s of 64 MiB',
  fresh: true,
  metrics: [
    { unit: 'MiB more alive', better: 'less', goals: [{ bound: 8 }] },
    { unit: 'MiB more resident', better: 'less', goals: [{ bound: 8 }] },
  ],
  ours: (bench) =>
    growth(bench, (port, took) => {
      const socket = ourDialling(port);
      const consume = pacedMap<Buffer, number>(socket, (chunk) => {
        took(chunk.length);
        return timer((chunk.length / MIB) * 1000);
      });
      socket.inbound.pipe(consume).subscribe();
      return () => socket.destroy();
    }),
  raw: (bench) =>
    growth(bench, (port, took) => {
      const socket = rawDialling(port);
      socket.on('data', (chunk) => {
        took(chunk.length);
        socket.pause();
        setTimeout(() => socket.resume(), (chunk.length / MIB) * 1000);
      });
      return () => void socket.destroy();
    }),
};

async function growth(
  { peer, amount }: Bench,
  open: (port: number, took: (bytes: number) => void) => () => void,
): Promise<readonly number[]> {
  const unit = Buffer.alloc(MIB / 4, 'x').toString('base64');
  const port = await peer.serve({ kind: 'source', unit, repeat: 256 });
  const before = process.memoryUsage();
  let [alive, resident, bytes] = [0, 0, 0];
  const close = open(port, (more) => (bytes += more));
  const start = performance.now();
  while (bytes === 0 || performance.now() - start < amount(LASTS)) {
    await sleep(20);
    const { heapUsed, external, rss } = process.memoryUsage();
    alive = Math.max(alive, heapUsed + external - before.heapUsed - before.external);
    resident = Math.max(resident, rss - before.rss);
  }
  close();
  if (bytes > MIB * (1 + (performance.now() - start) / 1000)) {
    throw new Error(`the consumer took ${String(bytes)} bytes, which is not its pace`);
  }
  return [alive / MIB, resident / MIB];
}
