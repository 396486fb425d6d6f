import type { Duplex } from 'node:stream';
import { Observable, type SchedulerLike } from 'rxjs';
import type { ErrorContext } from '../errors.js';
import { clientOptions, serverOptions } from '../resolve-tls.js';
import { discard, linkOver } from './from-socket.js';
import type { Link } from './link.js';
import { acceptTls, tlsFailure, tlsOver, whenSecure } from './secure.js';

/** Puts TLS over a stream that was plain so far, and emits the link above it; errors, also with what is wrong with the options. Unsubscribing gives both up. */
export type Upgrade = (
  raw: Duplex,
  options: unknown,
  where: ErrorContext,
  scheduler?: SchedulerLike,
) => Observable<Link>;

/** The client's side of an upgrade. */
export const upgradeAsClient: Upgrade = (raw, options, where, scheduler) =>
  new Observable((subscriber) => {
    const { endpoint = {} } = where;
    const checked = clientOptions(options);
    const secure = tlsOver(raw, endpoint, checked);
    subscriber.add(() => discard(secure));
    whenSecure(secure, raw, checked.rejectUnauthorized !== false, {
      opened: () => subscriber.next(linkOver(secure, endpoint, { carrier: raw, scheduler })),
      failed: (error) => subscriber.error(tlsFailure(error, where)),
    });
  });

/** The server's side of an upgrade. */
export const upgradeAsServer: Upgrade = (raw, options, where, scheduler) =>
  new Observable((subscriber) => {
    subscriber.add(() => discard(raw));
    acceptTls(raw, serverOptions(options), {
      opened: (secure) => {
        if (subscriber.closed) return discard(secure);
        subscriber.add(() => discard(secure));
        subscriber.next(linkOver(secure, where.endpoint ?? {}, { carrier: raw, scheduler }));
      },
      failed: (error) => subscriber.error(tlsFailure(error, where)),
    });
  });
