/**
 * Enters one phase of a socket's life after another, ends the socket there, and then has nothing left to do: it must exit by itself.
 * Run by ending.spec.ts in a process of its own, where no test runner keeps anything open or hears what is uncaught.
 *
 *     argument   a port whose connections are never accepted        says   one Ending for each, and the handles that are left
 */
import process from 'node:process';
import { lines, tcpSocket, type ConnectionStatus, type TcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { outcome, turns } from '../support/fixture.js';
import { journal } from '../support/journal.js';
import { openHandles, until } from '../support/leaks.js';
import { deadPort, listen, neverReading, resetAfter, sink, type Handler } from '../support/servers.js';
import { tape } from '../support/tape.js';

/** How a socket ended in one phase. */
export interface Ending {
  readonly phase: string;
  readonly how: string;
  /** What was told, from the call on. */
  readonly told: readonly string[];
  /** How the message that was queued before, if any, came out. */
  readonly queued: string | undefined;
}

/** What the process says before it exits. */
export interface EndingsReport {
  readonly endings: readonly Ending[];
  readonly left: readonly string[];
  readonly warnings: readonly string[];
}

type Socket = TcpSocket<string, string>;
type Config = TcpSocketConfig<string, string>;

const host = '127.0.0.1';
const unanswered = Number(process.argv[2]);
const MINUTE = 60_000;
const LONG = { initialDelay: MINUTE, maxDelay: MINUTE, jitter: 0 };
const closes: (() => Promise<void>)[] = [];
const sockets: Socket[] = [];
const warnings: string[] = [];

async function serve(handler: Handler): Promise<number> {
  const server = await listen(handler);
  closes.push(() => server.close());
  return server.port;
}

async function open(config: Config, phase: ConnectionStatus['type']): Promise<Socket> {
  const socket = tcpSocket<string, string>({ codec: lines(), endTimeout: MINUTE, ...config });
  sockets.push(socket);
  await tape(socket.status).first(({ type }) => type === phase);
  await turns(2);
  return socket;
}

const down = async (): Promise<Socket> => open({ host, port: await deadPort(), reconnect: LONG }, 'backoff');

/** Phases without a connection. */
const APART: Record<string, () => Promise<Socket>> = {
  idle: () => open({ host, port: 1, lazyConnect: true }, 'idle'),
  lookup: () => open({ host: 'nowhere.invalid', port: 1, socket: { lookup: () => undefined } }, 'connecting'),
  connecting: () => open({ host, port: unanswered }, 'connecting'),
  dialling: () => open({ dial: () => new Promise<never>(() => undefined) }, 'connecting'),
  backoff: down,
};

/** Phases with one. */
const TOGETHER: Record<string, () => Promise<Socket>> = {
  open: async () => open({ host, port: await serve(sink) }, 'open'),
  'open, without reconnect': async () => open({ host, port: await serve(sink), reconnect: false }, 'open'),
  settling: async () => {
    const port = await serve((peer, index) => (index === 0 ? resetAfter : sink)(peer, index));
    const socket = await open({ host, port, settle: MINUTE, reconnect: { initialDelay: 1, maxDelay: 1 } }, 'open');
    await socket.write('x');
    await tape(socket.status).first((status) => status.type === 'open' && status.epoch === 2);
    return socket;
  },
  'paused, with frames held': async () => {
    const port = await serve((peer, index) => {
      peer.write('held\n'.repeat(20_000));
      sink(peer, index);
    });
    const socket = await open({ host, port }, 'open');
    socket.inbound.subscribe();
    socket.pause();
    await until(() => socket.stats().heldBytes > 0, Infinity);
    return socket;
  },
  'with frames that nobody reads': async () => {
    const port = await serve((peer, index) => {
      peer.write('unread\n'.repeat(20_000));
      sink(peer, index);
    });
    const socket = await open({ host, port }, 'open');
    await until(() => socket.stats().heldBytes > 0, Infinity);
    return socket;
  },
  'with a peer that never reads': async () => {
    const socket = await open({ host, port: await serve(neverReading) }, 'open');
    for (let i = 0; i < 12; i++) socket.outbound.next('x'.repeat(1024 * 1024));
    await turns(2);
    return socket;
  },
  'with a peer that never ends': async () => open({ host, port: await serve((peer) => void peer.resume()) }, 'open'),
};

/** Where `end()` waits for what does not come, and only its deadline helps; everywhere else it must not need one. */
const ONLY_THE_DEADLINE = /paused|never reads|never ends/;
const ONLY_THE_DEADLINE_IF_QUEUED = /lookup|connecting|dialling|backoff|settling/;
/** Where a subscriber of `inbound` would change the phase. */
const WITHOUT_READER = /idle|nobody reads/;

async function endIn(
  phase: string,
  enter: () => Promise<Socket>,
  how: 'end' | 'destroy',
  queued: boolean,
): Promise<Ending> {
  const socket = await enter();
  const written = queued ? outcome(socket.write('queued')) : undefined;
  await turns(2);
  const told = journal(socket, { reads: !WITHOUT_READER.test(phase) });
  told.length = 0; // the current values and the errors of before
  const needsDeadline = ONLY_THE_DEADLINE.test(phase) || (queued && ONLY_THE_DEADLINE_IF_QUEUED.test(phase));
  if (how === 'destroy') socket.destroy();
  else await socket.end({ timeout: needsDeadline ? 100 : MINUTE });
  told.push('over');
  // Whoever goes on using it changes nothing.
  socket.outbound.next('late');
  socket.redial();
  socket.destroy(new Error('late'));
  await Promise.all([socket.end(), socket.flush(), outcome(socket.write('late'))]);
  const result = await written;
  const text =
    result instanceof Error ? `${(result as Error & { fate?: string }).fate}` : (result as string | undefined);
  return { phase, how: queued ? `${how}, with a message queued` : how, told, queued: text };
}

async function main(): Promise<void> {
  process.on('warning', (warning) => warnings.push(String(warning)));
  const before = openHandles();
  const endings: Ending[] = [];
  for (const [phase, enter] of Object.entries({ ...APART, ...TOGETHER })) {
    for (const how of ['end', 'destroy'] as const) {
      endings.push(await endIn(phase, enter, how, false));
      // What is queued wakes an idle socket.
      if (phase !== 'idle') endings.push(await endIn(phase, enter, how, true));
    }
  }
  for (const close of closes) await close();
  // Deadlines that were not needed, timers and sockets: none is there any more.
  await until(() => openHandles().length <= before.length);
  const report: EndingsReport = { endings, left: openHandles().filter((kind) => !before.includes(kind)), warnings };
  console.log(JSON.stringify(report));
}

await main();
