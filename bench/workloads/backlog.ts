import { firstValueFrom, Subject } from 'rxjs';
import { filter } from 'rxjs/operators';
import { opened, ourDialling, rawSocket } from '../ends.js';
import { cleanUp } from '../memory.js';
import { verify, type Bench, type Workload } from '../workload.js';

const FRAMES = 1_000_000;
const message = Buffer.alloc(64, 'x');

/** Frames queued in an outage and flushed after it: five times as many take five times as long. */
export const backlog: Workload = {
  name: 'backlog of 1 M frames, flushed',
  metrics: [{ unit: 'frames/s' }, { unit: 'times the time of 200 k', better: 'less', goals: [{ bound: 5.5 }] }],
  ours: (bench) => twice(bench, ourFlush),
  raw: (bench) => twice(bench, rawFlush),
};

/** Milliseconds from the end of the outage until so many frames are written. */
type Flush = (bench: Bench, port: number, frames: number) => Promise<number>;

async function twice(bench: Bench, flush: Flush): Promise<readonly number[]> {
  const frames = bench.amount(FRAMES);
  const fifth = await arriving(bench, flush, Math.ceil(frames / 5));
  const all = await arriving(bench, flush, frames);
  return [(frames * 1000) / all, all / fifth];
}

async function arriving(bench: Bench, flush: Flush, frames: number): Promise<number> {
  cleanUp();
  const port = await bench.peer.serve({ kind: 'sink' });
  const elapsed = await flush(bench, port, frames);
  verify('bytes that arrived', await bench.peer.received(port, 2), frames * message.length);
  return elapsed;
}

/** The peer resets the connection; it is dialled again when the bench says so. */
const ourFlush: Flush = async ({ peer }, port, frames) => {
  const dialAgain = new Subject<void>();
  const socket = ourDialling(port, { reconnect: { initialDelay: 1, delay: () => dialAgain }, settle: 0 });
  await opened(socket);
  const outage = firstValueFrom(socket.status.pipe(filter(({ type }) => type === 'backoff')));
  await peer.reset(port);
  await outage;
  for (let i = 0; i < frames; i++) socket.outbound.next(message);
  const start = performance.now();
  dialAgain.next();
  await socket.flush();
  const elapsed = performance.now() - start;
  verify('frames written', socket.stats().framesWritten, frames);
  void socket.end();
  return elapsed;
};

/** A list, written in corked blocks once there is a connection again. */
const rawFlush: Flush = async ({ peer }, port, frames) => {
  const lost = await rawSocket(port);
  const outage = new Promise((resolve) => lost.on('close', resolve));
  await peer.reset(port);
  await outage;
  const queue: Buffer[] = [];
  for (let i = 0; i < frames; i++) queue.push(message);
  const start = performance.now();
  const socket = await rawSocket(port);
  for (let at = 0; at < frames; at += 1000) {
    socket.cork();
    const block = Math.min(1000, frames - at);
    for (let i = 0; i < block - 1; i++) socket.write(queue[at + i] ?? message);
    const written = new Promise((resolve) => socket.write(queue[at + block - 1] ?? message, resolve));
    socket.uncork();
    await written;
  }
  const elapsed = performance.now() - start;
  socket.end();
  return elapsed;
};
