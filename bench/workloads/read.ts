import { bytes } from '../../lib/index.js';
import { ourDialling, rawDialling } from '../ends.js';
import { verify, type Bench, type Run, type Workload } from '../workload.js';

const BLOCK = 256 * 1024;
const BLOCKS = 2048;
const GIB = 1024 ** 3;

/** A source that sends as fast as it is read: into chunks that are the reader's to keep, or, with `lend`, good within its `next`. */
export const read = (lend: boolean): Workload => ({
  name: lend ? 'read in bulk, bytes({ lend })' : 'read in bulk, bytes()',
  metrics: [
    { unit: 'MiB/s', goals: [{ against: 'raw', bound: goalOf(process.version) }] },
    { unit: 'CPU ms/GiB', better: 'less' },
  ],
  ours: reading((port, chunk, ended) => {
    const socket = ourDialling(port, { reconnect: false, codec: bytes({ lend }) });
    socket.inbound.subscribe({ next: ({ length }) => chunk(length), complete: ended, error: ended });
  }),
  raw: reading((port, chunk, ended) => {
    rawDialling(port)
      .on('data', (bytes) => chunk(bytes.length))
      .on('end', ended);
  }),
  rivals: [
    {
      name: 'onread',
      run: reading((port, chunk, ended) => {
        const buffer = Buffer.allocUnsafeSlow(64 * 1024);
        const callback = (bytes: number): boolean => (chunk(bytes), true);
        rawDialling(port, { onread: { buffer, callback } }).on('end', ended).resume();
      }),
    },
  ],
});

/** From Node 24 on `data` events cost more than they need to. */
function goalOf(version: string): number {
  return Number(/^v(\d+)/.exec(version)?.[1]) >= 24 ? 1.2 : 0.95;
}

/** Reads it all; MiB a second, and milliseconds of CPU for each GiB. */
function reading(open: (port: number, chunk: (bytes: number) => void, ended: () => void) => void): Run {
  return async ({ peer, amount }: Bench) => {
    const repeat = amount(BLOCKS);
    const port = await peer.serve({ kind: 'source', unit: Buffer.alloc(BLOCK, 'x').toString('base64'), repeat });
    const cpu = process.cpuUsage();
    const start = performance.now();
    let bytes = 0;
    await new Promise<void>((resolve) => open(port, (more) => (bytes += more), resolve));
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    verify('bytes read', bytes, repeat * BLOCK);
    return [bytes / 1024 ** 2 / seconds, ((user + system) / 1000) * (GIB / bytes)];
  };
}
