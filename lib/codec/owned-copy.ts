/** The bytes `[from, to)` in memory of exactly their size, so that whoever keeps them keeps nothing else alive. */
export function ownedCopy(bytes: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(to - from); // a part of Node's pool would pin 8 KiB
  bytes.copy(copy, 0, from, to);
  return copy;
}
