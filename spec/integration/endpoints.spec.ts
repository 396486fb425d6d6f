/** `endpoints`: several places, tried in turn. Whose turn it is, is said by spec/connection/endpoints.spec.ts. */
import type * as net from 'node:net';
import { expect } from 'chai';
import { firstValueFrom, map, NEVER, Observable, of, timer } from 'rxjs';
import { clock } from '../../lib/clock.js';
import {
  ConnectError,
  connection,
  ConnectTimeoutError,
  lines,
  reconnect,
  tcpSocket,
  type ConnectionStatus,
  type Endpoint,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { FakeDials, nodeError } from '../support/fake-stream.js';
import { atEnd, kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { eventually } from '../support/peers.js';
import { deadPort, listen, recordingServer, sink, socketPath } from '../support/servers.js';
import { tape, type Tape } from '../support/tape.js';

const host = '127.0.0.1';
const soon = { initialDelay: 1, maxDelay: 1 };

const at = (port: number): Endpoint => ({ host, port });

function open(endpoints: TcpSocketConfig['endpoints'], config: TcpSocketConfig = {}): TcpSocket {
  return kept(tcpSocket({ ...(endpoints && { endpoints }), reconnect: soon, settle: 0, ...config }));
}

/** A status in short: its type, and where. */
function briefly(statuses: Tape<ConnectionStatus>, names: Readonly<Record<string, Endpoint>>): string[] {
  return statuses.values.map((status) => {
    const where = 'endpoint' in status ? status.endpoint : undefined;
    const name = Object.entries(names).find(([, known]) => JSON.stringify(known) === JSON.stringify(where));
    return where === undefined ? status.type : `${status.type} ${name?.[0] ?? JSON.stringify(where)}`;
  });
}

describe('endpoints', () => {
  leavesNothingOpen();

  it('are dialled in turn, one a dial; status, errors and the connection say which', async () => {
    const server = await recordingServer();
    const names = { dead: at(await deadPort()), good: at(server.port) };
    const socket = open([names.dead, names.good]);
    const [statuses, errors] = [tape(socket.status), tape(socket.errors)];
    await socket.write('hello');
    await (await server.recording(0)).has('hello');
    expect(briefly(statuses, names)).to.eql(['connecting dead', 'backoff', 'connecting good', 'open good']);
    expect(errors.values[0]).to.be.instanceOf(ConnectError).and.to.deep.include({ endpoint: names.dead });
    expect((await firstValueFrom(socket.connections)).endpoint).to.eql(names.good);
  });

  it('are gone through after losses too: the next is dialled, not the one that was lost', async () => {
    const servers = [await listen(sink), await listen(sink), await listen(sink)];
    const socket = open(servers.map(({ port }) => at(port)));
    const connections = tape(socket.connections);
    for (let i = 0; i < 6; i++) {
      const live = await connections.at(i);
      expect(live.endpoint).to.eql(at(servers[i % 3]!.port));
      (await servers[i % 3]!.socket(Math.floor(i / 3))).resetAndDestroy();
    }
  });

  it('that failed are passed over for `endpointCooldown`, and tried again after it', async () => {
    const { now } = clock;
    let later = 0;
    clock.now = () => now() + later;
    atEnd(() => (clock.now = now));
    const server = await listen(sink);
    const dead = at(await deadPort());
    const socket = open([dead, at(server.port)], { endpointCooldown: 1_000_000 });
    const [connections, errors] = [tape(socket.connections), tape(socket.errors)];
    for (let i = 0; i < 4; i++) {
      await connections.at(i);
      (await server.socket(i)).resetAndDestroy();
    }
    await connections.at(4);
    expect(errors.values.filter(({ code }) => code === 'TCP_CONNECT')).to.have.length(1);
    later = 1_000_000;
    (await server.socket(4)).resetAndDestroy();
    await connections.at(5);
    expect(errors.values.filter(({ code }) => code === 'TCP_CONNECT')).to.have.length(2);
  });

  it('that have all failed are tried in turn all the same', async () => {
    const ports = [await deadPort(), await deadPort()];
    const socket = open(ports.map(at));
    const errors = tape(socket.errors);
    await errors.at(5);
    expect(errors.values.slice(0, 6).map(({ endpoint }) => endpoint?.port)).to.eql([...ports, ...ports, ...ports]);
    const server = await listen(sink, ports[1]);
    await socket.write('hello');
    expect(server.sockets).to.have.length(1);
  });

  it('whose handshake fails are passed over as well', async () => {
    const [bad, good] = [await listen(sink), await listen(sink)];
    const socket = open([at(bad.port), at(good.port)], {
      handshake: ({ endpoint }) => (endpoint.port === bad.port ? Promise.reject(new Error('not the leader')) : []),
    });
    const connections = tape(socket.connections);
    for (let i = 0; i < 3; i++) {
      await connections.at(i);
      (await good.socket(i)).resetAndDestroy();
    }
    await connections.at(3);
    expect([bad.sockets.length, good.sockets.length]).to.eql([1, 4]);
  });

  it('may be unix paths among others', async () => {
    const path = socketPath();
    const server = await listen(sink, path);
    const socket = open([at(await deadPort()), { path }]);
    await socket.write('hello');
    expect((await firstValueFrom(socket.connections)).endpoint).to.eql({ path });
    expect(server.sockets).to.have.length(1);
  });

  it('go to a `dial` of the user’s, also when they are not complete', async () => {
    const dials = new FakeDials();
    const asked: Endpoint[] = [];
    const socket = open([{ host: 'a' }, { port: 2 }], {
      dial: (endpoint) => {
        asked.push(endpoint);
        if (endpoint.host === 'a') throw nodeError('ECONNREFUSED');
        return dials.dial();
      },
    });
    await socket.write('hello');
    expect(asked).to.eql([{ host: 'a' }, { port: 2 }]);
    expect(dials.streams[0]!.texts).to.eql(['hello']);
  });

  it('serve connection() with reconnect(), which go through them from dial to dial', async () => {
    const servers = [await listen(sink), await listen(sink)];
    const endpoints = [at(await deadPort()), ...servers.map(({ port }) => at(port))];
    const lives = tape(connection({ endpoints }).pipe(reconnect(soon)));
    atEnd(() => lives.stop());
    for (const [i, server] of [servers[0]!, servers[1]!, servers[0]!].entries()) {
      expect((await lives.at(i)).endpoint).to.eql(at(server.port));
      (await server.socket(i >> 1)).resetAndDestroy();
    }
    await lives.at(3);
  });

  describe('that a function answers', () => {
    it('are asked for at every dial, and may change each time', async () => {
      const servers = [await listen(sink), await listen(sink)];
      let asked = 0;
      const socket = open(() => [at(servers[asked++ % 2]!.port)]);
      const connections = tape(socket.connections);
      for (let i = 0; i < 4; i++) {
        expect((await connections.at(i)).endpoint).to.eql(at(servers[i % 2]!.port));
        expect(asked).to.equal(i + 1);
        (await servers[i % 2]!.socket(i >> 1)).resetAndDestroy();
      }
    });

    const late: [string, (list: Endpoint[]) => Promise<Endpoint[]> | Observable<Endpoint[]>][] = [
      ['a promise', (list) => Promise.resolve(list)],
      ['an Observable', (list) => timer(1).pipe(map(() => list))],
    ];
    for (const [name, answer] of late) {
      it(`may come later, by ${name}: until then the status is connecting to nowhere yet`, async () => {
        const server = await listen(sink);
        const names = { nowhere: {}, good: at(server.port) };
        const socket = open(() => answer([names.good]));
        const statuses = tape(socket.status);
        await socket.write('hello');
        expect(briefly(statuses, names)).to.eql(['connecting nowhere', 'connecting good', 'open good']);
        expect(statuses.values.slice(0, 2).map((status) => 'attempt' in status && status.attempt)).to.eql([1, 1]);
        expect(socket.stats()).to.include({ dials: 1 });
      });
    }

    it('that never come run into connectTimeout in the phase `lookup`, and the answer is let go', async () => {
      const server = await listen(sink);
      let [asked, gone] = [0, 0];
      const never = new Observable<Endpoint[]>(() => () => gone++);
      const socket = open(() => (asked++ === 0 ? never : of([at(server.port)])), { connectTimeout: 20 });
      const error = await tape(socket.errors).at(0);
      expect(error).to.be.instanceOf(ConnectTimeoutError).and.to.include({ phase: 'lookup', timeout: 20 });
      expect(gone).to.equal(1);
      await socket.write('hello');
      expect(asked).to.equal(2);
    });

    it('may be given up while they are asked for [S11]', async () => {
      let gone = 0;
      for (const end of ['end', 'destroy'] as const) {
        const socket = open(() => new Observable<Endpoint[]>(() => () => gone++));
        void socket[end]();
        await socket.end();
      }
      const forgotten = open(() => new Promise<Endpoint[]>(() => undefined));
      forgotten.destroy();
      expect(gone).to.equal(2);
    });

    const passing: [string, () => unknown][] = [
      ['throws', () => { throw new Error('mine'); }], // prettier-ignore
      ['rejects', () => Promise.reject(new Error('mine'))],
      ['answers an empty list', () => []],
      ['answers none', () => of()],
    ];
    for (const [name, answer] of passing) {
      it(`is a failed dial in the phase \`lookup\` if it ${name}, and blames no endpoint`, async () => {
        const servers = [await listen(sink), await listen(sink)];
        const list = servers.map(({ port }) => at(port));
        let asked = 0;
        const socket = open((() => (asked++ === 1 ? answer() : list)) as () => Endpoint[]);
        const [connections, errors] = [tape(socket.connections), tape(socket.errors)];
        for (const i of [0, 1]) {
          await connections.at(i);
          (await servers[i]!.socket(0)).resetAndDestroy();
        }
        expect((await connections.at(2)).endpoint, 'the first has not failed').to.eql(list[0]);
        const [failed] = errors.values.filter(({ code }) => code === 'TCP_CONNECT');
        expect(failed).to.be.instanceOf(ConnectError).and.to.include({ phase: 'lookup' });
        expect(failed!.endpoint).to.eql({});
      });
    }

    it('ends the socket if it answers what is no list of endpoints: that gets no better [S8]', async () => {
      for (const answer of [undefined, 7, 'localhost:80', of({ port: 1 }), [{ port: 70_000 }], [{ host: 'x' }]]) {
        const socket = open((() => answer) as () => Endpoint[], { lazyConnect: true });
        const written = outcome(socket.write('hello'));
        const inbound = tape(socket.inbound);
        await inbound.end;
        expect(inbound.error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'lookup' });
        expect(await written).to.include({ fate: 'unsent' });
      }
    });

    it('says `connecting` at every dial, also at one for which it throws', async () => {
      const socket = open(
        () => {
          throw new Error('mine');
        },
        { lazyConnect: true },
      );
      const statuses = tape(socket.status);
      socket.redial();
      await tape(socket.errors).at(2);
      const types = statuses.values.map(({ type }) => type).slice(0, 5);
      expect(types).to.eql(['idle', 'connecting', 'backoff', 'connecting', 'backoff']);
    });

    it('may end the socket inside', async () => {
      const socket: { it?: TcpSocket } = {};
      let asked = 0;
      socket.it = open(() => {
        asked++;
        socket.it?.destroy();
        return NEVER;
      }, { lazyConnect: true }); // prettier-ignore
      const inbound = tape(socket.it.inbound);
      await eventually(() => inbound.ended !== undefined);
      expect([inbound.ended, asked]).to.eql(['completed', 1]);
    });
  });
});

const duration = process.env.SHOWS === 'full' ? 20_000 : 3_000;

describe('the show of failover', function () {
  this.timeout(60_000);
  leavesNothingOpen();

  it(`two endpoints killed in turn every 200 ms for ${String(duration / 1000)} s leave no write unsettled, and order on each connection [S1][S3]`, async () => {
    const heard: string[] = [];
    const serve = (port?: number): ReturnType<typeof listen> =>
      listen((peer: net.Socket) => {
        const index = heard.push('') - 1;
        peer.on('data', (chunk: Buffer) => {
          heard[index] = `${heard[index] ?? ''}${chunk.toString('latin1')}`;
        });
        peer.on('end', () => peer.end());
      }, port);
    const servers = [await serve(), await serve()];
    const endpoints = servers.map(({ port }) => at(port));
    const socket = kept(tcpSocket({ endpoints, codec: lines(), reconnect: { maxDelay: 50 }, retryLimit: 100 }));
    const counts = { written: 0, rejected: 0 };
    const outcomes: Promise<unknown>[] = [];
    let number = 0;
    const writing = timer(0, 1).subscribe(() => {
      for (let i = 0; i < 5; i++) {
        const written = outcome(socket.write(`${String(number++)} ${'.'.repeat(number % 100)}`));
        outcomes.push(written.then((how) => counts[how === 'written' ? 'written' : 'rejected']++));
      }
    });
    atEnd(() => writing.unsubscribe());
    let kills = 0;
    for (const began = performance.now(); performance.now() - began < duration; kills++) {
      await firstValueFrom(timer(200));
      const victim = kills % 2;
      await servers[victim]!.close();
      if (kills > 0) servers[1 - victim] = await serve(endpoints[1 - victim]!.port);
    }
    writing.unsubscribe();
    await socket.end({ timeout: 10_000 });
    await Promise.all(outcomes);
    const { drops, framesRetried } = socket.stats();
    const wrong = heard.filter((text) => {
      const whole = text.split('\n').slice(0, -1);
      const numbers = whole.map((line) => Number(/^(\d+) \.*$/.exec(line)?.[1]));
      return numbers.some((each, i) => Number.isNaN(each) || (i > 0 && each !== numbers[i - 1]! + 1));
    });
    const numbers = new Set(
      heard.flatMap((text) =>
        text
          .split('\n')
          .slice(0, -1)
          .map((line) => line.split(' ')[0]),
      ),
    );
    console.log(
      `[figure] failover: ${String(kills)} kills, ${String(drops)} drops, ${String(number)} frames: ${String(counts.written)} written, ` +
        `${String(counts.rejected)} rejected, ${String(number - numbers.size)} of the written never arrived, ${String(framesRetried)} written again`,
    );
    expect(wrong).to.eql([]);
    expect(counts).to.eql({ written: number, rejected: 0 });
    expect(drops).to.be.at.least(2);
    expect(numbers.size).to.be.greaterThan(number / 2);
  });
});
