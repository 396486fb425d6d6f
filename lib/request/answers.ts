import { Subject, type Observable } from 'rxjs';
import { FrameError, type TcpError } from '../errors.js';
import type { Streets } from '../streets.js';
import type { Asked } from './asked.js';
import type { Nobodys, Pairing } from './pairing.js';
import type { RequestCounters } from './request-stats.js';

/** What the answers are to. */
export interface AskedAll<In, Message> {
  /** Connections up to this one are lost. */
  readonly lostEpoch: number;
  /** This one has its first reply, and more will come. */
  began(request: Asked<In, Message>): void;
  /** This one has its last reply. */
  answered(request: Asked<In, Message>): void;
  fail(request: Asked<In, Message>, error: TcpError): void;
  /** There may be room for the next. */
  admit(): void;
}

/**
 * The way of a frame to the request that it answers.
 *
 *     receiver ──frame──> whose? ──> the request's subscriber
 *                           ├──> unsolicited
 *                           └──> late, duplicate, unknown, stale: counted
 */
export class Answers<In, Out, Message> {
  /** Frames that answer no request. */
  readonly unsolicited: Observable<In>;
  readonly #nobodys = new Subject<In>();
  readonly #streets: Streets<In, Out>;
  readonly #pairing: Pairing<In, Out, Message>;
  readonly #asked: AskedAll<In, Message>;
  readonly #counters: RequestCounters;

  constructor(
    streets: Streets<In, Out>,
    pairing: Pairing<In, Out, Message>,
    asked: AskedAll<In, Message>,
    counters: RequestCounters,
  ) {
    this.#streets = streets;
    this.#pairing = pairing;
    this.#asked = asked;
    this.#counters = counters;
    this.unsolicited = this.#nobodys.asObservable();
  }

  hear(frame: In): void {
    const { receiver, outlet } = this.#streets;
    const stale = (receiver.origin?.where.epoch ?? 0) <= this.#asked.lostEpoch;
    let whose: Asked<In, Message> | Nobodys;
    try {
      whose = this.#pairing.whose(frame, stale, outlet.queue.handed);
    } catch (error) {
      return this.#notUnderstood(error);
    }
    if (typeof whose !== 'string') return this.#answer(whose, frame);
    this.#counters[whose]++;
    if (whose === 'unsolicited') this.#nobodys.next(frame);
  }

  /** No frame follows. */
  end(error: unknown): void {
    if (error === undefined) this.#nobodys.complete();
    else this.#nobodys.error(error);
  }

  #answer(request: Asked<In, Message>, reply: In): void {
    const { subscriber, terms } = request;
    const { until, failure, maxReplies } = terms;
    if (++request.replies > maxReplies) return this.#refuse(request, tooMany(maxReplies));
    let last = true;
    let refusal: Error | undefined;
    try {
      if (until !== undefined) last = until(reply);
      if (failure !== undefined && last) refusal = failure(reply) ?? undefined;
    } catch (error) {
      return this.#refuse(request, new FrameError('decode', '`until` or `failure` threw', { cause: error }));
    }
    if (request.state === 'abandoned') this.#counters.late++;
    if (last) this.#asked.answered(request);
    if (refusal === undefined) subscriber.next(reply); // one who has left hears nothing
    if (last) {
      if (refusal === undefined) subscriber.complete();
      else subscriber.error(refusal);
      this.#asked.admit();
    } else if (request.replies === 1) this.#asked.began(request);
  }

  /** What came as its reply is of no use; where replies have no ids, nor is what follows. */
  #refuse(request: Asked<In, Message>, error: FrameError): void {
    const located = this.#here(error);
    this.#asked.fail(request, located);
    if (this.#pairing.fragile) this.#dropConnection(located);
    this.#asked.admit();
  }

  #notUnderstood(cause: unknown): void {
    if (this.#pairing.fragile)
      return this.#dropConnection(this.#here(new FrameError('decode', '`unsolicited` threw', { cause })));
    this.#counters.unknown++;
    this.#streets.monitor.errors.report(this.#here(new FrameError('decode', '`idOf` threw', { cause })));
  }

  #here(error: FrameError): FrameError {
    return error.at(this.#streets.receiver.origin?.where ?? {});
  }

  #dropConnection(error: FrameError): void {
    this.#streets.receiver.origin?.events.failed(error);
  }
}

function tooMany(replies: number): FrameError {
  return new FrameError('too-large', `more than ${replies} replies to one request`);
}
