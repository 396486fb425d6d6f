import type { Socket } from 'node:net';
import type { TcpSocket } from '../../lib/index.js';
import { ourSocket, rawSocket } from '../ends.js';
import { memoryNow } from '../memory.js';
import type { Bench, Workload } from '../workload.js';

const SOCKETS = 10_000;
/** Dials at a time: more than the kernel's backlog takes would measure its patience. */
const AT_ONCE = 100;
const message = Buffer.alloc(64, 'x');

/** Many sockets at once: how long they take to open, what memory they take, and how long an echo over all of them. */
export const sockets: Workload = {
  name: `${SOCKETS.toLocaleString('en')} sockets`,
  fresh: true,
  metrics: [
    { unit: 'ms to open all', better: 'less', goals: [{ against: 'raw', bound: 1.3 }] },
    { unit: 'KiB resident each', better: 'less', goals: [{ against: 'raw', bound: 2 }] },
    { unit: 'KiB alive each', better: 'less' },
    { unit: 'ms for an echo on all', better: 'less' },
  ],
  ours: (bench) =>
    crowd(bench, async (port, received) => {
      const socket: TcpSocket = await ourSocket(port);
      socket.inbound.subscribe((chunk) => received(chunk.length));
      return { send: () => socket.outbound.next(message), end: () => socket.destroy() };
    }),
  raw: (bench) =>
    crowd(bench, async (port, received) => {
      const socket: Socket = await rawSocket(port);
      // What ours listens to.
      for (const event of ['end', 'finish', 'error', 'close']) socket.on(event, () => undefined);
      socket.on('data', (chunk) => received(chunk.length));
      return { send: () => void socket.write(message), end: () => void socket.destroy() };
    }),
};

interface Member {
  send(): void;
  end(): void;
}

async function crowd(
  { peer, amount }: Bench,
  open: (port: number, received: (bytes: number) => void) => Promise<Member>,
): Promise<readonly number[]> {
  const count = amount(SOCKETS);
  refuseIfTooMany(count);
  const port = await peer.serve({ kind: 'echo' });
  let missing = count * message.length;
  let over: () => void;
  const done = new Promise<void>((resolve) => (over = resolve));
  const received = (bytes: number): void => {
    missing -= bytes;
    if (missing === 0) over();
  };
  const before = memoryNow();
  const start = performance.now();
  const members: Member[] = [];
  while (members.length < count) {
    const batch = Array.from({ length: Math.min(AT_ONCE, count - members.length) }, () => open(port, received));
    members.push(...(await Promise.all(batch)));
  }
  const opened = performance.now();
  const after = memoryNow();
  const sent = performance.now();
  for (const member of members) member.send();
  await done;
  const echoed = performance.now();
  for (const member of members) member.end();
  const each = (bytes: number): number => bytes / 1024 / count;
  return [opened - start, each(after.resident - before.resident), each(after.alive - before.alive), echoed - sent];
}

/** Node raises the soft limit of open files to the hard one by itself. */
function refuseIfTooMany(count: number): void {
  const report = process.report.getReport() as unknown as { userLimits?: { open_files?: { soft: number | string } } };
  const limit = Number(report.userLimits?.open_files?.soft);
  if (limit < count + 100) {
    throw new Error(`${String(count)} sockets need a higher limit of open files than ${String(limit)} (ulimit -Hn)`);
  }
}
