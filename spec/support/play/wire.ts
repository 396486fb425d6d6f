import type { Dialled } from '../stage.js';

/** What the peer of one connection says. */
export interface Wire {
  readonly dialled: Dialled;
  readonly epoch: number;
  readonly openedAt: number;
  /** Its whole frames that came, each with whether one of ours had been written before. */
  readonly frames: { readonly text: string; readonly afterWrite: boolean }[];
  /** Part of a frame that came. */
  part: string;
  /** On its way. */
  coming: string;
  /** One of our messages was written to it. */
  wrote: boolean;
  /** A frame came and was told after that, while it was open. */
  answered: boolean;
}

/** Whether it is neither lost nor given up. */
export function isOpen({ dialled }: Wire): boolean {
  return !dialled.gone && !dialled.link.destroyed;
}
