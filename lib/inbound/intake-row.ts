import type { Intake } from './intake.js';

/** The connections that bytes came from, the oldest first. Only the first is decoded. */
export class IntakeRow<In> {
  readonly #intakes: Intake<In>[] = [];

  get first(): Intake<In> | undefined {
    return this.#intakes[0];
  }

  /** Bytes that were read and wait. */
  get heldBytes(): number {
    return this.#intakes.reduce((sum, intake) => sum + intake.heldBytes, 0);
  }

  push(intake: Intake<In>): void {
    this.#intakes.push(intake);
  }

  remove(intake: Intake<In>): void {
    const at = this.#intakes.indexOf(intake);
    if (at >= 0) this.#intakes.splice(at, 1);
  }

  /** Takes those of another over, behind its own. */
  absorb(other: IntakeRow<In>): void {
    this.#intakes.push(...other.empty());
  }

  /** Takes them all out. */
  empty(): Intake<In>[] {
    return this.#intakes.splice(0);
  }
}
