import { FrameError } from '../../lib/index.js';

/** The longest line in bytes: INFO, in a large cluster. */
export const MAX_LINE = 65_536;
const WORDS = ['INFO', '+OK', '-ERR', 'PING', 'PONG'] as const;
const MSG = /^MSG (?<subject>[^ ]+) (?<sid>[^ ]+) (?:(?<reply>[^ ]+) )?(?<total>\d+)$/;
const HMSG = /^HMSG (?<subject>[^ ]+) (?<sid>[^ ]+) (?:(?<reply>[^ ]+) )?(?<headers>\d+) (?<total>\d+)$/;

/** What a line says. Of a message there is more to come: so many bytes of headers, and `total` bytes in all. */
export function parse(bytes: Buffer, maxPayload: number) {
  if (bytes.length > MAX_LINE) throw new FrameError('too-large', `a line is longer than ${MAX_LINE} bytes`);
  const line = bytes.toString();
  const [first] = line.split(' ', 1);
  const op = WORDS.find((word) => word === first);
  if (op !== undefined) return { op, text: line.slice(op.length + 1) };
  const { subject, sid, reply, headers = 0, total } = (MSG.exec(line) ?? HMSG.exec(line))?.groups ?? {};
  if (subject === undefined || sid === undefined || Number(headers) > Number(total))
    throw new FrameError('corrupt', 'a line that no server of NATS writes');
  if (Number(total) > maxPayload) throw new FrameError('too-large', `a message is longer than ${maxPayload} bytes`);
  return { op: 'MSG', subject, sid, reply, headers: Number(headers), total: Number(total) } as const;
}
