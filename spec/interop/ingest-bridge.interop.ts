/** The ingest bridge of demo/: what its sources give is in the stream, whoever is killed meanwhile. */
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { expect } from 'chai';
import { combineLatest, filter, firstValueFrom, type Observable } from 'rxjs';
import { run } from '../../demo/ingest-bridge.js';
import { IN_FLIGHT } from '../../demo/ingest-bridge/bridge.js';
import { openFleet, type Bridge } from '../../demo/ingest-bridge/fleet.js';
import type { Report } from '../../demo/ingest-bridge/process.js';
import { openStream, type Stream } from '../../demo/ingest-bridge/stream.js';
import { atEnd, leavesNothingOpen } from '../support/fixture.js';
import { deadPort } from '../support/servers.js';
import { Ledger, openSources, untilStill, type Sources } from './support/bridged.js';
import { startNats } from './support/real-servers.js';

/** `SHOWS=full npm run test:interop` has a million frames. */
const FULL = process.env.SHOWS === 'full';
const [SOURCES, FRAMES] = FULL ? [50, 20_000] : [10, 2_000];
const TOTAL = SOURCES * FRAMES;
/** Reports in a row, five a second, for which nothing may move before the broker comes back. */
const STILL = FULL ? 50 : 5;
const MIB = 1024 * 1024;

describe('the ingest bridge', function () {
  // Processes are started, and a bridge that hangs is given up after ten seconds.
  this.timeout(FULL ? 1_200_000 : 120_000);
  const nats = startNats({ jetstream: true });
  leavesNothingOpen();

  it(`has ${TOTAL} frames of ${SOURCES} sources in the stream, though the broker and a bridge are killed in the middle`, async () => {
    const sources = await openSources(SOURCES, FRAMES, FRAMES / 4);
    const { stream, fleet } = await begun(sources);
    const clock = stopwatch();

    await sources.reach(TOTAL / 4);
    const outages = fleet.map((bridge) => untilStill(bridge, STILL));
    await nats.stop('abruptly');
    figure(`${clock()}: the broker is killed, ${sources.acknowledged()} frames are acknowledged`);
    const ends = (await Promise.all(outages)).map(endOf);
    figure(`bridges that take no more: ${ends.map(({ text }) => text).join('; ')}`);
    for (const { waiting, growth } of ends) {
      expect(waiting).to.be.at.most(IN_FLIGHT);
      expect(growth).to.be.below(32 * MIB);
    }
    await nats.start();
    figure(`${clock()}: the broker is back`);

    await sources.reach(TOTAL / 2);
    const [victim, survivor] = ends[0]!.waiting > 0 ? fleet : fleet.toReversed();
    await victim!.kill('SIGKILL');
    figure(`${clock()}: a bridge is killed, ${sources.acknowledged()} frames are acknowledged`);
    await sources.reach(TOTAL);
    const { duplicates } = await firstValueFrom(survivor!.reports);
    figure(`${clock()}: all are acknowledged; ${sources.again()} were given again, of ${duplicates} the stream knew`);

    const ledger = await readBack(stream);
    figure(`connections of sources that were lost otherwise than by a FIN: ${JSON.stringify(sources.losses)}`);
    figure(`the stream has ${ledger.messages} messages, ${ledger.distinct} different ones`);
    expect(ledger).to.include({ distinct: TOTAL, strange: 0 });
    await survivor!.kill('SIGTERM');
    expect(survivor!.process.exitCode).to.equal(0);
    await stream.remove();
  });

  it('loses nothing of what waits in a bridge that is killed while the broker is down', async () => {
    const sources = await openSources(10, 2_000, 500);
    const { stream, fleet } = await begun(sources);
    await sources.reach(2_000);
    const stills = fleet.map((bridge) => untilStill(bridge, 5));
    await nats.stop('abruptly');
    const [first] = (await Promise.all(stills)).map(endOf);
    await fleet[first!.waiting > 0 ? 0 : 1]!.kill('SIGKILL');
    await nats.start();
    await sources.reach(20_000);
    expect(await readBack(stream, 10, 2_000)).to.include({ distinct: 20_000, strange: 0 });
    await stream.remove();
  });

  it('stands in for a bridge that hangs, and what that one does when it wakes up does no harm', async () => {
    const sources = await openSources(10, 4_000, 500);
    const { stream, fleet } = await begun(sources);
    const [hanging] = fleet;
    hanging!.process.kill('SIGSTOP');
    await sources.reach(40_000);
    hanging!.process.kill('SIGCONT');
    await firstValueFrom(hanging!.reports.pipe(filter(({ taken, acknowledged }) => taken === acknowledged)));
    expect(sources.again()).to.be.above(0);
    expect(await readBack(stream, 10, 4_000)).to.include({ messages: 40_000, distinct: 40_000, strange: 0 });
    await stream.remove();
  });

  it('holds its sources until there is a stream', async () => {
    const connection = await connected();
    const { name, remove } = await openStream(connection);
    await remove();
    const sources = await openSources(10, 300, 300);
    const [bridge] = bridges(name, sources, 1);
    await firstValueFrom(bridge!.reports.pipe(filter(({ failed }) => failed >= IN_FLIGHT)));
    expect(sources.acknowledged()).to.equal(0);
    const stream = await openStream(connection);
    await sources.reach(3_000);
    expect(await readBack(stream, 10, 300)).to.include({ distinct: 3_000, strange: 0 });
    await stream.remove();
  });

  it('is shown by its demo', async () => {
    const printed: string[] = [];
    await run((line) => printed.push(line), servers());
    expect(printed).to.include('-- one of the two bridges is killed; the other one stands in for it');
    expect(printed.at(-1)).to.match(/^the stream has \d+ messages, 30000 different ones$/);
  });

  it('explains itself in its demo when there is no broker', async () => {
    const printed: string[] = [];
    const before = process.exitCode;
    await run((line) => printed.push(line), `127.0.0.1:${await deadPort()}`);
    expect(process.exitCode).to.equal(1);
    process.exitCode = before;
    expect(printed.join('\n')).to.include('nats-server -js');
  });

  function servers(): string {
    return `127.0.0.1:${nats.port}`;
  }

  async function connected(): Promise<NatsConnection> {
    const connection = await connect({ servers: servers(), maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    atEnd(() => connection.close());
    return connection;
  }

  function bridges(stream: string, { list }: Sources, count = 2): Bridge[] {
    const fleet = openFleet(count, { servers: servers(), stream, sources: list });
    for (const bridge of fleet) atEnd(() => bridge.kill('SIGKILL'));
    return fleet;
  }

  /** Two bridges that have frames before there is a stream for them: whichever starts later, the other has not done its work for it. */
  async function begun(sources: Sources): Promise<{ readonly stream: Stream; readonly fleet: readonly Bridge[] }> {
    const connection = await connected();
    const { name, remove } = await openStream(connection);
    await remove();
    const fleet = bridges(name, sources);
    await firstValueFrom(combineLatest(fleet.map(whenBusy)));
    return { stream: await openStream(connection), fleet };
  }
});

/** What the bridge tells once it has taken something. */
function whenBusy({ reports }: Bridge): Observable<Report> {
  return reports.pipe(filter(({ taken }) => taken > 0));
}

async function readBack(stream: Stream, sources = SOURCES, frames = FRAMES): Promise<Ledger> {
  const ledger = new Ledger(sources, frames);
  for await (const { id, frame } of stream.messages()) ledger.add(id, frame);
  return ledger;
}

/** How a bridge stands in an outage, and by how much it has grown since it takes no more. */
function endOf(reports: readonly Report[]): { waiting: number; growth: number; text: string } {
  const { taken, acknowledged } = reports.at(-1)!;
  const waiting = taken - acknowledged;
  const still = reports.filter((report) => report.taken === taken && report.acknowledged === acknowledged);
  const [began, most] = [still[0]!.rss, Math.max(...still.map(({ rss }) => rss))];
  const text = `${waiting} frames wait, resident ${mib(reports[0]!.rss)} MiB; once still ${mib(began)}, then at most ${mib(most)}`;
  return { waiting, growth: most - began, text };
}

function figure(text: string): void {
  console.log(`    [figure] ${text}`);
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(0);
}

function stopwatch(): () => string {
  const began = performance.now();
  return () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
}
