import { delimited, FrameError, type Decoder } from '../../lib/index.js';
import { readHeaders } from './headers.js';
import { MAX_LINE, parse } from './parse.js';
import type { Incoming } from './protocol.js';

const CRLF = '\r\n';

/**
 * Cuts at each CRLF; those within a payload are put back.
 *
 *     MSG subject sid [reply] total CRLF payload CRLF
 *     HMSG subject sid [reply] headers total CRLF headers payload CRLF
 *
 * Headers are written by other clients, and the server passes them on unread. So that none of them can cut us off, a message with headers
 * that are none is skipped and reported. Whatever else is wrong ends the connection.
 */
export function natsDecoder(maxPayload: number, report: (skipped: FrameError) => void): Decoder<Incoming> {
  const pieces = delimited({ delimiter: CRLF, maxFrameLength: Math.max(maxPayload, MAX_LINE) }).decoder(report);
  let isInside = false;

  function* piece(): Generator<undefined, Buffer> {
    let found = pieces.next();
    for (; found === undefined; found = pieces.next()) yield undefined;
    return found;
  }

  /** Gives frames, and `undefined` where more bytes are needed. */
  function* frames(): Generator<Incoming | undefined, undefined> {
    for (;;) {
      isInside = false;
      const said = parse(yield* piece(), maxPayload);
      if (said.op !== 'MSG') {
        yield said;
        continue;
      }
      isInside = true;
      const { headers, total, ...about } = said;
      const bytes = Buffer.allocUnsafe(total + CRLF.length);
      for (let at = 0; at < bytes.length; at += bytes.write(CRLF, at)) {
        const part = yield* piece();
        if (at + part.length > total) throw new FrameError('corrupt', 'a message is not as long as it said');
        at += part.copy(bytes, at);
      }
      const block = headers === 0 ? { headers: [] } : readHeaders(bytes.subarray(0, headers));
      if (block instanceof FrameError) report(block);
      else yield { ...about, ...block, payload: bytes.subarray(headers, total) };
    }
  }

  const reading = frames();
  const end = () => {
    pieces.end();
    if (isInside) throw new FrameError('truncated', 'the stream ended inside a message');
  };
  return { push: (chunk) => pieces.push(chunk), next: () => reading.next().value, end };
}
