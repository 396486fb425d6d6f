/**
 * Everything that can go wrong, as one closed family.
 *
 * Switch on `code`: it is stable, and it works across two copies of the library, where `instanceof` does not. No error
 * carries payload bytes, keys or text of the peer in its message, and both `JSON.stringify` and `util.inspect` of each
 * are safe to log: a `cause` is shown there by name and code alone, and stays reachable as `error.cause`.
 */
import { describeEndpoint } from './endpoint.js';
import { codeSuffix, counted, MessageError, nameErrors, StacklessError, TcpErrorBase } from './error-base.js';
import type { ConnectionFacts, ConnectPhase, ErrorContext, Fate, FrameErrorKind } from './error-base.js';

export type { Endpoint } from './endpoint.js';
export { codeOf } from './error-base.js';
export type { ConnectionFacts, ConnectPhase, ErrorContext, Fate, FrameErrorKind } from './error-base.js';

/**
 * An option or argument is wrong. It is thrown by the call that was given it, the only error that is; its message names the option, what was
 * expected and what came.
 */
export class ConfigError extends TcpErrorBase {
  static {
    nameErrors(this, 'ConfigError');
  }
  readonly code = 'TCP_CONFIG';
}

/**
 * A dial failed. `phase` tells how far it came; `tls` means that the network ended it there, `config` that Node or `dial` refused its arguments. It comes on `errors` for each failed
 * dial, ends `inbound` when no other follows, errors `connection()`, and rejects the `listening` of a server that cannot listen.
 *
 * @example
 * import { tcpSocket } from 'rx-tcp';
 * const socket = tcpSocket({ path: '/nowhere', reconnect: false });
 * socket.inbound.subscribe({
 *   error: (error) => console.log(error.code, error.phase, error.cause.code), // TCP_CONNECT connect ENOENT
 * });
 */
export class ConnectError extends TcpErrorBase {
  static {
    nameErrors(this, 'ConnectError');
  }
  readonly code = 'TCP_CONNECT';
  readonly phase: ConnectPhase;

  constructor(phase: ConnectPhase, context: ErrorContext, what = 'connect to') {
    const where = `${what} ${describeEndpoint(context.endpoint)}`;
    super(`could not ${where}: ${phase} failed${codeSuffix(context.cause)}`, context);
    this.phase = phase;
  }
}

/**
 * A dial, from lookup to open, took longer than `connectTimeout`, or a client of a server longer than `handshakeTimeout` for TLS and handshake. It
 * comes where a {@link ConnectError} would.
 */
export class ConnectTimeoutError extends TcpErrorBase {
  static {
    nameErrors(this, 'ConnectTimeoutError');
  }
  readonly code = 'TCP_CONNECT_TIMEOUT';
  /** The phase that was running when time was up. */
  readonly phase: ConnectPhase;
  /** The deadline that passed, in milliseconds. */
  readonly timeout: number;

  constructor(timeout: number, phase: ConnectPhase, context: ErrorContext) {
    super(
      `no connection to ${describeEndpoint(context.endpoint)} after ${String(timeout)} ms, still in ${phase}`,
      context,
    );
    this.phase = phase;
    this.timeout = timeout;
  }
}

/**
 * TLS was refused, by us or by the peer: a certificate that is not good, a protocol that is none. While opening it comes where a {@link ConnectError} would, and by default
 * no dial follows. A peer may also refuse us when we are done (a client certificate that is missing, under TLS 1.3): then it is the reason of a drop.
 *
 * @example
 * import { echoServer, tcpSocket } from 'rx-tcp';
 * const server = echoServer();
 * const { port } = await server.listening;
 * const socket = tcpSocket({ host: 'localhost', port, tls: true });
 * socket.inbound.subscribe({
 *   error: (error) => {
 *     console.log(error.code, error.opened); // TCP_TLS false
 *     void server.close();
 *   },
 * });
 */
export class TlsError extends TcpErrorBase {
  static {
    nameErrors(this, 'TlsError');
  }
  readonly code = 'TCP_TLS';
  /** Whether the connection was open already. */
  readonly opened: boolean;

  constructor(context: ErrorContext, opened = false) {
    super(`TLS with ${describeEndpoint(context.endpoint)} failed${codeSuffix(context.cause)}`, context);
    this.opened = opened;
  }
}

/**
 * An open connection ended without our asking for it. It comes on `errors`, with what is known of the connection; the socket then dials
 * again. It is also what `closed` of that connection gives, and with which its pending `write()` rejects.
 */
export class ConnectionLostError extends TcpErrorBase implements ConnectionFacts {
  static {
    nameErrors(this, 'ConnectionLostError');
  }
  readonly code = 'TCP_CONNECTION_LOST';
  readonly clean!: boolean;
  readonly endedBy!: ConnectionFacts['endedBy'];
  readonly age!: number;
  readonly silence!: number;
  readonly bytesRead!: number;
  readonly bytesWritten!: number;
  readonly unconfirmed!: number;
  readonly unread!: number;
  readonly answered!: boolean;

  constructor(facts: ConnectionFacts, context: ErrorContext) {
    const how = facts.clean
      ? `ended by ${facts.endedBy === 'us' ? 'us' : 'the peer'}`
      : `lost${codeSuffix(context.cause)}`;
    super(
      `connection to ${describeEndpoint(context.endpoint)} ${how} after ${String(Math.round(facts.age))} ms`,
      context,
    );
    Object.assign(this, facts);
  }
}

/**
 * The peer was silent for longer than `idleTimeout` or the heartbeat allow, while somebody wanted to read, and its connection is dropped; the socket then
 * dials again.
 */
export class IdleTimeoutError extends TcpErrorBase {
  static {
    nameErrors(this, 'IdleTimeoutError');
  }
  readonly code = 'TCP_IDLE_TIMEOUT';

  constructor(timeout: number, context: ErrorContext) {
    super(`nothing came from ${describeEndpoint(context.endpoint)} for ${String(timeout)} ms`, context);
  }
}

/**
 * The kernel took nothing of what was being written for longer than `writeTimeout`, and the connection is dropped; the socket then dials again and writes
 * what was in flight anew, within `retryLimit`.
 */
export class WriteStallError extends TcpErrorBase {
  static {
    nameErrors(this, 'WriteStallError');
  }
  readonly code = 'TCP_WRITE_STALL';

  constructor(timeout: number, context: ErrorContext) {
    super(`${describeEndpoint(context.endpoint)} took no byte for ${String(timeout)} ms`, context);
  }
}

/**
 * A message was accepted and was not written: its retries are used up, it was withdrawn, or the socket ended. `cause` says why: the last loss, the
 * reason of the withdrawal, or what ended the socket. It comes on `errors`, with the message as `undelivered`, and its `write()` rejects with it.
 *
 * @example
 * import { tcpSocket } from 'rx-tcp';
 * const socket = tcpSocket({ path: '/nowhere' });
 * socket.errors.subscribe((error) => {
 *   if (error.code === 'TCP_WRITE') console.log(error.fate, error.undelivered); // unsent hello
 * });
 * socket.outbound.next('hello');
 * socket.destroy();
 */
export class WriteError extends MessageError {
  static {
    nameErrors(this, 'WriteError');
  }
  readonly code = 'TCP_WRITE';
  readonly fate: Fate;
  /** How many connections were lost before they confirmed it. */
  readonly attempts: number;

  constructor(fate: Fate, attempts: number, context: ErrorContext, undelivered?: unknown) {
    const how = `${fate} after ${counted(attempts, 'attempt')}${codeSuffix(context.cause)}`;
    super(`message not written: ${how}`, context, undelivered);
    this.fate = fate;
    this.attempts = attempts;
  }

  replay(): () => WriteError {
    const { fate, attempts, cause, endpoint, epoch } = this;
    return () => new WriteError(fate, attempts, { cause, endpoint, epoch });
  }
}

/**
 * The write buffer had no room: this message was refused, or evicted for a newer one under `overflow: 'dropOldest'`. It comes on `errors`, with
 * the message as `undelivered`, and its `write()` rejects with it.
 *
 * @example
 * import { tcpSocket } from 'rx-tcp';
 * const socket = tcpSocket({ path: '/nowhere', writeBuffer: 1, overflow: 'dropOldest' });
 * socket.write('old').catch((error) => console.log(error.code)); // TCP_OVERFLOW
 * socket.outbound.next('new');
 * socket.destroy();
 */
export class OverflowError extends MessageError {
  static {
    nameErrors(this, 'OverflowError');
  }
  readonly code = 'TCP_OVERFLOW';
  readonly fate: Fate;

  constructor(fate: Fate, context: ErrorContext, undelivered?: unknown) {
    super('message dropped: the write buffer has no room for it', context, undelivered);
    this.fate = fate;
  }

  replay(): () => OverflowError {
    const { fate, cause, endpoint, epoch } = this;
    return () => new OverflowError(fate, { cause, endpoint, epoch });
  }
}

/**
 * Bytes that are no valid frame, or a message that cannot be made into one. The first comes on `errors` and drops the connection, or is skipped where
 * the codec can go on; `truncated` is the frame that the end of a connection cut. The second refuses that message alone: on `errors`, and by its `write()`.
 *
 * `detail` is fixed text of a codec's with numbers at most, never bytes or text of the peer.
 *
 * @example
 * import { lines } from 'rx-tcp';
 * try {
 *   lines().encode('two\nlines');
 * } catch (error) {
 *   console.log(String(error)); // FrameError: encode frame: a line has a line feed inside
 * }
 */
export class FrameError extends StacklessError {
  static {
    nameErrors(this, 'FrameError');
  }
  readonly code = 'TCP_FRAME';
  readonly kind: FrameErrorKind;
  readonly detail: string;

  constructor(kind: FrameErrorKind, detail: string, context: ErrorContext = {}) {
    super(`${kind} frame: ${detail}${codeSuffix(context.cause)}`, context);
    this.kind = kind;
    this.detail = detail;
  }

  /** The same error, told where it happened: a codec knows its bytes and not its connection. */
  at(where: Pick<ErrorContext, 'endpoint' | 'epoch'>): FrameError {
    return new FrameError(this.kind, this.detail, { ...where, cause: this.cause });
  }
}

/** The last reply to a request ({@link Requests.request}) did not come in time. The peer may have done what was asked; told by the request alone. */
export class RequestTimeoutError extends TcpErrorBase {
  static {
    nameErrors(this, 'RequestTimeoutError');
  }
  readonly code = 'TCP_REQUEST_TIMEOUT';

  constructor(timeout: number, context: ErrorContext) {
    super(`no reply from ${describeEndpoint(context.endpoint)} within ${String(timeout)} ms`, context);
  }
}

/**
 * The reconnect policy gave up; `cause` is the last failure, or what the policy itself threw. It ends the socket: the last on `errors`, what
 * `inbound` errors with, and the cause of the {@link WriteError} of each message that waited.
 */
export class ReconnectLimitError extends TcpErrorBase {
  static {
    nameErrors(this, 'ReconnectLimitError');
  }
  readonly code = 'TCP_RECONNECT_LIMIT';
  /** Redials in a row when it gave up. */
  readonly attempts: number;

  constructor(attempts: number, context: ErrorContext) {
    super(
      `gave up on ${describeEndpoint(context.endpoint)} after ${counted(attempts, 'redial')}${codeSuffix(context.cause)}`,
      context,
    );
    this.attempts = attempts;
  }
}

/**
 * The socket was ended or destroyed; `cause` is what `destroy()` or the abort signal gave as the reason. A `write()` after the end rejects with it, what the
 * end left unwritten has it as the cause of its {@link WriteError}, and so may the status `closed`.
 */
export class ClosedError extends TcpErrorBase {
  static {
    nameErrors(this, 'ClosedError');
  }
  readonly code = 'TCP_CLOSED';

  constructor(context: ErrorContext = {}) {
    super('the socket is closed', context);
  }
}

/** Any error of the family: `switch (error.code)` narrows it. */
// prettier-ignore
export type TcpError =
  | ConfigError | ConnectError | ConnectTimeoutError | TlsError | ConnectionLostError | IdleTimeoutError | WriteStallError
  | WriteError | OverflowError | FrameError | RequestTimeoutError | ReconnectLimitError | ClosedError;

/**
 * The family as a value, for `instanceof`.
 *
 * @example
 * import { TcpError, tcpSocket } from 'rx-tcp';
 * try {
 *   tcpSocket({ host: '', port: 1 });
 * } catch (error) {
 *   if (error instanceof TcpError) console.log(error.code); // TCP_CONFIG
 * }
 */
export const TcpError = TcpErrorBase as unknown as abstract new (...args: never) => TcpError;
