import { ourSocket, rawSocket } from '../ends.js';
import type { Bench, Workload } from '../workload.js';

const message = Buffer.alloc(64, 'x');

/** A message of 64 B and its echo, one in flight. */
export const echo: Workload = {
  name: 'echo 64 B, one in flight',
  metrics: [
    { unit: 'µs, p50', better: 'less', goals: [{ against: 'raw', bound: 1.1 }] },
    { unit: 'µs, p99', better: 'less' },
  ],
  ours: (bench) =>
    playing(bench, async (port, received) => {
      const socket = await ourSocket(port);
      socket.inbound.subscribe((chunk) => received(chunk.length));
      return { send: () => socket.outbound.next(message), end: () => socket.destroy() };
    }),
  raw: (bench) =>
    playing(bench, async (port, received) => {
      const socket = await rawSocket(port);
      socket.on('data', (chunk) => received(chunk.length));
      return { send: () => void socket.write(message), end: () => void socket.destroy() };
    }),
};

interface Player {
  send(): void;
  end(): void;
}

/** Plays until the time is up; the 50th and the 99th percentile of the round trips in microseconds. */
async function playing(
  { peer, ms }: Bench,
  open: (port: number, received: (bytes: number) => void) => Promise<Player>,
): Promise<readonly number[]> {
  const port = await peer.serve({ kind: 'echo' });
  const trips: number[] = [];
  let missing = 0;
  let sentAt = 0;
  let over: () => void;
  const done = new Promise<void>((resolve) => (over = resolve));
  const play = (): void => {
    missing = message.length;
    sentAt = performance.now();
    player.send();
  };
  const player = await open(port, (bytes) => {
    missing -= bytes;
    if (missing > 0) return;
    if (missing < 0) throw new Error('more came back than was sent');
    const now = performance.now();
    trips.push(now - sentAt);
    if (now < deadline) play();
    else over();
  });
  const deadline = performance.now() + ms;
  play();
  await done;
  player.end();
  trips.sort((a, b) => a - b);
  return [0.5, 0.99].map((share) => (trips[Math.floor(trips.length * share)] ?? NaN) * 1000);
}
