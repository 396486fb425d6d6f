/**
 * What the user may configure. How it is read, checked and completed is in resolve-config.ts.
 */
import type * as net from 'node:net';
import type { Duplex } from 'node:stream';
import type * as tls from 'node:tls';
import type { ObservableInput, SchedulerLike } from 'rxjs';
import type { Given } from './check.js';
import type { Bytes, Codec } from './codec/codec.js';
import type { Connection } from './connection/connection.js';
import type { Endpoint, TcpError } from './errors.js';

/** Options of one connection that both its ends have: `tcpSocket`, `connection` and `tcpServer`. */
export interface StreamConfig<In = Buffer, Out = Bytes> {
  /** How messages become bytes and back. @default bytes() */
  readonly codec?: Codec<In, Out>;
  /**
   * What must be settled with the peer first: a login, a subscription, {@link Connection.upgrade | an upgrade to TLS}. Its completion opens the connection.
   * Until then it alone sees the frames, it alone is the demand, and nothing that is queued is written; what it did not take goes to `inbound`. If it fails, the attempt has failed.
   */
  readonly handshake?: (connection: Connection<In, Out>) => ObservableInput<unknown>;
  /** Asks a silent peer for a sign of life, and drops the connection without one. */
  readonly heartbeat?: HeartbeatConfig<NoInfer<Out>>; // what a message is, is for the codec to say
  /** Milliseconds without a byte from the peer after which the connection is dropped, while somebody wants to read; 0 is never. @default 0 */
  readonly idleTimeout?: number;
  /** Milliseconds in which the kernel takes nothing of what is being written after which the connection is dropped; 0 is never. @default 0 */
  readonly writeTimeout?: number;
  /**
   * What may wait in a `for await` or in `pacedMap` before reading stops: a number of frames, or frames and bytes. Of a frame that is neither
   * bytes nor a string (which counts its length) no bytes are known. @default { frames: 100, bytes: 1_048_576 }
   */
  readonly readBuffer?: number | { readonly frames?: number; readonly bytes?: number };
  /** What may wait for its outcome: a number of frames, or frames and bytes as encoded. @default { frames: 100_000, bytes: 16_777_216 } */
  readonly writeBuffer?: number | { readonly frames?: number; readonly bytes?: number };
  /** Milliseconds that `end()` may take before it destroys. @default 5_000 */
  readonly endTimeout?: number;
}

/** How a silent peer is asked for a sign of life. Any byte that it sends is one. */
export interface HeartbeatConfig<Out> {
  /** Milliseconds between two messages. */
  readonly interval: number;
  /**
   * Milliseconds that the peer may then stay silent: after `interval + timeout` without a byte the connection is dropped, while somebody wants to read.
   * Both together may be 2,147,483,647 at most.
   */
  readonly timeout: number;
  /** Makes the message. Without it nothing is written: a peer that speaks by itself is listened to. */
  readonly message?: () => Out;
}

/** Options of one connection, as {@link connection} takes them. */
export interface ConnectionConfig<In = Buffer, Out = Bytes> extends StreamConfig<In, Out> {
  /** Name or address to dial; with `port` alone it is `'localhost'`. Not together with `path`. */
  readonly host?: string;
  /** TCP port, 1 to 65,535; a numeric string is accepted. */
  readonly port?: number | string;
  /** Path of a unix socket or name of a named pipe, instead of `host` and `port`. */
  readonly path?: string;
  /**
   * Several places instead of one, tried in turn, one a dial, starting after the last that worked; a function is asked at every dial, and answers the
   * list, or a promise or Observable of it.
   */
  readonly endpoints?: readonly Endpoint[] | (() => readonly Endpoint[] | ObservableInput<readonly Endpoint[]>);
  /** Milliseconds for which an endpoint whose dial failed is passed over, unless all are. @default 10_000 */
  readonly endpointCooldown?: number;
  /** Whether this address, which the name stood for at this dial, may be spoken to; asked once connected, before a byte is written. @default every address */
  readonly allowAddress?: (address: string) => boolean;
  /**
   * Speaks TLS, with Node's options of `tls.connect` that are about TLS; a function is asked at every dial. The peer is verified, save where
   * `rejectUnauthorized` is exactly `false`. With `dial` it is spoken over the stream that `dial` makes.
   */
  readonly tls?: true | tls.ConnectionOptions | (() => tls.ConnectionOptions);
  /** Makes the byte stream itself: a proxy, a fake, a child process. It may answer a socket that still connects; `signal` aborts when the attempt is given up. */
  readonly dial?: (endpoint: Endpoint, signal: AbortSignal) => Duplex | Promise<Duplex>;
  /** Milliseconds for endpoints, lookup, connect, TLS and handshake together. @default 10_000 */
  readonly connectTimeout?: number;
  /** Options of the TCP socket itself; with `path` or `dial` only `allowHalfOpen` and `unref`. */
  readonly socket?: SocketOptions;
}

/** Options of the TCP socket, named as in `node:net`. */
export interface SocketOptions {
  /** Writes leave at once instead of waiting for more (Nagle off). @default true */
  readonly noDelay?: boolean;
  /** TCP keepalive probes. @default true */
  readonly keepAlive?: boolean;
  /** Milliseconds of silence before the first probe, at least 1,000. @default 30_000 */
  readonly keepAliveInitialDelay?: number;
  /** Address to connect from. */
  readonly localAddress?: string;
  /** Port to connect from. */
  readonly localPort?: number;
  /** 4 or 6 to use that family alone, 0 for both. @default 0 */
  readonly family?: 0 | 4 | 6;
  /** Instead of `dns.lookup`; whatever it answers is checked. */
  readonly lookup?: net.LookupFunction;
  /** Whether several addresses of a name are tried in turn. @default true */
  readonly autoSelectFamily?: boolean;
  /** Milliseconds for each address; Node's own default of 250 fails a healthy slow host. @default 2_500 */
  readonly autoSelectFamilyAttemptTimeout?: number;
  /** Whether a connection whose peer has sent its FIN is still written to, until it is ended here. @default false: what was handed over is written, then it ends */
  readonly allowHalfOpen?: boolean;
  /** Let the process end while this socket is open or dials; timers of the socket count as little as its connection. @default false */
  readonly unref?: boolean;
}

/** When and how soon to dial again. */
export interface ReconnectConfig {
  /** Upper bound of the first delay, in ms; with `delay()` the least time between two dials. @default 50 */
  readonly initialDelay?: number;
  /** Upper bound of every delay, in ms. @default 5_000 */
  readonly maxDelay?: number;
  /** What the bound is multiplied with at each redial in a row. @default 2 */
  readonly factor?: number;
  /** Share of the delay that is random: 1 is full jitter, 0 none. @default 1 */
  readonly jitter?: number;
  /** Redials in a row before giving up, the first dial not counted. @default Infinity */
  readonly maxAttempts?: number;
  /** Milliseconds that a connection must live for the attempts to start anew. @default 5_000 */
  readonly stableAfter?: number;
  /** Decides instead of the backoff: its first emission dials, completing without one gives up, as does a throw. `attempt` is that of the dial to come. */
  readonly delay?: (error: TcpError, attempt: number) => ObservableInput<unknown>;
  /**
   * Whether to go on after this error; it replaces the default, which it is given: `(error, byDefault) => byDefault || error.code === 'TCP_TLS'`.
   * @default by its code: network errors yes, wrong arguments and certificates no; where there are several endpoints, as long as one of them has not refused us for good
   */
  readonly retryable?: (error: TcpError, byDefault: boolean) => boolean;
  /** Source of the jitter, from 0 to 1. @default Math.random */
  readonly random?: () => number;
}

/** Options of {@link tcpSocket}. */
export interface TcpSocketConfig<In = Buffer, Out = Bytes> extends ConnectionConfig<In, Out> {
  /** How to come back after a loss; `false` ends the socket with its first connection. */
  readonly reconnect?: false | ReconnectConfig;
  /** How often one frame is written again after the connection it was handed to was lost; 0 is at most once. @default 5 */
  readonly retryLimit?: number;
  /** Which message goes when the write buffer is full: the one that comes, or the oldest that is not in flight. @default 'dropNewest' */
  readonly overflow?: 'dropNewest' | 'dropOldest';
  /** How many of the newest errors a late subscriber of `errors` gets. @default 100 */
  readonly errorBuffer?: number;
  /** Milliseconds that a connection after a loss or a failed dial lives before queued frames flow into it; 0 is at once. @default 10 */
  readonly settle?: number;
  /** Wait with the first dial for the first inbound subscriber or accepted message. @default false */
  readonly lazyConnect?: boolean;
  /** Its abort destroys the socket, with the reason. */
  readonly signal?: AbortSignal;
  /** Groups sockets in `openSockets()` and `countByName()`. */
  readonly name?: string;
}

/** What a buffer holds at most. */
export interface BufferLimits {
  readonly frames: number;
  readonly bytes: number;
}

/** What the write buffer holds at most. */
export type WriteLimits = BufferLimits;

/** A reconnect policy with every gap filled. */
export interface ReconnectPolicy extends Required<Omit<ReconnectConfig, 'delay' | 'retryable'>> {
  readonly delay: ReconnectConfig['delay'] | undefined;
  readonly retryable: ReconnectConfig['retryable'] | undefined;
}

/** What both ends of a connection share, with every gap filled; 0 is off. */
export interface ResolvedStreams<In, Out> {
  readonly codec: Codec<In, Out>;
  readonly handshake?: StreamConfig<In, Out>['handshake'] | undefined;
  readonly heartbeat?: HeartbeatConfig<Out> | undefined;
  readonly idleTimeout?: number;
  readonly writeTimeout?: number;
  readonly readBuffer: BufferLimits;
  readonly writeBuffer: WriteLimits;
  readonly endTimeout: number;
  readonly scheduler?: SchedulerLike | undefined;
}

/** Where to dial, when there are several places. */
export interface EndpointsConfig {
  /** Answers the list, or what it will come of. */
  readonly list: () => unknown;
  /** Whether a custom `dial` goes there. */
  readonly dialled: boolean;
  /** ms */
  readonly cooldown: number;
}

/** A connection's options with every gap filled. */
export interface ResolvedConnection<In, Out> extends ResolvedStreams<In, Out> {
  /** Empty if there are several. */
  readonly endpoint: Endpoint;
  readonly endpoints: EndpointsConfig | undefined;
  readonly allowAddress: ConnectionConfig['allowAddress'] | undefined;
  /** Gives the options of one dial, checked; throws a ConfigError. */
  readonly tls: (() => Given) | undefined;
  readonly dial: ConnectionConfig['dial'] | undefined;
  readonly connectTimeout: number;
  readonly socket: Given;
  /** What RxJS's timers run on; `undefined` is its own scheduler, whose timers keep the process. */
  readonly scheduler: SchedulerLike | undefined;
}

/** A socket's options with every gap filled. */
export interface ResolvedSocket<In, Out> extends ResolvedConnection<In, Out> {
  readonly reconnect: ReconnectPolicy | false;
  readonly retryLimit: number;
  readonly overflow: 'dropNewest' | 'dropOldest';
  readonly errorBuffer: number;
  readonly settle: number;
  readonly lazyConnect: boolean;
  readonly signal: AbortSignal | undefined;
  readonly name: string | undefined;
}
