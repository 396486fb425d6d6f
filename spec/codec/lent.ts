import type { Codec } from '../../lib/codec/codec.js';

/** The same codec for chunks in memory that is used again: before each chunk its decoder has to let go of the one before, whose bytes are then lost. */
export function lent<In, Out>(codec: Codec<In, Out>): Codec<In, Out> {
  return {
    encode: (message) => codec.encode(message),
    decoder: (report) => {
      const decoder = codec.decoder(report);
      let slab = Buffer.alloc(0);
      const giveBack = (): void => {
        decoder.detach?.();
        slab.fill('a');
      };
      return {
        push: (chunk) => {
          giveBack();
          decoder.push((slab = Buffer.from(chunk)));
        },
        next: () => decoder.next(),
        end: () => {
          giveBack();
          decoder.end();
        },
      };
    },
  };
}
