import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { workloads } from '../bench/workloads.js';

interface Report {
  readonly rows: readonly {
    readonly workload: string;
    readonly unit: string;
    readonly contestants: readonly { readonly name: string; readonly values: readonly unknown[] }[];
  }[];
}

describe('the benchmarks', function () {
  this.timeout(120_000);

  it('do their work, every workload and metric with ours and, where there is one, raw', async () => {
    const { rows } = await briefRun();
    const measured = rows.map(({ workload, unit, contestants }) =>
      [workload, unit, ...namesOf(contestants)].join(', '),
    );
    const possible = workloads.filter(({ lacks }) => lacks?.() === undefined);
    const expected = possible.flatMap(({ name, metrics, raw }) =>
      metrics.map(({ unit }) => [name, unit, ...(raw === undefined ? [] : ['raw']), 'rx-tcp'].join(', ')),
    );
    expect(measured).to.eql(expected);
    for (const { contestants } of rows) {
      for (const { values } of contestants) expect(values).to.have.length(1);
      for (const { values } of contestants) expect(values[0]).to.satisfy(Number.isFinite);
    }
  });
});

/** Rivals from npm take part where they are installed, hence are not counted on. */
function namesOf(contestants: readonly { readonly name: string }[]): string[] {
  return contestants.map(({ name }) => name).filter((name) => name === 'raw' || name === 'rx-tcp');
}

/** Each contestant once and briefly. Rejects if one did not do its work. */
async function briefRun(): Promise<Report> {
  const script = fileURLToPath(new URL('../bench/main.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--check', '--json']);
  return JSON.parse(stdout) as Report;
}
