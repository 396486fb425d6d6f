import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

interface Report {
  readonly passes: readonly { readonly title: string }[];
  readonly pending: readonly { readonly title: string }[];
  readonly failures: readonly { readonly title: string; readonly err: { readonly message: string } }[];
}

describe('the guard of the specs', () => {
  let report: Report;

  before(async () => {
    report = await fixtureReport();
  });

  it('fails each spec for its own fault and no other', () => {
    expect(report.failures.map(({ title, err }) => [title, err.message])).to.eql([
      ['fails: throws in a timer and goes on', 'late throw'],
      ['fails: throws in a timer after its end', 'throw after the end'],
      ['fails: leaves a rejection', 'left alone'],
      ['fails: leaves a rejection and waits for ever', 'left alone, waiting'],
      ['fails: warns', 'the process warned during this spec: Warning: careful'],
      ['fails: warns, with a callback', 'the process warned during this spec: Warning: careful, called back'],
      ['fails: expects what never comes', 'nothing uncaught came that matches /never/'],
      ['fails: expects one and gets another', 'the other'],
      ['fails: as ever', 'as ever'],
      ['fails: as ever, with a callback', 'as ever, called back'],
      [
        '"after each" hook: afterEach for "passes, and its hook fails"',
        'the process warned during this spec: Warning: from a hook',
      ],
    ]);
  });

  it('lets pass what a spec expects', () => {
    expect(report.passes.map(({ title }) => title)).to.eql([
      'passes: expects a throw',
      'passes: expects a rejection, without waiting',
      'passes: expects a warning',
      'passes: with a callback',
      'fails twice and passes then',
      'passes, and its hook fails',
    ]);
  });

  it('leaves skipping to mocha', () => {
    expect(report.pending.map(({ title }) => title)).to.eql(['skips', 'skips later']);
  });
});

function fixtureReport(): Promise<Report> {
  const mocha = fileURLToPath(new URL('../../node_modules/mocha/bin/mocha.js', import.meta.url));
  const options = ['--no-config', '--node-option', 'no-warnings', '--node-option', 'loader=ts-node/esm'];
  const files = ['--require', 'spec/support/guard.ts', '--reporter', 'json', 'spec/support/guard.fixture.ts'];
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [mocha, ...options, ...files], { cwd }, (_error, stdout, stderr) => {
      const start = stdout.indexOf('{');
      if (start < 0) reject(new Error(`no report came: ${stdout}${stderr}`));
      else resolve(JSON.parse(stdout.slice(start)) as Report);
    });
  });
}
