import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ourDialling, rawDialling } from '../ends.js';
import { reconnectNet } from '../npm.js';
import type { Bench, Workload } from '../workload.js';

const message = Buffer.alloc(16 * 1024, 'x');
const LASTS = 1000;

/** A peer that resets its connections ten times a second: what arrives in spite of that, with delays of 1 to 10 ms between dials. */
export const drops: Workload = {
  name: 'write 16 KiB, 10 drops a second',
  metrics: [{ unit: 'MiB/s that arrive' }],
  ours: (bench) =>
    surviving(bench, (port) => {
      const socket = ourDialling(port, {
        reconnect: { initialDelay: 1, maxDelay: 10 },
        settle: 0,
        retryLimit: Infinity,
        writeBuffer: 1000,
      });
      void socket.writeAll(endless()).catch(() => undefined); // it ends with the socket
      return () => socket.destroy();
    }),
  raw: (bench) =>
    surviving(bench, (port) => {
      let socket: Socket;
      let over = false;
      const dial = (): void => {
        if (over) return;
        socket = rawDialling(port);
        socket.on('connect', () => fill(socket)).on('close', () => setTimeout(dial, 1));
      };
      dial();
      return () => {
        over = true;
        socket.destroy();
      };
    }),
  rivals: [
    {
      name: 'reconnect-net',
      needs: 'reconnect-net',
      run: (bench) =>
        surviving(bench, (port) => {
          let current: Socket | undefined;
          const client = reconnectNet({ initialDelay: 1, maxDelay: 10 }, (socket) => {
            current = socket.setNoDelay();
            fill(socket);
          });
          client.on('error', () => undefined).connect({ port, host: '127.0.0.1' });
          return () => {
            client.disconnect();
            current?.destroy();
          };
        }),
    },
  ],
};

function* endless(): Generator<Buffer> {
  while (true) yield message;
}

/** Writes for as long as the socket lives. What was on its way when it dies is lost. */
function fill(socket: Socket): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(message));
  };
  socket.on('drain', more);
  more();
}

async function surviving({ peer, amount }: Bench, open: (port: number) => () => void): Promise<readonly number[]> {
  const port = await peer.serve({ kind: 'sink', dropEvery: 100 });
  const start = performance.now();
  const close = open(port);
  await peer.begun(port);
  await sleep(amount(LASTS));
  close();
  const seconds = (performance.now() - start) / 1000;
  const bytes = await peer.received(port);
  return [bytes / 1024 ** 2 / seconds];
}
