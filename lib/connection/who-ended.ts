import { codeOf, type ConnectionFacts } from '../errors.js';

/** Codes that the kernel gives when the way, and not the peer, failed. */
const NETWORK_CODES = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN', 'ENETRESET']);

/** How a write ends whose stream was destroyed here, from Node 22 on the one in flight too. At a loss the error of the stream comes before them. */
const DESTROYED_CODES = new Set(['ECANCELED', 'ERR_STREAM_DESTROYED']);

/** Who ended a connection, from its last error and whether a FIN had come; with neither, somebody here destroyed the stream beneath. */
export function whoEnded(error: Error | undefined, peerEnded: boolean): ConnectionFacts['endedBy'] {
  const code = codeOf(error) ?? '';
  if (error === undefined || DESTROYED_CODES.has(code)) return peerEnded ? 'peer' : 'us';
  return NETWORK_CODES.has(code) ? 'network' : 'peer';
}
