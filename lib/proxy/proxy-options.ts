/**
 * The options that every kind of proxy has, and how they are checked.
 */
import { refused, type Given } from '../check.js';
import type { SocketOptions } from '../config.js';
import { ConfigError } from '../errors.js';
import { resolveSocketOptions } from '../resolve-config.js';
import { resolveHost, resolvePort } from '../resolve-endpoint.js';

/** Options of the TCP connection to the proxy. */
export type ProxySocketOptions = Omit<SocketOptions, 'lookup' | 'allowHalfOpen' | 'unref'>;

/** Where a proxy is, and who we are to it. */
export interface ProxyOptions {
  /** Name or address of the proxy. */
  readonly host: string;
  /** Port of the proxy, 1 to 65,535; a numeric string is accepted. */
  readonly port?: number | string;
  /** The user that the proxy knows. */
  readonly username?: string;
  /** The user's password; not without `username`. */
  readonly password?: string;
  /** Options of the TCP connection to the proxy. */
  readonly socket?: ProxySocketOptions;
}

/** The names of {@link ProxyOptions}. */
export const PROXY_OPTIONS: readonly string[] = ['host', 'port', 'username', 'password', 'socket'];

/** Where a proxy is, with every gap filled. */
export interface ProxyPlace {
  readonly host: string;
  readonly port: number;
  readonly socket: Given;
}

/** A user and a password, which may be empty. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

const SOCKET: readonly (keyof ProxySocketOptions)[] = [
  'noDelay',
  'keepAlive',
  'keepAliveInitialDelay',
  'localAddress',
  'localPort',
  'family',
  'autoSelectFamily',
  'autoSelectFamilyAttemptTimeout',
];

/** Checks and completes where the proxy is. */
export function resolvePlace(options: Given, port: number): ProxyPlace {
  const host = resolveHost(options.host);
  if (host === undefined) throw refused('host', 'the name or address of the proxy', host);
  return { host, port: resolvePort(options.port, 1, port), socket: resolveSocketOptions(options.socket, SOCKET) };
}

/** Checks who we are; `undefined` if the proxy need not know. `forbidden` is what no part may contain. */
export function resolveCredentials(options: Given, forbidden: RegExp): Credentials | undefined {
  const username = secret('username', options.username, forbidden);
  const password = secret('password', options.password, forbidden);
  if (username !== undefined) return { username, password: password ?? '' };
  if (password !== undefined) throw new ConfigError('`password` needs `username`; got it alone');
  return undefined;
}

/** SOCKS counts the length of either in one byte. The message does not show what came. */
function secret(option: string, value: unknown, forbidden: RegExp): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw new ConfigError(`\`${option}\` must be a string, got something else`);
  if (forbidden.test(value)) throw new ConfigError(`\`${option}\` has a character that such a proxy does not take`);
  const length = Buffer.byteLength(value);
  if (length > 0 && length <= MAX_SECRET) return value;
  throw new ConfigError(`\`${option}\` must have 1 to ${MAX_SECRET} bytes, got ${length}`);
}

const MAX_SECRET = 255;
