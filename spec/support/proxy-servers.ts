/**
 * Proxies for specs, that do what they are told: good ones, which connect and relay, and bad ones, which say what a plan says.
 *
 * Any name leads to 127.0.0.1: these proxies have a name service of their own, as real ones do.
 */
import { once } from 'node:events';
import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import type { Pair } from './certificates.js';
import { atEnd } from './fixture.js';
import { listen } from './servers.js';

/** What a client asked for. */
export interface Asked {
  readonly host: string;
  readonly port: number;
  readonly user?: string | undefined;
  /** Those of HTTP. */
  readonly headers?: http.IncomingHttpHeaders;
}

/** What a proxy does; a good one without any of it. */
export interface Plan {
  /** Lets only these in. */
  readonly user?: string;
  readonly password?: string;
  /** Answers this number, of SOCKS or of HTTP, instead of connecting. */
  readonly refuse?: number;
  /** Stands right behind the grant, in the same chunk. */
  readonly behind?: string;
  /** Writes a reply of the proxy in its own way, or not; the first has the index 0. */
  readonly say?: (socket: Duplex, reply: Buffer, index: number) => void;
}

/** A proxy and what was asked of it. */
export interface TestProxy {
  readonly port: number;
  readonly asked: readonly Asked[];
  /** Its connections, the oldest first. */
  readonly sockets: readonly net.Socket[];
  close(): Promise<void>;
}

/** A proxy that speaks SOCKS 5, 4 and 4a. */
export async function socksProxy(plan: Plan = {}): Promise<TestProxy> {
  const asked: Asked[] = [];
  const server = await listen((socket) => {
    void serveSocks(socket, plan, asked).catch(() => socket.destroy());
  });
  return { port: server.port, asked, sockets: server.sockets, close: () => server.close() };
}

/** A proxy that speaks HTTP, over TLS if it has a certificate. */
export async function httpProxy(plan: Plan = {}, identity?: Pair): Promise<TestProxy> {
  const asked: Asked[] = [];
  const sockets: net.Socket[] = [];
  const server =
    identity === undefined ? http.createServer() : https.createServer({ ...identity, allowHalfOpen: true });
  server.on('connection', (socket: net.Socket) => {
    socket.on('error', () => undefined);
    sockets.push(socket);
  });
  server.on('connect', (request: http.IncomingMessage, socket: Duplex) => {
    socket.on('error', () => undefined);
    serveHttp(request, socket, plan, asked);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    const closed = server.listening ? once(server, 'close') : undefined;
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  atEnd(close);
  return { port: (server.address() as net.AddressInfo).port, asked, sockets, close };
}

/** Sends garbage for as long as it is taken. */
export function pour(socket: net.Socket, unit: string): void {
  const chunk = Buffer.from(unit.repeat(Math.ceil(16_384 / unit.length)));
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', more);
  more();
}

/** Writes one byte a turn of the event loop. */
export function drip(socket: Duplex, reply: Buffer): void {
  const rest = [...reply];
  const one = (): void => {
    const byte = rest.shift();
    if (byte === undefined || socket.destroyed) return;
    socket.write(Buffer.of(byte));
    setImmediate(one);
  };
  one();
}

async function serveSocks(socket: net.Socket, plan: Plan, asked: Asked[]): Promise<void> {
  const take = taker(socket);
  let said = 0;
  const say = (reply: Buffer): void => (plan.say ?? at)(socket, reply, said++);
  const [version] = await take(1);
  const request = version === 4 ? await request4(take) : await request5(take, plan, say);
  if (request === undefined) return;
  asked.push(request);
  const number = version === 4 ? (plan.refuse ?? 90) : (plan.refuse ?? 0);
  const reply = version === 4 ? [0, number, 0, 0, 0, 0, 0, 0] : [5, number, 0, 1, 0, 0, 0, 0, 0, 0];
  const answer = (): void => say(Buffer.concat([Buffer.from(reply), Buffer.from(plan.behind ?? '')]));
  if (plan.refuse !== undefined) {
    answer();
    return;
  }
  relay(socket, request.port, answer, () => say(Buffer.from([5, 5, 0, 1, 0, 0, 0, 0, 0, 0])));
}

type Take = (count: number) => Promise<Buffer>;

async function request4(take: Take): Promise<Asked> {
  const [, high = 0, low = 0, ...ip] = await take(7);
  const user = await text(take);
  const named = ip[0] === 0 && ip[1] === 0 && ip[2] === 0 && ip[3] !== 0;
  return { host: named ? await text(take) : ip.join('.'), port: high * 256 + low, user };
}

async function request5(take: Take, plan: Plan, say: (reply: Buffer) => void): Promise<Asked | undefined> {
  const methods = await take((await take(1))[0]!);
  const wanted = plan.user === undefined ? 0 : 2;
  say(Buffer.of(5, methods.includes(wanted) ? wanted : 0xff));
  let user: string | undefined;
  if (wanted === 2) {
    if (!methods.includes(2)) return undefined;
    await take(1);
    user = String(await take((await take(1))[0]!));
    const password = String(await take((await take(1))[0]!));
    const known = user === plan.user && password === plan.password;
    say(Buffer.of(1, known ? 0 : 1));
    if (!known) return undefined;
  }
  const type = (await take(4))[3]!;
  const length = type === 1 ? 4 : type === 4 ? 16 : (await take(1))[0]!;
  const address = await take(length);
  const port = (await take(2)).readUInt16BE();
  const groups = address.toString('hex').match(/.{4}/g) ?? [];
  const host = type === 1 ? address.join('.') : type === 4 ? groups.join(':') : String(address);
  return { host, port, user };
}

function serveHttp(request: http.IncomingMessage, socket: Duplex, plan: Plan, asked: Asked[]): void {
  let said = 0;
  const say = (reply: string): void => (plan.say ?? at)(socket, Buffer.from(reply), said++);
  const refuse = (status: number): void =>
    say(`HTTP/1.1 ${status} refused\r\nX-Why: peer-text\r\nContent-Length: 1000\r\n\r\npart of a body`);
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(request.url ?? '') ?? [];
  const basic = /^Basic (.*)$/.exec(request.headers['proxy-authorization'] ?? '')?.[1];
  const user = basic === undefined ? undefined : Buffer.from(basic, 'base64').toString();
  asked.push({ host, port: Number(port), user, headers: request.headers });
  if (plan.user !== undefined && user !== `${plan.user}:${plan.password ?? ''}`) return refuse(407);
  if (plan.refuse !== undefined) return refuse(plan.refuse);
  const grant = `HTTP/1.1 200 Connection established\r\n\r\n${plan.behind ?? ''}`;
  relay(
    socket,
    Number(port),
    () => say(grant),
    () => refuse(502),
  );
}

function relay(socket: Duplex, port: number, granted: () => void, failed: () => void): void {
  // A spec may have polluted what Node would read beside these.
  const place = { host: '127.0.0.1', port, path: undefined, lookup: undefined, localAddress: undefined };
  const target = net.connect({ ...place, allowHalfOpen: true } as unknown as net.NetConnectOpts);
  target.on('error', failed);
  target.once('connect', () => {
    target.off('error', failed).on('error', () => socket.destroy());
    granted();
    socket.pipe(target).pipe(socket);
  });
  socket.once('close', () => target.destroy());
  target.once('close', () => {
    if (!socket.writableEnded && target.errored) socket.destroy();
  });
}

function at(socket: Duplex, reply: Buffer): void {
  socket.write(reply);
}

async function text(take: Take): Promise<string> {
  const bytes: number[] = [];
  for (let [byte] = await take(1); byte !== 0; [byte] = await take(1)) bytes.push(byte!);
  return Buffer.from(bytes).toString();
}

/** So many bytes, when they are there, and no byte of what follows; rejects if they do not come. */
function taker(socket: net.Socket): Take {
  return async (count) => {
    if (count === 0) return Buffer.alloc(0);
    for (;;) {
      const bytes = socket.read(count) as Buffer | null;
      if (bytes !== null) return bytes;
      if (socket.destroyed || socket.readableEnded) throw new Error('the client has gone');
      await new Promise<void>((resolve) => {
        const go = (): void => {
          socket.off('readable', go).off('end', go).off('close', go);
          resolve();
        };
        socket.on('readable', go).on('end', go).on('close', go);
      });
    }
  };
}
