import { Observable, takeWhile, type OperatorFunction, type Subscriber } from 'rxjs';
import { callable, given, refused } from '../check.js';
import type { Codec, Decoder } from '../codec/codec.js';
import { FrameError } from '../errors.js';

/** Drives one decoder and turns whatever it throws into a {@link FrameError}. */
export class DecodeDriver<In> {
  readonly #decoder: Decoder<In>;

  /** Makes a decoder; its `report` gets the frames that it skipped in order to go on. */
  constructor(codec: Pick<Codec<In, never>, 'decoder'>, report: (skipped: FrameError) => void) {
    let decoder: Decoder<In>;
    try {
      decoder = codec.decoder((skipped) => report(asFrameError(skipped, 'the codec reported what is no FrameError')));
    } catch (error) {
      throw asFrameError(error);
    }
    if (!isDecoder(decoder)) throw new FrameError('decode', 'the codec made no decoder, with `push`, `next` and `end`');
    this.#decoder = decoder;
  }

  push(chunk: Buffer): void {
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      throw asFrameError(error);
    }
  }

  /** The next frame, or `undefined` if that needs more bytes. */
  next(): In | undefined {
    try {
      return this.#decoder.next();
    } catch (error) {
      throw asFrameError(error);
    }
  }

  /** Whether the decoder can let go of the memory of chunks. */
  get detaches(): boolean {
    return this.#decoder.detach !== undefined;
  }

  /** The decoder lets go of the memory of all chunks. */
  detach(): void {
    try {
      this.#decoder.detach?.();
    } catch (error) {
      throw asFrameError(error);
    }
  }

  /** Throws a {@link FrameError} of kind `truncated` if part of a frame is left. */
  end(): void {
    try {
      this.#decoder.end();
    } catch (error) {
      throw asFrameError(error);
    }
  }
}

/**
 * Decodes any stream of chunks, a file's or a child process's as well as a socket's, into frames.
 *
 * Every subscription has a decoder of its own. Errors with a {@link FrameError}: what the codec threw, or `truncated` when the source
 * completes inside a frame; frames before it were emitted. Frames that the codec skips go to `report`; without it they are dropped.
 * A chunk that comes while a frame is being emitted waits until that is done, and nothing is emitted after an unsubscription. What is no
 * Buffer and no Uint8Array, such as the text of a stream with an encoding, is a `FrameError` of kind `decode`. Throws a {@link ConfigError} if `codec` is none.
 *
 * @example
 * import { of } from 'rxjs';
 * import { decode, lines } from 'rx-tcp';
 * of(Buffer.from('one\ntw'), Buffer.from('o\n')).pipe(decode(lines())).subscribe(console.log); // one, two
 */
export function decode<In>(
  codec: Pick<Codec<In, never>, 'decoder'>,
  options: { readonly report?: (skipped: FrameError) => void } = {},
): OperatorFunction<Buffer, In> {
  const decoder: unknown = Reflect.get(Object(codec) as object, 'decoder');
  if (typeof decoder !== 'function') throw refused('codec', 'a codec', codec);
  const asked = given('decode', options, ['report']).report;
  const report = callable<(skipped: FrameError) => void>('report', asked) ?? (() => undefined);
  return (source) =>
    new Observable((subscriber) => {
      let pump: DecodePump<In>;
      try {
        pump = new DecodePump(new DecodeDriver(codec, report), subscriber);
      } catch (error) {
        return subscriber.error(error);
      }
      // An endless synchronous source is stopped only by its own subscriber.
      return source.pipe(takeWhile(() => !subscriber.closed)).subscribe({
        next: (chunk) => pump.push(chunk),
        error: (error: unknown) => subscriber.error(error),
        complete: () => pump.complete(),
      });
    });
}

/** Chunks that come while a frame is being emitted wait, so that a decoder is never entered twice. */
class DecodePump<In> {
  readonly #driver: DecodeDriver<In>;
  readonly #subscriber: Subscriber<In>;
  readonly #chunks: Buffer[] = [];
  #completed = false;
  #busy = false;

  constructor(driver: DecodeDriver<In>, subscriber: Subscriber<In>) {
    this.#driver = driver;
    this.#subscriber = subscriber;
  }

  push(chunk: unknown): void {
    const bytes = bytesOf(chunk);
    if (bytes === undefined) return this.#subscriber.error(new FrameError('decode', NO_BYTES));
    this.#chunks.push(bytes);
    this.#run();
  }

  complete(): void {
    this.#completed = true;
    this.#run();
  }

  #run(): void {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let chunk = this.#chunks.shift(); chunk !== undefined; chunk = this.#chunks.shift()) {
        this.#driver.push(chunk);
        this.#emitFrames();
      }
      if (!this.#completed || this.#subscriber.closed) return;
      this.#driver.end();
      this.#subscriber.complete();
    } catch (error) {
      this.#subscriber.error(error);
    } finally {
      this.#busy = false;
    }
  }

  #emitFrames(): void {
    while (!this.#subscriber.closed) {
      const frame = this.#driver.next();
      if (frame === undefined) return;
      this.#subscriber.next(frame);
    }
  }
}

const NO_BYTES = 'a chunk is neither a Buffer nor a Uint8Array; a stream that is given an encoding makes texts';

/** What a stream of bytes may give: some make plain Uint8Arrays. */
function bytesOf(chunk: unknown): Buffer | undefined {
  if (Buffer.isBuffer(chunk)) return chunk;
  return chunk instanceof Uint8Array ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : undefined;
}

function isDecoder(made: unknown): boolean {
  const { push, next, end } = Object(made) as Partial<Decoder<unknown>>;
  return [push, next, end].every((method) => typeof method === 'function');
}

function asFrameError(error: unknown, otherwise = 'the decoder threw'): FrameError {
  return error instanceof FrameError ? error : new FrameError('decode', otherwise, { cause: error });
}
