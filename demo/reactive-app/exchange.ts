/** The other end of the app: an exchange that tells numbered trades, takes numbered orders, and fails on demand. */
import type { Socket } from 'node:net';
import { firstValueFrom, interval, timer } from 'rxjs';
import { lines, mapCodec, tcpServer, type Codec, type Connection, type TcpServer } from '../../lib/index.js';

export interface Trade {
  readonly no: number;
  readonly shares: number;
}
export interface Order {
  readonly no: number;
}

/** A line of JSON for each message. */
export function json<In, Out>(): Codec<In, Out> {
  const decode = (line: string) => JSON.parse(line) as In;
  return mapCodec(lines(), { decode, encode: (message: Out) => JSON.stringify(message) });
}

/** Listens at once. `made` is what it did; `endTrading` ends that, while orders are still taken. */
export async function exchange() {
  const members = new Set<Connection<Order, Trade>>();
  const made = { trades: 0, orders: [] as number[] };

  const open = (port: number): TcpServer<Order, Trade> => {
    const opened = tcpServer({ port, codec: json<Order, Trade>() });
    opened.connections.subscribe((member) => {
      members.add(member);
      member.inbound.subscribe(({ no }) => made.orders.push(no));
      void member.closed.then(() => members.delete(member));
    });
    return opened;
  };
  let server = open(0);
  const { port } = await server.listening;

  const trading = interval(20).subscribe(() => {
    const trade = { no: ++made.trades, shares: (made.trades * 37) % 100 };
    for (const member of members) void member.write(trade);
  });

  const faults = {
    'resets the connection': () => members.forEach(({ raw }) => (raw as Socket).resetAndDestroy()),
    'falls silent, and reads no more': () => members.forEach((member) => member.pause() && members.delete(member)),
    'goes down for a second': async () => {
      await server.close({ timeout: 0 });
      await firstValueFrom(timer(1_000));
      server = open(port);
    },
  };
  const endTrading = () => trading.unsubscribe();
  return { port, made, faults, endTrading, close: () => server.close() };
}
