/** After end() the deadline judges, not the silence of the peer: it may be busy reading, or thinking about its last words. */
import { expect } from 'chai';
import * as net from 'node:net';
import { IdleTimeoutError, lines, tcpServer, type StreamConfig } from '../../lib/index.js';
import { atEnd, kept, leavesNothingOpen } from '../support/fixture.js';
import { record } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { opens, virtualSocket, virtualTurns } from '../support/virtual-socket.js';

const host = '127.0.0.1';
const LINE = 'x'.repeat(65_535);
/** More than the kernels take of a writer whose reader does not read. */
const LINES = 128;

type Watch = Pick<StreamConfig<string, string>, 'idleTimeout' | 'heartbeat'>;
const watches: readonly (readonly [name: string, watch: Watch])[] = [
  ['idleTimeout', { idleTimeout: 150 }],
  ['a heartbeat that only listens', { heartbeat: { interval: 100, timeout: 50 } }],
  ['a heartbeat that asks', { heartbeat: { interval: 100, timeout: 50, message: () => 'ping' } }],
];

describe('a client that ends', () => {
  virtualTurns();

  for (const [name, watch] of watches) {
    it(`and reads nothing is not dropped by ${name} while it writes what was accepted [S3][S8]`, () => {
      const errors: string[] = [];
      let [resolved, written] = [-1, -1];
      virtualSocket({ ...watch, settle: 0, endTimeout: 10_000 }, opens, ({ socket, dials, at, now }) => {
        socket.errors.subscribe(({ code }) => errors.push(code));
        // Never in the ms of another timer: TestScheduler cannot take it if one of them cancels the other.
        at(1003, () => {
          const { link } = dials[0]!;
          socket.write('hello').then(() => (written = now()), () => (written = -2)); // prettier-ignore
          socket.end().then(() => (resolved = now()), () => (resolved = -2)); // prettier-ignore
          at(2003, () => {
            while (link.unanswered > 0) link.confirm();
          });
          at(3003, () => {
            expect(link.destroyed).to.equal(false);
            expect([dials.length, link.ends]).to.eql([1, 1]);
            link.fin();
            link.lost();
          });
        });
      });
      expect(errors).to.eql([]);
      expect([written, resolved]).not.to.include(-2);
    });

    it(`and reads hears the last words of a peer that takes its time, whatever ${name} thinks [S6][S8]`, () => {
      const [errors, heard]: [string[], string[]] = [[], []];
      let completed = false;
      virtualSocket({ ...watch, settle: 0, endTimeout: 10_000 }, opens, ({ socket, dials, at }) => {
        socket.errors.subscribe(({ code }) => errors.push(code));
        socket.inbound.subscribe({ next: (line) => heard.push(line), complete: () => (completed = true) });
        at(103, () => void socket.end());
        at(1103, () => {
          const { link } = dials[0]!;
          expect(link.destroyed).to.equal(false);
          link.chunk('last words\n');
          link.fin();
          link.lost();
        });
      });
      expect(errors).to.eql([]);
      expect(heard).to.eql(['last words']);
      expect(completed).to.equal(true);
    });
  }
});

describe('a connection of a server that ends', () => {
  leavesNothingOpen();

  /** Two connections: the first is ended as it comes; the second, which comes later, is dropped for its silence. */
  async function endedBeside(watch: Watch, first: (line: string) => void, reads: boolean, messages: number) {
    const server = tcpServer({ host, codec: lines(), endTimeout: 60_000, ...watch });
    atEnd(() => server.close({ timeout: 0 }));
    const [errors, connections] = [tape(server.errors), tape(server.connections)];
    const ends: Promise<void>[] = [];
    let count = 0;
    server.connections.subscribe((connection) => {
      if (count++ > 0) return void connection.inbound.subscribe();
      if (reads) connection.inbound.subscribe(first);
      for (let i = 0; i < messages; i++) void connection.write(LINE);
      ends.push(connection.end());
    });
    const { port } = await server.listening;
    const dial = (): net.Socket => {
      const raw = kept(net.connect({ port, host, allowHalfOpen: true }));
      raw.on('error', () => undefined);
      return raw;
    };
    const peer = dial();
    const connection = await connections.at(0);
    const silent = dial();
    await connections.at(1);
    const error = await errors.at(0);
    silent.destroy();
    expect(error).to.be.instanceOf(IdleTimeoutError).and.include({ epoch: 2 });
    return { server, peer, connection, end: ends[0]!, errors };
  }

  for (const [name, watch] of watches) {
    it(`and reads nothing is not dropped by ${name} while the peer has much to read [S3][S8]`, async () => {
      const { peer, connection, end, errors } = await endedBeside(watch, () => undefined, false, LINES);
      await record(peer).has(LINES * (LINE.length + 1));
      await end;
      expect(await connection.closed).to.equal(undefined);
      expect(errors.values).to.have.length(1);
    });

    it(`and reads hears the last words of a client that takes its time, whatever ${name} thinks [S6][S8]`, async () => {
      const heard: string[] = [];
      const { peer, connection, end, errors } = await endedBeside(watch, (line) => heard.push(line), true, 0);
      peer.resume().end('last words\n');
      await end;
      expect(heard).to.eql(['last words']);
      expect(await connection.closed).to.equal(undefined);
      expect(errors.values).to.have.length(1);
    });
  }
});
