import { once } from 'node:events';
import type { TcpSocketConnectOpts } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { certificate } from '../certificate.js';
import { ourDialling, ourSocket } from '../ends.js';
import { verify, type Bench, type Workload } from '../workload.js';

const BLOCK = Buffer.alloc(64 * 1024, 'x');
const GIB = 1024 ** 3;
/** 1 GiB in a whole run. */
const BLOCKS = GIB / BLOCK.length;
const METRICS: Workload['metrics'] = [
  { unit: 'MiB/s', goals: [{ against: 'raw', bound: 0.95 }] },
  { unit: 'CPU ms/GiB', better: 'less' },
];

/** What an end does with a connection that is open or being opened: resolves when all is written or read. */
type Move = (port: number, ca: string, blocks: number) => Promise<void>;

/** Writes as much as is taken. */
export const writeTls: Workload = {
  name: 'write 64 KiB through TLS, writeAll',
  metrics: METRICS,
  ours: writing(async (port, ca, blocks) => {
    const socket = await ourSocket(port, { host: 'localhost', tls: { ca }, writeBuffer: 1000 });
    await socket.writeAll(messages(blocks));
    await socket.end();
  }),
  raw: writing(async (port, ca, blocks) => {
    const socket = rawTls(port, ca);
    await once(socket, 'secureConnect');
    for (let left = blocks; left > 0; left--) if (!socket.write(BLOCK)) await once(socket, 'drain');
    socket.end().resume();
    await once(socket, 'close');
  }),
};

/** Reads as fast as it comes. */
export const readTls: Workload = {
  name: 'read in bulk through TLS, bytes()',
  metrics: METRICS,
  ours: reading(
    (port, ca, blocks) =>
      new Promise((resolve) => {
        let bytes = 0;
        const socket = ourDialling(port, { host: 'localhost', tls: { ca }, reconnect: false });
        const ended = (): void => {
          verify('bytes read', bytes, blocks * BLOCK.length);
          resolve();
        };
        socket.inbound.subscribe({ next: ({ length }) => (bytes += length), complete: ended, error: ended });
      }),
  ),
  raw: reading(
    (port, ca, blocks) =>
      new Promise((resolve) => {
        let bytes = 0;
        const ended = (): void => {
          verify('bytes read', bytes, blocks * BLOCK.length);
          resolve();
        };
        rawTls(port, ca)
          .on('data', ({ length }: Buffer) => (bytes += length))
          .on('end', ended);
      }),
  ),
};

function writing(move: Move): Workload['ours'] {
  return async (bench) => {
    const tls = await certificate();
    const port = await bench.peer.serve({ kind: 'sink', tls });
    const blocks = bench.amount(BLOCKS);
    const figures = await measured(blocks, () => move(port, tls.cert, blocks));
    verify('bytes that arrived', await bench.peer.received(port), blocks * BLOCK.length);
    return figures;
  };
}

function reading(move: Move): Workload['ours'] {
  return async ({ peer, amount }: Bench) => {
    const tls = await certificate();
    const blocks = amount(BLOCKS);
    const port = await peer.serve({ kind: 'source', unit: BLOCK.toString('base64'), repeat: blocks, tls });
    return measured(blocks, () => move(port, tls.cert, blocks));
  };
}

async function measured(blocks: number, work: () => Promise<void>): Promise<readonly number[]> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const bytes = blocks * BLOCK.length;
  return [bytes / 1024 ** 2 / seconds, ((user + system) / 1000) * (GIB / bytes)];
}

function rawTls(port: number, ca: string): TLSSocket {
  const options: ConnectionOptions & Pick<TcpSocketConnectOpts, 'noDelay'> = {
    port,
    host: 'localhost',
    ca,
    noDelay: true,
  };
  return connect(options).on('error', () => undefined);
}

function* messages(count: number): Generator<Buffer> {
  for (let i = 0; i < count; i++) yield BLOCK;
}
