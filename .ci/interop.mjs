/**
 * Runs the specs against real servers: Redis, NATS, Mosquitto, PostgreSQL, RabbitMQ.
 *
 *     npm run test:interop                                    all of spec/interop
 *     npm run test:interop -- spec/interop/pg.interop.ts      this file
 *     npm run test:interop -- --fgrep "COPY"                  what begins with the first -- goes to mocha
 *     RX_TCP_REDIS=10.0.0.5:6379 npm run test:interop         a server that is elsewhere; so are RX_TCP_NATS, …
 *
 * A suite whose server does not answer, or whose program is not installed, is skipped and says how to start one. Where CI is set it
 * fails. What is to be restarted in the middle the specs start themselves, on ports and in folders of their own: see
 * spec/interop/support/real-servers.ts. All of it is gone when the run ends, whichever way.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runMocha } from './mocha.mjs';

// The folders of the servers, readable for those that do not run as we do.
const folder = mkdtempSync(join(tmpdir(), 'rx-tcp-interop-'));
chmodSync(folder, 0o755);
try {
  process.exitCode = await runMocha({
    title: 'test:interop',
    specs: 'spec/interop/*.interop.ts',
    args: process.argv.slice(2),
    specLimit: 60_000, // thousands of messages, and a server that starts anew in the middle
    timeLimit: process.env.SHOWS === 'full' ? 3_600_000 : 600_000, // the whole shows take their time
    env: { TMPDIR: folder },
  });
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
}
