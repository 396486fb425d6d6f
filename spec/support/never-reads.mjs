/**
 * A server in a process of its own that accepts and never reads.
 *
 *     says   { port }
 */
import { createServer } from 'node:net';
import process from 'node:process';

const server = createServer({ pauseOnConnect: true }, (raw) => {
  raw.on('error', () => {});
});

process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
