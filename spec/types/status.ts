import type { Observable } from 'rxjs';
import type { ConnectionStatus, Endpoint, TcpError, TcpSocket } from '../../lib/index.js';
import { a, is, type Same } from './same.js';

is<Same<TcpSocket['status'], Observable<ConnectionStatus>>>();

function told(status: ConnectionStatus): string {
  switch (status.type) {
    case 'idle':
    case 'closing':
      is<Same<keyof typeof status, 'type'>>();
      return status.type;
    case 'connecting':
      is<Same<typeof status.attempt, number>>();
      is<Same<typeof status.endpoint, Endpoint>>();
      return `dial ${status.attempt}`;
    case 'open':
      is<Same<typeof status.epoch, number>>();
      is<Same<typeof status.endpoint, Endpoint>>();
      return `open ${status.epoch}`;
    case 'backoff':
      is<Same<typeof status.delay, number>>();
      is<Same<typeof status.attempt, number>>();
      is<Same<typeof status.cause, TcpError>>();
      return `${status.cause.code}, again in ${status.delay}`;
    case 'closed':
      is<Same<typeof status.cause, TcpError | undefined>>();
      return status.cause?.code ?? 'as asked';
  } // nothing can come here: the compiler would miss a return
}

const status = a<ConnectionStatus>();
// @ts-expect-error only some have an endpoint
status.endpoint;
// @ts-expect-error a status is a fact
a<ConnectionStatus>().type = 'open';
// @ts-expect-error no such status
if (status.type === 'connected') told(status);
