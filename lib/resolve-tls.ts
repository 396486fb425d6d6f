/**
 * Options of TLS: Node's own, by their own names, and only those that are about TLS.
 */
import * as net from 'node:net';
import { callable, given, refused, text, type Given } from './check.js';
import { ConfigError } from './errors.js';

const BOTH = (
  'ca cert key pfx passphrase crl ciphers sigalgs ecdhCurve dhparam honorCipherOrder minVersion maxVersion secureProtocol ' +
  'secureOptions sessionIdContext sessionTimeout ticketKeys allowPartialTrustChain clientCertEngine ' +
  'privateKeyEngine privateKeyIdentifier rejectUnauthorized ALPNProtocols pskCallback enableTrace'
).split(' ');
const CLIENT = [...BOTH, ...'servername checkServerIdentity session minDHSize requestOCSP secureContext'.split(' ')];
const SERVER = [...BOTH, ...'requestCert SNICallback ALPNCallback pskIdentityHint'.split(' ')];

/** Options of `tls.connect` and `tls.createServer` that are not about TLS, and where they have their place here. */
const ELSEWHERE: readonly (readonly [names: string, place: string])[] = [
  ['host port path handshakeTimeout', 'give it beside `tls`'],
  ['noDelay keepAlive keepAliveInitialDelay allowHalfOpen localAddress localPort family', 'give it in `socket`'],
  ['lookup autoSelectFamily autoSelectFamilyAttemptTimeout', 'give it in `socket`'],
  ['socket', 'a stream of your own to speak TLS over comes from `dial`'],
  ['timeout', '`connectTimeout` is for TLS too, and `handshakeTimeout` on a server'],
];

/** What the user's functions answer after one of them has thrown: the handshake fails. */
const GUARDS: Readonly<Record<string, (error: unknown, args: readonly unknown[]) => unknown>> = {
  checkServerIdentity: (error) => (error instanceof Error ? error : new Error('checkServerIdentity threw')),
  pskCallback: () => null,
  ALPNCallback: () => undefined,
  SNICallback: (error, args) => {
    const answer = args.at(-1) as (error: unknown) => void;
    answer(error instanceof Error ? error : new Error('SNICallback threw'));
  },
};

type Called = (...args: unknown[]) => unknown;

/** The guards of a function, by the name of its option. */
const GUARDED = new WeakMap<Called, Map<string, Called>>();

/** The option `tls` of a client: what gives the checked options of one dial. An object is read and checked now, what a function answers when it is asked. */
export function resolveTls(value: unknown): (() => Given) | undefined {
  if (value === undefined) return undefined;
  return asked(value === true ? {} : value, clientOptions, 'true, an object or a function');
}

/** The option `tls` of a server, likewise for each connection. */
export function resolveServerTls(value: unknown): (() => Given) | undefined {
  return value === undefined ? undefined : asked(value, serverOptions, 'an object or a function');
}

/** Options of `tls.connect`, checked. Verification is on unless the caller wrote exactly `false`, whatever the environment says. */
export function clientOptions(options: unknown = {}): Given {
  const taken = guarded(aboutTls(options, CLIENT));
  const servername = text('tls.servername', taken.servername);
  if (servername !== undefined && net.isIP(servername) > 0) {
    throw refused('tls.servername', 'a name, as addresses are not allowed there (RFC 6066)', servername);
  }
  return frozen({ ...taken, rejectUnauthorized: taken.rejectUnauthorized !== false });
}

/** Options of `tls.createServer`, checked; where a client's certificate is asked for, one that cannot be verified is refused unless the caller wrote exactly `false`. */
export function serverOptions(options: unknown): Given {
  const taken = guarded(aboutTls(options, SERVER));
  const identified = ['cert', 'pfx', 'SNICallback', 'pskCallback'].some((name) => name in taken);
  if (!identified) throw refused('tls', 'an object with `key` and `cert`, or another identity of the server', options);
  const keyless = 'cert' in taken && !('key' in taken || 'privateKeyIdentifier' in taken);
  if (keyless) throw refused('tls.key', 'given with `tls.cert`', undefined);
  return frozen({ ...taken, rejectUnauthorized: taken.rejectUnauthorized !== false });
}

function asked(value: unknown, check: (options: unknown) => Given, expected: string): () => Given {
  if (typeof value === 'function') {
    return () => {
      const answer: unknown = (value as () => unknown)();
      if (answer === undefined) throw refused('tls', 'an object', answer);
      if (answer instanceof Promise) {
        answer.catch(() => undefined); // whatever it says, it is none
        throw new ConfigError('`tls` must be an object, got a promise of one');
      }
      return check(answer);
    };
  }
  if (typeof value !== 'object' || value === null) throw refused('tls', expected, value);
  const options = check(value);
  return () => options;
}

/** Takes over what is about TLS, and says of the rest where it belongs. */
function aboutTls(options: unknown, names: readonly string[]): Given {
  for (const name of Object.keys(options ?? {})) {
    const place = ELSEWHERE.find(([listed]) => listed.split(' ').includes(name))?.[1];
    if (place !== undefined) throw new ConfigError(`\`${name}\` is not an option of tls: ${place}`);
  }
  return given('tls', options, names);
}

/** Node lets what these functions throw become an uncaught exception. */
function guarded(options: Given): Given {
  const result = Object.assign(Object.create(null) as Record<string, unknown>, options);
  for (const [name, failed] of Object.entries(GUARDS)) {
    const own = callable<Called>(`tls.${name}`, options[name]);
    if (own !== undefined) result[name] = guard(name, own, failed);
  }
  return result;
}

/** The same guard for the same function: options that say the same at two dials are to be seen as the same. */
function guard(name: string, own: Called, failed: (error: unknown, args: readonly unknown[]) => unknown): Called {
  const known = GUARDED.get(own) ?? new Map<string, Called>();
  GUARDED.set(own, known);
  const made = known.get(name);
  if (made !== undefined) return made;
  const wrapped: Called = (...args) => {
    try {
      const answer = own(...args);
      if (!(answer instanceof Promise)) return answer;
      // Only that of SNICallback is not looked at: it answers by its callback. Of any other a promise is no answer.
      answer.catch((error: unknown) => (name === 'SNICallback' ? failed(error, args) : undefined));
      return name === 'SNICallback' ? undefined : failed(new TypeError(`\`tls.${name}\` answered a promise`), args);
    } catch (error) {
      return failed(error, args);
    }
  };
  known.set(name, wrapped);
  return wrapped;
}

/** Without prototype: Node reads inherited options too. */
function frozen(options: Given): Given {
  const taken = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of Object.entries(options)) taken[name] = copyOf(value);
  return Object.freeze(taken);
}

/** Lists and bytes are copied: a certificate that is changed in place is another one. */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  return value instanceof Uint8Array ? Buffer.from(value) : value;
}
