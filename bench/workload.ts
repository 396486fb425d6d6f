/** What a benchmark is made of. A new one is a file in workloads/ and a line in workloads.ts. */
import type { Peer } from './peer.js';

/** The same work done in several ways: by us, by raw `node:net`, and by whoever else does it. */
export interface Workload {
  /** What is done; `npm run bench -- WORD...` chooses by it. */
  readonly name: string;
  /** What is measured, in the order of a sample. */
  readonly metrics: readonly Metric[];
  /** What it needs and this machine lacks, if it does: then it is left out. */
  readonly lacks?: () => string | undefined;
  readonly ours: Run;
  /** The least that `node:net` needs for it. It runs twice a round, and how far the two are apart is the noise. */
  readonly raw?: Run;
  /** Other ways of doing it, such as another package. */
  readonly rivals?: readonly Rival[];
  /** Gives every run a process of its own, because it measures memory or leaves much behind. @default false */
  readonly fresh?: boolean;
}

/** One number of a sample. */
export interface Metric {
  /** The unit, and what it counts: `messages/s`. */
  readonly unit: string;
  /** @default 'more' */
  readonly better?: 'more' | 'less';
  readonly goals?: readonly Goal[];
}

/** What we want to reach: as a multiple of a contestant, or by itself. */
export interface Goal {
  /** Name of the contestant; without it the bound is the value itself. */
  readonly against?: string;
  /** The bound: a least value where more is better, else a most. */
  readonly bound: number;
}

/** Another way of doing the work. */
export interface Rival {
  readonly name: string;
  /** The npm package that it needs; it is left out where that is not installed. */
  readonly needs?: string;
  readonly run: Run;
}

/** Does the work once, throws if it was not done, and answers one number for each metric. */
export type Run = (bench: Bench) => Promise<readonly number[]>;

/** What a run is given. */
export interface Bench {
  /** The other end, in a process of its own. */
  readonly peer: Peer;
  /** Milliseconds that work lasts which is measured by the clock. */
  readonly ms: number;
  /** How much of it is done where the amount is fixed: `amount(1000)` is 1,000 in a whole run, less in a short one. */
  readonly amount: (whole: number) => number;
}

/** Names of those that have a column of their own. */
export const OURS = 'rx-tcp';
export const RAW = 'raw';
export const AGAIN = 'raw again';

/** All ways of doing it, in the order of a round. */
export function contestantsOf({ ours, raw, rivals = [] }: Workload): readonly Rival[] {
  const bare = [{ name: OURS, run: ours }, ...rivals];
  return raw === undefined ? bare : [{ name: RAW, run: raw }, ...bare, { name: AGAIN, run: raw }];
}

/** Fails a run that did not do its work. */
export function verify(what: string, got: number, expected: number): void {
  if (got !== expected) throw new Error(`${what}: ${String(got)} instead of ${String(expected)}`);
}
