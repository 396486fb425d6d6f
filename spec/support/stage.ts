/**
 * A socket over links that a spec plays, in virtual time, with all that it tells written down.
 *
 *     virtualTurns();                                              in a describe: microtasks are virtual too
 *     const { told } = stage({ config: { settle: 0 } }, ({ socket, at, link }) => {
 *       at(10, () => link.chunk('hi\n'));
 *       at(20, () => socket.destroy());
 *     });
 */
import { Observable } from 'rxjs';
import { lines } from '../../lib/codec/lines.js';
import type { TcpSocketConfig } from '../../lib/config.js';
import type { Link, LinkEvents } from '../../lib/connection/link.js';
import { ConnectError } from '../../lib/errors.js';
import type { TcpError } from '../../lib/errors.js';
import type { ConnectionStatus } from '../../lib/monitor/status.js';
import { resolveConfig } from '../../lib/resolve-config.js';
import { StayingSocket } from '../../lib/tcp-socket.js';
import { FakeLink, type OnFakeWrite } from './fake-link.js';
import { inVirtualTime } from './virtual-socket.js';

/** A link that goes on talking after its end, as none may: nobody may listen. */
export class GhostLink extends FakeLink {
  onWrite: OnFakeWrite;
  /** Our side ends it. */
  onEnd: () => void = () => {};
  /** It is given up, or lost. */
  onOver: () => void = () => {};
  /** The peer has ended. */
  finished = false;
  #ghost: LinkEvents | undefined;

  constructor(onWrite: OnFakeWrite = () => {}) {
    super((link, index) => (link as GhostLink).onWrite(link, index));
    this.onWrite = onWrite;
  }

  override listen(events: LinkEvents): void {
    this.#ghost = events;
    super.listen(events);
  }

  override end(): void {
    super.end();
    this.onEnd();
  }

  override destroy(): void {
    const first = this.destroys === 0;
    super.destroy();
    if (first) this.onOver();
  }

  override fin(): void {
    this.finished = true;
    super.fin();
  }

  /** Events and callbacks of long ago. */
  haunt(): void {
    this.#ghost?.chunk(Buffer.from('ghost\n'));
    this.#ghost?.fin();
    this.#ghost?.lost(new Error('ghost'));
    for (const { done } of this.writes) {
      done(null);
      done(new Error('ghost'));
    }
  }
}

/** One dial, played by the spec. */
export class Dialled {
  readonly link: GhostLink;
  readonly at: number;
  /** Its subscription is over: the link, if there is one, is destroyed. */
  gone = false;
  failed = false;
  readonly #next: (link: Link) => void;
  readonly #error: (error: TcpError) => void;

  constructor(at: number, next: (link: Link) => void, error: (error: TcpError) => void, onWrite?: OnFakeWrite) {
    this.at = at;
    this.link = new GhostLink(onWrite);
    this.#next = next;
    this.#error = error;
  }

  open(): void {
    this.#next(this.link);
  }

  fail(code = 'ECONNREFUSED'): void {
    this.failed = true;
    this.#error(new ConnectError('connect', { cause: Object.assign(new Error(code), { code }) }));
  }
}

/** All that a socket has told. */
export interface Told {
  readonly statuses: string[];
  readonly errors: TcpError[];
  readonly frames: string[];
  /** Everything of the above, and ends, in the order in which it was told. */
  readonly all: string[];
}

/** What a script has in hand, and a spec afterwards. */
export interface Stage {
  readonly socket: StayingSocket<string, string>;
  readonly dials: readonly Dialled[];
  /** The newest. */
  readonly dial: Dialled;
  readonly link: GhostLink;
  readonly told: Told;
  readonly at: (ms: number, action: () => void) => void;
  readonly now: () => number;
}

/** What becomes of a dial, called when it is asked for. */
export type Play = (dialled: Dialled, index: number) => void;
/** Every dial opens at once. */
export const opens: Play = (dialled) => dialled.open();

/** How a stage is set. */
export interface Staging {
  readonly config?: TcpSocketConfig<string, string>;
  /** What becomes of each dial. @default it opens at once */
  readonly play?: Play;
  readonly onWrite?: OnFakeWrite;
  /** Whether somebody subscribes to `inbound` from the start. @default true */
  readonly reads?: boolean;
}

/** A status in a few words. */
export function statusText(status: ConnectionStatus): string {
  if (status.type === 'connecting') return `connecting ${status.attempt}`;
  if (status.type === 'open') return `open ${status.epoch}`;
  if (status.type === 'backoff') return `backoff ${status.attempt} ${status.delay}`;
  return status.type === 'closed' && status.cause !== undefined ? `closed ${status.cause.code}` : status.type;
}

/** A socket over fake links in virtual time; returns when nothing is left to happen. */
export function stage(
  { config = {}, play = opens, onWrite, reads = true }: Staging,
  script: (stage: Stage) => void,
): Stage {
  let staged: Stage | undefined;
  inVirtualTime(({ now, at }) => {
    const dials: Dialled[] = [];
    const dial = (): Observable<Link> =>
      new Observable((subscriber) => {
        const dialled = new Dialled(
          now(),
          (link) => subscriber.next(link),
          (error) => subscriber.error(error),
          onWrite,
        );
        dials.push(dialled);
        subscriber.add(() => {
          dialled.gone = true;
          dialled.link.destroy();
        });
        play(dialled, dials.length - 1);
      });
    const reconnect = { random: () => 1 };
    const resolved = resolveConfig({ host: 'fake', port: 1, codec: lines(), reconnect, ...config });
    const socket = new StayingSocket<string, string>(resolved, dial);
    staged = {
      ...{ socket, dials, told: listenTo(socket, reads), now, at },
      get dial() {
        return dials.at(-1)!;
      },
      get link() {
        return dials.at(-1)!.link;
      },
    };
    script(staged);
  });
  return staged!;
}

function listenTo(socket: StayingSocket<string, string>, reads: boolean): Told {
  const told: Told = { statuses: [], errors: [], frames: [], all: [] };
  const end = (name: string) => ({
    complete: () => void told.all.push(`${name} completed`),
    error: (error: TcpError) => void told.all.push(`${name} errored ${error.code}`),
  });
  socket.status.subscribe({
    ...end('status'),
    next: (status) => {
      told.statuses.push(statusText(status));
      told.all.push(statusText(status));
    },
  });
  socket.errors.subscribe({
    ...end('errors'),
    next: (error) => {
      told.errors.push(error);
      told.all.push(error.code);
    },
  });
  socket.connections.subscribe({ ...end('connections') });
  socket.writable.subscribe({ ...end('writable') });
  if (reads) {
    socket.inbound.subscribe({
      ...end('inbound'),
      next: (frame) => {
        told.frames.push(frame);
        told.all.push(frame);
      },
    });
  }
  return told;
}
