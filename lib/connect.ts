import { Observable } from 'rxjs';
import type { ConnectionConfig } from './config.js';
import type { Connection } from './connection/connection.js';
import { dial } from './connection/dial.js';
import type { Link } from './connection/link.js';
import type { TcpError } from './errors.js';
import { LiveConnection, type Ending, type LiveConfig } from './framed.js';
import { Receiver } from './inbound/receive.js';
import { newCounters } from './monitor/stats.js';
import { resolveConnection } from './resolve-config.js';

/** Makes a connection of the link that a dial gives; errors with what `tell` makes of its end, completes if that is nothing. */
export function liveOver<In, Out>(
  dialled: Observable<Link>,
  live: (link: Link) => Omit<LiveConfig<In, Out>, 'ended'>,
  tell: (how: Ending) => TcpError | undefined,
): Observable<LiveConnection<In, Out>> {
  return new Observable((subscriber) => {
    let connection: LiveConnection<In, Out> | undefined;
    subscriber.add(() => connection?.destroy());
    subscriber.add(
      dialled.subscribe({
        next: (link) => {
          const ended = (how: Ending): void => {
            const error = tell(how);
            if (error === undefined) subscriber.complete();
            else subscriber.error(error);
          };
          connection = new LiveConnection(link, { ...live(link), ended });
          subscriber.next(connection);
        },
        error: (error: unknown) => subscriber.error(error),
      }),
    );
  });
}

/**
 * One connection, cold: subscribing dials, unsubscribing destroys, in every phase.
 *
 * It emits the {@link Connection} once it is open. It errors with a {@link ConnectError} or {@link ConnectTimeoutError} of the dial, or with a
 * {@link ConnectionLostError} on any end that its own `end()` did not ask for (`clean` for a FIN), and completes only after its own `end()`.
 * Every subscription is a connection of its own. Bad options throw a {@link ConfigError}. Frames that a codec skips are told to nobody here.
 *
 * @example
 * import { connection, echoServer } from 'rx-tcp';
 * const server = echoServer({ port: 0 });
 * const { port } = await server.listening;
 * connection({ host: 'localhost', port }).subscribe({
 *   next: (link) => {
 *     link.inbound.subscribe((chunk) => {
 *       console.log(chunk.toString()); // hello
 *       void link.end();
 *     });
 *     void link.write('hello');
 *   },
 *   complete: () => void server.close(),
 * });
 */
export function connection<In, Out>(
  config: ConnectionConfig<In, Out> & Required<Pick<ConnectionConfig<In, Out>, 'codec'>>,
): Observable<Connection<In, Out>>;
export function connection(config: ConnectionConfig): Observable<Connection>;
export function connection<In, Out>(config: ConnectionConfig<In, Out>): Observable<Connection<In, Out>> {
  const resolved = resolveConnection(config);
  return new Observable((subscriber) => {
    const receiver = new Receiver<In>(resolved.codec, { report: () => undefined });
    const live = (): Omit<LiveConfig<In, Out>, 'ended'> => ({
      config: resolved,
      receiver,
      epoch: 1,
      counters: newCounters(),
      ending: (asked) => {
        if (asked) receiver.gate.drain();
      },
    });
    const tell = ({ lost, asAsked }: Ending): TcpError | undefined => {
      // What was read and waits for its reader outlives the connection.
      receiver.end(() => undefined);
      return asAsked ? undefined : lost;
    };
    return liveOver(
      dial(resolved, () => 0),
      live,
      tell,
    ).subscribe(subscriber);
  });
}
