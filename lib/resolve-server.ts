/**
 * Options of a server: read, checked and completed.
 */
import { createServer } from 'node:tls';
import { given, integer, milliseconds, text, type Given } from './check.js';
import type { ResolvedStreams } from './config.js';
import { codeOf, ConfigError, type Endpoint } from './errors.js';
import { resolveSocketOptions, resolveStreams, STREAM_OPTIONS } from './resolve-config.js';
import { resolveHost, resolvePort } from './resolve-endpoint.js';
import { resolveServerTls } from './resolve-tls.js';

const SERVER = 'port host path tls handshakeTimeout maxConnections name socket'.split(' ').concat(STREAM_OPTIONS);
const ACCEPTED = ['noDelay', 'keepAlive', 'keepAliveInitialDelay', 'allowHalfOpen'];

/** A server's options with every gap filled. */
export interface ResolvedServer<In, Out> extends ResolvedStreams<In, Out> {
  readonly place: Endpoint;
  readonly tls: (() => Given) | undefined;
  readonly handshakeTimeout: number;
  readonly maxConnections: number;
  readonly name: string | undefined;
  readonly socket: Given;
}

/** Checks and completes what {@link tcpServer} was given; the caller's object is left as it is. */
export function resolveServer<In, Out>(config: object): ResolvedServer<In, Out> {
  const options = given('tcpServer', config, SERVER);
  return Object.freeze({
    ...resolveStreams<In, Out>(options),
    place: resolvePlace(options),
    tls: resolveIdentity(options.tls),
    handshakeTimeout: milliseconds('handshakeTimeout', options.handshakeTimeout, 10_000, 1),
    maxConnections: integer('maxConnections', options.maxConnections, Infinity, 1, Infinity),
    name: text('name', options.name),
    socket: resolveAccepted(options),
  });
}

function resolvePlace(options: Given): Endpoint {
  const path = text('path', options.path);
  const host = resolveHost(options.host);
  if (path === undefined) return { port: resolvePort(options.port, 0, 0), ...(host === undefined ? {} : { host }) };
  if (host === undefined && options.port === undefined) return { path };
  throw new ConfigError('`path` excludes `host` and `port`; tcpServer got both');
}

/** What is given once is tried at once: a server whose certificate cannot be read would refuse everybody. */
function resolveIdentity(value: unknown): (() => Given) | undefined {
  const options = resolveServerTls(value);
  if (options === undefined || typeof value === 'function') return options;
  try {
    createServer(options());
  } catch (cause) {
    throw new ConfigError(`\`tls\` must be what Node can make a server of; it says ${codeOf(cause) ?? 'no'}`, {
      cause,
    });
  }
  return options;
}

function resolveAccepted({ socket = {}, path }: Given): Given {
  const accepted = given('socket', socket, ACCEPTED);
  if (path !== undefined && Object.keys(accepted).some((name) => name !== 'allowHalfOpen')) {
    throw new ConfigError('`path` excludes the TCP options of `socket`; tcpServer got both');
  }
  return resolveSocketOptions(accepted);
}
