/** The Redis client of demo/ with a real server. */
import { expect } from 'chai';
import { filter, firstValueFrom, lastValueFrom, map, merge, mergeMap, range, toArray, type Observable } from 'rxjs';
import { redisClient, type RedisConfig } from '../../demo/redis/client.js';
import { Push, RedisError, type Reply } from '../../demo/redis/reply.js';
import { run } from '../../demo/redis.js';
import { ConnectionLostError, type ConnectError } from '../../lib/index.js';
import { atEnd, leavesNothingOpen, outcome } from '../support/fixture.js';
import { faultProxy, type FaultProxyConfig } from '../support/fault-proxy.js';
import { seededRandom } from '../support/random.js';
import { tape } from '../support/tape.js';
import { needs, startRedis } from './support/real-servers.js';

type Client = ReturnType<typeof redisClient>;

/** A client that comes back at once, and takes its time for what it asks. */
function open(port: number, config: Partial<RedisConfig> = {}): Client {
  const reconnect = { initialDelay: 1, maxDelay: 20 };
  const client = redisClient({ host: '127.0.0.1', port, reconnect, settle: 0, ...config });
  atEnd(() => client.end());
  return client;
}

const one = <T>(source: Observable<T>): Promise<T> => firstValueFrom(source);
const errorOf = (source: Observable<unknown>): Promise<unknown> => outcome(firstValueFrom(source));

describe('the Redis client and a real server', () => {
  const redis = needs('redis');
  const own = startRedis({ args: ['--enable-debug-command', 'yes'] });
  leavesNothingOpen();

  beforeEach(async () => {
    const client = redisClient({ host: '127.0.0.1', port: own.port });
    await one(client.command('FLUSHALL'));
    await client.end();
  });

  it("run the demo on the machine's own server", async () => {
    const printed: string[] = [];
    await run((line) => printed.push(line), `${redis.host}:${redis.port}`);
    expect(printed).to.include('-- 10,000 values set and asked for at once, 10000 are right');
    expect(printed).to.include('-- a transaction: ["OK",42,"42"]');
    expect(printed.at(-1)).to.equal('-- heard over 2 connections: [["key:news","one"],["key:news","two"]]');
  });

  describe('understand each other', () => {
    const asked = async ({ command }: Client, kind: string): Promise<Reply> => one(command('DEBUG', 'PROTOCOL', kind));

    it('in version 3', async () => {
      const client = open(own.port);
      expect(await asked(client, 'string')).to.equal('Hello World');
      expect(await asked(client, 'integer')).to.equal(12345);
      expect(await asked(client, 'double')).to.equal(3.141);
      expect(await asked(client, 'null')).to.equal(null);
      expect(await asked(client, 'array')).to.eql([0, 1, 2]);
      expect(await asked(client, 'set')).to.eql(new Set([0, 1, 2]));
      expect(await asked(client, 'map')).to.eql(new Map<Reply, Reply>([[0, false], [1, true], [2, false]])); // prettier-ignore
      expect(await asked(client, 'bignum')).to.equal(1234567999999999999999999999999999999n);
      expect(await asked(client, 'true')).to.equal(true);
      expect(await asked(client, 'verbatim')).to.equal('This is a verbatim\nstring');
      expect(await asked(client, 'attrib')).to.equal('Some real reply following the attribute');
      const pushes = tape(client.pushes);
      client.command('DEBUG', 'PROTOCOL', 'push').subscribe(); // whose reply is the push
      expect(await pushes.at(0))
        .to.be.instanceOf(Push)
        .and.have.deep.property('push', ['server-cpu-usage', 42]);
      client.socket.destroy();
    });

    it('in version 2', async () => {
      const client = open(own.port, { protocol: 2 });
      expect(await asked(client, 'string')).to.equal('Hello World');
      expect(await asked(client, 'null')).to.equal(null);
      expect(await asked(client, 'map')).to.eql([0, 0, 1, 1, 2, 0]);
      expect(await asked(client, 'double')).to.match(/^3\.141/);
      expect(await asked(client, 'verbatim')).to.equal('This is a verbatim\nstring');
    });

    it('about maps whose keys are special', async () => {
      const client = open(own.port);
      await one(client.command('HSET', 'h', '__proto__', 1, 'constructor', 2, '', 'grün'));
      expect(await one(client.command('HGETALL', 'h'))).to.eql(new Map([['__proto__', '1'], ['constructor', '2'], ['', 'grün']])); // prettier-ignore
    });

    it('about every byte, and much of it', async () => {
      const client = open(own.port, { strings: false });
      const random = seededRandom(1);
      for (const value of [
        Buffer.alloc(0),
        Buffer.from('\r\n$-1\r\n'),
        random.bytes(70_000),
        Buffer.alloc(5_000_000, '\r\n'),
      ]) {
        expect(await one(client.command('SET', Buffer.from('k\0\xff', 'latin1'), value))).to.equal('OK');
        const back = await one(client.command('GET', Buffer.from('k\0\xff', 'latin1')));
        expect(value.equals(back as Buffer), `${value.length} B`).to.equal(true);
      }
    });

    it('about what is wrong', async () => {
      const client = open(own.port);
      await one(client.command('SET', 'a', 'text'));
      expect(await errorOf(client.command('INCR', 'a')))
        .to.be.instanceOf(RedisError)
        .and.include({ code: 'ERR' });
      expect(await errorOf(client.command('LPUSH', 'a', 1))).to.include({ code: 'WRONGTYPE' });
      expect(await one(client.command('GET', 'a'))).to.equal('text');
    });
  });

  describe('with a connection that is cut', () => {
    /** The first 20 connections are reset somewhere: in the middle of what goes up, or of what comes down. */
    const cuts = (most: number): FaultProxyConfig => ({
      plan: (index) => {
        if (index >= 20) return {};
        const bytes = seededRandom(index + 1).int(200, most);
        return { [index % 2 === 0 ? 'up' : 'down']: { limit: { bytes, then: 'reset' } } };
      },
    });

    it('give the right reply to each of 100,000 commands, 1,000 of them in flight', async () => {
      const proxy = await faultProxy(own.port, cuts(40_000));
      const client = open(proxy.port);
      // each key again only when the reply to the one before is there: a GET that is written again sees what came behind it
      const pairs = range(0, 50_000).pipe(
        map(
          (i) =>
            [client.idempotent('SET', `k${i % 1_000}`, `value ${i}`), client.command('GET', `k${i % 1_000}`)] as const,
        ),
        toArray(),
      );
      const commands = (await one(pairs)).flat();
      const replies = await Promise.all(commands.map(one));
      expect(replies.filter((reply, i) => reply !== (i % 2 === 0 ? 'OK' : `value ${(i - 1) / 2}`))).to.eql([]);
      expect(proxy.connections).to.have.lengthOf.at.least(21);
      expect(client.stats()).to.include({ answered: 100_000, failed: 0 });
    });

    it('do transactions whole or not at all', async () => {
      const proxy = await faultProxy(own.port, cuts(4_000));
      const client = open(proxy.port);
      const results = await Promise.all(
        Array.from({ length: 2_000 }, () =>
          outcome(
            one(
              client.multi([
                ['INCR', 'a'],
                ['INCR', 'b'],
              ]),
            ),
          ),
        ),
      );
      const done = results.filter((result) => result === 'written').length;
      for (const result of results) if (result !== 'written') expect(result).to.be.instanceOf(ConnectionLostError);
      const [a, b] = [await one(client.command('GET', 'a')), await one(client.command('GET', 'b'))];
      expect(a).to.equal(b);
      expect(Number(a)).to.be.within(done, 2_000);
      expect(done).to.be.below(2_000);
    });

    it('have their subscriptions again', async () => {
      const proxy = await faultProxy(own.port);
      const [listener, speaker] = [open(proxy.port), open(own.port)];
      const heard = tape(merge(listener.subscribe('news'), listener.psubscribe('n*')));
      await one(listener.command('PING'));
      for (let round = 0; round < 5; round++) {
        expect(await one(speaker.command('PUBLISH', 'news', `round ${round}`))).to.equal(2);
        await heard.at(2 * round + 1);
        (await proxy.connection(round)).reset();
        await firstValueFrom(listener.socket.connections.pipe(filter(({ epoch }) => epoch === round + 2)));
      }
      expect(heard.values.map(([, payload]) => payload)).to.eql(
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4].map((n) => `round ${n}`),
      );
    });
  });

  it('forget a transaction whose key another client has changed', async () => {
    const [ann, bob] = [open(own.port, { reconnect: false }), open(own.port)];
    await one(ann.command('WATCH', 'a'));
    await one(bob.command('SET', 'a', 1));
    expect(await one(ann.multi([['SET', 'a', 2]]))).to.equal(null);
    expect(await one(ann.multi([['SET', 'a', 3], ['GET', 'a']]))).to.eql(['OK', '3']); // prettier-ignore
    expect(await errorOf(ann.multi([['NOPE'], ['SET', 'a', 4]]))).to.include({ code: 'ERR' });
    expect(await one(bob.command('GET', 'a'))).to.equal('3');
  });

  it('go on when the server is killed and started again', async () => {
    const client = open(own.port, { db: 3 });
    const heard = tape(client.subscribe('news'));
    await one(client.command('SET', 'before', 'kept'));
    const restarted = own.restart('abruptly');
    const values = await lastValueFrom(
      merge(...Array.from({ length: 1_000 }, (_, i) => client.idempotent('SET', `k${i}`, i))).pipe(toArray()),
    );
    await restarted;
    expect(values).to.eql(Array(1_000).fill('OK'));
    expect(await one(client.command('GET', 'before'))).to.equal('kept');
    expect(await one(client.command('DBSIZE'))).to.equal(1_001);
    expect(await one(client.command('PUBLISH', 'news', 'back'))).to.equal(1);
    expect(await heard.at(0)).to.eql(['news', 'back']);
  });
});

describe('the Redis client and a server that loads its data for a while', () => {
  // Microseconds a command; in between it looks after its clients at every 1,024th.
  const own = startRedis({ args: ['--key-load-delay', '100'] });
  leavesNothingOpen();

  it('wait until it has loaded all', async () => {
    const client = open(own.port);
    const set = (key: string) => range(0, 10_000).pipe(mergeMap((i) => client.idempotent('SET', `${key}${i}`, i)));
    await lastValueFrom(set('old'));
    const refused = tape(client.socket.errors).first((error) => String(error.cause).includes('LOADING'));
    const restarted = own.restart('abruptly');
    expect(await refused).to.include({ code: 'TCP_CONNECT', phase: 'handshake' });
    await lastValueFrom(set('new'));
    expect(await one(client.command('DBSIZE'))).to.equal(20_000);
    await restarted;
  });
});

describe('the Redis client and a server with a password', () => {
  const own = startRedis({ args: ['--requirepass', 'open sesame'] });
  leavesNothingOpen();

  for (const protocol of [2, 3] as const) {
    it(`are let in with it, on each connection and to the database, in version ${protocol}`, async () => {
      const client = open(own.port, { protocol, password: 'open sesame', db: 5 });
      for (let round = 1; round <= 3; round++) {
        expect(await one(client.command('CLIENT', 'INFO'))).to.match(
          new RegExp(` db=5 .* user=default .*resp=${protocol}`),
        );
        client.socket.redial();
      }
    });

    it(`are told that it is wrong, and end, in version ${protocol}`, async () => {
      const client = open(own.port, { protocol, password: 'wrong' });
      const waiting = errorOf(client.command('PING'));
      const { cause } = (await errorOf(client.socket.inbound)) as ConnectError;
      expect(cause).to.be.instanceOf(RedisError).and.include({ code: 'WRONGPASS' });
      expect(await waiting).to.include.keys('code');
    });
  }

  it('are told that there is one', async () => {
    const { cause } = (await errorOf(open(own.port).socket.inbound)) as ConnectError;
    expect(cause).to.include({ code: 'NOAUTH' });
  });
});
