/** Row 55 of the fault matrix: what a socket that dials in vain means to its process. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { ConfigError, connection, tcpSocket } from '../../lib/index.js';
import { atEnd, leavesNothingOpen } from '../support/fixture.js';

describe('row 55: a process that has nothing but a socket that is reconnecting', () => {
  leavesNothingOpen();

  it('stays alive by default, and exits by itself once the socket has ended, whichever way [S11]', async () => {
    const ways = ['destroy', 'destroy with an error', 'end', 'end with a message that waits', 'outbound.complete'];
    ways.push('abort', 'await using', 'its limit of redials');
    const child = fork(
      fileURLToPath(new URL('../support/reconnecting.mjs', import.meta.url)),
      [JSON.stringify({ ways })],
      {
        execArgv: ['--no-warnings', '--loader', 'ts-node/esm'],
      },
    );
    atEnd(() => child.kill('SIGKILL'));
    const said: unknown[] = [];
    child.on('message', (text) => said.push(text));
    const [exit] = await Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
    expect(said).to.deep.equal(
      ways.flatMap((way) => ['backoff', 'backoff', 'backoff', 'ended', 'idle'].map((what) => `${way}: ${what}`)),
    );
    expect(exit, 'code and signal').to.deep.equal([0, null]);
  });

  it('is not let go by `unref`, which does not exist yet: it is refused as an unknown option', () => {
    const place = { host: '127.0.0.1', port: 1 };
    expect(() => tcpSocket({ ...place, socket: { unref: true } as never })).to.throw(
      ConfigError,
      /`socket\.unref`|`unref`/,
    );
    expect(() => tcpSocket({ ...place, unref: true } as never)).to.throw(ConfigError, /`unref`/);
    expect(() => connection({ ...place, socket: { unref: true } as never })).to.throw(ConfigError, /`unref`/);
  });
});
