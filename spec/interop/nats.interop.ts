/** The NATS client of demo/ with a real server, and with the client that NATS has itself. */
import { connect as foreignClient, headers as foreignHeaders } from '@nats-io/transport-node';
import { expect } from 'chai';
import { firstValueFrom, lastValueFrom, map, merge, mergeMap, range, take, toArray } from 'rxjs';
import type { NatsHeaders } from '../../demo/nats/protocol.js';
import { run } from '../../demo/nats.js';
import { RequestTimeoutError } from '../../lib/index.js';
import { atEnd, leavesNothingOpen, outcome } from '../support/fixture.js';
import { seededRandom } from '../support/random.js';
import { tape } from '../support/tape.js';
import { echo, isHeard, newPlace, openClient } from './support/nats-clients.js';
import { needs } from './support/real-servers.js';

describe('the NATS client and a real server', () => {
  const nats = needs('nats');
  const open = () => openClient(nats, {}, nats.host);
  leavesNothingOpen();

  it('get every byte across', async () => {
    const [here, there] = [open(), open()];
    const place = newPlace();
    const random = seededRandom(1);
    const payloads: Buffer[] = ['', '\r\n', '\r\n\r\n', 'a\r\nPING\r\n', '\r', '\n', '\0'].map((text) =>
      Buffer.from(text),
    );
    payloads.push(random.bytes(1_000), random.bytes(100_000), Buffer.alloc(1_048_576, '\r\n'), random.bytes(1_048_576));
    const arrived = firstValueFrom(there.subscribe(`${place}.*`).pipe(take(payloads.length), toArray()));
    await isHeard(there);
    for (const [i, payload] of payloads.entries()) void here.publish({ subject: `${place}.${i}`, payload });
    const messages = await arrived;
    expect(messages.map(({ subject }) => subject)).to.eql(payloads.map((_, i) => `${place}.${i}`));
    for (const [i, { payload }] of messages.entries())
      expect(payload.equals(payloads[i]!), `payload ${i}`).to.equal(true);
  });

  it('get headers across, and skip those that another client has made up', async () => {
    const [here, there] = [open(), open()];
    const subject = newPlace();
    const arrived = tape(there.subscribe(subject));
    await isHeard(there);
    const headers: NatsHeaders = [['Nats-Msg-Id', '1'], ['A', 'x: y'], ['A', 'grün'], ['Empty', '']]; // prettier-ignore
    await here.publish({ subject, headers, payload: 'one' });
    await arrived.at(0);
    here.socket.outbound.next(`HPUB ${subject} 4 4`); // what follows is the block, and no line of the protocol
    here.socket.outbound.next('abcd');
    await here.publish({ subject, headers: [], payload: 'three' });
    await arrived.at(1);
    expect(arrived.values.map((message) => [String(message.payload), message.headers])).to.eql([
      ['one', headers],
      ['three', []],
    ]);
    expect(await firstValueFrom(there.socket.errors)).to.include({ code: 'TCP_FRAME', kind: 'corrupt' });
    expect(there.socket.stats()).to.include({ epoch: 1, drops: 0 });
  });

  it('share the messages of a queue group: each has one of its members', async () => {
    const subject = newPlace();
    const members = ['ann', 'bob', 'eve'].map((name) => ({ name, client: open() }));
    const taken = merge(
      ...members.map(({ name, client }) =>
        client.subscribe(subject, 'workers').pipe(map(({ payload }) => ({ name, job: Number(payload) }))),
      ),
    );
    const all = firstValueFrom(taken.pipe(take(300), toArray()));
    const watcher = tape(members[0]!.client.subscribe(subject));
    await Promise.all(members.map(({ client }) => isHeard(client)));
    const boss = open();
    for (let job = 0; job < 300; job++) void boss.publish({ subject, payload: String(job) });
    const done = await all;
    const jobs = Array.from({ length: 300 }, (_, job) => job);
    expect(done.map(({ job }) => job).sort((a, b) => a - b)).to.eql(jobs);
    expect(new Set(done.map(({ name }) => name))).to.have.property('size', 3);
    await watcher.at(299);
    expect(watcher.values.map(({ payload }) => Number(payload))).to.eql(jobs);
  });

  it('ask and answer, thousands at once', async () => {
    const [asker, one, two] = [open(), open(), open()];
    const subject = newPlace();
    echo(one, subject, 'group');
    echo(two, subject, 'group');
    await Promise.all([isHeard(one), isHeard(two)]);
    const ask = (i: number) =>
      asker.request({ subject, payload: String(i) }).pipe(map(({ payload }) => [i, Number(payload)]));
    const answered = await lastValueFrom(range(0, 5_000).pipe(mergeMap(ask), toArray()));
    expect(answered.filter(([asked, answer]) => asked === answer)).to.have.lengthOf(5_000);
    expect([one, two].every(({ socket }) => socket.stats().framesWritten > 1_000)).to.equal(true);
  });

  it('tell who waits for an answer that nobody listens, or that time is up', async () => {
    const [asker, silent] = [open(), open()];
    const subject = newPlace();
    const unheard = await outcome(firstValueFrom(asker.request({ subject, payload: '' })));
    expect(unheard).to.have.property('code', 'NATS_NO_RESPONDERS');
    silent.subscribe(subject).subscribe();
    await isHeard(silent);
    const asked = await outcome(firstValueFrom(asker.request({ subject, payload: '' }, { timeout: 30 })));
    expect(asked).to.be.instanceOf(RequestTimeoutError);
  });

  it('understand the client that NATS has itself', async () => {
    const foreign = await foreignClient({ servers: `${nats.host}:${nats.port}` });
    atEnd(() => foreign.close());
    const ours = open();
    const place = newPlace();
    const arrived = tape(ours.subscribe(`${place}.ours`));
    echo(ours, `${place}.echo`);
    foreign.subscribe(`${place}.theirs`, {
      callback: (_, message) => void message.respond(message.data, { headers: message.headers! }),
    });
    await Promise.all([isHeard(ours), foreign.flush()]);

    const headers = foreignHeaders();
    headers.append('A', 'one');
    headers.append('A', 'two');
    foreign.publish(`${place}.ours`, 'hi', { headers });
    const message = await arrived.at(0);
    expect([String(message.payload), message.headers]).to.eql(['hi', [['A', 'one'], ['A', 'two']]]); // prettier-ignore
    expect((await foreign.request(`${place}.echo`, 'hello')).string()).to.equal('hello');
    const question = { subject: `${place}.theirs`, headers: [['B', 'three']], payload: 'you?' } as const;
    const answer = await firstValueFrom(ours.request(question));
    expect([String(answer.payload), answer.headers]).to.eql(['you?', [['B', 'three']]]);
  });

  it('run the demo', async () => {
    const printed: string[] = [];
    await run((line) => printed.push(line), `${nats.host}:${nats.port}`);
    expect(printed.map((line) => line.replace(/(ann|bob)(, |$)/g, ''))).to.eql([
      '-- connection 1',
      '12 jobs, and each has one worker: ',
      '> cat',
      '< cat is 3 letters, Eve',
      '-- connection 2',
      '> elephant',
      '< elephant is 8 letters, Eve',
      'and nobody listens to "dog" any more: Error: nobody listens',
    ]);
  });
});
