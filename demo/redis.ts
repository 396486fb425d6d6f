/** Commands, a transaction and published messages, with the Redis that is there: `npm run demo -- redis [host:port]`. */
import { firstValueFrom, lastValueFrom, map, merge, take, toArray } from 'rxjs';
import { redisClient } from './redis/client.js';
import type { Command } from './redis/command.js';
import { RedisError } from './redis/reply.js';

const KEY = `rx-tcp:demo:${process.pid}`;

export async function run(print: (line: string) => void = console.log, where = 'localhost:6379'): Promise<void> {
  const { hostname: host, port } = new URL(`redis://${where}`);
  const client = redisClient({ host, port: port === '' ? 6379 : Number(port) });
  const { connections, errors } = client.socket;
  const trouble = await firstValueFrom(merge(errors, connections.pipe(map(() => undefined))));
  if (trouble !== undefined) {
    client.socket.destroy();
    print(`There is no Redis for us at ${where}: ${trouble.message}`);
    print('To start one:  redis-server --port 6379 --save ""');
    process.exitCode = 1;
    return;
  }

  const ask = async (...command: Command): Promise<void> => {
    const reply = await firstValueFrom(client.command(...command)).catch((error: unknown) => error);
    const shown = reply instanceof RedisError ? reply.message : JSON.stringify(reply);
    print(`> ${command.join(' ').replaceAll(KEY, 'key')}\n< ${shown}`);
  };
  await ask('SET', KEY, 'grüße');
  await ask('GET', KEY);
  await ask('INCR', KEY);

  const keys = Array.from({ length: 10_000 }, (_, i) => `${KEY}:${i}`);
  await lastValueFrom(merge(...keys.map((key, i) => client.command('SET', key, i))));
  const values = await lastValueFrom(merge(...keys.map((key) => client.command('GET', key))).pipe(toArray()));
  print(
    `-- 10,000 values set and asked for at once, ${values.filter((value, i) => value === String(i)).length} are right`,
  );

  const replies = await firstValueFrom(
    client.multi([
      ['SET', KEY, 1],
      ['INCRBY', KEY, 41],
      ['GET', KEY],
    ]),
  );
  print(`-- a transaction: ${JSON.stringify(replies)}`);

  const news = lastValueFrom(client.subscribe(`${KEY}:news`).pipe(take(2), toArray()));
  await ask('PUBLISH', `${KEY}:news`, 'one');
  print('-- the connection is lost');
  client.socket.redial();
  await ask('PUBLISH', `${KEY}:news`, 'two');
  print(
    `-- heard over ${client.socket.stats().epoch} connections: ${JSON.stringify(await news).replaceAll(KEY, 'key')}`,
  );

  await firstValueFrom(client.command('DEL', KEY, ...keys));
  await client.end();
}
