import type { Observable, Subject } from 'rxjs';
import { lines, tcpSocket, type Bytes, type ConnectionStatus, type TcpError, type TcpSocket } from 'rx-tcp';
import { httpConnectDial, ProxyError } from 'rx-tcp/proxy';

/** Compiles only if both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_yes: Same<A, B>): void {
  // The check is the call's type.
}

export function check(): void {
  const raw = tcpSocket({ host: 'localhost', port: 1 });
  same<typeof raw, TcpSocket<Buffer, Bytes>>(true);
  same<typeof raw.inbound, Observable<Buffer>>(true);
  same<typeof raw.outbound, Subject<Bytes>>(true);
  same<typeof raw.status, Observable<ConnectionStatus>>(true);
  same<typeof raw.errors, Observable<TcpError>>(true);

  const text = tcpSocket({ host: 'localhost', port: 1, codec: lines() });
  same<typeof text.inbound, Observable<string>>(true);
  const written: Promise<void> = text.write('a line');
  void written;

  // @ts-expect-error a codec of strings takes no bytes
  text.outbound.next(Buffer.from('a line'));
  // @ts-expect-error messages other than bytes need a codec
  tcpSocket<number, number>({ host: 'localhost', port: 1 });
  // @ts-expect-error an option that is not known
  tcpSocket({ host: 'localhost', port: 1, retries: 5 });

  tcpSocket({ host: 'localhost', port: 1, tls: true, dial: httpConnectDial({ host: 'localhost' }), lazyConnect: true });
  text.errors.subscribe((error) => {
    if (error.cause instanceof ProxyError) same<typeof error.cause.origin, 'proxy' | 'target'>(true);
    if (error.code === 'TCP_WRITE') same<typeof error.fate, 'unsent' | 'unknown'>(true);
  });
}
