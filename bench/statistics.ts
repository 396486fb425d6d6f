/** What came of several rounds. */
export interface Summary {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Median and range. */
export function summary(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? NaN) + upper) / 2;
  return { median, low: sorted[0] ?? NaN, high: sorted.at(-1) ?? NaN };
}

/** One contestant as a multiple of another, round by round, since both met the same disturbance. */
export function ratio(values: readonly number[], others: readonly number[]): Summary {
  return summary(values.map((value, i) => value / (others[i] ?? NaN)));
}
