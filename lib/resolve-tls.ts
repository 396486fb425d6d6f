/**
 * Options of TLS: Node's own, by their own names, and only those that are about TLS.
 */
import type * as tls from 'node:tls';
import { callable, given, refused, text, type Given } from './check.js';

const BOTH = (
  'ca cert key pfx passphrase crl ciphers sigalgs ecdhCurve dhparam honorCipherOrder minVersion maxVersion secureProtocol ' +
  'secureOptions sessionIdContext sessionTimeout ticketKeys allowPartialTrustChain clientCertEngine ' +
  'privateKeyEngine privateKeyIdentifier rejectUnauthorized ALPNProtocols pskCallback enableTrace'
).split(' ');
const CLIENT = [...BOTH, ...'servername checkServerIdentity session minDHSize requestOCSP secureContext'.split(' ')];
const SERVER = [...BOTH, ...'requestCert SNICallback ALPNCallback pskIdentityHint'.split(' ')];

/** What the user's functions answer after one of them has thrown: the handshake fails. */
const GUARDS: Readonly<Record<string, (error: unknown, args: readonly unknown[]) => unknown>> = {
  checkServerIdentity: (error) => (error instanceof Error ? error : new Error('checkServerIdentity threw')),
  pskCallback: () => null,
  ALPNCallback: () => undefined,
  SNICallback: (error, args) => {
    const answer = args.at(-1) as (error: unknown) => void;
    answer(error ?? new Error('SNICallback threw'));
  },
};

/** The option `tls` of a client: what gives the checked options of one dial. An object is read and checked now, what a function answers when it is asked. */
export function resolveTls(value: unknown): (() => Given) | undefined {
  if (value === undefined) return undefined;
  return asked(value === true ? {} : value, clientOptions);
}

/** The option `tls` of a server, likewise for each connection. */
export function resolveServerTls(value: unknown): (() => Given) | undefined {
  return value === undefined ? undefined : asked(value, serverOptions);
}

/** Options of `tls.connect`, checked. Verification is on unless the caller wrote exactly `false`, whatever the environment says. */
export function clientOptions(options: unknown = {}): Given {
  const taken = guarded(given('tls', options, CLIENT));
  text('tls.servername', taken.servername);
  return frozen({ ...taken, rejectUnauthorized: taken.rejectUnauthorized !== false });
}

/** Options of `tls.createServer`, checked; where a client's certificate is asked for, one that cannot be verified is refused unless the caller wrote exactly `false`. */
export function serverOptions(options: unknown): Given {
  const taken = guarded(given('tls', options, SERVER));
  const identified = ['cert', 'pfx', 'SNICallback', 'pskCallback'].some((name) => name in taken);
  if (!identified) throw refused('tls', 'an object with `key` and `cert`, or another identity of the server', options);
  return frozen({ ...taken, rejectUnauthorized: taken.rejectUnauthorized !== false });
}

function asked(value: unknown, check: (options: unknown) => Given): () => Given {
  if (typeof value === 'function') return () => check((value as () => tls.ConnectionOptions)());
  const options = check(value);
  return () => options;
}

/** Node lets what these functions throw become an uncaught exception. */
function guarded(options: Given): Given {
  const result: Record<string, unknown> = { ...options };
  for (const [name, failed] of Object.entries(GUARDS)) {
    const given = callable<(...args: unknown[]) => unknown>(`tls.${name}`, options[name]);
    if (given === undefined) continue;
    result[name] = (...args: unknown[]) => {
      try {
        return given(...args);
      } catch (error) {
        return failed(error, args);
      }
    };
  }
  return result;
}

/** Without prototype: Node reads inherited options too. */
function frozen(options: Given): Given {
  return Object.freeze(Object.assign(Object.create(null) as object, options)) as Given;
}
