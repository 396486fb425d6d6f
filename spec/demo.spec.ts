import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { bars, liveView } from '../demo/reactive-app/live-view.js';
import { deadPort } from './support/servers.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Folders of what users copy as a whole, and how many lines of code each may have. */
const CLIENTS: Readonly<Record<string, number>> = { redis: 270, nats: 200, mqtt: 250 };

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
    const options = { cwd: ROOT, env, timeout: 30_000, killSignal: 'SIGKILL' } as const;
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

function numbersIn(line: string): number[] {
  return [...line.matchAll(/\d+/g)].map(Number);
}

describe('the demos', function () {
  this.timeout(40_000);

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

  it('failover shows each message arrive at the server that is there', async () => {
    const turn = (message: number, [name, other]: readonly [string, string]): string[] => [
      `message ${message} arrived at ${name}`,
      `-- ${name} is killed`,
      `message ${message + 1} arrived at ${other}`,
    ];
    expect(await linesOf('failover')).to.eql([
      ...turn(1, ['anna', 'otto']),
      ...turn(3, ['otto', 'anna']),
      ...turn(5, ['anna', 'otto']),
      ...turn(7, ['otto', 'anna']),
      '8 written: anna has 1 4 5 8, otto has 2 3 6 7',
    ]);
  });

  it('tls shows a session of its own, one that is resumed, and an authority that is not known', async () => {
    expect(await linesOf('tls')).to.eql([
      'connection 1: TLSv1.3, a session of its own',
      '< nobody else reads this',
      'connection 2: TLSv1.3, the session of the one before',
      '< nor this',
      'TCP_TLS: UNABLE_TO_VERIFY_LEAF_SIGNATURE, 0 bytes written',
    ]);
  });

  it('starttls shows what goes in the clear, and that a message waits until TLS stands', async () => {
    expect(await linesOf('starttls')).to.eql([
      '> MAIL FROM:<ann@example.org>',
      '  in the clear: < 220 mail.example.org',
      '  in the clear: > STARTTLS',
      '  in the clear: < 220 go ahead',
      '< 250 ok',
      '  TLSv1.3, and the server is verified: true',
      '> QUIT',
      '< 221 bye',
    ]);
  });

  it('proxy shows that nothing is lost, and that a reset stays a reset', async () => {
    expect(await linesOf('proxy')).to.eql([
      '8 MiB to an echo server and back, the same bytes: true',
      'A server that resets its connection resets ours: TCP_CONNECTION_LOST',
    ]);
  });

  it('reactive-app tells of three faults of its server, and goes on over a new connection after each [S8]', async () => {
    const printed = await linesOf('reactive-app');
    expect(printed.filter((line) => line.startsWith('--'))).to.eql([
      '-- the exchange resets the connection',
      '-- the exchange falls silent, and reads no more',
      '-- the exchange goes down for a second',
    ]);
    expect(printed.filter((line) => /connection to \S+ (lost|ended)/.test(line))).to.have.lengthOf.at.least(3);
    expect(printed).to.include('   silence: dialling again');
    // None was refused or given up, and all are written by the end.
    expect(printed.filter((line) => line.includes('message'))).to.eql([]);
    const [made, seen, missed] = numbersIn(printed.at(-2)!);
    expect(seen).to.be.within(1, made! - 1);
    expect(missed).to.equal(made! - seen!);
    const [written, lost] = numbersIn(printed.at(-1)!);
    expect(written).to.be.greaterThan(lost!);
  });

  it('reactive-app draws its rows in place on a terminal, cut to its width, below the lines that stay', () => {
    const written: unknown[] = [];
    const terminal = { isTTY: true, columns: 9, write: (text: unknown) => written.push(text) > 0 };
    let count = 0;
    const view = liveView(
      () => ['as it is', `and ${++count} too long`],
      () => expect.fail(),
      terminal,
    );
    view.log('one');
    view.log('two lines\nat once');
    view.close();
    expect(written).to.eql([
      '\x1b[Jone\nas it is\nand 1 to\n',
      '\x1b[2A\x1b[Jtwo lines\nat once\nas it is\nand 2 to\n',
      '\x1b[2A\x1b[Jas it is\nand 3 to\n',
    ]);
    expect(bars([0, 30, 60, 90], 60)).to.equal('▁▅██');
  });

  it('lists the demos when there is none of that name, and exits with 1', async () => {
    const { exitCode, stdout, stderr } = await runDemo('nope');
    expect(stderr).to.equal('');
    expect(exitCode).to.equal(1);
    const shared = ['index.ts', 'certificates.ts'];
    const files = readdirSync(`${ROOT}demo`).filter((file) => file.endsWith('.ts') && !shared.includes(file));
    for (const name of files.map((file) => file.replace(/\.ts$/, ''))) {
      expect(stdout).to.match(new RegExp(`^  ${name} +\\S.+$`, 'm'));
    }
  });

  for (const [name, missing] of [
    ['redis', 'redis-server'],
    ['nats', 'nats-server'],
    ['mqtt', 'mosquitto'],
    ['ingest-bridge', 'nats-server'],
  ] as const) {
    it(`${name} says what is missing where its server is not, and how to start one, and exits with 1`, async () => {
      const { exitCode, stdout, stderr } = await runDemo(name, `127.0.0.1:${await deadPort()}`);
      expect(stderr).to.equal('');
      expect(exitCode).to.equal(1);
      expect(stdout).to.include(missing);
    });
  }

  it('are short: under 60 lines each, save the clients, which are folders of 200 to 270 lines of code', () => {
    const files = readdirSync(`${ROOT}demo`, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    );
    const linesOf = (file: string): string[] => readFileSync(`${ROOT}demo/${file}`, 'utf8').trimEnd().split('\n');
    const isClient = (file: string): boolean => dirname(file) in CLIENTS;
    for (const file of files.filter((name) => !isClient(name))) expect(linesOf(file), file).to.have.lengthOf.below(60);
    for (const [client, limit] of Object.entries(CLIENTS)) {
      const code = files.filter((file) => dirname(file) === client).flatMap(linesOf);
      const lines = code.filter((line) => !/^\s*(\/\/|\/?\*|$)/.test(line));
      expect(lines, client).to.have.lengthOf.within(1, limit);
    }
  });
});
