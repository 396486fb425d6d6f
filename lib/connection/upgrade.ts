import type { Duplex } from 'node:stream';
import { Observable, type SchedulerLike } from 'rxjs';
import { ConnectError, TcpError, type ErrorContext } from '../errors.js';
import { clientOptions, serverOptions } from '../resolve-tls.js';
import { discard, linkOver } from './from-socket.js';
import type { Link } from './link.js';
import { acceptTls, tlsFailure, tlsOver, whenSecure } from './secure.js';

/**
 * Puts TLS over a stream that was plain so far, and emits the link above it. Errors with a {@link TlsError} or {@link ConnectError}, or with the
 * {@link ConfigError} that the options are. The stream is destroyed when the subscription ends, however it ends.
 */
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
    const streams = new Layers(raw);
    subscriber.add(() => streams.discard());
    try {
      const checked = clientOptions(options);
      const secure = (streams.secure = tlsOver(raw, endpoint, checked));
      whenSecure(secure, raw, checked.rejectUnauthorized !== false, {
        opened: () => subscriber.next(linkOver(secure, endpoint, { carrier: raw, scheduler })),
        failed: (error) => subscriber.error(tlsFailure(error, where)),
      });
    } catch (error) {
      subscriber.error(refused(error, where));
    }
  });

/** The server's side of an upgrade. */
export const upgradeAsServer: Upgrade = (raw, options, where, scheduler) =>
  new Observable((subscriber) => {
    const streams = new Layers(raw);
    subscriber.add(() => streams.discard());
    try {
      acceptTls(raw, serverOptions(options), {
        opened: (secure) => {
          streams.secure = secure;
          if (subscriber.closed) return streams.discard();
          subscriber.next(linkOver(secure, where.endpoint ?? {}, { carrier: raw, scheduler }));
        },
        failed: (error) => subscriber.error(tlsFailure(error, where)),
      });
    } catch (error) {
      subscriber.error(refused(error, where));
    }
  });

/** A stream and the TLS above it. */
class Layers {
  secure: Duplex | undefined;
  readonly #raw: Duplex;

  constructor(raw: Duplex) {
    this.#raw = raw;
  }

  /** The upper one goes first: with the carrier gone first, within `secureConnect` or a microtask of it, every Node from 20 to 26 crashes. */
  discard(): void {
    if (this.secure !== undefined) discard(this.secure);
    discard(this.#raw);
  }
}

/** What is wrong with the options, by our own check or by what Node throws at them. */
function refused(cause: unknown, where: ErrorContext): TcpError {
  return cause instanceof TcpError ? cause : new ConnectError('config', { ...where, cause }, 'speak TLS with');
}
