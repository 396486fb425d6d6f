import { interval, switchMap, takeUntil, type Observable } from 'rxjs';
import type { TcpSocket } from '../../lib/index.js';

/** Drops a connection from which nothing comes for so long, and as long again: its peer is asked meanwhile. */
export function listening(every?: number): { heartbeat?: { readonly interval: number; readonly timeout: number } } {
  return every === undefined ? {} : { heartbeat: { interval: every, timeout: every } };
}

/**
 * Asks so often while there is a connection. A heartbeat's own `message` is no way to do that: its reply would come between those of requests,
 * and be taken for one of them.
 */
export function pinging<In, Out>(socket: TcpSocket<In, Out>, every: number, ping: () => Observable<In>): void {
  const due = socket.connections.pipe(switchMap(({ closed }) => interval(every).pipe(takeUntil(closed))));
  due.subscribe(() => ping().subscribe({ error: () => undefined })); // what is wrong with the connection, `errors` tells
}
