import type { WriteLimits } from '../config.js';
import type { Link } from '../connection/link.js';

/** Messages that go past the queue straight into one link: bounded, never retried, each with its outcome. */
export class DirectWrites {
  readonly #rejects = new Set<(error: Error) => void>();
  #bytes = 0;

  /** What has no outcome yet. */
  get pending(): WriteLimits {
    return { frames: this.#rejects.size, bytes: this.#bytes };
  }

  hasRoom(bytes: number, limits: WriteLimits): boolean {
    return this.#rejects.size < limits.frames && this.#bytes + bytes <= limits.bytes;
  }

  /** Hands bytes to the link. `done` hears of the bytes written, or of the error; the promise of a failed write waits for `fail`. */
  write(
    link: Link,
    bytes: Uint8Array,
    done: (written: number, error: Error | null | undefined) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#rejects.add(reject);
      this.#bytes += bytes.length;
      link.write(bytes, (error) => {
        this.#bytes -= bytes.length;
        if (error) return done(0, error);
        if (link.destroyed || !this.#rejects.delete(reject)) return;
        done(bytes.length, null);
        resolve();
      });
    });
  }

  /** The link is over: whatever has no outcome is rejected with this error. */
  fail(error: Error): void {
    for (const reject of this.#rejects) reject(error);
    this.#rejects.clear();
  }
}
