/** The MQTT demo client against Mosquitto. */
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { firstValueFrom, map, type Observable, take, toArray } from 'rxjs';
import { MqttClient, type MqttConfig } from '../../demo/mqtt/client.js';
import type { Message } from '../../demo/mqtt/packets.js';
import { matches } from '../../demo/mqtt/topics.js';
import { run } from '../../demo/mqtt.js';
import { type Faults, faultProxy } from '../support/fault-proxy.js';
import { kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { tape } from '../support/tape.js';
import { needs, startMosquitto } from './support/real-servers.js';

const MIB = 1024 * 1024;
const CUTS = 10;
const soon = { settle: 0, reconnect: { initialDelay: 1 } };

/** Topics, and names of clients, that are nobody else's on that broker. */
const fresh = () => `rx-tcp-${randomBytes(6).toString('hex')}`;

function clientOf(where: { readonly host?: string; readonly port: number }, config: MqttConfig = {}): MqttClient {
  const { host = '127.0.0.1', port } = where;
  const client = new MqttClient({ host, port, ...soon, ...config });
  kept(client.socket);
  return client;
}

/** The subscription is granted: what is asked of a broker on one connection is answered in order. */
async function settled(client: MqttClient): Promise<void> {
  await client.publish(fresh(), '', { qos: 1 });
}

/** How often each number came, once all up to `count` are there. */
async function numbersIn(messages: Observable<Message>, count: number): Promise<Map<number, number>> {
  const counts = new Map<number, number>();
  const times = messages.pipe(
    map(({ payload }) => {
      const number = Number(payload.toString());
      counts.set(number, (counts.get(number) ?? 0) + 1);
    }),
  );
  await tape(times).first(() => counts.size === count);
  return counts;
}

/** Publishes 0, 1, 2 … with QoS 1; resolves once the broker has them all. */
async function publishNumbers(client: MqttClient, topic: string, from: number, to: number): Promise<void> {
  const numbers = Array.from({ length: to - from }, (_, i) => String(from + i));
  await Promise.all(numbers.map((number) => client.publish(topic, number, { qos: 1 })));
}

function expectAll(counts: ReadonlyMap<number, number>, count: number): void {
  expect([...counts.keys()].sort((a, b) => a - b)).to.eql(Array.from({ length: count }, (_, i) => i));
}

describe('the MQTT demo client, against the broker that is there', () => {
  const broker = needs('mosquitto');
  leavesNothingOpen();

  it('gets what was published while it was away, with QoS 1 and a session that is kept', async () => {
    const [topic, clientId] = [fresh(), fresh()];
    const before = clientOf(broker, { clientId, clean: false });
    tape(before.subscribe(`${topic}/#`));
    await settled(before);
    before.socket.destroy();
    await publishNumbers(clientOf(broker), `${topic}/a`, 0, 100);
    const after = clientOf(broker, { clientId, clean: false });
    expectAll(await numbersIn(after.subscribe(`${topic}/#`), 100), 100);
    await after.end();
    await forget(clientId);
  });

  it('gives a message that was kept to who subscribes later, marked as such, until it is taken back', async () => {
    const topic = fresh();
    const writer = clientOf(broker);
    await writer.publish(topic, 'old', { qos: 1, retain: true });
    await writer.publish(topic, 'kept', { qos: 1, retain: true });
    const reader = clientOf(broker);
    const messages = tape(reader.subscribe(topic));
    expect(await messages.at(0)).to.include({ topic, qos: 1, retain: true });
    await writer.publish(topic, 'live', { qos: 1 });
    expect(await messages.at(1)).to.include({ topic, qos: 1, retain: false });
    expect(messages.values.map(({ payload }) => payload.toString())).to.eql(['kept', 'live']);
    await writer.publish(topic, '', { qos: 1, retain: true });
    const late = clientOf(broker);
    const nothing = tape(late.subscribe(topic));
    await settled(late);
    expect(nothing.values).to.eql([]);
  });

  it('agrees with the broker on what a filter matches', async () => {
    const base = fresh();
    const topics = ['', '/', '/a', '/a/', '/b', '/a/b', '/a/b/c', '/a//c', '//a', '/é', '/a b'].map(
      (end) => base + end,
    );
    const filters = ['', '/+', '/#', '/+/+', '/a/#', '/+/b', '/a/+/c', '//+', '/é', '/+/'].map((end) => base + end);
    const writer = clientOf(broker);
    for (const filter of filters) {
      const reader = clientOf(broker);
      const packets = tape(reader.socket.inbound);
      const messages = tape(reader.subscribe(filter));
      const end = firstValueFrom(reader.subscribe(`end/${base}`));
      await settled(reader);
      for (const topic of [...topics, `end/${base}`]) await writer.publish(topic, '');
      await end;
      expect(
        messages.values.map(({ topic }) => topic),
        filter,
      ).to.eql(topics.filter((topic) => matches(filter, topic)));
      // Nor did the broker write any that were left out here.
      expect(packets.values.filter(({ type }) => type === 'publish').length, filter).to.equal(
        messages.values.length + 1,
      );
      await reader.end();
    }
  });

  for (const qos of [0, 1] as const) {
    it(`publishes 1 MiB with QoS ${qos} and gets it back, byte for byte, in whatever pieces it comes`, async () => {
      const proxy = await faultProxy(broker.port);
      proxy.set('down', { slice: 20_000 });
      const client = clientOf({ port: proxy.port });
      const topic = fresh();
      const payload = randomBytes(MIB);
      const arrived = firstValueFrom(client.subscribe(topic).pipe(take(2), toArray()));
      await client.publish(topic, payload, { qos });
      await client.publish(topic, 'behind it', { qos });
      const [copy, behind] = await arrived;
      expect(copy!.payload.equals(payload)).to.equal(true);
      expect(behind!.payload.toString()).to.equal('behind it');
    });
  }

  it('gets nothing more of what it has unsubscribed from', async () => {
    const client = clientOf(broker);
    const packets = tape(client.socket.inbound);
    const topic = fresh();
    const messages = tape(client.subscribe(topic));
    await client.publish(topic, 'one', { qos: 1 });
    await messages.at(0);
    messages.stop();
    await client.publish(topic, 'two', { qos: 1 });
    await settled(client);
    expect(packets.values.filter(({ type }) => type === 'publish')).to.have.lengthOf(1);
  });

  it('pings when it has nothing to say, and keeps its connection', async () => {
    const client = clientOf(broker, { keepAlive: 1 });
    const packets = tape(client.socket.inbound);
    await packets.at(1); // a broker gives up a client after one and a half intervals
    expect(packets.values.map(({ type }) => type)).to.eql(['pingresp', 'pingresp']);
    expect(client.socket.stats().drops).to.equal(0);
  });

  it('shows in its demo a subscription that outlives a connection', async () => {
    const printed: string[] = [];
    await run((line) => printed.push(line), `${broker.host}:${broker.port}`);
    const rooms = ['kitchen 21.5', 'cellar 12.0', 'attic 30.5'];
    expect(printed).to.include.members(rooms.map((room) => `> ${room}`));
    expect(printed).to.include.members(['< kitchen 21.5', '< cellar 12.0', '-- the house loses its connection']);
    expect(printed.slice(-2)).to.eql(['< attic 30.5, which was kept', '2 connections, one subscription']);
  });

  /** A clean session of that name ends the one that was kept. */
  async function forget(clientId: string): Promise<void> {
    const client = clientOf(broker, { clientId });
    await settled(client);
    await client.end();
  }
});

describe('the MQTT demo client, through connections that are cut', () => {
  const broker = startMosquitto(); // which drops nothing for want of room
  leavesNothingOpen();

  it('gets 5,000 messages of QoS 1 to another client at least once, its own connection cut ten times', async () => {
    // Some are cut when the broker has read so much, some when it has answered so much.
    const limit = (bytes: number): Faults => ({ limit: { bytes, then: 'reset' } });
    const proxy = await faultProxy(broker.port, {
      plan: (index) => (index >= CUTS ? {} : index % 2 === 0 ? { up: limit(12_000) } : { down: limit(1_200) }),
    });
    const topic = fresh();
    const reader = clientOf(broker);
    const arriving = numbersIn(reader.subscribe(topic), 5_000);
    await settled(reader);
    const writer = clientOf({ port: proxy.port }, { retryLimit: CUTS });
    await publishNumbers(writer, topic, 0, 5_000);
    expectAll(await arriving, 5_000);
    expect(proxy.accepted).to.equal(CUTS + 1);
  });

  it('misses none of 5,000 messages of QoS 1 in a session that is kept, its own connection cut ten times', async () => {
    const proxy = await faultProxy(broker.port, {
      plan: (index) => (index >= CUTS ? {} : { down: { limit: { bytes: 10_000, then: 'reset' } } }),
    });
    const topic = fresh();
    const reader = clientOf({ port: proxy.port }, { clientId: fresh(), clean: false });
    const arriving = numbersIn(reader.subscribe(topic), 5_000);
    await settled(reader);
    const writer = clientOf(broker);
    const written = publishNumbers(writer, topic, 0, 5_000);
    expectAll(await arriving, 5_000);
    await written;
    expect(proxy.accepted).to.equal(CUTS + 1);
  });
});

describe('the MQTT demo client, against a broker that is restarted', () => {
  const broker = startMosquitto();
  leavesNothingOpen();

  it('loses no message of QoS 1, and is subscribed again', async () => {
    const reader = clientOf(broker, { clientId: 'reader', clean: false });
    const arriving = numbersIn(reader.subscribe('numbers/+'), 2_000);
    const writer = clientOf(broker);
    await settled(reader);
    await publishNumbers(writer, 'numbers/a', 0, 500);
    const during = publishNumbers(writer, 'numbers/b', 500, 1_500);
    await broker.restart();
    await during;
    await publishNumbers(writer, 'numbers/c', 1_500, 2_000);
    expectAll(await arriving, 2_000);
    expect(writer.socket.stats()).to.include({ epoch: 2, framesUndelivered: 0 });
  });

  it('subscribes anew to a broker that knows nothing of it any more', async () => {
    const reader = clientOf(broker);
    const messages = tape(reader.subscribe('after/#'));
    await settled(reader);
    await broker.restart('abruptly');
    await settled(reader);
    await clientOf(broker).publish('after/it', 'hi', { qos: 1 });
    expect(await messages.at(0)).to.include({ topic: 'after/it' });
  });
});

describe('the MQTT demo client, against a broker that wants a password', () => {
  const broker = startMosquitto({ config: ['allow_anonymous false'] });
  leavesNothingOpen();

  it('gives up when it is refused', async () => {
    const client = clientOf(broker, { username: 'ann', password: 'wrong' });
    const error = await outcome(firstValueFrom(client.socket.inbound));
    expect(error).to.have.property('code', 'TCP_CONNECT');
    expect(error).to.have.nested.property('cause.message', 'the broker refuses the client');
    expect(client.socket.stats().dials).to.equal(1);
  });
});
