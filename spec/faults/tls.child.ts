/**
 * Dials TLS in a process of its own, where the environment or a polluted `Object.prototype` may weaken it without weakening the test runner.
 * Run by tls-names.spec.ts, which has the servers.
 *
 *     argument   the dials, one after another        says   how each ended, and the codes of all warnings
 */
import process from 'node:process';
import { tcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { outcome } from '../support/fixture.js';
import { tape } from '../support/tape.js';

/** One dial. */
export interface TlsTry {
  readonly host: string;
  readonly port: number;
  readonly tls: NonNullable<TcpSocketConfig['tls']>;
  /** What `Object.prototype` has while it dials. The text `a function` stands for one that says yes to all. */
  readonly polluted?: Readonly<Record<string, unknown>>;
}

/** What the process says before it exits. */
export interface TlsTries {
  /** `open`, or the code of what Node refused with. */
  readonly ends: readonly string[];
  readonly warnings: readonly string[];
}

const warnings: string[] = [];
process.on('warning', (warning: Error & { code?: string }) => warnings.push(warning.code ?? warning.message));

function pollute(values: Readonly<Record<string, unknown>>): () => void {
  for (const [name, value] of Object.entries(values)) {
    const given = value === 'a function' ? () => undefined : value;
    Object.defineProperty(Object.prototype, name, {
      value: given,
      configurable: true,
      writable: true,
      enumerable: true,
    });
  }
  return () => {
    for (const name of Object.keys(values)) Reflect.deleteProperty(Object.prototype, name);
  };
}

function endOf(error: unknown): string {
  const { code, cause } = error as { readonly code?: string; readonly cause?: { readonly code?: string } };
  return cause?.code ?? code ?? String(error);
}

async function dials({ polluted = {}, ...place }: TlsTry): Promise<string> {
  const restore = pollute(polluted);
  try {
    const socket = tcpSocket({ ...place, connectTimeout: 5_000, reconnect: false });
    const statuses = tape(socket.status);
    const inbound = tape(socket.inbound);
    const { type } = await statuses.first((status) => status.type === 'open' || status.type === 'closed');
    // It has to stay open for as long as one write takes: a timeout from elsewhere would have come by then.
    const written = type === 'open' && (await outcome(socket.write('x'))) === 'written';
    if (written) await inbound.at(0);
    socket.destroy();
    return written ? 'open' : endOf(inbound.error);
  } catch (error) {
    return endOf(error);
  } finally {
    restore();
  }
}

async function main(): Promise<void> {
  const tries = JSON.parse(process.argv[2]!) as TlsTry[];
  const ends: string[] = [];
  for (const one of tries) ends.push(await dials(one));
  const report: TlsTries = { ends, warnings };
  console.log(JSON.stringify(report));
}

await main();
