import { expect } from 'chai';
import { firstValueFrom, lastValueFrom, merge, retry, skip, toArray, type Observable } from 'rxjs';
import { redisClient, type RedisConfig } from '../../../demo/redis/client.js';
import { RedisError, type Reply } from '../../../demo/redis/reply.js';
import { ConnectionLostError, FrameError, IdleTimeoutError, type ConnectError } from '../../../lib/index.js';
import { kept, leavesNothingOpen, outcome } from '../../support/fixture.js';
import { tape } from '../../support/tape.js';
import { fakeRedis, listOf, type Answer, type FakeRedis } from './fake-redis.js';

/** A client whose connection comes back at once. */
function open({ port }: { readonly port: number }, config: Partial<RedisConfig> = {}) {
  const reconnect = { initialDelay: 1, maxDelay: 1 };
  const client = redisClient({ host: '127.0.0.1', port, reconnect, settle: 0, ...config });
  kept(client.socket);
  return client;
}

const all = (...sources: readonly Observable<Reply>[]): Promise<readonly Reply[]> =>
  lastValueFrom(merge(...sources).pipe(toArray()));
const errorOf = (source: Observable<unknown>): Promise<unknown> => outcome(firstValueFrom(source));

/** What every connection begins with. */
const isOpening = (command: string): boolean => /^HELLO|^PING ready$/.test(command);

/** The commands of one connection, or of all, without what each begins with. */
const said = ({ commands }: FakeRedis, connection = '\\d'): string[] =>
  commands
    .flatMap((line) => new RegExp(`^${connection} (.*)`, 's').exec(line)?.[1] ?? [])
    .filter((command) => !isOpening(command));

describe('redisClient()', () => {
  leavesNothingOpen();

  it('answers commands in their order, and an error reply errors its own command alone', async () => {
    const server = await fakeRedis((command) => (command === 'INCR a' ? '-WRONGTYPE no number\r\n' : undefined));
    const client = open(server);
    const incremented = errorOf(client.command('INCR', 'a'));
    expect(await all(client.command('SET', 'a', 'x'), client.command('PING'))).to.eql(['OK', 'PONG']);
    const error = await incremented;
    expect(error)
      .to.be.instanceOf(RedisError)
      .and.include({ name: 'RedisError', code: 'WRONGTYPE', message: 'WRONGTYPE no number' });
    expect(said(server)).to.eql(['INCR a', 'SET a x', 'PING']);
  });

  it('asks nothing before somebody subscribes, and again for each subscriber', async () => {
    const server = await fakeRedis();
    const { command } = open(server);
    const ping = command('PING');
    command('GET', 'never');
    expect(await all(ping, ping)).to.eql(['PONG', 'PONG']);
    expect(said(server)).to.eql(['PING', 'PING']);
  });

  it('pings between commands, whose replies stay their own, and dials again when nothing comes', async () => {
    const server = await fakeRedis((command, connection) => {
      if (command.startsWith('GET')) return `+${command}\r\n`;
      return connection === 0 && command === 'PING' && pings++ > 2 ? '' : undefined;
    });
    let pings = 0;
    const client = open(server, { pingEvery: 20 });
    const again = firstValueFrom(client.socket.connections.pipe(skip(1)));
    for (let i = 0; pings < 3; i++) expect(await all(client.command('GET', i))).to.eql([`GET ${i}`]);
    const lost = firstValueFrom(client.socket.errors);
    await again;
    expect(await lost).to.be.instanceOf(IdleTimeoutError);
    expect(await all(client.command('GET', 'x'))).to.eql(['GET x']);
  });

  it('refuses a bad command alone', async () => {
    const client = open(await fakeRedis());
    const bad = errorOf(client.command('SET', 'a', undefined as unknown as string));
    expect(await all(client.command('PING'))).to.eql(['PONG']);
    expect(await bad)
      .to.be.instanceOf(FrameError)
      .and.include({ kind: 'encode' });
  });

  describe('begins a connection', () => {
    const begins = (title: string, config: Partial<RedisConfig>, commands: readonly string[]): unknown =>
      it(title, async () => {
        const server = await fakeRedis();
        await all(open(server, config).command('GET', 'a'));
        expect(server.commands).to.eql(commands);
      });

    begins('with version 3', {}, ['0 HELLO 3', '0 PING ready', '0 GET a']);
    begins('with a password', { password: 'p' }, ['0 HELLO 3 AUTH default p', '0 PING ready', '0 GET a']);
    begins('with a user and a database', { username: 'ann', password: 'p', db: 2 }, [
      '0 HELLO 3 AUTH ann p',
      '0 SELECT 2',
      '0 PING ready',
      '0 GET a',
    ]);
    begins('with nothing in version 2', { protocol: 2 }, ['0 PING ready', '0 GET a']);
    begins('with a login in version 2', { protocol: 2, password: 'p', db: 0 }, [
      '0 AUTH default p',
      '0 SELECT 0',
      '0 PING ready',
      '0 GET a',
    ]);

    it('again when it comes back', async () => {
      const server = await fakeRedis();
      const client = open(server, { password: 'p', db: 1 });
      await all(client.command('PING'));
      client.socket.redial();
      await all(client.command('PING'));
      expect(server.commands.slice(4)).to.eql(['1 HELLO 3 AUTH default p', '1 SELECT 1', '1 PING ready', '1 PING']);
    });

    it('and ends the socket if the server refuses it', async () => {
      const server = await fakeRedis((command) =>
        command.startsWith('HELLO') ? '-WRONGPASS no such user\r\n' : undefined,
      );
      const client = open(server, { password: 'wrong' });
      const { cause } = (await errorOf(client.socket.inbound)) as ConnectError;
      expect(cause).to.be.instanceOf(RedisError).and.include({ code: 'WRONGPASS' });
      expect(await errorOf(client.command('PING'))).to.include({ code: 'TCP_CLOSED' });
      expect(server.served).to.have.lengthOf(1);
    });

    it('and tries again while the server loads its data, writing nothing before', async () => {
      const server = await fakeRedis((command, connection) =>
        connection < 2 && command.startsWith('PING')
          ? '-LOADING Redis is loading the dataset in memory\r\n'
          : undefined,
      );
      const client = open(server);
      expect(await all(client.command('SET', 'a', 1), client.command('PING'))).to.eql(['OK', 'PONG']);
      expect(said(server)).to.eql(['SET a 1', 'PING']);
      expect(said(server, '2')).to.eql(['SET a 1', 'PING']);
    });

    it('whatever else it says to a PING: who may not ping may read', async () => {
      const server = await fakeRedis((command) =>
        command.startsWith('PING') ? "-NOPERM this user has no permissions to run the 'ping' command\r\n" : undefined,
      );
      expect(await all(open(server).command('GET', 'a'))).to.eql(['OK']);
    });

    it('and tries again if the server is full', async () => {
      const full = '-ERR max number of clients reached\r\n';
      const server = await fakeRedis((_, connection) => (connection < 2 ? full : undefined));
      expect(await all(open(server).command('PING'))).to.eql(['PONG']);
      expect(server.served).to.have.lengthOf(3);
    });
  });

  describe('when a connection is lost', () => {
    /** Each command on the first connection after its beginning is read, and the last one ends it. */
    const cutAt =
      (last: string): Answer =>
      (command, connection, served) => {
        if (connection > 0 || isOpening(command)) return undefined;
        if (command === last) served.destroy();
        return '';
      };

    it('writes again what may be done twice, and nothing else', async () => {
      const server = await fakeRedis(cutAt('GET last'));
      const client = open(server);
      const again = all(client.command('GET', 'a'), client.command('mget', 'a', 'b'), client.idempotent('INCR', 'b'));
      const once = [client.command('INCR', 'a'), client.command('SET', 'a', 1), client.command('DEL', 'a')].map(
        errorOf,
      );
      const last = all(client.command('GET', 'last'));
      for (const error of await Promise.all(once)) expect(error).to.be.instanceOf(ConnectionLostError);
      expect([await again, await last]).to.eql([['OK', 'OK', 'OK'], ['OK']]);
      expect(said(server, '1')).to.eql(['GET a', 'mget a b', 'INCR b', 'GET last']);
    });

    it('dials again while the server is busy, and is told by one subscription alone that it is refused', async () => {
      const busy = '-BUSY Redis is busy running a script\r\n';
      const server = await fakeRedis((command, connection) => {
        if (connection === 1 && command.startsWith('SELECT')) return busy;
        return connection === 2 && command === 'SUBSCRIBE secret' ? '-NOPERM no access\r\n' : undefined;
      });
      const client = open(server, { db: 2 });
      const [news, secret] = [tape(client.subscribe('news')), tape(client.subscribe('secret'))];
      await all(client.command('PING'));
      client.socket.redial();
      await secret.end;
      expect(await all(client.command('PING'))).to.eql(['PONG']);
      expect(said(server, '2')).to.eql(['SELECT 2', 'SUBSCRIBE news', 'SUBSCRIBE secret', 'PING']);
      expect([news.ended, (secret.error as Error).message]).to.eql([undefined, 'NOPERM no access']);
    });

    it('writes what waited, whatever it is', async () => {
      const server = await fakeRedis();
      const client = open(server);
      await all(client.command('PING'));
      client.socket.redial();
      expect(await all(client.command('INCR', 'a'), client.multi([]))).to.have.lengthOf(2);
      expect(said(server, '1')).to.eql(['INCR a', 'MULTI', 'EXEC']);
    });

    it('errors a transaction that may be done, and writes none of it again', async () => {
      const server = await fakeRedis(cutAt('EXEC'));
      const client = open(server);
      expect(await errorOf(client.multi([['INCR', 'a']]))).to.be.instanceOf(ConnectionLostError);
      await all(client.command('PING'));
      expect(said(server)).to.eql(['MULTI', 'INCR a', 'EXEC', 'PING']);
    });
  });

  describe('has transactions that', () => {
    const QUEUED = '+QUEUED\r\n';
    const inTurn =
      (...replies: string[]): Answer =>
      (command) =>
        isOpening(command) ? undefined : replies.shift();

    it('give the replies of all commands, errors among them, to each subscriber', async () => {
      const exec = '*2\r\n:1\r\n-ERR no\r\n';
      const client = open(await fakeRedis(inTurn('+OK\r\n', QUEUED, QUEUED, exec, '+OK\r\n', QUEUED, QUEUED, exec)));
      const transaction = client.multi([
        ['INCR', 'a'],
        ['LPUSH', 'a', 1],
      ]);
      for (const replies of [await firstValueFrom(transaction), await firstValueFrom(transaction)]) {
        expect(replies).to.have.lengthOf(2).and.include(1);
        expect((replies as readonly Reply[])[1]).to.be.instanceOf(RedisError);
      }
    });

    it('give null if what was watched has changed', async () => {
      const client = open(await fakeRedis(inTurn('+OK\r\n', QUEUED, '_\r\n')));
      expect(await firstValueFrom(client.multi([['INCR', 'a']]))).to.equal(null);
    });

    it('error with what the server refused first, and leave the next replies in their places', async () => {
      const client = open(
        await fakeRedis(inTurn('+OK\r\n', '-ERR unknown command\r\n', QUEUED, '-EXECABORT discarded\r\n')),
      );
      const refused = errorOf(client.multi([['NOPE'], ['INCR', 'a']]));
      expect(await all(client.command('PING'))).to.eql(['PONG']);
      expect(await refused).to.include({ code: 'ERR', message: 'ERR unknown command' });
    });
  });

  describe('has subscriptions that', () => {
    const message = (channel: string, payload: string) => listOf(['message', channel, payload], '>');

    /** Resolves once the server has been asked so many things. */
    const asked = ({ command }: ReturnType<typeof open>) => all(command('PING'));

    it('share one at the server, which ends with the last of them', async () => {
      const server = await fakeRedis();
      const client = open(server);
      const [ann, bob, pattern] = [client.subscribe('news'), client.subscribe('news'), client.psubscribe('n*')].map(
        tape,
      );
      await asked(client);
      await server.served[0]!.write(
        message('news', 'one') + listOf(['pmessage', 'n*', 'news', 'one'], '>') + message('other', 'x'),
      );
      expect(await Promise.all([ann!.at(0), bob!.at(0), pattern!.at(0)])).to.eql(Array(3).fill(['news', 'one']));
      ann!.stop();
      await asked(client);
      await server.served[0]!.write(message('news', 'two'));
      expect(await bob!.at(1)).to.eql(['news', 'two']);
      bob!.stop();
      await asked(client);
      expect(said(server)).to.eql(['SUBSCRIBE news', 'PSUBSCRIBE n*', 'PING', 'PING', 'UNSUBSCRIBE news', 'PING']);
      expect(ann!.values).to.have.lengthOf(1);
    });

    it('are there again on a new connection, before what waited is written, and miss nothing from there on', async () => {
      const server = await fakeRedis((command, connection) => {
        if (connection === 0 || !command.startsWith('SUBSCRIBE')) return undefined;
        const [, channel = ''] = command.split(' ');
        return listOf(['subscribe', channel, '1'], '>') + message('a b', `with ${channel}`);
      });
      const client = open(server);
      const messages = tape(merge(client.subscribe('news'), client.subscribe('a b')));
      await asked(client);
      client.socket.redial();
      expect(await asked(client)).to.eql(['PONG']);
      expect(said(server, '1')).to.eql(['SUBSCRIBE news', 'SUBSCRIBE a b', 'PING']);
      expect(await messages.at(1)).to.eql(['a b', 'with a']);
      expect(messages.values[0]).to.eql(['a b', 'with news']);
    });

    it('are not there again once nobody is subscribed', async () => {
      const server = await fakeRedis();
      const client = open(server);
      const messages = tape(client.subscribe('news'));
      await asked(client);
      client.socket.redial();
      messages.stop();
      await asked(client);
      expect(said(server, '1')).to.not.include('SUBSCRIBE news');
    });

    it('leave replies in their places when they come and go', async () => {
      const server = await fakeRedis((command) => (command.startsWith('GET') ? `+${command.slice(4)}\r\n` : undefined));
      const client = open(server);
      const names = Array.from({ length: 50 }, (_, i) => `k${i}`);
      const replies = names.map((name) => {
        tape(client.subscribe(name)).stop();
        const reply = firstValueFrom(client.command('GET', name));
        tape(client.subscribe('kept'));
        return reply;
      });
      expect(await Promise.all(replies)).to.eql(names);
    });

    it('error if the server refuses them, and may be tried again', async () => {
      let refusals = 1;
      const server = await fakeRedis((command) =>
        command.startsWith('SUBSCRIBE') && refusals-- > 0 ? '-NOPERM no\r\n' : undefined,
      );
      const client = open(server);
      const [, messages] = [tape(client.subscribe('secret')), tape(client.subscribe('secret').pipe(retry(1)))];
      expect(await errorOf(client.subscribe('secret'))).to.include({ code: 'NOPERM' });
      await asked(client);
      await server.served[0]!.write(message('secret', 'x'));
      expect(await messages.at(0)).to.eql(['secret', 'x']);
    });

    it('need version 3', async () => {
      const client = open(await fakeRedis(), { protocol: 2 });
      expect(await errorOf(client.subscribe('news'))).to.be.instanceOf(TypeError);
      expect(await all(client.command('PING'))).to.eql(['PONG']);
    });

    it('complete when the client ends, and error with what ends it', async () => {
      const ended = open(await fakeRedis());
      const messages = tape(ended.subscribe('news'));
      await ended.end();
      expect(messages.ended).to.equal('completed');
      const destroyed = open(await fakeRedis());
      const broken = tape(destroyed.subscribe('news'));
      await asked(destroyed);
      const reason = new Error('enough');
      destroyed.socket.destroy(reason);
      await broken.end;
      expect(broken.error).to.equal(reason);
    });
  });

  it('waits for replies before it ends', async () => {
    let meanwhile: string | undefined;
    const server = await fakeRedis((command) => {
      if (command === 'GET slow') return '';
      if (command !== 'PING') return undefined;
      meanwhile = status.values.at(-1)?.type; // a real server would drop what it has not written when it sees our FIN
      return '+at last\r\n+PONG\r\n';
    });
    const client = open(server);
    const status = tape(client.socket.status);
    const slow = tape(client.command('GET', 'slow'));
    await client.end();
    expect(slow.values).to.eql(['at last']);
    expect(meanwhile).to.equal('open');
  });
});
