/** The workloads, in the order of the table. */
import { crumbs } from './crumbs.js';
import { decoding } from './decoding.js';
import { encoding } from './encoding.js';
import type { Framing } from './framing.js';
import { delimited } from './framings/delimited.js';
import { fixedLength } from './framings/fixed-length.js';
import { jsonLines } from './framings/json-lines.js';
import { lengthPrefixed } from './framings/length-prefixed.js';
import { lines, linesSliced } from './framings/lines.js';
import { netstrings } from './framings/netstrings.js';
import { varintPrefixed } from './framings/varint-prefixed.js';
import type { Goal, Workload } from './workload.js';
import { backlog } from './workloads/backlog.js';
import { drops } from './workloads/drops.js';
import { echo } from './workloads/echo.js';
import { pipelined } from './workloads/pipelined.js';
import { read } from './workloads/read.js';
import { redis } from './workloads/redis.js';
import { slowConsumer } from './workloads/slow-consumer.js';
import { sockets } from './workloads/sockets.js';
import { readTls, writeTls } from './workloads/tls.js';
import { writeAll } from './workloads/write-all.js';
import { write, writeAwaited } from './workloads/write.js';

/** What 64 B in bursts are to reach. */
const writeGoals: Readonly<Record<number, readonly Goal[]>> = {
  1: [{ against: 'raw', bound: 0.9 }],
  100: [{ against: 'raw', bound: 18 }],
  1000: [
    { against: 'raw', bound: 30 },
    { against: 'corked', bound: 1 },
  ],
};

/** What the Redis client is to reach. */
const redisGoals: Readonly<Record<number, readonly Goal[]>> = {
  1: [
    { against: 'ioredis', bound: 1 },
    { against: 'redis', bound: 1 },
  ],
  1000: [
    { against: 'ioredis', bound: 1.5 },
    { against: 'redis', bound: 3 },
  ],
};

export const workloads: readonly Workload[] = [
  ...[16, 64, 1024, 64 * 1024].flatMap((size) =>
    [1, 10, 100, 1000].map((messages) => write(size, messages, size === 64 ? writeGoals[messages] : [])),
  ),
  writeAwaited(64),
  writeAll,
  ...eachFraming(encoding),
  read(false),
  read(true),
  writeTls,
  readTls,
  decoding(linesSliced),
  ...eachFraming(decoding),
  ...eachFraming(crumbs),
  echo,
  pipelined,
  sockets,
  backlog,
  slowConsumer,
  drops,
  ...[16, 4096].flatMap((size) => [1, 50, 1000].map((depth) => redis(size, depth, redisGoals[depth]))),
];

/** What is done with every framing. */
function eachFraming(measure: <M>(framing: Framing<M>) => Workload): Workload[] {
  const bodies = [lengthPrefixed, varintPrefixed, netstrings, delimited, fixedLength].map((one) => measure(one));
  return [measure(lines), measure(jsonLines), ...bodies];
}
