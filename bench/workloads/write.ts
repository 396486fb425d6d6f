import type { Socket } from 'node:net';
import { sending, type Load, type Sender } from '../bursts.js';
import { ourSocket, rawSocket } from '../ends.js';
import type { Goal, Workload } from '../workload.js';

/** Messages of `size` bytes, so many a turn: against the loop that calls `socket.write` for each, and the same corked. */
export function write(size: number, messages: number, goals: readonly Goal[] = []): Workload {
  const message = Buffer.alloc(size, 'x');
  const load: Load = { messages, size };
  return {
    name: `write ${sizeName(size)}, ${messages.toLocaleString('en')} a turn`,
    metrics: [{ unit: 'messages/s', goals }],
    ours: sending(load, async (port) => {
      const socket = await ourSocket(port);
      return {
        burst: () => {
          for (let i = 0; i < messages; i++) socket.outbound.next(message);
          return socket.flush();
        },
        end: () => void socket.end(),
      };
    }),
    raw: sending(load, async (port) => rawSender(await rawSocket(port), message, messages)),
    rivals: [{ name: 'corked', run: sending(load, async (port) => corked(await rawSocket(port), message, messages)) }],
  };
}

/** One message at a time, each awaited, without a turn between them. */
export function writeAwaited(size: number): Workload {
  const message = Buffer.alloc(size, 'x');
  const load: Load = { messages: 1, size, turns: false };
  return {
    name: `write ${sizeName(size)}, each awaited`,
    metrics: [{ unit: 'messages/s' }],
    ours: sending(load, async (port) => {
      const socket = await ourSocket(port);
      return { burst: () => socket.write(message), end: () => void socket.end() };
    }),
    raw: sending(load, async (port) => rawSender(await rawSocket(port), message, 1)),
  };
}

function rawSender(socket: Socket, message: Buffer, messages: number): Sender {
  return { burst: () => burst(socket, message, messages), end: () => void socket.end() };
}

function corked(socket: Socket, message: Buffer, messages: number): Sender {
  return {
    burst: () => {
      socket.cork();
      const written = burst(socket, message, messages);
      socket.uncork();
      return written;
    },
    end: () => void socket.end(),
  };
}

function burst(socket: Socket, message: Buffer, messages: number): Promise<void> {
  for (let i = 1; i < messages; i++) socket.write(message);
  return new Promise((resolve) => socket.write(message, () => resolve()));
}

function sizeName(size: number): string {
  return size < 1024 ? `${String(size)} B` : `${String(size / 1024)} KiB`;
}
