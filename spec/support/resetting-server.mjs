/**
 * A server in a process of its own that resets its connections at random, and tells what each of them brought.
 *
 * Frames: 4 bytes of length, then a body of a 4-byte number and bytes that all equal its lowest byte. A connection is reset
 * as soon as a number at or above the next of `resets` random thresholds came.
 *
 *     options   { frames, resets, seed }        says   { port }, then a report for each message: all connections so far
 *
 * A report is made a turn after the message came, when all that the kernel had by then is read: whoever asks for one every
 * few frames is never further ahead of this server than those, however slow the machine.
 */
import { Buffer } from 'node:buffer';
import { createServer } from 'node:net';
import process from 'node:process';
import { setImmediate } from 'node:timers';

const { frames, resets, seed } = JSON.parse(process.argv[2]);
const thresholds = thresholdsOf(seed);
const connections = [];

const server = createServer({ noDelay: true }, (raw) => {
  const record = { first: -1, last: -1, count: 0, gaps: 0, torn: 0 };
  connections.push(record);
  let rest = Buffer.alloc(0);
  raw.on('error', () => {});
  raw.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= 4) {
      const end = at + 4 + rest.readUInt32BE(at);
      if (end > rest.length) break;
      take(record, rest.subarray(at + 4, end));
      at = end;
      if (record.last >= thresholds[0]) {
        thresholds.shift();
        raw.resetAndDestroy();
        return;
      }
    }
    rest = rest.subarray(at);
  });
});

function take(record, body) {
  const number = body.readUInt32BE(0);
  if (!body.subarray(4).every((byte) => byte === (number & 0xff))) record.torn++;
  if (record.count === 0) record.first = number;
  else if (number !== record.last + 1) record.gaps++;
  record.last = number;
  record.count++;
  seen.add(number);
}

const seen = new Set();

function thresholdsOf(start) {
  let state = start;
  const next = () => (state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff) / 0x7fffffff;
  const share = (frames * 0.95) / resets;
  return Array.from({ length: resets }, (_, i) => Math.floor((i + 0.1 + 0.9 * next()) * share));
}

process.on('message', () => {
  setImmediate(() =>
    setImmediate(() => process.send({ connections, resetsLeft: thresholds.length, arrived: seen.size })),
  );
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
