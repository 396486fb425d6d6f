import { codeOf, type ConnectionFacts } from '../errors.js';

/** Codes that the kernel gives when the way, and not the peer, failed. */
const NETWORK_CODES = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN', 'ENETRESET']);

/** Who ended a connection, from its last error and whether a FIN had come; with neither, somebody here destroyed the stream beneath. */
export function whoEnded(error: Error | undefined, peerEnded: boolean): ConnectionFacts['endedBy'] {
  if (error === undefined) return peerEnded ? 'peer' : 'us';
  const code = codeOf(error) ?? '';
  // From Node 22 on that is how a write ends whose stream was destroyed here; for a loss its error comes first.
  if (code === 'ECANCELED') return 'us';
  return NETWORK_CODES.has(code) ? 'network' : 'peer';
}
