import type { Subscriber } from 'rxjs';
import type { TcpError } from '../errors.js';
import type { FrameTerms } from '../outbound/queued-frame.js';
import type { Timed } from './deadlines.js';
import type { Spot } from './line.js';
import type { RequestId, RequestTerms } from './request-config.js';

/** Who has to know what becomes of a request. */
export interface AskedOwner<In, Message> {
  /** It is in the socket's queue. */
  queued(request: Asked<In, Message>): void;
  /** The queue refused it, or gave it up. */
  undelivered(request: Asked<In, Message>, error: TcpError): void;
  /** Its subscriber has left, maybe after its end. */
  left(request: Asked<In, Message>): void;
}

const SILENTLY = { cause: undefined, silently: true };

/**
 * What a subscriber leaves by. It lets go of a request that is over: rxjs keeps it in an array, and of arrays of which many have lived long V8 puts
 * the next ones among the old objects at once, where they keep alive what they hold, dead as they are, until those are collected.
 */
class Exit<In, Message> {
  request: Asked<In, Message> | undefined;

  constructor(request: Asked<In, Message>) {
    this.request = request;
  }

  unsubscribe(): void {
    this.request?.left();
  }
}

/**
 * One request, from its subscription to its end.
 *
 *     waiting ──handed to the queue──> flying ──last reply, error──> over
 *        ^                               │ └─ its subscriber left ──> abandoned: its replies are swallowed in its place
 *        └── the connection is lost ─────┘
 */
export class Asked<In, Message> implements FrameTerms, Timed {
  state: 'new' | 'waiting' | 'flying' | 'abandoned' | 'over' = 'new';
  /** In the queue; 0 before it is there. */
  place = 0;
  /** Connections that were lost with it. */
  attempts = 0;
  replies = 0;
  dueAt = 0;
  deadline: Spot<this> | undefined;
  /** In the line of those that wait, or of those whose replies come in order. */
  spot: Spot<Asked<In, Message>> | undefined;
  /** Set for each flight, where replies go by id. */
  id: RequestId | undefined;
  withdrawn: FrameTerms['withdrawn'];
  /** A reply says that it was written. */
  readonly settled: undefined;
  /** The queue does not write it again by itself. */
  readonly retryLimit = 0;
  readonly message: Message;
  readonly terms: RequestTerms<In>;
  readonly subscriber: Subscriber<In>;
  /** For rxjs to call as the subscriber leaves, maybe after the end. */
  readonly exit = new Exit(this);
  readonly #owner: AskedOwner<In, Message>;

  constructor(message: Message, terms: RequestTerms<In>, subscriber: Subscriber<In>, owner: AskedOwner<In, Message>) {
    this.message = message;
    this.terms = terms;
    this.subscriber = subscriber;
    this.#owner = owner;
  }

  get timeout(): number {
    return this.terms.timeout;
  }

  /** Whether somebody waits for it. */
  get pending(): boolean {
    return this.state !== 'abandoned' && this.state !== 'over';
  }

  /** Whether replies to it may come: it is in the queue, or written. */
  get aloft(): boolean {
    return this.state === 'flying' || this.state === 'abandoned';
  }

  /** One more loss would give it up: it goes alone, so that no other is lost by its fault. */
  get onLastTry(): boolean {
    return this.attempts > 0 && this.attempts >= this.terms.retryLimit;
  }

  /** Whether it is to be written again after a loss, having been `handed` to the lost connection or not. */
  mayGoAgain(handed: boolean): boolean {
    const { resend, retryLimit } = this.terms;
    if (!handed) return resend !== 'never';
    return resend === 'always' && this.replies === 0 && this.attempts <= retryLimit;
  }

  /** It goes to the queue. */
  takeOff(): void {
    this.state = 'flying';
    this.place = 0;
    this.withdrawn = undefined;
  }

  /** Nothing more is told of its frame. */
  silence(): void {
    this.withdrawn = SILENTLY;
  }

  queued(place: number): void {
    this.place = place;
    this.#owner.queued(this);
  }

  undelivered(error: TcpError): void {
    this.#owner.undelivered(this, error);
  }

  left(): void {
    this.#owner.left(this);
  }

  /** Nobody waits for it, nor for its replies. */
  over(): void {
    this.state = 'over';
    this.exit.request = undefined;
  }
}
