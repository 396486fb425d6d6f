/**
 * What all errors share: where it happened, and that logging them is safe. The family itself is in errors.ts.
 */
import { printable, type Endpoint } from './endpoint.js';

/** What every error may be told about where it happened. */
export interface ErrorContext {
  /** The error beneath: what Node, a codec or a function of the user's threw. */
  readonly cause?: unknown;
  /** The endpoint that was dialled or connected. */
  readonly endpoint?: Endpoint | undefined;
  /** How many connections the socket had opened by then, the live one included; 0 before the first. */
  readonly epoch?: number | undefined;
}

/** What is known of a message that was not written: `'unsent'` was never handed to a link, `'unknown'` was, and the peer may have any part of it. */
export type Fate = 'unsent' | 'unknown';

/** The phase in which a dial failed. */
export type ConnectPhase = 'lookup' | 'connect' | 'tls' | 'handshake' | 'config';

/** What was known of a connection when it was lost. */
export interface ConnectionFacts {
  /** Whether it ended with the peer's FIN and no error. A clean end does not prove that the peer said all it wanted. */
  readonly clean: boolean;
  /** Who ended it: the `peer` by FIN or reset, `us` by a call of ours, or the `network` by silence or an error on the way. */
  readonly endedBy: 'peer' | 'us' | 'network';
  /** Milliseconds from open to loss. */
  readonly age: number;
  /** Milliseconds without a byte from the peer before the loss. */
  readonly silence: number;
  /** Bytes read from it. */
  readonly bytesRead: number;
  /** Bytes that the kernel took for it. */
  readonly bytesWritten: number;
  /** Frames that were handed to it and not confirmed. */
  readonly unconfirmed: number;
  /** Bytes that were read and dropped, because an earlier dead connection's rest was still waiting for demand (S6). */
  readonly unread: number;
  /** Whether an inbound frame came after a frame of ours had been written: proof of a peer that works. */
  readonly answered: boolean;
}

/** Why bytes are not a frame, or a message cannot become one. */
export type FrameErrorKind = 'too-large' | 'corrupt' | 'truncated' | 'decode' | 'encode';

/** The name stands on the prototype, as with Node's own errors: it is no field that a log would repeat. */
export function nameErrors(kind: abstract new (...args: never) => Error, name: string): void {
  Object.defineProperty(kind.prototype, 'name', { value: name, configurable: true, writable: true });
}

/** What every error of the family is: an Error with a code, a place, and a form that is safe to log. */
export abstract class TcpErrorBase extends Error {
  abstract readonly code: string;
  readonly endpoint: Endpoint | undefined;
  readonly epoch: number | undefined;

  constructor(message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.endpoint = context.endpoint;
    this.epoch = context.epoch;
  }

  /** Safe fields only: a foreign cause is reduced to its name and code, because its text may be the peer's. */
  toJSON(): Record<string, unknown> {
    return fieldsOf(this, MAX_CAUSES);
  }

  [Symbol.for('nodejs.util.inspect.custom')](
    _depth: number,
    options: object,
    inspect: (value: unknown, options: object) => string,
  ): string {
    const { name, message, ...facts } = this.toJSON();
    return `${this.stack ?? `${String(name)}: ${String(message)}`} ${inspect(facts, options)}`;
  }
}

/**
 * An error without a stack: of these there may be hundreds of thousands, and the stack would show this library and never the caller.
 * 262,144 of them cost 1.0 s with a stack and 0.3 s without (measured on Node 20).
 */
export abstract class StacklessError extends TcpErrorBase {
  constructor(message: string, context: ErrorContext = {}) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message, context);
    Error.stackTraceLimit = limit;
  }
}

/** An error about one message. */
export abstract class MessageError extends StacklessError {
  readonly #undelivered: unknown;

  constructor(message: string, context: ErrorContext, undelivered: unknown) {
    super(message, context);
    this.#undelivered = undelivered;
  }

  /**
   * The very value that was given to `next()` or `write()`. Not enumerable, hence in no log; `undefined` in the copy
   * that `errors` keeps for late subscribers.
   */
  get undelivered(): unknown {
    return this.#undelivered;
  }

  /** Makes the same error without its `undelivered`, later and without pinning the payload until then: most are never asked for. */
  abstract replay(): () => MessageError;
}

/** The `code` of an error of any make, if it has one that is a plain word (OpenSSL has some with a slash); the first inner one of an AggregateError. */
export function codeOf(cause: unknown): string | undefined {
  if (typeof cause !== 'object' || cause === null) return undefined;
  try {
    const code: unknown = Reflect.get(cause, 'code');
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_/]{0,79}$/.test(code)) return code;
    return cause instanceof AggregateError ? codeOf(cause.errors[0]) : undefined;
  } catch {
    return undefined; // a getter or a Proxy that throws: it has none that could be told
  }
}

/** A number of things, in words of a message. */
export function counted(count: number, thing: string): string {
  return `${String(count)} ${thing}${count === 1 ? '' : 's'}`;
}

/** The code of a cause, or its name if it has none, for the end of a message. */
export function codeSuffix(cause: unknown): string {
  const word = codeOf(cause) ?? nameOf(cause);
  return word === undefined ? '' : ` (${word})`;
}

/** The `name` of an error that says more than "Error", if it is a plain word. */
function nameOf(cause: unknown): string | undefined {
  try {
    const name = cause instanceof Error && cause.name;
    return typeof name === 'string' && name !== 'Error' && /^[A-Z][A-Za-z0-9]{0,59}$/.test(name) ? name : undefined;
  } catch {
    return undefined;
  }
}

/** Causes shown of one error: a chain may come back to itself. */
const MAX_CAUSES = 4;

function fieldsOf(error: TcpErrorBase, causes: number): Record<string, unknown> {
  const fields: Record<string, unknown> = { name: error.name, message: error.message };
  Object.assign(fields, error);
  if (error.cause !== undefined && causes > 0) fields.cause = summaryOf(error.cause, causes - 1);
  return fields;
}

function summaryOf(cause: unknown, causes: number): unknown {
  try {
    if (cause instanceof TcpErrorBase) return fieldsOf(cause, causes);
    if (!(cause instanceof Error)) return typeof cause;
    const code = codeOf(cause);
    const name = printable(cause.name, 80);
    const origin: unknown = Reflect.get(cause, 'origin'); // of a ProxyError: whose fault it was
    const whose = origin === 'proxy' || origin === 'target' ? { origin } : {};
    return code === undefined ? { name, ...whose } : { name, code, ...whose };
  } catch {
    return typeof cause; // it throws when it is looked at
  }
}
