import { codeOf, nameErrors } from '../error-base.js';

/** What more is known of a {@link ProxyError}. */
export interface ProxyErrorFacts {
  /** The number that the proxy answered: the status of HTTP, the reply code of SOCKS. */
  readonly reply?: number | undefined;
  /** The error of the system beneath, if there is one. */
  readonly cause?: unknown;
}

/**
 * A proxy gave no connection. It is the `cause` of the `ConnectError` of that dial. `origin` tells whom to look at: the proxy, which was not
 * reached, refused or made no sense, or the target, which the proxy could not reach.
 *
 * `code` is that of the system where it fits: ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, ECONNRESET (the proxy hung up), ECONNABORTED (the
 * proxy failed, and did not say why); these are dialled again. Not dialled again are ERR_PROXY_AUTH (it wants another user or password),
 * ERR_PROXY_FORBIDDEN (its rules), ERR_PROXY_UNSUPPORTED (it cannot do that), ERR_PROXY_PROTOCOL (what answered is no such proxy), and what TLS
 * with the proxy refuses. Nothing in it comes from the peer but `reply`.
 *
 * @example
 * import { ConnectError, tcpSocket } from 'rx-tcp';
 * import { httpConnectDial, ProxyError } from 'rx-tcp/proxy';
 * const dial = httpConnectDial({ host: '127.0.0.1', port: 1 });
 * const socket = tcpSocket({ host: 'example.com', port: 443, dial, reconnect: false });
 * socket.inbound.subscribe({
 *   error: (error) => {
 *     if (error instanceof ConnectError && error.cause instanceof ProxyError)
 *       console.log(error.cause.origin, error.cause.code); // proxy ECONNREFUSED
 *   },
 * });
 */
export class ProxyError extends Error {
  static {
    nameErrors(this, 'ProxyError');
  }
  readonly code: string;
  readonly origin: 'proxy' | 'target';
  readonly reply: number | undefined;

  constructor(code: string, origin: 'proxy' | 'target', { reply, cause }: ProxyErrorFacts = {}) {
    super(`${messageOf(code, origin)} (${code})`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.origin = origin;
    this.reply = reply;
  }
}

/** The proxy ended the connection before it had answered. */
export function hungUp(): ProxyError {
  return new ProxyError('ECONNRESET', 'proxy');
}

/**
 * What broke the connection to the proxy. Only an error of the system is kept as `cause`: those of TLS hold certificates, those of the HTTP parser
 * the bytes that it was given.
 */
export function brokenBy(error: unknown): ProxyError {
  const system = error instanceof AggregateError || (error instanceof Error && 'errno' in error);
  return new ProxyError(codeOf(error) ?? 'ECONNRESET', 'proxy', system ? { cause: error } : {});
}

const MESSAGES: Readonly<Record<string, string>> = {
  ECONNABORTED: 'the proxy failed to connect and did not say why',
  ECONNRESET: 'the proxy ended the connection before it had answered',
  ERR_PROXY_AUTH: 'the proxy wants another user or password',
  ERR_PROXY_FORBIDDEN: 'the proxy does not allow this connection',
  ERR_PROXY_PROTOCOL: 'what answered does not speak as such a proxy does',
  ERR_PROXY_UNSUPPORTED: 'the proxy does not support what was asked',
};

function messageOf(code: string, origin: 'proxy' | 'target'): string {
  if (origin === 'target') return 'the proxy could not reach the target';
  return (Object.hasOwn(MESSAGES, code) ? MESSAGES[code] : undefined) ?? 'the proxy could not be used';
}
