/**
 * TLS over a stream that is open, on either side; what the certificates must be is for the options to say.
 *
 *     net.Socket ──connected──> tls.connect({ socket }) ──secureConnect, verified──> link
 *         └ the carrier: probed, checked for its address, destroyed with it
 */
import { randomBytes } from 'node:crypto';
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import * as tls from 'node:tls';
import type { Given } from '../check.js';
import { codeOf, ConnectError, TlsError, type Endpoint, type ErrorContext, type TcpError } from '../errors.js';
import { TurnEnd } from '../turn.js';
import { discard, whenOpen, type Opening } from './from-socket.js';
import { isPassing } from './retryable.js';

/** Sessions kept for resumption: one for each endpoint, of the newest so many. */
const MAX_SESSIONS = 32;

/** The TLS of one dial. */
export interface TlsLayer {
  /** Whether the peer must be who the certificate says. */
  readonly verified: boolean;
  /** Puts it over a connected stream; throws what Node throws. */
  over(raw: Duplex): tls.TLSSocket;
}

/** The TLS of one client socket: its options, asked for at every dial, and the sessions that its next dials resume. */
export class TlsClient {
  readonly #options: () => Given;
  #last: Given | undefined;
  #context: tls.SecureContext | undefined;
  /** Another object for all dials whose options say something else: their sessions have nothing to do with each other. */
  #era = {};
  readonly #sessions = new Map<string, Buffer>();

  constructor(options: () => Given) {
    this.#options = options;
  }

  /** Asks for the options of one dial and reads the certificates, before anything is connected; throws what is wrong with them. */
  prepare(endpoint: Endpoint): TlsLayer {
    const options = this.#options();
    if (this.#last === undefined || !equal(options, this.#last)) {
      this.#context = contextOf(options);
      this.#era = {};
      this.#sessions.clear(); // a session has the identity of the certificates that made it
    }
    this.#last = options;
    const context = this.#context;
    const over = (raw: Duplex): tls.TLSSocket => this.#wrap(raw, endpoint, options, context);
    return { verified: options.rejectUnauthorized !== false, over };
  }

  #wrap(raw: Duplex, endpoint: Endpoint, options: Given, secureContext: tls.SecureContext | undefined): tls.TLSSocket {
    const key = JSON.stringify([endpoint.host, endpoint.port, endpoint.path]);
    const session = this.#sessions.get(key) ?? options.session;
    this.#sessions.delete(key); // until it has proved to be good
    const era = this.#era;
    const secure = tlsOver(raw, endpoint, bare({ ...options, session, secureContext }));
    secure.on('session', (fresh: Buffer) => this.#keep(key, fresh, era));
    secure.once('secureConnect', () => {
      if (secure.isSessionReused() && !this.#sessions.has(key)) this.#keep(key, session, era);
    });
    return secure;
  }

  #keep(key: string, session: unknown, era: object): void {
    if (this.#era !== era) return; // of other options
    this.#sessions.delete(key);
    this.#sessions.set(key, session as Buffer);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > MAX_SESSIONS && oldest !== undefined) this.#sessions.delete(oldest);
  }
}

/** Speaks TLS as a client over a connected stream, with options that were checked. Throws what Node throws at them. */
export function tlsOver(raw: Duplex, endpoint: Endpoint, options: Given): tls.TLSSocket {
  const host = Object.hasOwn(endpoint, 'host') ? endpoint.host : undefined;
  if (options.rejectUnauthorized === false) warnOnce();
  const servername = options.servername ?? (host === undefined || net.isIP(host) > 0 ? undefined : host);
  const checkServerIdentity = options.checkServerIdentity ?? tls.checkServerIdentity;
  return tls.connect(bare({ ...options, socket: raw, host, servername, checkServerIdentity }) as tls.ConnectionOptions);
}

/** Waits until TLS stands and the peer is verified. If it fails, both streams go. */
export function whenSecure(secure: tls.TLSSocket, carrier: Duplex, verified: boolean, opening: Opening): void {
  const failed = (error: Error): void => {
    discard(secure);
    discard(carrier);
    opening.failed(error);
  };
  whenOpen(secure, {
    // Node has verified it; should it ever not have, nothing is written all the same.
    opened: () => (secure.authorized || !verified ? opening.opened() : failed(new UnverifiedError())),
    failed,
  });
}

/** Speaks TLS as a server over an accepted stream, with options that were checked; throws what Node throws at them. The opening gets the stream above it. */
export function acceptTls(
  raw: Duplex,
  options: Given,
  opening: { opened(secure: tls.TLSSocket): void; failed(error: Error): void },
): void {
  // A server for each: Node verifies a client's certificate in a server alone, and does not tell which of several streams one belongs to.
  const server = tls.createServer(bare({ ...options, handshakeTimeout: NEVER }) as tls.TlsOptions);
  let over = false;
  const once = (outcome: () => void): void => {
    if (over) return;
    over = true;
    outcome();
  };
  const failed = (error: Error): void =>
    once(() => {
      discard(raw);
      opening.failed(error);
    });
  server.once('secureConnection', (secure: tls.TLSSocket) =>
    once(() => {
      secure.allowHalfOpen = allowHalfOpen;
      opening.opened(secure);
    }),
  );
  // Node says no more than "socket hang up" of a certificate that it refused: the stream knows.
  server.once('tlsClientError', (error: Error, { authorizationError }: { authorizationError?: unknown }) =>
    failed(authorizationError ? refusal(authorizationError) : error),
  );
  // Later than Node itself, which is told by the same event.
  raw.once('close', () => TurnEnd.yield(() => failed(new Error('the stream closed before it was secure'))));
  const { allowHalfOpen } = raw;
  raw.allowHalfOpen = false; // who ends before it is secure has left
  server.emit('connection', raw);
}

/** As Node gives it: a code, or an error that has one. */
function refusal(reason: unknown): Error {
  const code = reason instanceof Error ? codeOf(reason) : String(reason);
  return Object.assign(new Error('the certificate of the client is not good'), { code });
}

/** The options of a server whose clients can resume their sessions: one key for all its connections, and another once the options say something else. */
export function withTickets(options: () => Given): () => Given {
  let last: Given | undefined;
  let ticketKeys = randomBytes(48);
  return () => {
    const now = options();
    if (last !== undefined && !equal(now, last)) ticketKeys = randomBytes(48); // who was let in by the old ones must prove itself anew
    last = now;
    return { ticketKeys, ...now };
  };
}

/** What went wrong while TLS was being set up: the network, which may be better next time, or TLS itself. */
export function tlsFailure(cause: unknown, context: ErrorContext): TcpError {
  const where = { ...context, cause };
  const code = codeOf(cause);
  return code === undefined || isPassing(code) ? new ConnectError('tls', where) : new TlsError(where);
}

/** Whether an error of an open stream is TLS's own: an alert of the peer's, or bytes that are no TLS. */
export function isTlsError(error: Error | undefined): boolean {
  return /^(ERR_SSL_|ERR_TLS_|EPROTO$)/.test(codeOf(error) ?? '');
}

class UnverifiedError extends Error {
  readonly code = 'ERR_TLS_UNVERIFIED';
}

/** A deadline of our own is set over the handshake. */
const NEVER = 2 ** 31 - 1;

let warned = false;

function warnOnce(): void {
  if (warned) return;
  warned = true;
  process.emitWarning('`rejectUnauthorized: false` lets anybody pose as the peer of a TLS connection', {
    code: 'RX_TCP_TLS_UNVERIFIED',
  });
}

function contextOf(options: Given): tls.SecureContext {
  const given = options.secureContext as tls.SecureContext | undefined;
  return given ?? tls.createSecureContext(bare(options));
}

/**
 * Options without prototype, and with those that are not given as properties of their own: Node copies them into objects that inherit, and a polluted
 * `Object.prototype` must not weaken TLS.
 */
function bare(options: Given): Given {
  return Object.assign(Object.create(null) as Record<string, unknown>, UNSET, options);
}

const UNSET: Given = Object.fromEntries(
  (
    'ca cert key pfx passphrase crl ciphers sigalgs ecdhCurve dhparam minVersion maxVersion secureProtocol session servername ' +
    'pskCallback ALPNProtocols SNICallback ALPNCallback requestCert enableTrace signal lookup timeout path port pipe onread highWaterMark'
  )
    .split(' ')
    .map((name) => [name, undefined]),
);

/** Whether two sets of options say the same, bytes and lists compared by what is in them. */
function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  const names = Object.keys(a);
  if (Array.isArray(a) !== Array.isArray(b) || names.length !== Object.keys(b).length) return false;
  const plain = Array.isArray(a) || Object.getPrototypeOf(a) === null || Object.getPrototypeOf(a) === Object.prototype;
  return plain && names.every((name) => equal(Reflect.get(a, name), Reflect.get(b, name)));
}
