/** Row 55 of the fault matrix: what a socket that dials in vain means to its process. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { ConfigError, connection, tcpSocket } from '../../lib/index.js';
import { atEnd, leavesNothingOpen } from '../support/fixture.js';
import { deadPort, echo, listen } from '../support/servers.js';
import type { Scene } from './process.child.js';

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
});

describe('row 55: a process that has nothing but a socket with `socket.unref`', () => {
  leavesNothingOpen();

  const names: Scene['name'][] = ['open', 'in a handshake', 'reconnecting', 'paused', 'half-open and ending'];

  /** Runs the scenes; resolves with what was said once the process has exited by itself. */
  async function played(scenes: readonly Scene[]): Promise<string[]> {
    const echoes = await listen(echo);
    const floods = await listen((peer) => {
      const line = Buffer.alloc(64 * 1024, 'x\n');
      const more = (): void => void peer.write(line, (error) => (error ? undefined : more()));
      more();
    });
    const ports = [echoes.port, floods.port, await deadPort()].map(String);
    const child = fork(
      fileURLToPath(new URL('./process.child.ts', import.meta.url)),
      [...ports, JSON.stringify(scenes)],
      { execArgv: ['--no-warnings', '--loader', 'ts-node/esm'] },
    );
    atEnd(() => child.kill('SIGKILL'));
    const said: string[] = [];
    child.on('message', (text: string) => said.push(text));
    const [exit] = await Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
    expect(exit, 'code and signal').to.deep.equal([0, null]);
    return said;
  }

  it('exits by itself: while open, in a handshake, while reconnecting, paused, or ending, with every timeout there is [S11]', async () => {
    const said = await played(names.map((name) => ({ name, unref: true })));
    expect(said).to.deep.equal(names.flatMap((name) => [`${name}, unref: reached`, `${name}, unref: let go`]));
  });

  it('exits by itself when the connection was made to the second of two addresses', async () => {
    const name = 'dialled at a second address';
    expect(await played([{ name, unref: true }])).to.deep.equal([`${name}, unref: reached`, `${name}, unref: let go`]);
  });

  it('stays without it, and exits once the socket is destroyed', async () => {
    const said = await played([{ name: 'open', unref: false }]);
    expect(said).to.deep.equal(['open: reached', 'open: heard', 'open: let go']);
  });

  it('is asked for under `socket`, as true or false', () => {
    const place = { host: '127.0.0.1', port: 1 };
    for (const unref of ['yes', 1, null]) {
      const given = { ...place, socket: { unref } } as never;
      expect(() => tcpSocket(given)).to.throw(ConfigError, /`socket\.unref` must be true or false/);
      expect(() => connection(given)).to.throw(ConfigError, /`socket\.unref`/);
    }
    expect(() => tcpSocket({ ...place, unref: true } as never)).to.throw(ConfigError, /`unref`/);
  });
});
