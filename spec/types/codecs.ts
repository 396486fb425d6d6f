import { of, type Observable } from 'rxjs';
import {
  bytes,
  decode,
  encode,
  lengthPrefixed,
  lines,
  mapCodec,
  type Bytes,
  type Codec,
  type Decoder,
  type FrameError,
} from '../../lib/index.js';
import { a, is, type Same } from './same.js';

const asBytes = bytes();
const asLines = lines();
const asPrefixed = lengthPrefixed({ lengthFieldLength: 2 });
is<Same<typeof asBytes, Codec<Buffer, Bytes>>>();
is<Same<typeof asLines, Codec<string, string>>>();
is<Same<typeof asPrefixed, Codec<Buffer, Bytes>>>();

// ---- mapCodec takes the types of its functions

const numbers = mapCodec(lines(), { decode: Number, encode: (n: number) => n.toFixed(2) });
is<Same<typeof numbers, Codec<number, number>>>();
const twoWays = mapCodec(lengthPrefixed(), {
  decode: (frame) => (is<Same<typeof frame, Buffer>>(), frame.length),
  encode: (flag: boolean) => (flag ? 'yes' : Buffer.alloc(1)),
});
is<Same<typeof twoWays, Codec<number, boolean>>>();
const twice = mapCodec(numbers, { decode: (n) => ({ n }), encode: ({ n }: { n: number }) => n });
is<Same<typeof twice, Codec<{ n: number }, { n: number }>>>();
// @ts-expect-error lines() takes strings, not numbers
mapCodec(lines(), { decode: Number, encode: (n: number) => n });
// @ts-expect-error both functions are needed
mapCodec(lines(), { decode: Number });

// ---- a codec of one's own

const own: Codec<number, number> = {
  encode: (n) => Uint8Array.of(n),
  decoder: (report) => {
    is<Same<typeof report, (skipped: FrameError) => void>>();
    return a<Decoder<number>>();
  },
};
// @ts-expect-error a decoder has an end
const unfinished: Decoder<number> = { push: () => undefined, next: () => 1 };
// @ts-expect-error `encode` gives bytes, not text
const texts: Codec<string, string> = { decoder: () => a<Decoder<string>>(), encode: (text) => text };

// ---- the operators

const decoded = a<Observable<Buffer>>().pipe(decode(lines()));
is<Same<typeof decoded, Observable<string>>>();
const reported = a<Observable<Buffer>>().pipe(
  decode(own, { report: (skipped) => is<Same<typeof skipped, FrameError>>() }),
);
is<Same<typeof reported, Observable<number>>>();
const encoded = of('a').pipe(encode(lines()));
is<Same<typeof encoded, Observable<Buffer>>>();
// @ts-expect-error bytes are what is decoded
of('a').pipe(decode(lines()));
// @ts-expect-error lines() encodes strings
of(1).pipe(encode(lines()));

// ---- options

lines({ encoding: 'latin1', onTooLarge: 'discard', maxFrameLength: 1 });
lengthPrefixed({ byteOrder: 'little', strip: false });
// @ts-expect-error not one of the two words
lines({ onTooLarge: 'skip' });
// @ts-expect-error nor of these
lengthPrefixed({ byteOrder: 'middle' });

export { texts, unfinished };
