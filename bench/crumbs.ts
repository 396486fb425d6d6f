import type { Framing } from './framing.js';
import { verify, type Bench, type Workload } from './workload.js';

const FRAMES = 4000;

/** Frames that come byte by byte, without a socket: twice as many take twice as long, or work is done again and again. */
export function crumbs<M>({ name, codec, wire }: Framing<M>): Workload {
  const decode = (bytes: Buffer, frames: number): number => {
    const decoder = codec.decoder(() => undefined);
    let got = 0;
    const start = cpuNow();
    for (let i = 0; i < bytes.length; i++) {
      decoder.push(bytes.subarray(i, i + 1));
      while (decoder.next() !== undefined) got++;
    }
    const elapsed = Math.max(0.001, cpuNow() - start);
    verify('frames', got, frames);
    return elapsed;
  };
  const ours = ({ amount }: Bench): Promise<readonly number[]> => {
    const frames = amount(FRAMES);
    const once = decode(Buffer.alloc(frames * wire.length, wire), frames);
    const twice = decode(Buffer.alloc(2 * frames * wire.length, wire), 2 * frames);
    return Promise.resolve([(2 * frames * wire.length * 1000) / twice, twice / once]);
  };
  return {
    name: `decode ${name}, byte by byte`,
    metrics: [{ unit: 'bytes/s' }, { unit: 'times the time of half', better: 'less', goals: [{ bound: 2.3 }] }],
    ours,
  };
}

/** Milliseconds of CPU: work is compared here, and other processes do none of it. */
function cpuNow(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
