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
  /** The same of the resident size: to be told, not asserted, for it has the garbage of all specs before. */
  readonly rss: number;
  /** Both, in MiB. */
  readonly text: string;
}

/** Starts to watch. */
export function memoryWatch(): MemoryWatch {
  const resident = process.memoryUsage.rss();
  const start = aliveBytes();
  let [most, rss] = [0, 0];
  return {
    look: () => {
      rss = Math.max(rss, process.memoryUsage.rss() - resident);
      most = Math.max(most, aliveBytes() - start);
    },
    get most() {
      return most;
    },
    get rss() {
      return rss;
    },
    get text() {
      return `heap + external +${mib(most)} MiB, rss +${mib(rss)} MiB`;
    },
  };
}

const mib = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
