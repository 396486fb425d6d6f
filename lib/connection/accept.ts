import type { Duplex } from 'node:stream';
import { Observable, timer, type SchedulerLike } from 'rxjs';
import type { Given } from '../check.js';
import { ConnectError, ConnectTimeoutError, type Endpoint } from '../errors.js';
import { discard, linkOver } from './from-socket.js';
import type { Link } from './link.js';
import { acceptTls, tlsFailure } from './secure.js';

/** How a stream that came in becomes a link. */
export interface AcceptConfig {
  /** Gives the options of TLS for one connection; plain without it. */
  readonly tls: (() => Given) | undefined;
  /** ms for TLS. */
  readonly timeout: number;
  readonly scheduler?: SchedulerLike | undefined;
}

/**
 * The other side of a dial, cold: puts TLS over a stream that was accepted, if that is asked for, and emits the link. Errors with a {@link TlsError}, a
 * {@link ConnectError} or a {@link ConnectTimeoutError}. The stream is destroyed when the subscription ends.
 */
export function accept(raw: Duplex, endpoint: Endpoint, config: AcceptConfig): Observable<Link> {
  const { tls, timeout, scheduler } = config;
  return new Observable((subscriber) => {
    let link: Link | undefined;
    subscriber.add(() => (link === undefined ? discard(raw) : link.destroy()));
    const opened = (open: Link): void => {
      link = open;
      subscriber.next(open);
    };
    if (tls === undefined) return opened(linkOver(raw, endpoint, { scheduler }));
    const deadline = timer(timeout, scheduler).subscribe(() => {
      subscriber.error(new ConnectTimeoutError(timeout, 'tls', { endpoint }));
    });
    subscriber.add(deadline);
    try {
      acceptTls(raw, tls(), {
        opened: (secure) => {
          deadline.unsubscribe();
          if (subscriber.closed) discard(secure);
          else opened(linkOver(secure, endpoint, { carrier: raw, scheduler }));
        },
        failed: (error) => subscriber.error(tlsFailure(error, { endpoint })),
      });
    } catch (cause) {
      subscriber.error(new ConnectError('config', { endpoint, cause }, 'speak TLS with'));
    }
  });
}
