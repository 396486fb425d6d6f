import { expect } from 'chai';
import { TestScheduler, type RunHelpers } from 'rxjs/testing';

/** Runs a script of marbles in virtual time; what it expects is compared when it has returned. */
export function marbles(script: (helpers: RunHelpers, scheduler: TestScheduler) => void): void {
  const scheduler = new TestScheduler((actual, expected) => void expect(actual).to.eql(expected));
  scheduler.run((helpers) => script(helpers, scheduler));
}
