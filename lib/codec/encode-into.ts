/** Memory that frames are encoded into, one behind the other: a slab of the write queue, or the memory of one frame. */
export interface EncodeTarget {
  /** Makes room for `size` more bytes and returns where they begin in `bytes`. Only the last reservation counts. */
  reserve(size: number): number;
  /** The frame is these very bytes, by reference; returns where they end. */
  refer(bytes: Uint8Array): number;
  /** The memory that the last `reserve` found room in. */
  readonly bytes: Buffer;
}

/**
 * Writes the frame of a message to where `target.reserve` says, and returns where it ends, at most as many bytes further as were reserved.
 * What it throws refuses the message; then nothing of it counts as written.
 */
export type EncodeInto<Out> = (message: Out, target: EncodeTarget) => number;

/** An `encode` that knows how to do without memory of its own. */
export interface Encoder<Out> {
  (message: Out): Buffer;
  readonly into: EncodeInto<Out>;
}

/**
 * Makes the `encode` of a codec out of a function that writes into memory which it is given.
 *
 * The write queue gives it a slab, so that a small message costs no Buffer; everybody else calls the result as `encode` and gets a
 * Buffer. The two cannot be told apart by their bytes. It hangs on the function, not on the codec, so that whoever replaces a
 * codec's `encode` replaces both.
 */
export function encoder<Out>(into: EncodeInto<Out>): Encoder<Out> {
  const encode = (message: Out): Buffer => {
    const frame = new OneFrame();
    const end = into(message, frame);
    return end === frame.bytes.length ? frame.bytes : frame.bytes.subarray(0, end);
  };
  return Object.assign(encode, { into });
}

/** How a codec's `encode` writes into given memory, if it can. */
export function intoOf<Out>(encode: (message: Out) => Uint8Array): EncodeInto<Out> | undefined {
  return (encode as Partial<Encoder<Out>>).into;
}

const NOTHING = Buffer.alloc(0);

class OneFrame implements EncodeTarget {
  bytes: Buffer = NOTHING;

  reserve(size: number): number {
    this.bytes = Buffer.allocUnsafe(size);
    return 0;
  }

  refer(bytes: Uint8Array): number {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    return bytes.length;
  }
}
