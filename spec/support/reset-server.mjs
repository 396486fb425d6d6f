/**
 * A server in a process of its own, so that its kernel side goes on while the spec's loop is busy. It takes frames of
 *
 *     [ length: 4 bytes | number: 4 bytes | the number's low byte, repeated ]
 *
 * and resets each of its first connections after a number of bytes that the seed decides. On 'report' it tells, for each
 * connection, the numbers of the whole frames it read, and whether one of them was not as it was written.
 */
import { Buffer } from 'node:buffer';
import { createServer } from 'node:net';
import process from 'node:process';

const [seed, resets] = process.argv.slice(2).map(Number);
const connections = [];

const server = createServer((socket) => {
  const connection = { numbers: [], torn: false };
  const limit = connections.length < resets ? limitOf(connections.length) : Infinity;
  connections.push(connection);
  let rest = Buffer.alloc(0);
  let read = 0;
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    read += chunk.length;
    rest = takeFrames(connection, Buffer.concat([rest, chunk]));
    if (read >= limit) socket.resetAndDestroy();
  });
});

/** From 2 to 32 KiB, by the seed. */
function limitOf(index) {
  const mixed = Math.imul(seed + index * 2654435761, 2246822519) >>> 0;
  return 2048 + (mixed % 30720);
}

function takeFrames(connection, bytes) {
  let at = 0;
  while (bytes.length - at >= 8) {
    const length = bytes.readUInt32BE(at);
    if (length < 4 || length > 65536) connection.torn = true;
    if (connection.torn || bytes.length - at < 4 + length) break;
    const number = bytes.readUInt32BE(at + 4);
    const filler = bytes.subarray(at + 8, at + 4 + length);
    if (filler.some((byte) => byte !== (number & 0xff))) connection.torn = true;
    connection.numbers.push(number);
    at += 4 + length;
  }
  return bytes.subarray(at);
}

server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
process.on('message', () => process.send({ connections }));
process.on('disconnect', () => process.exit());
