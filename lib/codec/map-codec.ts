import { given, refused, required } from '../check.js';
import { FrameError } from '../errors.js';
import type { Codec, Decoder } from './codec.js';
import { encoder, intoOf } from './encode-into.js';

/** The two functions of `mapCodec()`. */
export interface MapCodecConfig<In, Out, NewIn, NewOut> {
  /** Makes a message of a frame; what it throws ends the connection. It must not return `undefined`. */
  readonly decode: (frame: In) => NewIn;
  /** Makes what the codec beneath takes of a message; what it throws refuses that message alone. */
  readonly encode: (message: NewOut) => Out;
}

/**
 * Puts your own types on top of a codec, a function for each direction.
 *
 * ```
 * chunk → codec.decoder → In  → decode → NewIn
 * bytes ← codec.encode  ← Out ← encode ← NewOut
 * ```
 *
 * Both functions are called once for each message and should keep no state. What they throw passes through as it is: out of
 * `decode` it ends the decoding, out of `encode` it refuses that one message. A `decode` that returns `undefined` is a `FrameError`
 * of kind `decode`, since `undefined` would read as "more bytes needed". Nothing is copied; a missing function is a `ConfigError`.
 *
 * @example
 * import { lines, mapCodec } from 'rx-tcp';
 * const numbers = mapCodec(lines(), { decode: Number, encode: (n: number) => n.toFixed(2) });
 * console.log(String(numbers.encode(1.5)).trim()); // 1.50
 * const decoder = numbers.decoder(() => undefined);
 * decoder.push(Buffer.from('2.25\n'));
 * console.log(decoder.next()); // 2.25
 */
export function mapCodec<In, Out, NewIn, NewOut>(
  codec: Codec<In, Out>,
  config: MapCodecConfig<In, Out, NewIn, NewOut>,
): Codec<NewIn, NewOut> {
  if (!isCodec(codec)) throw refused('codec', 'a codec', codec);
  const options = given('mapCodec', config, ['decode', 'encode']);
  const decode = required<(frame: In) => NewIn>('decode', options.decode);
  const encode = required<(message: NewOut) => Out>('encode', options.encode);
  return {
    decoder: (report) => new MapDecoder(codec.decoder(report), decode),
    encode: encodeMapped(codec, encode),
  };
}

/** Writes into given memory if the codec beneath can. It calls the codec as a method, and looks at its `encode` once, as it stands now. */
function encodeMapped<Out, NewOut>(
  codec: Codec<unknown, Out>,
  encode: (message: NewOut) => Out,
): Codec<unknown, NewOut>['encode'] {
  const into = intoOf<Out>(Reflect.get(codec, 'encode'));
  if (into === undefined) return (message) => codec.encode(encode(message));
  return encoder((message, target) => into(encode(message), target));
}

function isCodec(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return typeof Reflect.get(value, 'decoder') === 'function' && typeof Reflect.get(value, 'encode') === 'function';
}

class MapDecoder<In, NewIn> implements Decoder<NewIn> {
  readonly #inner: Decoder<In>;
  readonly #decode: (frame: In) => NewIn;
  /** Set while `decode` runs, and for good if it throws: nothing follows an error. */
  #broken = false;
  /** There if the decoder beneath has it: what is made of its frames shares no more with the chunks than they do. */
  readonly detach: (() => void) | undefined;

  constructor(inner: Decoder<In>, decode: (frame: In) => NewIn) {
    this.#inner = inner;
    this.#decode = decode;
    this.detach = inner.detach && (() => inner.detach?.());
  }

  push(chunk: Buffer): void {
    if (!this.#broken) this.#inner.push(chunk);
  }

  next(): NewIn | undefined {
    if (this.#broken) return undefined;
    const frame = this.#inner.next();
    if (frame === undefined) return undefined;
    const decode = this.#decode; // called as a plain function: it is no method of ours
    this.#broken = true;
    const message = decode(frame);
    if (message === undefined) throw new FrameError('decode', 'the `decode` of mapCodec() returned undefined');
    this.#broken = false;
    return message;
  }

  end(): void {
    if (!this.#broken) this.#inner.end();
  }
}
