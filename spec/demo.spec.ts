import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What `npm run demo -- name` runs, as package.json says it. A demo that does not end is killed. */
function runDemo(...names: string[]): Promise<Outcome> {
  const { scripts } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as { scripts: { demo: string } };
  const [, ...args] = scripts.demo.split(' ');
  const { FORCE_COLOR: _forced, NODE_OPTIONS: _options, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const options = { cwd: ROOT, env, timeout: 15_000, killSignal: 'SIGKILL' } as const;
    const child = spawn(process.execPath, [...args, ...names], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}

/** Runs a demo that must go well, and gives what it printed, line by line. */
async function linesOf(...names: string[]): Promise<string[]> {
  const { exitCode, stdout, stderr } = await runDemo(...names);
  expect(stderr).to.equal('');
  expect(exitCode, `the exit code; it printed ${stdout}`).to.equal(0);
  return stdout.trimEnd().split('\n');
}

describe('the demos', () => {
  it('echo, the default, shows each message come back over a connection of its own', async () => {
    const printed = await linesOf();
    const messages = ['hi', 'still there?', 'grüße', 'bye'];
    const expected = messages.flatMap((message, i) => [
      `> ${message}`,
      `  connection ${i + 1} is open`,
      `< ${message}   ${Buffer.from(message).toString('hex')}`,
      `  connection ${i + 1} is gone: TCP_CONNECTION_LOST`,
    ]);
    // The first dial and the first message start together.
    expect(printed.slice(0, -1)).to.have.members(expected);
    expect(printed.filter((line) => line.startsWith('<'))).to.eql(expected.filter((line) => line.startsWith('<')));
    expect(printed.at(-1)).to.equal('4 messages written, 24 bytes echoed, 4 connections lost on the way');
  });

  it('reconnect shows three deaths of its server, and what written means [S2] [S4]', async () => {
    const printed = await linesOf('reconnect');
    expect(printed.filter((line) => line.startsWith('-- the server is back'))).to.have.lengthOf(3);
    expect(printed.filter((line) => line === 'error:  TCP_CONNECTION_LOST')).to.have.lengthOf(3);
    const arrived = printed.flatMap((line) => /arrived: message (\d+)/.exec(line)?.[1] ?? []).map(Number);
    expect(arrived).to.eql([...new Set(arrived)].sort((a, b) => a - b));
    expect(arrived).to.include.members([1, 3, 4, 6, 7, 9]);
    expect(printed.at(-1)).to.match(new RegExp(`^written 9, arrived ${arrived.length}, written again [0-3]$`));
  });

  it('lines shows who hears what in a chat room', async () => {
    expect(await linesOf('lines')).to.eql([
      '* ann comes in                     heard by ann',
      '* bob comes in                     heard by ann, bob',
      '* eve comes in                     heard by ann, bob, eve',
      'ann: hello, bob                    heard by ann, bob, eve',
      'bob: hello, ann! and who is eve?   heard by ann, bob, eve',
      '* eve leaves                       heard by ann, bob',
      'ann: a quiet one                   heard by ann, bob',
    ]);
  });

  it('lists the demos when there is none of that name, and exits with 1', async () => {
    const { exitCode, stdout, stderr } = await runDemo('nope');
    expect(stderr).to.equal('');
    expect(exitCode).to.equal(1);
    const files = readdirSync(`${ROOT}demo`).map((file) => file.replace(/\.ts$/, ''));
    for (const name of files.filter((file) => file !== 'index')) {
      expect(stdout).to.match(new RegExp(`^  ${name} +\\S.+$`, 'm'));
    }
  });

  it('are short: under 60 lines each', () => {
    for (const file of readdirSync(`${ROOT}demo`)) {
      expect(readFileSync(`${ROOT}demo/${file}`, 'utf8').trimEnd().split('\n'), file).to.have.lengthOf.below(60);
    }
  });
});
