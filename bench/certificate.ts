import { generate } from 'selfsigned';

/** A certificate for localhost that is its own authority, made anew in each process. */
export async function certificate(): Promise<{ readonly key: string; readonly cert: string }> {
  const names = [{ type: 2 as const, value: 'localhost' }];
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames: names }],
  });
  return { key, cert };
}
