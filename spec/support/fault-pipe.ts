/**
 * One direction of the fault proxy: what one socket says is handed to another, in order, with faults on the way.
 *
 *     from ──data, end, error──> queue [ bytes | bytes | fin ] ──piece──> to
 *              │ stops reading while 64 KiB wait, or stalled     └ one write at a time, the next when the kernel took it
 */
import type { Socket } from 'node:net';
import type { Random } from './random.js';

/** What befalls one direction. Each may be changed, added and taken away while traffic runs: bytes that wait are kept. */
export interface Faults {
  /** Milliseconds that all which comes is late: bytes, FIN and RST. @default 0 */
  readonly latency?: number;
  /** At most so many milliseconds more, drawn for each chunk; the order is kept. @default 0 */
  readonly jitter?: number;
  /** Bytes a second. @default Infinity */
  readonly bandwidth?: number;
  /** Bytes are handed on in pieces of 1 to so many bytes, each in a turn of the loop of its own. @default Infinity */
  readonly slice?: number;
  /**
   * What happens as soon as so many bytes of this connection have passed; no byte more does. A RST right behind bytes is
   * what Node up to 22 takes for a clean end: `reset()` once the reader has them is not.
   */
  readonly limit?: { readonly bytes: number; readonly then: 'fin' | 'reset' | 'stall' };
  /** Nothing passes, FIN and RST neither, and nothing is read. @default false */
  readonly stall?: boolean;
  /** All that comes is read and goes nowhere, FIN and RST too. @default false */
  readonly blackhole?: boolean;
}

interface Item {
  readonly what: Buffer | 'fin' | 'reset';
  readonly cameAt: number;
  readonly jitter: number;
}

/** Bytes that wait here before reading stops; less than the chunk that went over it. */
const HELD_BYTES = 64 * 1024;

/** Pieces a second when there is a bandwidth. */
const RATE = 100;

/** One direction of one connection. */
export class FaultPipe {
  /** Bytes handed to `to`. */
  passed = 0;
  /** In how many writes. */
  pieces = 0;
  /** Bytes that were read and went nowhere. */
  discarded = 0;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #random: Random;
  readonly #reset: () => void;
  readonly #queue: Item[] = [];
  #faults: Faults;
  #held = 0;
  /** Bytes until the next cut of the slicer. */
  #untilCut = 0;
  /** When the bandwidth allows the next piece. */
  #freeAt = 0;
  #finished = false;
  #closed = false;
  #wake = (): void => undefined;

  /** `reset` is called when a reset has come to its place in the order, or the limit says so. */
  constructor(from: Socket, to: Socket, faults: Faults, random: Random, reset: () => void) {
    this.#from = from;
    this.#to = to;
    this.#faults = faults;
    this.#random = random;
    this.#reset = reset;
    from.on('data', (chunk: Buffer) => this.#take(chunk));
    from.on('end', () => this.#take('fin'));
    from.on('error', () => this.#take('reset'));
    this.#look();
    void this.#run();
  }

  /** Bytes that were read and wait. */
  get held(): number {
    return this.#held;
  }

  get faults(): Faults {
    return this.#faults;
  }

  /** From now on these, and no others. */
  set faults(faults: Faults) {
    this.#faults = faults;
    this.#untilCut = 0;
    this.#freeAt = 0;
    this.#look();
  }

  /** Sends FIN now, before what waits; that and all that follows goes nowhere. */
  fin(): void {
    this.#finished = true;
    this.#to.end();
    this.#look();
  }

  /** The connection is over. */
  close(): void {
    this.#closed = true;
    this.#look();
  }

  #take(what: Item['what']): void {
    this.#queue.push({ what, cameAt: performance.now(), jitter: this.#random.next() });
    if (typeof what !== 'string') this.#held += what.length;
    this.#look();
  }

  /** Something has changed. */
  #look(): void {
    if (!this.#closed) {
      if (this.#stalled || this.#held >= HELD_BYTES) this.#from.pause();
      else this.#from.resume();
    }
    this.#wake();
  }

  get #stalled(): boolean {
    const { stall = false, limit } = this.#faults;
    return stall || (limit?.then === 'stall' && this.passed >= limit.bytes);
  }

  get #left(): number {
    return (this.#faults.limit?.bytes ?? Infinity) - this.passed;
  }

  async #run(): Promise<void> {
    // A limit of 0 bytes ends the connection at once: the other direction must be there by then.
    await Promise.resolve();
    while (!this.#closed) {
      if (this.#left <= 0 && !this.#stalled && !this.#finished) this.#end(this.#faults.limit?.then);
      const item = this.#queue[0];
      const wait = this.#waitFor(item);
      if (wait > 0 || item === undefined) await this.#changedOrAfter(wait);
      else if (this.#finished || this.#faults.blackhole === true) this.#discard(item);
      else if (typeof item.what === 'string') this.#end(this.#queue.shift()?.what);
      else await this.#pass(item.what);
    }
  }

  #end(how: unknown): void {
    if (how === 'reset') this.#reset();
    else this.fin();
  }

  /** Milliseconds until this may pass; `Infinity` until something changes. */
  #waitFor(item: Item | undefined): number {
    if (item === undefined || this.#stalled) return Infinity;
    const { latency = 0, jitter = 0 } = this.#faults;
    return Math.max(item.cameAt + latency + item.jitter * jitter, this.#freeAt) - performance.now();
  }

  async #changedOrAfter(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (ms < Infinity) timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
  }

  #discard(item: Item): void {
    this.#queue.shift();
    if (typeof item.what !== 'string') {
      this.#held -= item.what.length;
      this.discarded += item.what.length;
    }
    this.#look();
  }

  /** Hands on as much of the oldest bytes as the faults allow at once. */
  async #pass(bytes: Buffer): Promise<void> {
    const faults = this.#faults;
    const { slice, bandwidth } = faults;
    if (slice !== undefined) {
      await nextTurn();
      if (this.#closed || this.#finished || this.#faults !== faults) return;
      if (this.#untilCut === 0) this.#untilCut = this.#random.int(1, slice);
    }
    const perPiece = bandwidth === undefined ? Infinity : Math.ceil(bandwidth / RATE);
    const piece = bytes.subarray(0, Math.min(this.#left, perPiece, slice === undefined ? Infinity : this.#untilCut));
    const [item] = this.#queue.splice(0, 1);
    if (item !== undefined && piece.length < bytes.length)
      this.#queue.unshift({ ...item, what: bytes.subarray(piece.length) });
    this.#held -= piece.length;
    this.passed += piece.length;
    this.pieces++;
    if (slice !== undefined) this.#untilCut -= piece.length;
    if (bandwidth !== undefined) this.#freeAt = performance.now() + (piece.length / bandwidth) * 1000;
    this.#look();
    await new Promise<void>((resolve) => void this.#to.write(piece, () => resolve()));
  }
}

/** The reader on the other side, if it is in this process, has had its turn by then. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
