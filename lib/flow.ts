import type { LiveConnection } from './framed.js';
import type { Outlet } from './outbound/outlet.js';
import { writeTo, type WriteSession } from './outbound/write-to.js';

/** Lets what is queued flow into a connection, from now until the session is stopped; what the kernel takes counts for both. */
export function flowInto<In, Out>(connection: LiveConnection<In, Out>, outlet: Outlet<Out>): WriteSession {
  const source = {
    get waitingBytes() {
      return outlet.waitingBytes;
    },
    take: (limit: number) => outlet.take(limit),
    confirm: () => {
      connection.tally.wrote(outlet.queue.inFlightBytes);
      return outlet.confirm();
    },
  };
  const session = writeTo(connection.link, source, (error) => connection.failed(error));
  session.wake();
  return session;
}
