const assert = require('node:assert/strict');
const { firstValueFrom } = require('rxjs');
const { echoServer, tcpSocket } = require('rx-tcp');

// Fires only if a handle is left that keeps the process alive.
setTimeout(() => assert.fail('still running after 10 s'), 10_000).unref();

async function roundTrip() {
  const server = echoServer({ host: '127.0.0.1', port: 0 });
  const { port } = await server.listening;
  const socket = tcpSocket({ host: '127.0.0.1', port });

  const echo = firstValueFrom(socket.inbound);
  await socket.write('over and back');
  assert.equal((await echo).toString(), 'over and back');

  await socket.end();
  await server.close();
}

roundTrip().then(() => console.log('require: the echo came back'));
