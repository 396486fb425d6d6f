/** Our end of a connection, raw and ours, opened and verified alike. */
import { once } from 'node:events';
import { connect, type Socket, type TcpSocketConnectOpts } from 'node:net';
import { filter, firstValueFrom } from 'rxjs';
import { tcpSocket, type Bytes, type TcpSocket, type TcpSocketConfig } from '../lib/index.js';

/** A `net.Socket` that is being connected. Its errors are not heard: that work is missing tells as much. */
export function rawDialling(port: number, more: Pick<TcpSocketConnectOpts, 'onread'> = {}): Socket {
  return connect({ port, host: '127.0.0.1', noDelay: true, ...more }).on('error', () => undefined);
}

/** The same once it is open. */
export async function rawSocket(port: number): Promise<Socket> {
  const socket = rawDialling(port);
  await once(socket, 'connect');
  return socket;
}

/** An open TcpSocket of ours; its write buffer holds whatever a benchmark puts into it. */
export async function ourSocket<In = Buffer, Out = Bytes>(
  port: number,
  config: Partial<TcpSocketConfig<In, Out>> = {},
): Promise<TcpSocket<In, Out>> {
  const socket = ourDialling(port, config);
  await opened(socket);
  return socket;
}

/** The same before it is open. */
export function ourDialling<In = Buffer, Out = Bytes>(
  port: number,
  config: Partial<TcpSocketConfig<In, Out>> = {},
): TcpSocket<In, Out> {
  // A config without a codec is one of bytes, which the overloads know and a Partial does not say.
  return tcpSocket({
    host: '127.0.0.1',
    port,
    writeBuffer: ROOMY,
    ...config,
  } as TcpSocketConfig) as unknown as TcpSocket<In, Out>;
}

const ROOMY = { frames: 2_000_000, bytes: 1024 ** 3 };

/** Resolves when the socket is open. */
export async function opened({ status }: Pick<TcpSocket, 'status'>): Promise<void> {
  await firstValueFrom(status.pipe(filter(({ type }) => type === 'open')));
}

/** Resolves when everything written to a raw socket before is written. */
export function flushed(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write('', (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}
