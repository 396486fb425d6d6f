import { expect } from 'chai';
import { ReconnectLimitError } from '../../../lib/errors.js';
import type { TcpError } from '../../../lib/errors.js';
import type { ConnectionStatus } from '../../../lib/monitor/status.js';
import type { Dialled } from '../stage.js';
import { MAX_DELAY, type Schedule } from './schedule.js';
import type { Wire } from './wire.js';

/** Of dials [S8]: one at a time, none without need, each at the time that was told and that the policy allows, and the number of each. */
export class Dials {
  readonly #schedule: Schedule;
  readonly #drawn: () => number;
  #asked = false;
  #phase: 'dialling' | 'open' | 'over' | 'waiting' | 'closing' = 'over';
  /** Since the last reset. */
  #attempt = 0;
  #redials = -1;
  #epoch = 0;
  #due = 0;
  /** It closes after a loss, and not because it was asked to: of what comes then the number of redials is known. */
  #givesUp = false;
  /** A dial was asked for while the loss of a connection was under way: it is granted. */
  #granted = false;
  /** What is open, or was before the loss. */
  #wire: Wire | undefined;

  constructor(schedule: Schedule, drawn: () => number) {
    this.#schedule = schedule;
    this.#drawn = drawn;
  }

  /** Whether a dial that is asked for now begins at once. */
  get ready(): boolean {
    return this.#phase === 'waiting' || this.#phase === 'open';
  }

  /** A user asks for a dial in there. */
  whileAsking(ask: () => void): void {
    const outer = this.#asked;
    this.#asked = true;
    this.#granted ||= this.#phase === 'over';
    ask();
    this.#asked = outer;
  }

  dialled(now: number, others: readonly Dialled[]): void {
    const alive = others.filter(({ gone, failed, link }) => !gone && !failed && !link.destroyed);
    expect(alive.length, 'other dials alive').to.equal(0);
    if (this.#phase === 'closing') return this.#dialledWhileClosing(now);
    expect(this.#phase, 'before a dial').to.equal('dialling');
  }

  #dialledWhileClosing(now: number): void {
    if (!this.#asked) expect(now - this.#due, 'a wait while closing').to.be.within(0, MAX_DELAY);
  }

  opened(wire: Wire): void {
    this.#wire = wire;
    expect(wire.epoch, 'epoch').to.equal(++this.#epoch);
    if (this.#phase !== 'closing') this.#phase = 'open';
  }

  /** A dial failed, or a connection is over, for whatever reason. */
  over(now: number): void {
    this.#due = now;
    if (this.#phase === 'closing') return;
    if (this.#phase !== 'open') this.#wire = undefined;
    this.#phase = 'over';
  }

  /** Whether the count starts anew with the loss. */
  get #reset(): 'yes' | 'no' | 'maybe' {
    if (this.#wire === undefined) return 'no';
    const { answered, wrote, openedAt, frames } = this.#wire;
    const life = this.#due - openedAt;
    if (answered || life > this.#schedule.stableAfter) return 'yes';
    // A frame that came is an answer once it is told; and of two things at the same ms either may be the first.
    return (wrote && frames.length > 0) || life === this.#schedule.stableAfter ? 'maybe' : 'no';
  }

  status(status: ConnectionStatus, now: number): void {
    if (status.type === 'backoff') {
      this.#count(status.attempt);
      this.#judgeDelay(status.delay);
      this.#phase = 'waiting';
      this.#due = now + status.delay;
    } else if (status.type === 'connecting') {
      if (this.#phase === 'over') {
        expect(this.#asked || this.#granted || this.#attempt === 0, 'a dial without a wait was asked for').to.be.true;
        this.#count(status.attempt);
      } else {
        expect(this.#phase, 'before connecting').to.equal('waiting');
        if (!this.#asked) expect(now, 'the dial').to.be.closeTo(this.#due, 1e-6);
      }
      expect(status.attempt, 'attempt').to.equal(++this.#attempt);
      this.#phase = 'dialling';
      this.#granted = false;
    } else if (status.type === 'open') expect([status.epoch, this.#phase], 'open').to.eql([this.#epoch, 'open']);
    else if (status.type !== 'idle') {
      if (this.#phase !== 'closing') this.#givesUp = this.#phase === 'over';
      this.#phase = 'closing';
      this.#due = now;
    }
  }

  /** A redial follows, of which this number was told. */
  #count(told: number): void {
    expect(this.#phase, 'before a redial').to.equal('over');
    if (this.#reset === 'yes' || (this.#reset === 'maybe' && told === 1)) this.#attempt = this.#redials = 0;
    this.#redials++;
    expect(told, 'attempt to come').to.equal(this.#attempt + 1);
    if (!this.#asked && !this.#granted)
      expect(this.#redials, 'redials in a row').to.be.at.most(this.#schedule.maxAttempts);
  }

  #judgeDelay(delay: number): void {
    const { initialDelay } = this.#schedule;
    const full = Math.min(MAX_DELAY, initialDelay * 2 ** (this.#redials - 1));
    const jittered = full * this.#drawn();
    const least = this.#redials === 1 ? jittered : Math.max(jittered, Math.min(10, initialDelay));
    expect(delay, `delay of redial ${this.#redials}`).to.be.closeTo(least, 1e-6);
  }

  error(error: TcpError): void {
    if (!(error instanceof ReconnectLimitError)) return;
    expect(error.attempts, 'gave up').to.be.at.least(this.#schedule.maxAttempts);
    if (!this.#givesUp) return;
    expect(this.#reset, 'gave up after a connection that had proved itself').not.to.equal('yes');
    if (this.#reset === 'no') expect(error.attempts, 'redials in a row').to.equal(this.#redials);
  }

  /** Between two steps. */
  judge(now: number): void {
    expect(this.#phase, 'nothing follows the loss').not.to.equal('over');
    if (this.#phase === 'waiting') expect(now, 'overdue').to.be.at.most(this.#due + 1e-6);
  }
}
