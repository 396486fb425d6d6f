/** Everything that a socket tells, in the order in which it tells it. */
import type { TcpSocket } from '../../lib/index.js';

/** The last words of every socket, however it ended. */
export const LAST_WORDS = [
  'closed',
  'status completed',
  'connections completed',
  'writable completed',
  'errors completed',
];

/**
 * Subscribes to all of its streams and writes down what they say, from the current values on: statuses by type, errors by code, `frame`, `connection`,
 * `room`, `no room`, and how each ended. Without `reads` nobody subscribes to `inbound`, for that is demand.
 */
export function journal<In, Out>(socket: TcpSocket<In, Out>, { reads = true } = {}): string[] {
  const told: string[] = [];
  const log = (name: string) => ({
    complete: () => void told.push(`${name} completed`),
    error: () => void told.push(`${name} errored`),
  });
  if (reads) socket.inbound.subscribe({ ...log('inbound'), next: () => void told.push('frame') });
  socket.status.subscribe({ ...log('status'), next: ({ type }) => void told.push(type) });
  socket.connections.subscribe({ ...log('connections'), next: () => void told.push('connection') });
  socket.writable.subscribe({ ...log('writable'), next: (room) => void told.push(room ? 'room' : 'no room') });
  socket.errors.subscribe({ ...log('errors'), next: ({ code }) => void told.push(code) });
  return told;
}
