/** How decoding is measured: a source sends frames as fast as they are read, and each of them is looked at. */
import { verify, type Bench, type Run } from './workload.js';

const FRAMES = 1_000_000;

/** What the source sends. */
export interface Stream {
  /** One frame. */
  readonly wire: Buffer;
  /** What `frame` is to be told of each. */
  readonly size: number;
}

/** Reads until all frames are there; frames a second. `frame` is told the size of each. */
export function receiving(
  { wire, size }: Stream,
  open: (port: number, frame: (size: number) => void) => void | Promise<void>,
): Run {
  return async ({ peer, amount }: Bench) => {
    const repeat = amount(FRAMES);
    const port = await peer.serve({ kind: 'source', unit: wire.toString('base64'), repeat });
    const start = performance.now();
    let sizes = 0;
    let end = 0;
    await new Promise<void>((resolve, reject) => {
      let frames = 0;
      const frame = (one: number): void => {
        sizes += one;
        if (++frames !== repeat) return;
        end = performance.now();
        resolve();
      };
      void Promise.resolve(open(port, frame)).catch(reject);
    });
    verify('size of all frames', sizes, repeat * size);
    return [(repeat * 1000) / (end - start)];
  };
}
