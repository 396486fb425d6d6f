/** Sources with their bridges, as the specs of the ingest bridge need them: how far they are, and what an outage does to them. */
import { filter, firstValueFrom, map, merge, share, startWith, tap } from 'rxjs';
import type { Bridge } from '../../../demo/ingest-bridge/fleet.js';
import type { Report } from '../../../demo/ingest-bridge/process.js';
import { openSource, type Source } from '../../../demo/ingest-bridge/source.js';
import { frameOf } from '../../../demo/ingest-bridge/wire.js';
import { atEnd } from '../../support/fixture.js';

/** A frame's body is a hundred times its number's lowest byte. */
const BODIES = Array.from({ length: 256 }, (_, byte) => Buffer.alloc(100, byte));

/** Sources that give so many frames each, of which they may give `window` before one is acknowledged. */
export interface Sources {
  readonly list: readonly { readonly name: string; readonly host: string; readonly port: number }[];
  /** How many frames are acknowledged, of all. */
  readonly acknowledged: () => number;
  /** How many were given again. */
  readonly again: () => number;
  /** How often a connection was lost, by the code of the error; one that ended with a FIN has none. */
  readonly losses: Readonly<Record<string, number>>;
  /** Resolves once so many are acknowledged. */
  reach(acknowledged: number): Promise<void>;
}

export async function openSources(count: number, frames: number, window: number): Promise<Sources> {
  const bodyOf = (number: number): Buffer => BODIES[number % 256]!;
  const opened = Array.from({ length: count }, () => openSource({ frames, bodyOf, window }));
  for (const { server } of opened) atEnd(() => server.close({ timeout: 0 }));
  const losses: Record<string, number> = {};
  for (const { server } of opened) server.errors.subscribe(({ code }) => (losses[code] = (losses[code] ?? 0) + 1));
  const ports = await Promise.all(opened.map(async ({ server }) => (await server.listening).port));
  const sum = (of: (source: Source) => number): number => opened.reduce((all, source) => all + of(source), 0);
  const acknowledged = (): number => sum(({ counts }) => counts.acknowledged);
  const progress = merge(...opened.map((source) => source.acknowledged)).pipe(share());
  progress.subscribe();
  return {
    list: ports.map((port, i) => ({ name: `source-${i}`, host: '127.0.0.1', port })),
    acknowledged,
    losses,
    again: () => sum(({ counts }) => counts.again),
    reach: async (enough) => {
      const later = progress.pipe(
        startWith(0),
        filter(() => acknowledged() >= enough),
      );
      await firstValueFrom(later);
    },
  };
}

/** What was read back from a stream. */
export class Ledger {
  readonly #seen: Uint8Array[];
  messages = 0;
  distinct = 0;
  /** Those that no source gave, as they are. */
  strange = 0;

  constructor(sources: number, frames: number) {
    this.#seen = Array.from({ length: sources }, () => new Uint8Array(frames + 1));
  }

  add(id: string, data: Uint8Array): void {
    this.messages++;
    const [, source = '', number = ''] = /^source-(\d+):(\d+)$/.exec(id) ?? [];
    const seen = this.#seen[Number(source)];
    const expected = frameOf(Number(number), BODIES[Number(number) % 256]);
    const isOurs = expected.equals(data) && seen?.[Number(number)] !== undefined;
    if (!isOurs) this.strange++;
    else if (seen[Number(number)]!++ === 0) this.distinct++;
  }
}

/** What a bridge tells from now on, until it has told so many times in a row that nothing moves. */
export function untilStill({ reports }: Bridge, times: number): Promise<Report[]> {
  const all: Report[] = [];
  const stands = ({ taken, acknowledged }: Report): boolean => {
    const lately = all.slice(-times);
    return lately.length === times && lately.every((one) => one.taken === taken && one.acknowledged === acknowledged);
  };
  return firstValueFrom(
    reports.pipe(
      tap((report) => all.push(report)),
      filter(stands),
      map(() => all),
    ),
  );
}
