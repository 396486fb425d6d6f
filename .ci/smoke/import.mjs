import assert from 'node:assert/strict';
import { firstValueFrom } from 'rxjs';
import { echoServer, tcpSocket } from 'rx-tcp';

// Fires only if a handle is left that keeps the process alive.
setTimeout(() => assert.fail('still running after 10 s'), 10_000).unref();

const server = echoServer({ host: '127.0.0.1', port: 0 });
const { port } = await server.listening;
const socket = tcpSocket({ host: '127.0.0.1', port });

const echo = firstValueFrom(socket.inbound);
await socket.write('over and back');
assert.equal((await echo).toString(), 'over and back');

await socket.end();
await server.close();
console.log('import: the echo came back');
