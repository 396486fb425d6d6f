import { bytes as plain, FrameError, mapCodec, type Codec, type Decoder } from '../../lib/index.js';
import { wireOf, type Message } from './command.js';
import { aggregateReply, textReply, type Reply } from './reply.js';

export interface RespConfig {
  /** Whether bulk replies are texts, of UTF-8, or else Buffers. @default true */
  readonly strings?: boolean;
  /** The longest reply in bytes, with all that it holds. @default 64 MiB */
  readonly maxFrameLength?: number;
}

/** The longest line in bytes: a status, an error or a number. So much is searched again when a chunk has cut it. */
const MAX_LINE = 8192;
const MAX_DEPTH = 128;
const NOTHING: Buffer = Buffer.alloc(0);
const [CR, LF] = [13, 10];

/** The protocol of Redis, versions 2 and 3, from the client's side. */
export function resp({ strings = true, maxFrameLength = 2 ** 26 }: RespConfig = {}): Codec<Reply, Message> {
  const wires = mapCodec(plain(), { encode: wireOf, decode: (chunk) => chunk });
  return { ...wires, decoder: () => replyDecoder(strings, maxFrameLength) };
}

/**
 * Reads a reply line by line and bulk by bulk. What the end of a chunk cuts is joined with the next one in memory that doubles:
 *
 *     bytes [ +OK | $5 hello | $5 he ]  then  [ $5 he | llo | :1 ]
 *                            ^at
 *
 * Arrays and the like of which more is to come lie on a stack, so that no nesting is too deep for ours:
 *
 *     *2   $5 hello   *1   :7
 *     └1   └added     └2   └added: that completes the second, and with it the first
 *
 * Memory grows by what came, never by what the server announces. Nothing is read after an error.
 */
function replyDecoder(strings: boolean, max: number): Decoder<Reply> {
  const open: { readonly type: string; readonly count: number; readonly items: Reply[] }[] = [];
  let [bytes, room] = [NOTHING, NOTHING]; // `room` is memory of ours that `bytes` is the beginning of, once chunks were joined
  let [at, size] = [0, 0]; // `size` bytes of an unfinished reply are before `at`

  const own = (length: number): void => {
    room = Buffer.allocUnsafe(length);
    bytes = room.subarray(0, bytes.copy(room, 0, at));
    at = 0;
  };

  const push = (chunk: Buffer): void => {
    const left = bytes.length - at;
    if (left > 0 && bytes.length + chunk.length > room.length) own(2 * (left + chunk.length));
    if (left > 0) bytes = room.subarray(0, bytes.length + chunk.copy(room, bytes.length));
    else [bytes, room, at] = [chunk, NOTHING, 0];
  };

  const next = (): Reply | undefined => {
    let value: Reply | undefined;
    for (; value === undefined; value = add(value)) {
      const lf = bytes.indexOf(LF, at);
      if ((lf < 0 ? bytes.length : lf) - at > MAX_LINE || open.length > MAX_DEPTH)
        throw new FrameError('too-large', 'a line is too long, or a reply nests too deep');
      if (lf < 0) return undefined;
      const type = String.fromCharCode(bytes[at] ?? 0);
      const [isBulk, isList] = ['$=!'.includes(type), '*%~>|'.includes(type)];
      const count = isBulk || isList ? countOf(bytes.toString('latin1', at + 1, lf - 1)) : 0;
      const [from, end] = isBulk && count >= 0 ? [lf + 1, lf + count + 3] : [at + 1, lf + 1];
      // each item takes three bytes or more
      if (size + end - at + (isList ? 3 * count : 0) > max) throw new FrameError('too-large', 'a reply is too long');
      if (bytes.length < end) return undefined; // a bulk waits until it is whole
      if (bytes[lf - 1] !== CR || bytes[end - 2] !== CR || bytes[end - 1] !== LF)
        throw new FrameError('corrupt', 'no CRLF');
      if (count === -1) value = null;
      else if (isList) open.push({ type, count: '%|'.includes(type) ? 2 * count : count, items: [] });
      else if (type === '$' && !strings) value = Buffer.from(bytes.subarray(from, end - 2));
      else value = textReply(type, bytes.toString('utf8', from, end - 2));
      size += end - at;
      at = end;
    }
    size = 0;
    return value;
  };

  /** A value may complete what it is part of, and that again; gives what is part of nothing. */
  const add = (value: Reply | undefined): Reply | undefined => {
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      if (value !== undefined) top.items.push(value);
      if (top.items.length < top.count) return undefined;
      open.pop();
      value = top.type === '|' ? undefined : aggregateReply(top.type, top.items); // an attribute is about what follows it
    }
    return value;
  };

  const end = (): void => {
    if (size + bytes.length > at) throw new FrameError('truncated', 'the stream ended inside a reply');
  };

  /** The chunk was lent: what is left of it is copied. */
  const detach = (): void => {
    if (room.length === 0 || at === bytes.length) own(bytes.length - at);
  };

  return { push, next, end, detach };
}

/** What a line announces: so many bytes, so many items; -1 for null. */
function countOf(line: string): number {
  if (/^(\d+|-1)$/.test(line)) return Number(line);
  throw new FrameError('corrupt', 'a length or a count is none');
}
