import { redisClient } from '../../demo/redis/client.js';
import { rawSocket } from '../ends.js';
import { ioredis, nodeRedis } from '../npm.js';
import { lacksRedis, startRedis } from '../redis-server.js';
import { verify, type Bench, type Goal, type Workload } from '../workload.js';

const KEYS = 1000;

/** Asks Redis; `done` is called with what came: `'OK'`, or the value. */
interface Client {
  set(key: string, value: string, done: (reply: unknown) => void): void;
  get(key: string, done: (reply: unknown) => void): void;
  end(): unknown;
}

/** SET and GET in turn, so many in flight all the time: each reply is followed by the next command. */
export function redis(size: number, inFlight: number, goals: readonly Goal[] = []): Workload {
  const run = (open: (port: number) => Client | Promise<Client>) => (bench: Bench) =>
    asking(bench, size, inFlight, open);
  return {
    name: `redis SET and GET of ${size === 16 ? '16 B' : '4 KiB'}, ${inFlight.toLocaleString('en')} in flight`,
    metrics: [
      { unit: 'commands/s', goals },
      { unit: 'µs of CPU a command', better: 'less' },
      { unit: 'µs, p99', better: 'less' },
    ],
    lacks: lacksRedis,
    ours: run(ours),
    raw: run((port) => raw(port, size)),
    rivals: [
      { name: 'ioredis', needs: 'ioredis', run: run(viaIoredis) },
      { name: 'redis', needs: 'redis', run: run(viaNodeRedis) },
    ],
  };
}

function ours(port: number): Client {
  const client = redisClient({ host: '127.0.0.1', port });
  const failed = (error: unknown): void => {
    throw error;
  };
  return {
    set: (key, value, next) => void client.command('SET', key, value).subscribe({ next, error: failed }),
    get: (key, next) => void client.command('GET', key).subscribe({ next, error: failed }),
    end: () => client.end(),
  };
}

function viaIoredis(port: number): Client {
  const client = ioredis(port);
  return {
    set: (key, value, done) => void client.set(key, value).then(done),
    get: (key, done) => void client.get(key).then(done),
    end: () => client.disconnect(),
  };
}

async function viaNodeRedis(port: number): Promise<Client> {
  const client = nodeRedis(port);
  await client.connect();
  return {
    set: (key, value, done) => void client.set(key, value).then(done),
    get: (key, done) => void client.get(key).then(done),
    end: () => client.destroy(),
  };
}

/** Commands written as they come, and replies told apart by their lengths alone: the least that a client must do. */
async function raw(port: number, size: number): Promise<Client> {
  const socket = await rawSocket(port);
  const expected: { readonly bytes: number; readonly done: (reply: unknown) => void; readonly reply: string }[] = [];
  const value = valueOf(size);
  const valueBytes = `$${size}\r\n${value}\r\n`.length;
  let [next, come] = [0, 0];
  socket.on('data', (chunk) => {
    come += chunk.length;
    for (let first = expected[next]; first !== undefined && come >= first.bytes; first = expected[next]) {
      come -= first.bytes;
      next++;
      first.done(first.reply);
    }
    if (next === expected.length) next = expected.length = 0;
  });
  const ask = (command: string, bytes: number, reply: string, done: (reply: unknown) => void): void => {
    expected.push({ bytes, done, reply });
    socket.write(command);
  };
  return {
    set: (key, text, done) =>
      ask(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${text.length}\r\n${text}\r\n`, 5, 'OK', done),
    get: (key, done) => ask(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`, valueBytes, value, done),
    end: () => socket.destroy(),
  };
}

const valueOf = (size: number): string => 'x'.repeat(size);

/** Commands a second, CPU a command, and the 99th percentile; first as long again without measuring, for compilers to settle. */
async function asking(
  { ms }: Bench,
  size: number,
  inFlight: number,
  open: (port: number) => Client | Promise<Client>,
): Promise<readonly number[]> {
  const server = await startRedis();
  const client = await open(server.port);
  const value = valueOf(size);
  const keys = Array.from({ length: KEYS }, (_, i) => `key:${i}`);
  await Promise.all(keys.map((key) => new Promise((done) => client.set(key, value, done))));
  await playing(client, keys, value, inFlight, ms);
  const cpu = process.cpuUsage();
  const start = performance.now();
  const trips = await playing(client, keys, value, inFlight, ms);
  const elapsed = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  await client.end();
  await server.stop();
  trips.sort((a, b) => a - b);
  const p99 = (trips[Math.floor(trips.length * 0.99)] ?? NaN) * 1000;
  return [(trips.length * 1000) / elapsed, (user + system) / trips.length, p99];
}

/** Asks until the time is up and waits for the last reply; how many ms each took. */
async function playing(
  client: Client,
  keys: readonly string[],
  value: string,
  inFlight: number,
  ms: number,
): Promise<number[]> {
  const trips: number[] = [];
  let [wrong, asked] = [0, 0];
  const start = performance.now();
  await new Promise<void>((over) => {
    const ask = (): void => {
      const key = keys[asked % KEYS] ?? '';
      const sets = asked++ % 2 === 0;
      const askedAt = performance.now();
      const answered = (reply: unknown): void => {
        const now = performance.now();
        trips.push(now - askedAt);
        if (reply !== (sets ? 'OK' : value)) wrong++;
        if (now - start < ms) ask();
        else if (trips.length === asked) over();
      };
      if (sets) client.set(key, value, answered);
      else client.get(key, answered);
    };
    for (let i = 0; i < inFlight; i++) ask();
  });
  verify('wrong replies', wrong, 0);
  return trips;
}
