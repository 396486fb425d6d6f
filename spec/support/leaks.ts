/**
 * What a spec leaves behind: sockets, servers, pipes and timers that still hold the process.
 *
 * Node counts a handle until the loop has closed it, one turn or a few after `destroy()`. So the wait is for turns of
 * the loop, with a bound in turns: on a slow machine a turn takes longer, and the bound means the same.
 */
import Mocha from 'mocha';

/** Some 30 ms: a handle that is being closed needs fewer than ten. */
const MAX_TURNS = 10_000;

// Mocha sets a timer of its own for each spec and hook, once it has returned a promise: not there at first, there later.
const { resetTimeout, clearTimeout } = Mocha.Runnable.prototype as unknown as Record<string, () => void>;
const timed = new Set<object>();
Object.assign(Mocha.Runnable.prototype, {
  resetTimeout(this: Mocha.Runnable) {
    resetTimeout!.call(this);
    timed.clear();
    if (this.timeout() > 0) timed.add(this);
  },
  clearTimeout(this: Mocha.Runnable) {
    clearTimeout!.call(this);
    timed.delete(this);
  },
});

/** The open handles that keep the process alive, by kind: `TCPSocketWrap`, `TCPServerWrap`, `PipeWrap`, `TLSWrap`, `Timeout` and their like. */
export function openHandles(): string[] {
  const kinds = process.getActiveResourcesInfo().filter((kind) => /tcp|pipe|tls|timeout/i.test(kind));
  const ours = timed.size === 0 ? -1 : kinds.indexOf('Timeout');
  return kinds.filter((_kind, at) => at !== ours).sort();
}

/**
 * Resolves once no more handles are open than `before`, a result of `openHandles()`; rejects naming those that stay.
 *
 * @example
 * const before = openHandles();
 * // open, use and close
 * await noneLeft(before);
 */
export async function noneLeft(before: readonly string[]): Promise<void> {
  if (await until(() => surplus(before).length === 0)) return;
  throw new Error(`still open: ${surplus(before).join(', ')}`);
}

/** Turns of the event loop until the condition holds; `false` when it never did. */
export async function until(condition: () => boolean, maxTurns = MAX_TURNS): Promise<boolean> {
  for (let turns = 0; turns < maxTurns; turns++) {
    if (condition()) return true;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return condition();
}

/** A number once it has stayed the same for many turns. */
export async function settled(read: () => number): Promise<number> {
  let [last, same] = [read(), 0];
  await until(() => {
    const now = read();
    same = now === last ? same + 1 : 0;
    last = now;
    return same > 2_000;
  }, 1_000_000);
  return last;
}

/**
 * How many of these objects are still in memory, after as many collections as it takes to come down to `allowed`, up to 50: what was used
 * a moment ago may still be on the stack, or in code that was just compiled.
 */
export async function stillAlive(refs: readonly WeakRef<object>[], allowed = 0): Promise<number> {
  const count = (): number => refs.filter((ref) => ref.deref() !== undefined).length;
  for (let i = 0; i < 50; i++) {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc!();
    if (count() <= allowed) break;
  }
  return count();
}

function surplus(before: readonly string[]): string[] {
  const known = [...before];
  return openHandles().filter((kind) => {
    const at = known.indexOf(kind);
    if (at >= 0) known.splice(at, 1);
    return at < 0;
  });
}
