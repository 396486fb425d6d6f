import { expect } from 'chai';
import type { EncodeTarget } from '../../lib/codec/encode-into.js';

/** Given memory in which the next frame begins at `at`; `reserved` hears how much was asked for. */
export function targetAt(bytes: Buffer, at: number, reserved: (size: number) => void = () => undefined): EncodeTarget {
  return {
    bytes,
    reserve: (size) => {
      reserved(size);
      return at;
    },
    refer: () => expect.fail('it copies its messages'),
  };
}
