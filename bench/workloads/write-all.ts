import { ourSocket, rawSocket } from '../ends.js';
import { verify, type Bench, type Workload } from '../workload.js';

const message = Buffer.alloc(64 * 1024, 'x');
const MESSAGES = 4096;

/** A source that is pulled, against a loop that writes until it must wait for `drain`. */
export const writeAll: Workload = {
  name: 'write 64 KiB, writeAll',
  metrics: [{ unit: 'MiB/s', goals: [{ against: 'raw', bound: 0.92 }] }],
  ours: (bench) =>
    moving(bench, async (port, count) => {
      const socket = await ourSocket(port, { writeBuffer: 1000 });
      return {
        all: () => socket.writeAll(messages(count)),
        end: () => void socket.end(),
      };
    }),
  raw: (bench) =>
    moving(bench, async (port, count) => {
      const socket = await rawSocket(port);
      return {
        all: () =>
          new Promise((resolve) => {
            let left = count;
            const more = (): void => {
              while (left-- > 1) if (!socket.write(message)) return void socket.once('drain', more);
              socket.write(message, () => resolve());
            };
            more();
          }),
        end: () => void socket.end(),
      };
    }),
};

function* messages(count: number): Generator<Buffer> {
  for (let i = 0; i < count; i++) yield message;
}

interface Mover {
  readonly all: () => Promise<void>;
  readonly end: () => void;
}

async function moving(
  { peer, amount }: Bench,
  open: (port: number, count: number) => Promise<Mover>,
): Promise<readonly number[]> {
  const port = await peer.serve({ kind: 'sink' });
  const count = amount(MESSAGES);
  const { all, end } = await open(port, count);
  const start = performance.now();
  await all();
  const seconds = (performance.now() - start) / 1000;
  end();
  verify('bytes that arrived', await peer.received(port), count * message.length);
  return [(count * message.length) / 1024 ** 2 / seconds];
}
