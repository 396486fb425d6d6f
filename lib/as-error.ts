import { ClosedError, TcpError, type ErrorContext } from './errors.js';

/** What a caller gave as the reason of an end, as an Error. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new ClosedError({ cause: reason });
}

/** The same as one of the family: anything else is the cause of a {@link ClosedError}. */
export function asTcpError(error: Error, context: ErrorContext): TcpError {
  return error instanceof TcpError ? error : new ClosedError({ ...context, cause: error });
}
