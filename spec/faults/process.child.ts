/**
 * Brings sockets into one state after another, and looks each time whether they keep the process: it never calls exit, and no socket is ever closed here.
 * Run by process.spec.ts in a process of its own.
 *
 *     arguments   a port that echoes, one that floods, one that nobody listens on, and the scenes as JSON
 *     says        for each scene   'reached' when the state is there: until then a timer has kept the process
 *                                  'let go'  when nothing keeps the process any more
 *                                  'heard'   what came in between, if it was not let go
 */
import process from 'node:process';
import { lines, tcpSocket, type TcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { tape } from '../support/tape.js';

/** What is to be looked at. */
export interface Scene {
  readonly name: keyof typeof SCENES;
  readonly unref: boolean;
}

type Config = TcpSocketConfig<string, string>;

const [echoes, floods, dead] = process.argv.slice(2, 5).map(Number) as [number, number, number];
const scenes = JSON.parse(process.argv[5]!) as Scene[];
const host = '127.0.0.1';
const MINUTE = 60_000;
/** Every timer there is, and none of them ever due. */
const TIMERS: Config = {
  heartbeat: { interval: MINUTE, timeout: MINUTE, message: () => 'beat' },
  idleTimeout: MINUTE,
  writeTimeout: MINUTE,
  connectTimeout: MINUTE,
  endTimeout: MINUTE,
  reconnect: { stableAfter: MINUTE, initialDelay: MINUTE, maxDelay: MINUTE, jitter: 0 },
};

/** Opens a socket, and waits until it is connected and has heard its echo. */
async function connected(config: Config): Promise<TcpSocket<string, string>> {
  const socket = tcpSocket<string, string>({ host, port: echoes, codec: lines(), ...TIMERS, ...config });
  const frames = tape(socket.inbound);
  await socket.write('hello');
  await frames.at(0);
  return socket;
}

const SCENES = {
  open: (config: Config) => connected(config),
  'in a handshake': async (config: Config) => {
    const socket = tcpSocket({
      host,
      port: echoes,
      codec: lines(),
      ...TIMERS,
      ...config,
      handshake: (live) => live.inbound,
    });
    await tape(socket.status).first(({ type }) => type === 'connecting');
    return socket;
  },
  reconnecting: async (config: Config) => {
    const socket = tcpSocket({ host, port: dead, codec: lines(), ...TIMERS, ...config });
    socket.outbound.next('queued');
    socket.inbound.subscribe();
    await tape(socket.status).first(({ type }) => type === 'backoff');
    return socket;
  },
  paused: async (config: Config) => {
    const socket = tcpSocket({ host, port: floods, codec: lines(), ...TIMERS, ...config });
    const frames = tape(socket.inbound);
    await frames.at(0);
    socket.pause();
    const live = await tape(socket.connections).at(0);
    while (!live.raw.isPaused()) await new Promise((resolve) => setImmediate(resolve));
    return socket;
  },
  'half-open and ending': async (config: Config) => {
    const socket = await connected(config);
    void socket.end();
    return socket;
  },
  'dialled at a second address': (config: Config) => {
    const lookup: NonNullable<Config['socket']>['lookup'] = (_name, _options, found) =>
      found(null, [
        { address: '127.0.0.2', family: 4 },
        { address: host, family: 4 },
      ]);
    return connected({ ...config, host: 'localhost', socket: { ...config.socket, lookup } });
  },
};

const say = (what: string): void => void process.send!(what);
let running: string | undefined;

async function enter({ name, unref }: Scene): Promise<void> {
  const stay = setInterval(() => undefined, MINUTE);
  const socket = await SCENES[name]({ socket: { unref } });
  say(`${running!}: reached`);
  clearInterval(stay);
  if (unref) return;
  // Whoever keeps the process still hears what comes: two round trips, with nothing else to keep it.
  const frames = tape(socket.inbound);
  for (const message of ['one', 'two']) {
    socket.outbound.next(message);
    await frames.first((frame) => frame === message);
  }
  say(`${running!}: heard`);
  socket.destroy();
}

// Comes each time that nothing is left to wait for; the sockets of the scenes before are all still there.
process.on('beforeExit', () => {
  if (running !== undefined) say(`${running}: let go`);
  const scene = scenes.shift();
  if (scene === undefined) return;
  running = `${scene.name}${scene.unref ? ', unref' : ''}`;
  void enter(scene);
});
