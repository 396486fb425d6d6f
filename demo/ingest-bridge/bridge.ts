/** The bridge: which sources it dials, and when. A source takes one bridge at a time, and refuses the others. */
import { map, switchMap, takeUntil, timer, type Observable } from 'rxjs';
import { tcpSocket, type Connection, type TcpSocket } from '../../lib/index.js';
import { pump } from './pump.js';
import { framing, signsOfLife } from './wire.js';

export interface BridgeConfig {
  /** Every bridge has the same list. */
  readonly sources: readonly { readonly name: string; readonly host: string; readonly port: number }[];
  /** Which of how many bridges this is, from 0. */
  readonly place: number;
  readonly of: number;
  /** Milliseconds for which a stand-in waits before its first dial, so that owners who start late get what is their own. @default 5_000 */
  readonly patience?: number;
  /** Milliseconds after which it lets go, so that owners who come back do. @default 60_000 */
  readonly term?: number;
  /** Emits once the frame is in the stream. */
  readonly publish: (name: string, frame: Buffer) => Observable<unknown>;
}

type Source = Connection<Buffer, Buffer>;

/** Frames that may wait for the stream, of all sources together: far less than it can take in the time it has to answer. */
export const IN_FLIGHT = 2_000;

/** Each source has an owner among the bridges, who dials soon and often. The others stand in while it is not there. */
const OWNER = { maxDelay: 250 };
const STAND_IN = { initialDelay: 500, maxDelay: 2_000 };

export function openBridge(config: BridgeConfig): TcpSocket<Buffer, Buffer>[] {
  const { sources, place, of, patience = 5_000, term = 60_000, publish } = config;
  return sources.map(({ name, host, port }, i) => {
    const isOwner = i % of === place;
    const pace = { readBuffer: Math.ceil(IN_FLIGHT / sources.length), heartbeat: signsOfLife };
    const options = { codec: framing(), ...pace, lazyConnect: true, reconnect: isOwner ? OWNER : STAND_IN };
    const socket = tcpSocket({ host, port, name, ...options });

    // It dials when somebody wants its frames.
    timer(isOwner ? 0 : patience)
      .pipe(switchMap(() => pump(socket, (frame) => publish(name, frame))))
      .subscribe({ error: (error: unknown) => console.error(`${name} is given up:`, error) });

    const overdue = (source: Source) =>
      timer(term).pipe(
        map(() => source),
        takeUntil(source.closed),
      );
    if (!isOwner) socket.connections.pipe(switchMap(overdue)).subscribe((source) => source.destroy());
    return socket;
  });
}
