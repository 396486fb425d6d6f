import * as net from 'node:net';
import { expect } from 'chai';
import { firstValueFrom, last, repeat, take } from 'rxjs';
import { lines, tcpSocket, type ConnectionLostError, type TcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import {
  arrived,
  collect,
  eventually,
  live,
  peers,
  settled,
  SOON,
  turns,
  type Peer,
  type Peers,
} from '../support/peers.js';
import { seededRandom } from '../support/random.js';

const CHUNK = 64 * 1024;

describe('reading on demand', () => {
  const { serve, track } = peers();
  let server: Peers;

  beforeEach(async () => {
    server = await serve();
  });

  /** Both ways of reading: into a slab, where all that waits is held by us, and by events, where Node holds the rest. */
  const ways: readonly [name: string, config: () => TcpSocketConfig<string, string>][] = [
    ['on a socket of ours', () => ({})],
    ['through a dial', () => ({ dial: () => net.connect({ port: server.port, allowHalfOpen: true }) })],
  ];

  function open(config: TcpSocketConfig<string, string> = {}): TcpSocket<string, string> {
    return track(tcpSocket({ port: server.port, codec: lines(), reconnect: SOON, settle: 0, ...config }));
  }

  /** An open socket, its peer, and a way to wait until bytes are in this process. */
  async function opened(config?: TcpSocketConfig<string, string>) {
    const socket = open(config);
    const peer = await server.accepted();
    const connection = await live(socket);
    return { socket, peer, raw: connection.raw, arrived: (bytes: number) => arrived(connection, bytes) };
  }

  /** Lets a connection leave these bytes behind: they are read without demand, and then it is reset. */
  async function leaves(socket: TcpSocket<string, string>, peer: Peer, text: string): Promise<void> {
    const connection = await live(socket);
    await peer.send(text);
    await arrived(connection, text.length);
    await turns(5);
    peer.reset();
    await connection.closed;
  }

  describe('subscribers', () => {
    it('share one stream: each frame goes to all of them, decoded once [S6]', async () => {
      let decoders = 0;
      const codec = lines();
      const counting = {
        ...codec,
        decoder: (report: Parameters<typeof codec.decoder>[0]) => {
          decoders++;
          return codec.decoder(report);
        },
      };
      const { socket, peer } = await opened({ codec: counting });
      const [one, two] = [collect(socket.inbound), collect(socket.inbound)];
      await peer.send('a\nb\nc');
      await Promise.all([one.reach(2), two.reach(2)]);
      const three = collect(socket.inbound);
      await peer.send('\nd\n');
      await Promise.all([one.reach(4), two.reach(4), three.reach(2)]);
      expect(one.values).to.eql(['a', 'b', 'c', 'd']);
      expect(two.values).to.eql(['a', 'b', 'c', 'd']);
      expect(three.values).to.eql(['c', 'd']);
      expect(decoders).to.equal(1);
      expect(socket.stats().framesRead).to.equal(4);
    });

    it('one after another get one frame each out of one chunk, and lose none [S6]', async () => {
      const { socket, peer } = await opened();
      const first = firstValueFrom(socket.inbound);
      await peer.send('one\ntwo\nthree\n');
      expect(await first).to.equal('one');
      expect(await firstValueFrom(socket.inbound)).to.equal('two');
      await turns();
      expect(await firstValueFrom(socket.inbound)).to.equal('three');
    });

    it('that subscribe in one turn get the same first frame, the first time and again [S6]', async () => {
      const { socket, peer, arrived } = await opened();
      await peer.send('one\ntwo\n');
      await arrived(8);
      const firsts = await Promise.all([0, 1, 2].map(() => firstValueFrom(socket.inbound)));
      expect(firsts).to.eql(['one', 'one', 'one']);
      const seconds = await Promise.all([0, 1, 2].map(() => firstValueFrom(socket.inbound)));
      expect(seconds).to.eql(['two', 'two', 'two']);
    });

    it('get nothing within the call that subscribes, and nothing if they leave in the same turn [S6]', async () => {
      const { socket, peer, arrived } = await opened();
      await peer.send('one\ntwo\n');
      await arrived(8);
      const gone = collect(socket.inbound);
      expect(gone.values).to.eql([]);
      gone.stop();
      await turns();
      expect(gone.values).to.eql([]);
      expect(await firstValueFrom(socket.inbound)).to.equal('one');
    });

    it('that leave inside a frame keep the rest of its chunk for the next one [S6]', async () => {
      const { socket, peer } = await opened();
      const two = collect(socket.inbound.pipe(take(2)));
      await peer.send('a\nb\nc\nd\n');
      await two.ended;
      await turns();
      expect(socket.stats().framesRead).to.equal(2);
      const rest = collect(socket.inbound);
      expect(await rest.reach(2)).to.eql(['c', 'd']);
    });

    it('that come inside a frame get what follows it [S6]', async () => {
      const { socket, peer } = await opened();
      let late: ReturnType<typeof collect<string>> | undefined;
      const early = collect(socket.inbound, (line) => {
        if (line === 'b') late = collect(socket.inbound);
      });
      await peer.send('a\nb\nc\nd\n');
      expect(await early.reach(4)).to.eql(['a', 'b', 'c', 'd']);
      expect(late?.values).to.eql(['c', 'd']);
    });

    it('that leave and come back inside a frame go on with the very next one [S6]', async () => {
      const { socket, peer } = await opened();
      const all = collect(socket.inbound.pipe(take(1), repeat(4)));
      await peer.send('a\nb\nc\nd\ne\n');
      await all.ended;
      expect(all.values).to.eql(['a', 'b', 'c', 'd']);
    });

    it('one after another, thousands of them, get a chunk frame by frame [S6]', async () => {
      const { socket, peer } = await opened();
      const numbers = Array.from({ length: 3000 }, (_, i) => String(i));
      await peer.send(`${numbers.join('\n')}\n`);
      const got: string[] = [];
      while (got.length < numbers.length) got.push(await firstValueFrom(socket.inbound));
      expect(got.join()).to.equal(numbers.join());
    });

    it('that one of them unsubscribes inside a frame get nothing any more, not even that frame [S6]', async () => {
      const { socket, peer } = await opened();
      const first = collect(socket.inbound, () => second.stop());
      const second = collect(socket.inbound);
      await peer.send('a\nb\n');
      await first.reach(2);
      expect([first.values, second.values]).to.eql([['a', 'b'], []]);
    });

    it('all get the frame in which one of them takes a hold, and no other [S6]', async () => {
      const { socket, peer } = await opened();
      let release = (): void => {};
      const first = collect(socket.inbound, () => (release = socket.pause()));
      const second = collect(socket.inbound);
      await peer.send('a\nb\n');
      await second.reach(1);
      await turns();
      expect([first.values, second.values]).to.eql([['a'], ['a']]);
      release();
      await second.reach(2);
      expect([first.values, second.values]).to.eql([
        ['a', 'b'],
        ['a', 'b'],
      ]);
    });

    it('coming, leaving, holding and releasing at random lose and repeat nothing [S6]', async function () {
      this.timeout(60_000);
      for (let seed = 1; seed <= 10; seed++) await comeAndGo(seed);
    });

    /** Random demand over one connection: what all of them together saw is every frame once, in order. */
    async function comeAndGo(seed: number): Promise<void> {
      const random = seededRandom(seed);
      const { socket, peer } = await opened();
      const emitted: number[] = [];
      const present = new Set<() => void>();
      const holding = new Set<() => void>();
      let sent = 0;
      const see = (line: string): void => {
        const number = Number(line);
        if (emitted.at(-1) !== number) emitted.push(number);
      };
      const come = (): void => {
        let last: number | undefined;
        const subscription = socket.inbound.subscribe((line) => {
          if (last !== undefined) expect(Number(line), `seed ${seed}`).to.equal(last + 1);
          last = Number(line);
          see(line);
          if (random.next() < 0.02) act();
        });
        present.add(() => subscription.unsubscribe());
      };
      const loseOne = (set: Set<() => void>): void => {
        const [one] = set;
        if (one === undefined) return;
        set.delete(one);
        one();
      };
      const act = (): void => {
        const choice = random.int(0, 3);
        if (choice === 0 && present.size < 3) come();
        else if (choice === 1) loseOne(present);
        else if (choice === 2 && holding.size < 2) holding.add(socket.pause());
        else loseOne(holding);
      };
      for (let step = 0; step < 200; step++) {
        if (random.next() < 0.3) {
          const lineCount = random.int(1, 50);
          const batch = Array.from({ length: lineCount }, () => `${sent++}\n`).join('');
          const at = random.int(0, batch.length);
          peer.raw.write(batch.slice(0, at));
          peer.raw.write(batch.slice(at));
        } else act();
        if (random.next() < 0.5) await turns(random.int(0, 3));
      }
      while (holding.size > 0) loseOne(holding);
      come();
      await eventually(() => {
        while (holding.size > 0) loseOne(holding);
        if (present.size === 0) come();
        return emitted.at(-1) === sent - 1;
      });
      expect(emitted.join(), `seed ${seed}`).to.equal(Array.from({ length: sent }, (_, i) => i).join());
      socket.destroy();
    }

    it('that leave never end the socket [S6]', async () => {
      const { socket, peer } = await opened();
      collect(socket.inbound).stop();
      await firstValueFrom(socket.status);
      collect(socket.inbound.pipe(take(1)));
      await peer.send('a\n');
      await turns();
      expect((await firstValueFrom(socket.status)).type).to.equal('open');
      await socket.write('still here');
      await peer.heard('still here\n');
      expect(server.count).to.equal(1);
    });

    it('that come late get what follows, and after the end the end [S6]', async () => {
      const { socket, peer } = await opened({ reconnect: false });
      const early = collect(socket.inbound);
      await peer.send('a\n');
      await early.reach(1);
      const late = collect(socket.inbound);
      await peer.send('b\n');
      await late.reach(1);
      peer.fin();
      await late.ended;
      expect([early.values, late.values]).to.eql([['a', 'b'], ['b']]);
      const afterwards = collect(socket.inbound);
      expect(afterwards).to.deep.include({ values: [], end: {} });
    });

    it('that come after an end with an error get that error [S6]', async () => {
      const { socket } = await opened();
      const early = collect(socket.inbound);
      const reason = new Error('enough');
      socket.destroy(reason);
      await early.ended;
      const late = collect(socket.inbound);
      expect([early.end?.error, late.end?.error]).to.eql([reason, reason]);
    });
  });

  describe('a hold', () => {
    it('taken inside a frame stops at once, in the middle of a chunk, and goes on with the very next frame [S6]', async () => {
      const { socket, peer } = await opened();
      let release = (): void => {};
      const all = collect(socket.inbound, (line) => {
        if (line === '2') release = socket.pause();
      });
      await peer.send('1\n2\n3\n4\n');
      await all.reach(2);
      await turns();
      expect(all.values).to.eql(['1', '2']);
      expect(socket.stats()).to.include({ holds: 1, framesRead: 2 });
      await peer.send('5\n');
      await turns();
      expect(all.values).to.eql(['1', '2']);
      release();
      expect(all.values).to.eql(['1', '2']);
      expect(await all.reach(5)).to.eql(['1', '2', '3', '4', '5']);
    });

    it('adds to the others, and its release counts once [S6]', async () => {
      const { socket, peer, arrived } = await opened();
      const [one, two] = [socket.pause(), socket.pause()];
      expect(socket.stats().holds).to.equal(2);
      const all = collect(socket.inbound);
      await peer.send('a\n');
      await arrived(2);
      one();
      one();
      one();
      await turns();
      expect(socket.stats().holds).to.equal(1);
      expect(all.values).to.eql([]);
      two();
      expect(await all.reach(1)).to.eql(['a']);
      expect(socket.stats().holds).to.equal(0);
      two();
      expect(socket.stats().holds).to.equal(0);
    });

    it('taken and released within one frame loses and repeats nothing [S6]', async () => {
      const { socket, peer } = await opened();
      const all = collect(socket.inbound, () => socket.pause()());
      const numbers = Array.from({ length: 1000 }, (_, i) => String(i));
      await peer.send(`${numbers.join('\n')}\n`);
      expect(await all.reach(1000)).to.eql(numbers);
    });

    it('taken again before a release took effect keeps the frames back [S6]', async () => {
      const { socket, peer, arrived } = await opened();
      const release = socket.pause();
      const all = collect(socket.inbound);
      await peer.send('a\n');
      await arrived(2);
      release();
      const again = socket.pause();
      await turns();
      expect(all.values).to.eql([]);
      again();
      expect(await all.reach(1)).to.eql(['a']);
    });

    it('of one connection holds the stream of the socket [S6]', async () => {
      const { socket, peer, arrived } = await opened();
      const connection = await live(socket);
      const release = connection.pause();
      const all = collect(socket.inbound);
      await peer.send('a\n');
      await arrived(2);
      await turns();
      expect(all.values).to.eql([]);
      release();
      expect(await all.reach(1)).to.eql(['a']);
    });
  });

  describe('without demand', () => {
    it('one chunk is held at most, and the writes of the server block [S6]', async () => {
      const { socket, peer, raw } = await opened();
      const line = `${'x'.repeat(1023)}\n`;
      const megabyte = Buffer.from(line.repeat(1024));
      const total = 64;
      for (let i = 0; i < total; i++) peer.raw.write(megabyte);
      const left = await settled(() => peer.raw.writableLength);
      const taken = peer.raw.bytesWritten - left;
      expect(taken).to.be.lessThan(megabyte.length * 45); // wmem 4 MiB + rmem 32 MiB at most, and some for Node
      const { heldBytes, bytesRead, framesRead } = socket.stats();
      expect(heldBytes).to.be.within(1, CHUNK);
      expect(bytesRead).to.equal(heldBytes);
      expect(framesRead).to.equal(0);
      expect(raw.readableLength).to.be.at.most(2 * CHUNK);
      const all = collect(socket.inbound);
      await all.reach(total * 1024);
      expect(all.values.every((value) => value.length === 1023)).to.equal(true);
    });

    it('a hold keeps as little, and a release brings the rest in order [S6]', async () => {
      const { socket, peer } = await opened();
      let release = (): void => {};
      const all = collect(socket.inbound, (line) => {
        if (line === '10') release = socket.pause();
      });
      const numbers = Array.from({ length: 200_000 }, (_, i) => String(i));
      peer.raw.write(`${numbers.join('\n')}\n`);
      await all.reach(11);
      await settled(() => socket.stats().bytesRead);
      expect(all.values).to.have.length(11);
      expect(socket.stats().heldBytes).to.be.within(1, CHUNK);
      expect(socket.stats().bytesRead).to.be.at.most(2 * CHUNK);
      release();
      await all.reach(200_000);
      expect(all.values).to.eql(numbers);
    });

    it('the FIN of a quiet connection is noticed [S6]', async () => {
      const { socket, peer } = await opened();
      const { closed } = await live(socket);
      peer.fin();
      expect(await closed).to.deep.include({ code: 'TCP_CONNECTION_LOST', clean: true, endedBy: 'peer' });
      await server.accepted();
    });

    it('the reset of a quiet connection is noticed [S6]', async () => {
      const { socket, peer } = await opened();
      const { closed } = await live(socket);
      peer.reset();
      expect(await closed).to.deep.include({ code: 'TCP_CONNECTION_LOST', clean: false, endedBy: 'peer' });
      await server.accepted();
    });

    it('the FIN of a connection that was read to its end before the last one left is noticed [S6]', async () => {
      const { socket, peer } = await opened();
      const first = firstValueFrom(socket.inbound);
      await peer.send('all\n');
      expect(await first).to.equal('all');
      const { closed } = await live(socket);
      peer.fin();
      expect((await closed)?.clean).to.equal(true);
    });

    it('the FIN of a connection with nobody but a hold is noticed [S6]', async () => {
      const { socket, peer } = await opened();
      const release = socket.pause();
      const { closed } = await live(socket);
      collect(socket.inbound);
      peer.fin();
      expect((await closed)?.clean).to.equal(true);
      release();
    });
  });

  describe('at the end', () => {
    it('without a subscriber what still comes is read and discarded, until the FIN of the peer, holds or not [S6][S11]', async () => {
      const { socket, peer } = await opened();
      await peer.send('never read\n');
      await eventually(() => socket.stats().heldBytes > 0);
      const release = socket.pause();
      const ended = socket.end();
      await peer.send(`${'x'.repeat(1023)}\n`.repeat(4096));
      peer.fin();
      await ended;
      release();
      expect((await firstValueFrom(socket.status)).type).to.equal('closed');
      expect(socket.stats()).to.include({ bytesRead: 11 + 4 * 1024 * 1024, heldBytes: 0 });
    });

    it('subscribers get what still comes, and their holds count [S6]', async () => {
      const { socket, peer } = await opened();
      let release = (): void => {};
      const all = collect(socket.inbound, (line) => {
        if (line === 'b') release = socket.pause();
      });
      const ended = socket.end();
      await peer.send('a\nb\nc\n');
      await all.reach(2);
      peer.fin();
      await turns();
      expect([all.values, all.end]).to.eql([['a', 'b'], undefined]);
      release();
      await ended;
      expect([all.values, all.end]).to.eql([['a', 'b', 'c'], {}]);
    });

    it('asked for inside a frame, the frames after it still come [S6]', async () => {
      const { socket, peer } = await opened();
      const all = collect(socket.inbound, (line) => {
        if (line === 'a') void socket.end();
      });
      await peer.send('a\nb\n');
      await all.reach(2);
      await peer.send('c\n');
      peer.fin();
      await all.ended;
      expect([all.values, all.end]).to.eql([['a', 'b', 'c'], {}]);
    });

    it('by destroy, what was read and not delivered is dropped [S6][S11]', async () => {
      const { socket, peer } = await opened();
      let release = (): void => {};
      const all = collect(socket.inbound, () => (release = socket.pause()));
      await peer.send('a\nb\n');
      await all.reach(1);
      socket.destroy();
      release();
      await turns();
      expect([all.values, all.end]).to.eql([['a'], {}]);
      expect(socket.stats()).to.include({ heldBytes: 0, holds: 0 });
    });
  });

  describe('over a loss', () => {
    it('a FIN behind bytes that nobody wanted is noticed once they are wanted [S6]', async () => {
      const { socket, peer } = await opened();
      await peer.send('a\nb\n');
      await eventually(() => socket.stats().heldBytes > 0);
      peer.fin();
      const all = collect(socket.inbound);
      await (await server.accepted()).send('c\n');
      expect(await all.reach(3)).to.eql(['a', 'b', 'c']);
    });

    it('what the dead connection left comes before the first frame of the next [S6]', async () => {
      const { socket, peer } = await opened();
      await leaves(socket, peer, 'a\nb\n');
      const next = await server.accepted();
      await next.send('c\n');
      await arrived(await live(socket), 2);
      const all = collect(socket.inbound);
      expect(await all.reach(3)).to.eql(['a', 'b', 'c']);
    });

    for (const [name, config] of ways) {
      it(`what was held at the reset is delivered too, by whom ever, ${name} [S6]`, async () => {
        const { socket, peer, raw, arrived } = await opened(config());
        await peer.send('a\nb');
        await arrived(3);
        await eventually(() => socket.stats().heldBytes === 3);
        await peer.send('\nc\n');
        await eventually(() => socket.stats().heldBytes + raw.readableLength === 6);
        expect(raw.readableLength).to.equal('dial' in config() ? 3 : 0);
        const { closed } = await live(socket);
        peer.reset();
        expect((await closed)?.unread).to.equal(0);
        const all = collect(socket.inbound);
        expect(await all.reach(3)).to.eql(['a', 'b', 'c']);
        const next = await server.accepted();
        await next.send('d\n');
        expect(await all.reach(4)).to.eql(['a', 'b', 'c', 'd']);
      });
    }

    it('the rest of the first dead connection is kept, that of further ones dropped and counted as unread [S6]', async () => {
      const { socket, peer } = await opened();
      const errors = collect(socket.errors);
      await leaves(socket, peer, 'a\nb\n');
      await leaves(socket, await server.accepted(), 'c\nd\n');
      await leaves(socket, await server.accepted(), 'lost as well\n');
      const last = await server.accepted();
      await last.send('e\n');
      const losses = (await errors.reach(3)) as ConnectionLostError[];
      expect(losses.map(({ code, unread }) => [code, unread])).to.eql([
        ['TCP_CONNECTION_LOST', 0],
        ['TCP_CONNECTION_LOST', 4],
        ['TCP_CONNECTION_LOST', 13],
      ]);
      const all = collect(socket.inbound);
      expect(await all.reach(3)).to.eql(['a', 'b', 'e']);
      expect(socket.stats().heldBytes).to.equal(0);
    });

    for (const [end, name, config] of ways.flatMap((way) => [
      ['redial', ...way] as const,
      ['destroy', ...way] as const,
    ])) {
      it(`what a ${end}() of ours finds held is kept too, ${name} [S6]`, async () => {
        const { socket, peer } = await opened(config());
        const read = collect(socket.inbound);
        await peer.send('a\n');
        await read.reach(1);
        const release = socket.pause();
        const connection = await live(socket);
        await peer.send('b\n');
        await eventually(() => socket.stats().heldBytes === 2);
        await peer.send('c\n');
        await eventually(() => socket.stats().heldBytes + connection.raw.readableLength === 4);
        if (end === 'redial') socket.redial();
        else connection.destroy();
        const lost = await connection.closed;
        expect(lost).to.include({ endedBy: 'us', bytesRead: 6, unread: 0 });
        await (await server.accepted()).send('d\n');
        release();
        await read.reach(4);
        expect(read.values).to.eql(['a', 'b', 'c', 'd']);
      });
    }

    it('the rest that a hold keeps back in the middle of a chunk outlives its connection [S6]', async () => {
      const { socket, peer } = await opened();
      let release = (): void => {};
      const all = collect(socket.inbound, (line) => {
        if (line === 'a') release = socket.pause();
      });
      const { closed } = await live(socket);
      await peer.send('a\nb\nc\n');
      await all.reach(1);
      peer.reset();
      await closed;
      const next = await server.accepted();
      await next.send('d\n');
      await turns();
      expect(all.values).to.eql(['a']);
      release();
      expect(await all.reach(4)).to.eql(['a', 'b', 'c', 'd']);
    });

    it('the end waits until what was read is delivered to those who read [S6]', async () => {
      const { socket, peer } = await opened({ reconnect: false });
      let release = (): void => {};
      const all = collect(socket.inbound, (line) => {
        if (line === 'a') release = socket.pause();
      });
      await peer.send('a\nb\n');
      await all.reach(1);
      const { closed } = await live(socket);
      peer.reset();
      await closed;
      await turns();
      expect(all.end).to.equal(undefined);
      release();
      await all.ended;
      expect(all.values).to.eql(['a', 'b']);
      expect(all.end?.error).to.include({ code: 'TCP_CONNECTION_LOST' });
    });

    it('the inbound of a connection is cut at its end, and completes [S6]', async () => {
      const { socket, peer } = await opened();
      const first = await live(socket);
      const [shared, own] = [collect(socket.inbound), collect(first.inbound)];
      await peer.send('a\n');
      await own.reach(1);
      peer.fin();
      await own.ended;
      const next = await server.accepted();
      const second = collect((await live(socket)).inbound);
      await next.send('b\n');
      await shared.reach(2);
      expect([own.values, own.end, second.values]).to.eql([['a'], {}, ['b']]);
      const late = collect(first.inbound);
      expect(late).to.deep.include({ values: [], end: {} });
    });

    it('subscribing to a connection is demand, and gets nothing that an earlier one left [S6]', async () => {
      const { socket, peer } = await opened();
      await leaves(socket, peer, 'a\nb\n');
      const next = await server.accepted();
      const second = collect((await live(socket)).inbound);
      await next.send('c\n');
      expect(await second.reach(1)).to.eql(['c']);
    });
  });

  describe('for await', () => {
    it('reads frame by frame over a loss, and ends with the socket [S6]', async () => {
      const socket = open();
      const seen: string[] = [];
      const reading = (async () => {
        for await (const line of socket) {
          seen.push(line);
          if (line === 'd') void socket.end();
        }
      })();
      const peer = await server.accepted();
      await peer.send('a\nb\n');
      peer.fin();
      const next = await server.accepted();
      await next.send('c\nd\n');
      await reading;
      expect(seen).to.eql(['a', 'b', 'c', 'd']);
    });

    it('can be left after the end of what it reads, and the next loop gets what was read ahead [S6]', async () => {
      const socket = open({ reconnect: false });
      const peer = await server.accepted();
      await peer.send('a\nb\nc\n');
      peer.fin();
      for await (const line of socket) {
        expect(line).to.equal('a');
        await firstValueFrom(socket.status.pipe(last()));
        break;
      }
      const seen: string[] = [];
      for await (const line of socket) seen.push(line);
      expect(seen).to.eql(['b', 'c']);
    });

    it('can be left without ending the socket, and loses nothing that it read ahead [S6]', async () => {
      const { socket, peer } = await opened();
      await peer.send('a\nb\nc\nd\ne\n');
      for await (const line of socket) {
        expect(line).to.equal('a');
        await turns(); // in which it reads ahead
        break;
      }
      const seen: string[] = [];
      for await (const line of socket) {
        seen.push(line);
        if (seen.length === 2) break;
      }
      expect(seen).to.eql(['b', 'c']);
      expect(await firstValueFrom(socket.inbound)).to.equal('d');
      expect(await firstValueFrom(socket.inbound)).to.equal('e');
      expect((await firstValueFrom(socket.status)).type).to.equal('open');
      expect(server.count).to.equal(1);
    });

    it('keeps what it read ahead before what a dead connection left and the next one brings [S6]', async () => {
      const { socket, peer } = await opened({ readBuffer: 2 });
      await peer.send('a\nb\nc\nd\n');
      for await (const line of socket) {
        expect(line).to.equal('a');
        await turns();
        break;
      }
      const { closed } = await live(socket);
      peer.reset();
      await closed;
      const next = await server.accepted();
      await next.send('e\n');
      await turns();
      const all = collect(socket.inbound);
      expect(await all.reach(4)).to.eql(['b', 'c', 'd', 'e']);
    });

    it('keeps frames of an earlier connection away from the next one, also those that a loop gave back [S6]', async () => {
      const { socket, peer } = await opened();
      await peer.send('a\nb\nc\n');
      for await (const line of await live(socket)) {
        expect(line).to.equal('a');
        await turns();
        break;
      }
      const { closed } = await live(socket);
      peer.reset();
      await closed;
      const next = await server.accepted();
      const second = collect((await live(socket)).inbound);
      await next.send('d\n');
      expect((await second.reach(1))[0]).to.equal('d');
    });

    it('is bounded by readBuffer while its body takes its time [S6]', async () => {
      const { socket, peer } = await opened({ readBuffer: 4 });
      const numbers = Array.from({ length: 100 }, (_, i) => String(i));
      await peer.send(`${numbers.join('\n')}\n`);
      const seen: string[] = [];
      const ahead: number[] = [];
      for await (const line of socket) {
        await turns(20);
        seen.push(line);
        ahead.push(socket.stats().framesRead - seen.length);
        if (seen.length === 100) break;
      }
      expect(seen).to.eql(numbers);
      expect(Math.max(...ahead)).to.be.within(1, 4);
      expect(socket.stats().holds).to.equal(0);
    });

    it('gives its hold back when it is left [S6]', async () => {
      const { socket, peer } = await opened({ readBuffer: 2 });
      await peer.send('a\nb\nc\nd\n');
      for await (const line of socket) {
        expect(line).to.equal('a');
        await eventually(() => socket.stats().holds === 1);
        break;
      }
      expect(socket.stats().holds).to.equal(0);
      expect(await firstValueFrom(socket.inbound)).to.equal('b');
    });

    it('delivers what it read ahead before the error that ends the socket [S6]', async () => {
      const { socket, peer } = await opened();
      await peer.send('a\nb\nc\n');
      const seen: unknown[] = [];
      const reason = new Error('enough');
      try {
        for await (const line of socket) {
          seen.push(line);
          if (line !== 'a') continue;
          await turns();
          socket.destroy(reason);
        }
      } catch (error) {
        seen.push(error);
      }
      expect(seen).to.eql(['a', 'b', 'c', reason]);
    });
  });
});
