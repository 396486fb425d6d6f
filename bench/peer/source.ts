import type { Socket } from 'node:net';

const BLOCK = 256 * 1024;

/** Sends `unit` so many times, in blocks whose ends mean nothing to the reader, then FIN. */
export function send(socket: Socket, unit: Buffer, repeat: number): void {
  const perBlock = Math.max(1, Math.floor(BLOCK / unit.length));
  const block = Buffer.alloc(perBlock * unit.length, unit);
  let left = repeat;
  const more = (): void => {
    let room = true;
    while (left > 0 && room) {
      const units = Math.min(left, perBlock);
      room = socket.write(block.subarray(0, units * unit.length));
      left -= units;
    }
    if (left === 0) socket.end();
    else socket.once('drain', more);
  };
  more();
}
