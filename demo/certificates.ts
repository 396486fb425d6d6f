/** An authority and a server for `localhost`, made on the spot; they are good for a year, and kept nowhere. */
import { generate } from 'selfsigned';

/** PEM texts: whom to trust, and what a server shows. */
export interface Certificates {
  readonly ca: string;
  readonly key: string;
  readonly cert: string;
}

export async function certificates(): Promise<Certificates> {
  const kind = { keyType: 'ec', algorithm: 'sha256' } as const;
  const ca = await generate([{ name: 'commonName', value: 'the authority of a demo' }], {
    ...kind,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ],
  });
  const server = await generate([{ name: 'commonName', value: 'localhost' }], {
    ...kind,
    ca: { key: ca.private, cert: ca.cert },
    extensions: [
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
    ],
  });
  return { ca: ca.cert, key: server.private, cert: server.cert };
}
