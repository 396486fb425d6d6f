/**
 * From chunks to subscribers, over all connections of a socket.
 *
 *     link ──chunk──> Intake ──push/next──> decoder ──frame──> subscribers
 *                       │ one a connection         ▲
 *                       └ holds chunks             └ only while the gate is open
 *
 * The intakes stand in a row, the oldest connection first; only the first is decoded, so that what a dead connection left comes before
 * the next one's first frame. There are two at most: one that died with bytes left, and one behind it.
 */
import { Observable, type Subscriber } from 'rxjs';
import type { Codec } from '../codec/codec.js';
import type { Link } from '../connection/link.js';
import type { Deque } from '../deque.js';
import type { ErrorContext, FrameError } from '../errors.js';
import { TurnEnd } from '../turn.js';
import { Audience, settle } from './audience.js';
import { DecodeDriver } from './decode.js';
import { Gate } from './gate.js';
import { Intake, type IntakeEvents } from './intake.js';
import { IntakeRow } from './intake-row.js';
import type { Unused } from './iterate.js';
import { Returned } from './returned.js';
import { Slice } from './slice.js';

/** What a receiver tells its owner; each is an event, none may throw. */
export interface ReceiverEvents {
  /** Somebody subscribed. */
  subscribed?(): void;
  /** A frame was skipped by resynchronising, was cut off, or could not be decoded after its connection was gone. */
  report(error: FrameError): void;
}

/** The inbound street: one shared stream with one decoder for each connection. */
export class Receiver<In> {
  /** The frames of all connections. Subscribing is demand; unsubscribing ends nothing. */
  readonly inbound = new Observable<In>((subscriber) => this.#subscribe(subscriber, undefined));
  readonly gate = new Gate(() => this.#pump());
  readonly codec: Codec<In, never>;
  readonly #events: ReceiverEvents;
  readonly #row = new IntakeRow<In>();
  readonly #returned = new Returned<In, Intake<In> | undefined>();
  readonly #audience = new Audience<In>();
  #pumping = false;
  readonly #slice = new Slice(() => this.#pump());
  #cut: FrameError | undefined;
  /** Set once no connection will follow: how `inbound` ends when the rest is delivered. */
  #ending: { errorFor(cut: FrameError | undefined): Error | undefined; ended(): void } | undefined;
  #ended: { readonly error: Error | undefined } | undefined;

  constructor(codec: Codec<In, never>, events: ReceiverEvents) {
    this.codec = codec;
    this.#events = events;
  }

  /** Bytes that were read and wait for demand. */
  get heldBytes(): number {
    return this.#row.heldBytes;
  }

  /** Takes a new connection in; its chunks go to the intake that is returned. Its decoder is made when the first of them is decoded. */
  attach(link: Link, where: Pick<ErrorContext, 'endpoint' | 'epoch'>, events: IntakeEvents): Intake<In> {
    const makeDriver = () => new DecodeDriver(this.codec, (error) => this.#events.report(error.at(where)));
    const intake = new Intake<In>(link, where, events, makeDriver);
    this.#cut = undefined;
    this.#row.push(intake);
    this.#audience.listenTo(this.#row.first);
    return intake;
  }

  /**
   * Takes over a connection that another receiver had to itself until now: its bytes, its decoder, its frames that were given back, its subscribers and their
   * holds. That receiver is of no use any more.
   */
  adopt(other: Receiver<In>): void {
    this.#row.absorb(other.#row);
    this.#returned.absorb(other.#returned);
    this.#audience.absorb(other.#audience, this.#row.first);
    this.gate.absorb(other.gate);
    this.#cut = undefined;
    // A frame may be on its way to a subscriber just now: the next must wait until it has arrived.
    TurnEnd.queue(() => this.#pump());
  }

  /** Takes frames back that nobody else has seen: they come before all that waits of their connection. */
  takeBack(intake: Intake<In>, unused: Deque<Unused<In, Intake<In> | undefined>>): void {
    (intake.finished ? this.#returned : intake).put(unused);
    TurnEnd.queue(() => this.#pump());
  }

  /** The frames of one connection alone; it completes with that connection's last frame. */
  framesOf(intake: Intake<In>): Observable<In> {
    return new Observable((subscriber) => this.#subscribe(subscriber, intake));
  }

  /** A chunk came, for good or, with `keep`, lent until this returns. It is decoded at once if there is demand and nothing waits before it. */
  chunk(intake: Intake<In>, chunk: Buffer, keep?: () => Buffer): void {
    if (intake.finished) return;
    intake.take(chunk, keep);
    if (!this.#pumping) this.#slice.renew();
    try {
      if (intake === this.#row.first && this.gate.open) this.#pump();
    } finally {
      const error = intake.settle(); // nobody may refer to memory that is not ours from here on
      if (error !== undefined) this.#fail(intake, error);
    }
  }

  /**
   * The connection is gone, and this is the last of its bytes. Its rest waits for demand, unless another dead one's rest is waiting already: then it is dropped.
   * Returns the bytes that were dropped, and the error for a frame that was cut off, if that is known already.
   */
  over(intake: Intake<In>, last?: Buffer): { readonly unread: number; readonly cut: FrameError | undefined } {
    if (last !== undefined && last.length > 0 && !intake.finished) intake.take(last);
    intake.over = true;
    if (intake === this.#row.first) {
      if (this.gate.open) this.#pump();
      this.#advance();
    } else if (!intake.finished) return { unread: this.#drop(intake), cut: undefined };
    return { unread: 0, cut: intake.cut };
  }

  /** The connection of the frame that is emitted just now. */
  get origin(): Intake<In> | undefined {
    return this.#returned.emitted ? this.#returned.emitted.origin : this.#row.first;
  }

  /** Takes frames back that were emitted to somebody who left without using them, unless others have seen them: they come next, in their order. */
  giveBack(unused: Deque<Unused<In, Intake<In> | undefined>>): void {
    if (this.gate.subscribers === 0) this.#returned.put(unused);
  }

  /** No connection follows: `inbound` ends as soon as the rest is delivered, with an error if `errorFor` the last frame's cut gives one. */
  end(errorFor: (cut: FrameError | undefined) => Error | undefined, ended: () => void = () => undefined): void {
    const first = this.#ending === undefined;
    this.#ending ??= { errorFor, ended };
    if (this.#ended !== undefined && first) return ended();
    this.#advance();
  }

  /** The rest is not waited for: `inbound` ends now as it would have after it. */
  endNow(): void {
    this.close(this.#ending?.errorFor(this.#cut));
  }

  /** Drops whatever was read and not delivered: no frame follows. */
  discard(): void {
    this.gate.close();
    this.#returned.clear();
    for (const intake of this.#row.empty()) intake.discard();
  }

  /** Ends `inbound` now; what was not delivered is dropped. */
  close(error?: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = { error };
    this.discard();
    this.#audience.end(error);
    this.#ending?.ended();
  }

  #subscribe(subscriber: Subscriber<In>, only: Intake<In> | undefined): (() => void) | undefined {
    if (this.#ended !== undefined || only?.finished === true) {
      const end = (): void => settle(subscriber, only === undefined ? this.#ended?.error : undefined);
      this.#returned.giveTo(subscriber, only, end); // nothing else follows
      return undefined;
    }
    const leave = this.#audience.join({ subscriber, only });
    this.gate.enter();
    this.#events.subscribed?.();
    return () => {
      leave();
      this.gate.leave();
    };
  }

  /** Decodes while there is demand and something to decode. A frame's subscriber may do anything, also end all of this. */
  #pump(): void {
    if (this.#pumping || this.#slice.usedUp) return;
    this.#pumping = true;
    try {
      while (this.gate.open) {
        const returned = this.#returned.shift();
        if (returned !== undefined) this.#returned.emit(returned, this.#audience);
        else if (!this.#decodeFirst()) break;
      }
    } finally {
      this.#pumping = false;
    }
  }

  /** Decodes the first connection until the gate shuts or its bytes run out; false if there is nothing left to do. */
  #decodeFirst(): boolean {
    const intake = this.#row.first;
    if (intake === undefined) return this.#advance();
    try {
      for (let frame = intake.next(); frame !== undefined; frame = intake.next()) {
        this.#audience.hear(frame);
        if (this.#slice.count()) return false;
        if (!this.gate.open) return true;
      }
    } catch (error) {
      this.#fail(intake, error as FrameError);
      return true;
    }
    if (intake.over) return this.#advance();
    intake.resume();
    return false;
  }

  /** Passes on from a dead connection with nothing left, to the next or to the end. True if there is another to go on with. */
  #advance(): boolean {
    const intake = this.#row.first;
    const passed = intake?.over === true && intake.spent;
    if (passed) {
      this.#cut = intake.finish();
      if (this.#cut !== undefined) this.#events.report(this.#cut);
      this.#drop(intake);
    }
    if (this.#row.first !== undefined) {
      if (passed && this.gate.open) this.#pump();
      return passed;
    }
    if (this.#ending !== undefined && this.#returned.length === 0) this.endNow();
    return false;
  }

  #fail(intake: Intake<In>, error: FrameError): void {
    const located = error.at(intake.where); // which throws if the stack has run out: then nothing has been dropped
    this.#drop(intake);
    if (intake.over) this.#events.report(located);
    else intake.events.failed(located);
  }

  #drop(intake: Intake<In>): number {
    this.#row.remove(intake);
    const bytes = intake.discard();
    this.#audience.passOn(intake, this.#row.first);
    return bytes;
  }
}
