import { expect } from 'chai';
import { ConnectionLostError, FrameError } from '../../../lib/errors.js';
import type { TcpError } from '../../../lib/errors.js';
import type { Wire } from './wire.js';

/** One subscriber, who must hear every frame from the one after those that were told when he came. */
export interface Listener {
  next: number;
  leave: () => void;
}

/** Of frames: told only on demand, the very next one, to everybody who is there [S6], and none is glued together [S7]. */
export class Frames {
  readonly listeners: Listener[] = [];
  readonly releases: (() => void)[] = [];
  readonly #wires: Wire[] = [];
  readonly #told: string[] = [];
  /** The place of the next frame: which wire, and which frame of it. */
  #at = { wire: 0, frame: 0 };
  #unread = new Set<number | undefined>();
  #truncated: (number | undefined)[] = [];
  #ending = false;
  /** The socket was ending and nobody was there: what came then was discarded. */
  #drained = false;

  get told(): readonly string[] {
    return this.#told;
  }

  get demand(): boolean {
    return this.listeners.length > 0 && this.releases.length === 0;
  }

  opened(wire: Wire): void {
    this.#wires.push(wire);
  }

  came(wire: Wire, bytes: string): void {
    const texts = (wire.part + bytes).split('\n');
    wire.part = texts.pop()!;
    wire.frames.push(...texts.map((text) => ({ text, afterWrite: wire.wrote })));
  }

  error(error: TcpError): void {
    if (error instanceof ConnectionLostError && error.unread > 0) this.#unread.add(error.epoch);
    if (error instanceof FrameError) this.#truncated.push(error.epoch);
  }

  /** From now on what nobody reads is discarded. */
  ending(): void {
    this.#ending = true;
    this.#drained ||= this.listeners.length === 0;
  }

  joined(leave: () => void): Listener {
    const listener = { next: this.#told.length, leave };
    this.listeners.push(listener);
    return listener;
  }

  heard(listener: Listener, text: string): void {
    expect(this.listeners, `${text} to nobody`).to.include(listener);
    if (listener.next === this.#told.length) this.#emitted(text);
    expect(text, 'what everybody hears').to.equal(this.#told[listener.next]);
    listener.next++;
  }

  #emitted(text: string): void {
    expect(this.releases.length, `holds at ${text}`).to.equal(0);
    for (const { next } of this.listeners) expect(next, `not heard before ${text}`).to.equal(this.#told.length);
    this.#told.push(text);
    let wire = this.#wireOfNext();
    let frame = wire?.frames[this.#at.frame++];
    while (this.#drained && frame !== undefined && frame.text !== text) {
      wire = this.#wireOfNext();
      frame = wire?.frames[this.#at.frame++];
    }
    expect(text, 'the very next frame').to.equal(frame?.text);
    if (wire?.wrote === true && frame?.afterWrite === true && !wire.dialled.link.destroyed) wire.answered = true;
  }

  /** A wire is passed over once it is dead and all of it is told, or if the rest of it was dropped. */
  #wireOfNext(): Wire | undefined {
    for (;;) {
      const wire = this.#wires[this.#at.wire];
      if (wire === undefined) return undefined;
      const dropped = this.#unread.has(wire.epoch) && this.#at.frame === 0;
      if (!dropped && (this.#at.frame < wire.frames.length || !wire.dialled.link.destroyed)) return wire;
      this.#at = { wire: this.#at.wire + 1, frame: 0 };
    }
  }

  /** Nobody has missed a frame that others have heard; save, if `one`, the one that is being told. */
  left(listener: Listener, one: boolean): void {
    const missed = this.#told.length - listener.next;
    expect(missed, 'missed').to.be.within(0, one ? 1 : 0);
    this.listeners.splice(this.listeners.indexOf(listener), 1);
    this.#drained ||= this.#ending && this.listeners.length === 0;
    listener.leave();
  }

  /** Soon after there was demand for good, and nobody ended the socket. */
  judgeProgress(): void {
    expect(this.#wireOfNext()?.frames.slice(this.#at.frame) ?? [], 'frames that were not told').to.eql([]);
    const cut = this.#wires.filter(
      ({ dialled, part, epoch }) => dialled.gone && part !== '' && !this.#unread.has(epoch),
    );
    expect(this.#truncated, 'cut frames').to.eql(cut.map(({ epoch }) => epoch));
  }
}
