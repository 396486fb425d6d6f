import type { Endpoint, TcpError } from '../errors.js';

/**
 * Where a socket is in its life, as data.
 *
 *     idle ─> connecting ─> open ─> backoff ─> connecting …  ─> closing ─> closed
 *
 * `attempt` counts the dials since the last reset, from 1; in `backoff` it is that of the dial to come, `delay` is in ms (with a `delay()` of
 * yours the least that will pass) and `cause` is the failure that it follows. `epoch` counts the connections opened. `closing` lasts while what was accepted is written
 * and what was read waits for its reader. `closed` has a cause unless the socket was asked to end.
 */
export type ConnectionStatus =
  | { readonly type: 'idle' }
  | { readonly type: 'connecting'; readonly attempt: number; readonly endpoint: Endpoint }
  | { readonly type: 'open'; readonly endpoint: Endpoint; readonly epoch: number }
  | { readonly type: 'backoff'; readonly attempt: number; readonly delay: number; readonly cause: TcpError }
  | { readonly type: 'closing' }
  | { readonly type: 'closed'; readonly cause?: TcpError };
