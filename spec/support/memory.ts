/** How much memory a spec takes. */

const collectGarbage = globalThis.gc!;

/** Bytes alive in this process now, in the heap and outside it, after a collection. */
export function aliveBytes(): number {
  // The memory of buffers is given back beside the program's own work; the second collection waits for that.
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** How far what is alive grows above what was alive at first. */
export interface MemoryWatch {
  /** Measures now. Takes some milliseconds. */
  look(): void;
  /** Bytes, the most that `look()` has found. */
  readonly most: number;
}

/** Starts to watch. The resident size is left out: it has the garbage of all specs before. */
export function memoryWatch(): MemoryWatch {
  const start = aliveBytes();
  let most = 0;
  return {
    look: () => {
      most = Math.max(most, aliveBytes() - start);
    },
    get most() {
      return most;
    },
  };
}
