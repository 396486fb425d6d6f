import {
  type ConfigError,
  FrameError,
  TcpError,
  WriteError,
  type ClosedError,
  type ConnectError,
  type ConnectionLostError,
  type ConnectPhase,
  type ConnectTimeoutError,
  type Endpoint,
  type Fate,
  type FrameErrorKind,
  type IdleTimeoutError,
  type OverflowError,
  type ReconnectLimitError,
  type RequestTimeoutError,
  type TlsError,
  type WriteStallError,
} from '../../lib/index.js';
import { a, is, type Same } from './same.js';

const error = a<TcpError>();

// ---- what all have

is<Same<typeof error.endpoint, Endpoint | undefined>>();
is<Same<typeof error.epoch, number | undefined>>();
is<Same<typeof error.cause, unknown>>();
is<TcpError extends Error ? true : false>();
// @ts-expect-error only a message error has a message to hand back
error.undelivered;
// @ts-expect-error a code is stable
a<TcpError>().code = 'TCP_WRITE';

// ---- the code narrows to one class

switch (error.code) {
  case 'TCP_CONFIG':
    is<Same<typeof error, ConfigError>>();
    break;
  case 'TCP_CONNECT':
    is<Same<typeof error, ConnectError>>();
    is<Same<typeof error.phase, ConnectPhase>>();
    break;
  case 'TCP_CONNECT_TIMEOUT':
    is<Same<typeof error, ConnectTimeoutError>>();
    is<Same<typeof error.phase, ConnectPhase>>();
    is<Same<typeof error.timeout, number>>();
    break;
  case 'TCP_TLS':
    is<Same<typeof error, TlsError>>();
    is<Same<typeof error.opened, boolean>>();
    break;
  case 'TCP_CONNECTION_LOST':
    is<Same<typeof error, ConnectionLostError>>();
    is<Same<typeof error.clean, boolean>>();
    is<Same<typeof error.endedBy, 'peer' | 'us' | 'network'>>();
    break;
  case 'TCP_IDLE_TIMEOUT':
    is<Same<typeof error, IdleTimeoutError>>();
    break;
  case 'TCP_WRITE_STALL':
    is<Same<typeof error, WriteStallError>>();
    break;
  case 'TCP_WRITE':
    is<Same<typeof error, WriteError>>();
    is<Same<typeof error.fate, Fate>>();
    is<Same<typeof error.attempts, number>>();
    is<Same<typeof error.undelivered, unknown>>();
    break;
  case 'TCP_OVERFLOW':
    is<Same<typeof error, OverflowError>>();
    is<Same<typeof error.undelivered, unknown>>();
    break;
  case 'TCP_FRAME':
    is<Same<typeof error, FrameError>>();
    is<Same<typeof error.kind, FrameErrorKind>>();
    break;
  case 'TCP_REQUEST_TIMEOUT':
    is<Same<typeof error, RequestTimeoutError>>();
    break;
  case 'TCP_RECONNECT_LIMIT':
    is<Same<typeof error, ReconnectLimitError>>();
    break;
  case 'TCP_CLOSED':
    is<Same<typeof error, ClosedError>>();
    break;
  default:
    is<Same<typeof error, never>>(); // the family is closed
}

// ---- instanceof narrows, too

const caught = a<unknown>();
if (caught instanceof TcpError) {
  is<Same<typeof caught, TcpError>>();
  if (caught.code === 'TCP_WRITE') is<Same<typeof caught, WriteError>>();
}
if (caught instanceof WriteError) is<Same<typeof caught.fate, Fate>>();
// @ts-expect-error the family as a whole is no class to make one of
new TcpError();

// ---- what a codec of one's own makes

new FrameError('corrupt', 'bad checksum');
// @ts-expect-error not a kind
new FrameError('broken', 'bad checksum');
is<Same<Fate, 'unsent' | 'unknown'>>();
is<Same<FrameErrorKind, 'too-large' | 'corrupt' | 'truncated' | 'decode' | 'encode'>>();
is<Same<ConnectPhase, 'lookup' | 'connect' | 'tls' | 'handshake' | 'config'>>();
