import { expect } from 'chai';
import { allSnippets, inTwoLanes, openWorkshop, type Outcome, type Workshop } from './support/snippets.js';

/** A snippet that runs longer is killed. */
const PATIENCE = 20_000;

describe('the documentation', () => {
  const snippets = allSnippets();
  const running = snippets.filter(({ runs }) => runs);
  let workshop: Workshop;
  let outcomes: Map<string, Promise<Outcome>>;

  before(function () {
    this.timeout(120_000);
    workshop = openWorkshop(snippets);
    const jobs = running.map((snippet) => ({ code: snippet.code, start: () => workshop.run(snippet, PATIENCE) }));
    const started = inTwoLanes(jobs);
    // Each spec awaits its own; one that mocha does not come to must not be an unhandled rejection.
    for (const outcome of started) outcome.catch(() => undefined);
    outcomes = new Map(running.map(({ name }, i) => [name, started[i]!]));
  });

  after(async function () {
    this.timeout(0);
    await Promise.allSettled(outcomes.values());
    workshop.close();
  });

  for (const { name } of snippets) {
    it(`compiles at ${name}`, () => expect(workshop.faults.get(name)).to.eql([]));
  }

  for (const { name, output } of running) {
    it(`runs at ${name}`, async function () {
      // It may have to wait for all that came before it in its lane.
      this.timeout(PATIENCE * running.length);
      const { exitCode, stdout, stderr } = await outcomes.get(name)!;
      expect(stderr).to.equal('');
      expect(exitCode, `the exit code (none: killed after ${PATIENCE} ms); it printed ${stdout}`).to.equal(0);
      if (output !== undefined) expect(stdout).to.equal(output);
    });
  }
});
