import { catchError, defer, filter, firstValueFrom, last, map, of, take, tap, throwError } from 'rxjs';
import { pipelined, tcpSocket, type Connection, type TcpSocketConfig } from '../../lib/index.js';
import { redisChannels } from './channels.js';
import type { Command, Message } from './command.js';
import { listening, pinging } from './pinging.js';
import { Push, RedisError, type Reply } from './reply.js';
import { resp, type RespConfig } from './resp.js';

/** Options of the socket and of the codec, and what each connection begins with. */
export interface RedisConfig
  extends Omit<TcpSocketConfig<Reply, Message>, 'codec' | 'handshake' | 'heartbeat'>, RespConfig {
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  /** Subscriptions need version 3. @default 3 */
  readonly protocol?: 2 | 3;
  /** Milliseconds between two `PING`; after twice as long without a byte the connection is dropped. @default none */
  readonly pingEvery?: number;
}

/** What only reads. These are most, hence `ONCE` for the others: a `SET` that comes late would undo another's. */
const IDEMPOTENT = /^(EXISTS|GET|HGET|HGETALL|HMGET|LLEN|LRANGE|MGET|PING|SMEMBERS|TTL|ZRANGE)$/i;
const FINAL = /^(WRONGPASS|NOAUTH|NOPERM|NOPROTO|ERR (?!max number))/;
const ONCE = Object.freeze({ resend: 'unsent' });
const NO_PUSHES = (): Error => new TypeError('subscriptions need `protocol: 3`');
const FOR_EVER = { retryLimit: Infinity, timeout: 0 };

/**
 * A client of a Redis server. Its connection comes back, with its login, its database and its subscriptions, once the server has its data.
 *
 * What is watched is forgotten with a connection: for `WATCH` take a client of its own, with `reconnect: false`. No command may change how
 * replies come, as `SUBSCRIBE`, `MONITOR`, `CLIENT REPLY` and `MULTI` do: use the methods.
 */
export function redisClient(config: RedisConfig) {
  const { username = 'default', password, db, protocol = 3, pingEvery, strings, maxFrameLength, ...options } = config;
  const channels = redisChannels((command) => (protocol === 3 ? ask(command, FOR_EVER) : throwError(NO_PUSHES)));

  async function handshake(connection: Connection<Reply, Message>): Promise<void> {
    const hello = protocol === 3 ? ['HELLO', 3] : [];
    const auth = password === undefined ? [] : ['AUTH', username, password];
    const login = [[...hello, ...auth], db === undefined ? [] : ['SELECT', db]].filter(({ length }) => length > 0);
    // HELLO, AUTH, SELECT and SUBSCRIBE are answered while the server still loads its data, and PING is not.
    const commands = [...login, ...channels.commands(), ['PING', 'ready']];
    void connection.write(commands);
    const answers = connection.inbound.pipe(tap(channels.hear), filter(isAnswer), take(commands.length));
    await answers.forEach((reply) => (login.pop() || isLoading(reply) ? orThrow(reply, true) : channels.answer(reply)));
  }

  const codec = resp({ strings, maxFrameLength });
  const socket = tcpSocket({ ...options, ...listening(pingEvery), codec, handshake });
  const terms = { unsolicited: isUnasked, failure: asError, resend: 'always' } as const;
  const { request: ask, unsolicited: pushes, stats } = pipelined(socket, terms);
  pushes.subscribe({ next: channels.hear, error: channels.end, complete: channels.end });
  if (pingEvery !== undefined) pinging(socket, pingEvery, () => ask(['PING'], ONCE));

  return {
    socket,
    /** What the server says unasked, published messages among it. */
    pushes,
    stats,
    /**
     * One command and its reply; an error reply errors. What only reads is asked again when a connection is lost: a `GET` may then give what a
     * command behind it has set.
     */
    command: (...command: Command) => ask(command, IDEMPOTENT.test(String(command[0])) ? undefined : ONCE),
    /** The same for a command of which you know that it may be done twice. */
    idempotent: (...command: Command) => ask(command),
    /** All of them or none, with nothing between, and their replies, errors among them; null if something watched has changed. */
    multi: (commands: readonly Command[]) =>
      defer(() => {
        let replies = commands.length + 2;
        return ask([['MULTI'], ...commands, ['EXEC']], { ...ONCE, until: () => --replies === 0, maxReplies: replies });
      }).pipe(
        map((reply) => orThrow(reply)),
        last(),
      ),
    /** What is published there, from the server's answer on. */
    subscribe: channels.channel,
    psubscribe: channels.pattern,
    /** Waits for the replies to come, and ends. */
    end: (): Promise<void> =>
      firstValueFrom(ask(['PING'], { timeout: 5000 }).pipe(catchError(() => of(null)))).then(() => socket.end()),
  };
}

/** Whether it answers no command, as a push does, save one that confirms a subscription. */
const isUnasked = (reply: Reply): boolean => reply instanceof Push && !reply.word(0).endsWith('subscribe');
const isAnswer = (reply: Reply): boolean => !isUnasked(reply);
const isLoading = (reply: Reply): boolean => asError(reply)?.code === 'LOADING';
const asError = (reply: Reply): RedisError | undefined => (reply instanceof RedisError ? reply : undefined);

/** In a handshake an error with a code ends the socket; but a server that is busy, loading or full will do better later. */
function orThrow(reply: Reply, shaking = false): Reply {
  if (!(reply instanceof RedisError)) return reply;
  throw shaking && !FINAL.test(reply.message) ? new Error(reply.message) : reply;
}
