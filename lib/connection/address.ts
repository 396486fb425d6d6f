import * as net from 'node:net';
import type { Duplex } from 'node:stream';

/** Says what is wrong with where a stream has come out, if anything; what is no TCP socket is at no address. */
export function checkAddress(raw: Duplex, allow: ((address: string) => boolean) | undefined): Error | undefined {
  if (!(raw instanceof net.Socket)) return undefined;
  if (isSelfConnected(raw)) return refusedBySelf(raw);
  if (allow === undefined || raw.remoteAddress === undefined) return undefined;
  try {
    const answer: unknown = allow(plain(raw.remoteAddress));
    if (answer === true) return undefined;
    return new Error('`allowAddress` refused the address');
  } catch (error) {
    return error instanceof Error ? error : new Error('`allowAddress` threw');
  }
}

/** An IPv4 address in the clothes of an IPv6 one is itself again: who refuses the one must not be passed by the other. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

/** Linux may connect a socket to itself where nobody listens on an ephemeral port: it would hear its own echo, and keep the server from its port. */
function isSelfConnected(raw: net.Socket): boolean {
  if (raw.localPort === undefined) return false;
  return raw.localPort === raw.remotePort && raw.localAddress === raw.remoteAddress;
}

function refusedBySelf(raw: net.Socket): Error {
  raw.resetAndDestroy();
  return Object.assign(new Error('connected to itself: nobody listens there'), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
  });
}
