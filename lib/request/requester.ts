/**
 * Requests on a socket: each waits for its turn, goes through the socket's queue, and gets the replies that are found to be its own.
 *
 *     request() ──> Departures ──> outlet of the socket ──> kernel
 *     subscriber <── Answers <── receiver of the socket <── peer
 */
import { Observable, type Unsubscribable } from 'rxjs';
import { ClosedError, RequestTimeoutError, type TcpError } from '../errors.js';
import type { Loser } from '../outbound/outlet.js';
import type { Streets } from '../streets.js';
import { Answers, type AskedAll } from './answers.js';
import { Asked, type AskedOwner } from './asked.js';
import { Deadlines } from './deadlines.js';
import { Departures } from './departures.js';
import type { Landing, Pairing } from './pairing.js';
import { resolveTerms, type RequestLimits, type RequestOptions, type RequestTerms } from './request-config.js';
import { newCounters, type RequestStats } from './request-stats.js';
import type { Requests } from './requests.js';

/** The requests of one socket, from now to its end. */
export class Requester<In, Out, Message>
  implements Requests<In, Message>, AskedOwner<In, Message>, AskedAll<In, Message>, Loser
{
  lostEpoch = 0;
  readonly unsolicited: Observable<In>;
  readonly #streets: Streets<In, Out>;
  readonly #pairing: Pairing<In, Out, Message>;
  readonly #limits: RequestLimits<In>;
  readonly #departures: Departures<In, Out, Message>;
  readonly #deadlines: Deadlines<Asked<In, Message>>;
  readonly #counters = newCounters();
  readonly #frozen = new WeakMap<object, RequestTerms<In>>();
  /** Requests that are lost with the connection, and its loss. */
  readonly #doomed: Asked<In, Message>[] = [];
  #loss: TcpError | undefined;
  #ended: TcpError | undefined;

  constructor(streets: Streets<In, Out>, pairing: Pairing<In, Out, Message>, limits: RequestLimits<In>) {
    this.#streets = streets;
    this.#pairing = pairing;
    this.#limits = limits;
    this.#departures = new Departures(streets, pairing, limits, (request, error) => this.fail(request, error));
    this.#deadlines = new Deadlines((request) => this.#missed(request), streets.config.scheduler);
    const answers = new Answers(streets, pairing, this, this.#counters);
    this.unsolicited = answers.unsolicited;
    const ended = (error?: unknown): void => {
      this.#end(error);
      answers.end(error);
    };
    streets.outlet.losers.push(this);
    streets.receiver.inbound.subscribe({ next: (frame) => answers.hear(frame), error: ended, complete: ended });
  }

  readonly request = (message: Message, options?: RequestOptions<In>): Observable<In> => {
    const { terms } = this.#limits;
    const its = options === undefined ? terms : this.#termsOf(options);
    return new Observable((subscriber) => this.#ask(new Asked(message, its, subscriber, this)));
  };

  readonly stats = (): RequestStats => {
    return Object.freeze({ ...this.#counters, inFlight: this.#pairing.size, waiting: this.#departures.length });
  };

  queued(request: Asked<In, Message>): void {
    if (request.attempts > 0) this.#counters.resent++;
    this.#departures.queued(request);
  }

  /** The queue refused it, or gave it up. */
  undelivered(request: Asked<In, Message>, error: TcpError): void {
    this.fail(request, error);
    this.#departures.admit();
  }

  /** Its subscriber is gone, maybe because it is over. */
  left(request: Asked<In, Message>): void {
    if (!request.pending) return;
    this.#counters.cancelled++;
    this.#giveUp(request);
    this.#departures.admit();
  }

  began(request: Asked<In, Message>): void {
    this.#departures.arrived(request);
    this.#departures.admit();
  }

  answered(request: Asked<In, Message>): void {
    if (request.pending) this.#counters.answered++;
    this.#leave(request, 'answered');
  }

  fail(request: Asked<In, Message>, error: TcpError): void {
    const { pending } = request;
    this.#leave(request);
    if (pending) this.#tell(request, error);
  }

  admit(): void {
    this.#departures.admit();
  }

  /**
   *     handed over   'always'                                 goes again, before all that waits
   *                   'unsent', 'never', or abandoned          is doomed
   *     in the queue  'always', 'unsent'                       keeps its place, or goes behind those that go again
   *                   'never'                                  is doomed
   */
  losing(cause: TcpError | undefined): void {
    const { outlet, where } = this.#streets;
    const { handed } = outlet.queue;
    this.#departures.halt();
    this.#loss = cause ?? new ClosedError(where());
    this.lostEpoch = where().epoch ?? 0;
    const queued = this.#pairing.all().filter(({ place }) => place > 0); // one without is being encoded, or waits for room
    const again: Asked<In, Message>[] = [];
    for (const request of queued) {
      const gone = request.place <= handed;
      if (gone) request.attempts++;
      const goes = request.state === 'flying' && request.mayGoAgain(gone) && !(gone && outlet.closed);
      if (goes && !gone && again.length === 0) continue;
      outlet.queue.withdraw(request.place, undefined, true);
      if (!goes) this.#doom(request);
      else again.push(this.#land(request));
    }
    for (const request of this.#departures.grounded) if (request.terms.resend === 'never') this.#doom(request);
    this.#departures.putBack(again);
    this.#pairing.renew?.();
  }

  /** All is in order again: whoever hears of the loss may do anything. */
  lost(): void {
    const loss = this.#loss;
    this.#departures.goOn();
    for (const request of this.#doomed.splice(0)) if (loss !== undefined) this.#tell(request, loss);
  }

  /** Options that nobody can change are checked once. */
  #termsOf(options: RequestOptions<In>): RequestTerms<In> {
    const known = this.#frozen.get(options);
    if (known !== undefined) return known;
    const terms = resolveTerms(options, this.#limits.terms);
    if (Object.isFrozen(options)) this.#frozen.set(options, terms);
    return terms;
  }

  #ask(request: Asked<In, Message>): Unsubscribable {
    this.#counters.requests++;
    if (this.#ended !== undefined) this.fail(request, this.#ended);
    else {
      this.#deadlines.add(request);
      this.#departures.line(request);
    }
    return request.exit;
  }

  #missed(request: Asked<In, Message>): void {
    this.#counters.timedOut++;
    this.#giveUp(request);
    this.#tell(request, new RequestTimeoutError(request.timeout, this.#streets.where()));
    this.#departures.admit();
  }

  /** Nobody waits for it any more: it is taken back, or its replies are swallowed in its place. */
  #giveUp(request: Asked<In, Message>): void {
    const { outlet } = this.#streets;
    const { place } = request;
    const queued = request.aloft && place > 0;
    const handed = place <= outlet.queue.handed;
    if (queued && handed && this.#pairing.abandon(request)) {
      request.state = 'abandoned';
      this.#departures.arrived(request);
      return this.#deadlines.settled(request);
    }
    this.#leave(request);
    if (queued && !handed) outlet.withdraw(place, undefined, true); // last, since whoever hears of the room may do anything
  }

  #doom(request: Asked<In, Message>): void {
    if (request.pending) this.#doomed.push(request);
    this.#leave(request);
  }

  /** It is over, wherever it stands. */
  #leave(request: Asked<In, Message>, how?: Landing): void {
    const { aloft, state } = request;
    request.over();
    this.#deadlines.settled(request);
    if (aloft) this.#land(request, how);
    else if (state === 'waiting') this.#departures.waiting.leave(request);
  }

  #land(request: Asked<In, Message>, how?: Landing): Asked<In, Message> {
    const handed = request.place > 0 && request.place <= this.#streets.outlet.queue.handed;
    request.silence();
    this.#pairing.landed(request, how ?? (handed ? 'unanswered' : 'unsent'));
    this.#departures.arrived(request);
    return request;
  }

  #tell({ subscriber }: Asked<In, Message>, error: TcpError): void {
    this.#counters.failed++;
    subscriber.error(error);
  }

  /** No connection follows, and no reply. */
  #end(error: unknown): void {
    const context = { ...this.#streets.where(), cause: error };
    this.#ended = error instanceof ClosedError ? error : new ClosedError(context);
    this.#deadlines.stop();
    const left = [...this.#pairing.all(), ...this.#departures.grounded];
    for (const request of left) this.fail(request, this.#ended);
    this.#departures.stop();
  }
}
