/** What a NATS server and its client say to each other. */
import type { Bytes } from '../../lib/index.js';

/** Names and values in their order. A name may come more than once; `new Map(headers)` has the last of each. */
export type NatsHeaders = readonly (readonly [name: string, value: string])[];

/** A message that somebody has published. */
export interface NatsMessage {
  readonly op: 'MSG';
  /** The id of our subscription. */
  readonly sid: string;
  readonly subject: string;
  /** Where an answer is awaited. */
  readonly reply?: string | undefined;
  readonly headers: NatsHeaders;
  /** Of a message that the server itself has made: 503 when nobody listens to a request. */
  readonly status?: number | undefined;
  readonly payload: Buffer;
}

/** What the server says: a message, or a line with what stands behind its first word. */
export type Incoming = NatsMessage | { readonly op: 'INFO' | '+OK' | '-ERR' | 'PING' | 'PONG'; readonly text: string };

/** What we publish. */
export interface Publish {
  readonly subject: string;
  readonly reply?: string | undefined;
  readonly headers?: NatsHeaders | undefined;
  readonly payload: Bytes;
}

/** What we say: a message, or a line as it is. */
export type Outgoing = Publish | string;
