import { filter, firstValueFrom, mergeMap, tap, type Observable } from 'rxjs';
import { tcpSocket, type Connection, type TcpSocketConfig } from '../../lib/index.js';
import { natsDecoder } from './decoder.js';
import { encode } from './encode.js';
import type { Incoming, Outgoing } from './protocol.js';

type NatsConnection = Connection<Incoming, Outgoing>;

/** Options beside those of `tcpSocket()`. The server lists the client by its `name`. */
export interface NatsConfig extends Omit<TcpSocketConfig<Incoming, Outgoing>, 'codec' | 'handshake'> {
  /** What CONNECT says of who we are: `{ user, pass }`, or `{ auth_token }`. */
  readonly login?: Readonly<Record<string, string>>;
  /** The longest message in bytes, its headers included: as much as the server allows. @default 1_048_576 */
  readonly maxPayload?: number;
}

/** No password gets better by trying it again. Other refusals may: a server may be full, or slow. */
const FINAL = /authorization|authentication (expired|revoked)/i;

/** A socket that introduces itself on each connection, and asks for these subscriptions: the SUB of each, by its id. */
export function natsSocket(config: NatsConfig, subscriptions: ReadonlyMap<string, string>) {
  const { login, maxPayload = 1_048_576, ...options } = config;
  const about = { ...login, name: config.name, verbose: false, headers: true, no_responders: true };
  const connect = `CONNECT ${JSON.stringify(about)}`;
  const socket = tcpSocket<Incoming, Outgoing>({
    heartbeat: { interval: 30_000, timeout: 10_000, message: () => 'PING' },
    ...options,
    codec: { decoder: (report) => natsDecoder(maxPayload, report), encode: (message) => encode(message, maxPayload) },
    handshake: (connection) => introduce(connection, connect, subscriptions.values()),
  });
  socket.connections.pipe(mergeMap(answeringPings)).subscribe();
  return socket;
}

/**
 *     INFO ──> CONNECT, PING ──> PONG ──> SUB …, and then whatever is queued
 *
 * The PONG says that we are let in. The subscriptions come after it: a message that came before would be lost in here.
 * Where the server wants TLS, `await connection.upgrade()` belongs behind INFO.
 */
async function introduce(connection: NatsConnection, connect: string, subscriptions: Iterable<string>) {
  const frames = answeringPings(connection);
  const hears = async (op: Incoming['op']) => {
    const frame = await firstValueFrom(frames.pipe(filter((said) => said.op === op || said.op === '-ERR')));
    if (frame.op !== '-ERR') return;
    throw Object.assign(new Error(frame.text), FINAL.test(frame.text) && { code: 'NATS_REFUSED' }); // a code of our own is final
  };
  await hears('INFO');
  for (const line of [connect, 'PING']) await connection.write(line);
  await hears('PONG');
  for (const line of subscriptions) await connection.write(line);
}

/** The frames of a connection. A server gives up who does not answer its PING; the answer goes past the queue, which may be long. */
function answeringPings(connection: NatsConnection): Observable<Incoming> {
  return connection.inbound.pipe(tap(({ op }) => op === 'PING' && void connection.write('PONG')));
}
