/**
 * A network of three hosts for one spec, out of real kernels: what a firewall does to a connection is done here by a router.
 *
 *     client ──────────── router ──────────── server
 *     this process        forwards, drops,    programs that the spec starts
 *                         or refuses
 *
 * Each host is a network namespace, made by .ci/net.mjs, which runs mocha in that of the client. `network()` lays wires between
 * them, both IPv4 and IPv6; whatever a spec has cut or changed goes with the wires when it is over.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { atEnd } from './fixture.js';

/** The addresses of the server's host. */
export const SERVER = '10.77.2.2';
export const SERVER_V6 = 'fd77:2::2';

/** One of the three. */
export type Host = 'client' | 'router' | 'server';

/** How a router refuses: each kind is an ICMP message of its own. */
export type Refusal = 'unreachable' | 'prohibit' | 'throw';

/** Ends a fault. */
export type Heal = () => void;

/** The wires between the hosts, and what a spec may do to them. */
export interface Network {
  /** From now on the router drops every packet, and tells nobody. What was dropped its sender must send anew. */
  drop(): Heal;
  /** From now on the router answers packets for this address with an ICMP error. */
  refuse(address: string, how: Refusal): Heal;
  /** Takes the client's link down, and with it its routes. */
  unplug(): Heal;
  /** The first packet for an address of this family that the router has not forwarded to before waits so many ms in the router. */
  delayFirst(family: 4 | 6, ms: number): void;
  /** Sets a sysctl of a host, by its path below `/proc/sys/net`, until the spec is over. */
  set(host: Host, name: string, value: string | number): void;
}

/** A program on the server's host. */
export interface Server {
  readonly host: string;
  readonly port: number;
  /** Ends it without a word of its own; what its kernel says may or may not arrive. */
  kill(): Promise<void>;
}

/** What a server is given. */
export interface ServerOptions {
  /** The address to listen on. @default SERVER */
  readonly host?: string;
  /** @default one that is free */
  readonly port?: number;
  /** With both of them it speaks TLS. */
  readonly key?: string;
  readonly cert?: string;
  /** Whether it says `tick` five times a second to each who is connected. @default false */
  readonly speaks?: boolean;
}

/** Lays the wires; they are taken away when the spec is over. */
export function network(): Network {
  const undo: (() => void)[] = [];
  atEnd(() => {
    for (const step of undo.reverse()) step();
  });
  const set: Network['set'] = (host, name, value) => {
    const before = inside(host, 'cat', `/proc/sys/net/${name}`).trim();
    write(host, name, value);
    undo.push(() => write(host, name, before));
  };
  const forward = (flag: 0 | 1): void => {
    write('router', 'ipv4/ip_forward', flag);
    write('router', 'ipv6/conf/all/forwarding', flag);
  };
  prepare(set);
  lay();
  undo.push(() => ip('router', 'link delete client', 'link delete server'));
  forward(1);
  return {
    drop: () => {
      forward(0);
      return () => forward(1);
    },
    refuse: (address, how) => {
      let refused = true;
      const accept = (): void => {
        if (refused) ip('router', `route delete ${how} ${address}`);
        refused = false;
      };
      ip('router', `route add ${how} ${address}`);
      undo.push(accept);
      return accept;
    },
    unplug: () => {
      ip('client', 'link set wire down');
      return () => ip('client', 'address flush dev wire', ...CLIENT);
    },
    // It looks for the host first, and its first question goes to a daemon that is not there. The second one goes on the wire, this later.
    delayFirst: (family, ms) => {
      write('router', `ipv${family}/neigh/server/app_solicit`, 1);
      write('router', `ipv${family}/neigh/server/retrans_time_ms`, ms);
    },
    set,
  };
}

/** Starts a server that echoes; it is ended with the spec. */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const { host = SERVER } = options;
  const program = [process.execPath, SERVER_PROGRAM, JSON.stringify({ ...options, host })];
  const child = spawn('ip', ['netns', 'exec', nameOf('server'), ...program], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  atEnd(kill);
  const [said] = (await Promise.race([once(child, 'message'), exited])) as [unknown];
  const { port } = Object(said) as Partial<Server>;
  if (port === undefined) throw new Error('the server ended before it listened');
  return { host, port, kill };
}

const SERVER_PROGRAM = fileURLToPath(new URL('../net/server.mjs', import.meta.url));

const CLIENT = [
  'link set wire up',
  'address add 10.77.1.2/24 dev wire',
  'address add fd77:1::2/64 dev wire',
  'route add default via 10.77.1.1',
  'route add default via fd77:1::1',
];
const ROUTER = [
  'link set client up',
  'address add 10.77.1.1/24 dev client',
  'address add fd77:1::1/64 dev client',
  'link set server up',
  'address add 10.77.2.1/24 dev server',
  'address add fd77:2::1/64 dev server',
];
const SERVER_SIDE = [
  'link set wire up',
  `address add ${SERVER}/24 dev wire`,
  `address add ${SERVER_V6}/64 dev wire`,
  'route add default via 10.77.2.1',
  'route add default via fd77:2::1',
];

function prepare(set: Network['set']): void {
  // An address is good at once, not only when a second has proved that nobody else has it.
  for (const host of ['client', 'router', 'server'] as const) set(host, 'ipv6/conf/default/accept_dad', 0);
  // One spec's slow path is not remembered in the next one.
  set('client', 'ipv4/tcp_no_metrics_save', 1);
  // Each packet is answered, not one a second.
  set('router', 'ipv4/icmp_ratelimit', 0);
  set('router', 'ipv6/icmp/ratelimit', 0);
}

function lay(): void {
  ip('client', `link add wire type veth peer name client netns ${nameOf('router')}`);
  ip('server', `link add wire type veth peer name server netns ${nameOf('router')}`);
  ip('client', ...CLIENT);
  ip('router', ...ROUTER);
  ip('server', ...SERVER_SIDE);
  for (const host of ['client', 'router', 'server'] as const) untilUp(host);
}

/** The kernel switches a new wire on when it finds the time; what comes before is dropped, and sent again a second later. */
function untilUp(host: Host): void {
  const wires = (): string[] =>
    execFileSync('ip', ['-n', nameOf(host), '-oneline', 'link', 'show', 'type', 'veth'], { encoding: 'utf8' })
      .trim()
      .split('\n');
  while (!wires().every((wire) => wire.includes(' state UP '))); // each look is a process: it does not spin
}

function nameOf(host: Host): string {
  const run = process.env.RX_TCP_NETNS;
  if (run === undefined) throw new Error('these specs need namespaces: npm run test:net');
  return `${run}-${host}`;
}

/** Runs commands of `ip` on a host; the first that fails throws. */
function ip(host: Host, ...commands: string[]): void {
  execFileSync('ip', ['-n', nameOf(host), '-batch', '-'], { input: commands.join('\n') + '\n', stdio: 'pipe' });
}

function inside(host: Host, ...command: string[]): string {
  return execFileSync('ip', ['netns', 'exec', nameOf(host), ...command], { encoding: 'utf8', stdio: 'pipe' });
}

function write(host: Host, name: string, value: string | number): void {
  execFileSync('ip', ['netns', 'exec', nameOf(host), 'tee', `/proc/sys/net/${name}`], {
    input: String(value),
    stdio: 'pipe',
  });
}
