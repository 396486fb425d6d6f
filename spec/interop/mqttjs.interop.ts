/** MQTT.js over our stream, against Mosquitto: a socket and a stream for each connection, which the client itself makes anew. */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { MqttClient, type IClientOptions, type Packet } from 'mqtt';
import { tcpSocket, toDuplex } from '../../lib/index.js';
import { faultProxy, type FaultProxy } from '../support/fault-proxy.js';
import { atEnd, leavesNothingOpen } from '../support/fixture.js';
import { needs, startMosquitto, type Where } from './support/real-servers.js';

const MIB = 1024 * 1024;
/** Of nobody else on that broker. */
const TOPIC = `rx-tcp/${randomBytes(6).toString('hex')}`;

/** A client whose connections go through `toDuplex()`, and how many streams it has asked for so far. */
function clientOf({ host, port }: Where, options: IClientOptions = {}) {
  let streams = 0;
  const stream = (): Duplex => {
    streams++;
    return toDuplex(tcpSocket({ host, port, reconnect: false }));
  };
  const client = new MqttClient(stream, { reconnectPeriod: 5, ...options });
  client.on('error', () => undefined); // why a connection was lost, which it dials anew
  atEnd(() => void client.end(true));
  return { client, streams: () => streams };
}

function through({ port }: FaultProxy): Where {
  return { host: '127.0.0.1', port };
}

/** The numbers that came on a topic, with how often each of them did. */
function numbersAt(client: MqttClient) {
  const counts = new Map<number, number>();
  let [wanted, found] = [Infinity, (): void => undefined];
  client.on('message', (_topic, payload) => {
    const number = Number(payload.toString());
    counts.set(number, (counts.get(number) ?? 0) + 1);
    if (counts.size >= wanted) found();
  });
  return {
    counts,
    /** Resolves once so many different ones are there. */
    has: (count: number): Promise<void> => {
      if (counts.size >= count) return Promise.resolve();
      wanted = count;
      return new Promise((resolve) => (found = resolve));
    },
  };
}

/** Publishes 0, 1, 2 … with at most `LANES` of them on their way; resolves once the broker has acknowledged all. */
async function publishNumbers(client: MqttClient, topic: string, count: number, qos: 1 | 2): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await publish(client, topic, String(next++), qos);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}
/** Mosquitto drops who has more of QoS 2 on their way. */
const LANES = 20;

/** While the client writes again what was in doubt, it lets others wait; it fails those, unwritten, if it loses its connection then. */
async function publish(client: MqttClient, topic: string, payload: string, qos: 1 | 2): Promise<void> {
  const waits = (error: Error): Promise<void> => {
    expect(error.message).to.equal('Connection closed');
    return publish(client, topic, payload, qos);
  };
  await client.publishAsync(topic, payload, { qos }).catch(waits);
}

/** `once()` of Node would give up at an 'error', which a client survives. */
function heard(client: MqttClient, event: 'connect' | 'close'): Promise<void> {
  return new Promise((resolve) => client.once(event, () => resolve()));
}

function message(client: MqttClient): Promise<{ readonly topic: string; readonly payload: Buffer }> {
  return new Promise((resolve) => client.once('message', (topic, payload) => resolve({ topic, payload })));
}

function packet(client: MqttClient, event: 'packetsend' | 'packetreceive', cmd: Packet['cmd']): Promise<void> {
  return new Promise((resolve) => client.on(event, (sent) => sent.cmd === cmd && resolve()));
}

describe('MQTT.js over toDuplex(), against the broker that is there', () => {
  const broker = needs('mosquitto');
  leavesNothingOpen();

  for (const qos of [0, 1, 2] as const) {
    it(`publishes 1 MiB with QoS ${qos} and gets it back, byte for byte`, async () => {
      const { client } = clientOf(broker);
      const payload = randomBytes(MIB);
      await client.subscribeAsync(`${TOPIC}/large`, { qos });
      const arrived = message(client);
      await client.publishAsync(`${TOPIC}/large`, payload, { qos });
      const { topic, payload: copy } = await arrived;
      expect(topic).to.equal(`${TOPIC}/large`);
      expect(copy.equals(payload)).to.be.true;
    });
  }

  it('pings when it has nothing to say, and keeps its connection', async () => {
    const { client, streams } = clientOf(broker, { keepalive: 1 });
    await packet(client, 'packetsend', 'pingreq');
    await packet(client, 'packetreceive', 'pingresp');
    expect(client.connected).to.be.true;
    expect(streams()).to.equal(1);
  });

  it('gives up a connection on which nothing comes any more, and goes on over the next one', async () => {
    const proxy = await faultProxy(broker.port, {
      plan: (index) => (index === 0 ? { down: { limit: { bytes: 4, then: 'stall' } } } : {}),
    });
    const { client, streams } = clientOf(through(proxy), { keepalive: 1 });
    for (const event of ['connect', 'close', 'connect'] as const) await heard(client, event);
    await client.publishAsync(`${TOPIC}/after`, 'silence', { qos: 1 });
    expect(streams()).to.equal(2);
  });

  it('leaves a last will when its stream is destroyed, and none when it says goodbye', async () => {
    const { client: observer } = clientOf(broker);
    await observer.subscribeAsync(`${TOPIC}/will/+`);
    const first = message(observer);
    for (const name of ['polite', 'rude']) {
      const { client } = clientOf(broker, {
        will: { topic: `${TOPIC}/will/${name}`, payload: Buffer.from('gone'), qos: 0, retain: false },
      });
      await heard(client, 'connect');
      await client.endAsync(name === 'rude');
    }
    expect((await first).topic).to.equal(`${TOPIC}/will/rude`);
  });
});

describe('MQTT.js over toDuplex(), when its connections are cut', () => {
  const broker = startMosquitto();
  leavesNothingOpen();

  /** A subscriber whose own connection nobody cuts. */
  async function observer(topic: string) {
    const { client } = clientOf(broker);
    await client.subscribeAsync(topic);
    return { client, numbers: numbersAt(client) };
  }

  /** A proxy to the broker that cuts the connection through it each time that `client` has so many more numbers. */
  async function cutting({ client, numbers }: Awaited<ReturnType<typeof observer>>, every: number, cuts: number) {
    const proxy = await faultProxy(broker.port);
    let done = 0;
    client.on('message', () => {
      if (done >= cuts || numbers.counts.size < (done + 1) * every) return;
      const connection = proxy.connections.at(-1);
      if (done++ % 2 === 0) connection?.reset();
      else connection?.fin();
    });
    return proxy;
  }

  it('brings 2,000 messages of QoS 1 at least once through 10 cuts', async () => {
    const seen = await observer('cut/1');
    const proxy = await cutting(seen, 180, 10);
    const { client, streams } = clientOf(through(proxy));
    await publishNumbers(client, 'cut/1', 2_000, 1);
    await seen.numbers.has(2_000);
    expect(proxy.connections.length).to.equal(11);
    expect(streams()).to.equal(11);
  });

  it('brings 2,000 messages of QoS 2 exactly once through 10 cuts', async () => {
    const seen = await observer('cut/2');
    const proxy = await cutting(seen, 180, 10);
    const { client, streams } = clientOf(through(proxy), { clean: false, clientId: 'cut-2' });
    await publishNumbers(client, 'cut/2', 2_000, 2);
    await seen.numbers.has(2_000);
    expect([...seen.numbers.counts.values()].every((count) => count === 1)).to.be.true;
    expect(streams()).to.equal(11);
  });

  it('keeps what is for a subscriber through 10 cuts of its connection', async () => {
    // All that there is to read are more than 30,000 bytes.
    const proxy = await faultProxy(broker.port, {
      plan: (index) => (index < 10 ? { down: { limit: { bytes: 2_500, then: 'reset' } } } : {}),
    });
    const { client, streams } = clientOf(through(proxy), { clean: false, clientId: 'cut-3' });
    await client.subscribeAsync('cut/3', { qos: 1 });
    const numbers = numbersAt(client);
    await publishNumbers(clientOf(broker).client, 'cut/3', 2_000, 1);
    await numbers.has(2_000);
    expect(streams()).to.equal(11);
  });

  it('brings 20 messages of 1 MiB through cuts in the middle of them', async () => {
    // Each of the first ten connections carries some more, from a part of the first message to more than all of it.
    const limit = (index: number): number => 300_000 * (index + 1);
    const proxy = await faultProxy(broker.port, {
      plan: (index) => (index < 10 ? { up: { limit: { bytes: limit(index), then: 'reset' } } } : {}),
    });
    const { client: reader } = clientOf(broker);
    await reader.subscribeAsync('cut/large');
    const payloads = Array.from({ length: 20 }, () => randomBytes(MIB));
    const missing = new Set(payloads.map((payload) => payload.toString('base64')));
    const all = new Promise<void>((resolve) => {
      reader.on('message', (_topic, payload) => {
        missing.delete(payload.toString('base64'));
        if (missing.size === 0) resolve();
      });
    });
    const { client, streams } = clientOf(through(proxy));
    for (const payload of payloads) await client.publishAsync('cut/large', payload, { qos: 1 });
    await all;
    expect(streams()).to.equal(11);
  });
});

describe('MQTT.js over toDuplex(), when its broker is started anew', () => {
  const broker = startMosquitto();
  leavesNothingOpen();

  it('brings 1,000 messages of QoS 1 at least once to a reader that is away meanwhile', async () => {
    const proxy = await faultProxy(broker.port);
    const { client: reader } = clientOf(through(proxy), { clean: false, clientId: 'reader' });
    await reader.subscribeAsync('anew', { qos: 1 });
    const numbers = numbersAt(reader);
    const { client: writer, streams } = clientOf(broker);
    const published = publishNumbers(writer, 'anew', 1_000, 1);
    await numbers.has(300);
    proxy.refuse();
    proxy.connections[0]?.reset();
    await broker.restart();
    await published;
    expect(streams()).to.be.above(1);
    await proxy.listen();
    await numbers.has(1_000);
  });

  it('subscribes again by itself where the broker has forgotten all', async () => {
    const { client: reader } = clientOf(broker);
    await reader.subscribeAsync('forgotten', { qos: 1 });
    const subscribedAgain = packet(reader, 'packetreceive', 'suback');
    await broker.restart('abruptly');
    await subscribedAgain;
    const numbers = numbersAt(reader);
    const { client: writer } = clientOf(broker);
    await publishNumbers(writer, 'forgotten', 100, 1);
    await numbers.has(100);
  });
});
