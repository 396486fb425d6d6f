import { Subscription, type SchedulerLike } from 'rxjs';
import { asTcpError } from '../as-error.js';
import type { Link } from '../connection/link.js';
import type { Upgrade } from '../connection/upgrade.js';
import { ConfigError, type ConnectionLostError, type ErrorContext, type TcpError } from '../errors.js';
import { rejectedWhenClosed } from './live-config.js';
import { quiet } from '../quiet.js';

/** How TLS is put over the stream of a connection, if it can be. */
export interface Upgradable {
  readonly upgrade?: Upgrade | undefined;
  readonly config: { readonly scheduler?: SchedulerLike | undefined };
}

/** What an upgrade needs of its connection. */
export interface UpgradingParts {
  /** Whether a handshake still runs. */
  readonly tapped: () => boolean;
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
  readonly #live: Upgradable;
  readonly #parts: UpgradingParts;
  #asked = false;
  #done = false;
  #stopped = false;
  #running = Subscription.EMPTY;

  constructor(live: Upgradable, parts: UpgradingParts) {
    this.#live = live;
    this.#parts = parts;
  }

  /** Whether it was begun and is not done: the link is nobody's to write to. */
  get pending(): boolean {
    return this.#asked && !this.#done;
  }

  /** Rejects with what went wrong, or with what ended the connection meanwhile. */
  start(options: unknown): Promise<void> {
    return quiet(this.#start(options));
  }

  /** The connection is over. */
  stop(): void {
    this.#stopped = true;
    this.#running.unsubscribe();
  }

  async #start(options: unknown): Promise<void> {
    const { tapped, settled, closed, where, link, upgraded, failed } = this.#parts;
    const { upgrade, config } = this.#live;
    if (!tapped() || upgrade === undefined || this.#asked) {
      throw new ConfigError('`upgrade` is for a `handshake`, once; that is over');
    }
    this.#asked = true;
    await settled();
    const lost = rejectedWhenClosed(closed, where());
    if (this.#stopped) return lost;
    const raw = link().release?.();
    if (raw === undefined) throw new ConfigError('`upgrade` needs a stream that can carry another');
    const done = new Promise<void>((resolve, reject) => {
      this.#running = upgrade(raw, options, where(), config.scheduler).subscribe({
        next: (secure) => {
          this.#done = true;
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
}
