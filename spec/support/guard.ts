/**
 * Nothing goes wrong unseen: an uncaught exception, an unhandled rejection or a process warning fails the spec that ran.
 *
 * Mocha alone does a third of it. Its own listener fails the running spec for an uncaught exception. It re-emits an
 * unhandled rejection on `process`, where nobody else listens, and so loses it; it knows nothing of warnings. And what
 * comes in the turn after a spec has passed hits the next one, or ends the whole run. Hence:
 *
 *     beforeEach   wraps the spec's own function                            ┐
 *     the spec     uncaught exception ──────────────► mocha: fails it now   │ so that each fault
 *                  unhandled rejection ─► thrown on ─► mocha: fails it now  │ fails its own spec, and
 *                  warning ─► collected                                     │ the run goes on
 *     the wrapper  waits until timers of 0 ms have fired, fails the spec    ┘
 *     afterEach    fails for what the spec's own hooks have caused since
 *
 * Only while a spec expects something are mocha's listeners set aside; what was not expected is handed to them.
 */
import { setTimeout } from 'node:timers';
import { until } from './leaks.js';

type Matcher = RegExp | ((reason: unknown) => boolean);

interface Expectation {
  readonly matcher: Matcher;
  readonly came: (reason: unknown) => void;
  met: boolean;
}

interface Watch {
  readonly warnings: Error[];
  readonly expected: Expectation[];
}

let watch: Watch = { warnings: [], expected: [] };
let setAside: NodeJS.UncaughtExceptionListener[] = [];
const wrapped = new WeakSet<object>();
const seen = new WeakSet<Promise<unknown>>();

/**
 * Declares that an uncaught exception, an unhandled rejection or a warning is to come before this spec ends, and
 * resolves with the first that matches. A spec that expects one that does not come fails. Call it inside the spec.
 */
export function expectUncaught(matcher: Matcher): Promise<unknown> {
  if (setAside.length === 0) {
    setAside = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', onUncaught);
  }
  return new Promise((resolve) => watch.expected.push({ matcher, came: resolve, met: false }));
}

/** Loaded by mocha through `require` in .mocharc.json. */
export const mochaHooks: Mocha.RootHookObject = {
  beforeAll() {
    process.on('unhandledRejection', onRejection);
    process.on('warning', onWarning);
  },
  afterAll() {
    process.off('unhandledRejection', onRejection);
    process.off('warning', onWarning);
  },
  beforeEach(this: Mocha.Context) {
    if (this.currentTest !== undefined) wrap(this.currentTest);
  },
  async afterEach(this: Mocha.Context) {
    await zeroTimersFired();
    const { warnings } = watch;
    release();
    // A hook that fails ends the run: not for a spec that has failed already.
    if (warnings[0] !== undefined && this.currentTest?.isFailed() !== true) throw faultOf(warnings[0]);
  },
};

function wrap(test: Mocha.Test): void {
  const body = test.fn;
  if (body === undefined || wrapped.has(body)) return;
  const guarded = async function (this: Mocha.Context): Promise<void> {
    const mine: Watch = { warnings: [], expected: [] };
    watch = mine;
    await run(body, this);
    await until(() => mine.expected.every(({ met }) => met));
    await zeroTimersFired();
    // An uncaught exception has ended it already: to resolve now would fail it a second time.
    if (test.isFailed()) return new Promise(() => {});
    release();
    const missing = mine.expected.find(({ met }) => !met);
    if (missing !== undefined) throw new Error(`nothing uncaught came that matches ${String(missing.matcher)}`);
    if (mine.warnings[0] !== undefined) throw faultOf(mine.warnings[0]);
  };
  wrapped.add(guarded);
  test.fn = guarded;
  // Mocha has set it from the number of parameters; the wrapper returns a promise whatever the body does.
  test.async = false;
}

async function run(body: Mocha.Func | Mocha.AsyncFunc, context: Mocha.Context): Promise<void> {
  if (body.length === 0) {
    await (body as Mocha.AsyncFunc).call(context);
    return;
  }
  await new Promise<void>((resolve, reject) => {
    (body as Mocha.Func).call(context, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
  });
}

/** A timer of 0 ms fires after every one that was set before it; rxjs reports unhandled errors with such a timer. */
function zeroTimersFired(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, 0));
}

/** Gives mocha its listeners back. */
function release(): void {
  watch = { warnings: [], expected: [] };
  if (setAside.length === 0) return;
  process.off('uncaughtException', onUncaught);
  for (const listener of setAside) process.on('uncaughtException', listener);
  setAside = [];
}

function onUncaught(error: Error, origin: NodeJS.UncaughtExceptionOrigin): void {
  if (isExpected(error)) return;
  for (const listener of setAside) listener.call(process, error, origin);
}

function onRejection(reason: unknown, promise: Promise<unknown>): void {
  // Mocha re-emits it, so that it comes twice.
  if (seen.has(promise)) return;
  seen.add(promise);
  if (!isExpected(reason)) throw reason;
}

function onWarning(warning: Error): void {
  if (!isExpected(warning)) watch.warnings.push(warning);
}

function isExpected(reason: unknown): boolean {
  const expectation = watch.expected.find(({ matcher }) =>
    matcher instanceof RegExp ? matcher.test(String(reason)) : matcher(reason),
  );
  if (expectation === undefined) return false;
  expectation.met = true;
  expectation.came(reason);
  return true;
}

function faultOf(warning: Error): Error {
  return new Error(`the process warned during this spec: ${String(warning)}`, { cause: warning });
}
