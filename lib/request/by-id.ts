import { refused } from '../check.js';
import { ConfigError, FrameError } from '../errors.js';
import type { Asked } from './asked.js';
import type { Landing, Nobodys, Pairing } from './pairing.js';
import { PastIds } from './past-ids.js';
import type { CorrelatedConfig, RequestId } from './request-config.js';

let newest = 0;

/** Ids that no other request of this process has, whichever socket it is on. */
export function countingIds(): number {
  return ++newest;
}

/** Replies come in any order, each with the id of its request. */
export class ById<In, Out, Message> implements Pairing<In, Out, Message> {
  readonly fragile = false;
  readonly #aloft = new Map<RequestId, Asked<In, Message>>();
  readonly #past = new PastIds();
  /** No id is left that was never given on this connection. */
  #spent = false;
  readonly #config: Pick<CorrelatedConfig<In, Out, Message>, 'assign' | 'idOf'>;
  readonly #nextId: () => RequestId;

  constructor(config: Pick<CorrelatedConfig<In, Out, Message>, 'assign' | 'idOf'>, nextId: () => RequestId) {
    this.#config = config;
    this.#nextId = nextId;
  }

  get size(): number {
    return this.#aloft.size;
  }

  all(): Asked<In, Message>[] {
    return [...this.#aloft.values()];
  }

  depart(request: Asked<In, Message>): Out {
    const id = this.#freeId();
    this.#aloft.set(id, request);
    request.id = id;
    const { assign } = this.#config;
    return assign(request.message, id);
  }

  whose(frame: In, stale: boolean, handed: number): Asked<In, Message> | Nobodys {
    const { idOf } = this.#config;
    const id = idOf(frame);
    if (id === undefined) return 'unsolicited';
    if (stale) return 'stale';
    const request = this.#aloft.get(id);
    if (request === undefined) return this.#past.heard(id);
    return request.place > 0 && request.place <= handed ? request : 'unknown';
  }

  abandon(request: Asked<In, Message>): boolean {
    this.landed(request, 'unanswered');
    return false;
  }

  landed(request: Asked<In, Message>, how: Landing): void {
    const { id, terms } = request;
    request.id = undefined;
    if (id === undefined || !this.#aloft.delete(id)) return;
    if (how === 'answered') this.#past.answered(id);
    else if (how === 'unanswered') this.#past.unanswered(id, terms.until === undefined);
  }

  renew(): void {
    this.#past.clear();
    this.#spent = false;
  }

  /** One that no request has which may still be answered, nor had, while there are others: least of all one whose replies may still come. */
  #freeId(): RequestId {
    const spent = this.#spent ? this.#past.takeOldest() : undefined;
    if (spent !== undefined) return spent;
    for (let tries = this.#aloft.size + this.#past.size; tries >= 0; tries--) {
      const id = this.#newId();
      if (!this.#aloft.has(id) && !this.#past.has(id)) return id;
    }
    this.#spent = true;
    const oldest = this.#past.takeOldest();
    if (oldest === undefined) throw new ConfigError('`nextId` must give an id that is not in use');
    return oldest;
  }

  #newId(): RequestId {
    const nextId = this.#nextId;
    let id: unknown;
    try {
      id = nextId();
    } catch (cause) {
      throw new FrameError('encode', '`nextId` threw', { cause });
    }
    if (typeof id === 'string' || typeof id === 'number' || typeof id === 'bigint') return id;
    throw refused('nextId', 'a function that gives a string, a number or a bigint', id);
  }
}
