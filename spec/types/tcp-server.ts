import type { AddressInfo } from 'node:net';
import type { Observable } from 'rxjs';
import {
  echoServer,
  lengthPrefixed,
  lines,
  tcpServer,
  type Codec,
  type ServerConnection,
  type TcpServer,
  type TcpServerConfig,
} from '../../lib/index.js';
import { a, is, type Same } from './same.js';

const plain = tcpServer();
is<Same<typeof plain, TcpServer>>();
is<Same<typeof plain.connections, Observable<ServerConnection>>>();
is<Same<typeof plain.listening, Promise<AddressInfo>>>();
is<Same<ReturnType<typeof plain.close>, Promise<void>>>();

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
// @ts-expect-error accepted sockets have no address to connect from
tcpServer({ port: 0, socket: { localAddress: '127.0.0.1' } });

const echo = echoServer({ port: 0, closeAfterReply: true });
is<Same<typeof echo, TcpServer>>();
