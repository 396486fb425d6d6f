import { map, type OperatorFunction } from 'rxjs';
import { refused } from '../check.js';
import type { Codec } from '../codec/codec.js';
import { intoOf, type EncodeInto } from '../codec/encode-into.js';
import { FrameError } from '../errors.js';

/** Encodes one message; whatever goes wrong is a {@link FrameError} about this message alone. */
export function encodeMessage<Out>(codec: Pick<Codec<unknown, Out>, 'encode'>, message: Out): Uint8Array {
  let bytes: unknown;
  try {
    bytes = codec.encode(message);
  } catch (error) {
    throw asFrameError(error);
  }
  if (bytes instanceof Uint8Array) return bytes;
  throw new FrameError('encode', 'the codec did not answer with bytes');
}

/** How a codec encodes into given memory: straight into it if it can, else by reference. What it throws may be anything. */
export function encodeInto<Out>(codec: Pick<Codec<unknown, Out>, 'encode'>): EncodeInto<Out> {
  const encode: unknown = Reflect.get(codec, 'encode');
  const into = typeof encode === 'function' ? intoOf<Out>(encode as (message: Out) => Uint8Array) : undefined;
  return into ?? ((message, target) => target.refer(encodeMessage(codec, message)));
}

/** Whatever a codec threw, as an error about the message. */
export function asFrameError(error: unknown, otherwise = 'the codec refused the message'): FrameError {
  return error instanceof FrameError ? error : new FrameError('encode', otherwise, { cause: error });
}

/**
 * Encodes any stream of messages into buffers, one each.
 *
 * Errors with a {@link FrameError} of kind `encode` or `too-large` at the first message that the codec refuses. Throws a {@link ConfigError} if
 * `codec` is none.
 *
 * @example
 * import { of } from 'rxjs';
 * import { encode, lines } from 'rx-tcp';
 * of('one', 'two').pipe(encode(lines())).subscribe((bytes) => console.log(bytes.length)); // 4, 4
 */
export function encode<Out>(codec: Pick<Codec<unknown, Out>, 'encode'>): OperatorFunction<Out, Buffer> {
  const encoding: unknown = Reflect.get(Object(codec) as object, 'encode');
  if (typeof encoding !== 'function') throw refused('codec', 'a codec', codec);
  return map((message) => {
    const bytes = encodeMessage(codec, message);
    return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  });
}
