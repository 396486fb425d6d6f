/**
 * Where a connection goes, and how that is said on one line that is safe to log.
 */

/** Where a connection goes: a host and a port, or the path of a unix socket or named pipe; empty for a custom `dial`. */
export interface Endpoint {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
}

/** The path of an endpoint that has one of its own: a polluted `Object.prototype.path` must redirect nothing. */
export function pathOf(endpoint: Endpoint | undefined): string | undefined {
  return endpoint !== undefined && Object.hasOwn(endpoint, 'path') ? endpoint.path : undefined;
}

/** Names an endpoint in one line of printable text, so that a hostile host name cannot forge a log line. */
export function describeEndpoint(endpoint: Endpoint | undefined): string {
  const path = pathOf(endpoint);
  if (path !== undefined) return printable(path, 200);
  if (endpoint?.host === undefined) return endpoint?.port === undefined ? 'the peer' : `port ${String(endpoint.port)}`;
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
  return printable(endpoint.port === undefined ? host : `${host}:${String(endpoint.port)}`, 200);
}

/** One line of at most `length` characters of the text; control characters are shown as escapes. */
export function printable(text: string, length: number): string {
  const escaped = JSON.stringify(text.slice(0, length)).slice(1, -1);
  const safe = escaped.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return safe.slice(0, length);
}
