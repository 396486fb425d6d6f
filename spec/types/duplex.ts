import type { Duplex } from 'node:stream';
import { lengthPrefixed, lines, tcpSocket, toDuplex, type Connection, type TcpSocket } from '../../lib/index.js';
import { a, is, type Same } from './same.js';

is<Same<ReturnType<typeof toDuplex>, Duplex>>();
is<Same<Parameters<typeof toDuplex>, [socket: TcpSocket]>>();
toDuplex(tcpSocket({ port: 1 }));
toDuplex(tcpSocket({ port: 1, codec: lengthPrefixed() })); // a chunk a frame: bytes all the same

// @ts-expect-error lines are no bytes
toDuplex(tcpSocket({ port: 1, codec: lines() }));
// @ts-expect-error nor is what one way takes or gives alone enough
toDuplex(a<TcpSocket<string>>());
// @ts-expect-error it must take any bytes
toDuplex(a<TcpSocket<Buffer, number>>());
// @ts-expect-error strings alone are not any bytes
toDuplex(a<TcpSocket<Buffer, string>>());
// @ts-expect-error a connection is no socket
toDuplex(a<Connection>());
// @ts-expect-error nor is another stream
toDuplex(a<Duplex>());
