/** How writing is measured: in bursts, each in a turn of the event loop of its own and awaited until it is written. */
import { setImmediate } from 'node:timers/promises';
import { verify, type Bench, type Run } from './workload.js';

/** One contestant, connected. */
export interface Sender {
  /** Hands one burst over; resolves when it is written. */
  readonly burst: () => Promise<void>;
  /** Ends the connection with a FIN. */
  readonly end: () => void;
}

/** What a burst is made of. */
export interface Load {
  /** Messages in a burst. */
  readonly messages: number;
  /** Bytes of one message on the wire. */
  readonly size: number;
  /** Whether each burst waits for a turn of its own. @default true */
  readonly turns?: boolean;
}

/** Sends bursts until the time is up; messages a second. Every byte of them must arrive. */
export function sending({ messages, size, turns = true }: Load, open: (port: number) => Promise<Sender>): Run {
  return async ({ peer, ms }: Bench) => {
    const port = await peer.serve({ kind: 'sink' });
    const sender = await open(port);
    const start = performance.now();
    let bursts = 0;
    let elapsed = 0;
    while (elapsed < ms || bursts === 0) {
      if (turns) await setImmediate();
      await sender.burst();
      bursts++;
      elapsed = performance.now() - start;
    }
    sender.end();
    verify('bytes that arrived', await peer.received(port), bursts * messages * size);
    return [(bursts * messages * 1000) / elapsed];
  };
}
