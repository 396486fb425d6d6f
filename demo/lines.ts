/** A chat room: each message is a line, and the first line that a guest writes is their name. */
import { firstValueFrom } from 'rxjs';
import { lines, tcpServer, tcpSocket, type Connection, type TcpServer, type TcpSocket } from '../lib/index.js';

export async function run(print: (line: string) => void = console.log): Promise<void> {
  const room = chatRoom();
  const { port } = await room.listening;
  const guests = new Map<string, TcpSocket<string, string>>();

  // Without a subscriber a line waits in the guest's socket, so that asking for one at a time misses none.
  const heardByAll = async (): Promise<void> => {
    const heard = await Promise.all([...guests.values()].map((guest) => firstValueFrom(guest.inbound)));
    for (const line of new Set(heard)) print(`${line.padEnd(34)} heard by ${[...guests.keys()].join(', ')}`);
  };
  const say = async (name: string, line: string): Promise<void> => {
    void guests.get(name)?.write(line);
    await heardByAll();
  };

  for (const name of ['ann', 'bob', 'eve']) {
    guests.set(name, tcpSocket({ host: 'localhost', port, codec: lines(), name }));
    await say(name, name);
  }
  await say('ann', 'hello, bob');
  await say('bob', 'hello, ann! and who is eve?');

  const eve = guests.get('eve');
  guests.delete('eve');
  await eve?.end();
  await heardByAll();
  await say('ann', 'a quiet one');

  await Promise.all([...guests.values()].map((guest) => guest.end()));
  await room.close();
}

function chatRoom(): TcpServer<string, string> {
  const server = tcpServer({ codec: lines() });
  const names = new Map<Connection<string, string>, string>();
  const tellAll = (line: string): void => {
    for (const guest of names.keys()) void guest.write(line);
  };
  server.connections.subscribe((guest) => {
    guest.inbound.subscribe({
      next: (line) => {
        const name = names.get(guest);
        if (name === undefined) names.set(guest, line);
        tellAll(name === undefined ? `* ${line} comes in` : `${name}: ${line}`);
      },
      complete: () => {
        const name = names.get(guest) ?? 'somebody';
        names.delete(guest);
        tellAll(`* ${name} leaves`);
      },
    });
  });
  return server;
}
