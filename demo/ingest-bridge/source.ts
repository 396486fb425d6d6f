/** A source: it keeps each frame until a bridge has acknowledged it, and gives the next bridge what is left. */
import { firstValueFrom, Subject } from 'rxjs';
import { tcpServer } from '../../lib/index.js';
import { framing, frameOf, isSignOfLife, numberOf, signsOfLife } from './wire.js';

export interface SourceConfig {
  /** How many frames it has to give. */
  readonly frames: number;
  readonly bodyOf: (number: number) => Buffer;
  /** How far it may be ahead of what is acknowledged. */
  readonly window?: number;
}

export type Source = ReturnType<typeof openSource>;

export function openSource({ frames, bodyOf, window = 2_000 }: SourceConfig) {
  const kept = new Map<number, Buffer>();
  const acknowledged = new Subject<number>();
  const counts = { made: 0, again: 0, acknowledged: 0 };

  // One bridge at a time: its connection is its lease, and the lease ends with it.
  const server = tcpServer({ codec: framing(), maxConnections: 1, heartbeat: signsOfLife });
  server.connections.subscribe((bridge) => {
    bridge.inbound.subscribe((frame) => {
      if (!isSignOfLife(frame)) acknowledge(numberOf(frame));
    });
    // What its connection takes along is not acknowledged, and is there for the next one.
    bridge.writeAll(left()).catch(() => undefined);
  });

  function acknowledge(number: number): void {
    if (number <= counts.acknowledged || number > counts.made) return; // known, or nothing that it ever gave
    while (counts.acknowledged < number) kept.delete(++counts.acknowledged);
    acknowledged.next(number);
    if (counts.acknowledged === frames) acknowledged.complete();
  }

  async function* left(): AsyncGenerator<Buffer> {
    let number = counts.acknowledged;
    while ((number = Math.max(number, counts.acknowledged) + 1) <= frames) {
      while (number > counts.acknowledged + window) await firstValueFrom(acknowledged);
      yield again(number) ?? make(number);
    }
  }

  function again(number: number): Buffer | undefined {
    if (kept.has(number)) counts.again++;
    return kept.get(number);
  }

  function make(number: number): Buffer {
    const frame = frameOf(number, bodyOf(number));
    kept.set((counts.made = number), frame);
    return frame;
  }

  return { server, counts, acknowledged: acknowledged.asObservable() };
}
