/** Servers that need a process of their own. */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { fromEvent, takeUntil, type Observable } from 'rxjs';
import { atEnd } from './fixture.js';
import { tape } from './tape.js';

/** What the resetting server saw so far. */
export interface ResettingReport {
  readonly connections: readonly ConnectionReport[];
  readonly resetsLeft: number;
  /** How many different numbers it has seen. */
  readonly arrived: number;
}

/** What it saw on one connection: of the whole frames the numbers, and how many of them were not as expected. */
export interface ConnectionReport {
  readonly first: number;
  readonly last: number;
  readonly count: number;
  readonly gaps: number;
  readonly torn: number;
}

/** Starts `resetting-server.mjs`, which resets its connections at numbers that the seed decides. */
export async function resettingServer(options: {
  readonly frames: number;
  readonly resets: number;
  readonly seed: number;
}): Promise<{ readonly port: number; report(): Promise<ResettingReport> }> {
  const server = await otherProcess<ResettingReport>('resetting-server', options);
  return {
    port: server.port,
    report: () => {
      server.tell('report');
      return server.report();
    },
  };
}

/** The frame of this number and size as `resetting-server.mjs` expects it. */
export function numbered(number: number, size: number): Buffer {
  const body = Buffer.alloc(size, number & 0xff);
  body.writeUInt32BE(number);
  return body;
}

/** A server in a process of its own: its kernel side goes on while the spec's loop is busy, and its memory is not the spec's. */
export interface OtherProcess<Report> {
  readonly port: number;
  /** What it says next. */
  report(): Promise<Report>;
  tell(message: string): void;
  /** Sends it a signal; resolves once it is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

/** Starts `<name>.mjs`, which says `{ port }` first. It is ended with the spec. */
export async function otherProcess<Report = never>(name: string, options: object = {}): Promise<OtherProcess<Report>> {
  const child = fork(script(`${name}.mjs`), [JSON.stringify(options)], { execArgv: [] });
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  atEnd(() => kill('SIGKILL'));
  const said = tape(messagesOf(child));
  let heard = 0;
  const { port } = (await said.at(heard++)) as { port: number };
  return {
    port,
    report: () => said.at(heard++) as Promise<Report>,
    tell: (message) => void child.send(message),
    kill,
  };
}

/** Ends with the process, so that nobody waits for what it does not say any more. */
function messagesOf(child: ChildProcess): Observable<unknown> {
  return fromEvent(child, 'message', (message: unknown) => message).pipe(takeUntil(fromEvent(child, 'exit')));
}

/** Starts `full-queue.mjs`, which never accepts: `PLACES` that dial its port connect, and all others stay in the connect phase. */
export async function neverAccepting(): Promise<{ readonly port: number; kill(): Promise<void> }> {
  const child = spawn(process.execPath, [script('full-queue.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await closed;
  };
  atEnd(kill);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { port: Number(line.toString()), kill };
}

/** A port at which whoever dials stays in the connect phase. */
export async function unansweredPort(): Promise<number> {
  const { port } = await neverAccepting();
  for (let i = 0; i < PLACES; i++) {
    const filler = connect(port, '127.0.0.1');
    filler.on('error', () => undefined);
    atEnd(() => filler.destroy());
    await once(filler, 'connect');
  }
  return port;
}

/** Linux queues one more than the backlog of 1 says. */
export const PLACES = 2;

function script(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
