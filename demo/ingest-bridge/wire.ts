/**
 * What a source and a bridge say to each other, behind four bytes of length:
 *
 *     source ─► bridge   | number, 8 bytes | body |   a frame; numbers rise by one, and none is ever used twice
 *     bridge ─► source   | number, 8 bytes |          this frame and all before it are in the stream
 *     both               nothing                      a sign of life
 */
import { lengthPrefixed, mapCodec } from '../../lib/index.js';

const NOTHING = Buffer.alloc(0);

/** Less than the 1 MiB that NATS takes, with room for its headers: what it would refuse could never be acknowledged. */
const maxFrameLength = 1_000_000;

export const framing = () => mapCodec(lengthPrefixed({ maxFrameLength }), { decode: checked, encode: same });

/** Who has said nothing for ten seconds is taken for dead, so that another bridge can have its place. */
export const signsOfLife = { interval: 1_000, timeout: 9_000, message: () => NOTHING };

export const isSignOfLife = (frame: Buffer): boolean => frame.length === 0;

export const numberOf = (frame: Buffer): number => Number(frame.readBigUInt64BE());

export function frameOf(number: number, body: Buffer = NOTHING): Buffer {
  const frame = Buffer.alloc(8 + body.length);
  frame.writeBigUInt64BE(BigInt(number));
  body.copy(frame, 8);
  return frame;
}

/** What throws here costs the connection, and not the bridge. */
function checked(frame: Buffer): Buffer {
  if (!isSignOfLife(frame) && !Number.isSafeInteger(numberOf(frame))) throw new RangeError('the number is too large');
  return frame;
}

function same(frame: Buffer): Buffer {
  return frame;
}
