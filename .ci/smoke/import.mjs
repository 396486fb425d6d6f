import assert from 'node:assert/strict';
import { firstValueFrom } from 'rxjs';
import { echoServer, tcpSocket } from 'rx-tcp';
import { socksDial } from 'rx-tcp/proxy';

// Fires only if a handle is left that keeps the process alive.
setTimeout(() => assert.fail('still running after 10 s'), 10_000).unref();

const server = echoServer({ host: '127.0.0.1', port: 0 });
const { port } = await server.listening;
const socket = tcpSocket({ host: '127.0.0.1', port });

const echo = firstValueFrom(socket.inbound);
await socket.write('over and back');
assert.equal((await echo).toString(), 'over and back');

await socket.end();

// `socks` is not installed here: who has no use for it must not need it, and who has is told.
const proxied = tcpSocket({ host: '127.0.0.1', port, dial: socksDial({ host: '127.0.0.1' }), reconnect: false });
const failure = await firstValueFrom(proxied.inbound).catch((error) => error);
assert.match(failure.cause.message, /socks/);
await server.close();
console.log('import: the echo came back');
