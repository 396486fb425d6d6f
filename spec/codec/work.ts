/** What was done to bytes while a function ran, in bytes unless it says otherwise. */
export interface Work {
  /** Looked at in search of a delimiter, in buffers and in text. */
  scanned: number;
  /** Copied from one buffer to another. */
  copied: number;
  /** Made into text. */
  decoded: number;
  /** How many texts were made. */
  texts: number;
  /** Of memory asked for, by whatever function of Buffer's. */
  allocated: number;
}

/**
 * Counts the work on bytes: it grows with their number alone if a decoder is linear, and says so on any machine, while a
 * clock says it on a quiet one. Only functions of `Buffer` and `String` that are named here are seen; hence a spec that
 * expects little should also see something.
 */
export function workOf(run: () => void): Work {
  const work: Work = { scanned: 0, copied: 0, decoded: 0, texts: 0, allocated: 0 };
  const undo: (() => void)[] = [];
  const tap = (owner: object, name: string, count: (self: unknown, args: unknown[], result: unknown) => void): void => {
    const original = Reflect.get(owner, name) as (...args: unknown[]) => unknown;
    const own = Object.getOwnPropertyDescriptor(owner, name);
    const tapped = function (this: unknown, ...args: unknown[]): unknown {
      const result = Reflect.apply(original, this, args);
      count(this, args, result);
      return result;
    };
    Object.defineProperty(owner, name, { value: tapped, configurable: true, writable: true });
    undo.push(() =>
      own === undefined ? Reflect.deleteProperty(owner, name) : Object.defineProperty(owner, name, own),
    );
  };
  const buffers = Buffer.prototype as object;
  const scan = (self: unknown, [, from = 0]: unknown[], found: unknown): void => {
    const { length } = self as { length: number };
    work.scanned += (found as number) < 0 ? length - (from as number) : (found as number) - (from as number) + 1;
  };
  tap(buffers, 'indexOf', scan);
  tap(String.prototype, 'indexOf', scan);
  tap(buffers, 'lastIndexOf', (self, [, from = (self as Buffer).length - 1], found) => {
    work.scanned += (from as number) + 1 - Math.max(found as number, 0);
  });
  tap(buffers, 'copy', (_self, _args, copied) => (work.copied += copied as number));
  tap(buffers, 'set', (_, [source]) => (work.copied += (source as Uint8Array).length));
  tap(buffers, 'toString', (self, [, from = 0, to = (self as Buffer).length]) => {
    work.texts++;
    work.decoded += (to as number) - (from as number);
  });
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow', 'concat', 'from']) {
    tap(Buffer, name, (_self, [source], made) => {
      if (source instanceof ArrayBuffer) return; // a view over memory that was there before
      work.allocated += (made as Buffer).length;
      if (name === 'concat' || name === 'from') work.copied += (made as Buffer).length;
    });
  }
  try {
    run();
  } finally {
    for (const restore of undo.reverse()) restore();
  }
  return work;
}
