import { callable, given, integer, milliseconds, oneOf, type Given } from '../check.js';

/** What connects a request and its reply, where replies come in any order; two are the same if a Map says so. */
export type RequestId = string | number | bigint;

/** What becomes of a request when the connection is lost: rejected, written again if it was never handed to a link, or written again in any case. */
export type Resend = 'never' | 'unsent' | 'always';

/** Options of one request. */
export interface RequestOptions<In> {
  /** Milliseconds from the subscription to the last reply; 0 is no limit. @default 30_000 */
  readonly timeout?: number;
  /**
   * What becomes of it when a connection is lost. `'never'`: it errors at once, even if it was not handed over yet. `'unsent'`: it is written to the next
   * connection if it was never handed to a link, and errors else. `'always'`, for what may be done twice: it is written again in both cases, at most
   * `retryLimit` times, unless part of its replies has come or the socket was ended meanwhile. @default 'unsent'
   */
  readonly resend?: Resend;
  /**
   * With how many connections it may be lost, in all its time, before it is given up; the last try it makes alone, for a second at most. For what waits for long,
   * such as a long poll, take `Infinity`. @default the socket's
   */
  readonly retryLimit?: number;
  /** Whether this reply is its last. @default the first one is */
  readonly until?: (reply: In) => boolean;
  /** The error that a last reply stands for, if it is a refusal: the request then errors with it, and gives no reply of it. @default none is */
  readonly failure?: (reply: In) => Error | undefined;
  /** How many replies it may have; one more is a {@link FrameError} of kind `too-large`. @default 100_000 */
  readonly maxReplies?: number;
}

/** Options of all requests, each of which may have its own. */
export interface RequestConfig<In> extends RequestOptions<In> {
  /** How many requests may be in the socket's queue, or written and without their last reply, at once. @default 1_000 */
  readonly inFlight?: number;
  /** How many more may wait for their turn; one more errors with an {@link OverflowError}. @default 100_000 */
  readonly waiting?: number;
}

/** Options of {@link pipelined}. */
export interface PipelinedConfig<In> extends RequestConfig<In> {
  /** Which frames answer no request, whenever they come. @default none */
  readonly unsolicited?: (frame: In) => boolean;
}

/** Options of {@link correlated}. */
export interface CorrelatedConfig<In, Out, Message> extends RequestConfig<In> {
  /** Puts an id into a message; called each time that it goes into the socket's queue, with another id each time. What it throws is the request's error. */
  readonly assign: (message: Message, id: RequestId) => Out;
  /** The id in a frame, of the type that `assign` was given; `undefined` for a frame that answers no request. */
  readonly idOf: (frame: In) => RequestId | undefined;
  /** Makes ids; it is asked again while it gives one that is in use. @default 1, 2, 3 and so on, each once in this process */
  readonly nextId?: () => RequestId;
}

/** Options of one request, with every gap filled. */
export interface RequestTerms<In> {
  readonly timeout: number;
  readonly resend: Resend;
  readonly retryLimit: number;
  readonly until: ((reply: In) => boolean) | undefined;
  readonly failure: ((reply: In) => Error | undefined) | undefined;
  readonly maxReplies: number;
}

/** Options of all requests, with every gap filled. */
export interface RequestLimits<In> {
  readonly inFlight: number;
  readonly waiting: number;
  /** Of a request without its own. */
  readonly terms: RequestTerms<In>;
}

const TERMS = ['timeout', 'resend', 'retryLimit', 'until', 'failure', 'maxReplies'];
const LIMITS = ['inFlight', 'waiting', ...TERMS];

/** Checks the options of `pipelined` or `correlated` and fills the gaps; `more` are the names of its own, which are taken over unchecked. */
export function resolveLimits<In>(
  what: string,
  config: unknown,
  retryLimit: number,
  more: readonly string[],
): { readonly limits: RequestLimits<In>; readonly options: Given } {
  const options = given(what, config, [...LIMITS, ...more]);
  const functions = { until: undefined, failure: undefined };
  const defaults = { timeout: 30_000, resend: 'unsent', retryLimit, maxReplies: 100_000, ...functions } as const;
  const limits = {
    inFlight: integer('inFlight', options.inFlight, 1000, 1, Infinity),
    waiting: integer('waiting', options.waiting, 100_000, 0, Infinity),
    terms: resolve<In>(options, defaults),
  };
  return { limits, options };
}

/** Checks the options of one request. */
export function resolveTerms<In>(options: unknown, defaults: RequestTerms<In>): RequestTerms<In> {
  return resolve(given('request', options, TERMS), defaults);
}

function resolve<In>(options: Given, defaults: RequestTerms<In>): RequestTerms<In> {
  return {
    timeout: milliseconds('timeout', options.timeout, defaults.timeout),
    resend: oneOf<Resend>('resend', options.resend, defaults.resend, ['never', 'unsent', 'always']),
    retryLimit: integer('retryLimit', options.retryLimit, defaults.retryLimit, 0, Infinity),
    until: callable<(reply: In) => boolean>('until', options.until) ?? defaults.until,
    failure: callable<(reply: In) => Error | undefined>('failure', options.failure) ?? defaults.failure,
    maxReplies: integer('maxReplies', options.maxReplies, defaults.maxReplies, 1, Infinity),
  };
}
