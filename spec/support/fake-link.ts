import { PassThrough, type Duplex } from 'node:stream';
import type { Link, LinkEvents } from '../../lib/connection/link.js';
import type { Endpoint } from '../../lib/errors.js';

type Done = (error?: Error | null) => void;

/** What a fake does with a write, before `write` returns; by default nothing, so that the spec decides when. */
export type OnFakeWrite = (link: FakeLink, index: number) => void;

/** One write as it was handed over. */
export interface FakeLinkWrite {
  /** The very object handed over: a spec may ask whether it was a copy. */
  readonly batch: Uint8Array;
  /** What it held at that moment: a slab is used again. */
  readonly text: string;
  /** The callback, for late and doubled calls; `confirm` and `fail` are the way for all others. */
  readonly done: Done;
}

/** For `fakeLink`: writes are confirmed before they return. */
export const confirmAtOnce: OnFakeWrite = (link) => link.confirm();

/**
 * A link without a stream, for specs of what stands on links: it records what is asked of it, and the spec plays the kernel and the peer.
 *
 * @example
 * const link = fakeLink();
 * link.listen(events);
 * link.chunk('hello'); // events.chunk
 * link.write(Buffer.from('hi'), done);
 * link.confirm(); // done(); or link.fail(error)
 * link.lost(error); // destroyed, then events.lost
 */
export function fakeLink(onWrite?: OnFakeWrite): FakeLink {
  return new FakeLink(onWrite);
}

export class FakeLink implements Link {
  readonly endpoint: Endpoint = { host: 'fake', port: 1 };
  readonly raw: Duplex = new PassThrough();
  destroyed = false;
  /** Everything handed over, the oldest first. */
  readonly writes: FakeLinkWrite[] = [];
  /** How often each was called. */
  pauses = 0;
  resumes = 0;
  ends = 0;
  destroys = 0;
  /** What it was told in `lend()`. */
  limit: ((bytes: number) => void) | undefined;
  #slab: Buffer | undefined;
  #room = 0;
  readonly #onWrite: OnFakeWrite;
  readonly #unanswered: FakeLinkWrite[] = [];
  #events: LinkEvents | undefined;

  constructor(onWrite: OnFakeWrite = () => {}) {
    this.#onWrite = onWrite;
  }

  /** All that was handed over, one text a write. */
  get texts(): string[] {
    return this.writes.map(({ text }) => text);
  }

  /** Writes that were not answered. */
  get unanswered(): number {
    return this.#unanswered.length;
  }

  /** Whether it would give chunks now. */
  get paused(): boolean {
    return this.pauses > this.resumes;
  }

  listen(events: LinkEvents): void {
    if (this.#events !== undefined) throw new Error('it has a listener');
    this.#events = events;
  }

  pause(): void {
    this.pauses++;
  }

  resume(): void {
    this.resumes++;
  }

  write(batch: Uint8Array, done: Done): void {
    const write = { batch, done, text: Buffer.from(batch).toString('latin1') };
    this.#unanswered.push(write);
    this.#onWrite(this, this.writes.push(write) - 1);
  }

  end(): void {
    this.ends++;
  }

  /** What `rest()` gives, once. */
  unread = Buffer.alloc(0);

  rest(): Buffer {
    const { unread } = this;
    this.unread = Buffer.alloc(0);
    return unread;
  }

  destroy(): void {
    this.destroys++;
    this.destroyed = true;
    this.#events = undefined;
  }

  /** The kernel takes so many of the unanswered writes, the oldest first. */
  confirm(count = 1): void {
    for (let i = 0; i < count; i++) this.#answer()(null);
  }

  /** The oldest unanswered write fails. */
  fail(error: Error): void {
    this.#answer()(error);
  }

  /** From now on it reads into memory of its own, of so many bytes, which it lends, and writes over when the call is done. */
  lend(bytes = 64 * 1024): this {
    this.#slab = Buffer.alloc(bytes);
    this.#room = bytes;
    this.limit = (room) => (this.#room = Math.min(room, bytes));
    return this;
  }

  /** Bytes come. If they are lent they come in as many chunks as its memory, and the limit, make of them. */
  chunk(bytes: Buffer | string): void {
    let rest = Buffer.from(bytes);
    const slab = this.#slab;
    if (slab === undefined) return this.#events?.chunk(rest);
    while (rest.length > 0) {
      const chunk = slab.subarray(0, rest.copy(slab, 0, 0, this.#room));
      rest = rest.subarray(chunk.length);
      this.#room = slab.length;
      let lent = true;
      this.#events?.chunk(chunk, () => {
        if (!lent) throw new Error('it was lent no longer');
        return Buffer.from(chunk);
      });
      lent = false;
      slab.fill('?');
    }
  }

  /** The peer's FIN comes. */
  fin(): void {
    this.#events?.fin();
  }

  /** The link is over. */
  lost(error?: Error): void {
    const events = this.#events;
    this.#events = undefined;
    this.destroyed = true;
    events?.lost(error);
  }

  #answer(): Done {
    const write = this.#unanswered.shift();
    if (write === undefined) throw new Error('no write waits for an answer');
    return write.done;
  }
}
