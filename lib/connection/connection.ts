import type { Duplex } from 'node:stream';
import type * as tls from 'node:tls';
import type { Observable } from 'rxjs';
import type { Bytes } from '../codec/codec.js';
import type { ConnectionLostError, Endpoint } from '../errors.js';

/** One live connection, ours or a server's. */
export interface Connection<In = Buffer, Out = Bytes> extends AsyncIterable<In> {
  readonly endpoint: Endpoint;
  /** Which connection of its socket it is, from 1. */
  readonly epoch: number;
  /** Resolves when it is over: with the loss, or with nothing if it ended as asked. */
  readonly closed: Promise<ConnectionLostError | undefined>;
  /** The stream beneath, for addresses and options; reading or writing there breaks the promises. */
  readonly raw: Duplex;
  /**
   * Its frames; completes with the last one. Subscribing is demand, of the whole socket: what an earlier connection left is decoded first, for the
   * subscribers of the socket's own `inbound`, if any. `closed` tells how it ended.
   */
  readonly inbound: Observable<In>;
  /** What may wait in a `for await` or `pacedMap` before reading stops. */
  readonly readBuffer: { readonly frames: number; readonly bytes: number };
  /**
   * Writes past the socket's queue: at once, whole, never retried. Resolves when the kernel took it; rejects with what ended the connection, with an
   * {@link OverflowError} if `writeBuffer` is full of such messages, with a {@link FrameError} if it cannot be encoded.
   */
  write(message: Out): Promise<void>;
  /** A hold: no frame until the returned release is called. */
  pause(): () => void;
  /**
   * Goes on in TLS over the same connection, as after STARTTLS; only within a `handshake`. It verifies the peer like the option `tls` and takes the same options; on a server
   * it needs `key` and `cert`. Bytes that were read before it are dropped, for anybody may have slipped them in; so a server calls it as soon as its last plain
   * write has resolved. Rejects with a {@link TlsError}, a {@link ConfigError}, or what ended the connection, which it is in every case.
   */
  upgrade(options?: tls.ConnectionOptions | tls.TlsOptions): Promise<void>;
  /** Sends FIN after what was handed over, reads on until the peer's, and destroys at `endTimeout`. Always resolves. */
  end(): Promise<void>;
  /** Ends it now. */
  destroy(error?: Error): void;
}
