/**
 * A server in a process of its own that sends numbered frames, as fast as they are taken, and then ends.
 *
 * Frames: 4 bytes of length, then a body of a 4-byte number and bytes that all equal its lowest byte.
 *
 *     options   { frames, size }        says   { port }
 */
import { Buffer } from 'node:buffer';
import { createServer } from 'node:net';
import process from 'node:process';

const { frames, size } = JSON.parse(process.argv[2]);

const server = createServer(async (raw) => {
  raw.on('error', () => {});
  const closed = new Promise((resolve) => raw.once('close', resolve));
  for (let number = 0; number < frames && !raw.destroyed; number++) {
    const frame = Buffer.alloc(4 + size, number & 0xff);
    frame.writeUInt32BE(size, 0);
    frame.writeUInt32BE(number, 4);
    if (!raw.write(frame)) await Promise.race([new Promise((resolve) => raw.once('drain', resolve)), closed]);
  }
  raw.end();
});

process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
