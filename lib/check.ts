/**
 * How an option is checked: once, when it is given, with a `ConfigError` that names the option, what was expected and what came.
 */
import { printable } from './endpoint.js';
import { ConfigError } from './errors.js';

/** The longest delay that Node's timers take, in ms; anything longer fires after 1 ms instead (Node documentation of `setTimeout`). */
export const MAX_TIMER = 2 ** 31 - 1;

/** The options of a caller: own properties only, read once, in an object without prototype, so that a polluted `Object.prototype` adds none. */
export type Given = Readonly<Record<string, unknown>>;

/** Takes the caller's options over and refuses unknown names, with the nearest known one. `undefined` means not given. */
export function given(what: string, options: unknown, names: readonly string[]): Given {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw refused(what, 'an object', options);
  const taken = Object.create(null) as Record<string, unknown>;
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) throw unknownName(what, name, names);
    const value: unknown = Reflect.get(options, name);
    if (value !== undefined) taken[name] = value;
  }
  return taken;
}

/** A number within bounds; `Infinity` passes only where `max` is Infinity. */
export function number(option: string, value: unknown, fallback: number, min: number, max: number): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw refused(option, `a number from ${String(min)} to ${String(max)}`, value);
}

/** A whole number within bounds; `Infinity` passes only where `max` is Infinity. */
export function integer(option: string, value: unknown, fallback: number, min: number, max: number): number {
  if (value === undefined) return fallback;
  const whole = Number.isInteger(value) || (value === Infinity && max === Infinity);
  if (whole && (value as number) >= min && (value as number) <= max) return value as number;
  throw refused(option, `a whole number from ${String(min)} to ${String(max)}`, value);
}

/** A time in milliseconds that a timer can keep. */
export function milliseconds(option: string, value: unknown, fallback: number, min = 0): number {
  return number(option, value, fallback, min, MAX_TIMER);
}

/** `true` or `false`. */
export function flag(option: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value === 'boolean') return value;
  throw refused(option, 'true or false', value);
}

/** A text with at least one character. */
export function text(option: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '') return value;
  throw refused(option, 'a string that is not empty', value);
}

/** One of a few words. */
export function oneOf<W extends string>(option: string, value: unknown, fallback: W, words: readonly W[]): W {
  if (value === undefined) return fallback;
  const word = words.find((known) => known === value);
  if (word !== undefined) return word;
  throw refused(option, words.map((known) => `'${known}'`).join(' or '), value);
}

/** A function that must be given; its signature only the compiler can check. */
export function required<F>(option: string, value: unknown): F {
  if (typeof value === 'function') return value as F;
  throw refused(option, 'a function', value);
}

/** A function that need not be given. */
export function callable<F>(option: string, value: unknown): F | undefined {
  return value === undefined ? undefined : required<F>(option, value);
}

/** The error for a value that an option does not take. */
export function refused(option: string, expected: string, value: unknown): ConfigError {
  return new ConfigError(`\`${option}\` must be ${expected}, got ${shown(value)}`);
}

function unknownName(what: string, name: string, names: readonly string[]): ConfigError {
  const near = names
    .map((known) => ({ known, distance: editDistance(known.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0];
  const hint =
    near !== undefined && near.distance <= Math.max(2, name.length / 3) ? `; did you mean \`${near.known}\`?` : '';
  return new ConfigError(`\`${printable(name, 60)}\` is not an option of ${what}${hint}`);
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The value with its type, short and on one line. */
function shown(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'string') return `"${printable(value, 60)}" (string)`;
  if (typeof value === 'object') return Array.isArray(value) ? 'an array' : 'an object';
  if (typeof value === 'function') return 'a function';
  return `${printable(String(value), 60)} (${typeof value})`;
}
