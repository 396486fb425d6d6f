/** What is known of a framing in order to encode and decode with it: our codec, and the code that one writes by hand instead. */
import type { Codec } from '../lib/index.js';
import type { Goal, Rival } from './workload.js';

/** One framing with a message of about 64 bytes. */
export interface Framing<M> {
  readonly name: string;
  readonly codec: Codec<M, M>;
  readonly message: M;
  /** The message as it is on the wire. */
  readonly wire: Buffer;
  /** A number that tells a message which was decoded right, such as its length. */
  readonly size: (message: M) => number;
  /** By hand: the bytes of a message. */
  readonly encode: (message: M) => Uint8Array | string;
  /** By hand: what to do with each chunk in order to call `frame` with each message. */
  readonly decoder: (frame: (message: M) => void) => (chunk: Buffer) => void;
  readonly encodeRivals?: readonly Rival[];
  readonly decodeRivals?: readonly Rival[];
  readonly encodeGoals?: readonly Goal[];
  readonly decodeGoals?: readonly Goal[];
}
