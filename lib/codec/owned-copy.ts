/** The bytes `[from, to)` in memory of exactly their size, so that whoever keeps them keeps nothing else alive. */
export function ownedCopy(bytes: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(to - from); // a part of Node's pool would pin 8 KiB
  copy.set(bytes.subarray(from, to)); // `copy` moves memory of up to 64 B off the heap first, on Node 24 and later
  return copy;
}
