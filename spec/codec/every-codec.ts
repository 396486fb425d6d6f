import fc from 'fast-check';
import { bytes } from '../../lib/codec/bytes.js';
import type { Codec } from '../../lib/codec/codec.js';
import { delimited } from '../../lib/codec/delimited.js';
import { fixedLength } from '../../lib/codec/fixed-length.js';
import { jsonLines } from '../../lib/codec/json-lines.js';
import { lengthPrefixed } from '../../lib/codec/length-prefixed.js';
import { lines } from '../../lib/codec/lines.js';
import { mapCodec } from '../../lib/codec/map-codec.js';
import { netstrings } from '../../lib/codec/netstrings.js';
import { varintPrefixed } from '../../lib/codec/varint-prefixed.js';

/** A codec of the library with one set of options, and what a law has to know of it. */
export interface Specimen {
  /** As one would write it. */
  readonly name: string;
  /** Makes it, with this limit if it has one. */
  readonly make: (maxFrameLength: number) => Codec<unknown, never>;
  /** What can be sent, none of it longer than 200 bytes. */
  readonly messages: fc.Arbitrary<unknown>;
  /** Bytes that mean something to it: the more of them a random wire has, the further it comes. */
  readonly alphabet: readonly number[];
  /** A wire that is one message of so many bytes, header and delimiter included. */
  readonly long: (size: number) => Buffer;
  /** Whether its `encode` may hand bytes on as they are, and need not write them into given memory. */
  readonly byReference: boolean;
  /** Whether its decoders can let go of their chunks, since no frame is a part of one. */
  readonly detaches: boolean;
}

const LONGEST = 200;
const buffers = fc.uint8Array({ maxLength: LONGEST }).map((array) => Buffer.from(array));
const ascii = [...Buffer.from('ab\r\n\n\0')];
/** At most 3 bytes a unit of UTF-16, no delimiter, no lone surrogate. */
const texts = fc
  .string({ unit: 'binary', maxLength: LONGEST / 4 })
  .map((text) => text.replace(/\n/g, ' ').replace(/\r$/, ''));

/** A header, so many bytes behind it that it comes to this size, and a tail among them. */
const padded = (header: Buffer, size: number, tail = ''): Buffer =>
  Buffer.concat([header, Buffer.alloc(size - header.length - tail.length, 'x'), Buffer.from(tail)]);

const uint32 = (value: number): Buffer => {
  const field = Buffer.alloc(4);
  field.writeUInt32BE(value);
  return field;
};

const varint = (value: number): Buffer =>
  value < 128 ? Buffer.of(value) : Buffer.concat([Buffer.of((value % 128) | 128), varint(Math.floor(value / 128))]);

/** The header of this kind that says how much comes behind it, if header and body have so many bytes in all. */
function headerFor(size: number, header: (body: number) => Buffer): Buffer {
  let length = 1;
  while (header(size - length).length > length) length++;
  return header(size - length);
}

function copying(copy: boolean): readonly Specimen[] {
  const option = `{ copy: ${String(copy)} }`;
  return [
    {
      name: `lines(${option})`,
      make: (maxFrameLength) => lines({ copy, fatal: true, maxFrameLength }),
      messages: texts,
      alphabet: [...ascii, 0xe2, 0x82, 0xac],
      long: (size) => padded(Buffer.alloc(0), size, '\n'),
      byReference: false,
      detaches: true,
    },
    {
      name: `delimited(${option})`,
      make: (maxFrameLength) => delimited({ copy, delimiter: 'aab', maxFrameLength }),
      messages: buffers.map((body) => Buffer.from(body.toString('latin1').replace(/a/g, 'b'), 'latin1')),
      alphabet: [...Buffer.from('aaab')],
      long: (size) => padded(Buffer.alloc(0), size, 'aab'),
      byReference: false,
      detaches: copy,
    },
    {
      name: `lengthPrefixed(${option})`,
      make: (maxFrameLength) => lengthPrefixed({ copy, maxFrameLength }),
      messages: buffers,
      alphabet: [0, 0, 0, 0, 1, 2, 5],
      long: (size) => padded(uint32(size - 4), size),
      byReference: false,
      detaches: copy,
    },
    {
      name: `fixedLength(${option})`,
      make: (length) => fixedLength({ copy, length }),
      messages: fc.uint8Array({ minLength: LONGEST, maxLength: LONGEST }).map((array) => Buffer.from(array)),
      alphabet: [1, 2],
      long: (size) => padded(Buffer.alloc(0), size),
      byReference: true,
      detaches: copy,
    },
    {
      name: `varintPrefixed(${option})`,
      make: (maxFrameLength) => varintPrefixed({ copy, maxFrameLength }),
      messages: buffers,
      alphabet: [0, 1, 2, 3, 0x81, 0x80],
      long: (size) => padded(headerFor(size, varint), size),
      byReference: false,
      detaches: copy,
    },
    {
      name: `netstrings(${option})`,
      make: (maxFrameLength) => netstrings({ copy, maxFrameLength }),
      messages: buffers,
      alphabet: [...Buffer.from('01::,,2')],
      long: (size) =>
        padded(
          headerFor(size - 1, (body) => Buffer.from(`${String(body)}:`)),
          size,
          ',',
        ),
      byReference: false,
      detaches: copy,
    },
  ];
}

/** Every codec, under each option that changes how it goes about its bytes. */
export const everyCodec: readonly Specimen[] = [
  {
    name: 'bytes()',
    make: () => bytes(),
    messages: buffers,
    alphabet: [1, 2],
    long: (size) => padded(Buffer.alloc(0), size),
    byReference: true,
    detaches: false,
  },
  ...copying(true),
  ...copying(false),
  {
    name: 'lengthPrefixed({ strip: false })',
    make: (maxFrameLength) =>
      lengthPrefixed({ strip: false, lengthFieldOffset: 1, lengthFieldLength: 4, byteOrder: 'little', maxFrameLength }),
    messages: buffers.map((body) => Buffer.concat([Buffer.of(7, body.length, 0, 0, 0), body])),
    alphabet: [0, 0, 0, 1, 2],
    long: (size) => padded(Buffer.concat([Buffer.of(7), uint32(size - 5).reverse()]), size),
    byReference: false,
    detaches: false,
  },
  {
    name: 'jsonLines()',
    make: (maxFrameLength) => jsonLines({ maxFrameLength }),
    messages: fc
      .jsonValue({ maxDepth: 3 })
      .filter((value) => Buffer.byteLength(JSON.stringify(value)) <= LONGEST)
      .map((value) => JSON.parse(JSON.stringify(value)) as unknown),
    alphabet: [...Buffer.from('[]1,"\n\n \r')],
    long: (size) => padded(Buffer.from('"'), size, '"\n'),
    byReference: false,
    detaches: true,
  },
  {
    name: 'mapCodec(lines(), …)',
    make: (maxFrameLength) =>
      mapCodec(lines({ maxFrameLength, onTooLarge: 'discard' }), {
        decode: (text) => ({ text }),
        encode: ({ text }: { text: string }) => text,
      }),
    messages: texts.map((text) => ({ text })),
    alphabet: ascii,
    long: (size) => padded(Buffer.alloc(0), size, '\n'),
    byReference: false,
    detaches: true,
  },
];
