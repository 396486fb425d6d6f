/** Runs one demo: `npm run demo`, or `npm run demo -- reconnect`. */
import { run as echo } from './echo.js';
import { run as failover } from './failover.js';
import { run as lines } from './lines.js';
import { run as proxy } from './proxy.js';
import { run as reactiveApp } from './reactive-app.js';
import { run as reconnect } from './reconnect.js';
import { run as starttls } from './starttls.js';
import { run as tls } from './tls.js';

const DEMOS = new Map([
  ['echo', { run: echo, shows: 'a server that hangs up after each reply, and a socket that comes back' }],
  ['reconnect', { run: reconnect, shows: 'a server that dies three times while messages are written to it' }],
  ['lines', { run: lines, shows: 'a chat room: one server, three clients, a line of text per message' }],
  ['failover', { run: failover, shows: 'two servers that are killed in turn, and a socket that knows both' }],
  ['tls', { run: tls, shows: 'an echo through TLS, a session that is resumed, and an authority that nobody knows' }],
  ['starttls', { run: starttls, shows: 'a mail server and its client, which go from plain lines to TLS' }],
  ['proxy', { run: proxy, shows: 'a TCP proxy that loses nothing, under a slow reader and through a reset' }],
  [
    'reactive-app',
    { run: reactiveApp, shows: 'three readers and a writer on one socket, live, while its server fails' },
  ],
]);

const [name = 'echo'] = process.argv.slice(2);
const demo = DEMOS.get(name);
if (demo === undefined) {
  console.log(`There is no demo "${name}". There are:`);
  for (const [known, { shows }] of DEMOS) console.log(`  ${known.padEnd(12)} ${shows}`);
  process.exitCode = 1;
} else {
  await demo.run();
}
