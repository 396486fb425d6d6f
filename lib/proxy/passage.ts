/**
 * One attempt to get through a proxy, from the first packet until the stream is handed over.
 *
 *     connect ──> talk ──> pass(stream)      An error, the end or the close of a stream on the way, and the abort
 *        └─────────┴─────> fail(error)       of the attempt, fail it. Then every stream of it is destroyed.
 */
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import { checkAddress } from '../connection/address.js';
import { whenOpen } from '../connection/from-socket.js';
import { onAbort } from '../on-abort.js';
import { brokenBy, hungUp } from './proxy-error.js';
import type { ProxyPlace } from './proxy-options.js';

/** What the one who talks with the proxy may do. The first `pass` or `fail` counts. */
export interface Passage {
  /** Another stream on the way, such as TLS: what ends it fails the attempt, and a failure destroys it. */
  watch(stream: Duplex): void;
  /** Called when the attempt is decided, whichever way. */
  onSettled(call: () => void): void;
  /** The proxy has let us through: the stream is what our caller gets. */
  pass(stream: Duplex): void;
  fail(error: unknown): void;
}

/**
 * Connects to the proxy and lets `talk` speak with it. Resolves with what was passed; rejects with what failed first, or with the reason of the
 * abort. The deadline is the caller's, who aborts.
 */
export function passage(
  place: ProxyPlace,
  signal: AbortSignal,
  talk: (raw: net.Socket, way: Passage) => void,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const streams: Duplex[] = [];
    const calls: (() => void)[] = [];
    let settled = false;
    // Late errors are nobody's business: `whenOpen`, through which every stream of the way goes, listens for them for good.
    const settle = (outcome: () => void): void => {
      if (settled) return;
      settled = true;
      for (const stream of streams) stream.off('error', broken).off('end', ended).off('close', ended);
      for (const call of calls) call();
      outcome();
    };
    const fail = (error: unknown): void =>
      settle(() => {
        for (const stream of streams) stream.destroy();
        reject(error);
      });
    const broken = (error: unknown): void => fail(brokenBy(error));
    const ended = (): void => fail(hungUp());
    const watch = (stream: Duplex): void => {
      streams.push(stream);
      stream.on('error', broken).on('end', ended).on('close', ended);
    };
    const way: Passage = {
      watch,
      onSettled: (call) => void calls.push(call),
      pass: (stream) => settle(() => resolve(stream)),
      fail,
    };
    const raw = connect(place);
    watch(raw);
    way.onSettled(onAbort(signal, () => fail(signal.reason)));
    const opened = (): void => {
      const nowhere = checkAddress(raw, undefined);
      if (nowhere !== undefined) return broken(nowhere);
      try {
        talk(raw, way);
      } catch (error) {
        broken(error);
      }
    };
    whenOpen(raw, { opened, failed: broken });
  });
}

function connect({ host, port, socket }: ProxyPlace): net.Socket {
  // Null-prototype, and every name of Node's own: it reads inherited options too.
  const options: object = Object.assign(Object.create(null) as object, socket, {
    host,
    port,
    path: undefined,
    allowHalfOpen: true,
    lookup: undefined,
    signal: undefined,
    fd: undefined,
    timeout: undefined,
    onread: undefined,
  });
  return net.connect(options as net.NetConnectOpts);
}
