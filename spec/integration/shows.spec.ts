/** The figures that the README and its pages speak of: each spec prints its own in one line and asserts its bounds. */
import { expect } from 'chai';
import { filter, firstValueFrom, map, take, timer } from 'rxjs';
import { echoServer, lengthPrefixed, lines, pacedMap, tcpSocket } from '../../lib/index.js';
import { numbered, otherProcess, resettingServer } from '../support/child-server.js';
import { memoryWatch } from '../support/memory.js';
import { collect, freePort, listen, peers, turns } from '../support/peers.js';

const MIB = 1024 * 1024;

function figure(text: string): void {
  console.log(`[figure] ${text}`);
}

describe('the figures', function () {
  this.timeout(120_000);
  const { serve, track } = peers();

  it('10 writes 150 ms apart to a server that closes after each reply give 10 replies in order [S1][S2]', async () => {
    const server = track(echoServer({ port: 0, closeAfterReply: true }));
    const { port } = await server.listening;
    const socket = track(tcpSocket({ host: 'localhost', port }));
    const began = performance.now();
    const replies = collect(socket.inbound.pipe(map((chunk) => chunk.toString())));
    timer(0, 150)
      .pipe(take(10))
      .subscribe((n) => socket.outbound.next(`m${n}`));
    await replies.reach(10);
    const took = performance.now() - began;
    figure(
      `(a) 10 writes 150 ms apart, server closing after each reply: ${replies.values.length} replies after ${took.toFixed(0)} ms`,
    );
    expect(replies.values).to.eql(Array.from({ length: 10 }, (_, n) => `m${n}`));
    await socket.end();
    await server.close();
  });

  it('20,000 numbered frames through 20 random resets leave no gap and none torn on any connection [S1][S2][S3]', async () => {
    const frames = 20_000;
    const server = await resettingServer({ frames, resets: 20, seed: 7 });
    const socket = track(
      tcpSocket({
        ...{ host: 'localhost', port: server.port, codec: lengthPrefixed(), retryLimit: 50 },
        reconnect: { initialDelay: 5, maxDelay: 20 },
      }),
    );
    collect(socket.inbound);
    const errors = collect(socket.errors.pipe(map(({ code }) => code)));
    let [resolved, rejected] = [0, 0];
    for (let number = 0; number < frames; number++) {
      socket.write(numbered(number, 16 + (number % 241))).then(
        () => resolved++,
        () => rejected++,
      );
      // At most so far ahead of the server: a reset meets some frames in the kernel, and not the whole queue.
      if (number % 100 !== 99) continue;
      await socket.flush();
      await server.report();
    }
    await socket.end();
    const { connections, resetsLeft, arrived } = await server.report();
    const { framesRetried, drops, framesWritten } = socket.stats();
    figure(
      `(b) ${frames} frames, ${drops} drops: ${resolved} written, ${rejected} rejected, ` +
        `${frames - arrived} (${(((frames - arrived) / frames) * 100).toFixed(2)} %) of the written never arrived, ` +
        `${framesRetried} written again, ${connections.reduce((sum, { count }) => sum + count, 0) - arrived} arrived twice`,
    );
    expect(resetsLeft).to.equal(0);
    expect(drops).to.be.at.least(20);
    expect(connections.filter(({ gaps, torn }) => gaps + torn > 0)).to.eql([]);
    expect([resolved, rejected, framesWritten]).to.eql([frames, 0, frames]);
    expect(new Set(errors.values)).to.eql(new Set(['TCP_CONNECTION_LOST']));
    expect(arrived).to.be.greaterThan(frames / 2);
  });

  it('64 MiB of 1 KiB frames into slow work grow memory by less than 16 MiB, and none is lost or reordered [S5][S6]', async () => {
    const frames = 64 * 1024;
    const server = await otherProcess('frame-source', { frames, size: 1024 });
    const socket = track(
      tcpSocket({ host: 'localhost', port: server.port, codec: lengthPrefixed(), reconnect: false }),
    );
    const began = performance.now();
    const memory = memoryWatch();
    let [done, wrong, slowFrames, slowFor] = [0, 0, 0, 0];
    // 1 KiB a millisecond; where the timers of the machine are coarser, several frames share one.
    const slow = (): Promise<unknown> =>
      performance.now() - began > done ? Promise.resolve() : firstValueFrom(timer(1));
    const work = async (frame: Buffer): Promise<void> => {
      slowFor = performance.now() - began;
      if (slowFor < 4_000) {
        await slow();
        slowFrames++;
        if (done % 256 === 0) memory.look();
      }
      if (!frame.equals(numbered(done, 1024))) wrong++;
      done++;
    };
    const all = collect(socket.inbound.pipe(pacedMap(socket, work)));
    await all.ended;
    const fast = performance.now() - began - 4_000;
    figure(
      `(c) 64 MiB into pacedMap: ${slowFrames} KiB in 4 s of slow work with ${memory.text}; ` +
        `the rest in ${fast.toFixed(0)} ms; ${done} frames, ${wrong} lost or out of order`,
    );
    expect([done, wrong, all.end]).to.eql([frames, 0, {}]);
    expect(slowFrames, 'handed over while the work was slow').to.be.within(1, frames - 1);
    expect(memory.most).to.be.lessThan(16 * MIB);
  });

  it('64 MiB of bytes() into work of 1 MiB a second grow memory by less than 8 MiB, and no byte is lost [S5][S6]', async () => {
    const frames = 64 * 1024 - 256; // and 4 bytes of length each
    const server = await otherProcess('frame-source', { frames, size: 1024 });
    const socket = track(tcpSocket({ host: 'localhost', port: server.port, reconnect: false }));
    const began = performance.now();
    const memory = memoryWatch();
    let [bytes, slowBytes] = [0, 0];
    const decoded: number[] = [];
    const decoder = lengthPrefixed().decoder(() => undefined);
    const work = async (chunk: Buffer): Promise<void> => {
      if (performance.now() - began < 4_000) {
        bytes += chunk.length;
        const ahead = (bytes / MIB) * 1000 - (performance.now() - began);
        if (ahead > 0) await firstValueFrom(timer(ahead));
        slowBytes = bytes;
        memory.look();
      }
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) decoded.push(frame.readUInt32BE());
    };
    const all = collect(socket.inbound.pipe(pacedMap(socket, work)));
    await all.ended;
    figure(
      `(h) 64 MiB of bytes() into pacedMap: ${(slowBytes / MIB).toFixed(1)} MiB in 4 s of slow work, ${memory.text}`,
    );
    expect(slowBytes).to.be.within(1, 8 * MIB);
    expect(memory.most).to.be.lessThan(8 * MIB);
    expect([decoded.length, decoded.findIndex((number, i) => number !== i)]).to.eql([frames, -1]);
    decoder.end();
  });

  it('two firstValueFrom in a row over "one,two,three" give "one" and "two" [S6]', async () => {
    const server = await serve();
    const socket = track(tcpSocket({ port: server.port, codec: lines() }));
    const first = firstValueFrom(socket.inbound);
    await (await server.accepted()).send('one\ntwo\nthree\n');
    const got = [await first, await firstValueFrom(socket.inbound)];
    figure(`(d) two firstValueFrom over one,two,three: ${got.join(', ')}`);
    expect(got).to.eql(['one', 'two']);
    socket.destroy();
  });

  // 7.8 million refusals take half a minute: `SHOWS=full npm test` has them all, otherwise a fifth of them must do.
  const small = process.env.SHOWS === 'full' ? 500 : 100;
  for (const [size, megabytes] of [
    [64 * 1024, 500],
    [64, small],
  ] as const) {
    it(`${megabytes} MB in messages of ${size} B at a server that never reads stay within the write buffer and 64 MiB [S3][S5]`, async () => {
      const server = await otherProcess('never-reads');
      const socket = track(
        tcpSocket({ host: 'localhost', port: server.port, writeBuffer: { bytes: 8 * MIB, frames: 10_000_000 } }),
      );
      await firstValueFrom(socket.connections);
      const counts = { TCP_OVERFLOW: 0, TCP_WRITE: 0, others: 0 };
      socket.errors.subscribe(({ code }) => {
        if (code === 'TCP_OVERFLOW' || code === 'TCP_WRITE') counts[code]++;
        else counts.others++;
      });
      const memory = memoryWatch();
      const total = Math.ceil((megabytes * 1_000_000) / size);
      const pattern = Buffer.alloc(size, 'pattern');
      const began = performance.now();
      const perTurn = Math.ceil(MIB / size);
      for (let sent = 0; sent < total; sent++) {
        socket.outbound.next(Buffer.from(pattern));
        if (sent % perTurn === 0) await turns(1);
        if (sent % (32 * perTurn) === 0) memory.look();
      }
      const pushing = performance.now() - began;
      memory.look();
      const { framesRefused, framesWritten, queuedFrames, queuedBytes } = socket.stats();
      const ending = performance.now();
      await socket.end({ timeout: 300 });
      const ended = performance.now() - ending;
      const { framesUndelivered } = socket.stats();
      figure(
        `(e) ${megabytes} MB in ${size} B messages at a server that never reads: pushed in ${(pushing / 1000).toFixed(1)} s, ` +
          `${memory.text}; ${counts.TCP_OVERFLOW} OverflowErrors for ${framesRefused} refused of ${total}; ` +
          `end({ timeout: 300 }) took ${ended.toFixed(0)} ms`,
      );
      expect(framesRefused).to.be.greaterThan(total / 2);
      expect(counts).to.eql({ TCP_OVERFLOW: framesRefused, TCP_WRITE: queuedFrames, others: 0 });
      expect(framesUndelivered).to.equal(queuedFrames);
      expect(framesWritten + queuedFrames + framesRefused).to.equal(total);
      expect(queuedBytes).to.be.at.most(8 * MIB);
      // The resident size is printed only: it also has the garbage of all specs before this one.
      expect(memory.most).to.be.lessThan(72 * MIB);
    });
  }

  it('a server that accepts and closes at once is dialled at most 30 times in 5 s [S8]', async () => {
    const server = await serve();
    void (async () => {
      for (;;) (await server.accepted()).fin();
    })();
    const socket = track(tcpSocket({ port: server.port }));
    collect(socket.inbound);
    await firstValueFrom(timer(5_000));
    const { dials } = socket.stats();
    figure(`(f) a server that accepts and closes: ${dials} dials in 5 s`);
    expect(dials).to.be.within(2, 30);
    expect(server.count).to.be.at.most(30);
    socket.destroy();
  });

  it('a write made while the server is down is written once it is up [S2][S5]', async () => {
    const port = await freePort();
    const socket = track(tcpSocket({ port }));
    const written = socket.write('made while it was down');
    const failed = await firstValueFrom(socket.errors.pipe(filter(({ code }) => code === 'TCP_CONNECT')));
    const server = track(await listen(port));
    const [peer] = await Promise.all([server.accepted(), written]);
    await peer.heard('made while it was down');
    const { dials, framesRetried } = socket.stats();
    figure(
      `(g) a write made while the server was down (${failed.code}): written with dial ${dials}, ${framesRetried} times again`,
    );
    expect(peer.text).to.equal('made while it was down');
    socket.destroy();
  });
});
