import { pathOf } from '../endpoint.js';
import { codeOf, ConnectError, TcpError, type TlsError } from '../errors.js';

/** Failures of the network, of a server that is not up yet, or of a machine short of something: they pass. */
const PASSING = new Set(
  (
    'ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ETIMEDOUT EHOSTUNREACH EHOSTDOWN ENETUNREACH ENETDOWN EADDRNOTAVAIL ' +
    'EMFILE ENFILE ENOBUFS ENOMEM ENOTFOUND EAI_AGAIN ECANCELED ENOENT EAGAIN EADDRINUSE ENETRESET ENONET ' +
    // Of resolvers: `dns.resolve()`, and functions of users that ask others.
    'EAI_FAIL EAI_NODATA ESERVFAIL ETIMEOUT ENODATA EREFUSED EBADRESP ABORT_ERR UND_ERR_CONNECT_TIMEOUT UND_ERR_HEADERS_TIMEOUT ' +
    'UND_ERR_BODY_TIMEOUT UND_ERR_SOCKET ERR_SOCKET_CONNECTION_TIMEOUT ERR_STREAM_PREMATURE_CLOSE'
  ).split(' '),
);

/** Whether a failure with this code may be over at the next dial. */
export function isPassing(code: string): boolean {
  return PASSING.has(code);
}

/**
 * Whether dialling again may help, when the user has no opinion.
 *
 * A lost connection always may. A failed dial may if its code is one that passes, or if it has none (a custom `dial` or a
 * handshake that rejects with a plain Error); wrong arguments, certificates and the wrong protocol do not get better by themselves. A TLS
 * error of a connection that was open already may: it can be anybody's bytes on the wire, who could else end a socket for good.
 */
export function isRetryable(error: TcpError): boolean {
  const { code } = Object(error) as Partial<TcpError>; // the operator serves any source, which may error with anything
  if (code === 'TCP_TLS') return (error as Partial<TlsError>).opened === true;
  if (code === 'TCP_CONFIG' || code === 'TCP_CLOSED') return false;
  if (!(error instanceof ConnectError)) return true;
  const { cause, endpoint } = error;
  const causes: readonly unknown[] =
    cause instanceof AggregateError && cause.errors.length > 0 ? cause.errors : [cause];
  return causes.some((one) => (isForbidden(one) ? pathOf(endpoint) === undefined : passes(one)));
}

/** A firewall forbids what it may allow again; the access to a unix socket is a setting. */
function isForbidden(cause: unknown): boolean {
  const forbidden = ['EACCES', 'EPERM'].includes(codeOf(cause) ?? '');
  return forbidden && (Object(cause) as NodeJS.ErrnoException).syscall === 'connect';
}

function passes(cause: unknown): boolean {
  if (cause instanceof TcpError) return isRetryable(cause); // of a handshake
  // `fetch` says with a TypeError that the network failed, and why in its cause.
  const code = codeOf(cause) ?? (cause instanceof TypeError ? codeOf(cause.cause) : undefined);
  if (code !== undefined) return PASSING.has(code);
  return !(cause instanceof TypeError || cause instanceof RangeError || cause instanceof SyntaxError);
}
