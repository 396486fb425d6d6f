/**
 * What a SOCKS proxy said when it gave no connection.
 *
 * An error of `socks` has a text and its own options, password included, and no code; its constants are not exported. So the reply is read here
 * (RFC 1928, RFC 1929, and the memos on SOCKS 4 and 4a).
 */
import { ProxyError } from './proxy-error.js';

type Blame = readonly [code: string, origin: 'proxy' | 'target'];

/** What was said, as {@link SocksLine} has it. */
export interface Said {
  readonly asked: number;
  readonly question: number;
  readonly reply: readonly number[];
}

const GARBAGE: Blame = ['ERR_PROXY_PROTOCOL', 'proxy'];
const UNSAID: Blame = ['ECONNABORTED', 'proxy'];

/** RFC 1928, part 6. A number that is not assigned is a refusal all the same. */
const REPLIES: Readonly<Partial<Record<number, Blame>>> = {
  0: GARBAGE,
  1: UNSAID,
  2: ['ERR_PROXY_FORBIDDEN', 'proxy'],
  3: ['ENETUNREACH', 'target'],
  4: ['EHOSTUNREACH', 'target'],
  5: ['ECONNREFUSED', 'target'],
  6: ['ETIMEDOUT', 'target'],
  7: ['ERR_PROXY_UNSUPPORTED', 'proxy'],
  8: ['ERR_PROXY_UNSUPPORTED', 'proxy'],
};

/** SOCKS 4 says with 91 that it did not connect, whatever the reason; 92 and 93 are about who we are. */
const REPLIES_OF_4: Readonly<Partial<Record<number, Blame>>> = {
  91: UNSAID,
  92: ['ERR_PROXY_AUTH', 'proxy'],
  93: ['ERR_PROXY_AUTH', 'proxy'],
};

/** Why the client of `socks` has given up. */
export function socksRefusal(version: 4 | 5, said: Said): ProxyError {
  const [first, number] = said.reply;
  // The client gives up in the middle of a reply only when its own time is up.
  if (first === undefined || number === undefined) return new ProxyError('ETIMEDOUT', 'proxy');
  const [code, origin] = version === 4 ? blameOf4(first, number) : blameOf5(said, first, number);
  return new ProxyError(code, origin, code === 'ERR_PROXY_PROTOCOL' ? {} : { reply: number });
}

/** Whether the last reply is one that grants: the client of `socks` does not look at all of it, and takes what is wrong for payload. */
export function isGrant(version: 4 | 5, { reply }: Said): boolean {
  if (version === 4) return reply[0] === 0;
  return ADDRESS_TYPES.includes(reply[3]);
}

const ADDRESS_TYPES: readonly (number | undefined)[] = [1, 3, 4];

function blameOf4(first: number, number: number): Blame {
  return (first === 0 ? REPLIES_OF_4[number] : undefined) ?? GARBAGE;
}

function blameOf5({ asked, question }: Said, first: number, number: number): Blame {
  const forbidden: Blame = ['ERR_PROXY_AUTH', 'proxy'];
  if (question === 1) return number === 0 ? GARBAGE : forbidden; // we said user and password
  if (first !== 5) return GARBAGE;
  if (asked === 1) return number === 0xff ? forbidden : GARBAGE; // we said which methods we have
  return REPLIES[number] ?? UNSAID;
}
