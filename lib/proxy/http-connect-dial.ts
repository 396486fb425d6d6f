import * as http from 'node:http';
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import type * as tls from 'node:tls';
import { given, refused, type Given } from '../check.js';
import { tlsOver, whenSecure } from '../connection/secure.js';
import { ConfigError } from '../errors.js';
import { resolveTls } from '../resolve-tls.js';
import { httpRefusal } from './http-refusal.js';
import { passage, type Passage } from './passage.js';
import { brokenBy, ProxyError } from './proxy-error.js';
import {
  PROXY_OPTIONS,
  resolveCredentials,
  resolvePlace,
  type ProxyOptions,
  type ProxyPlace,
} from './proxy-options.js';
import { targetOf, type ProxyDial, type Target } from './target.js';

/** Options of {@link httpConnectDial}. */
export interface HttpConnectDialOptions extends ProxyOptions {
  /** Port of the proxy, 1 to 65,535; a numeric string is accepted. @default 8080 */
  readonly port?: number | string;
  /** Further headers of the request, such as `User-Agent`, or a `Proxy-Authorization` of another kind than Basic. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Speaks TLS with the proxy itself, with Node's options of `tls.connect` that are about TLS; a function is asked at every dial. It says nothing
   * about TLS with the target.
   */
  readonly tls?: true | tls.ConnectionOptions | (() => tls.ConnectionOptions);
}

/**
 * Dials through an HTTP proxy, by its method CONNECT.
 *
 * The answer is a function for `dial`; `host` and `port` beside it are the target's, and the proxy looks up the name. With `username` it says Basic
 * authorization at once; without `tls` the password goes over the wire in the clear. The reply may have 16 KiB of headers; the body of a refusal is
 * not read. A bad option throws a {@link ConfigError}; a dial that fails rejects with a {@link ProxyError}. `connectTimeout` is the deadline.
 *
 * @example no-run
 * import { tcpSocket } from 'rx-tcp';
 * import { httpConnectDial } from 'rx-tcp/proxy';
 * const dial = httpConnectDial({ host: 'proxy.example', port: 8080, username: 'me', password: 'secret' });
 * tcpSocket({ host: 'example.com', port: 443, tls: true, dial });
 */
export function httpConnectDial(options: HttpConnectDialOptions): ProxyDial {
  const config = given('httpConnectDial', options, [...PROXY_OPTIONS, 'headers', 'tls']);
  const place = resolvePlace(config, 8080);
  const headers = resolveHeaders(config);
  const secure = resolveTls(config.tls);
  return (endpoint, signal) => {
    const target = targetOf(endpoint, 'httpConnectDial');
    const options = secure?.();
    return passage(place, signal, (raw, way) => {
      if (options === undefined) ask(target, headers, raw, way);
      else encrypt(place, options, raw, way, (stream) => ask(target, headers, stream, way));
    });
  };
}

/** These make the frame of the request, which is ours. */
const OURS = ['connection', 'content-length', 'expect', 'host', 'transfer-encoding', 'upgrade'];

function resolveHeaders(config: Given): Given {
  const { headers: own = {} } = config;
  if (typeof own !== 'object' || own === null || Array.isArray(own)) throw refused('headers', 'an object', own);
  const headers = Object.assign(Object.create(null) as Record<string, unknown>, own);
  for (const [name, value] of Object.entries(headers)) {
    if (OURS.includes(name.toLowerCase()))
      throw new ConfigError(`\`headers\` must not have \`${name}\`; it is set here`);
    if (!isHeader(name, value)) throw new ConfigError('`headers` has a name or a value that HTTP does not take');
  }
  const credentials = resolveCredentials(config, /\p{Cc}/u); // RFC 7617, part 2
  if (credentials === undefined) return headers;
  const { username, password } = credentials;
  if (username.includes(':')) throw new ConfigError('`username` must have no colon: Basic authorization ends it there');
  if (Object.keys(headers).some((name) => name.toLowerCase() === 'proxy-authorization')) {
    throw new ConfigError('`username` excludes a header `Proxy-Authorization`; got both');
  }
  const basic = Buffer.from(`${username}:${password}`).toString('base64');
  return Object.assign(headers, { 'Proxy-Authorization': `Basic ${basic}` });
}

function isHeader(name: string, value: unknown): boolean {
  try {
    http.validateHeaderName(name);
    http.validateHeaderValue(name, value as string);
    return typeof value === 'string';
  } catch {
    return false; // its text would show the value, which may be a secret
  }
}

function encrypt(
  place: ProxyPlace,
  options: Given,
  raw: net.Socket,
  way: Passage,
  done: (stream: Duplex) => void,
): void {
  const secure = tlsOver(raw, place, options);
  way.watch(secure);
  whenSecure(secure, raw, options.rejectUnauthorized !== false, {
    opened: () => done(secure),
    failed: (error) => way.fail(brokenBy(error)),
  });
}

/** Asks for the target. Node's client parses the answer, and gives back a socket that is free of its listeners. */
function ask({ host, port }: Target, headers: Given, stream: Duplex, way: Passage): void {
  const authority = `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
  const options: http.RequestOptions = {
    method: 'CONNECT',
    path: authority,
    headers: Object.assign(Object.create(null) as http.OutgoingHttpHeaders, { Host: authority }, headers),
    createConnection: () => stream,
    maxHeaderSize: 16_384,
    insecureHTTPParser: false,
    // Of its own, so that nothing inherited counts.
    agent: undefined,
    auth: undefined,
    lookup: undefined,
    protocol: undefined,
    signal: undefined,
    socketPath: undefined,
    timeout: undefined,
  };
  const request = http.request(options);
  // Without an agent Node would add `Connection: close`, which some proxies obey.
  request.removeHeader('Connection');
  request.once('connect', ({ statusCode = 0 }: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    if (statusCode < 200 || statusCode > 299) return way.fail(httpRefusal(statusCode));
    if (head.length > 0) socket.unshift(head);
    way.pass(socket);
  });
  request.on('error', (error: NodeJS.ErrnoException) => {
    way.fail(error.code?.startsWith('HPE_') === true ? new ProxyError('ERR_PROXY_PROTOCOL', 'proxy') : brokenBy(error));
  });
  request.end();
}
