import { randomUUID } from 'node:crypto';
import { map, mergeMap, Observable, take } from 'rxjs';
import { correlated, OverflowError, type RequestOptions } from '../../lib/index.js';
import { subjects } from './encode.js';
import type { Incoming, NatsMessage, Publish } from './protocol.js';
import { natsSocket, type NatsConfig } from './socket.js';

/** The subscription for answers: each request has a subject of its own under it. */
const INBOX = '0';

/** A client of NATS. It comes back by itself, and subscribes again. */
export function natsClient(config: NatsConfig) {
  const inbox = `_INBOX.${randomUUID()}.`;
  const subscriptions = new Map([[INBOX, `SUB ${inbox}* ${INBOX}`]]);
  let newest = 0;
  const socket = natsSocket(config, subscriptions);
  const requests = correlated(socket, {
    assign: (message: Publish, id) => ({ ...message, reply: `${inbox}${id}` }),
    // No id may be guessed: who answers one request knows the inbox of all.
    nextId: randomUUID,
    idOf: (frame) => (frame.op === 'MSG' && frame.sid === INBOX ? frame.subject.slice(inbox.length) : undefined),
  });

  return {
    /** For its `status`, `errors`, `pause()` and `end()`. Who holds for too long is a slow consumer to the server, and is given up. */
    socket,
    /** What the server complains of. It hangs up then, save where a subject is not allowed to us. */
    complaints: socket.inbound.pipe(mergeMap((frame) => (frame.op === '-ERR' ? [frame.text] : []))),
    /** Resolves when the message is written. It may be lost with the connection all the same: who must know asks, by `request()`. */
    publish: (message: Publish) => socket.write(message),
    /**
     * Messages from now on, over all connections; those between two of them are lost. Each subscriber has a subscription of its own. Of a `queue`
     * group one member gets each message.
     */
    subscribe: (subject: string, queue?: string) =>
      new Observable<NatsMessage>((subscriber) => {
        const sid = String(++newest);
        const line = `SUB ${subjects(subject, queue)} ${sid}`; // throws here: in a handshake it would be in the way of all others
        subscriptions.set(sid, line);
        const toHere = mergeMap((frame: Incoming) => (frame.op === 'MSG' && frame.sid === sid ? [frame] : []));
        socket.inbound.pipe(toHere).subscribe(subscriber);
        // In the queue, so that what is published next is heard. A handshake may have written it already: the server ignores the second.
        socket.write(line).catch((error: unknown) => error instanceof OverflowError && subscriber.error(error));
        return () => {
          subscriptions.delete(sid);
          // Behind its SUB, as soon as there is room; past the queue if it falls out of it. A lost one would go on taking messages of its group.
          const leaving = socket.writeAll([`UNSUB ${sid}`]);
          leaving.catch(() => socket.connections.pipe(take(1)).subscribe((live) => void live.write(`UNSUB ${sid}`)));
        };
      }),
    /** Publishes a message, and gives its answer, or all of them `until` the last. Errors with the code `NATS_NO_RESPONDERS` if nobody listens. */
    request: (message: Publish, options?: RequestOptions<Incoming>) =>
      requests.request(message, options).pipe(map(answerOf)),
  };
}

/** The server answers in the place of somebody who is not there. */
function answerOf(frame: Incoming): NatsMessage {
  if (frame.op === 'MSG' && frame.status !== 503) return frame;
  throw Object.assign(new Error('nobody listens'), { code: 'NATS_NO_RESPONDERS' });
}
