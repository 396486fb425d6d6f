import type { ConnectionOptions } from 'node:tls';
import type { Observable, ObservableInput, Subject } from 'rxjs';
import {
  bytes,
  lengthPrefixed,
  lines,
  mapCodec,
  tcpSocket,
  type Bytes,
  type Codec,
  type Connection,
  type Endpoint,
  type SocketSnapshot,
  type SocketStats,
  type TcpError,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { a, is, type Same } from './same.js';

const PLACE = { host: 'localhost', port: 1 };

// ---- without a codec: bytes

const plain = tcpSocket(PLACE);
is<Same<typeof plain, TcpSocket>>();
is<Same<TcpSocket, TcpSocket>>();
is<Same<Bytes, Buffer | Uint8Array | string>>();
is<Same<typeof plain.inbound, Observable<Buffer>>>();
is<Same<typeof plain.outbound, Subject<Bytes>>>();
is<Same<typeof plain.errors, Observable<TcpError>>>();
is<Same<typeof plain.writable, Observable<boolean>>>();
is<Same<typeof plain.connections, Observable<Connection>>>();
is<Same<ReturnType<typeof plain.stats>, SocketStats>>();
is<Same<ReturnType<typeof plain.pause>, () => void>>();
plain.outbound.next('text');
plain.outbound.next(Buffer.alloc(1));
plain.outbound.next(new Uint8Array(1));
// @ts-expect-error a number is no message of bytes
plain.outbound.next(5);
// @ts-expect-error nor is other typed memory
void plain.write(new Uint16Array(1));
// @ts-expect-error the two streets are not to be replaced
plain.outbound = a<Subject<Bytes>>();
// @ts-expect-error In other than bytes needs a codec
tcpSocket<string, string>(PLACE);

// ---- with a codec: its messages

const text = tcpSocket({ ...PLACE, codec: lines() });
is<Same<typeof text, TcpSocket<string, string>>>();
is<Same<typeof text.inbound, Observable<string>>>();
is<Same<typeof text.connections, Observable<Connection<string, string>>>>();
text.outbound.next('line');
// @ts-expect-error lines() takes strings alone
text.outbound.next(Buffer.alloc(1));

const prefixed = tcpSocket({ ...PLACE, codec: lengthPrefixed() });
is<Same<typeof prefixed, TcpSocket>>();

const explicit = tcpSocket({ ...PLACE, codec: bytes() });
is<Same<typeof explicit, TcpSocket>>();

interface Order {
  readonly id: number;
}
const orders = mapCodec(lines(), {
  decode: (line): Order => JSON.parse(line) as Order,
  encode: (order: Order) => JSON.stringify(order),
});
is<Same<typeof orders, Codec<Order, Order>>>();
const shop = tcpSocket({ ...PLACE, codec: orders });
is<Same<typeof shop, TcpSocket<Order, Order>>>();
void shop.write({ id: 1 });
// @ts-expect-error an order has an id
void shop.write({});

const oneWay = tcpSocket({ ...PLACE, codec: a<Codec<number, Order>>() });
is<Same<typeof oneWay, TcpSocket<number, Order>>>();

// A codec that takes less than any bytes: what it does not take is refused though it gives out buffers.
const strict = tcpSocket({ ...PLACE, codec: a<Codec<Buffer, string>>() });
is<Same<typeof strict, TcpSocket<Buffer, string>>>();

// @ts-expect-error what has no decoder is no codec
tcpSocket({ ...PLACE, codec: { encode: (message: string) => Buffer.from(message) } });
// @ts-expect-error a factory is no codec
tcpSocket({ ...PLACE, codec: lines });

// ---- a config that was made elsewhere

is<Same<TcpSocketConfig, TcpSocketConfig>>();
tcpSocket(a<TcpSocketConfig>());
tcpSocket(a<Readonly<TcpSocketConfig>>());
// @ts-expect-error its codec may be missing, and then the messages are bytes
tcpSocket(a<TcpSocketConfig<string, string>>());

// ---- options

tcpSocket({ port: '80' });
tcpSocket({ path: '/run/x' });
tcpSocket({ ...PLACE, reconnect: false, overflow: 'dropOldest', writeBuffer: { frames: 1 } });
tcpSocket({ ...PLACE, reconnect: { delay: (error, attempt) => (is<Same<typeof error, TcpError>>(), [attempt]) } });
// @ts-expect-error true says nothing: leave `reconnect` out
tcpSocket({ ...PLACE, reconnect: true });
// @ts-expect-error not one of the two words
tcpSocket({ ...PLACE, overflow: 'drop' });
// @ts-expect-error a misspelt option
tcpSocket({ ...PLACE, retrylimit: 1 });
// @ts-expect-error null is no option
tcpSocket({ ...PLACE, writeBuffer: null });
// @ts-expect-error an option is needed
tcpSocket();

// ---- where to: one place or several

tcpSocket({ endpoints: [{ host: 'a', port: 1 }, { path: '/run/x' }], endpointCooldown: 0 });
tcpSocket({
  endpoints: a<readonly Endpoint[]>(),
  allowAddress: (address) => (is<Same<typeof address, string>>(), true),
});
tcpSocket({ endpoints: () => [{ port: 1 }] });
tcpSocket({ endpoints: async () => [{ port: 1 }] });
tcpSocket({ endpoints: () => a<Observable<readonly Endpoint[]>>() });
// @ts-expect-error a text is no list
tcpSocket({ endpoints: 'a:1,b:2' });
// @ts-expect-error nor are texts endpoints
tcpSocket({ endpoints: ['a:1'] });
// @ts-expect-error an endpoint has no options of its own
tcpSocket({ endpoints: [{ port: 1, tls: true }] });
// @ts-expect-error whether an address is allowed must be known at once
tcpSocket({ ...PLACE, allowAddress: async () => true });

// ---- TLS

tcpSocket({ ...PLACE, tls: true });
tcpSocket({ ...PLACE, tls: { ca: 'PEM', servername: 'db', ALPNProtocols: ['a'], minVersion: 'TLSv1.3' } });
tcpSocket({ ...PLACE, tls: a<ConnectionOptions>() });
tcpSocket({ ...PLACE, tls: () => ({ key: a<Buffer>(), cert: a<Buffer>() }) });
// @ts-expect-error false says nothing: leave `tls` out
tcpSocket({ ...PLACE, tls: false });
// @ts-expect-error it must answer at once
tcpSocket({ ...PLACE, tls: async () => ({ ca: 'PEM' }) });
// @ts-expect-error a misspelt option
tcpSocket({ ...PLACE, tls: { serverName: 'db' } });

// ---- what knows the types of the codec: handshake and heartbeat

tcpSocket({
  ...PLACE,
  handshake: async (link) => {
    is<Same<typeof link, Connection>>();
    is<Same<ReturnType<typeof link.upgrade>, Promise<void>>>();
    await link.upgrade({ ca: 'PEM' });
  },
});
const spoken = tcpSocket({
  ...PLACE,
  codec: lines(),
  handshake: (link) => {
    is<Same<typeof link, Connection<string, string>>>();
    return link.inbound;
  },
  heartbeat: { interval: 1, timeout: 1, message: () => 'PING' },
});
is<Same<typeof spoken, TcpSocket<string, string>>>();
const ordered = tcpSocket({
  ...PLACE,
  codec: orders,
  heartbeat: { interval: 1, timeout: 1, message: () => ({ id: 0 }) },
});
is<Same<typeof ordered, TcpSocket<Order, Order>>>();
const twoWays = tcpSocket({
  ...PLACE,
  codec: a<Codec<number, Order>>(),
  handshake: (link) => (is<Same<typeof link, Connection<number, Order>>>(), []),
});
is<Same<typeof twoWays, TcpSocket<number, Order>>>();
tcpSocket({ ...PLACE, heartbeat: { interval: 1, timeout: 1 } });
tcpSocket({ ...PLACE, heartbeat: { interval: 1, timeout: 1, message: () => Buffer.of(0) } });
// @ts-expect-error a number is no message of bytes
tcpSocket({ ...PLACE, heartbeat: { interval: 1, timeout: 1, message: () => 5 } });
// @ts-expect-error nor one of lines
tcpSocket({ ...PLACE, codec: lines(), heartbeat: { interval: 1, timeout: 1, message: () => 5 } });
// @ts-expect-error an order has an id
tcpSocket({ ...PLACE, codec: orders, heartbeat: { interval: 1, timeout: 1, message: () => ({}) } });
// @ts-expect-error a message is made each time
tcpSocket({ ...PLACE, heartbeat: { interval: 1, timeout: 1, message: 'PING' } });
// @ts-expect-error how long to wait is not to be guessed
tcpSocket({ ...PLACE, heartbeat: { interval: 1 } });
// @ts-expect-error what a handshake answers must end some time
tcpSocket({ ...PLACE, handshake: () => 5 });

tcpSocket({ ...PLACE, idleTimeout: 0, writeTimeout: 1, socket: { allowHalfOpen: true, unref: true } });
// @ts-expect-error ms as a number
tcpSocket({ ...PLACE, idleTimeout: '30s' });
// @ts-expect-error how many connections there may be is for a server to say
tcpSocket({ ...PLACE, maxConnections: 1 });

// ---- what it does

is<Same<ReturnType<typeof text.write>, Promise<void>>>();
void text.write('x', { signal: AbortSignal.abort(), retryLimit: 0 });
// @ts-expect-error not an option of write
void text.write('x', { retries: 0 });
void text.writeAll(['a', 'b']);
void text.writeAll(a<ObservableInput<string>>());
void text.writeAll(a<TcpSocket<string, number>>());
void text.writeAll(a<Connection<string, number>>());
void plain.writeAll(a<Observable<Buffer>>());
// @ts-expect-error numbers are no lines
void text.writeAll([1, 2]);
// @ts-expect-error nor is what this socket gives
void text.writeAll(a<TcpSocket<number, string>>());
is<Same<Parameters<typeof text.end>, [options?: { readonly timeout?: number }]>>();
is<Same<Parameters<typeof text.destroy>, [error?: Error]>>();

async function loops(): Promise<void> {
  for await (const line of text) is<Same<typeof line, string>>();
  for await (const chunk of plain) is<Same<typeof chunk, Buffer>>();
  await using _disposed = text;
}

// ---- statistics are numbers, and cannot be changed

is<Same<SocketStats[keyof SocketStats], number>>();
is<Same<SocketSnapshot['name'], string | undefined>>();
// @ts-expect-error a snapshot is frozen
plain.stats().dials = 1;

export { loops };
