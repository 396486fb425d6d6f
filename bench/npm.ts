/** The npm packages that we compare with. They have no types of their own that we could rely on, and may not be installed. */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { Transform } from 'node:stream';

const require = createRequire(import.meta.url);

/** Whether a package is there; none is needed where none is named. */
export function installed(name: string | undefined): boolean {
  if (name === undefined) return true;
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** `split2`: a Transform that gives lines, CRLF or LF. */
export const split2 = (): Transform => (require('split2') as () => Transform)();

/** `reconnect-net`: calls back with each new socket. */
export const reconnectNet = (
  config: { readonly initialDelay: number; readonly maxDelay: number },
  connected: (socket: Socket) => void,
): Reconnecting => (require('reconnect-net') as typeof reconnectNet)(config, connected);

interface Reconnecting {
  on(event: 'error', listener: (error: Error) => void): this;
  connect(options: { readonly port: number; readonly host: string }): this;
  disconnect(): void;
}

/** `rsocket-tcp-client`: frames of RSocket, each behind its length in three bytes. */
export function rsocket(port: number): RSocketConnection {
  const { default: Client } = require('rsocket-tcp-client') as {
    default: new (options: object, encoders: unknown) => RSocketConnection;
  };
  const { BufferEncoders } = require('rsocket-core') as { BufferEncoders: unknown };
  return new Client({ port, host: '127.0.0.1', noDelay: true }, BufferEncoders);
}

/** A message of `data`: PAYLOAD (0x0a) with the flag NEXT (0x20), on stream 1. */
export const rsocketPayload = (data: Buffer): RSocketFrame => ({ type: 0x0a, flags: 0x20, streamId: 1, data });

/** The same as bytes: its length, the stream, type and flags, and the data. */
export function rsocketWire(data: Buffer): Buffer {
  const frame = Buffer.alloc(9 + data.length);
  frame.writeUIntBE(6 + data.length, 0, 3);
  frame.writeUInt32BE(1, 3);
  frame.writeUInt16BE((0x0a << 10) | 0x20, 7);
  frame.set(data, 9);
  return frame;
}

/** `ioredis`, which gathers the commands of a turn by itself. */
export function ioredis(port: number): RedisLike & { disconnect(): void } {
  const { Redis } = require('ioredis') as { Redis: new (options: object) => ReturnType<typeof ioredis> };
  return new Redis({ port, host: '127.0.0.1', enableAutoPipelining: true });
}

/** `redis`, also called node-redis, which does so too. */
export function nodeRedis(port: number): RedisLike & { connect(): Promise<unknown>; destroy(): void } {
  const { createClient } = require('redis') as { createClient: (options: object) => ReturnType<typeof nodeRedis> };
  return createClient({ socket: { port, host: '127.0.0.1' } });
}

interface RedisLike {
  set(key: string, value: string): Promise<unknown>;
  get(key: string): Promise<unknown>;
}

interface RSocketFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly data: Buffer;
}

interface RSocketConnection {
  connect(): void;
  close(): void;
  sendOne(frame: RSocketFrame): void;
  receive(): RSocketFlowable<RSocketFrame>;
  connectionStatus(): RSocketFlowable<{ readonly kind: string }>;
  /** It has no other sign for when bytes are written. */
  readonly _socket: Socket;
}

interface RSocketFlowable<T> {
  subscribe(subscriber: {
    onSubscribe(subscription: { request(n: number): void }): void;
    onNext(value: T): void;
    onError(error: Error): void;
  }): void;
}
