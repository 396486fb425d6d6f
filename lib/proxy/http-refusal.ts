import { ProxyError } from './proxy-error.js';

type Blame = readonly [code: string, origin: 'proxy' | 'target'];

/**
 * Those that mean something of their own. 503 is the target's: RFC 9110 means an overloaded proxy, but Squid, HAProxy, Envoy and Privoxy answer it
 * for a target that they cannot reach.
 */
const BLAMES: Readonly<Partial<Record<number, Blame>>> = {
  405: ['ERR_PROXY_UNSUPPORTED', 'proxy'],
  407: ['ERR_PROXY_AUTH', 'proxy'],
  408: ['ECONNABORTED', 'proxy'],
  429: ['ECONNABORTED', 'proxy'],
  501: ['ERR_PROXY_UNSUPPORTED', 'proxy'],
  502: ['EHOSTUNREACH', 'target'],
  503: ['EHOSTUNREACH', 'target'],
  504: ['ETIMEDOUT', 'target'],
};

/** What a status says that is not 2xx, as an answer to CONNECT. */
export function httpRefusal(status: number): ProxyError {
  const [code, origin] = BLAMES[status] ?? blameOfClass(Math.floor(status / 100));
  return new ProxyError(code, origin, { reply: status });
}

function blameOfClass(hundreds: number): Blame {
  if (hundreds === 4) return ['ERR_PROXY_FORBIDDEN', 'proxy'];
  if (hundreds === 5) return ['ECONNABORTED', 'proxy'];
  return ['ERR_PROXY_PROTOCOL', 'proxy'];
}
