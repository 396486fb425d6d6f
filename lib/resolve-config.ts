/**
 * The one place where options are read, checked, completed with defaults and frozen. The caller's object is left as it is.
 */
import * as net from 'node:net';
import type { SchedulerLike } from 'rxjs';
import {
  callable,
  flag,
  given,
  integer,
  MAX_TIMER,
  milliseconds,
  number,
  oneOf,
  refused,
  text,
  type Given,
} from './check.js';
import { bytes } from './codec/bytes.js';
import type { Codec } from './codec/codec.js';
import type { BufferLimits, ConnectionConfig, HeartbeatConfig, ReconnectConfig, ReconnectPolicy } from './config.js';
import type { ResolvedConnection, ResolvedSocket, ResolvedStreams, StreamConfig, TcpSocketConfig } from './config.js';
import { ConfigError } from './errors.js';
import { resolveEndpoint, resolveEndpoints } from './resolve-endpoint.js';
import { resolveTls } from './resolve-tls.js';
import { unrefScheduler } from './unref-scheduler.js';

const STREAMS = 'codec handshake heartbeat idleTimeout writeTimeout readBuffer writeBuffer endTimeout'.split(' ');
const PLACE = 'host port path endpoints endpointCooldown allowAddress tls dial connectTimeout socket'.split(' ');
const CONNECTION = [...PLACE, ...STREAMS];
const SOCKET = 'reconnect retryLimit overflow errorBuffer settle lazyConnect signal name'.split(' ').concat(CONNECTION);

/** The options that both ends of a connection share. */
export const STREAM_OPTIONS: readonly string[] = STREAMS;

/** Checks and completes the options that both ends of a connection share. */
export function resolveStreams<In, Out>(options: Given): ResolvedStreams<In, Out> {
  return {
    codec: resolveCodec(options.codec),
    handshake: callable<NonNullable<StreamConfig<In, Out>['handshake']>>('handshake', options.handshake),
    heartbeat: options.heartbeat === undefined ? undefined : resolveHeartbeat(options.heartbeat),
    idleTimeout: milliseconds('idleTimeout', options.idleTimeout, 0),
    writeTimeout: milliseconds('writeTimeout', options.writeTimeout, 0),
    readBuffer: resolveReadBuffer(options.readBuffer),
    writeBuffer: resolveLimits('writeBuffer', options.writeBuffer, 100_000, 16 * 1024 * 1024),
    endTimeout: milliseconds('endTimeout', options.endTimeout, 5_000),
  };
}

/** What may be read ahead; a number is frames. */
export function resolveReadBuffer(value: unknown): BufferLimits {
  return resolveLimits('readBuffer', value, 100, 1024 * 1024);
}

/** Checks and completes what {@link connection} was given. */
export function resolveConnection<In, Out>(
  config: ConnectionConfig<In, Out>,
  what = 'connection',
  names: readonly string[] = CONNECTION,
): ResolvedConnection<In, Out> & { readonly given: Given } {
  const options = given(what, config, names);
  return Object.freeze({
    ...resolveStreams<In, Out>(options),
    endpoint: resolveEndpoint(options, what),
    endpoints: resolveEndpoints(options),
    allowAddress: callable<NonNullable<ConnectionConfig['allowAddress']>>('allowAddress', options.allowAddress),
    tls: resolveTls(options.tls),
    dial: callable<NonNullable<ConnectionConfig['dial']>>('dial', options.dial),
    connectTimeout: milliseconds('connectTimeout', options.connectTimeout, 10_000, 1),
    ...socketOf(options, what),
    given: options,
  });
}

/** Checks and completes what {@link tcpSocket} was given; the caller's object is left as it is. */
export function resolveConfig<In, Out>(config: TcpSocketConfig<In, Out>): ResolvedSocket<In, Out> {
  const { given: options, ...connection } = resolveConnection(config, 'tcpSocket', SOCKET);
  return Object.freeze({
    ...connection,
    reconnect: options.reconnect === false ? false : resolveReconnect(options.reconnect),
    retryLimit: integer('retryLimit', options.retryLimit, 5, 0, Infinity),
    overflow: oneOf('overflow', options.overflow, 'dropNewest', ['dropNewest', 'dropOldest']),
    errorBuffer: integer('errorBuffer', options.errorBuffer, 100, 0, 2 ** 31),
    settle: milliseconds('settle', options.settle, 10),
    lazyConnect: flag('lazyConnect', options.lazyConnect, false),
    signal: resolveSignal(options.signal),
    name: text('name', options.name),
  });
}

/** Checks and completes a {@link ReconnectConfig}. */
export function resolveReconnect(config: unknown = {}): ReconnectPolicy {
  const names = 'initialDelay maxDelay factor jitter maxAttempts stableAfter delay retryable random'.split(' ');
  const options = given('reconnect', config, names);
  return Object.freeze({
    initialDelay: milliseconds('reconnect.initialDelay', options.initialDelay, 50, 1),
    maxDelay: milliseconds('reconnect.maxDelay', options.maxDelay, 5_000, 1),
    factor: number('reconnect.factor', options.factor, 2, 1, 1_000),
    jitter: number('reconnect.jitter', options.jitter, 1, 0, 1),
    maxAttempts: integer('reconnect.maxAttempts', options.maxAttempts, Infinity, 0, Infinity),
    stableAfter: milliseconds('reconnect.stableAfter', options.stableAfter, 5_000),
    delay: callable<NonNullable<ReconnectConfig['delay']>>('reconnect.delay', options.delay),
    retryable: callable<NonNullable<ReconnectConfig['retryable']>>('reconnect.retryable', options.retryable),
    random: callable<() => number>('reconnect.random', options.random) ?? Math.random,
  });
}

/** Checks an AbortSignal by its shape, so that one of another realm passes. */
export function resolveSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined) return undefined;
  const shaped = typeof signal === 'object' && signal !== null && 'aborted' in signal && 'addEventListener' in signal;
  if (shaped) return signal as AbortSignal;
  throw refused('signal', 'an AbortSignal', signal);
}

/** What `socket` says, and what the timers of such a socket run on. */
function socketOf(
  options: Given,
  what: string,
): { readonly socket: Given; readonly scheduler: SchedulerLike | undefined } {
  const asGiven = given('socket', options.socket === undefined ? {} : options.socket, SOCKET_OPTIONS);
  const socket = resolveSocketOptions(asGiven);
  const strange = Object.keys(asGiven).find((name) => !OF_ANY_STREAM.includes(name));
  for (const other of ['dial', 'path']) {
    if (options[other] === undefined || strange === undefined) continue;
    throw new ConfigError(`\`socket.${strange}\` is about TCP and excludes \`${other}\`; ${what} got both`);
  }
  return { socket, scheduler: socket.unref === true ? unrefScheduler : undefined };
}

/** The socket options that `node:net` is given, on either end; each an own property, so that nothing inherited counts. */
export function resolveSocketOptions(value: unknown = {}, names: readonly string[] = SOCKET_OPTIONS): Given {
  const options = given('socket', value, names);
  const { family = 0 } = options;
  if (family !== 0 && family !== 4 && family !== 6) throw refused('socket.family', '0, 4 or 6', family);
  return Object.freeze({
    noDelay: flag('socket.noDelay', options.noDelay, true),
    keepAlive: flag('socket.keepAlive', options.keepAlive, true),
    keepAliveInitialDelay: milliseconds('socket.keepAliveInitialDelay', options.keepAliveInitialDelay, 30_000, 1_000),
    localAddress: address('socket.localAddress', options.localAddress),
    localPort:
      options.localPort === undefined ? undefined : integer('socket.localPort', options.localPort, 0, 0, 65_535),
    family,
    lookup: callable<net.LookupFunction>('socket.lookup', options.lookup),
    autoSelectFamily: flag('socket.autoSelectFamily', options.autoSelectFamily, true),
    autoSelectFamilyAttemptTimeout: milliseconds(
      'socket.autoSelectFamilyAttemptTimeout',
      options.autoSelectFamilyAttemptTimeout,
      2_500,
      10,
    ),
    allowHalfOpen: flag('socket.allowHalfOpen', options.allowHalfOpen, false),
    unref: flag('socket.unref', options.unref, false),
  });
}

function address(option: string, value: unknown): string | undefined {
  if (value === undefined || (typeof value === 'string' && net.isIP(value) > 0)) return value;
  throw refused(option, 'an IP address', value);
}

const SOCKET_OPTIONS: readonly string[] = (
  'noDelay keepAlive keepAliveInitialDelay localAddress localPort family lookup ' +
  'autoSelectFamily autoSelectFamilyAttemptTimeout allowHalfOpen unref'
).split(' ');

/** Options of `socket` that are not about TCP. */
const OF_ANY_STREAM: readonly string[] = ['allowHalfOpen', 'unref'];

function resolveHeartbeat<Out>(config: unknown): HeartbeatConfig<Out> {
  const options = given('heartbeat', config, ['interval', 'timeout', 'message']);
  for (const name of ['interval', 'timeout']) {
    if (options[name] === undefined) throw refused(`heartbeat.${name}`, 'a number from 1 to 2147483647', undefined);
  }
  const message = callable<() => Out>('heartbeat.message', options.message);
  const interval = milliseconds('heartbeat.interval', options.interval, 0, 1);
  const timeout = milliseconds('heartbeat.timeout', options.timeout, 0, 1);
  if (interval + timeout > MAX_TIMER) {
    const most = String(MAX_TIMER);
    throw refused('heartbeat', `an interval and a timeout of at most ${most} ms together`, interval + timeout);
  }
  return Object.freeze({
    interval,
    timeout,
    ...(message === undefined ? {} : { message }),
  });
}

function resolveCodec<In, Out>(codec: unknown): Codec<In, Out> {
  // Without a codec the overloads of tcpSocket have fixed In and Out to bytes.
  if (codec === undefined) return bytes() as unknown as Codec<In, Out>;
  const shaped = typeof codec === 'object' && codec !== null && 'decoder' in codec && 'encode' in codec;
  if (shaped && typeof codec.decoder === 'function' && typeof codec.encode === 'function')
    return codec as Codec<In, Out>;
  throw refused('codec', 'an object with `decoder` and `encode`', codec);
}

function resolveLimits(option: string, value: unknown, frames: number, bytes: number): BufferLimits {
  const both = typeof value === 'object' && value !== null;
  const options = given(option, both ? value : { frames: value }, ['frames', 'bytes']);
  return Object.freeze({
    frames: integer(both ? `${option}.frames` : option, options.frames, frames, 1, 2 ** 31),
    bytes: integer(`${option}.bytes`, options.bytes, bytes, 1, Number.MAX_SAFE_INTEGER),
  });
}
