import { defer, from, map, Observable, of, take, tap, throwIfEmpty, type ObservableInput } from 'rxjs';
import { clock } from '../clock.js';
import type { EndpointsConfig } from '../config.js';
import type { Endpoint, TcpError } from '../errors.js';
import { endpointList } from '../resolve-endpoint.js';

/**
 * Which of several places is dialled next: in turn, starting after the last one, passing over those that failed a moment ago unless all did.
 *
 *     a  b  c        b worked and is lost:           c, then a, then b …
 *        ^last       the same, c has failed before:  a
 *
 * The list may be another each time that it is asked for: an endpoint is known by what it says.
 */
export class Endpoints {
  readonly #config: EndpointsConfig;
  /** When the dial of an endpoint failed last, by the clock. */
  readonly #failedAt = new Map<string, number>();
  /** The last one that was dialled. */
  #last: string | undefined;
  #lastPlace = -1;
  /** Those that refused us for good, as with a certificate that is not theirs; until one of them lets us in. */
  readonly #refusing = new Set<string>();
  /** The newest list. */
  #listed: readonly string[] = [];

  constructor(config: EndpointsConfig) {
    this.#config = config;
  }

  /**
   * The endpoint of one dial; errors if the list is none, or empty, or is not to be had. `tell` hears of it first, and of an empty one as long as it is not known, or if
   * it never will be.
   */
  next(tell: (endpoint: Endpoint) => void = () => undefined): Observable<Endpoint> {
    return new Observable((subscriber) => {
      let told = false;
      const hear = (endpoint: Endpoint): void => {
        told = true;
        tell(endpoint);
      };
      const chosen = defer(() => this.#asked()).pipe(
        take(1),
        throwIfEmpty(() => new Error('`endpoints` completed without a list')),
        map((answer) => this.#choose(endpointList(answer, this.#config.dialled))),
        tap({ next: hear, error: () => told || hear({}) }),
      );
      subscriber.add(chosen.subscribe(subscriber));
      if (!told && !subscriber.closed) hear({});
    });
  }

  /** The dial of this endpoint failed: it is passed over for a while. */
  failed(endpoint: Endpoint): void {
    this.#failedAt.set(keyOf(endpoint), clock.now());
  }

  /** It works. */
  opened(endpoint: Endpoint): void {
    this.#failedAt.delete(keyOf(endpoint));
    this.#refusing.delete(keyOf(endpoint));
  }

  /** The one that was dialled has refused us for good. Answers whether another is left that has not; wrong options are wrong everywhere. */
  refused(error: TcpError): boolean {
    const ofServer = error.code === 'TCP_TLS' || (error.code === 'TCP_CONNECT' && error.phase !== 'config');
    if (ofServer && error.endpoint !== undefined) this.#refusing.add(keyOf(error.endpoint));
    return ofServer && this.#listed.some((key) => !this.#refusing.has(key));
  }

  #asked(): Observable<unknown> {
    const answer = this.#config.list();
    // A list is an ObservableInput too, of its own items: what is no list of lists is the answer itself.
    const isList = Array.isArray(answer) && !Array.isArray(answer[0]);
    return isList ? of(answer) : from(answer as ObservableInput<unknown>);
  }

  #choose(list: readonly Endpoint[]): Endpoint {
    if (list.length === 0) throw new Error('`endpoints` answered an empty list');
    const keys = list.map(keyOf);
    const listed = new Set(keys);
    this.#listed = keys;
    for (const known of [this.#failedAt, this.#refusing]) {
      for (const key of known.keys()) if (!listed.has(key)) known.delete(key);
    }
    // It may stand there twice: then its place says which one it was.
    const last = keys[this.#lastPlace] === this.#last ? this.#lastPlace : keys.indexOf(this.#last ?? '');
    // Gone from the list: whoever has its place now is next.
    const start = last >= 0 ? last + 1 : Math.max(this.#lastPlace, 0);
    const inTurn = list.map((_, i) => (start + i) % list.length);
    const place = inTurn.find((i) => !this.#isPassedOver(keys[i] ?? '')) ?? inTurn[0] ?? 0;
    this.#last = keys[place];
    this.#lastPlace = place;
    return list[place] as Endpoint;
  }

  #isPassedOver(key: string): boolean {
    const at = this.#failedAt.get(key);
    return at !== undefined && clock.now() - at < this.#config.cooldown;
  }
}

function keyOf({ host, port, path }: Endpoint): string {
  return JSON.stringify([host, port, path]);
}
