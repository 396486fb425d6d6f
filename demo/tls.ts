/** An echo through TLS, a second connection that resumes the session of the first, and an authority that nobody knows. */
import type { TLSSocket } from 'node:tls';
import { filter, firstValueFrom } from 'rxjs';
import { lines, tcpServer, tcpSocket, type Connection, type TcpServer } from '../lib/index.js';
import { certificates } from './certificates.js';

export async function run(print: (line: string) => void = console.log): Promise<void> {
  const { ca, ...identity } = await certificates();
  const server = echoThroughTls(identity);
  const { port } = await server.listening;

  const socket = tcpSocket({ host: 'localhost', port, codec: lines(), tls: { ca }, reconnect: { initialDelay: 1 } });
  const echo = async (message: string): Promise<void> => {
    void socket.write(message);
    print(`< ${await firstValueFrom(socket.inbound)}`);
  };
  print(described(await firstValueFrom(socket.connections)));
  await echo('nobody else reads this');

  const next = firstValueFrom(socket.connections.pipe(filter(({ epoch }) => epoch === 2)));
  socket.redial(); // the certificate is not shown again: the session proves who the server is
  print(described(await next));
  await echo('nor this');
  await socket.end();

  // A client without our authority does not speak to it, and does not dial again: that would cure nothing.
  const stranger = tcpSocket({ host: 'localhost', port, codec: lines(), tls: true });
  stranger.outbound.next('a secret');
  const refused = await firstValueFrom(stranger.errors);
  const { cause } = refused;
  print(`${refused.code}: ${(cause as NodeJS.ErrnoException).code}, ${stranger.stats().bytesWritten} bytes written`);
  await server.close();
}

function echoThroughTls(identity: { key: string; cert: string }): TcpServer<string, string> {
  const server = tcpServer({ codec: lines(), tls: identity });
  server.connections.subscribe((connection) => {
    connection.inbound.subscribe((line) => void connection.write(line));
  });
  return server;
}

function described({ raw, epoch }: Connection<string, string>): string {
  const secure = raw as TLSSocket;
  const session = secure.isSessionReused() ? 'the session of the one before' : 'a session of its own';
  return `connection ${epoch}: ${secure.getProtocol() ?? 'plain'}, ${session}`;
}
