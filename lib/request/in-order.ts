import type { Asked } from './asked.js';
import { Line } from './line.js';
import type { Nobodys, Pairing } from './pairing.js';

/**
 * Replies come in the order of the requests.
 *
 *     handed over   a  b  c  d          b's subscriber has left: its place is kept,
 *     replies       A  B  C             and B is swallowed in it
 */
export class InOrder<In, Message> implements Pairing<In, Message, Message> {
  readonly fragile = true;
  readonly #line = new Line<Asked<In, Message>>();
  readonly #unsolicited: ((frame: In) => boolean) | undefined;

  constructor(unsolicited: ((frame: In) => boolean) | undefined) {
    this.#unsolicited = unsolicited;
  }

  get size(): number {
    return this.#line.length;
  }

  all(): Asked<In, Message>[] {
    return this.#line.all();
  }

  depart({ message }: Asked<In, Message>): Message {
    return message;
  }

  /** Not before it has its place: what encodes it may make another request, which is then before it. */
  flew(request: Asked<In, Message>): void {
    request.spot = this.#line.push(request);
  }

  whose(frame: In, stale: boolean, handed: number): Asked<In, Message> | Nobodys {
    if (this.#unsolicited?.(frame) === true) return 'unsolicited';
    if (stale) return 'stale';
    const request = this.#line.first;
    return request !== undefined && request.place <= handed ? request : 'unsolicited';
  }

  abandon(): boolean {
    return true;
  }

  landed(request: Asked<In, Message>): void {
    if (request.spot !== undefined) this.#line.leave(request.spot);
    request.spot = undefined;
  }
}
