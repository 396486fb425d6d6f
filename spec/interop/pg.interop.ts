/** `pg` over our stream, against PostgreSQL: a socket and a stream for each of its clients. */
import { createHash, randomBytes } from 'node:crypto';
import { Readable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { Client, Pool, type ClientConfig, type Notification } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { firstValueFrom } from 'rxjs';
import { tcpSocket, toDuplex, type TcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { certificates } from '../support/certificates.js';
import { faultProxy, type FaultProxy } from '../support/fault-proxy.js';
import { atEnd, kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { settled, until } from '../support/leaks.js';
import { needs, startPostgres, type Ending, type Where } from './support/real-servers.js';

const MIB = 1024 * 1024;
const LOST = { code: 'TCP_CONNECTION_LOST' };
const USER = { user: 'postgres', database: 'postgres', password: '' };

/** A client whose connection goes through `toDuplex()`, connected, and the socket beneath. */
async function connected({ host, port }: Where, config: ClientConfig = {}, socketConfig: TcpSocketConfig = {}) {
  const socket = tcpSocket({ host, port, reconnect: false, ...socketConfig });
  const client = new Client({ ...USER, host, ...config, stream: () => kept(toDuplex(socket)) });
  client.on('error', () => undefined); // whoever waits for a query hears of it too
  await client.connect();
  return { client, socket };
}

function through({ port }: FaultProxy): Where {
  return { host: '127.0.0.1', port };
}

/** Resets the newest connection once the socket has read so many bytes more: a reset right behind bytes may look like an end. */
async function cutAfter(bytes: number, proxy: FaultProxy, socket: TcpSocket): Promise<void> {
  const connection = proxy.connections.at(-1)!;
  const last = connection.down.passed + bytes;
  connection.down.faults = { limit: { bytes: last, then: 'stall' } };
  expect(await until(() => socket.stats().bytesRead === last, 1_000_000)).to.be.true;
  connection.reset();
}

/** The lines `1 <text>`, `2 <text>` … and what they hash to. */
function lines(count: number) {
  const text = randomBytes(500).toString('hex');
  const all = Array.from({ length: count }, (_, i) => `${i + 1}\t${text}\n`);
  return { text, source: () => Readable.from(all, { objectMode: true }), digest: digestOf([all.join('')]) };
}

function digestOf(parts: Iterable<string | Buffer>): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

const ROWS = "select n, repeat('x', 1000) || n as text from generate_series(1, 10000) as n";
const isRow = ({ n, text }: { n: number; text: string }, i: number): boolean =>
  n === i + 1 && text === `${'x'.repeat(1_000)}${n}`;

describe('pg over toDuplex(), against the server that is there', () => {
  const server = needs('postgres');
  leavesNothingOpen();

  it('reads a result of 10 MB, in rows and in one value', async () => {
    const { client } = await connected(server);
    const { rows } = await client.query<{ n: number; text: string }>(ROWS);
    expect(rows).to.have.lengthOf(10_000);
    expect(rows.every(isRow)).to.be.true;
    const one = await client.query<{ text: string }>("select repeat('0123456789', 1048576) as text");
    expect(one.rows[0]?.text === '0123456789'.repeat(MIB)).to.be.true;
    await client.end();
  });

  it('reads a result of 10 MB that comes in pieces of every size up to 2,000 bytes', async () => {
    const proxy = await faultProxy(server.port, { seed: 7 });
    proxy.set('down', { slice: 2_000 });
    const { client } = await connected(through(proxy));
    const { rows } = await client.query<{ n: number; text: string }>(ROWS);
    expect(rows.every(isRow)).to.be.true;
    expect((await proxy.connection(0)).down.pieces).to.be.above(10_000);
    await client.end();
  });

  it('copies 10 MB in, and 10 MB out again, byte for byte', async () => {
    const { client } = await connected(server);
    await client.query('create temp table copied (n int, text text)');
    const from = lines(10_000);
    const copy = client.query(copyFrom('copy copied from stdin'));
    await pipeline(from.source(), copy);
    expect(copy.rowCount).to.equal(10_000);
    const chunks: Buffer[] = [];
    for await (const chunk of client.query(copyTo('copy copied to stdout')) as AsyncIterable<Buffer>)
      chunks.push(chunk);
    expect(digestOf(chunks)).to.equal(from.digest);
    const { rows } = await client.query('select count(*)::int as n, count(distinct text)::int as texts from copied');
    expect(rows).to.eql([{ n: 10_000, texts: 1 }]);
    await client.end();
  });

  it('stops the server while nobody reads what it copies out', async () => {
    const proxy = await faultProxy(server.port);
    const { client } = await connected(through(proxy));
    const copy = client.query(copyTo("copy (select repeat('x', 999) from generate_series(1, 64000)) to stdout"));
    const { down } = await proxy.connection(0);
    let bytes = 0;
    for await (const chunk of copy as AsyncIterable<Buffer>) {
      if (bytes === 0) expect(await settled(() => down.passed)).to.be.within(1, 32_000_000);
      bytes += chunk.length;
    }
    expect(bytes).to.equal(64_000_000);
    await client.end();
  });

  it('hears 1,000 notifications, in order', async () => {
    const channel = `c${randomBytes(6).toString('hex')}`;
    const { client: listener } = await connected(server);
    const { client: notifier } = await connected(server);
    const heard: (string | undefined)[] = [];
    const all = new Promise<void>((resolve) => {
      listener.on('notification', ({ payload }: Notification) => heard.push(payload) === 1_000 && resolve());
    });
    await listener.query(`listen ${channel}`);
    for (let i = 0; i < 1_000; i++) await notifier.query('select pg_notify($1, $2)', [channel, i]);
    await all;
    expect(heard).to.eql(Array.from({ length: 1_000 }, (_, i) => String(i)));
    await Promise.all([listener.end(), notifier.end()]);
  });
});

describe('pg over toDuplex(), when its connection is cut', () => {
  const server = startPostgres();
  leavesNothingOpen();

  /** A client through a proxy, and one that looks at what is left of what it did. */
  async function cuttable(table: string) {
    const proxy = await faultProxy(server.port);
    const { client, socket } = await connected(through(proxy));
    const { client: observer } = await connected(server);
    await observer.query(`create table ${table} (n int, text text)`);
    /** Rows, once no transaction that has touched the table is open any more. */
    const rowsLeft = async (): Promise<number> => {
      await observer.query(`begin; lock table ${table} in access exclusive mode`);
      const { rows } = await observer.query<{ n: number }>(`select count(*)::int as n from ${table}`);
      await observer.query('commit');
      return rows[0]!.n;
    };
    return { proxy, client, socket, rowsLeft };
  }

  it('rejects what runs in a transaction, which is rolled back, and a new client goes on', async () => {
    const { proxy, client, socket, rowsLeft } = await cuttable('rolled_back');
    await client.query('begin');
    await client.query("insert into rolled_back select n, 'x' from generate_series(1, 1000) as n");
    const running = outcome(client.query(ROWS));
    await cutAfter(100_000, proxy, socket);
    expect(await running).to.include(LOST);
    expect(await outcome(client.query('commit'))).to.be.an('error');
    expect(await rowsLeft()).to.equal(0);
    const { client: next } = await connected(through(proxy));
    await next.query("begin; insert into rolled_back values (1, 'x'); commit");
    expect(await rowsLeft()).to.equal(1);
  });

  it('tells a client that waits between two statements of a transaction', async () => {
    const { proxy, client, rowsLeft } = await cuttable('idle');
    await client.query("begin; insert into idle values (1, 'x')");
    const told = new Promise((resolve) => client.once('error', resolve));
    proxy.connections[0]?.reset();
    expect(await told).to.include(LOST);
    expect(await outcome(client.query('commit'))).to.be.an('error');
    expect(await rowsLeft()).to.equal(0);
  });

  it('rejects a result that is cut off, and gives no part of it', async () => {
    const { proxy, client, socket } = await cuttable('unused');
    const running = outcome(client.query(ROWS));
    await cutAfter(5_000_000, proxy, socket);
    expect(await running).to.include(LOST);
  });

  it('fails a COPY in that is cut off, and nothing of it stays', async () => {
    const { proxy, client, rowsLeft } = await cuttable('half_in');
    proxy.set('up', { limit: { bytes: 3_000_000, then: 'reset' } });
    const copying = pipeline(lines(10_000).source(), client.query(copyFrom('copy half_in from stdin')));
    expect(await outcome(copying)).to.include(LOST);
    expect(await rowsLeft()).to.equal(0);
  });

  it('fails a COPY out that is cut off, after the bytes that came before', async () => {
    const { proxy, client, socket } = await cuttable('half_out');
    await client.query(`insert into half_out ${ROWS}`);
    let bytes = 0;
    const read = async (): Promise<void> => {
      for await (const chunk of client.query(copyTo('copy half_out to stdout')) as AsyncIterable<Buffer>)
        bytes += chunk.length;
    };
    const reading = outcome(read());
    await cutAfter(3_000_000, proxy, socket);
    expect(await reading).to.include(LOST);
    expect(bytes).to.be.within(2_500_000, 3_000_000);
  });

  it('listens no more, and does once a new client has asked again', async () => {
    const { proxy, client } = await cuttable('heard');
    await client.query('listen cut');
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    proxy.connections[0]?.reset();
    await ended;
    const { client: next } = await connected(through(proxy));
    const heard = new Promise<Notification>((resolve) => next.once('notification', resolve));
    await next.query('listen cut');
    await next.query("notify cut, 'again'");
    expect((await heard).payload).to.equal('again');
  });
});

describe('pg over toDuplex(), when its server is started anew', () => {
  const server = startPostgres();
  leavesNothingOpen();

  for (const how of ['gracefully', 'abruptly'] satisfies Ending[]) {
    it(`goes on in its pool after a server that ended ${how}, and what was confirmed is there`, async () => {
      const stream = (): Duplex => kept(toDuplex(tcpSocket({ port: server.port, reconnect: false })));
      const pool = new Pool({ ...USER, max: 4, stream });
      atEnd(() => pool.end());
      pool.on('error', () => undefined); // of clients that wait in the pool
      await pool.query(`create table ${how} (n int)`);
      const confirmed: number[] = [];
      let [next, failed, after] = [0, 0, 0];
      let restarted: Promise<void> | undefined;
      const work = async (): Promise<void> => {
        while (after < 200 && next < 50_000) {
          const n = next++;
          if (n === 500) restarted = server.restart(how);
          try {
            await pool.query(`insert into ${how} values ($1)`, [n]);
            confirmed.push(n);
            if (failed > 0) after++;
          } catch {
            failed++;
            await restarted;
          }
        }
      };
      await Promise.all([work(), work(), work(), work()]);
      const { rows } = await pool.query<{ n: number }>(`select n from ${how} order by n`);
      expect(failed).to.be.within(1, 4);
      expect(confirmed).to.have.lengthOf(next - failed);
      expect(rows.map(({ n }) => n)).to.include.members(confirmed);
      expect(new Set(rows.map(({ n }) => n)).size).to.equal(rows.length);
    });
  }
});

describe('pg over toDuplex(), with TLS', () => {
  const server = startPostgres({ tls: true });
  leavesNothingOpen();

  const encrypted = async (client: Client): Promise<unknown> =>
    (await client.query<{ ssl: boolean }>('select ssl from pg_stat_ssl where pid = pg_backend_pid()')).rows[0]?.ssl;

  it('speaks TLS over the stream, and reads 10 MB through it', async () => {
    const { ca } = await certificates();
    const { client } = await connected(server, { ssl: { ca } });
    expect(await encrypted(client)).to.be.true;
    expect((await client.query<{ n: number; text: string }>(ROWS)).rows.every(isRow)).to.be.true;
    await client.end();
  });

  it('refuses a server that it does not know', async () => {
    const { otherCa } = await certificates();
    const error = await outcome(connected(server, { ssl: { ca: otherCa } }));
    expect(error).to.include({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  });

  it('hears of a cut under TLS', async () => {
    const { ca } = await certificates();
    const proxy = await faultProxy(server.port);
    const { client, socket } = await connected(through(proxy), { ssl: { ca } });
    const running = outcome(client.query(ROWS));
    await cutAfter(1_000_000, proxy, socket);
    expect(await running).to.include(LOST);
  });

  it('need not know of TLS where the socket agrees on it in its handshake', async () => {
    const { ca } = await certificates();
    const { client } = await connected(
      server,
      {},
      {
        handshake: async (connection) => {
          await connection.write(Buffer.from('0000000804d2162f', 'hex'));
          const answer = await firstValueFrom(connection.inbound);
          if (String(answer) !== 'S') throw new Error('a server without TLS');
          await connection.upgrade({ ca });
        },
      },
    );
    expect(await encrypted(client)).to.be.true;
    await client.end();
  });
});
