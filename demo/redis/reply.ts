import { FrameError } from '../../lib/index.js';

/** What the server says, in version 2 or 3 of its protocol. An integer that is not exact as a number is a bigint. */
export type Reply = string | Buffer | number | bigint | boolean | null | RedisError | Push | Replies;
export type Replies = readonly Reply[] | ReadonlyMap<Reply, Reply> | ReadonlySet<Reply>;

/** The server refused a command. It is a reply like any other: in an array it may stand beside good ones. */
export class RedisError extends Error {
  override readonly name = 'RedisError';
  /** The first word, such as `ERR` or `WRONGTYPE`. */
  readonly code = this.message.split(/\s/, 1).join();
}

/** What the server says unasked, such as `['message', channel, payload]`; version 3 only. */
export class Push {
  constructor(readonly push: readonly Reply[]) {}

  /** A kind or a name in it, as text. */
  word(index: number): string {
    return (this.push.at(index) as string | Buffer | undefined)?.toString() ?? '';
  }
}

/** The reply that a line is, or the text of a bulk. */
export function textReply(type: string, text: string): Reply {
  if (type === '$' || type === '+') return text;
  if (type === '-' || type === '!') return new RedisError(text);
  if (type === '=') return text.slice(4); // of `txt:hello` the text
  if (type === ',') return Number(text.replace('inf', 'Infinity')); // or `nan`
  if (['_', '#t', '#f'].includes(type + text)) return type === '_' ? null : text === 't';
  if (!/^[:(][+-]?\d+$/.test(type + text)) throw new FrameError('corrupt', 'a line is no reply');
  return type === ':' && Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text);
}

/** An array, a set, a push, or a map whose keys and values are items in turn. */
export function aggregateReply(type: string, items: readonly Reply[]): Reply {
  if (type === '>') return new Push(items);
  if (type === '~') return new Set(items);
  if (type === '*') return items;
  const map = new Map<Reply, Reply>();
  for (let i = 0; i < items.length; i += 2) map.set(items[i] ?? null, items[i + 1] ?? null);
  return map;
}
