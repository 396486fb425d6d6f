import { Duplex } from 'node:stream';

/** One write as the library handed it over. */
export interface FakeWrite {
  readonly bytes: Buffer;
  /** Lets the write succeed, or fail. */
  readonly done: (error?: Error | null) => void;
}

/** What a fake does with a write: by default it succeeds at once. */
export type OnWrite = (write: FakeWrite, index: number) => void;

/**
 * A stream for `dial`, where a spec must decide what becomes of each write, or when: a kernel cannot be told.
 * It answers a FIN with a FIN, unless the spec takes `_final` away.
 */
export class FakeStream extends Duplex {
  readonly writes: FakeWrite[] = [];
  readonly #onWrite: OnWrite;

  constructor(onWrite: OnWrite = ({ done }) => done()) {
    super({ allowHalfOpen: true });
    this.#onWrite = onWrite;
  }

  /** All that was handed over, one text a write. */
  get texts(): string[] {
    return this.writes.map(({ bytes }) => bytes.toString('latin1'));
  }

  override _read(): void {
    return;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const write = { bytes: Buffer.from(chunk), done };
    this.writes.push(write);
    this.#onWrite(write, this.writes.length - 1);
  }

  override _final(done: (error?: Error | null) => void): void {
    done();
    this.push(null);
  }
}

/** Streams for one dial after another; each is there once it was dialled. */
export class FakeDials {
  readonly streams: FakeStream[] = [];
  readonly #make: (index: number) => FakeStream;

  constructor(make: (index: number) => FakeStream = () => new FakeStream()) {
    this.#make = make;
  }

  readonly dial = (): FakeStream => {
    const stream = this.#make(this.streams.length);
    this.streams.push(stream);
    return stream;
  };
}

/** An error with a code, as Node makes them. */
export function nodeError(code: string): Error {
  return Object.assign(new Error(code), { code });
}
