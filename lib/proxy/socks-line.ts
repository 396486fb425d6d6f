import { Duplex, type Writable } from 'node:stream';

/**
 * What the client of `socks` takes for its socket. It never gets the real one: it would resume it and emit what follows the reply whether or not
 * somebody listens yet, and keep it for as long as its timer runs, which nothing stops.
 */
export class SocksLine extends Duplex {
  /** How often the client has asked. */
  asked = 0;
  /** The first byte of what it asked last. */
  question = 0;
  /** What the proxy has said since. */
  reply: number[] = [];
  #wire: Writable | undefined;

  constructor(wire: Writable) {
    super();
    this.#wire = wire;
  }

  /** Gives the client one byte, so that it takes none behind its last reply. It has looked at it when this returns. */
  hear(byte: Buffer): void {
    this.reply.push(...byte);
    this.emit('data', byte);
  }

  override _read(): void {
    return; // what is heard is emitted
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, written: () => void): void {
    this.asked++;
    this.question = chunk[0] ?? 0;
    this.reply = [];
    this.#wire?.write(chunk); // whatever becomes of it, the socket tells its own listeners
    written();
  }

  override _destroy(_error: Error | null, done: () => void): void {
    this.#wire = undefined;
    done();
  }
}
