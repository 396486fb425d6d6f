/** The servers that the specs know, and how each is asked whether it is ready. */
import { connect } from 'node:net';

/** A kind of server. */
export type Kind = 'redis' | 'nats' | 'mosquitto' | 'postgres' | 'rabbitmq';

/** What there is to know of a kind. */
export interface Known {
  readonly title: string;
  /** Where one listens if nobody says otherwise. */
  readonly port: number;
  /** How a user starts one. */
  readonly command: string;
  /** What a client says first. */
  readonly hello: string;
  /** How the answer may begin, once the server is ready for more. As latin1. */
  readonly ready: readonly string[];
}

/** Where a server is. */
export interface Where {
  readonly host: string;
  readonly port: number;
}

const CONNECT = '\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00';
const STARTUP = '\x00\x03\x00\x00user\0postgres\0database\0postgres\0\0';

/** All of them. */
export const KNOWN: Readonly<Record<Kind, Known>> = {
  redis: {
    title: 'Redis',
    port: 6379,
    command: 'redis-server --port 6379 --save ""',
    hello: 'PING\r\n',
    ready: ['+PONG', '-NOAUTH'], // while it loads its data it answers -LOADING
  },
  nats: { title: 'NATS', port: 4222, command: 'nats-server -js', hello: '', ready: ['INFO '] },
  mosquitto: { title: 'Mosquitto', port: 1883, command: 'mosquitto -p 1883', hello: CONNECT, ready: ['\x20\x02'] },
  postgres: {
    title: 'PostgreSQL',
    port: 5432,
    command: 'docker run -p 5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust postgres',
    hello: `\0\0\0${String.fromCharCode(STARTUP.length + 4)}${STARTUP}`,
    ready: ['R'], // while it starts, or recovers, it answers E
  },
  rabbitmq: {
    title: 'RabbitMQ',
    port: 5672,
    command: 'rabbitmq-server',
    hello: 'AMQP\x00\x00\x09\x01',
    ready: ['\x01'],
  },
};

/** Whether a server of this kind answers there within so many ms as one that is ready. */
export function answers(kind: Kind, { host, port }: Where, patience: number): Promise<boolean> {
  const { hello, ready } = KNOWN[kind];
  const socket = connect({ host, port });
  const deadline = setTimeout(() => socket.destroy(), patience);
  let said = '';
  const isReady = (): boolean => ready.some((words) => said.startsWith(words));
  socket.on('error', () => undefined); // nobody is there, or not for long
  socket.on('connect', () => socket.write(hello, 'latin1'));
  socket.on('data', (chunk: Buffer) => {
    said += chunk.toString('latin1');
    if (said.length >= LONGEST || isReady()) socket.destroy();
  });
  socket.on('end', () => socket.destroy());
  return new Promise((resolve) => {
    socket.on('close', () => {
      clearTimeout(deadline);
      resolve(isReady());
    });
  });
}

/** Who has said so many characters has said enough. */
const LONGEST = Math.max(...Object.values(KNOWN).flatMap(({ ready }) => ready.map((words) => words.length)));
