/** Bytes of this process, after a collection. */
export function memoryNow(): { readonly resident: number; readonly alive: number } {
  globalThis.gc?.();
  globalThis.gc?.(); // the memory of buffers is given back beside the program's own work; the second one waits for that
  const { rss, heapUsed, external } = process.memoryUsage();
  return { resident: rss, alive: heapUsed + external };
}

/**
 * Collects what is young, so that nobody pays for the garbage of the run before. Not everything: V8 would drop the hidden classes of
 * which no object is alive just now, and the optimised code that relies on them.
 */
export function cleanUp(): void {
  globalThis.gc?.({ type: 'minor' });
}
