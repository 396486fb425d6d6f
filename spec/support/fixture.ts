/** What every spec on real sockets needs: things given up when it ends, and the proof that nothing stays open. */
import { noneLeft, openHandles } from './leaks.js';

const toClose: (() => unknown)[] = [];

/** Calls this when the running spec is over, the latest first. */
export function atEnd(close: () => unknown): void {
  toClose.push(close);
}

/** Destroys it when the running spec is over, unless it is closed by then. */
export function kept<T extends { destroy(): unknown }>(opened: T): T {
  atEnd(() => opened.destroy());
  return opened;
}

/** Inside a `describe`: after each of its specs what was kept is given up, and no socket, server, pipe or timer is left. */
export function leavesNothingOpen(): void {
  let before: string[] = [];
  beforeEach(() => {
    before = openHandles();
  });
  afterEach(async () => {
    for (const close of toClose.splice(0).reverse()) await close();
    await noneLeft(before);
  });
}

/** How a promise turned out: an error is a value here, so that no rejection is left alone. */
export async function outcome(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return 'written';
  } catch (error) {
    return error;
  }
}

/** Some turns of the event loop: enough for whatever is on its way inside this process to arrive. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
