import { SLAB_BYTES } from '../../lib/outbound/slabs.js';

/** How many slabs are made anew while this runs: what is spare is none of them. */
export function slabsMade(action: () => void): number {
  const allocUnsafeSlow = Buffer.allocUnsafeSlow.bind(Buffer);
  const own = Object.getOwnPropertyDescriptor(Buffer, 'allocUnsafeSlow')!;
  let made = 0;
  Buffer.allocUnsafeSlow = (size) => {
    if (size === SLAB_BYTES) made++;
    return allocUnsafeSlow(size);
  };
  try {
    action();
  } finally {
    Object.defineProperty(Buffer, 'allocUnsafeSlow', own);
  }
  return made;
}

/** Takes every spare slab, so that each that is used from now on is made anew or given back in the spec. */
export function noneSpare(take: () => Buffer): Buffer[] {
  const taken: Buffer[] = [];
  while (slabsMade(() => taken.push(take())) === 0);
  return taken;
}
