import { Observable, type Observer, type Subscriber } from 'rxjs';
import { Asked, type AskedOwner } from '../../lib/request/asked.js';
import type { RequestTerms } from '../../lib/request/request-config.js';

/** Terms as they are without options. */
export const TERMS: RequestTerms<string> = {
  timeout: 30_000,
  resend: 'unsent',
  retryLimit: 5,
  until: undefined,
  failure: undefined,
  maxReplies: 100_000,
};

/** Nobody has to know. */
export const NOBODY = { queued: () => undefined, undelivered: () => undefined, left: () => undefined };

/** A subscriber as RxJS makes it. */
export function subscriberOf(observer: Partial<Observer<string>>): Subscriber<string> {
  const made: Subscriber<string>[] = [];
  new Observable<string>((subscriber) => void made.push(subscriber)).subscribe(observer);
  return made[0]!;
}

/** A request that nobody has made. */
export function askedFor(
  message: string,
  terms: Partial<RequestTerms<string>> = {},
  owner: AskedOwner<string, string> = NOBODY,
): Asked<string, string> {
  return new Asked(message, { ...TERMS, ...terms }, subscriberOf({}), owner);
}

/** One that is in the queue, at this place. */
export function flyingAt(place: number, message = `m${place}`): Asked<string, string> {
  const request = askedFor(message);
  request.takeOff();
  request.place = place;
  return request;
}
