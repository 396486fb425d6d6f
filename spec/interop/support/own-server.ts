/** A server of the specs' own: started before a suite, stopped and started again in its middle, and gone after it. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answers, type Kind } from './first-words.js';
import { missing } from './missing.js';

/** How to end one: as it ends when it is told to, or as if its machine had lost its power. */
export type Ending = 'gracefully' | 'abruptly';

/** A server that belongs to a suite. */
export interface OwnServer {
  readonly host: string;
  /** The same through all restarts. */
  readonly port: number;
  /** Where its data is. */
  readonly folder: string;
  /** Resolves once the process is gone. @default 'gracefully' */
  stop(how?: Ending): Promise<void>;
  /** Starts it again, with the data that it had, on the port that it had; resolves once it answers. */
  start(): Promise<void>;
  /** `stop()`, then `start()`. @default 'gracefully' */
  restart(how?: Ending): Promise<void>;
}

/** How a kind of server is run. */
export interface Recipe {
  readonly kind: Kind;
  readonly program: string;
  /** Called for each start. */
  readonly args: (port: number, folder: string) => readonly string[];
  /** Called once, before the first start. */
  readonly prepare?: (folder: string, user: User) => void | Promise<void>;
  /** @default the one who runs the specs */
  readonly user?: string;
  /** @default SIGTERM and SIGKILL */
  readonly signals?: Readonly<Record<Ending, NodeJS.Signals>>;
}

/** Who runs a program; nothing in it stands for oneself. */
export interface User {
  readonly uid?: number;
  readonly gid?: number;
}

const host = '127.0.0.1';
const PATIENCE = 30_000;
const SIGNALS = { gracefully: 'SIGTERM', abruptly: 'SIGKILL' } as const;
/** Below those that the system gives to clients: while a server is down, nobody gets its port by chance. */
const PORTS = { first: 15_000, count: 15_000 };

/** Call it in a `describe`: the server is there from `before` on. A program that is not installed is a server that is missing. */
export function ownServer(recipe: Recipe, port?: number): OwnServer {
  let running: Running | undefined;
  const server = (): Running => {
    if (running === undefined) throw new Error(`${recipe.program} runs only while the specs of its suite do`);
    return running;
  };
  before(async function () {
    this.timeout(2 * PATIENCE);
    const user = userOf(recipe.user);
    if (!isInstalled(recipe.program)) return missing(this, `${recipe.program} is not installed: these specs start one`);
    if (user === undefined) return missing(this, `${recipe.program} needs a user ${recipe.user ?? ''} to run as`);
    running = await Running.prepared(recipe, port ?? (await freePort()), user);
    await running.start();
  });
  after(async function () {
    this.timeout(PATIENCE);
    await running?.dispose();
    running = undefined;
  });
  return {
    host,
    get port() {
      return server().port;
    },
    get folder() {
      return server().folder;
    },
    stop: (how) => server().stop(how),
    start: () => server().start(),
    restart: async (how) => {
      await server().stop(how);
      await server().start();
    },
  };
}

class Running {
  #process: ChildProcess | undefined;

  private constructor(
    readonly recipe: Recipe,
    readonly port: number,
    readonly user: User,
    readonly folder: string,
  ) {}

  static async prepared(recipe: Recipe, port: number, user: User): Promise<Running> {
    const folder = mkdtempSync(join(tmpdir(), `rx-tcp-${recipe.kind}-`));
    if (user.uid !== undefined) chownSync(folder, user.uid, user.gid ?? -1);
    chmodSync(folder, 0o700); // PostgreSQL insists
    await recipe.prepare?.(folder, user);
    return new Running(recipe, port, user, folder);
  }

  async start(): Promise<void> {
    if (this.#process !== undefined) throw new Error(`${this.recipe.program} runs already`);
    const log = openSync(this.#log, 'a');
    // A file and no pipe: nothing of the server is a handle of this process, and nobody has to read what it says.
    const stdio = ['ignore', log, log] as const;
    const child = spawn(this.recipe.program, this.recipe.args(this.port, this.folder), {
      stdio: [...stdio],
      ...this.user,
    });
    closeSync(log);
    this.#process = child;
    const kill = (): void => void child.kill('SIGKILL'); // whatever becomes of the hooks
    process.once('exit', kill);
    child.once('exit', () => {
      process.off('exit', kill);
      if (this.#process === child) this.#process = undefined;
    });
    await once(child, 'spawn');
    await this.#ready();
  }

  async stop(how: Ending = 'gracefully'): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const exited = once(child, 'exit');
    child.kill((this.recipe.signals ?? SIGNALS)[how]);
    await exited;
  }

  async dispose(): Promise<void> {
    await this.stop('abruptly');
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }

  get #log(): string {
    return join(this.folder, 'log');
  }

  async #ready(): Promise<void> {
    const deadline = performance.now() + PATIENCE;
    while (!(await answers(this.recipe.kind, { host, port: this.port }, 1_000))) {
      if (this.#process === undefined || performance.now() > deadline) throw this.#neverReady();
      await new Promise((resolve) => setTimeout(resolve, 10)); // a server tells nobody when it has begun to listen
    }
  }

  #neverReady(): Error {
    const how = this.#process === undefined ? 'ended' : `did not answer within ${PATIENCE / 1000} s`;
    return new Error(`${this.recipe.program} ${how}. It said:\n${readFileSync(this.#log, 'utf8').slice(-2_000)}`);
  }
}

/** Who that is; `undefined` when there is no such user. Without a name, or if we may not choose, ourselves. */
function userOf(name: string | undefined): User | undefined {
  if (name === undefined || process.getuid?.() !== 0) return {};
  const id = (option: string): number =>
    Number(execFileSync('id', [option, name], { stdio: 'pipe', encoding: 'utf8' }));
  try {
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return undefined;
  }
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  for (let i = 0; i < PORTS.count; i++) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count);
    const server = createServer();
    const listening = once(server, 'listening').then(
      () => true,
      () => false,
    );
    server.listen(port, host);
    if (!(await listening)) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error(`no port from ${PORTS.first} on is free`);
}
