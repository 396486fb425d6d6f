// The other end of a benchmark, in a process of its own: reads and drops everything. Prints its port.
import { createServer } from 'node:net';
import process from 'node:process';

const server = createServer((socket) => socket.on('error', () => socket.destroy()).resume());
server.listen(0, '127.0.0.1', () => process.send(server.address().port));
process.on('disconnect', () => process.exit());
