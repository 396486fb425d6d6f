import type { Asked } from './asked.js';
import { Line, type Spot } from './line.js';

/** The requests that wait for their turn. */
export class Waiting<In, Message> {
  readonly #line = new Line<Asked<In, Message>>();

  get length(): number {
    return this.#line.length;
  }

  get first(): Asked<In, Message> | undefined {
    return this.#line.first;
  }

  all(): Asked<In, Message>[] {
    return this.#line.all();
  }

  push(request: Asked<In, Message>): void {
    this.#stand(request, this.#line.push(request));
  }

  /** Puts requests before the first, in their order. */
  putBack(requests: readonly Asked<In, Message>[]): void {
    for (const request of requests.toReversed()) this.#stand(request, this.#line.unshift(request));
  }

  leave(request: Asked<In, Message>): void {
    if (request.spot !== undefined) this.#line.leave(request.spot);
    request.spot = undefined;
  }

  #stand(request: Asked<In, Message>, spot: Spot<Asked<In, Message>>): void {
    request.state = 'waiting';
    request.spot = spot;
  }
}
