import { Subscription, type SchedulerLike } from 'rxjs';
import { asTcpError } from '../as-error.js';
import type { Link } from '../connection/link.js';
import type { Upgrade } from '../connection/upgrade.js';
import { ClosedError, ConfigError, type ConnectionLostError, type ErrorContext, type TcpError } from '../errors.js';
import { quiet } from '../quiet.js';

/** What an upgrade needs of its connection. */
export interface UpgradingParts {
  /** How TLS is put over a stream, if it can be. */
  readonly upgrade: Upgrade | undefined;
  readonly scheduler: SchedulerLike | undefined;
  readonly link: () => Link;
  readonly where: () => ErrorContext;
  readonly closed: Promise<ConnectionLostError | undefined>;
  /** Resolves once everything that was written so far has its outcome. */
  readonly settled: () => Promise<void>;
  /** The connection goes on over this link. */
  readonly upgraded: (link: Link) => void;
  /** It failed, and the connection with it. */
  readonly failed: (error: TcpError) => void;
}

/** The upgrade of one connection to TLS: plain writes leave first, then the stream is taken from its link, and a new link is made above it. */
export class Upgrading {
  readonly #parts: UpgradingParts;
  #asked = false;
  #stopped = false;
  #running = Subscription.EMPTY;

  constructor(parts: UpgradingParts) {
    this.#parts = parts;
  }

  /** Rejects with what went wrong, or with what ended the connection meanwhile. `allowed` is asked at once. */
  async start(options: unknown, allowed: boolean): Promise<void> {
    const { upgrade, settled, closed, where, link } = this.#parts;
    if (!allowed || upgrade === undefined || this.#asked) {
      throw new ConfigError('`upgrade` is for a `handshake`, once; that is over');
    }
    this.#asked = true;
    await settled();
    const lost = quiet(
      closed.then((error): never => {
        throw error ?? new ClosedError(where());
      }),
    );
    if (this.#stopped) return lost;
    const raw = link().release?.();
    if (raw === undefined) throw new ConfigError('`upgrade` needs a stream that can carry another');
    const { upgraded, failed, scheduler } = this.#parts;
    const done = new Promise<void>((resolve, reject) => {
      this.#running = upgrade(raw, options, where(), scheduler).subscribe({
        next: (secure) => {
          upgraded(secure);
          resolve();
        },
        error: (error: Error) => {
          reject(error);
          failed(asTcpError(error, where()));
        },
      });
    });
    await Promise.race([done, lost]);
  }

  /** The connection is over. */
  stop(): void {
    this.#stopped = true;
    this.#running.unsubscribe();
  }
}
