import type { Counters, SocketStats } from './stats.js';

/** What a server has done since it was made, and what stands now. */
export interface ServerStats {
  /** Connections that came in, those in their handshake and those that failed there included. */
  readonly accepted: number;
  /** Connections that were closed as they came, because there were `maxConnections`. */
  readonly refused: number;
  /** Connections whose TLS or handshake failed. */
  readonly failed: number;
  /** Connections in their TLS or handshake now. */
  readonly opening: number;
  /** Connections that are open now. */
  readonly open: number;
  readonly bytesRead: number;
  /** Bytes that the kernel took. */
  readonly bytesWritten: number;
  readonly framesRead: number;
  /** Messages whose outcome is "written". */
  readonly framesWritten: number;
  /** Accepted messages that were not written. */
  readonly framesUndelivered: number;
  /** Messages that were not accepted: no room, or not encodable. */
  readonly framesRefused: number;
  /** Accepted messages of all open connections without an outcome. */
  readonly queuedFrames: number;
  /** Their bytes as encoded. */
  readonly queuedBytes: number;
  /** Bytes read that wait for demand; Node's own buffers not counted. */
  readonly heldBytes: number;
  /** Errors that left the replay buffer before anybody subscribed. */
  readonly errorsDropped: number;
}

const COUNTED = [
  'bytesRead',
  'bytesWritten',
  'framesRead',
  'framesWritten',
  'framesUndelivered',
  'framesRefused',
] as const;
const STANDING = ['queuedFrames', 'queuedBytes', 'heldBytes'] as const;

/** The account of a server: its own, and the sum of its connections. */
export class ServerTally {
  accepted = 0;
  refused = 0;
  failed = 0;
  /** The sum of the connections that are over. */
  readonly #past = {
    bytesRead: 0,
    bytesWritten: 0,
    framesRead: 0,
    framesWritten: 0,
    framesUndelivered: 0,
    framesRefused: 0,
  };

  /** The account of one connection: call it when that is over, and again when what it had read has been delivered. */
  account(counters: Counters): () => void {
    const before = { ...counters };
    return () => {
      for (const name of COUNTED) this.#past[name] += counters[name] - before[name];
      Object.assign(before, counters);
    };
  }

  /** A frozen snapshot. */
  read(open: ReadonlySet<{ stats(): SocketStats }>, now: Pick<ServerStats, 'opening' | 'errorsDropped'>): ServerStats {
    const sum = { ...this.#past, queuedFrames: 0, queuedBytes: 0, heldBytes: 0 };
    for (const connection of open) {
      const stats = connection.stats();
      for (const name of COUNTED) sum[name] += stats[name];
      for (const name of STANDING) sum[name] += stats[name];
    }
    const { accepted, refused, failed } = this;
    return Object.freeze({ accepted, refused, failed, open: open.size, ...now, ...sum });
  }
}
