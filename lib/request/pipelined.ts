import { callable, refused } from '../check.js';
import { ConfigError } from '../errors.js';
import type { TcpSocket } from '../socket.js';
import { streetsOf } from '../streets.js';
import { InOrder } from './in-order.js';
import { resolveLimits, type PipelinedConfig } from './request-config.js';
import { Requester } from './requester.js';
import type { Requests } from './requests.js';

/** Sockets whose replies somebody pairs by their order. */
const paired = new WeakSet<object>();

/**
 * Asks a peer that answers in the order of the requests, as Redis, memcached, SMTP and HTTP/1.1 do.
 *
 * Any number of requests is on its way at once (`inFlight`), and each reply is paired with the oldest request that has not all of its own. It subscribes to the
 * socket from now to its end, so it is demand: read `unsolicited` for what answers no request. One for each socket, and whatever is answered goes through it: a reply to
 * something that `write()`, `outbound` or a heartbeat's `message` wrote would be taken for another's. After a loss nothing is paired across connections: what was handed
 * over errors, unless it may be done twice (`resend: 'always'`). Keep commands that belong together in one message, and count their replies with `until`.
 *
 * A reply that never comes keeps its place: all that follow are swallowed in the place of the one before, and time out. So where a peer may forget one, answer a
 * {@link RequestTimeoutError} with `socket.redial()`, which begins with a clean slate.
 *
 * Throws a {@link ConfigError} for a bad option, for a socket that `tcpSocket()` did not make, for a second call with one socket, and for a socket whose
 * heartbeat has a `message`, unless there is an `unsolicited`, which then must tell its replies from all others.
 *
 * @example
 * import { firstValueFrom } from 'rxjs';
 * import { echoServer, lines, pipelined, tcpSocket } from 'rx-tcp';
 * const server = echoServer();
 * const { port } = await server.listening;
 * const socket = tcpSocket({ port, codec: lines() });
 * const { request } = pipelined(socket);
 * console.log(await Promise.all(['one', 'two'].map((line) => firstValueFrom(request(line))))); // [ 'one', 'two' ]
 * await socket.end();
 * await server.close();
 */
export function pipelined<In, Out>(socket: TcpSocket<In, Out>, config: PipelinedConfig<In> = {}): Requests<In, Out> {
  const streets = streetsOf<In, Out>(socket);
  if (streets === undefined) throw refused('socket', 'a socket made by tcpSocket()', socket);
  const { limits, options } = resolveLimits<In>('pipelined', config, streets.config.retryLimit, ['unsolicited']);
  const unsolicited = callable<(frame: In) => boolean>('unsolicited', options.unsolicited);
  if (streets.config.heartbeat?.message !== undefined && unsolicited === undefined)
    throw new ConfigError('`heartbeat.message` needs an `unsolicited` that tells its replies from those to requests');
  if (paired.has(socket)) throw new ConfigError('`socket` is used by another pipelined() already');
  paired.add(socket);
  return new Requester(streets, new InOrder<In, Out>(unsolicited), limits);
}
