/**
 * One attempt to connect, as a cold observable: subscribing dials, unsubscribing destroys, in every phase.
 *
 *     lookup ──> connect ──> open ──> emitted          one deadline over everything before `emitted`
 *        └──────────┴─────────> ConnectError, ConnectTimeoutError
 */
import * as dns from 'node:dns';
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import { Observable, timer } from 'rxjs';
import type { ResolvedConnection } from '../config.js';
import { pathOf } from '../endpoint.js';
import { ConnectError, ConnectTimeoutError, type ConnectPhase, type ErrorContext } from '../errors.js';
import { discard, fromSocket } from './from-socket.js';
import type { Link } from './link.js';
import { SlabReader } from './slab-reader.js';

/** What a dial needs to know. */
export type DialConfig = Pick<ResolvedConnection<unknown, never>, 'endpoint' | 'dial' | 'socket' | 'connectTimeout'>;

/**
 * Dials once. It emits the link when it is open and then neither completes nor errors: what happens to an open link is told by the link itself.
 * Errors with a {@link ConnectError} or {@link ConnectTimeoutError}. The link is destroyed when the subscription ends.
 */
export function dial(config: DialConfig, epoch: () => number): Observable<Link> {
  return new Observable((subscriber) => {
    const abort = config.dial && new AbortController();
    const context = (cause?: unknown): ErrorContext => ({ cause, endpoint: config.endpoint, epoch: epoch() });
    let phase: ConnectPhase = 'connect';
    let raw: Duplex | undefined;
    let link: Link | undefined;

    const fail = (at: ConnectPhase, cause: unknown): void => subscriber.error(new ConnectError(at, context(cause)));
    const deadline = timer(config.connectTimeout).subscribe(() => {
      subscriber.error(new ConnectTimeoutError(config.connectTimeout, phase, context()));
    });
    const opened = (open: Link): void => {
      deadline.unsubscribe();
      link = open;
      if (isSelfConnected(open.raw)) fail('connect', refusedBySelf(open.raw as net.Socket));
      else subscriber.next(open);
    };
    const made = (stream: unknown, reader?: SlabReader): void => {
      if (!isStream(stream)) return fail('config', new TypeError('`dial` must answer a Duplex'));
      const over = stream.destroyed || stream.writableEnded || stream.readableEnded;
      if (subscriber.closed || over) {
        discard(stream);
        return fail('config', new TypeError('`dial` answered a stream that is ended or destroyed'));
      }
      raw = stream;
      fromSocket(stream, config.endpoint, { opened, failed: (error) => fail(phase, error) }, reader);
    };

    subscriber.add(() => {
      deadline.unsubscribe();
      if (link !== undefined) return link.destroy();
      if (raw !== undefined) discard(raw);
      abort?.abort();
    });
    try {
      if (config.dial === undefined || abort === undefined) {
        const reader = new SlabReader();
        return made(
          connect(config, reader, (now) => (phase = now)),
          reader,
        );
      }
      const stream = config.dial(config.endpoint, abort.signal);
      if (isStream(stream)) return made(stream);
      Promise.resolve(stream)
        .then(made, (error: unknown) => fail(phase, error))
        .catch((error: unknown) => fail('config', error)); // what looked like a stream was none
    } catch (error) {
      fail('config', error);
    }
  });
}

function connect(
  { endpoint, socket }: DialConfig,
  { onread }: SlabReader,
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
    onread,
  });
  return net.connect(options as net.NetConnectOpts);
}

/** A lookup may throw, answer twice, or answer nonsense, which Node turns into an uncaught exception; here it becomes an ordinary error. */
function checkedLookup(lookup: net.LookupFunction, entered: (phase: ConnectPhase) => void): net.LookupFunction {
  return (hostname, options, callback) => {
    let answered = false;
    const answer = (error: unknown, address?: unknown): void => {
      if (answered) return;
      answered = true;
      const addresses = error ? [] : addressesIn(address);
      const first = addresses[0];
      if (first === undefined) return callback(asError(error), '', 0);
      entered('connect');
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    };
    entered('lookup');
    try {
      lookup(hostname, options, answer);
    } catch (error) {
      answer(error ?? new Error('lookup threw'));
    }
  };
}

function addressesIn(answer: unknown): dns.LookupAddress[] {
  const list: unknown[] = Array.isArray(answer) ? answer : [answer];
  return list.flatMap((item) => {
    const address: unknown = typeof item === 'object' && item !== null ? Reflect.get(item, 'address') : item;
    const family = typeof address === 'string' ? net.isIP(address) : 0;
    return family === 0 ? [] : [{ address: address as string, family }];
  });
}

function asError(error: unknown): Error {
  if (error instanceof Error) return error;
  return new Error(error ? 'lookup failed with something that is not an Error' : 'lookup answered no address');
}

/** Linux may connect a socket to itself where nobody listens on an ephemeral port: it would hear its own echo, and keep the server from its port. */
function isSelfConnected(raw: Duplex): boolean {
  if (!(raw instanceof net.Socket) || raw.localPort === undefined) return false;
  return raw.localPort === raw.remotePort && raw.localAddress === raw.remoteAddress;
}

function refusedBySelf(raw: net.Socket): Error {
  raw.resetAndDestroy();
  return Object.assign(new Error('connected to itself: nobody listens there'), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
  });
}

function isStream(stream: unknown): stream is Duplex {
  if (typeof stream !== 'object' || stream === null) return false;
  const { write, read, pause, resume, end, destroy, on, once, off } = stream as Partial<Duplex>;
  return [write, read, pause, resume, end, destroy, on, once, off].every((method) => typeof method === 'function');
}
