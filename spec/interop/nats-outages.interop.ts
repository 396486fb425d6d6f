/** The NATS client of demo/ when its connection is cut, its server starts anew, or gives it up. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { filter, firstValueFrom, lastValueFrom, map, mergeMap, range, take, toArray } from 'rxjs';
import { ConnectError } from '../../lib/index.js';
import { faultProxy, type Direction } from '../support/fault-proxy.js';
import { leavesNothingOpen } from '../support/fixture.js';
import { tape } from '../support/tape.js';
import { echo, isHeard, newPlace, openClient } from './support/nats-clients.js';
import { startNats } from './support/real-servers.js';

const CUTS = 10;
const MESSAGES = 10_000;
const WAVE = 100;
const MIB = 1024 * 1024;

/** A configuration file; a suite's `args` name it. */
function configured(...lines: string[]): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'rx-tcp-nats-'));
  const file = join(folder, 'nats.conf');
  writeFileSync(file, `${lines.join('\n')}\n`);
  after(() => rmSync(folder, { recursive: true, force: true }));
  return ['-c', file];
}

/** A way to the server on which the first connections are reset, each when so many bytes have passed. */
function cutting(port: number, direction: Direction, bytes: number) {
  const plan = (index: number) => (index < CUTS ? ({ [direction]: { limit: { bytes, then: 'reset' } } } as const) : {});
  return faultProxy(port, { plan });
}

const numberOf = ({ payload }: { payload: Buffer }): number => Number.parseInt(String(payload));

describe('the NATS client, when a connection is cut', () => {
  const nats = startNats();
  leavesNothingOpen();

  it(`may lose what was written to one of ${CUTS} that are, and nothing else`, async () => {
    const publisher = openClient(await cutting(nats.port, 'up', 40_000), { retryLimit: 1_000 });
    const subscriber = openClient(nats);
    const subject = newPlace();
    const arrived = tape(subscriber.subscribe(subject));
    await isHeard(subscriber);

    // All at once would be in the kernels before the first cut, and lost with it.
    const epochs: number[] = [];
    const publish = async (i: number): Promise<void> => {
      await publisher.publish({ subject, payload: `${i} ${'x'.repeat(20)}` });
      epochs[i] = publisher.socket.stats().epoch;
    };
    for (let first = 0; first < MESSAGES; first += WAVE) {
      await Promise.all(Array.from({ length: WAVE }, (_, i) => publish(first + i)));
      await isHeard(publisher);
    }
    await isHeard(subscriber);

    const numbers = arrived.values.map(numberOf);
    const there = new Set(numbers);
    const last = CUTS + 1;
    const { framesRetried, drops } = publisher.socket.stats();
    const lost = epochs.filter((_, i) => !there.has(i));
    figure(
      `${MESSAGES} published through ${drops} cuts: ${lost.length} lost, ${numbers.length - there.size} came twice, ${framesRetried} were written twice`,
    );
    expect(drops).to.equal(CUTS);
    expect(epochs.at(-1)).to.equal(last);
    expect(Math.max(...lost)).to.be.below(last);
    expect(numbers.length - there.size).to.be.at.most(framesRetried);
  });

  it(`loses no question in ${MESSAGES} that may be asked again`, async () => {
    const asker = openClient(await cutting(nats.port, 'up', 50_000));
    const answerer = openClient(nats);
    const subject = newPlace();
    echo(answerer, subject);
    await isHeard(answerer);
    const ask = (i: number) =>
      asker
        .request({ subject, payload: `${i}` }, { resend: 'always', retryLimit: 1_000 })
        .pipe(map((answer) => [i, numberOf(answer)]));
    const answers = await lastValueFrom(range(0, MESSAGES).pipe(mergeMap(ask), toArray()));
    expect(answers.filter(([asked, answer]) => asked === answer)).to.have.lengthOf(MESSAGES);
    expect(asker.socket.stats()).to.include({ drops: CUTS });
  });

  it('subscribes again, and gets what is published from then on, in order and once', async () => {
    const subscriber = openClient(await cutting(nats.port, 'down', 20_000));
    const publisher = openClient(nats);
    const subject = newPlace();
    const arrived = tape(subscriber.subscribe(subject));
    let published = 0;
    while (subscriber.socket.stats().epoch <= CUTS) {
      for (let i = 0; i < 50; i++) void publisher.publish({ subject, payload: `${published++} ${'x'.repeat(100)}` });
      await isHeard(publisher);
    }
    await isHeard(subscriber);
    await publisher.publish({ subject, payload: `${published++}` });
    const last = await arrived.first((message) => numberOf(message) === published - 1);
    const numbers = arrived.values.map(numberOf);
    figure(`${published} published, ${numbers.length} of them to a subscriber that was cut ${CUTS} times`);
    expect(arrived.values.at(-1)).to.equal(last);
    expect(numbers).to.eql([...new Set(numbers)].sort((a, b) => a - b));
    expect(numbers.length).to.be.above(CUTS * 50);
  });
});

describe('the NATS client, when its server starts anew', () => {
  const nats = startNats();
  leavesNothingOpen();

  for (const how of ['gracefully', 'abruptly'] as const) {
    it(`after it has ended ${how}, subscribes again before it writes what has waited`, async () => {
      const client = openClient(nats);
      const other = openClient(nats);
      const subject = newPlace();
      const [mine, shared] = [tape(client.subscribe(subject)), tape(other.subscribe(subject, 'group'))];
      await Promise.all([isHeard(client), isHeard(other)]);
      await nats.stop(how);
      await firstValueFrom(client.socket.status.pipe(filter(({ type }) => type === 'backoff')));
      for (let i = 0; i < 100; i++) void client.publish({ subject, payload: `${i}` });
      await nats.start();
      await mine.at(99);
      await isHeard(other);
      await client.publish({ subject, payload: '100' });
      await Promise.all([mine.at(100), shared.first((message) => numberOf(message) === 100)]);
      expect(mine.values.map(numberOf)).to.eql(Array.from({ length: 101 }, (_, i) => i));
    });
  }
});

describe('the NATS client, when it is asked who it is', () => {
  const nats = startNats({ args: ['--user', 'ann', '--pass', 's3cret'] });
  leavesNothingOpen();

  it('is let in with the right password', async () => {
    const client = openClient(nats, { login: { user: 'ann', pass: 's3cret' } });
    await isHeard(client);
    expect(client.socket.stats()).to.include({ epoch: 1, dials: 1 });
  });

  for (const [what, login] of [
    ['a wrong one', { user: 'ann', pass: 'secret' }],
    ['none', {}],
  ] as const) {
    it(`gives up with ${what}`, async () => {
      const client = openClient(nats, { login });
      const frames = tape(client.socket.inbound);
      await frames.end;
      expect(frames.error).to.be.instanceOf(ConnectError);
      expect((frames.error as ConnectError).cause).to.have.property('code', 'NATS_REFUSED');
      expect(client.socket.stats()).to.include({ dials: 1 });
    });
  }
});

describe('the NATS client, when it is slow', () => {
  const patient = startNats();
  const impatient = startNats({ args: configured('max_pending: 4MB', 'write_deadline: "1s"') });
  leavesNothingOpen();

  it('gets all in the end, if it holds for no longer than the server has room', async () => {
    const [slow, publisher] = [openClient(patient), openClient(patient)];
    const subject = newPlace();
    const arrived = firstValueFrom(slow.subscribe(subject).pipe(map(numberOf), take(2_000), toArray()));
    await isHeard(slow);
    const release = slow.socket.pause();
    const payloads = Array.from({ length: 2_000 }, (_, i) => `${i} ${'x'.repeat(10_000)}`);
    await publisher.socket.writeAll(payloads.map((payload) => ({ subject, payload })));
    await isHeard(publisher);
    release();
    expect(await arrived).to.eql(payloads.map((_, i) => i));
    expect(slow.socket.stats()).to.include({ drops: 0 });
  });

  it('is given up if it holds for longer, comes back, and has been in nobody’s way', async () => {
    const [slow, quick, publisher] = [openClient(impatient), openClient(impatient), openClient(impatient)];
    const subject = newPlace();
    const [late, early] = [tape(slow.subscribe(subject)), tape(quick.subscribe(subject))];
    await Promise.all([isHeard(slow), isHeard(quick)]);
    const release = slow.socket.pause();
    for (let i = 0; i < 32; i++) {
      await publisher.publish({ subject, payload: `${i} ${'x'.repeat(MIB - 10)}` });
      await early.at(i);
    }
    release();
    const lost = await firstValueFrom(slow.socket.errors.pipe(filter(({ code }) => code === 'TCP_CONNECTION_LOST')));
    await isHeard(slow);
    await publisher.publish({ subject, payload: '32' });
    await late.first((message) => numberOf(message) === 32);
    expect(lost).to.include({ endedBy: 'peer' });
    expect(late.values.length).to.be.below(32);
    await early.at(32);
    expect(early.values.map(numberOf)).to.eql(Array.from({ length: 33 }, (_, i) => i));
    expect([quick, publisher].map(({ socket }) => socket.stats().drops)).to.eql([0, 0]);
  });
});

describe('the NATS client, when it is asked whether it is there', () => {
  const nats = startNats({ args: configured('ping_interval: "50ms"', 'ping_max: 2') });
  leavesNothingOpen();

  it('answers each time', async () => {
    const client = openClient(nats);
    const pings = client.socket.inbound.pipe(filter(({ op }) => op === 'PING'));
    await lastValueFrom(pings.pipe(take(10)));
    expect(client.socket.stats()).to.include({ epoch: 1, drops: 0 });
  });
});

function figure(text: string): void {
  console.log(`    [figure] ${text}`);
}
