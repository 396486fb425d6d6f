/** What a handshake has read ahead, and what ends while it runs: nothing of it is lost, and nothing is opened that is ending. */
import { once } from 'node:events';
import { expect } from 'chai';
import { EMPTY, filter, first, firstValueFrom, from, type ObservableInput } from 'rxjs';
import { lines, tcpSocket, type Connection } from '../../lib/index.js';
import { kept, leavesNothingOpen, turns } from '../support/fixture.js';
import { listen, recordingServer } from '../support/servers.js';
import { tape } from '../support/tape.js';

type Line = Connection<string, string>;
type Shaking = (connection: Line) => ObservableInput<unknown>;

const host = '127.0.0.1';
const isOk = (line: string): boolean => line === 'ok';

describe('a handshake that reads ahead', () => {
  leavesNothingOpen();

  const ways: readonly (readonly [name: string, handshake: Shaking])[] = [
    ['inbound with first()', (connection) => connection.inbound.pipe(first(isOk))],
    ['the connection itself as an Observable, with first()', (connection) => from(connection).pipe(first(isOk))],
    ['a loop that is left', async (connection) => { for await (const line of connection) if (isOk(line)) break; }], // prettier-ignore
    ['an iterator that is given back only later', async (connection) => {
      const iterator = connection[Symbol.asyncIterator]();
      await iterator.next();
      void turns(2).then(() => iterator.return?.());
    }], // prettier-ignore
  ];
  for (const [name, handshake] of ways) {
    it(`by ${name} gives what it did not take to \`inbound\`, in order [S1][S6]`, async () => {
      const server = await listen((peer) => void peer.resume().write('ok\nA\nB\nC\n'));
      const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), handshake }));
      const inbound = tape(socket.inbound);
      await inbound.at(2);
      (await server.socket(0)).write('D\n');
      await inbound.at(3);
      expect(inbound.values).to.eql(['A', 'B', 'C', 'D']);
    });
  }

  it('gives nothing back that somebody else has heard: a reader who stays hears every frame once [S1][S6]', async () => {
    const server = await listen((peer) => void peer.resume().write('ok\nA\nB\n'));
    const heard: string[] = [];
    const handshake: Shaking = async (connection) => {
      connection.inbound.subscribe((line) => heard.push(line));
      for await (const line of connection) if (isOk(line)) break;
    };
    const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), handshake }));
    const inbound = tape(socket.inbound);
    await firstValueFrom(socket.connections);
    (await server.socket(0)).write('C\n');
    await inbound.first((line) => line === 'C');
    expect(heard).to.eql(['ok', 'A', 'B', 'C']);
  });

  it('loses nothing of it if the peer ends meanwhile and the socket is half open [S1][S6]', async () => {
    const { port } = await listen((peer) => void peer.resume().end('ok\nA\nB\n'));
    const ended = (connection: Line): Promise<unknown> => once(connection.raw, 'end');
    const handshakes: readonly Shaking[] = [
      async (connection) => {
        const end = ended(connection);
        for await (const line of connection) if (isOk(line)) break;
        await end;
      },
      async (connection) => {
        const end = ended(connection);
        for await (const line of connection) {
          await end;
          if (isOk(line)) break;
        }
      },
    ];
    for (const handshake of handshakes) {
      const socket = kept(tcpSocket({ host, port, codec: lines(), handshake, socket: { allowHalfOpen: true } }));
      const inbound = tape(socket.inbound);
      await inbound.at(1);
      expect(inbound.values).to.eql(['A', 'B']);
    }
  });
});

describe('a handshake that is done on a connection that is ending', () => {
  leavesNothingOpen();

  const ends: readonly (readonly [name: string, end: (connection: Line) => Promise<unknown>])[] = [
    ['by its own end()', (connection) => Promise.resolve(void connection.end())],
    ['by the FIN of the peer', (connection) => once(connection.raw, 'end')],
  ];
  for (const [name, end] of ends) {
    it(`${name} has failed: nothing is written to it, and the next gets the message [S2][S8]`, async () => {
      const server = await recordingServer((peer, index) => {
        if (index === 0) peer.resume().end();
        return index === 0;
      });
      let shaken = 0;
      const handshake = (connection: Line): ObservableInput<unknown> => (shaken++ === 0 ? end(connection) : EMPTY);
      const reconnect = { initialDelay: 1, maxDelay: 2 };
      const socket = kept(tcpSocket({ host, port: server.port, codec: lines(), retryLimit: 0, reconnect, handshake }));
      const [errors, statuses] = [tape(socket.errors), tape(socket.status)];
      await socket.write('hello');
      await (await server.recording(1)).has('hello\n');
      const failed = await errors.first(({ code }) => code === 'TCP_CONNECT');
      expect(failed).to.include({ phase: 'handshake' });
      const opened = await firstValueFrom(from(statuses.values).pipe(filter(({ type }) => type === 'open')));
      expect(opened).to.include({ epoch: 1 });
      expect(errors.values.map(({ code }) => code)).to.eql(['TCP_CONNECT']);
    });
  }
});
