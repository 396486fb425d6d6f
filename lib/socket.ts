import type { Observable, ObservableInput, Subject } from 'rxjs';
import type { Bytes } from './codec/codec.js';
import type { TcpError } from './errors.js';
import type { Connection } from './connection/connection.js';
import type { SocketStats } from './monitor/stats.js';
import type { ConnectionStatus } from './monitor/status.js';
import type { WriteOptions } from './outbound/write-one.js';

/** A socket that stays open: bytes or messages in, bytes or messages out, over one connection after another. */
export interface TcpSocket<In = Buffer, Out = Bytes> extends AsyncIterable<In>, AsyncDisposable {
  /** Frames, as one shared stream across reconnects. Subscribing is demand: without it the socket stops reading. Ends with the socket. */
  readonly inbound: Observable<In>;
  /** `next` queues a message, `complete` is `end()`, `error` is `destroy(error)`. What becomes of a message is told by `errors`, or by `write()`. */
  readonly outbound: Subject<Out>;
  /** All that goes wrong. It ends nothing, may be ignored, replays the newest `errorBuffer` and completes when the socket is closed. */
  readonly errors: Observable<TcpError>;
  /** The current status first, also to late subscribers; completes after `closed`. */
  readonly status: Observable<ConnectionStatus>;
  /**
   * Whether the write buffer has room: the sign for sources that can wait. The current value first. It does not know how large the next message
   * is, so that one larger than what is free is refused all the same; then it is false until that much is free. `writeAll()` waits until each fits.
   * What a subscriber's own messages make of it is told when that subscriber returns: a loop in it asks `stats()`.
   */
  readonly writable: Observable<boolean>;
  /** The live connection first, then each new one. */
  readonly connections: Observable<Connection<In, Out>>;
  /** What may wait in a `for await` or `pacedMap` before reading stops. */
  readonly readBuffer: { readonly frames: number; readonly bytes: number };
  /**
   * Queues a message like `outbound.next()`. Resolves when it is written, which means that the kernel took it and not that anybody got it. Rejects with the
   * error that `errors` tells of it: {@link OverflowError}, {@link WriteError}, {@link FrameError}; with {@link ClosedError} after the end. It may be ignored.
   */
  write(message: Out, options?: WriteOptions): Promise<void>;
  /**
   * Writes all that a source gives, pulling an item when there is room; an Observable's values meet `overflow`. Resolves when the source has ended
   * and its messages are written; rejects with the first that was not, with an error of the source, or at the socket's end. The socket lives on.
   */
  writeAll(source: ObservableInput<Out>): Promise<void>;
  /** Resolves when every message accepted so far has its outcome. It waits through an outage and never rejects. */
  flush(): Promise<void>;
  /** A hold: no frame until the returned release is called. Holds add up. */
  pause(): () => void;
  /** A frozen snapshot. */
  stats(): SocketStats;
  /** Destroys the live connection and dials at once, or cuts a wait short. Attempts go on counting. */
  redial(): void;
  /**
   * Accepts nothing more, writes what is queued (dialling if it must), sends FIN and reads on until the peer's. After `timeout` ms (default `endTimeout`) it
   * destroys, and what is left gets its `WriteError`. Always resolves; every call gives the same promise.
   */
  end(options?: { readonly timeout?: number }): Promise<void>;
  /** Ends it now: `inbound` completes, or errors with the error if there is one; every queued message gets its `WriteError`. */
  destroy(error?: Error): void;
}
