import { ConfigError, OverflowError, type TcpError } from '../errors.js';
import { asFrameError } from '../outbound/encode.js';
import type { Streets } from '../streets.js';
import type { Asked } from './asked.js';
import type { Pairing } from './pairing.js';
import type { RequestLimits } from './request-config.js';
import { Solo } from './solo.js';
import { Waiting } from './waiting.js';

/**
 * The way of a request into the queue of its socket.
 *
 *     request() ──> waiting ──at most `inFlight`, and one after the other──> room in the queue? ──> aloft
 *                      ^                                                                             │
 *                      └──────────────────────── the connection is lost ─────────────────────────────┘
 */
export class Departures<In, Out, Message> {
  readonly waiting = new Waiting<In, Message>();
  readonly #streets: Streets<In, Out>;
  readonly #pairing: Pairing<In, Out, Message>;
  readonly #limits: RequestLimits<In>;
  readonly #failed: (request: Asked<In, Message>, error: TcpError) => void;
  readonly #solo: Solo<Asked<In, Message>>;
  #admitting = false;
  #halted = false;
  /** They are encoded, and wait for room in the queue: one, and what its encoding made. */
  readonly #next = new Map<Asked<In, Message>, () => void>();

  constructor(
    streets: Streets<In, Out>,
    pairing: Pairing<In, Out, Message>,
    limits: RequestLimits<In>,
    failed: (request: Asked<In, Message>, error: TcpError) => void,
  ) {
    this.#streets = streets;
    this.#pairing = pairing;
    this.#limits = limits;
    this.#failed = failed;
    const handed = ({ place }: Asked<In, Message>): boolean => place <= streets.outlet.queue.handed;
    this.#solo = new Solo(() => this.admit(), handed, streets.config.scheduler);
  }

  /** Those that are not in the queue. */
  get grounded(): readonly Asked<In, Message>[] {
    return [...this.#next.keys(), ...this.waiting.all()];
  }

  /** It goes at once, or waits for its turn, or there are too many. */
  line(request: Asked<In, Message>): void {
    if (this.waiting.length === 0 && this.#mayGo(request)) this.#go(request);
    else if (this.waiting.length < this.#limits.waiting) this.waiting.push(request);
    else this.#failed(request, new OverflowError('unsent', this.#streets.where(), request.message));
  }

  /** Lets go whose turn it is. */
  admit(): void {
    if (this.#admitting) return; // a loop, not recursion: one that fails at once makes room for the next
    this.#admitting = true;
    for (let first = this.waiting.first; first !== undefined && this.#mayGo(first); first = this.waiting.first) {
      this.waiting.leave(first);
      this.#go(first);
    }
    this.#admitting = false;
  }

  /** It has its place in the queue. */
  queued(request: Asked<In, Message>): void {
    if (!request.aloft) return; // its subscriber has left while it was encoded
    this.#pairing.flew?.(request);
    if (request.onLastTry) this.#solo.start(request);
  }

  /** How many are not in the queue. */
  get length(): number {
    return this.waiting.length + this.#next.size;
  }

  /** Its first reply came, or none will: nobody waits for it, nor it for room. */
  arrived(request: Asked<In, Message>): void {
    this.#solo.end(request);
    const waitNoMore = this.#next.get(request);
    this.#next.delete(request);
    waitNoMore?.();
  }

  /** None goes any more. */
  stop(): void {
    this.#solo.stop();
  }

  /** None goes until `goOn`: the connection is lost, and the queue not in order again. */
  halt(): void {
    this.#halted = true;
    if (!this.#solo.busy) this.#solo.stop(); // those that proved themselves did so on another connection
  }

  goOn(): void {
    this.#halted = false;
    this.admit();
  }

  /** These go again, before all others; those that had no room yet come behind them. */
  putBack(requests: readonly Asked<In, Message>[]): void {
    if (requests.length === 0) return;
    const next = [...this.#next];
    this.#next.clear();
    for (const [request] of next) this.#pairing.landed(request, 'unsent');
    this.waiting.putBack([...requests, ...next.map(([request]) => request)]);
    for (const [, waitNoMore] of next) waitNoMore(); // last, since others have room by that, and may do anything
  }

  #mayGo(request: Asked<In, Message>): boolean {
    const { size } = this.#pairing;
    const free = !this.#halted && this.#next.size === 0 && !this.#solo.busy && size < this.#limits.inFlight;
    return free && (size === 0 || !request.onLastTry || this.#solo.mayFollow(request));
  }

  /** Hands it to the queue. Whoever encodes it may do anything, also make its subscriber leave. */
  #go(request: Asked<In, Message>): void {
    const { outlet } = this.#streets;
    request.takeOff();
    let message: Out;
    try {
      message = this.#pairing.depart(request);
    } catch (error) {
      return this.#failed(request, error instanceof ConfigError ? error : asFrameError(error, '`assign` threw'));
    }
    if (!request.aloft) return;
    const place = outlet.offer(message, request, (bytes) => this.#waitForRoom(request, message, bytes));
    if (place > 0 && !request.aloft) outlet.withdraw(place, undefined, true);
  }

  #waitForRoom(request: Asked<In, Message>, message: Out, bytes: Uint8Array): void {
    const { outlet } = this.#streets;
    let waits = true;
    const waitNoMore = outlet.whenRoom(bytes.length, () => {
      waits = false;
      this.#next.delete(request);
      outlet.enqueue(message, bytes, request);
      this.admit();
    });
    if (waits) this.#next.set(request, waitNoMore);
  }
}
