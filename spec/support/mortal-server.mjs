/**
 * A server in a process of its own, made to die: what it does with its first connection is its role, every other one it echoes.
 *
 *     reading     it writes numbered lines of 1,000 characters, as fast as they are taken
 *     writing     it reads and throws away
 *     idle        it does nothing
 *     echo        it echoes the first one too
 *
 *     options   { role, port? }        says   { port }, then { busy: true } once the first connection is there, and in use
 *     on 'FIN' or 'RST' it ends its first connection that way and lives on; on SIGTERM it ends all of them, then itself
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import process from 'node:process';

const { role, port = 0 } = JSON.parse(process.argv[2]);
const connections = [];

const roles = {
  reading: async (raw) => {
    raw.resume();
    for (let number = 0; !raw.destroyed && raw.writable; number++) {
      const line = String(number).padStart(1_000, '0') + '\n';
      if (!raw.write(line)) await Promise.race([once(raw, 'drain'), once(raw, 'close')]);
    }
  },
  writing: (raw) => void raw.resume(),
  idle: (raw) => void raw.resume(),
  echo: (raw) => void raw.pipe(raw),
};

const server = createServer({ allowHalfOpen: true, noDelay: true }, (raw) => {
  const first = connections.push(raw) === 1;
  raw.on('error', () => {});
  raw.once('end', () => raw.end());
  void roles[first ? role : 'echo'](raw);
  if (!first) return;
  const busy = () => process.send({ busy: true });
  if (role === 'writing') raw.once('data', busy);
  else busy();
});

process.on('message', (how) => {
  if (how === 'FIN') connections[0].end();
  if (how === 'RST') connections[0].resetAndDestroy();
});
process.on('SIGTERM', () => {
  server.close(() => process.exit());
  for (const raw of connections) raw.end();
});
process.on('disconnect', () => process.exit());
server.listen(port, '127.0.0.1', () => process.send({ port: server.address().port }));
