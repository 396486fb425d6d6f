import type { SocketSnapshot } from './stats.js';

/** Something that {@link openSockets} lists: a socket, or a server's connection. */
export interface Listed {
  readonly name: string | undefined;
  snapshot(): SocketSnapshot;
}

// Weak, so that the list keeps nothing alive: a socket that was dropped unopened can be collected.
const listed = new Set<WeakRef<Listed>>();
const collected = new FinalizationRegistry<WeakRef<Listed>>((entry) => listed.delete(entry));

/** Lists a socket until the returned function is called or the socket is garbage. */
export function list(socket: Listed): () => void {
  const entry = new WeakRef(socket);
  listed.add(entry);
  collected.register(socket, entry, entry);
  return () => {
    listed.delete(entry);
    collected.unregister(entry);
  };
}

/**
 * Statistics of every socket of this process that is not closed, and of every connection of its servers.
 *
 * @example
 * import { openSockets, tcpSocket } from 'rx-tcp';
 * const socket = tcpSocket({ host: 'localhost', port: 9, lazyConnect: true, name: 'metrics' });
 * console.log(openSockets().map(({ name, status }) => `${name}: ${status.type}`)); // [ 'metrics: idle' ]
 * socket.destroy();
 */
export function openSockets(): SocketSnapshot[] {
  return [...living()].map((socket) => socket.snapshot());
}

/**
 * How many sockets are not closed, by their `name`; those without one count under the empty string.
 *
 * @example
 * import { countByName, tcpSocket } from 'rx-tcp';
 * const socket = tcpSocket({ host: 'localhost', port: 9, lazyConnect: true, name: 'metrics' });
 * console.log(countByName().metrics); // 1
 * socket.destroy();
 */
export function countByName(): Record<string, number> {
  const counts = Object.create(null) as Record<string, number>;
  for (const { name = '' } of living()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function* living(): Iterable<Listed> {
  for (const entry of listed) {
    const socket = entry.deref();
    if (socket !== undefined) yield socket;
  }
}
