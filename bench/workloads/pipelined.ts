import { ourSocket, rawSocket } from '../ends.js';
import { verify, type Bench, type Workload } from '../workload.js';

const message = Buffer.alloc(64, 'x');
const IN_FLIGHT = 1000;

/** Echoes with 1,000 in flight: for each that came back the next one is sent. */
export const pipelined: Workload = {
  name: 'echo 64 B, 1,000 in flight',
  metrics: [{ unit: 'messages/s' }],
  ours: (bench) =>
    flowing(bench, async (port, received) => {
      const socket = await ourSocket(port);
      socket.inbound.subscribe((chunk) => received(chunk.length));
      return {
        send: (count) => {
          for (let i = 0; i < count; i++) socket.outbound.next(message);
        },
        end: () => socket.destroy(),
      };
    }),
  raw: (bench) => flowing(bench, (port, received) => rawFlow(port, received, false)),
  rivals: [{ name: 'corked', run: (bench) => flowing(bench, (port, received) => rawFlow(port, received, true)) }],
};

interface Flow {
  send(count: number): void;
  end(): void;
}

async function rawFlow(port: number, received: (bytes: number) => void, corked: boolean): Promise<Flow> {
  const socket = await rawSocket(port);
  socket.on('data', (chunk) => received(chunk.length));
  return {
    send: (count) => {
      if (corked) socket.cork();
      for (let i = 0; i < count; i++) socket.write(message);
      if (corked) socket.uncork();
    },
    end: () => void socket.destroy(),
  };
}

/** Sends until the time is up and waits for the last echo; messages a second. */
async function flowing(
  { peer, ms }: Bench,
  open: (port: number, received: (bytes: number) => void) => Promise<Flow>,
): Promise<readonly number[]> {
  const port = await peer.serve({ kind: 'echo' });
  const start = performance.now();
  let [sent, back, partial] = [0, 0, 0];
  let over: () => void;
  const done = new Promise<void>((resolve) => (over = resolve));
  const send = (count: number): void => {
    sent += count;
    flow.send(count);
  };
  const flow = await open(port, (bytes) => {
    partial += bytes;
    const whole = Math.floor(partial / message.length);
    partial -= whole * message.length;
    back += whole;
    if (performance.now() - start < ms) send(whole);
    else if (back >= sent) over();
  });
  send(IN_FLIGHT);
  await done;
  const elapsed = performance.now() - start;
  flow.end();
  verify('messages that came back', back, sent);
  verify('bytes left over', partial, 0);
  return [(back * 1000) / elapsed];
}
