import type { Observable } from 'rxjs';
import { Deque } from '../deque.js';
import { OverflowError, WriteError, type TcpError } from '../errors.js';
import { Broadcast } from './broadcast.js';
import type { InTurn } from './in-turn.js';

interface Kept {
  readonly replay: () => TcpError;
  seen: boolean;
}

/**
 * All that went wrong, as a stream that ends nothing and blocks nobody.
 *
 * It replays the newest `size` errors to each new subscriber. What it keeps is without `undelivered`, so that the log pins no payload.
 */
export class ErrorLog {
  /** How many errors fell out of the log before anybody had heard them. */
  dropped = 0;
  readonly #size: number;
  readonly #kept = new Deque<Kept>();
  readonly #broadcast: Broadcast<TcpError>;

  constructor(size: number, turns?: InTurn) {
    this.#size = size;
    this.#broadcast = new Broadcast<TcpError>(
      (error, observed) => this.#keep({ replay: replayOf(error), seen: observed }),
      (subscriber) => {
        // All are taken out before the first is told: a subscriber may cause the next error.
        const kept: Kept[] = [];
        this.#kept.retain((item) => kept.push(item) > 0);
        for (const item of kept) {
          item.seen = true;
          subscriber.next(item.replay());
        }
      },
      turns,
    );
  }

  get errors(): Observable<TcpError> {
    return this.#broadcast.values;
  }

  report(error: TcpError): void {
    this.#broadcast.emit(error);
  }

  complete(): void {
    this.#broadcast.complete();
  }

  #keep(item: Kept): void {
    this.#kept.push(item);
    if (this.#kept.length <= this.#size) return;
    if (this.#kept.shift()?.seen === false) this.dropped++;
  }
}

function replayOf(error: TcpError): () => TcpError {
  if (error instanceof WriteError || error instanceof OverflowError) return error.replay();
  unpin(error);
  return () => error;
}

/**
 * Until its `stack` is asked for, V8 keeps for an error the frames themselves, and with them the sockets whose methods were running: a log of
 * 100 losses would keep 100 dead sockets in memory.
 */
function unpin(error: unknown): void {
  try {
    let next = error;
    for (let depth = 0; next instanceof Error && depth < MAX_CAUSES; depth++) {
      String(next.stack);
      next = next.cause;
    }
  } catch {
    // A cause of the user's that throws when it is looked at: it keeps what it keeps.
  }
}

/** A chain of causes may come back to itself. */
const MAX_CAUSES = 8;
