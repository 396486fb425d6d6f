import type { Observable } from 'rxjs';
import type { RequestOptions } from './request-config.js';
import type { RequestStats } from './request-stats.js';

/** What asks a peer and gets its answers: see {@link pipelined} and {@link correlated}. Its functions may be taken out of it. */
export interface Requests<In, Message> {
  /**
   * A request, cold: each subscription makes it once, and gets its replies up to the last one. Requests made in one turn go out together, in order.
   * Throws a {@link ConfigError} for a bad option; options that are frozen are checked once.
   *
   * It errors with a {@link RequestTimeoutError}, with what ended the connection if it may not be written again (mostly a {@link ConnectionLostError}), with
   * an {@link OverflowError} if too many wait, with a {@link FrameError} if the message cannot be encoded or the replies are too many, with what `failure`
   * makes of its last reply, with a {@link WriteError} or {@link ClosedError} at the socket's end. Unsubscribing cancels it: it is taken back if no link has
   * it, else what comes of it is swallowed in its place.
   *
   * The socket's `end()` still writes what is in its queue, and reads replies until the peer has ended, for `endTimeout` at most; requests that wait for their
   * turn get a {@link ClosedError}. Within a `handshake`, which runs before the queue, write to its connection and read from it instead.
   */
  readonly request: (message: Message, options?: RequestOptions<In>) => Observable<In>;
  /**
   * Frames that answer no request, as they come: hot, not kept for anybody, and ending with the socket's `inbound`. Whoever is too slow for them can hold the
   * socket (`pacedMap(socket, …)`, `socket.pause()`), which holds replies too.
   */
  readonly unsolicited: Observable<In>;
  /** A frozen snapshot of what became of requests, and of replies that nobody wanted. */
  readonly stats: () => RequestStats;
}
