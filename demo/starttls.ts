/** Plain lines, then TLS over the same connection: what SMTP does with STARTTLS. */
import type { TLSSocket } from 'node:tls';
import { firstValueFrom } from 'rxjs';
import { lines, tcpServer, tcpSocket, type Connection, type TcpServer } from '../lib/index.js';
import { certificates } from './certificates.js';

type Line = Connection<string, string>;
type Log = (line: string) => void;

export async function run(print: Log = console.log): Promise<void> {
  const { ca, ...identity } = await certificates();
  const server = mailServer(identity);
  const { port } = await server.listening;

  const log: Log = (line) => print(`  in the clear: ${line}`);
  const handshake = (connection: Line) => startTls(connection, ca, log);
  const socket = tcpSocket({ host: 'localhost', port, codec: lines(), handshake });
  const ask = async (question: string): Promise<void> => {
    print(`> ${question}`);
    void socket.write(question);
    print(`< ${await firstValueFrom(socket.inbound)}`);
  };
  await ask('MAIL FROM:<ann@example.org>'); // waits until the handshake is done
  const { raw } = await firstValueFrom(socket.connections);
  const secure = raw as TLSSocket;
  print(`  ${secure.getProtocol() ?? 'plain'}, and the server is verified: ${String(secure.authorized)}`);
  await ask('QUIT');
  await socket.end();
  await server.close();
}

/** The client's side. It alone sees the frames until it is done; if it throws, the attempt has failed. */
async function startTls(connection: Line, ca: string, log: Log): Promise<void> {
  log(`< ${await firstValueFrom(connection.inbound)}`);
  log('> STARTTLS');
  void connection.write('STARTTLS');
  const goAhead = await firstValueFrom(connection.inbound);
  log(`< ${goAhead}`);
  if (!goAhead.startsWith('220')) throw new Error('no TLS here'); // rather than to go on in the clear
  await connection.upgrade({ ca });
}

/** The server's side: who does not ask for TLS is not served. */
function mailServer(identity: { key: string; cert: string }): TcpServer<string, string> {
  const handshake = async (client: Line): Promise<void> => {
    void client.write('220 mail.example.org');
    if ((await firstValueFrom(client.inbound)) !== 'STARTTLS') throw new Error('a client without TLS');
    await client.write('220 go ahead');
    await client.upgrade(identity);
  };
  const server = tcpServer({ codec: lines(), handshake });
  server.connections.subscribe((client) => {
    client.inbound.subscribe((line) => void client.write(line === 'QUIT' ? '221 bye' : '250 ok'));
  });
  return server;
}
