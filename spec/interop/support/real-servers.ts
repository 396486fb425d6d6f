/**
 * Real servers for specs: those that run on this machine already, and those that a suite starts for itself.
 *
 *     describe('…', () => {
 *       const redis = needs('redis');           // redis.host, redis.port: the one at 127.0.0.1:6379, or at RX_TCP_REDIS
 *       const own = startRedis();               // own.port from `before` on; await own.restart('abruptly')
 *       leavesNothingOpen();
 *
 * Both skip the suite when there is no server, or fail it where CI is set. What a suite starts has a port and a folder of its own, and
 * is gone when the suite is over. To cut a connection in the middle put `faultProxy(own.port)` of spec/support between.
 */
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { certificates } from '../../support/certificates.js';
import { answers, KNOWN, type Kind, type Where } from './first-words.js';
import { missing } from './missing.js';
import { ownServer, type OwnServer, type User } from './own-server.js';

export type { Kind, Where } from './first-words.js';
export type { Ending, OwnServer } from './own-server.js';

/** What all of them take. */
export interface StartOptions {
  /** @default one that is free */
  readonly port?: number;
}

/** Of Redis, and of NATS. */
export interface ArgsOptions extends StartOptions {
  /** More arguments, such as `['--requirepass', 'secret']`. */
  readonly args?: readonly string[];
}

/** Of NATS. */
export interface NatsOptions extends ArgsOptions {
  /** @default false */
  readonly jetstream?: boolean;
}

/** Of Mosquitto. */
export interface MosquittoOptions extends StartOptions {
  /** More lines of its configuration, such as `max_inflight_messages 1`. */
  readonly config?: readonly string[];
}

/** Of PostgreSQL. */
export interface PostgresOptions extends StartOptions {
  /** Offers TLS with the `server` certificate of `certificates()`. @default false */
  readonly tls?: boolean;
  /** More settings, such as `{ max_connections: 5 }`. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

/** Call it in a `describe`: where the server is that runs on this machine, or where `RX_TCP_<KIND>=host:port` says. */
export function needs(kind: Kind): Where {
  const where = whereIs(kind);
  before(async function () {
    this.timeout(20_000);
    if (await answers(kind, where, 10_000)) return;
    const { title, command } = KNOWN[kind];
    missing(this, `no ${title} answers at ${where.host}:${where.port}. To start one: ${command}`);
  });
  return where;
}

/** What a client was told to be in it is still there after a restart, an abrupt one included. */
export function startRedis({ port, args = [] }: ArgsOptions = {}): OwnServer {
  const durable = ['--save', '', '--appendonly', 'yes'];
  return ownServer(
    {
      kind: 'redis',
      program: 'redis-server',
      args: (at, folder) => ['--port', `${at}`, '--bind', '127.0.0.1', '--dir', folder, ...durable, ...args],
    },
    port,
  );
}

/** Streams of JetStream are kept through restarts. */
export function startNats({ port, jetstream = false, args = [] }: NatsOptions = {}): OwnServer {
  return ownServer(
    {
      kind: 'nats',
      program: 'nats-server',
      args: (at, folder) => ['-a', '127.0.0.1', '-p', `${at}`, ...(jetstream ? ['-js', '-sd', folder] : []), ...args],
    },
    port,
  );
}

/** Queues as much as comes. Sessions and retained messages are kept through restarts, save abrupt ones: it writes them down at its end. */
export function startMosquitto({ port, config = [] }: MosquittoOptions = {}): OwnServer {
  const file = (folder: string): string => join(folder, 'mosquitto.conf');
  const lines = (at: number, folder: string): string[] => [
    `listener ${at} 127.0.0.1`,
    'allow_anonymous true',
    `user ${userInfo().username}`,
    'max_queued_messages 0',
    'persistence true',
    `persistence_location ${folder}/`,
    ...config,
  ];
  return ownServer(
    {
      kind: 'mosquitto',
      program: 'mosquitto',
      args: (at, folder) => {
        writeFileSync(file(folder), `${lines(at, folder).join('\n')}\n`);
        return ['-c', file(folder)];
      },
    },
    port,
  );
}

/** User and database are `postgres`, and there is no password. What was committed is still there after a restart, an abrupt one included. */
export function startPostgres({ port, tls = false, settings = {} }: PostgresOptions = {}): OwnServer {
  const bin = postgresBin();
  const ssl = tls ? { ssl: 'on', ssl_key_file: 'server.key', ssl_cert_file: 'server.crt' } : {};
  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...ssl, ...settings };
  return ownServer(
    {
      kind: 'postgres',
      program: join(bin, 'postgres'),
      user: 'postgres', // it refuses to be run by root
      // Its SIGKILL would leave processes behind, which keep the next one from starting. This one writes nothing down either.
      signals: { gracefully: 'SIGINT', abruptly: 'SIGQUIT' },
      prepare: async (folder, user) => {
        execFileSync(join(bin, 'initdb'), [...INITDB, dataIn(folder)], { stdio: 'pipe', cwd: folder, ...user });
        if (tls) await writeCertificate(dataIn(folder), user);
      },
      args: (at, folder) => [
        ...['-D', dataIn(folder), '-p', `${at}`],
        ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
    },
    port,
  );
}

const INITDB = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--no-locale', '--no-sync', '-D'];
const DEBIAN = '/usr/lib/postgresql';

function whereIs(kind: Kind): Where {
  const name = `RX_TCP_${kind.toUpperCase()}`;
  const [host = '127.0.0.1', port = KNOWN[kind].port] = process.env[name]?.split(':') ?? [];
  if (!Number.isInteger(Number(port))) throw new Error(`${name} must be host:port`);
  return { host, port: Number(port) };
}

/** Where its programs are: Debian keeps them out of the path. */
function postgresBin(): string {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const [newest] = versions
    .map((version) => join(DEBIAN, version, 'bin'))
    .filter((bin) => existsSync(join(bin, 'initdb')));
  return newest ?? '';
}

function dataIn(folder: string): string {
  return join(folder, 'data');
}

async function writeCertificate(data: string, { uid, gid }: User): Promise<void> {
  const { key, cert } = (await certificates()).server;
  for (const [name, text] of Object.entries({ 'server.key': key, 'server.crt': cert })) {
    const path = join(data, name);
    writeFileSync(path, text, { mode: 0o600 });
    if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
  }
}
