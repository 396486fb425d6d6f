import type { ConnectionStatus } from './status.js';

/** What a socket has done and holds, counted from its creation. */
export interface SocketStats {
  /** Connections opened. */
  readonly epoch: number;
  /** Dials begun. */
  readonly dials: number;
  /** Open connections that ended without our ending the socket. */
  readonly drops: number;
  readonly bytesRead: number;
  /** Bytes that the kernel took. */
  readonly bytesWritten: number;
  /** Frames emitted by `inbound`. */
  readonly framesRead: number;
  /** Messages whose outcome is "written". */
  readonly framesWritten: number;
  /** Times that a frame was put back to be written again. */
  readonly framesRetried: number;
  /** Accepted messages that were not written. */
  readonly framesUndelivered: number;
  /** Messages that were not accepted: no room, or not encodable. */
  readonly framesRefused: number;
  /** Accepted messages without an outcome, in flight or waiting. */
  readonly queuedFrames: number;
  /** Their bytes as encoded. */
  readonly queuedBytes: number;
  /** Those of them that were handed to the live connection. */
  readonly inFlightFrames: number;
  /** Holds on reading that were not released. */
  readonly holds: number;
  /** Bytes read that wait for demand; Node's own buffer not counted. */
  readonly heldBytes: number;
  /** Errors that left the replay buffer before anybody subscribed. */
  readonly errorsDropped: number;
}

/** Statistics of a socket with its name and status. */
export type SocketSnapshot = SocketStats & { readonly name?: string; readonly status: ConnectionStatus };

/** The counters that a socket or a connection keeps; the rest of {@link SocketStats} is read where it lives. */
export interface Counters {
  epoch: number;
  dials: number;
  drops: number;
  bytesRead: number;
  bytesWritten: number;
  framesRead: number;
  framesWritten: number;
  framesRetried: number;
  framesUndelivered: number;
  framesRefused: number;
}

/** All counters at zero. */
export function newCounters(): Counters {
  return {
    epoch: 0,
    dials: 0,
    drops: 0,
    bytesRead: 0,
    bytesWritten: 0,
    framesRead: 0,
    framesWritten: 0,
    framesRetried: 0,
    framesUndelivered: 0,
    framesRefused: 0,
  };
}

/** What stands in the two streets at this moment. */
export interface Standing {
  readonly queue: { readonly frames: number; readonly bytes: number; readonly inFlightFrames: number };
  readonly receiver: { readonly heldBytes: number; readonly gate: { readonly holds: number } };
  readonly errorsDropped: number;
}

/** A frozen snapshot of the counters and of what stands now. */
export function readStats(counters: Counters, { queue, receiver, errorsDropped }: Standing): SocketStats {
  return Object.freeze({
    ...counters,
    queuedFrames: queue.frames,
    queuedBytes: queue.bytes,
    inFlightFrames: queue.inFlightFrames,
    holds: receiver.gate.holds,
    heldBytes: receiver.heldBytes,
    errorsDropped,
  });
}

/** The same with name and status. */
export function readSnapshot(stats: SocketStats, name: string | undefined, status: ConnectionStatus): SocketSnapshot {
  return Object.freeze({ ...stats, ...(name === undefined ? {} : { name }), status });
}
