import type { Socket } from 'node:net';
import { sending, type Load, type Sender } from './bursts.js';
import { ourSocket, rawSocket } from './ends.js';
import type { Framing } from './framing.js';
import type { Workload } from './workload.js';

/** Messages of a burst. */
export const BURST = 1000;

/** Messages encoded and written, in bursts of 1,000: against a loop that encodes by hand and writes each, and the same corked. */
export function encoding<M>(framing: Framing<M>): Workload {
  const { name, codec, message, wire, encodeRivals = [], encodeGoals = [] } = framing;
  const load: Load = { messages: BURST, size: wire.length };
  return {
    name: `encode ${name}, 64 B`,
    metrics: [{ unit: 'messages/s', goals: encodeGoals }],
    ours: sending(load, async (port) => {
      const socket = await ourSocket(port, { codec });
      return {
        burst: () => {
          for (let i = 0; i < BURST; i++) socket.outbound.next(message);
          return socket.flush();
        },
        end: () => void socket.end(),
      };
    }),
    raw: sending(load, async (port) => byHand(await rawSocket(port), framing)),
    rivals: [
      {
        name: 'corked',
        run: sending(load, async (port) => {
          const socket = await rawSocket(port);
          const { burst, end } = byHand(socket, framing);
          return {
            burst: () => {
              socket.cork();
              const written = burst();
              socket.uncork();
              return written;
            },
            end,
          };
        }),
      },
      ...encodeRivals,
    ],
  };
}

function byHand<M>(socket: Socket, { encode, message }: Framing<M>): Sender {
  return {
    burst: () => {
      for (let i = 1; i < BURST; i++) socket.write(encode(message));
      return new Promise((resolve) => socket.write(encode(message), () => resolve()));
    },
    end: () => void socket.end(),
  };
}
