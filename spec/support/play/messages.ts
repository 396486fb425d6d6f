import { expect } from 'chai';
import { ConnectionLostError, OverflowError, ReconnectLimitError, WriteError } from '../../../lib/errors.js';
import type { TcpError } from '../../../lib/errors.js';
import { SLAB_BYTES } from '../../../lib/outbound/slabs.js';
import type { FakeLinkWrite } from '../fake-link.js';
import type { GhostLink, Stage } from '../stage.js';
import type { Schedule, WriteAct } from './schedule.js';

/** The reason of every withdrawal. */
export const WITHDRAWN = new Error('withdrawn');

/** One message, and what became of it. */
export interface Message {
  readonly text: string;
  readonly limit: number;
  /** Written after the end: refused without an event. */
  readonly late: boolean;
  readonly withdrawal: AbortController | undefined;
  /** How many links it was handed to. */
  handed: number;
  written: boolean;
  readonly errors: TcpError[];
  promise: Promise<unknown> | undefined;
}

/** Of messages: order and whole frames [S1], written again [S2], one outcome each [S3], the bound and who goes first [S5]. */
export class Messages {
  readonly #schedule: Schedule;
  readonly #byText = new Map<string, Message>();
  #batch: { readonly messages: readonly Message[]; readonly link: GhostLink } | undefined;
  /** What a kernel may be reading still: nobody has said that it took them. */
  readonly #unconfirmed: FakeLinkWrite[] = [];
  #firstLink: GhostLink | undefined;
  #writing: Message | undefined;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  get #all(): Message[] {
    return [...this.#byText.values()];
  }

  /** Without an outcome, the oldest first. */
  get pending(): Message[] {
    return this.#all.filter(({ written, late, errors }) => !written && !late && errors.length === 0);
  }

  /** Handed over, and neither confirmed nor lost. */
  get inFlight(): readonly Message[] {
    return this.#batch?.messages.filter(({ errors }) => errors.length === 0) ?? [];
  }

  /** Those that can be withdrawn, whatever has become of them. */
  get withdrawable(): Message[] {
    return this.#all.filter(({ withdrawal }) => withdrawal !== undefined);
  }

  make(act: WriteAct, late: boolean): Message {
    const limit = act.how === 'write' && act.retryLimit >= 0 ? act.retryLimit : this.#schedule.retryLimit;
    const text = `m${this.#byText.size}${act.big ? '.'.repeat(SLAB_BYTES / 2) : ''}`;
    const withdrawal = act.how === 'write' ? new AbortController() : undefined;
    const message = { text, limit, late, withdrawal, handed: 0, written: false, errors: [], promise: undefined };
    this.#byText.set(text, message);
    return message;
  }

  /** What happens in there is because of this message. */
  whileWriting(message: Message, write: () => void): void {
    const outer = this.#writing;
    this.#writing = message;
    write();
    this.#writing = outer;
    expect(this.pending.length, 'messages without an outcome').to.be.at.most(this.#schedule.frames);
  }

  opened(link: GhostLink): void {
    this.#firstLink ??= link;
  }

  /** A batch was handed over: what has waited longest, whole, and nothing else is in flight. */
  handed(link: GhostLink): void {
    const write = link.writes.at(-1)!;
    this.#unconfirmed.push(write);
    const { text } = write;
    const texts = text.split('\n');
    expect(texts.pop(), 'whole frames').to.equal('');
    const batch = this.pending.slice(0, texts.length);
    expect(texts, 'the oldest first').to.eql(batch.map((message) => message.text));
    expect(link.unanswered, 'one batch at a time').to.equal(1);
    expect([link.finished, link.ends], 'after a FIN').to.eql([false, 0]);
    if (texts.length === 1) return this.#hand(link, batch);
    expect(text.length, 'a batch').to.be.at.most(SLAB_BYTES);
    const again = link !== this.#firstLink && link.writes.length === 1;
    expect(again, `after a drop, ${texts.join()} together`).to.be.false;
    expect(batch.filter(onLastTry), 'on their last try, in company').to.eql([]);
    this.#hand(link, batch);
  }

  #hand(link: GhostLink, messages: readonly Message[]): void {
    this.#batch = { messages, link };
    for (const message of messages) {
      message.handed++;
      expect(message.withdrawal?.signal.aborted ?? false, `${message.text} handed over, withdrawn`).to.be.false;
      expect(message.handed, `how often ${message.text} is handed over`).to.be.at.most(message.limit + 1);
    }
  }

  /** The kernel takes the batch now. */
  confirmed(): void {
    for (const message of this.inFlight) message.written = true;
    this.#batch = undefined;
    unchanged(this.#unconfirmed.pop()!);
  }

  told(error: TcpError): void {
    if (error instanceof ConnectionLostError && this.#batch?.link.destroyed === true) this.#batch = undefined;
    if (!(error instanceof WriteError || error instanceof OverflowError)) return;
    const message = this.#byText.get(error.undelivered as string) ?? expect.fail('an error of no message');
    if (error instanceof OverflowError) this.#judgeOverflow(message);
    message.errors.push(error);
  }

  #judgeOverflow(message: Message): void {
    const { overflow, frames } = this.#schedule;
    if (message === this.#writing) {
      const inTheWay = overflow === 'dropNewest' ? this.pending.length - 1 : this.inFlight.length;
      expect(inTheWay, `in the way of ${message.text}`).to.equal(frames);
      return;
    }
    expect(overflow, `${message.text} evicted`).to.equal('dropOldest');
    const oldest = this.pending.find((other) => !this.inFlight.includes(other));
    expect(message.text, 'evicted').to.equal(oldest?.text);
  }

  /** Soon after links began to work, and nobody ended the socket. */
  judgeProgress(): void {
    expect(this.pending.map(({ text }) => text), 'not written').to.eql([]); // prettier-ignore
  }

  async judge({ socket }: Stage): Promise<void> {
    const all = this.#all;
    for (const message of all) await judgeOutcome(message);
    for (const write of this.#unconfirmed) unchanged(write);
    const stats = socket.stats();
    expect(stats.framesWritten).to.equal(all.filter(({ written }) => written).length);
    expect(stats.framesUndelivered + stats.framesRefused).to.equal(
      all.filter(({ errors }) => errors.length > 0).length,
    );
    expect(stats).to.include({ queuedFrames: 0, queuedBytes: 0, inFlightFrames: 0, heldBytes: 0 });
  }
}

function unchanged({ batch, text }: FakeLinkWrite): void {
  expect(Buffer.from(batch).toString('latin1'), 'written over before it was confirmed').to.equal(text);
}

async function judgeOutcome(message: Message): Promise<void> {
  const { text, late, promise, written, errors, handed, limit, withdrawal } = message;
  const told = await promise;
  if (late) {
    if (promise !== undefined) expect(told, `${text}, late`).to.include({ code: 'TCP_CLOSED' });
    expect([written, errors, handed], `${text}, late`).to.eql([false, [], 0]);
    return;
  }
  expect(Number(written) + errors.length, `outcomes of ${text}`).to.equal(1);
  if (promise !== undefined) expect(told, `the promise of ${text}`).to.equal(written ? 'written' : errors[0]);
  const [error] = errors;
  if (!(error instanceof OverflowError || error instanceof WriteError)) return;
  expect(error.fate, text).to.equal(handed > 0 ? 'unknown' : 'unsent');
  if (error instanceof OverflowError) return;
  expect(error.attempts, text).to.equal(handed);
  if (error.cause === WITHDRAWN) expect(withdrawal?.signal.aborted, `${text} withdrawn`).to.be.true;
  else if (!(error.cause instanceof ReconnectLimitError || codeOf(error.cause) === 'TCP_CLOSED'))
    expect(handed, `${text} gave up`).to.equal(limit + 1);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** One more loss gives it up. */
function onLastTry({ handed, limit }: Message): boolean {
  return handed > 0 && handed >= limit;
}
