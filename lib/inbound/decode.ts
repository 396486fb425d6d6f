import { Observable, takeWhile, type OperatorFunction, type Subscriber } from 'rxjs';
import type { Codec, Decoder } from '../codec/codec.js';
import { FrameError } from '../errors.js';

/** Drives one decoder and turns whatever it throws into a {@link FrameError}. */
export class DecodeDriver<In> {
  readonly #decoder: Decoder<In>;

  /** Makes a decoder; its `report` gets the frames that it skipped in order to go on. */
  constructor(codec: Pick<Codec<In, never>, 'decoder'>, report: (skipped: FrameError) => void) {
    try {
      this.#decoder = codec.decoder(report);
    } catch (error) {
      throw asFrameError(error);
    }
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
 * A chunk that comes while a frame is being emitted waits until that is done, and nothing is emitted after an unsubscription.
 *
 * @example
 * import { of } from 'rxjs';
 * import { decode, lines } from 'rx-tcp';
 * of(Buffer.from('one\ntw'), Buffer.from('o\n')).pipe(decode(lines())).subscribe(console.log); // one, two
 */
export function decode<In>(
  codec: Pick<Codec<In, never>, 'decoder'>,
  { report = () => undefined }: { readonly report?: (skipped: FrameError) => void } = {},
): OperatorFunction<Buffer, In> {
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

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
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

function asFrameError(error: unknown): FrameError {
  return error instanceof FrameError ? error : new FrameError('decode', 'the decoder threw', { cause: error });
}
