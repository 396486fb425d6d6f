import type { WriteLimits } from '../config.js';
import type { Fate, TcpError } from '../errors.js';

/** What is special about one message; most have nothing. */
export interface FrameTerms {
  /** Hears the outcome, once; without an argument the message is written. */
  readonly settled: ((undelivered?: TcpError) => void) | undefined;
  /** It has this place in the queue; called before anybody is told of anything that comes of it. */
  queued?(place: number): void;
  /** Hears only that it will not be written: for those who are told in another way that it was. */
  undelivered?(error: TcpError): void;
  /** Instead of the queue's. */
  readonly retryLimit: number | undefined;
  /** Connections that were lost with it before it was handed to this queue anew. */
  readonly attempts?: number;
  /** It goes as soon as it is not in flight: its user has withdrawn it, for this reason, or takes it back without a word. */
  withdrawn?: { readonly cause: unknown; readonly silently: boolean } | undefined;
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
