import type { AddressInfo } from 'node:net';
import type { TlsOptions } from 'node:tls';
import type { Observable } from 'rxjs';
import {
  echoServer,
  lengthPrefixed,
  lines,
  tcpServer,
  type Codec,
  type Connection,
  type ConnectionLostError,
  type ServerConnection,
  type ServerStats,
  type SocketStats,
  type TcpError,
  type TcpServer,
  type TcpServerConfig,
} from '../../lib/index.js';
import { a, is, type Same } from './same.js';

const plain = tcpServer();
is<Same<typeof plain, TcpServer>>();
is<Same<typeof plain.connections, Observable<ServerConnection>>>();
is<Same<typeof plain.listening, Promise<AddressInfo>>>();
is<Same<ReturnType<typeof plain.close>, Promise<void>>>();
is<Same<Parameters<typeof plain.close>, [options?: { readonly timeout?: number }]>>();
is<Same<typeof plain.errors, Observable<TcpError>>>();
is<Same<ReturnType<typeof plain.stats>, ServerStats>>();
is<Same<ServerStats[keyof ServerStats], number>>();
is<Same<'accepted' | 'refused' | 'failed' | 'opening' | 'open', Exclude<keyof ServerStats, keyof SocketStats>>>();
// @ts-expect-error a snapshot is frozen
plain.stats().open = 1;

const text = tcpServer({ port: 0, codec: lines() });
is<Same<typeof text, TcpServer<string, string>>>();
is<Same<typeof text.connections, Observable<ServerConnection<string, string>>>>();

const prefixed = tcpServer({ codec: lengthPrefixed() });
is<Same<typeof prefixed, TcpServer>>();

const strict = tcpServer({ codec: a<Codec<Buffer, string>>() });
is<Same<typeof strict, TcpServer<Buffer, string>>>();

// @ts-expect-error In other than bytes needs a codec
tcpServer<string, string>({ port: 0 });
// @ts-expect-error its codec may be missing
tcpServer(a<TcpServerConfig<string, string>>());
// @ts-expect-error a server does not dial
tcpServer({ port: 0, reconnect: false });
// @ts-expect-error nor does it choose among endpoints
tcpServer({ endpoints: [] });
// @ts-expect-error accepted sockets have no address to connect from
tcpServer({ port: 0, socket: { localAddress: '127.0.0.1' } });

// ---- options

tcpServer({ tls: { key: 'PEM', cert: 'PEM', requestCert: true }, maxConnections: 5, handshakeTimeout: 1 });
tcpServer({ tls: () => a<TlsOptions>(), idleTimeout: 1, writeTimeout: 1, socket: { allowHalfOpen: true } });
// @ts-expect-error there is no certificate by default
tcpServer({ tls: true });
// @ts-expect-error it must answer at once
tcpServer({ tls: async () => a<TlsOptions>() });
tcpServer({
  codec: lines(),
  handshake: async (link) => {
    is<Same<typeof link, Connection<string, string>>>();
    await link.upgrade({ key: 'PEM', cert: 'PEM' });
  },
  heartbeat: { interval: 1, timeout: 1, message: () => 'PING' },
});
// @ts-expect-error lines() takes strings alone
tcpServer({ codec: lines(), heartbeat: { interval: 1, timeout: 1, message: () => 5 } });
// @ts-expect-error a server has its own deadline
tcpServer({ connectTimeout: 1 });

// ---- a server's connection is one, with a queue of its own

const served = a<ServerConnection<string, number>>();
is<ServerConnection<string, number> extends Connection<string, number> ? true : false>();
is<Same<typeof served.inbound, Observable<string>>>();
is<Same<ReturnType<typeof served.write>, Promise<void>>>();
is<Same<ReturnType<typeof served.flush>, Promise<void>>>();
is<Same<ReturnType<typeof served.stats>, SocketStats>>();
is<Same<typeof served.closed, Promise<ConnectionLostError | undefined>>>();
void served.write(5);
void served.writeAll([1, 2]);
void served.writeAll(a<Observable<number>>());
// @ts-expect-error it takes numbers
void served.write('5');
// @ts-expect-error in bulk, too
void served.writeAll(['5']);
// @ts-expect-error what was handed to a connection is never retried: it does not come back
void served.write(5, { retryLimit: 1 });
// @ts-expect-error nor does it dial
served.redial;

const echo = echoServer({ port: 0, closeAfterReply: true });
is<Same<typeof echo, TcpServer>>();
echoServer({ tls: { key: 'PEM', cert: 'PEM' }, maxConnections: 1, idleTimeout: 1 });
// @ts-expect-error an echo has no words of its own
echoServer({ handshake: () => [] });
// @ts-expect-error it decides itself when it ends
echoServer({ socket: { allowHalfOpen: false } });
