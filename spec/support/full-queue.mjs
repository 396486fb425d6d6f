/** Listens, tells its port, and never runs again: once its queue of connections to be accepted is full, a dial stays in 'connecting'. */
import { writeSync } from 'node:fs';
import { createServer } from 'node:net';

const server = createServer();
server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
  writeSync(1, `${server.address().port}\n`);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});
