/**
 * The one place where options are read, checked, completed with defaults and frozen. The caller's object is left as it is.
 */
import * as net from 'node:net';
import { callable, flag, given, integer, milliseconds, number, oneOf, refused, text, type Given } from './check.js';
import { bytes } from './codec/bytes.js';
import type { Codec } from './codec/codec.js';
import type { ConnectionConfig, ReconnectConfig, ReconnectPolicy, ResolvedConnection } from './config.js';
import type { BufferLimits, ResolvedSocket, TcpSocketConfig } from './config.js';
import { ConfigError, type Endpoint } from './errors.js';

const STREAMS = ['codec', 'readBuffer', 'writeBuffer', 'endTimeout'];
const CONNECTION = ['host', 'port', 'path', 'dial', 'connectTimeout', 'socket', ...STREAMS];
const SOCKET = 'reconnect retryLimit overflow errorBuffer settle lazyConnect signal name'.split(' ').concat(CONNECTION);

/** The options that both ends of a connection share. */
export function resolveStreams<In, Out>(
  options: Given,
): Pick<ResolvedConnection<In, Out>, 'codec' | 'readBuffer' | 'writeBuffer' | 'endTimeout'> {
  return {
    codec: resolveCodec(options.codec),
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
  const dial = callable<NonNullable<ConnectionConfig['dial']>>('dial', options.dial);
  for (const other of ['dial', 'path']) {
    if (options[other] !== undefined && options.socket !== undefined) {
      throw new ConfigError(`\`socket\` has the options of a TCP socket and excludes \`${other}\`; ${what} got both`);
    }
  }
  return Object.freeze({
    ...resolveStreams<In, Out>(options),
    endpoint: resolveEndpoint(options, what, dial !== undefined),
    dial,
    connectTimeout: milliseconds('connectTimeout', options.connectTimeout, 10_000, 1),
    socket: resolveSocketOptions(options.socket),
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

/** A TCP port as a number; a numeric string is accepted. */
export function resolvePort(value: unknown, min: number, fallback?: number): number {
  const numeric = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value;
  if (numeric === undefined && fallback === undefined)
    throw refused('port', `a whole number from ${String(min)} to 65535`, value);
  return integer('port', numeric, fallback ?? min, min, 65_535);
}

/** A host name or address; an IPv6 address may stand in brackets, as in a URL. */
export function resolveHost(value: unknown): string | undefined {
  return text('host', typeof value === 'string' ? value.replace(/^\[(.*)\]$/, '$1') : value);
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
  });
}

function address(option: string, value: unknown): string | undefined {
  if (value === undefined || (typeof value === 'string' && net.isIP(value) > 0)) return value;
  throw refused(option, 'an IP address', value);
}

const SOCKET_OPTIONS: readonly string[] = (
  'noDelay keepAlive keepAliveInitialDelay localAddress localPort family lookup ' +
  'autoSelectFamily autoSelectFamilyAttemptTimeout'
).split(' ');

function resolveEndpoint(options: Given, what: string, dialled: boolean): Endpoint {
  const host = resolveHost(options.host);
  const path = text('path', options.path);
  if (path !== undefined) {
    if (host !== undefined || options.port !== undefined) {
      throw new ConfigError(`\`path\` excludes \`host\` and \`port\`; ${what} got both`);
    }
    return Object.freeze({ path });
  }
  if (host === undefined && options.port === undefined) {
    if (dialled) return Object.freeze({});
    throw new ConfigError(`${what} needs \`host\` and \`port\`, or \`path\`, or \`dial\`; got none of them`);
  }
  if (dialled && options.port === undefined) return Object.freeze({ ...(host === undefined ? {} : { host }) });
  return Object.freeze({ host: host ?? 'localhost', port: resolvePort(options.port, 1) });
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
