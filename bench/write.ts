/** Small messages in bursts: the loop that calls `socket.write` for each, the same corked, and ours. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { filter, firstValueFrom } from 'rxjs';
import { tcpSocket } from '../lib/index.js';
import { speedOf, type Contestant, type Workload } from './run.js';

/** Messages of `size` bytes, `burst` of them a turn, each burst awaited until it is written. */
export function writeBursts(size: number, burst: number, messages: number): Workload {
  const message = Buffer.alloc(size, 'x');
  const bursts = messages / burst;
  return {
    name: `write ${String(size)} B, ${String(burst)} a turn`,
    unit: 'messages/s',
    contestants: [
      raw('raw socket.write', (socket) => plainBurst(socket, message, burst), bursts, messages),
      raw('raw, corked', (socket) => corkedBurst(socket, message, burst), bursts, messages),
      ours(message, burst, bursts),
      raw('raw socket.write again', (socket) => plainBurst(socket, message, burst), bursts, messages),
    ],
  };
}

function raw(
  name: string,
  writeBurst: (socket: Socket) => Promise<void>,
  bursts: number,
  messages: number,
): Contestant {
  return {
    name,
    async run(port) {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      await once(socket, 'connect');
      const speed = await speedOf(messages, async () => {
        for (let i = 0; i < bursts; i++) await writeBurst(socket);
      });
      socket.destroy();
      return speed;
    },
  };
}

function plainBurst(socket: Socket, message: Buffer, burst: number): Promise<void> {
  for (let i = 1; i < burst; i++) socket.write(message);
  return new Promise((resolve) => socket.write(message, () => resolve()));
}

function corkedBurst(socket: Socket, message: Buffer, burst: number): Promise<void> {
  socket.cork();
  const written = plainBurst(socket, message, burst);
  socket.uncork();
  return written;
}

function ours(message: Buffer, burst: number, bursts: number): Contestant {
  return {
    name: 'rx-tcp outbound.next',
    async run(port) {
      const socket = tcpSocket({ host: '127.0.0.1', port });
      await firstValueFrom(socket.status.pipe(filter(({ type }) => type === 'open')));
      const speed = await speedOf(burst * bursts, async () => {
        for (let i = 0; i < bursts; i++) {
          for (let j = 0; j < burst; j++) socket.outbound.next(message);
          await socket.flush();
        }
      });
      const { framesWritten } = socket.stats();
      if (framesWritten !== burst * bursts) throw new Error(`only ${String(framesWritten)} frames were written`);
      socket.destroy();
      return speed;
    },
  };
}
