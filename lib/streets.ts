import type { ResolvedSocket } from './config.js';
import type { ErrorContext } from './errors.js';
import type { Receiver } from './inbound/receive.js';
import type { ErrorLog } from './monitor/error-log.js';
import type { Outlet } from './outbound/outlet.js';

/** The two streets of a socket, for what is built on it: users have their mouths alone. */
export interface Streets<In, Out> {
  readonly receiver: Receiver<In>;
  readonly outlet: Outlet<Out>;
  readonly config: ResolvedSocket<In, Out>;
  readonly monitor: { readonly errors: Pick<ErrorLog, 'report'> };
  /** Where the socket is now, for errors. */
  readonly where: () => ErrorContext;
}

const laid = new WeakMap<object, unknown>();

/** A socket is made. */
export function layStreets<In, Out>(socket: object, streets: Streets<In, Out>): void {
  laid.set(socket, streets);
}

/** The streets of a socket that `tcpSocket` made. */
export function streetsOf<In, Out>(socket: object): Streets<In, Out> | undefined {
  return laid.get(socket) as Streets<In, Out> | undefined;
}
