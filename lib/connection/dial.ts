/**
 * One attempt to connect, as a cold observable: subscribing dials, unsubscribing destroys, in every phase.
 *
 *     endpoint ──> lookup ──> connect ──> address allowed? ──> TLS ──> link, emitted
 *         └──────────┴──────────┴─────────────┴────────────────┴─────> ConnectError, ConnectTimeoutError, TlsError
 *
 * One deadline is over all of it.
 */
import * as dns from 'node:dns';
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import { Observable, Subscription, timer, type Subscriber } from 'rxjs';
import type { ResolvedConnection } from '../config.js';
import { pathOf } from '../endpoint.js';
import { ConnectError, ConnectTimeoutError, type ConnectPhase, type Endpoint, type ErrorContext } from '../errors.js';
import { checkAddress } from './address.js';
import { Endpoints } from './endpoints.js';
import { discard, linkOver, whenOpen } from './from-socket.js';
import type { Link } from './link.js';
import { checkedLookup } from './lookup.js';
import { TlsClient, tlsFailure, whenSecure, type TlsLayer } from './secure.js';
import { SlabReader } from './slab-reader.js';

/** What a dial needs to know. */
export type DialConfig = Pick<
  ResolvedConnection<unknown, never>,
  'endpoint' | 'dial' | 'socket' | 'connectTimeout' | 'allowAddress' | 'scheduler'
>;

/** What the dials of one socket share, and hear. */
export interface DialShared {
  readonly endpoints?: Endpoints | undefined;
  readonly tls?: TlsClient | undefined;
  /** Where this dial goes, if there are several endpoints; empty as long as that is not known. */
  readonly chosen?: (endpoint: Endpoint) => void;
}

/** What the dials of these options share. */
export function sharedOf({
  endpoints,
  tls,
}: Pick<ResolvedConnection<unknown, never>, 'endpoints' | 'tls'>): Pick<DialShared, 'endpoints' | 'tls'> {
  return { endpoints: endpoints && new Endpoints(endpoints), tls: tls && new TlsClient(tls) };
}

/**
 * Dials once. It emits the link when it is open and then neither completes nor errors: what happens to an open link is told by the link itself.
 * Errors with a {@link ConnectError}, {@link ConnectTimeoutError} or {@link TlsError}. The link is destroyed when the subscription ends.
 */
export function dial(config: DialConfig, epoch: () => number, shared: DialShared = {}): Observable<Link> {
  return new Observable((subscriber) => new Dialling(config, epoch, shared, subscriber).start());
}

/** One dial; each step calls the next. */
class Dialling {
  readonly #config: DialConfig;
  readonly #epoch: () => number;
  readonly #shared: DialShared;
  readonly #subscriber: Subscriber<Link>;
  #endpoint: Endpoint;
  #phase: ConnectPhase = 'connect';
  #deadline = Subscription.EMPTY;
  #abort: AbortController | undefined;
  readonly #streams: Duplex[] = [];
  #link: Link | undefined;

  constructor(config: DialConfig, epoch: () => number, shared: DialShared, subscriber: Subscriber<Link>) {
    this.#config = config;
    this.#epoch = epoch;
    this.#shared = shared;
    this.#subscriber = subscriber;
    this.#endpoint = config.endpoint;
  }

  start(): void {
    const { connectTimeout, scheduler } = this.#config;
    this.#deadline = timer(connectTimeout, scheduler).subscribe(() => {
      this.#subscriber.error(new ConnectTimeoutError(connectTimeout, this.#phase, this.#where()));
    });
    this.#subscriber.add(() => this.#clear());
    const { endpoints } = this.#shared;
    if (endpoints === undefined) return this.#dial(this.#endpoint);
    this.#phase = 'lookup';
    const asked = endpoints.next(this.#shared.chosen).subscribe({
      next: (endpoint) => (this.#subscriber.closed ? undefined : this.#dial(endpoint)), // who heard of it may have ended all this
      error: (error: unknown) => this.#fail('lookup', error),
    });
    this.#subscriber.add(asked);
  }

  #dial(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
    this.#phase = 'connect';
    try {
      const layer = this.#shared.tls?.prepare(endpoint);
      if (this.#config.dial === undefined) this.#connect(layer);
      else this.#ask(this.#config.dial, layer);
    } catch (error) {
      this.#fail('config', error);
    }
  }

  #connect(layer: TlsLayer | undefined): void {
    const reader = layer === undefined ? new SlabReader() : undefined;
    const raw = connect(this.#config, this.#endpoint, reader, (phase) => (this.#phase = phase));
    if (this.#config.socket.unref === true) raw.unref();
    this.#made(raw, layer, reader);
  }

  /** Asks the user's `dial`. */
  #ask(dialStream: NonNullable<DialConfig['dial']>, layer: TlsLayer | undefined): void {
    this.#abort = new AbortController();
    const stream = dialStream(this.#endpoint, this.#abort.signal);
    if (isStream(stream)) return this.#made(stream, layer);
    Promise.resolve(stream)
      .then(
        (made) => this.#made(made, layer),
        (error: unknown) => this.#fail(this.#phase, error),
      )
      .catch((error: unknown) => this.#fail('config', error)); // what looked like a stream was none
  }

  #made(stream: unknown, layer: TlsLayer | undefined, reader?: SlabReader): void {
    if (!isStream(stream)) return this.#fail('config', new TypeError('`dial` must answer a Duplex'));
    const over = stream.destroyed || stream.writableEnded || stream.readableEnded;
    if (this.#subscriber.closed || over) {
      discard(stream);
      return this.#fail('config', new TypeError('`dial` answered a stream that is ended or destroyed'));
    }
    this.#streams.push(stream);
    whenOpen(stream, {
      opened: () => this.#connected(stream, layer, reader),
      failed: (error) => this.#fail(this.#phase, error),
    });
  }

  #connected(raw: Duplex, layer: TlsLayer | undefined, reader: SlabReader | undefined): void {
    // Again: Node forgets it with the first of several addresses (measured on Node 20 to 26).
    if (this.#config.socket.unref === true && raw instanceof net.Socket) raw.unref();
    const refused = checkAddress(raw, this.#config.allowAddress);
    if (refused !== undefined) return this.#fail('connect', refused);
    if (layer === undefined) this.#open(linkOver(raw, this.#endpoint, { reader, scheduler: this.#config.scheduler }));
    else this.#secure(raw, layer);
  }

  #secure(raw: Duplex, layer: TlsLayer): void {
    this.#phase = 'tls';
    let secure;
    try {
      secure = layer.over(raw);
    } catch (error) {
      return this.#fail('config', error);
    }
    this.#streams.push(secure);
    whenSecure(secure, raw, layer.verified, {
      opened: () => this.#open(linkOver(secure, this.#endpoint, { carrier: raw, scheduler: this.#config.scheduler })),
      failed: (error) => this.#subscriber.error(tlsFailure(error, this.#where())),
    });
  }

  #open(link: Link): void {
    this.#deadline.unsubscribe();
    this.#link = link;
    this.#subscriber.next(link);
  }

  #fail(phase: ConnectPhase, cause: unknown): void {
    this.#subscriber.error(new ConnectError(phase, { ...this.#where(), cause }));
  }

  #clear(): void {
    this.#deadline.unsubscribe();
    if (this.#link !== undefined) return this.#link.destroy();
    for (const stream of this.#streams.reverse()) discard(stream); // TLS before what carries it: the other way round Node may crash
    this.#abort?.abort();
  }

  #where(): ErrorContext {
    return { endpoint: this.#endpoint, epoch: this.#epoch() };
  }
}

function connect(
  { socket }: DialConfig,
  endpoint: Endpoint,
  reader: SlabReader | undefined,
  entered: (phase: ConnectPhase) => void,
): net.Socket {
  const lookup = (socket.lookup as net.LookupFunction | undefined) ?? dns.lookup;
  // Null-prototype with a `path` of its own: Node reads an inherited `path` and would dial that instead.
  const options: object = Object.assign(Object.create(null) as object, socket, {
    host: endpoint.host,
    port: endpoint.port,
    path: pathOf(endpoint),
    allowHalfOpen: true,
    lookup: checkedLookup(lookup, entered),
    signal: undefined,
    fd: undefined,
    timeout: undefined,
    onread: reader?.onread,
  });
  return net.connect(options as net.NetConnectOpts);
}

function isStream(stream: unknown): stream is Duplex {
  if (typeof stream !== 'object' || stream === null) return false;
  const { write, read, pause, resume, end, destroy, on, once, off } = stream as Partial<Duplex>;
  return [write, read, pause, resume, end, destroy, on, once, off].every((method) => typeof method === 'function');
}
