/**
 * A server on the host at the other end of the network of spec/support/netns.ts: it echoes.
 *
 *     options   { host, port?, key?, cert?, speaks? }     with `key` and `cert` over TLS; if it `speaks` it says `tick` now and then
 *     says      { port } once it listens
 */
import * as net from 'node:net';
import process from 'node:process';
import { clearInterval, setInterval } from 'node:timers';
import * as tls from 'node:tls';

const { host, port = 0, speaks = false, ...certificate } = JSON.parse(process.argv[2]);

const echo = (raw) => {
  raw.on('error', () => {});
  raw.pipe(raw);
  if (!speaks) return;
  const ticking = setInterval(() => raw.write('tick\n'), 200);
  raw.once('close', () => clearInterval(ticking));
};
const server =
  certificate.key === undefined
    ? net.createServer({ allowHalfOpen: true, noDelay: true }, echo)
    : tls.createServer({ ...certificate, allowHalfOpen: true, noDelay: true }, echo);

process.on('disconnect', () => process.exit());
server.listen(port, host, () => process.send({ port: server.address().port }));
