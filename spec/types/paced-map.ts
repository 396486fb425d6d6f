import { interval, of, type Observable, type OperatorFunction } from 'rxjs';
import { pacedMap, type Connection, type Pausable, type TcpSocket } from '../../lib/index.js';
import { a, is, type Same } from './same.js';

const socket = a<TcpSocket<string, string>>();

const stored = socket.inbound.pipe(
  pacedMap(socket, async (line, index) => {
    is<Same<typeof line, string>>();
    is<Same<typeof index, number>>();
    return line.length;
  }),
);
is<Same<typeof stored, Observable<number>>>();

const several = socket.inbound.pipe(pacedMap(socket, (line) => of(line, 1), 4));
is<Same<typeof several, Observable<string | number>>>();

const operator = pacedMap(a<Connection>(), (chunk: Buffer) => [chunk]);
is<Same<typeof operator, OperatorFunction<Buffer, Buffer>>>();

is<Same<ReturnType<Pausable['pause']>, () => void>>();
interval(1).pipe(pacedMap({ pause: () => () => undefined }, (n) => [n]));
interval(1).pipe(pacedMap({ pause: () => () => undefined, readBuffer: 5 }, (n) => [n]));
interval(1).pipe(pacedMap({ pause: () => () => undefined, readBuffer: { bytes: 5 } }, (n) => [n]));
is<Same<typeof socket.readBuffer, Connection['readBuffer']>>();
is<Same<typeof socket.readBuffer.bytes, number>>();
// @ts-expect-error bytes as a number
interval(1).pipe(pacedMap({ pause: () => () => undefined, readBuffer: { bytes: '1 MiB' } }, (n) => [n]));
// @ts-expect-error nothing that can be paused
interval(1).pipe(pacedMap({}, (n) => [n]));
// @ts-expect-error `project` gives something to wait for, not a value
socket.inbound.pipe(pacedMap(socket, (line) => line.length));
// @ts-expect-error it is to be told what to do
socket.inbound.pipe(pacedMap(socket));
