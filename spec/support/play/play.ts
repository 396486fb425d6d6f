/**
 * A socket in the hands of chance: users who call anything, at any time and from within what they hear, and connections to which anything happens.
 *
 *     schedule ──> Play ──calls, events──> StayingSocket over fake links, in virtual time
 *                    │                            │ writes, frames, statuses, errors
 *                    └──────> Messages, Frames, Dials    referees: each knows some of the promises, and none looks into the socket
 */
import { expect } from 'chai';
import { timer } from 'rxjs';
import type { TcpSocketConfig } from '../../../lib/config.js';
import { ReconnectLimitError } from '../../../lib/errors.js';
import type { TcpError } from '../../../lib/errors.js';
import type { ConnectionStatus } from '../../../lib/monitor/status.js';
import { nodeError } from '../fake-stream.js';
import { outcome } from '../fixture.js';
import { stage, type Dialled, type GhostLink, type Stage } from '../stage.js';
import { Dials } from './dials.js';
import { Frames, type Listener } from './frames.js';
import { Messages, WITHDRAWN } from './messages.js';
import {
  MAX_DELAY,
  type Act,
  type DialPlan,
  type PeerAct,
  type Saying,
  type Schedule,
  type UserAct,
  type WriteAct,
} from './schedule.js';
import { isOpen, type Wire } from './wire.js';

/** One schedule, played. */
export class Play {
  readonly #schedule: Schedule;
  readonly #messages: Messages;
  readonly #frames = new Frames();
  readonly #dials: Dials;
  readonly #wires = new Map<Dialled, Wire>();
  readonly #faults: unknown[] = [];
  readonly #confirms: boolean[];
  readonly #plans: DialPlan[];
  readonly #reactions: (UserAct | undefined)[];
  readonly #randoms: number[];
  #drawn = NaN;
  #stage!: Stage;
  #said = 0;
  #errors = 0;
  /** Frames that are being told, one inside another. */
  #depth = 0;
  /** From now on nobody holds or leaves, and links work. */
  #calm = false;
  #ending = false;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
    this.#messages = new Messages(schedule);
    this.#dials = new Dials(schedule, () => {
      const drawn = this.#drawn;
      this.#drawn = NaN; // each wait draws its own
      return drawn;
    });
    this.#confirms = [...schedule.confirms];
    this.#plans = [...schedule.dials];
    this.#reactions = [...schedule.reactions];
    this.#randoms = [...schedule.randoms];
  }

  async run(): Promise<void> {
    const { retryLimit, settle, overflow, frames, initialDelay, stableAfter, maxAttempts } = this.#schedule;
    const random = (): number => (this.#drawn = this.#randoms.shift() ?? 1);
    const config: TcpSocketConfig<string, string> = {
      ...{ retryLimit, settle, overflow, writeBuffer: frames, errorBuffer: 1000 },
      reconnect: { initialDelay, maxDelay: MAX_DELAY, stableAfter, maxAttempts, random },
    };
    const played = this.#staged(config);
    const last = played.told.all.slice(-5).map((text) => text.replace(/ TCP_\w+$/, ''));
    expect(last, 'the end').to.eql([
      ...['closed', 'status completed', 'connections completed', 'writable completed', 'errors completed'],
    ]);
    await this.#messages.judge(played);
    await played.socket.end();
    await played.socket.flush();
  }

  /** What the referees found comes first: it is the cause of what else goes wrong. */
  #staged(config: TcpSocketConfig<string, string>): Stage {
    try {
      stage({ config, reads: false, play: (...dial) => this.#dialled(...dial) }, (made) => {
        this.#stage = made;
        this.#begin();
      });
    } catch (fault) {
      this.#faults.push(fault);
    }
    if (this.#faults.length > 0) throw this.#faults[0];
    return this.#stage;
  }

  #begin(): void {
    const { socket, at, now } = this.#stage;
    socket.status.subscribe((status) => this.#guard(() => this.#told(status, now())));
    socket.errors.subscribe((error) => this.#guard(() => this.#erred(error)));
    if (this.#schedule.steady) this.#subscribe();
    let ms = 1;
    for (const { after, act } of this.#schedule.steps) at((ms += after), () => this.#step(act));
    at(ms + 200, () => this.#calmDown());
    at(ms + 700, () => this.#judgeProgress());
    at(ms + 1000, () => this.#userActs({ do: this.#schedule.last }));
    at(ms + 1100, () => expect(this.#stage.told.statuses.at(-1), 'after the end').to.match(/^closed/));
    at(ms + 1200, () => this.#haunt(0));
    at(ms + 1300, () => socket.destroy());
  }

  /** What a referee throws within a callback of the socket is kept: the socket must not see it. */
  #guard(judge: () => void): void {
    try {
      judge();
    } catch (fault) {
      this.#faults.push(fault);
    }
  }

  #told(status: ConnectionStatus, now: number): void {
    if (status.type === 'closing') {
      this.#ending = true;
      this.#frames.ending();
    }
    this.#dials.status(status, now);
  }

  #erred(error: TcpError): void {
    this.#errors++;
    this.#messages.told(error);
    this.#frames.error(error);
    this.#dials.error(error);
  }

  #step(act: Act): void {
    const open = [...this.#wires.values()].find(isOpen);
    if (act.do === 'haunt') this.#haunt(act.place);
    else if (!isOfPeer(act)) this.#userActs(act);
    else if (open !== undefined) this.#peerActs(open, act);
    this.#look();
  }

  /** What can be seen at any time. */
  #look(): void {
    const { socket, now } = this.#stage;
    const { queuedFrames, inFlightFrames, framesRead, holds } = socket.stats();
    const { pending, inFlight } = this.#messages;
    expect([queuedFrames, inFlightFrames], 'queued, in flight').to.eql([pending.length, inFlight.length]);
    if (this.#ending) return;
    this.#dials.judge(now());
    expect(framesRead, 'frames that somebody heard').to.equal(this.#frames.told.length);
    expect(holds).to.equal(this.#frames.releases.length);
  }

  // ---- users

  #userActs(act: UserAct): void {
    const { socket } = this.#stage;
    const { releases } = this.#frames;
    if (act.do === 'write') this.#write(act);
    else if (act.do === 'subscribe') this.#subscribe();
    else if (act.do === 'leave') this.#leave(act.place);
    else if (act.do === 'withdraw') this.#withdraw(act.place);
    else if (act.do === 'hold' && !this.#calm) releases.push(socket.pause());
    else if (act.do === 'release') releases.splice(act.place % Math.max(1, releases.length), 1)[0]?.();
    else if (act.do === 'redial') this.#redial();
    else if (act.do === 'end') this.#dials.whileAsking(() => void socket.end());
    else if (act.do === 'destroy') socket.destroy();
  }

  #withdraw(place: number): void {
    const { pending, inFlight, withdrawable } = this.#messages;
    const message = pick(withdrawable.slice(-20), place);
    if (message === undefined) return;
    const waits = pending.includes(message) && !inFlight.includes(message) && !message.withdrawal!.signal.aborted;
    message.withdrawal!.abort(WITHDRAWN);
    if (waits) expect(message.errors[0]?.cause, `${message.text} withdrawn`).to.equal(WITHDRAWN);
  }

  #redial(): void {
    const { socket, dials } = this.#stage;
    const before = dials.length;
    const ending = this.#ending;
    const follows = !ending && this.#dials.ready;
    this.#dials.whileAsking(() => socket.redial());
    if (this.#ending && !ending) return; // by somebody who heard what the connection left
    expect(dials.length > before, 'a dial at once').to.equal(follows);
  }

  #write(act: WriteAct): void {
    const { socket } = this.#stage;
    const message = this.#messages.make(act, this.#ending);
    this.#messages.whileWriting(message, () => {
      if (act.how === 'next') return socket.outbound.next(message.text);
      const { signal } = message.withdrawal!;
      const own = act.retryLimit < 0 ? {} : { retryLimit: act.retryLimit };
      message.promise = outcome(socket.write(message.text, { signal, ...own }));
    });
  }

  #subscribe(): void {
    const { socket } = this.#stage;
    const listener = this.#frames.joined(() => subscription.unsubscribe());
    const subscription = socket.inbound.subscribe({
      next: (frame) => {
        this.#depth++;
        this.#guard(() => this.#heard(listener, frame));
        this.#depth--;
      },
      error: (error: unknown) => this.#guard(() => expect(error).to.be.instanceOf(ReconnectLimitError)),
    });
  }

  #heard(listener: Listener, frame: string): void {
    this.#frames.heard(listener, frame);
    const reaction = this.#calm ? undefined : this.#reactions.shift();
    if (reaction !== undefined) this.#userActs(reaction);
  }

  #leave(place: number): void {
    if (this.#calm) return;
    const listener = pick(this.#frames.listeners.slice(this.#schedule.steady ? 1 : 0), place);
    if (listener !== undefined) this.#frames.left(listener, this.#depth > 0 || this.#ending);
  }

  // ---- connections

  #dialled(dialled: Dialled, index: number): void {
    const { link } = dialled;
    const plan = (this.#calm ? undefined : this.#plans.shift()) ?? { opens: true, takes: 0, finAfter: 0 };
    const earlier = index === 0 ? [] : this.#stage.dials.slice(0, index);
    if (index > 0) this.#guard(() => this.#dials.dialled(dialled.at, earlier));
    if (this.#schedule.lends) link.lend();
    link.onWrite = () => this.#guard(() => this.#handed(link));
    link.onEnd = () => timer(plan.finAfter).subscribe(() => this.#guard(() => this.#fin(dialled)));
    const answer = (): void => this.#guard(() => (plan.opens ? this.#open(dialled) : this.#refuse(dialled)));
    // The first dial is asked for before there is a socket to look at.
    if (plan.takes > 0 || index === 0) timer(plan.takes).subscribe(answer);
    else answer();
  }

  #refuse(dialled: Dialled): void {
    if (dialled.gone) return;
    this.#dials.over(this.#stage.now());
    dialled.fail();
  }

  #open(dialled: Dialled): void {
    if (dialled.gone) return;
    const now = this.#stage.now();
    const wire: Wire = {
      ...{ dialled, epoch: this.#wires.size + 1, openedAt: now },
      ...{ frames: [], part: '', coming: '', wrote: false, answered: false },
    };
    this.#wires.set(dialled, wire);
    this.#frames.opened(wire);
    this.#messages.opened(dialled.link);
    this.#dials.opened(wire);
    dialled.link.onOver = () => this.#over(wire);
    dialled.open();
  }

  #over(wire: Wire): void {
    this.#frames.came(wire, wire.dialled.link.unread.toString());
    this.#dials.over(this.#stage.now());
  }

  #handed(link: GhostLink): void {
    const wire = [...this.#wires.values()].find(({ dialled }) => dialled.link === link)!;
    if (wire.dialled !== this.#stage.dials[0])
      expect(this.#stage.now() - wire.openedAt, 'settled').to.be.at.least(this.#schedule.settle - 1e-6);
    this.#messages.handed(link);
    if (this.#calm || (this.#confirms.shift() ?? this.#schedule.prompt)) this.#confirm(link);
  }

  #confirm(link: GhostLink): void {
    if (link.destroyed || link.unanswered === 0) return;
    this.#messages.confirmed();
    for (const wire of this.#wires.values()) if (wire.dialled.link === link) wire.wrote = true;
    link.confirm();
  }

  #peerActs(wire: Wire, act: PeerAct): void {
    const { dialled } = wire;
    const { link } = dialled;
    if (act.do === 'say') this.#say(wire, act.saying);
    else if (act.do === 'confirm') this.#confirm(link);
    else if (act.do === 'fail the write') {
      if (link.unanswered > 0) link.fail(nodeError('ECONNRESET'));
    } else if (act.do === 'fin') this.#fin(dialled, act.saying);
    else {
      if (act.saying !== undefined) this.#say(wire, act.saying);
      if (isOpen(wire)) link.lost(act.clean ? undefined : nodeError('ECONNRESET'));
    }
  }

  /** Some of what the peer says comes, cut anywhere; what a link that is paused holds comes with its end. */
  #say(wire: Wire, { frames, save }: Saying): void {
    const { link } = wire.dialled;
    if (link.finished) return;
    for (let i = 0; i < frames; i++) wire.coming += `f${this.#said++}\n`;
    const cut = Math.max(1, wire.coming.length - save);
    const now = wire.coming.slice(0, cut);
    if (link.paused) {
      link.unread = Buffer.from(now);
      return;
    }
    link.unread = Buffer.alloc(0);
    if (now === '') return;
    wire.coming = wire.coming.slice(cut);
    this.#frames.came(wire, now);
    const wanted = this.#frames.demand || this.#ending;
    const { lends } = this.#schedule;
    link.chunk(now);
    // A link that lends is read from until so much waits as no schedule says.
    if (!wanted && isOpen(wire)) expect(link.paused, 'one chunk without demand, and no more').to.equal(!lends);
  }

  /** The peer ends; once we have ended too the link is over. */
  #fin(dialled: Dialled, saying?: Saying): void {
    const { link } = dialled;
    const wire = this.#wires.get(dialled);
    if (wire === undefined || !isOpen(wire)) return;
    if (saying !== undefined) this.#say(wire, saying);
    const ended = link.ends > 0;
    if (isOpen(wire) && !link.finished) link.fin();
    if (isOpen(wire) && ended) link.lost();
  }

  /** What comes late from a connection that was given up changes nothing [S10]. */
  #haunt(place: number): void {
    const { socket } = this.#stage;
    const gone = pick([...this.#wires.values()].filter((wire) => !isOpen(wire)), place); // prettier-ignore
    const look = (): unknown => [socket.stats(), this.#frames.told.length, this.#errors, this.#stage.told.all.length];
    const before = look();
    gone?.dialled.link.haunt();
    expect(look(), 'haunted').to.eql(before);
  }

  // ---- the end

  /** Somebody reads, nothing holds, links work: soon all is told that was not dropped, and all is written. */
  #calmDown(): void {
    this.#calm = true;
    for (const release of this.#frames.releases.splice(0)) release();
    this.#subscribe();
    for (const { link } of this.#stage.dials) this.#confirm(link);
  }

  #judgeProgress(): void {
    this.#look();
    if (this.#ending) return;
    this.#messages.judgeProgress();
    this.#frames.judgeProgress();
  }
}

function isOfPeer(act: Act): act is PeerAct {
  return ['say', 'confirm', 'fail the write', 'lose', 'fin'].includes(act.do);
}

function pick<T>(items: readonly T[], place: number): T | undefined {
  return items.length === 0 ? undefined : items[place % items.length];
}
