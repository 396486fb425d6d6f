import type * as net from 'node:net';

/** Calls this with each line that a connection gets, and answers its FIN with a FIN, unless an `end` listener before has done so. */
export function eachLine(peer: net.Socket, hear: (line: string) => void): void {
  const parts: string[] = [];
  peer.setEncoding('utf8');
  peer.on('data', (text: string) => {
    const [first, ...others] = text.split('\n') as [string, ...string[]];
    parts.push(first);
    for (const next of others) {
      const line = parts.splice(0).join('');
      parts.push(next);
      if (!peer.destroyed) hear(line);
    }
  });
  peer.once('end', () => {
    if (!peer.writableEnded) peer.end();
  });
}
