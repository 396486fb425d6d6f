import { bytes, tcpServer, type Bytes, type Codec, type Connection } from '../../../lib/index.js';
import { resp } from '../../../demo/redis/resp.js';
import type { Reply } from '../../../demo/redis/reply.js';
import { atEnd } from '../../support/fixture.js';

/** Commands in, as lists of words, and whatever bytes a spec wants out. */
const serverSide: Codec<Reply, Bytes> = { ...bytes(), decoder: (report) => resp().decoder(report) };

/** The server's end of one connection of a client. */
export type Served = Connection<Reply>;

/** A server that understands commands and does what a spec says. */
export interface FakeRedis {
  readonly port: number;
  /** All commands so far, of all connections, as texts: `0 GET key` came on the first one. */
  readonly commands: readonly string[];
  /** Its connections, the oldest first. */
  readonly served: readonly Served[];
}

/** What is written back for a command; nothing for `undefined`. `connection` is 0 for the first one. */
export type Answer = (command: string, connection: number, served: Served) => string | undefined;

/** Listens until the running spec is over. What `answer` does not answer is, as Redis does: `OK`, or what the command asks for. */
export async function fakeRedis(answer: Answer = () => undefined): Promise<FakeRedis> {
  const commands: string[] = [];
  const served: Served[] = [];
  const server = tcpServer({ codec: serverSide });
  atEnd(() => server.close({ timeout: 0 }));
  server.connections.subscribe((connection) => {
    const index = served.push(connection) - 1;
    connection.inbound.subscribe({
      next: (words) => {
        const command = (words as string[]).join(' ');
        commands.push(`${index} ${command}`);
        const reply = answer(command, index, connection) ?? usual(words as string[]);
        if (reply !== '') connection.write(reply).catch(() => undefined);
      },
      error: () => undefined,
    });
  });
  const { port } = await server.listening;
  return { port, commands, served };
}

function usual([name = '', ...args]: readonly string[]): string {
  if (name === 'HELLO') return '%1\r\n+server\r\n+redis\r\n';
  if (name === 'PING') return '+PONG\r\n';
  return name.endsWith('SUBSCRIBE') ? listOf([name.toLowerCase(), ...args, '1'], '>') : '+OK\r\n';
}

/** Texts as an array of bulks, or with `>` as a push. */
export function listOf(words: readonly string[], type: '*' | '>' = '*'): string {
  const bulks = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `${type}${words.length}\r\n${bulks.join('')}`;
}
