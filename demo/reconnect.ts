/** A server that dies three times while numbered messages are written to it. */
import type { Socket } from 'node:net';
import { filter, firstValueFrom, Subject } from 'rxjs';
import { lines, tcpServer, tcpSocket, type Connection, type TcpServer } from '../lib/index.js';

type Peer = Connection<string, string>;

/** What a message meets that is written in the moment of death: a kernel that takes it for nobody, or an error. */
const DEATHS = {
  'closes its connection': (peer: Peer) => peer.destroy(),
  'resets its connection': (peer: Peer) => void (peer.raw as Socket).resetAndDestroy(),
  'closes its connection again': (peer: Peer) => peer.destroy(),
};

export async function run(print: (line: string) => void = console.log): Promise<void> {
  const arrivals = new Subject<{ peer: Peer; line: string }>();
  let [written, arrived] = [0, 0];
  arrivals.subscribe(({ line }) => print(`                 arrived: ${line} (${++arrived} so far)`));

  let server = serverOn(0, arrivals);
  const { port } = await server.listening;
  // A delay that neither grows nor depends on chance: each run prints the same.
  const socket = tcpSocket({ host: 'localhost', port, codec: lines(), reconnect: { factor: 1, jitter: 0 } });
  socket.status.subscribe(({ type }) => print(`status: ${type}`));
  socket.errors.subscribe(({ code }) => print(`error:  ${code}`));
  const write = (): void => {
    print(`write:  message ${++written}`);
    void socket.write(`message ${written}`);
  };
  const lastOneArrives = () => firstValueFrom(arrivals.pipe(filter(({ line }) => line === `message ${written}`)));

  for (const [how, die] of Object.entries(DEATHS)) {
    write();
    const { peer } = await lastOneArrives();
    print(`-- the server ${how} and is gone`);
    die(peer);
    write();
    await server.close();
    await firstValueFrom(
      socket.status.pipe(filter((now) => now.type === 'backoff' && now.cause.code === 'TCP_CONNECT')),
    );
    write();
    print('-- the server is back');
    await (server = serverOn(port, arrivals)).listening;
    await lastOneArrives();
  }

  await socket.end();
  await server.close();
  const { framesWritten, framesRetried } = socket.stats();
  print('A message that the kernel took as its server died counts as written, and never arrived.');
  print(`written ${framesWritten}, arrived ${arrived}, written again ${framesRetried}`);
}

function serverOn(port: number, arrivals: Subject<{ peer: Peer; line: string }>): TcpServer<string, string> {
  const server = tcpServer({ port, codec: lines() });
  server.connections.subscribe((peer) => peer.inbound.subscribe((line) => arrivals.next({ peer, line })));
  return server;
}
