import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import { domainToASCII } from 'node:url';
import { pathOf, type Endpoint } from '../endpoint.js';
import { ConfigError } from '../errors.js';

/** A `dial` for `tcpSocket`: one attempt to reach the endpoint through a proxy. Rejects with a {@link ProxyError}; throws a {@link ConfigError} if no proxy could reach such an endpoint. */
export type ProxyDial = (endpoint: Endpoint, signal: AbortSignal) => Promise<Duplex>;

/** What a proxy is asked for. */
export interface Target {
  /** A name in ASCII, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Reads an endpoint as the target of a proxy. The host is what a proxy's request is made of: one that is neither a name nor an address could end
 * the request early and write another behind it.
 */
export function targetOf(endpoint: Endpoint, what: string): Target {
  const { host, port } = endpoint;
  if (host === undefined || port === undefined || pathOf(endpoint) !== undefined) {
    throw new ConfigError(`${what} needs \`host\` and \`port\` of the target beside \`dial\`, and no \`path\``);
  }
  // It would take line breaks out, and let what is left pass.
  const ascii = isAscii(host) || /[\p{Cc}\p{Z}]/u.test(host) ? host : domainToASCII(host);
  const sane = net.isIP(host) > 0 ? !host.includes('%') : /^[\w.-]{1,255}$/.test(ascii);
  if (!sane) throw new ConfigError(`${what} needs a \`host\` that is a name, or an IP address without a zone`);
  return { host: ascii, port };
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
