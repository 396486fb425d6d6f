/**
 * From a source into the stream, and the stream's acknowledgements back:
 *
 *     source ── frames ──► socket ──► pacedMap ── publish ──► stream
 *       ▲                    ▲ ◄─ hold ─┘ ▲                     │
 *       └── newest number ───┘            └── acknowledgement ──┘
 */
import { auditTime, filter, first, Subject, tap, type Observable } from 'rxjs';
import { pacedMap, type TcpSocket } from '../../lib/index.js';
import { inOrder } from './in-order.js';
import { frameOf, isSignOfLife, numberOf } from './wire.js';

/** Publishes a frame, and emits once it is in the stream. An end without that is an error. */
export type Publish = (frame: Buffer) => Observable<unknown>;

export function pump(socket: TcpSocket<Buffer, Buffer>, publish: Publish): Observable<unknown> {
  const newest = new Subject<number>();
  // One acknowledgement says it for all before it, so a hundred a second are enough.
  newest.pipe(auditTime(10)).subscribe((number) => socket.outbound.next(frameOf(number)));
  const begin = inOrder((number) => newest.next(number));

  return socket.inbound.pipe(
    filter((frame) => !isSignOfLife(frame)),
    // As many at a time as `readBuffer` has room for; when it is full, the socket is not read.
    pacedMap(socket, (frame) => publish(frame).pipe(first(), tap(begin(numberOf(frame)))), Infinity),
    // A source whose frames cannot be stored is for others to take over.
    tap({ error: () => socket.destroy() }),
  );
}
