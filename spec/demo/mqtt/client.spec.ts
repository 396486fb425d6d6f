import { expect } from 'chai';
import { filter, firstValueFrom, retry, take } from 'rxjs';
import { MqttClient, type MqttConfig } from '../../../demo/mqtt/client.js';
import type { Message } from '../../../demo/mqtt/packets.js';
import { OverflowError } from '../../../lib/index.js';
import { kept, leavesNothingOpen, outcome, turns } from '../../support/fixture.js';
import { tape } from '../../support/tape.js';
import { fakeBroker, published, suback, write, type FakeBroker } from './fake-broker.js';

describe('the MQTT client', () => {
  leavesNothingOpen();

  const clientOf = ({ port }: FakeBroker, config: MqttConfig = {}) => {
    const client = new MqttClient({ host: '127.0.0.1', port, settle: 0, reconnect: { initialDelay: 1 }, ...config });
    kept(client.socket);
    return client;
  };
  const opened = ({ socket }: MqttClient, epoch = 1) =>
    firstValueFrom(socket.connections.pipe(filter((connection) => connection.epoch >= epoch)));
  const textsOf = (messages: readonly Message[]) =>
    messages.map(({ topic, payload }) => `${topic} ${payload.toString()}`);

  it('begins with who it is', async () => {
    const broker = await fakeBroker();
    await opened(clientOf(broker));
    const login = { username: 'ann', password: 'secret' };
    await opened(clientOf(broker, { clientId: 'house', clean: false, keepAlive: 7, ...login }));
    expect(broker.words).to.eql(['1 CONNECT "", clean, 30 s', '2 CONNECT "house", kept, 7 s, ann, secret']);
  });

  it('publishes with QoS 0 as soon as it is let in, and is done when it is written', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    await Promise.all([client.publish('a/b', 'hi'), client.publish('a', Buffer.from('bytes'), { retain: true })]);
    await broker.said.at(2);
    expect(broker.words.slice(1)).to.eql(['1 PUBLISH a/b hi, QoS 0', '1 PUBLISH a bytes, QoS 0, retain']);
  });

  it('publishes with QoS 1, and is done when the broker has it', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    broker.answer('PUBLISH', () => undefined);
    const done: string[] = [];
    const publish = (topic: string) => client.publish(topic, 'hi', { qos: 1 }).then(() => done.push(topic));
    const both = Promise.all(['one', 'two'].map(publish));
    const first = await broker.said.first(({ words }) => words.includes('one'));
    const second = await broker.said.first(({ words }) => words.includes('two'));
    await client.socket.flush();
    expect(done).to.eql([]);
    const connection = await broker.clients.at(0);
    for (const { id } of [second, first]) await write(connection, `\x40\x02\0${String.fromCharCode(id)}`);
    await both;
    expect(done).to.eql(['two', 'one']);
  });

  it('publishes again what was not acknowledged, says so, and goes on in order', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    broker.answer('PUBLISH', ({ connection, words, id }, link) => {
      if (connection === 1 && words.includes('three')) link.destroy();
      return connection === 1 && !words.includes('one') ? undefined : `\x40\x02\0${String.fromCharCode(id)}`;
    });
    const publish = (text: string) => client.publish('a', text, { qos: 1 });
    await publish('one');
    await Promise.all(['two', 'three'].map(publish));
    await publish('four');
    expect(broker.words.filter((words) => words.startsWith('2'))).to.eql([
      '2 CONNECT "", clean, 30 s',
      '2 PUBLISH a two, QoS 1, dup',
      '2 PUBLISH a three, QoS 1, dup',
      '2 PUBLISH a four, QoS 1',
    ]);
  });

  it('gives up a message that costs it every connection', async () => {
    const broker = await fakeBroker();
    broker.answer('PUBLISH', (_said, link) => {
      link.destroy();
      return undefined;
    });
    const client = clientOf(broker, { retryLimit: 2 });
    expect(await outcome(client.publish('a', 'deadly', { qos: 1 }))).to.have.property('code', 'TCP_CONNECTION_LOST');
    expect(broker.said.values.filter(({ name }) => name === 'PUBLISH')).to.have.lengthOf(3);
  });

  it('gives ids from 1 to 65,535 and then again from 1, save those that are in use', async () => {
    const broker = await fakeBroker();
    const ids: number[] = [];
    broker.answer('PUBLISH', ({ id }) => {
      ids.push(id);
      return ids.length === 1 ? undefined : `\x40\x02${String.fromCharCode(id >> 8, id & 255)}`;
    });
    const client = clientOf(broker);
    const first = outcome(client.publish('a', '', { qos: 1 }));
    await Promise.all(Array.from({ length: 65_535 }, () => client.publish('a', '', { qos: 1 })));
    expect(ids.slice(0, 65_535)).to.eql(Array.from({ length: 65_535 }, (_, i) => i + 1));
    expect(ids.slice(65_535)).to.eql([2]); // 1 is in use
    client.socket.destroy();
    await first;
  });

  it('subscribes once for all who want the same, and gives them what matches', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    const house = client.subscribe('house/+');
    const [one, two] = [tape(house), tape(client.subscribe('house/+'))];
    const all = tape(client.subscribe('#'));
    await broker.said.first(({ words }) => words === '1 SUBSCRIBE #');
    const connection = await broker.clients.at(0);
    const send = (...messages: [string, string][]) =>
      write(connection, messages.map(([t, p]) => published(t, p)).join(''));
    await send(
      ['house/hall', '1'],
      ['garden', '2'],
      ['house/hall/lamp', '3'],
      ['$SYS/load', '4'],
      ['house/attic', '5'],
    );
    await all.at(3);
    expect(textsOf(one.values)).to.eql(['house/hall 1', 'house/attic 5']);
    expect(two.values).to.eql(one.values);
    expect(textsOf(all.values)).to.eql(['house/hall 1', 'garden 2', 'house/hall/lamp 3', 'house/attic 5']);
    one.stop();
    await send(['house/bath', '6']);
    await two.at(2);
    two.stop();
    await broker.said.first(({ name }) => name === 'UNSUBSCRIBE');
    expect(broker.words.slice(1)).to.eql(['1 SUBSCRIBE house/+', '1 SUBSCRIBE #', '1 UNSUBSCRIBE house/+']);
    expect(one.values).to.have.lengthOf(2);
  });

  it('subscribes again on a new connection, before anything that waits is written', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    const [a, b] = [tape(client.subscribe('a')), tape(client.subscribe('b'))];
    await broker.said.at(2);
    await client.publish('x', 'answered after both', { qos: 1 });
    client.socket.redial();
    tape(client.subscribe('c'));
    await client.publish('x', 'next', { qos: 1 });
    expect(broker.words.filter((words) => words.startsWith('2'))).to.eql([
      '2 CONNECT "", clean, 30 s',
      '2 SUBSCRIBE a, b',
      '2 SUBSCRIBE c',
      '2 PUBLISH x next, QoS 1',
    ]);
    await write(await broker.clients.at(1), published('a', '1') + published('b', '2'));
    await b.at(0);
    expect(textsOf([...a.values, ...b.values])).to.eql(['a 1', 'b 2']);
  });

  it('keeps the last word about a filter, when a connection is lost among them', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    const first = tape(client.subscribe('a'));
    await client.publish('x', '', { qos: 1 });
    for (const name of ['SUBSCRIBE', 'UNSUBSCRIBE']) {
      broker.answer(name, ({ connection, id, words }) => {
        if (connection === 1) return undefined;
        return name === 'SUBSCRIBE'
          ? suback(
              id,
              words.split(',').map(() => 1),
            )
          : `\xb0\x02\0${String.fromCharCode(id)}`;
      });
    }
    first.stop();
    const again = tape(client.subscribe('a'));
    tape(client.subscribe('b')).stop();
    await client.publish('x', '', { qos: 1 }); // so the broker has read them all
    client.socket.redial();
    await client.publish('x', '', { qos: 1 });
    expect(broker.words.filter((words) => words.startsWith('2 ')).slice(1, -1)).to.eql([
      '2 UNSUBSCRIBE a',
      '2 SUBSCRIBE a',
      '2 SUBSCRIBE b',
      '2 UNSUBSCRIBE b',
    ]);
    expect(again.ended).to.equal(undefined);
  });

  it('gives what comes while it subscribes anew, and acknowledges it', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    const messages = tape(client.subscribe('a'));
    await client.publish('x', '', { qos: 1 });
    broker.answer('SUBSCRIBE', ({ id }) => published('a', 'before', 7) + suback(id, [1]) + published('a', 'behind', 8));
    client.socket.redial();
    await broker.said.first(({ words }) => words === '2 PUBACK 8');
    expect(textsOf(messages.values)).to.eql(['a before', 'a behind']);
    expect(broker.words).to.include('2 PUBACK 7');
  });

  it('acknowledges a message of QoS 1 when all who got it have returned, whether or not there are any', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    const order: string[] = [];
    const connection = await opened(client);
    const write0 = connection.write.bind(connection);
    connection.write = (packet) => {
      order.push(packet.toString('hex'));
      return write0(packet);
    };
    for (const who of ['ann', 'bob']) client.subscribe('a').subscribe(() => order.push(who));
    await client.publish('x', '', { qos: 1 });
    await write(
      await broker.clients.at(0),
      published('a', 'hi', 7) + published('a', 'lo') + published('nobody', 'hi', 8),
    );
    await broker.said.first(({ words }) => words === '1 PUBACK 8');
    expect(order).to.eql(['ann', 'bob', '40020007', 'ann', 'bob', '40020008']);
  });

  it('acknowledges past the queue, however full that is, over the connection that the message came by', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker, { writeBuffer: 3 });
    client.subscribe('a').subscribe(() => {
      for (let i = 0; i < 5; i++) void client.publish('x', '');
    });
    await client.publish('x', '', { qos: 1 });
    const connection = await broker.clients.at(0);
    for (const id of [7, 8, 9]) {
      await write(connection, published('a', 'hi', id));
      await broker.said.first(({ words }) => words === `1 PUBACK ${id}`);
    }
    expect(client.socket.stats().framesRefused).to.be.greaterThan(0);
  });

  it('leaves a connection that has no room for an acknowledgement', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker, { writeBuffer: { bytes: 100 } });
    const connection = await opened(client);
    connection.write = () => Promise.reject(new OverflowError('unsent', connection, ''));
    await write(await broker.clients.at(0), published('a', 'hi', 7));
    await opened(client, 2);
    expect(broker.words).to.not.include('1 PUBACK 7');
  });

  it('takes an option that is undefined for one that is not given', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    await client.publish('a', 'hi', { qos: undefined, retain: undefined });
    await broker.said.at(1);
    expect(broker.words.slice(1)).to.eql(['1 PUBLISH a hi, QoS 0']);
  });

  it('lets nobody regret that a promise was ignored', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker, { writeBuffer: 1 });
    for (const qos of [0, 1] as const) {
      void client.publish('#', '', { qos });
      for (let i = 0; i < 5; i++) void client.publish('a', '', { qos });
    }
    client.socket.destroy();
    await turns(2);
  });

  it('asks anew for who subscribes anew because of a refusal', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    let refusals = 0;
    broker.answer('SUBSCRIBE', ({ id }) => suback(id, [refusals++ < 2 ? 0x80 : 1]));
    const one = tape(client.subscribe('a').pipe(retry(2)));
    const other = tape(client.subscribe('a'));
    await other.end;
    await broker.said.first(() => broker.words.filter((words) => words === '1 SUBSCRIBE a').length === 3);
    await client.publish('x', '', { qos: 1 });
    await write(await broker.clients.at(0), published('a', 'hi'));
    expect(textsOf([await one.at(0)])).to.eql(['a hi']);
    expect(other.error).to.have.property('message', 'the broker refuses a');
  });

  it('is final about a refusal that will not change, and says what is refused', async () => {
    for (const [code, what] of [
      [1, 'the protocol'],
      [2, 'the client id'],
      [4, 'the user name or password'],
      [5, 'the client'],
    ] as const) {
      const broker = await fakeBroker();
      broker.answer('CONNECT', () => `\x20\x02\0${String.fromCharCode(code)}`);
      const client = clientOf(broker);
      const messages = tape(client.subscribe('a'));
      expect(await outcome(client.publish('a', '', { qos: 1 }))).to.include({ code: 'TCP_WRITE', fate: 'unsent' });
      await messages.end;
      expect(messages.error).to.have.nested.property('cause.cause.message', `the broker refuses ${what}`);
      expect(broker.words).to.eql(['1 CONNECT "", clean, 30 s']);
    }
  });

  it('tries again where the broker is not ready, and where it begins with something else', async () => {
    const broker = await fakeBroker();
    const answers = ['\x20\x02\0\x03', '\xd0\0', '\x20\x02\0\0'];
    broker.answer('CONNECT', () => answers.shift());
    const client = clientOf(broker);
    const errors = tape(client.socket.errors);
    await client.publish('a', 'hi', { qos: 1 });
    const causes = errors.values.map(({ cause }) => (cause as Error).message);
    expect(causes).to.eql(['the broker refuses anybody for now', 'a broker begins with CONNACK']);
  });

  it('errors a subscription that the broker refuses, now or on a later connection, and that alone', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    let codes = [0x80];
    broker.answer('SUBSCRIBE', ({ id, words }) => suback(id, words.includes('secret') ? codes : [1]));
    const secret = tape(client.subscribe('secret'));
    const open = tape(client.subscribe('open'));
    await secret.end;
    expect(secret.error).to.have.property('message', 'the broker refuses secret');
    codes = [1];
    const later = tape(client.subscribe('secret'));
    await client.publish('x', '', { qos: 1 });
    expect(later.ended).to.equal(undefined);
    codes = [1]; // for two filters: the second has no answer
    client.socket.redial();
    await Promise.race([later.end, open.end]);
    expect([open.ended, later.ended]).to.have.members([undefined, 'errored']);
  });

  it('takes no answer for another', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    broker.answer('SUBSCRIBE', ({ id }) => `\x40\x02\0${String.fromCharCode(id)}`);
    const messages = tape(client.subscribe('a'));
    await messages.end;
    expect(messages.error).to.have.property('message', 'the broker refuses a');
    await write(await broker.clients.at(0), '\x40\x02\x12\x34\xb0\x02\x12\x34\x90\x03\x12\x34\x01'); // to nobody
    await client.publish('a', 'hi', { qos: 1 });
    expect(client.socket.stats().drops).to.equal(0);
  });

  it('refuses topics and filters that are none, and writes nothing of them', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    for (const topic of ['', 'a/+', '#', 'a\0']) {
      for (const qos of [0, 1] as const) {
        expect(await outcome(client.publish(topic, '', { qos }))).to.include({ code: 'TCP_FRAME', kind: 'encode' });
      }
    }
    for (const topics of ['', 'a+', '#/a', 'a\0']) expect(() => client.subscribe(topics)).to.throw(TypeError, 'filter');
    await client.publish('a', 'sound', { qos: 1 });
    expect(broker.words.slice(1)).to.eql(['1 PUBLISH a sound, QoS 1']);
  });

  it('drops a connection with bytes that are no packet, and subscribes on the next one', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker, { maxPacketSize: 100 });
    const errors = tape(client.socket.errors);
    const messages = tape(client.subscribe('a'));
    for (const [i, bytes] of ['\x32\x05\0\x01a\0\0', '\x30\x65', '\x36\0'].entries()) {
      await broker.said.first(({ words }) => words === `${i + 1} SUBSCRIBE a`);
      await client.publish('x', '', { qos: 1 });
      await write(await broker.clients.at(i), published('a', String(i)) + bytes);
      await opened(client, i + 2);
    }
    expect(errors.values.map((error) => error.code === 'TCP_FRAME' && error.kind)).to.eql([
      'corrupt',
      'too-large',
      'corrupt',
    ]);
    expect(textsOf(messages.values)).to.eql(['a 0', 'a 1', 'a 2']);
  });

  it('asks a silent broker for a sign of life, and leaves it without one', async () => {
    const broker = await fakeBroker();
    broker.answer('PINGREQ', ({ connection }) => (connection === 1 ? undefined : '\xd0\0'));
    const client = clientOf(broker, { keepAlive: 1 });
    const error = await firstValueFrom(client.socket.errors);
    expect(error).to.include({ code: 'TCP_IDLE_TIMEOUT', epoch: 1 });
    await broker.said.first(({ words }) => words === '2 PINGREQ');
    await firstValueFrom(client.socket.connections.pipe(take(1)));
    expect(broker.words[1]).to.equal('1 PINGREQ');
  });

  it('takes leave when it ends, behind what was published, and completes its subscriptions', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    const messages = tape(client.subscribe('a'));
    await client.publish('x', '', { qos: 1 });
    void client.publish('a', 'last');
    await client.end();
    expect(messages.ended).to.equal('completed');
    expect(broker.words.slice(-2)).to.eql(['1 PUBLISH a last, QoS 0', '1 DISCONNECT']);
    expect(await outcome(client.publish('a', 'late'))).to.have.property('code', 'TCP_CLOSED');
    expect(await outcome(client.publish('a', 'late', { qos: 1 }))).to.have.property('code', 'TCP_CLOSED');
    const late = tape(client.subscribe('a'));
    expect(late.error).to.have.property('code', 'TCP_CLOSED');
  });

  it('ends without a word where it was not let in yet', async () => {
    const broker = await fakeBroker();
    broker.answer('CONNECT', () => undefined);
    const client = clientOf(broker);
    await broker.said.at(0);
    await client.end();
    expect(broker.words).to.eql(['1 CONNECT "", clean, 30 s']);
  });

  it('holds back what nobody has time for, and loses none of it', async () => {
    const broker = await fakeBroker();
    const client = clientOf(broker);
    const messages = tape(client.subscribe('a'));
    await client.publish('x', '', { qos: 1 });
    const release = client.socket.pause();
    const connection = await broker.clients.at(0);
    await write(connection, Array.from({ length: 100 }, (_, i) => published('a', String(i), i + 1)).join(''));
    await client.publish('x', 'written under a hold');
    await broker.said.first(({ words }) => words.includes('under a hold'));
    expect(messages.values).to.eql([]);
    release();
    await broker.said.first(({ words }) => words === '1 PUBACK 100');
    expect(textsOf(messages.values)).to.eql(Array.from({ length: 100 }, (_, i) => `a ${i}`));
  });
});
