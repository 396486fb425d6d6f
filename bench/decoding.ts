import { map } from 'rxjs';
import { ourDialling, rawDialling } from './ends.js';
import type { Framing } from './framing.js';
import { receiving, type Stream } from './frames.js';
import type { Workload } from './workload.js';

/** Frames of 64 bytes read and decoded, through `inbound.pipe(map)`: against a loop by hand over `data`. */
export function decoding<M>({ name, codec, message, wire, size, decoder, ...more }: Framing<M>): Workload {
  const stream: Stream = { wire, size: size(message) };
  return {
    name: `decode ${name}, 64 B`,
    metrics: [{ unit: 'frames/s', goals: more.decodeGoals ?? [] }],
    ours: receiving(stream, (port, frame) => {
      const { inbound } = ourDialling(port, { codec, reconnect: false });
      inbound.pipe(map((decoded) => size(decoded))).subscribe(frame);
    }),
    raw: receiving(stream, (port, frame) => {
      rawDialling(port).on(
        'data',
        decoder((decoded) => frame(size(decoded))),
      );
    }),
    rivals: more.decodeRivals ?? [],
  };
}
