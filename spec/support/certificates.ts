/**
 * Certificates made on the spot, good ones and bad ones, so that none lies about and expires.
 *
 *     ca ──signs──> server, renewed, wrongHost, expired, client        otherCa ──signs──> unknownCa, strangeClient
 *                                                                      selfSigned is its own
 */
import { generate } from 'selfsigned';

/** A certificate and its private key, both PEM: what `tls` takes as `key` and `cert`. */
export interface Pair {
  readonly key: string;
  readonly cert: string;
}

/** All of them. Servers are for `localhost`, `127.0.0.1` and `::1`, unless said otherwise. */
export interface Certificates {
  /** What to trust, PEM. */
  readonly ca: string;
  /** A second authority, which has nothing to do with the first, PEM. */
  readonly otherCa: string;
  readonly server: Pair;
  /** As good as `server`, with another key. */
  readonly renewed: Pair;
  /** For `elsewhere.test` alone. */
  readonly wrongHost: Pair;
  /** Good until yesterday. */
  readonly expired: Pair;
  readonly selfSigned: Pair;
  /** Signed by `otherCa`. */
  readonly unknownCa: Pair;
  readonly client: Pair;
  /** Signed by `otherCa`. */
  readonly strangeClient: Pair;
}

/** The name that `wrongHost` is for. */
export const ELSEWHERE = 'elsewhere.test';

const DAY = 24 * 60 * 60 * 1000;
let made: Promise<Certificates> | undefined;

/** Makes them at the first call of a process, in some 50 ms; every later call gives the same. */
export function certificates(): Promise<Certificates> {
  return (made ??= makeAll());
}

async function makeAll(): Promise<Certificates> {
  const [ca, otherCa] = await Promise.all([
    certificate('rx-tcp spec CA', AUTHORITY),
    certificate('other CA', AUTHORITY),
  ]);
  const [server, renewed, wrongHost, expired, selfSigned, unknownCa, client, strangeClient] = await Promise.all([
    certificate('localhost', LOCAL, ca),
    certificate('localhost', LOCAL, ca),
    certificate(ELSEWHERE, [...LEAF, names({ type: 2, value: ELSEWHERE })], ca),
    certificate('localhost', LOCAL, ca, -DAY),
    certificate('localhost', LOCAL),
    certificate('localhost', LOCAL, otherCa),
    certificate('client', LEAF, ca),
    certificate('client', LEAF, otherCa),
  ]);
  const pairs = { server, renewed, wrongHost, expired, selfSigned, unknownCa, client, strangeClient };
  return { ca: ca.cert, otherCa: otherCa.cert, ...pairs };
}

type Extension = NonNullable<NonNullable<Parameters<typeof generate>[1]>['extensions']>[number];
type Name = Extract<Extension, { name: 'subjectAltName' }>['altNames'][number];

const names = (...altNames: Name[]): Extension => ({ name: 'subjectAltName', altNames });

const AUTHORITY: Extension[] = [
  { name: 'basicConstraints', cA: true, critical: true },
  { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
];
const LEAF: Extension[] = [
  { name: 'basicConstraints', cA: false, critical: true },
  { name: 'keyUsage', digitalSignature: true, critical: true },
  { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
];
const LOCAL: Extension[] = [
  ...LEAF,
  names({ type: 2, value: 'localhost' }, { type: 7, ip: '127.0.0.1' }, { type: 7, ip: '::1' }),
];

/** Signed by itself without an `issuer`. `lasts` is in ms from now; it began an hour before now, or before its end. */
async function certificate(commonName: string, extensions: Extension[], issuer?: Pair, lasts = DAY): Promise<Pair> {
  const end = Date.now() + lasts;
  const { private: key, cert } = await generate([{ name: 'commonName', value: commonName }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(Math.min(Date.now(), end) - DAY / 24),
    notAfterDate: new Date(end),
    extensions,
    ...(issuer && { ca: issuer }),
  });
  return { key, cert };
}
