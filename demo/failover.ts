/** Two servers that are killed in turn, and one socket that has an endpoint for each. */
import { filter, firstValueFrom, Subject } from 'rxjs';
import { lines, tcpServer, tcpSocket, type TcpServer } from '../lib/index.js';

type Name = 'anna' | 'otto';

const KILLS: Name[] = ['anna', 'otto', 'anna', 'otto'];

export async function run(print: (line: string) => void = console.log): Promise<void> {
  const arrivals = new Subject<{ name: Name; line: string }>();
  const arrived: Record<Name, string[]> = { anna: [], otto: [] };
  arrivals.subscribe(({ name, line }) => arrived[name].push(line));

  const servers = { anna: serverOf('anna', 0, arrivals), otto: serverOf('otto', 0, arrivals) };
  const { port: anna } = await servers.anna.listening;
  const { port: otto } = await servers.otto.listening;
  const ports = { anna, otto };
  const endpoints = [
    { host: 'localhost', port: anna },
    { host: 'localhost', port: otto },
  ];
  const socket = tcpSocket({ endpoints, codec: lines(), reconnect: { initialDelay: 1 } });

  let written = 0;
  const writeAndSee = async (): Promise<void> => {
    const line = String(++written);
    const arrival = firstValueFrom(arrivals.pipe(filter((each) => each.line === line)));
    void socket.write(line);
    print(`message ${line} arrived at ${(await arrival).name}`);
  };

  for (const name of KILLS) {
    await writeAndSee();
    const { closed } = await firstValueFrom(socket.connections);
    await servers[name].close({ timeout: 0 });
    print(`-- ${name} is killed`);
    await closed; // what the kernel takes for a dead server counts as written, and is lost
    await writeAndSee();
    servers[name] = serverOf(name, ports[name], arrivals);
    await servers[name].listening;
  }

  await socket.end();
  await Promise.all([servers.anna.close(), servers.otto.close()]);
  print(
    `${socket.stats().framesWritten} written: anna has ${arrived.anna.join(' ')}, otto has ${arrived.otto.join(' ')}`,
  );
}

function serverOf(
  name: Name,
  port: number,
  arrivals: Subject<{ name: Name; line: string }>,
): TcpServer<string, string> {
  const server = tcpServer({ port, codec: lines() });
  server.connections.subscribe((peer) => peer.inbound.subscribe((line) => arrivals.next({ name, line })));
  return server;
}
