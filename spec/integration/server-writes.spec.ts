import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import * as tls from 'node:tls';
import { from, interval, map, of, take, type ObservableInput } from 'rxjs';
import { expect } from 'chai';
import {
  ClosedError,
  ConnectionLostError,
  lengthPrefixed,
  lines,
  OverflowError,
  tcpServer,
  tcpSocket,
  WriteError,
  type ServerConnection,
  type TcpServer,
  type TcpServerConfig,
} from '../../lib/index.js';
import { certificates, type Certificates } from '../support/certificates.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { until } from '../support/leaks.js';
import { seededRandom, seeds } from '../support/random.js';
import { record, type Recording } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
const KiB = 1024;
const MiB = 1024 * KiB;

/** It reads from now on. */
function reading(raw: Socket): Recording {
  const recording = record(raw);
  raw.resume();
  return recording;
}

describe('what a server writes', () => {
  leavesNothingOpen();

  let made: Certificates;
  before(async () => {
    made = await certificates();
  });

  function serving<In, Out>(server: TcpServer<In, Out>): TcpServer<In, Out> {
    atEnd(() => server.close({ timeout: 0 }));
    return server;
  }

  /** A plain client, which reads nothing until it is told to. */
  async function client(port: number, secure = false): Promise<Socket> {
    const plain = kept(connect({ port, host, allowHalfOpen: true }));
    plain.on('error', () => undefined);
    await once(plain, 'connect');
    if (!secure) return plain.pause();
    const raw = kept(tls.connect({ socket: plain, ca: made.ca, servername: 'localhost' }));
    raw.on('error', () => undefined);
    raw.resetAndDestroy = () => {
      plain.resetAndDestroy(); // of TLS itself Node cannot make one
      return raw.destroy();
    };
    await once(raw, 'secureConnect');
    return raw.pause();
  }

  /** One connection and both its ends. */
  async function meet(config: TcpServerConfig = {}) {
    const server = serving(tcpServer({ host, ...config }));
    const [connections, errors] = [tape(server.connections), tape(server.errors)];
    const { port } = await server.listening;
    const raw = await client(port, config.tls !== undefined);
    return { server, connections, errors, port, raw, connection: await connections.at(0) };
  }

  /** Writes without end, until so many wait that the kernel can have taken none for a while. */
  async function fill(connection: ServerConnection, count: number, size: number): Promise<Promise<unknown>[]> {
    const writes = Array.from({ length: count }, () => outcome(connection.write(Buffer.alloc(size))));
    let before = -1;
    while (before !== connection.stats().queuedFrames) {
      before = connection.stats().queuedFrames;
      await turns(100);
    }
    expect(before).to.be.greaterThan(0);
    return writes;
  }

  const tally = async (writes: Promise<unknown>[]) => {
    const outcomes = await Promise.all(writes);
    return { outcomes, written: outcomes.filter((one) => one === 'written').length };
  };

  it('goes out in few batches when much is written in one turn', async () => {
    const { connection, raw } = await meet();
    const recording = reading(raw);
    const write = connection.raw.write.bind(connection.raw);
    let handed = 0;
    Object.assign(connection.raw, {
      write: (...args: Parameters<typeof write>) => {
        handed++;
        return write(...args);
      },
    });
    const writes = Array.from({ length: 1000 }, (_, i) => outcome(connection.write(`${String(i)};`)));
    expect((await tally(writes)).written).to.equal(1000);
    const wanted = Array.from({ length: 1000 }, (_, i) => `${String(i)};`).join('');
    await recording.has(wanted.length);
    expect(recording.text).to.equal(wanted);
    expect(handed).to.equal(1);
  });

  it('comes after all that its handshake has written, awaited or not [S1]', async () => {
    const config = { host, codec: lengthPrefixed({ maxFrameLength: 8 * MiB }) };
    const server = serving(
      tcpServer({
        ...config,
        handshake: (connection) => {
          void connection.write(Buffer.alloc(4 * MiB - 1, 'h'));
          void connection.write('h');
          return of('done');
        },
      }),
    );
    server.connections.subscribe((connection) => {
      for (let i = 0; i < 100; i++) void connection.write('q');
    });
    const { port } = await server.listening;
    const raw = await client(port);
    await turns(50);
    const recording = reading(raw);
    await recording.has(4 * MiB + 102 * 4 + 100 - 1);
    const bodies = recording.text.replace(/[^hq]/g, '');
    expect(bodies).to.equal('h'.repeat(4 * MiB) + 'q'.repeat(100));
  });

  for (const secure of [false, true]) {
    describe(secure ? 'in TLS' : 'plain', () => {
      const options = (config: TcpServerConfig = {}): TcpServerConfig =>
        secure ? { ...config, tls: made.server } : config;

      it('stops for a client that does not read, and for it alone; what waits is bounded [S5]', async () => {
        const { connection, connections, port, raw, errors, server } = await meet(
          options({ writeBuffer: { bytes: 2 * MiB } }),
        );
        const reader = reading(await client(port, secure));
        const other = await connections.at(1);
        const blocked: Promise<unknown>[] = [];
        const chunk = Buffer.alloc(64 * KiB);
        for (let i = 0; i < 400; i++) {
          blocked.push(outcome(connection.write(chunk)));
          await other.write(chunk);
          expect(connection.stats().queuedBytes).to.be.at.most(2 * MiB);
          expect(connection.raw.writableLength).to.be.at.most(128 * KiB);
        }
        await reader.has(400 * chunk.length);
        expect(server.stats().queuedBytes).to.be.within(1, 2 * MiB);
        raw.destroy();
        const { outcomes } = await tally(blocked);
        const refused = outcomes.filter((one) => one instanceof OverflowError);
        expect(refused).to.have.length.greaterThan(0);
        for (const one of outcomes)
          if (one !== 'written' && !(one instanceof OverflowError)) expect(one).to.be.instanceOf(ConnectionLostError);
        expect(errors.values.every(({ epoch }) => epoch === connection.epoch)).to.be.true;
        expect(await outcome(other.write('still here'))).to.equal('written');
      });

      it('is pulled by writeAll() no faster than the client reads, and arrives whole', async () => {
        const { connection, raw } = await meet(options({ writeBuffer: { bytes: MiB } }));
        const total = 512;
        let pulled = 0;
        function* source() {
          for (; pulled < total; pulled++) yield Buffer.alloc(64 * KiB, pulled);
        }
        const all = connection.writeAll(source());
        let before = -1;
        while (before !== pulled) {
          before = pulled;
          await turns(100);
        }
        expect(pulled).to.be.lessThan(total);
        const recording = reading(raw);
        await all;
        await recording.has(total * 64 * KiB);
        const { bytes } = recording;
        for (let i = 0; i < total; i++) expect(bytes[i * 64 * KiB]).to.equal(i & 255);
        expect(connection.stats()).to.include({ queuedFrames: 0, framesWritten: total });
      });

      it('is written to its end before the FIN of end(), however long the client takes', async () => {
        const { connection, raw } = await meet(options());
        const writes = await fill(connection, 256, 64 * KiB);
        const ended = connection.end();
        expect(await outcome(connection.write('late'))).to.be.instanceOf(ClosedError);
        await turns();
        const recording = reading(raw);
        await once(raw, 'end');
        expect(recording.bytes).to.have.length(256 * 64 * KiB);
        expect((await tally(writes)).written).to.equal(256);
        await ended;
        expect(await connection.closed).to.be.undefined;
      });

      it('is written to its end after the FIN of the client, and then the FIN of the server comes', async () => {
        const { connection, raw, errors } = await meet(options());
        connection.inbound.subscribe();
        const writes = await fill(connection, 256, 64 * KiB);
        raw.end();
        await turns();
        const recording = reading(raw);
        await once(raw, 'end');
        expect(recording.bytes).to.have.length(256 * 64 * KiB);
        expect((await tally(writes)).written).to.equal(256);
        expect(await connection.closed).to.include({ clean: true, endedBy: 'peer' });
        expect(errors.values).to.deep.equal([]);
      });

      it('is given up at `endTimeout` if the client never reads: each message has its outcome [S3]', async () => {
        const { connection, errors, server } = await meet(options({ endTimeout: 30 }));
        const writes = await fill(connection, 256, 64 * KiB);
        await connection.end();
        const lost = await connection.closed;
        expect(lost).to.be.instanceOf(ConnectionLostError).and.to.include({ clean: false, endedBy: 'us' });
        const { outcomes, written } = await tally(writes);
        expect(outcomes.filter((one) => one === lost)).to.have.length(256 - written);
        expect(server.stats()).to.include({ framesWritten: written, framesUndelivered: 256 - written, open: 0 });
        const told = errors.values.filter((error) => error instanceof WriteError);
        expect(told).to.have.length(256 - written);
      });

      it('rejects with the loss when the client resets: `errors` tells which messages, and their fate [S3]', async () => {
        const { connection, raw, errors } = await meet(options());
        connection.inbound.subscribe();
        const writes = await fill(connection, 256, 64 * KiB);
        raw.resetAndDestroy();
        const lost = await connection.closed;
        const { outcomes, written } = await tally(writes);
        expect(outcomes.filter((one) => one === lost)).to.have.length(256 - written);
        const told = errors.values.filter((error) => error instanceof WriteError);
        expect(told).to.have.length(256 - written);
        expect(told.map(({ fate }) => fate)).to.include.members(['unknown', 'unsent']);
        expect(told.every((error) => error.undelivered instanceof Buffer && error.cause === lost)).to.be.true;
        expect(errors.values[0], 'before what it left').to.equal(lost);
      });
    });
  }

  it('can go on after the FIN of the client with `allowHalfOpen`, until end()', async () => {
    for (const config of [{}, { tls: made.server }]) {
      const { connection, raw } = await meet({ ...config, socket: { allowHalfOpen: true } });
      const recording = reading(raw);
      const inbound = tape(connection.inbound);
      raw.end('question');
      await inbound.end;
      expect(String(inbound.values[0])).to.equal('question');
      await turns();
      await connection.write('a long ');
      await connection.writeAll(['answer', '.']);
      await recording.has('a long answer.');
      await connection.end();
      expect(await connection.closed).to.be.undefined;
    }
  });

  it('comes from sources of all kinds, one after the other', async () => {
    const { connection, raw } = await meet();
    const recording = reading(raw);
    const sources: ObservableInput<string>[] = [
      ['a', 'b'],
      new Set(['c', 'd']),
      (function* () {
        yield 'e';
      })(),
      (async function* () {
        yield 'f';
        await Promise.resolve();
        yield 'g';
      })(),
      Readable.from(['h', 'i']),
      ReadableStream.from(['j', 'k']),
      of('l', 'm'),
      from(Promise.resolve('n')),
      interval(1).pipe(
        take(2),
        map((i) => 'op'.charAt(i)),
      ),
    ];
    for (const source of sources) await connection.writeAll(source);
    await recording.has('abcdefghijklmnop');
    expect(recording.text).to.equal('abcdefghijklmnop');
  });

  it('comes from another of its connections, and from a client, no faster than it is read', async () => {
    const { connection, connections, port, raw } = await meet({ writeBuffer: { bytes: MiB } });
    const source = await client(port);
    const relayed = connection.writeAll(await connections.at(1));
    const total = 32 * MiB;
    source.write(Buffer.alloc(total, 'r'));
    source.end();
    await turns(200);
    expect(connection.stats().queuedBytes).to.be.at.most(MiB);
    const recording = reading(raw);
    await relayed;
    await recording.has(total);
    const upstream = serving(tcpServer({ host, codec: lines() }));
    upstream.connections.subscribe((from) => void from.writeAll(['one', 'two']).then(() => from.end()));
    const at = await upstream.listening;
    const socket = kept(tcpSocket({ host, port: at.port, codec: lines(), reconnect: false }));
    await connection.writeAll(socket);
    await recording.has('onetwo');
  });

  it('rejects with an error of the source, and goes on', async () => {
    const { connection, raw } = await meet();
    const recording = reading(raw);
    const failing = async function* () {
      yield 'a';
      await Promise.resolve();
      throw new Error('dry');
    };
    expect(await outcome(connection.writeAll(failing())))
      .to.be.instanceOf(Error)
      .and.to.include({ message: 'dry' });
    await connection.write('b');
    await recording.has('ab');
  });

  it('is flushed when the kernel has it, and never rejects if it never does', async () => {
    const { connection, raw } = await meet();
    let flushed = false;
    const first = await fill(connection, 256, 64 * KiB);
    const flush = connection.flush().then(() => (flushed = true));
    await turns();
    expect(flushed).to.be.false;
    raw.resume();
    await flush;
    expect((await tally(first)).written).to.equal(256);
    expect(connection.stats()).to.include({ queuedFrames: 0, framesWritten: 256, bytesWritten: 16 * MiB });
    raw.pause();
    const second = await fill(connection, 256, 64 * KiB);
    const lost = connection.flush();
    raw.resetAndDestroy();
    await lost;
    expect((await tally(second)).written).to.be.lessThan(256);
  });

  it('has one outcome a message, whenever clients reset [S3]', async () => {
    const server = serving(tcpServer({ host, writeBuffer: { frames: 150, bytes: 4 * MiB } }));
    const [connections, errors] = [tape(server.connections), tape(server.errors)];
    const { port } = await server.listening;
    let written = 0;
    for (const seed of seeds(30)) {
      const random = seededRandom(seed);
      const raw = await client(port);
      const connection = await connections.first(({ endpoint }) => endpoint.port === raw.localPort);
      connection.inbound.subscribe({ error: () => undefined });
      let left = random.int(0, 6 * MiB);
      raw.on('data', (chunk: Buffer) => {
        left -= chunk.length;
        if (left < 0) raw.resetAndDestroy();
      });
      raw.on('end', () => raw.end());
      raw.resume();
      const messages: Buffer[] = [];
      const writes: Promise<unknown>[] = [];
      while (writes.length < 200) {
        messages.push(Buffer.alloc(random.int(1, 60 * KiB)));
        writes.push(outcome(connection.write(messages.at(-1)!)));
        if (random.next() < 0.2) await turns(1);
      }
      if (random.next() < 0.5) void connection.end();
      else raw.resetAndDestroy();
      await connection.closed;
      const { outcomes } = await tally(writes);
      // Of each message: written, or told once in `errors`, or it came after the end, as did all that follow it.
      const told = errors.values.flatMap((error) => ('undelivered' in error ? [error.undelivered] : []));
      const fates = outcomes.map((one, i) => [one === 'written', ...told.filter((it) => it === messages[i])]);
      expect(fates.every(([isWritten, ...tellings]) => tellings.length <= (isWritten === true ? 0 : 1))).to.be.true;
      const late = fates.map(([isWritten, ...tellings]) => isWritten === false && tellings.length === 0);
      if (late.includes(true)) expect(late.slice(late.indexOf(true))).not.to.include(false);
      written += outcomes.filter((one) => one === 'written').length;
    }
    const { framesWritten, framesUndelivered, framesRefused } = server.stats();
    expect(framesWritten).to.equal(written);
    const told = errors.values.filter((error) => error instanceof WriteError || error instanceof OverflowError);
    expect(told).to.have.length(framesUndelivered + framesRefused);
    expect(await until(() => server.stats().open === 0)).to.be.true;
  });
});
