/** A server that hangs up after each reply, and a socket that comes back for the next message. */
import { concatMap, firstValueFrom } from 'rxjs';
import { echoServer, tcpSocket } from '../lib/index.js';

const MESSAGES = ['hi', 'still there?', 'grüße', 'bye'];

export async function run(print: (line: string) => void = console.log): Promise<void> {
  const server = echoServer({ closeAfterReply: true });
  const { port } = await server.listening;
  const socket = tcpSocket({ host: 'localhost', port });

  socket.status.subscribe((status) => {
    if (status.type === 'open') print(`  connection ${status.epoch} is open`);
  });
  // Every error is told here, and none of them ends the socket.
  socket.errors.subscribe((error) => print(`  connection ${error.epoch ?? '?'} is gone: ${error.code}`));

  for (const message of MESSAGES) {
    const echo = firstValueFrom(socket.inbound);
    const hungUp = firstValueFrom(socket.connections.pipe(concatMap(({ closed }) => closed)));
    print(`> ${message}`);
    socket.outbound.next(message);
    const bytes = await echo;
    print(`< ${bytes.toString()}   ${bytes.toString('hex')}`);
    await hungUp; // the next message finds no connection, and is written to the next one
  }

  const { framesWritten, bytesRead, drops } = socket.stats();
  await socket.end();
  await server.close();
  print(`${framesWritten} messages written, ${bytesRead} bytes echoed, ${drops} connections lost on the way`);
}
