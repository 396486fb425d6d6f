/** One row a metric: what was measured, and how far we are from the others. */
import { ratio, summary, type Summary } from './statistics.js';
import type { Samples } from './contest.js';
import { AGAIN, contestantsOf, OURS, RAW, type Goal, type Workload } from './workload.js';

/** One metric of a workload. */
export interface Row {
  readonly workload: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly contestants: readonly Entry[];
  readonly goals: readonly (Goal & { readonly met: boolean })[];
}

/** One contestant in a row. */
export interface Entry extends Summary {
  readonly name: string;
  readonly values: readonly number[];
  /** Ours as a multiple of this one; for raw again, raw as a multiple of itself. */
  readonly ratio?: Summary;
}

/** What the table says of its making. */
export interface Machine {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly pinned: boolean;
  readonly rounds: number;
}

/** The rows of a workload. */
export function rowsOf(workload: Workload, samples: Samples): Row[] {
  const names = contestantsOf(workload)
    .map(({ name }) => name)
    .filter((name) => name in samples);
  return workload.metrics.map((metric, column) => {
    const valuesOf = (name: string): number[] => (samples[name] ?? []).map((sample) => sample[column] ?? NaN);
    const contestants = names.map((name) => entryOf(name, valuesOf));
    const { unit, better = 'more', goals = [] } = metric;
    const judged = goals
      .filter(({ against = OURS }) => names.includes(against) && names.includes(OURS))
      .map((goal) => ({ ...goal, met: isMet(goal, better, contestants) }));
    return { workload: workload.name, unit, better, contestants, goals: judged };
  });
}

function entryOf(name: string, valuesOf: (name: string) => number[]): Entry {
  const values = valuesOf(name);
  const entry = { name, values, ...summary(values) };
  if (name === OURS) return entry;
  const better = valuesOf(name === AGAIN ? RAW : OURS);
  return better.length === 0 ? entry : { ...entry, ratio: ratio(better, values) };
}

function isMet({ against = OURS, bound }: Goal, better: Row['better'], contestants: readonly Entry[]): boolean {
  const entry = contestants.find(({ name }) => name === against);
  const value = (against === OURS ? entry?.median : entry?.ratio?.median) ?? NaN;
  return better === 'less' ? value <= bound : value >= bound;
}

/** The table, in Markdown. */
export function report({ node, cpu, cores, pinned, rounds }: Machine, rows: readonly Row[]): string {
  const place = pinned ? 'the peer process on a core of its own' : 'the scheduler places the peer process';
  return [
    `Node ${node}, ${cpu}, ${String(cores)} cores, ${place}. Medians of ${String(rounds)} interleaved rounds (range).`,
    'A multiple is rx-tcp in relation to that contestant, round by round; the noise is raw in relation to raw.',
    '',
    ...aligned([HEAD, HEAD.map(() => '-'), ...rows.map(cellsOf)]),
  ].join('\n');
}

const HEAD = ['workload', 'unit', 'rx-tcp', 'raw', 'ours/raw', 'noise', 'others', 'goals'];

function cellsOf(row: Row): string[] {
  const { workload, unit, better, contestants, goals } = row;
  const entry = (wanted: string): Entry | undefined => contestants.find(({ name }) => name === wanted);
  const others = contestants.filter(({ name }) => ![OURS, RAW, AGAIN].includes(name));
  return [
    workload,
    better === 'less' ? `${unit} ↓` : unit,
    amounts(entry(OURS)),
    amounts(entry(RAW)),
    multiples(entry(RAW)?.ratio),
    multiples(entry(AGAIN)?.ratio),
    others.map((other) => `${other.name} ${amounts(other)} ${multiples(other.ratio)}`).join('; '),
    goals.map((goal) => goalText(goal, better)).join(', '),
  ];
}

function goalText({ against, bound, met }: Row['goals'][number], better: 'more' | 'less'): string {
  const sign = better === 'less' ? '≤' : '≥';
  return `${met ? '✓' : '✗'} ${sign} ${against === undefined ? short(bound) : `${String(bound)}x ${against}`}`;
}

function amounts(entry: Summary | undefined): string {
  return entry === undefined ? '' : `${short(entry.median)} (${short(entry.low)}–${short(entry.high)})`;
}

function multiples(of: Summary | undefined): string {
  return of === undefined ? '' : `${fixed(of.median)}x (${fixed(of.low)}–${fixed(of.high)})`;
}

/** Two decimals below 10, none from 100 on. */
function fixed(n: number): string {
  return n.toFixed(n < 10 ? 2 : n < 100 ? 1 : 0);
}

/** `4.21 M`, `132 k`, `57.0`. */
function short(n: number): string {
  if (n >= 999_500) return `${fixed(n / 1e6)} M`;
  return n >= 10_000 ? `${fixed(n / 1e3)} k` : n >= 1000 ? n.toFixed(0) : fixed(n);
}

function aligned(table: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...table.map((cells) => (cells[column] ?? '').length)));
  return table.map((cells) => {
    const filled = cells.map((cell, i) => cell.padEnd(widths[i] ?? 0, cell === '-' ? '-' : ' '));
    return `| ${filled.join(' | ')} |`;
  });
}
