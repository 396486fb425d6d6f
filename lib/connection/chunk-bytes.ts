/** What a stream gave as bytes; not every Duplex gives a Buffer. `undefined` for what is none. */
export function chunkBytes(chunk: unknown): Buffer | undefined {
  if (Buffer.isBuffer(chunk)) return chunk;
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return typeof chunk === 'string' ? Buffer.from(chunk) : undefined;
}
