import { expect } from 'chai';
import { firstValueFrom, lastValueFrom, merge, mergeMap, range, toArray } from 'rxjs';
import {
  ConnectionLostError,
  correlated,
  lines,
  pacedMap,
  pipelined,
  RequestTimeoutError,
  tcpSocket,
} from '../../lib/index.js';
import type { Requests, TcpSocketConfig } from '../../lib/index.js';
import { eachLine } from '../support/each-line.js';
import { kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { seededRandom, seeds } from '../support/random.js';
import { echo, listen, neverReading, sink } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const MIB = 1024 * 1024;
const soon: TcpSocketConfig<string, string> = { settle: 0, reconnect: { initialDelay: 1, maxDelay: 2 } };

function linesTo(port: number, config: TcpSocketConfig<string, string> = {}) {
  return kept(tcpSocket({ host, port, codec: lines(), ...soon, ...config }));
}

/** Lines such as `7 hello` have the id 7. */
const BY_ID = {
  assign: (message: string, id: unknown) => `${String(id)} ${message}`,
  idOf: (frame: string) => (/^\d+ /.test(frame) ? Number(frame.split(' ')[0]) : undefined),
};

const WAYS = {
  'in order': (socket: ReturnType<typeof linesTo>, config = {}) => pipelined(socket, config),
  'by id': (socket: ReturnType<typeof linesTo>, config = {}) => correlated(socket, { ...BY_ID, ...config }),
};

const ask = (requests: Requests<string, string>, message: string, options = {}): Promise<string> =>
  firstValueFrom(requests.request(message, options));

for (const [way, make] of Object.entries(WAYS)) {
  describe(`requests ${way}`, () => {
    leavesNothingOpen();

    it('get their own replies, 10,000 of them, many at once [S3]', async () => {
      const { port } = await listen(echo);
      const requests = make(linesTo(port));
      const answers = range(0, 10_000).pipe(
        mergeMap(async (i) => [i, await ask(requests, `m${i}`)] as const),
        toArray(),
      );
      for (const [i, reply] of await lastValueFrom(answers)) expect(reply.split(' ').at(-1)).to.equal(`m${i}`);
      expect(requests.stats()).to.include({ requests: 10_000, answered: 10_000, inFlight: 0, waiting: 0, failed: 0 });
    });

    it('are answered up to the peer’s own end, after ours [S3]', async () => {
      const heard: string[] = [];
      const { port } = await listen((peer) => {
        peer.once('end', () => peer.end(heard.map((line) => `${line}!\n`).join('')));
        eachLine(peer, (line) => heard.push(line));
      });
      const socket = linesTo(port);
      const requests = make(socket);
      const answers = ['a', 'b'].map((message) => ask(requests, message));
      await socket.flush();
      await socket.end();
      expect((await Promise.all(answers)).map((reply) => reply.at(-2))).to.eql(['a', 'b']);
      expect(await outcome(ask(requests, 'c'))).to.include({ code: 'TCP_CLOSED' });
    });

    it('of which one times out: the others are answered, and its reply is nobody’s when it comes', async () => {
      let late = (): void => undefined;
      const { port } = await listen((peer) =>
        eachLine(peer, (line) => {
          if (line.endsWith('slow')) late = () => void peer.write(`${line}\n`);
          else {
            late();
            peer.write(`${line}\n`);
          }
        }),
      );
      const requests = make(linesTo(port));
      const others = tape(requests.unsolicited);
      const slow = await outcome(ask(requests, 'slow', { timeout: 5 }));
      expect(slow).to.be.instanceOf(RequestTimeoutError);
      expect(await ask(requests, 'quick')).to.match(/quick$/);
      expect(requests.stats()).to.include({ late: 1, answered: 1, timedOut: 1, inFlight: 0 });
      expect(others.values).to.eql([]);
    });

    it('that were cancelled before a link had them never reach the peer', async () => {
      const heard: string[] = [];
      const { port } = await listen((peer) => eachLine(peer, (line) => heard.push(line.slice(-20))));
      const socket = linesTo(port, { codec: lines({ maxFrameLength: 32 * MIB }), writeBuffer: { bytes: 64 * MIB } });
      const requests = make(socket);
      // More than the kernels take at once, so that what is behind it waits in the queue.
      const huge = tape(requests.request(`${'x'.repeat(12 * MIB)}huge`));
      await firstValueFrom(socket.connections);
      const [cancelled, wanted] = ['cancelled', 'wanted'].map((message) => tape(requests.request(message)));
      cancelled!.stop();
      await socket.flush();
      huge.stop();
      wanted!.stop();
      await socket.end();
      expect(heard.map((line) => line.split(/x| /).at(-1))).to.eql(['huge', 'wanted']);
      expect(requests.stats()).to.include({ cancelled: 3, inFlight: 0 });
    });

    it('that the peer never reads are given up by their deadline, and leave nothing [S11]', async () => {
      const { port } = await listen(neverReading);
      const socket = linesTo(port);
      const requests = make(socket, { timeout: 5 });
      const outcomes = await Promise.all(['a', 'b'].map((message) => outcome(ask(requests, message))));
      for (const how of outcomes) expect(how).to.be.instanceOf(RequestTimeoutError);
      socket.destroy();
      expect(requests.stats()).to.include({ inFlight: 0, waiting: 0, failed: 2 });
    });

    it('hold no process and no timer once the socket is destroyed, answered or not [S11]', async () => {
      const { port } = await listen((peer) =>
        eachLine(peer, (line) => (line.endsWith('c') ? undefined : peer.write(`${line}\n`))),
      );
      const socket = linesTo(port);
      const requests = make(socket, { timeout: 1_000_000 });
      await ask(requests, 'a');
      await ask(requests, 'b', { timeout: 2_000_000 });
      const waits = tape(requests.request('c', { timeout: 3_000_000 }));
      await socket.flush();
      socket.destroy();
      await waits.end; // and `leavesNothingOpen` finds no timer
      expect(waits.error).to.include({ code: 'TCP_CLOSED' });
    });

    it('do not see the frames of a handshake, on any connection', async () => {
      const { port } = await listen((peer, index) =>
        eachLine(peer, (line) => {
          peer.write(line === 'HELLO' ? `0 welcome ${index}\n` : `${line}\n`);
          if (line.endsWith('go')) peer.end();
        }),
      );
      const welcomes: string[] = [];
      const socket = linesTo(port, {
        handshake: async (connection) => {
          const welcome = firstValueFrom(connection.inbound);
          await connection.write('HELLO');
          welcomes.push(await welcome);
        },
      });
      const connections = tape(socket.connections);
      const requests = make(socket);
      const others = tape(requests.unsolicited);
      expect(await ask(requests, 'go')).to.match(/go$/);
      await connections.at(1);
      expect(await ask(requests, 'again')).to.match(/again$/);
      expect([welcomes, others.values]).to.eql([['0 welcome 0', '0 welcome 1'], []]);
    });

    it('through connections that are reset at random: idempotent ones get their own replies, the others one outcome [S3]', async () => {
      for (const seed of seeds(5)) {
        const random = seededRandom(seed);
        const server = await listen((peer) => {
          let left = random.int(1, 30);
          eachLine(peer, (line) => {
            if (left-- > 0) peer.write(`${line}\n`);
            else if (left === -1) peer.resetAndDestroy();
          });
        });
        const socket = linesTo(server.port);
        const requests = make(socket, { retryLimit: Infinity, inFlight: 20 });
        const outcomes = await Promise.all(
          Array.from({ length: 200 }, (_, i) => {
            const resend = (['always', 'unsent', 'never'] as const)[i % 3]!;
            return ask(requests, `m${i}`, { resend }).catch((error: unknown) => error);
          }),
        );
        for (const [i, how] of outcomes.entries()) {
          const itself = typeof how === 'string' ? how.split(' ').at(-1) : how;
          if (i % 3 === 0 || typeof how === 'string') expect(itself, `seed ${seed}`).to.equal(`m${i}`);
          else expect(how).to.be.instanceOf(ConnectionLostError);
        }
        const { answered, failed, inFlight, waiting } = requests.stats();
        expect([answered + failed, inFlight, waiting]).to.eql([200, 0, 0]);
        socket.destroy();
        await server.close();
      }
    });

    it('go on by themselves when an outage is over, those that were never handed over', async () => {
      const server = await listen(sink);
      const socket = linesTo(server.port);
      const requests = make(socket);
      const errors = tape(socket.errors);
      await firstValueFrom(socket.connections);
      await server.close();
      await errors.first(({ code }) => code === 'TCP_CONNECT');
      const answer = ask(requests, 'a');
      await listen(echo, server.port);
      expect(await answer).to.match(/a$/);
    });
  });
}

describe('requests by id', () => {
  leavesNothingOpen();

  it('get their own replies from a peer that answers in another order', async () => {
    const { port } = await listen((peer) => {
      const open: string[] = [];
      eachLine(peer, (line) => {
        if (open.push(line) < 10) return;
        const random = seededRandom(open.length);
        const shuffled = open.splice(0).sort(() => random.next() - 0.5);
        peer.write(shuffled.map((text) => `${text}\n`).join(''));
      });
    });
    const requests = correlated(linesTo(port), BY_ID);
    const messages = Array.from({ length: 200 }, (_, i) => `m${i}`);
    const replies = await Promise.all(messages.map((message) => ask(requests, message)));
    expect(replies.map((reply) => reply.split(' ')[1])).to.eql(messages);
  });

  it('and frames without an id, which a slow reader holds back, replies too', async () => {
    const { port } = await listen((peer) =>
      eachLine(peer, (line) => peer.write(`${Array.from({ length: 50 }, (_, i) => `push ${i}\n`).join('')}${line}\n`)),
    );
    const socket = linesTo(port, { readBuffer: 5 });
    const requests = correlated(socket, BY_ID);
    let working = 0;
    let most = 0;
    const store = async (frame: string): Promise<string> => {
      most = Math.max(most, ++working);
      await new Promise((resolve) => setImmediate(resolve));
      working--;
      return frame;
    };
    const stored = tape(requests.unsolicited.pipe(pacedMap(socket, store)));
    expect(await ask(requests, 'a')).to.match(/a$/);
    await stored.at(49);
    expect([stored.values.length, most]).to.eql([50, 1]);
  });
});

describe('requests in order', () => {
  leavesNothingOpen();

  it('share the stream of an answer: each reply of a list comes to its request, then the next one’s', async () => {
    const { port } = await listen((peer) =>
      eachLine(peer, (line) => peer.write([1, 2, 3, 'END'].map((part) => `${line} ${part}\n`).join(''))),
    );
    const requests = pipelined(linesTo(port), { until: (reply) => reply.endsWith('END') });
    const all = await lastValueFrom(merge(requests.request('a'), requests.request('b')).pipe(toArray()));
    expect(all).to.eql(['a 1', 'a 2', 'a 3', 'a END', 'b 1', 'b 2', 'b 3', 'b END']);
  });

  it('whose stream is cut by a reset err after what came, and the next one is answered', async () => {
    const { port } = await listen((peer, index) =>
      eachLine(peer, (line) => {
        if (index === 0) peer.write(`${line} 1\n`, () => peer.end());
        else peer.write(`${line} END\n`);
      }),
    );
    const requests = pipelined(linesTo(port), { until: (reply) => reply.endsWith('END'), resend: 'always' });
    const cut = tape(requests.request('a'));
    await cut.end;
    expect([cut.values, cut.error]).to.satisfy(
      ([values, error]: [string[], unknown]) => values.join() === 'a 1' && error instanceof ConnectionLostError,
    );
    expect(await firstValueFrom(requests.request('b'))).to.equal('b END');
  });
});
