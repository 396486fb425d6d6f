import { Observable } from 'rxjs';
import { clock } from '../clock.js';
import type { Link } from '../connection/link.js';
import type { Audible } from '../connection/silence.js';
import { Deque } from '../deque.js';
import type { ErrorContext, FrameError } from '../errors.js';
import type { Intake } from '../inbound/intake.js';
import { iterate, type Giver, type Iterated, type Unused } from '../inbound/iterate.js';
import type { Receiver } from '../inbound/receive.js';
import type { Tally } from '../monitor/tally.js';

/** What the way in needs of its connection. */
export interface InwardParts<In> {
  /** Of the socket. */
  readonly receiver: Receiver<In>;
  /** Of the handshake, while there is one. */
  readonly tap: Receiver<In> | undefined;
  readonly tally: Tally;
  readonly where: Pick<ErrorContext, 'endpoint' | 'epoch'>;
  /** The bytes are no frames. */
  readonly failed: (error: FrameError) => void;
}

/**
 * The way of one connection's bytes to those who read: first to its handshake alone, then to the socket.
 *
 *     link ──chunk──> intake ──> tap ─────> the handshake
 *                       └ join()─> receiver ──> inbound of the socket, and of the connection
 */
export class InwardStreet<In> implements Audible, Giver<In, Intake<In> | undefined> {
  /** The frames of the connection, whoever has them now. */
  readonly inbound: Observable<In>;
  readonly #parts: InwardParts<In>;
  readonly #intake: Intake<In>;
  #receiver: Receiver<In>;
  /** Counts the links. */
  #era = 0;

  constructor(link: Link, parts: InwardParts<In>) {
    const { tap, receiver, tally, where, failed } = parts;
    this.#parts = parts;
    const first = (this.#receiver = tap ?? receiver);
    const intake = (this.#intake = first.attach(link, where, { decoded: () => tally.decoded(), failed }));
    this.inbound = tap ? new Observable((to) => this.#receiver.framesOf(intake).subscribe(to)) : first.framesOf(intake);
  }

  /** Whether its frames are still those of a handshake. */
  get tapped(): boolean {
    return this.#receiver === this.#parts.tap;
  }

  chunk(chunk: Buffer, keep: (() => Buffer) | undefined): void {
    this.#parts.tally.read(chunk.length);
    this.#receiver.chunk(this.#intake, chunk, keep);
  }

  /** No byte follows this last of them. Returns how many nobody will read, and the error for a frame that was cut off, if that is known already. */
  over(last?: Buffer): { readonly unread: number; readonly cut: FrameError | undefined } {
    if (last !== undefined && last.length > 0) this.#parts.tally.read(last.length);
    return this.#receiver.over(this.#intake, last);
  }

  /** Calls it once all that came has been handed out: now, or later. */
  whenSpent(go: () => void): void {
    this.#intake.whenSpent(go);
  }

  /** The bytes come from another link, and nothing that came before counts. */
  restart(link: Link): void {
    this.#era++;
    this.#intake.restart(link);
  }

  /** The handshake is done: what it did not take, and what follows, is the socket's. */
  join(): void {
    const { tap, receiver } = this.#parts;
    if (tap === undefined) return;
    this.#receiver = receiver;
    receiver.adopt(tap);
  }

  /** The connection of the frame that is emitted just now. */
  get origin(): Intake<In> | undefined {
    return this.#receiver.origin;
  }

  get era(): number {
    return this.#era;
  }

  /** Who emits now, if only one hears it. */
  get emitter(): Receiver<In> | undefined {
    return this.#receiver.gate.subscribers === 1 ? this.#receiver : undefined;
  }

  /** What the tap had emitted to nobody else goes back to the bytes that it is of, even if the socket has subscribers by now. */
  giveBack(unused: Deque<Unused<In, Intake<In> | undefined>>): void {
    const { tap } = this.#parts;
    const tapped: typeof unused = new Deque();
    unused.retain((item) => {
      if (tap === undefined || item.emitter !== tap) return true;
      tapped.push(item);
      return false;
    });
    if (tapped.length > 0) this.#receiver.takeBack(this.#intake, tapped);
    this.#receiver.giveBack(unused);
  }

  pause(): () => void {
    return this.#receiver.gate.hold();
  }

  iterate(source: Iterated<In>): AsyncIterableIterator<In> {
    return iterate(source, this);
  }

  /** While bytes wait to be decoded the link may be paused, and silence says nothing of the peer; it begins when reading goes on. */
  heardAt(): number {
    const { busy, resumedAt } = this.#intake;
    return busy ? clock.now() : Math.max(this.#parts.tally.lastReadAt, resumedAt);
  }

  wantedSince(): number {
    return this.#receiver.gate.openSince;
  }
}
