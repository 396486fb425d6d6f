import { callable, refused, required } from '../check.js';
import type { TcpSocket } from '../socket.js';
import { streetsOf } from '../streets.js';
import { ById, countingIds } from './by-id.js';
import { resolveLimits, type CorrelatedConfig, type RequestId } from './request-config.js';
import { Requester } from './requester.js';
import type { Requests } from './requests.js';

/**
 * Asks a peer that answers in any order, each reply with the id of its request, as JSON-RPC, MQTT and Kafka do.
 *
 * `assign` puts an id into each message, `idOf` finds it in each frame. It subscribes to the socket from now to its end, so it is demand: read `unsolicited` for frames without
 * an id. Replies with an id of no request that waits are ignored and counted, as are those of a connection that is lost, and those to a request that was not handed over yet
 * (an id that was guessed). An id is in use until its request is over, and is not given again soon after; a request that is written again gets another one. Several may share a
 * socket, with ids of their own: each counts what is the other's as unknown.
 *
 * Throws a {@link ConfigError} for a bad option and for a socket that `tcpSocket()` did not make. A frame whose `idOf` throws is told by the socket's `errors`, as a
 * {@link FrameError} of kind `decode`, and ignored.
 *
 * @example
 * import { firstValueFrom } from 'rxjs';
 * import { correlated, echoServer, jsonLines, tcpSocket } from 'rx-tcp';
 * const server = echoServer();
 * const { port } = await server.listening;
 * const socket = tcpSocket({ port, codec: jsonLines<{ id: number; text: string }>() });
 * const { request } = correlated(socket, {
 *   assign: (text: string, id) => ({ id: Number(id), text }),
 *   idOf: (frame) => frame.id,
 * });
 * console.log((await firstValueFrom(request('hello'))).text); // hello
 * await socket.end();
 * await server.close();
 */
export function correlated<In, Out, Message = Out>(
  socket: TcpSocket<In, Out>,
  config: CorrelatedConfig<In, Out, Message>,
): Requests<In, Message> {
  const streets = streetsOf<In, Out>(socket);
  if (streets === undefined) throw refused('socket', 'a socket made by tcpSocket()', socket);
  const names = ['assign', 'idOf', 'nextId'];
  const { limits, options } = resolveLimits<In>('correlated', config, streets.config.retryLimit, names);
  const assign = required<CorrelatedConfig<In, Out, Message>['assign']>('assign', options.assign);
  const idOf = required<CorrelatedConfig<In, Out, Message>['idOf']>('idOf', options.idOf);
  const nextId = callable<() => RequestId>('nextId', options.nextId) ?? countingIds;
  return new Requester(streets, new ById<In, Out, Message>({ assign, idOf }, nextId), limits);
}
