import type { WriteLimits } from '../config.js';
import type { Fate, TcpError } from '../errors.js';

/** What is special about one message; most have nothing. */
export interface FrameTerms {
  /** Hears the outcome, once; without an argument the message is written. */
  readonly settled: ((undelivered?: TcpError) => void) | undefined;
  /** Instead of the queue's. */
  readonly retryLimit: number | undefined;
  /** The user has withdrawn it, for this reason; it goes as soon as it is not in flight. */
  withdrawn?: { readonly cause: unknown };
}

/** An accepted message that will not be written. */
export interface LostFrame {
  /** The user's value, handed back. */
  readonly message: unknown;
  readonly terms: FrameTerms | undefined;
  /** Connections that were lost before they confirmed it. */
  readonly attempts: number;
}

/** Why a frame leaves the queue without having been written. */
export interface Loss {
  readonly why: 'evicted' | 'withdrawn' | 'retries' | 'closed';
  /** The reason of the withdrawal, the loss after the last retry, or what closed the socket. */
  readonly cause?: unknown;
}

/** How a queue is bounded, and how often it writes again. */
export interface QueueConfig {
  readonly writeBuffer: WriteLimits;
  readonly overflow: 'dropNewest' | 'dropOldest';
  readonly retryLimit: number;
}

/** What a queue reports; called within the call that causes it. */
export interface QueueEvents {
  /** A batch is written. */
  written(frames: number, bytes: number): void;
  undelivered(frame: LostFrame, fate: Fate, loss: Loss): void;
}
