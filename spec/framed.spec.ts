import { expect } from 'chai';
import { TestScheduler } from 'rxjs/testing';
import { Subject, timer } from 'rxjs';
import { bytes } from '../lib/codec/bytes.js';
import { lines } from '../lib/codec/lines.js';
import type { Codec } from '../lib/codec/codec.js';
import type { Link } from '../lib/connection/link.js';
import type { Upgrade } from '../lib/connection/upgrade.js';
import {
  ClosedError,
  ConfigError,
  ConnectionLostError,
  FrameError,
  IdleTimeoutError,
  OverflowError,
} from '../lib/errors.js';
import { TlsError } from '../lib/errors.js';
import { LiveConnection } from '../lib/framed.js';
import type { Ending, LiveConfig } from '../lib/framed/live-config.js';
import { Receiver } from '../lib/inbound/receive.js';
import { newCounters } from '../lib/monitor/stats.js';
import { fakeLink } from './support/fake-link.js';
import { outcome } from './support/fixture.js';

const READ_BUFFER = { frames: 7, bytes: 100 };
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const coded = (code: string): Error => Object.assign(new Error(code), { code });

interface Options {
  readonly codec?: Codec<string, string>;
  readonly writeBuffer?: { readonly frames: number; readonly bytes: number };
  readonly unconfirmed?: () => number;
  readonly ended?: (how: Ending) => void;
}

function made({ codec = lines(), writeBuffer = { frames: 3, bytes: 100 }, unconfirmed, ended }: Options = {}) {
  const link = fakeLink();
  const reports: FrameError[] = [];
  const endings: Ending[] = [];
  const endingCalls: boolean[] = [];
  const counters = newCounters();
  const receiver = new Receiver<string>(codec, { report: (error) => reports.push(error) });
  const live: LiveConfig<string, string> = {
    config: { codec, readBuffer: READ_BUFFER, writeBuffer, endTimeout: 1000 },
    ...{ receiver, counters, epoch: 4, ...(unconfirmed && { unconfirmed }) },
    ending: (asked) => endingCalls.push(asked),
    ended: (how) => {
      endings.push(how);
      ended?.(how);
    },
  };
  const connection = new LiveConnection<string, string>(link, live);
  const frames: string[] = [];
  const read = async (): Promise<string[]> => {
    connection.inbound.subscribe((frame) => frames.push(frame));
    await turn();
    return frames;
  };
  return { connection, link, receiver, reports, endings, endingCalls, counters, frames, read };
}

/** In virtual time; returns when the last timer has fired. */
function virtual(script: () => void): number {
  const scheduler = new TestScheduler((actual, expected) => void expect(actual).to.eql(expected));
  scheduler.run(script);
  return scheduler.now();
}

describe('LiveConnection', () => {
  it('tells what it is', () => {
    const { connection, link } = made();
    expect(connection).to.include({
      endpoint: link.endpoint,
      epoch: 4,
      raw: link.raw,
      readBuffer: READ_BUFFER,
    });
  });

  it('gives its frames, and counts bytes and frames', async () => {
    const { connection, link, counters, read, frames } = made();
    await read();
    link.chunk('one\ntw');
    link.chunk('o\n');
    expect(frames).to.eql(['one', 'two']);
    expect(counters).to.include({ bytesRead: 8, framesRead: 2 });
    const release = connection.pause();
    link.chunk('three\n');
    expect(frames.length).to.equal(2);
    release();
    await turn();
    expect(frames.length).to.equal(3);
  });

  it('is read with `for await` too, to its end', async () => {
    const { connection, link } = made();
    link.chunk('one\n');
    link.fin();
    link.lost();
    const seen: string[] = [];
    for await (const frame of connection) seen.push(frame);
    expect(seen).to.eql(['one']);
  });

  describe('write()', () => {
    it('hands the message over at once, whole, and resolves when the kernel took it [S4]', async () => {
      const { connection, link, counters } = made();
      const written = outcome(connection.write('hi'));
      expect(link.texts).to.eql(['hi\n']);
      link.confirm();
      expect(await written).to.equal('written');
      expect(counters).to.include({ bytesWritten: 3, framesWritten: 1 });
    });

    it('rejects a message that cannot be encoded, and it alone', async () => {
      const { connection, link } = made();
      const error = await outcome(connection.write('two\nlines'));
      expect(error).to.be.instanceOf(FrameError);
      expect(error).to.deep.include({ kind: 'encode', epoch: 4, endpoint: link.endpoint });
      expect(link.texts).to.eql([]);
    });

    it('rejects when too many or too much of them have no outcome yet [S5]', async () => {
      const { connection, link } = made();
      for (const text of ['a', 'b', 'c']) void connection.write(text);
      const refused = await outcome(connection.write('d'));
      expect(refused).to.be.instanceOf(OverflowError);
      expect(refused).to.include({ fate: 'unsent', undelivered: 'd' });
      link.confirm(3);
      expect(await outcome(connection.write('x'.repeat(100)))).to.be.instanceOf(OverflowError);
      void connection.write('x'.repeat(99));
      expect(link.unanswered).to.equal(1);
    });

    it('that fails loses the connection, with which every other rejects, once [S3]', async () => {
      const { connection, link, endings } = made();
      const writes = ['a', 'b', 'c'].map((text) => outcome(connection.write(text)));
      link.confirm();
      link.fail(coded('EPIPE'));
      const [first, second, third] = await Promise.all(writes);
      expect(first).to.equal('written');
      expect(second).to.be.instanceOf(ConnectionLostError);
      expect(third).to.equal(second);
      expect((second as Error).cause).to.include({ code: 'EPIPE' });
      expect(endings.map(({ lost }) => lost)).to.eql([second]);
      expect(link.destroyed).to.be.true;
    });

    it('is not believed when the link was destroyed meanwhile [S4]', async () => {
      const { connection, link, counters } = made();
      const written = outcome(connection.write('a'));
      link.destroyed = true;
      link.confirm();
      link.lost();
      expect(await written).to.be.instanceOf(ConnectionLostError);
      expect(counters.framesWritten).to.equal(0);
    });

    it('after `end()` rejects with a ClosedError, after a loss with that', async () => {
      const asked = made();
      void asked.connection.end();
      expect(await outcome(asked.connection.write('a'))).to.be.instanceOf(ClosedError);
      asked.connection.destroy();
      const lost = made();
      lost.link.lost(coded('ECONNRESET'));
      expect(await outcome(lost.connection.write('a'))).to.equal(lost.endings[0]?.lost);
    });

    it('may be ignored: its rejection is no crash [S9]', async () => {
      const { connection, link } = made();
      void connection.write('a');
      void connection.write('\n');
      link.lost();
      void connection.write('b');
      await turn();
    });
  });

  describe('end()', () => {
    it('says that nothing more is to be handed over, sends FIN, and reads on until the peer’s', async () => {
      const { connection, link, endings, endingCalls, read, frames } = made();
      await read();
      const ended = connection.end();
      expect([link.ends, endingCalls]).to.eql([1, [true]]);
      link.chunk('last\n');
      link.fin();
      expect(link.ends).to.equal(1);
      link.lost();
      await ended;
      expect(frames).to.eql(['last']);
      expect(endings[0]).to.include({ asAsked: true, reason: undefined });
      expect(endings[0]?.lost).to.include({ endedBy: 'us', clean: true });
      expect(await connection.closed).to.be.undefined;
    });

    it('twice, and after the end, does nothing more', async () => {
      const { connection, link, endings } = made();
      const ends = [connection.end(), connection.end()];
      link.fin();
      link.lost();
      await Promise.all([...ends, connection.end()]);
      expect([link.ends, endings.length]).to.eql([1, 1]);
    });

    it('resolves at its deadline too, and that is a loss', async () => {
      let ended: Promise<void> | undefined;
      const { connection, link, endings } = made();
      expect(virtual(() => void (ended = connection.end()))).to.equal(1000);
      await ended;
      expect(endings[0]).to.include({ asAsked: false });
      expect(endings[0]?.lost).to.include({ endedBy: 'us', clean: false });
      expect(link.destroyed).to.be.true;
      expect(await connection.closed).to.equal(endings[0]?.lost);
    });

    it('may be given a deadline of its own', () => {
      const { connection } = made();
      expect(virtual(() => void connection.end(50))).to.equal(50);
    });

    it('after the peer’s FIN counts as asked for', async () => {
      const { connection, link, endings } = made();
      link.fin();
      void connection.end();
      link.lost();
      expect(endings[0]?.asAsked).to.be.true;
      expect(await connection.closed).to.be.undefined;
    });

    it('that a reset answers is a loss', () => {
      const { connection, link, endings } = made();
      void connection.end();
      link.lost(coded('ECONNRESET'));
      expect(endings[0]).to.include({ asAsked: false });
      expect(endings[0]?.lost).to.include({ endedBy: 'peer', clean: false });
    });
  });

  describe('the peer’s FIN', () => {
    it('is answered with ours, after which nothing is handed over', () => {
      const { link, endings, endingCalls } = made();
      link.fin();
      expect([link.ends, endingCalls, endings]).to.eql([1, [false], []]);
      link.lost();
      expect(endings[0]).to.include({ asAsked: false, reason: undefined });
      expect(endings[0]?.lost).to.include({ endedBy: 'peer', clean: true });
    });

    it('ends the connection at `endTimeout`, if our writes do not end', () => {
      const { link, endings } = made();
      expect(virtual(() => link.fin())).to.equal(1000);
      expect(endings[0]?.lost).to.include({ endedBy: 'peer' });
      expect(link.destroyed).to.be.true;
    });
  });

  describe('a loss', () => {
    for (const [code, endedBy] of [
      ['ECONNRESET', 'peer'],
      ['EPIPE', 'peer'],
      ['ETIMEDOUT', 'network'],
      ['EHOSTUNREACH', 'network'],
      ['ENETDOWN', 'network'],
    ] as const) {
      it(`by ${code} was ended by the ${endedBy}`, () => {
        const { link, endings } = made();
        link.lost(coded(code));
        expect(endings[0]?.lost).to.include({ endedBy, clean: false });
        expect(endings[0]?.lost.cause).to.include({ code });
      });
    }

    it('without FIN or error was ended by us: somebody destroyed `raw`', () => {
      const { link, endings } = made();
      link.lost();
      expect(endings[0]?.lost).to.include({ endedBy: 'us', clean: false });
    });

    it('tells the facts', async () => {
      const { connection, link, endings, read } = made({ unconfirmed: () => 5 });
      await read();
      void connection.write('a');
      void connection.write('b');
      link.confirm();
      link.chunk('abc\n');
      link.lost(coded('ECONNRESET'));
      const { lost } = endings[0]!;
      expect(lost).to.deep.include({ bytesRead: 4, bytesWritten: 2, unconfirmed: 6, unread: 0, answered: true });
      expect(lost).to.deep.include({ epoch: 4, endpoint: link.endpoint });
      expect(lost.age).to.be.at.least(lost.silence);
    });

    it('counts as no answer what came before our first write and was emitted after it [S8]', async () => {
      const { connection, link, read } = made();
      link.chunk('greeting\n');
      void connection.write('a');
      link.confirm();
      expect(await read()).to.eql(['greeting']);
      expect(connection.tally.answered).to.equal(false);
      link.chunk('reply\n');
      expect(connection.tally.answered).to.equal(true);
    });

    for (const [how, end] of Object.entries<(rig: ReturnType<typeof made>) => void>({
      'by the peer': ({ link }) => link.lost(coded('ECONNRESET')),
      'by its own destroy()': ({ connection }) => connection.destroy(),
      'by a failed write': ({ connection }) => connection.failed(coded('EPIPE')),
    })) {
      it(`${how} gives what the link still held, and counts it as read [S6]`, async () => {
        const rig = made();
        rig.link.chunk('one\n');
        rig.link.unread = Buffer.from('two\nth');
        end(rig);
        expect(rig.endings[0]?.lost).to.include({ bytesRead: 10, unread: 0 });
        expect(rig.counters.bytesRead).to.equal(10);
        expect(await rig.read()).to.eql(['one', 'two']);
        expect(rig.reports.map(({ kind }) => kind)).to.eql(['truncated']);
      });
    }

    it('for bytes that are no frames drops what the link still held', async () => {
      const { link, endings, read, reports } = made({ codec: lines({ maxFrameLength: 3 }) });
      link.unread = Buffer.from('two\n');
      const frames = await read();
      link.chunk('much too long\n');
      expect([frames, reports, endings.length]).to.eql([[], [], 1]);
      expect(endings[0]?.reason).to.include({ kind: 'too-large' });
    });

    it('counts the bytes of the socket’s queue as written', () => {
      const { connection, link, endings } = made();
      connection.tally.wrote(10);
      link.lost();
      expect(endings[0]?.lost.bytesWritten).to.equal(10);
    });

    it('is told once, and nothing after it changes anything [S10]', async () => {
      const { connection, link, endings, counters } = made();
      void connection.write('a');
      const [write] = link.writes;
      link.lost();
      const before = { ...counters };
      write?.done(null);
      write?.done(coded('EPIPE'));
      connection.destroy();
      connection.failed(coded('EPIPE'));
      connection.drop(new IdleTimeoutError(1, {}));
      void connection.end();
      await turn();
      expect(endings.length).to.equal(1);
      expect(counters).to.eql(before);
      expect(link.ends).to.equal(0);
    });

    it('with part of a frame has that as its cause [S7]', async () => {
      const { link, reports, endings, read } = made();
      await read();
      link.chunk('half');
      link.fin();
      link.lost();
      expect(reports.map(({ kind }) => kind)).to.eql(['truncated']);
      expect(endings[0]?.lost).to.include({ cause: reports[0], clean: true });
    });

    it('leaves what was read for its readers [S6]', async () => {
      const { link, read } = made();
      link.chunk('a\nb\n');
      link.lost();
      expect(await read()).to.eql(['a', 'b']);
    });
  });

  it('destroy() ends it now, with the error as the cause', async () => {
    const mine = new Error('mine');
    const { connection, link, endings } = made();
    connection.destroy(mine);
    expect(link.destroyed).to.be.true;
    expect(endings[0]).to.include({ asAsked: false });
    expect(endings[0]?.lost).to.include({ endedBy: 'us', clean: false, cause: mine });
    expect(await connection.closed).to.equal(endings[0]?.lost);
  });

  it('drop() tells its reason apart', () => {
    const reason = new IdleTimeoutError(5, {});
    const { connection, endings } = made();
    connection.drop(reason);
    expect(endings[0]).to.include({ reason, asAsked: false });
    expect(endings[0]?.lost).to.include({ cause: reason, endedBy: 'us' });
  });

  it('bytes that are no frames drop it, for that reason [S12]', async () => {
    const { link, endings, read, frames } = made({ codec: lines({ maxFrameLength: 3 }) });
    await read();
    link.chunk('ok\nmuch too long\nok\n');
    expect(frames).to.eql(['ok']);
    expect(endings[0]?.reason).to.deep.include({ code: 'TCP_FRAME', kind: 'too-large', epoch: 4 });
    expect(link.destroyed).to.be.true;
  });

  describe('has answered', () => {
    it('once a frame came in after one of ours was written [S8]', async () => {
      const { connection, link, read } = made();
      await read();
      link.chunk('hello\n');
      expect(connection.tally.answered, 'it only talked').to.be.false;
      void connection.write('ping');
      link.chunk('too early\n');
      expect(connection.tally.answered, 'not written yet').to.be.false;
      link.confirm();
      expect(connection.tally.answered, 'written, no answer').to.be.false;
      link.chunk('no frame yet');
      expect(connection.tally.answered, 'half an answer').to.be.false;
      link.chunk('\n');
      expect(connection.tally.answered).to.be.true;
    });

    it('in time for who hears that very frame', async () => {
      const { connection, link } = made();
      connection.tally.wrote(1);
      const seen: boolean[] = [];
      connection.inbound.subscribe(() => seen.push(connection.tally.answered));
      await turn();
      link.chunk('pong\n');
      expect(seen).to.eql([true]);
    });
  });

  it('may be ended inside one of its frames, whose followers still come', async () => {
    const { connection, link, endings } = made();
    const frames: string[] = [];
    connection.inbound.subscribe((frame) => {
      frames.push(frame);
      if (frame === 'a') connection.destroy();
    });
    await turn();
    link.chunk('a\nb\n');
    expect([frames, endings.length]).to.eql([['a', 'b'], 1]); // prettier-ignore
  });

  it('leaves no timer when it is over [S11]', () => {
    const { connection, link } = made();
    const last = virtual(() => {
      void connection.end();
      timer(10).subscribe(() => {
        link.fin();
        link.lost();
      });
    });
    expect(last).to.equal(10);
  });

  it('works with any codec', () => {
    const link = fakeLink();
    const codec = bytes();
    const connection = new LiveConnection(link, {
      config: { codec, readBuffer: READ_BUFFER, writeBuffer: { frames: 1, bytes: 10 }, endTimeout: 1 },
      receiver: new Receiver(codec, { report: () => {} }),
      ...{ epoch: 1, counters: newCounters(), ending: () => {}, ended: () => {} },
    });
    void connection.write('é');
    expect(link.writes[0]?.batch).to.eql(Buffer.from('é'));
  });

  describe('with a tap', () => {
    function tapped({ upgrade, releases = true }: { upgrade?: Upgrade; releases?: boolean } = {}) {
      const link = Object.assign(fakeLink(), releases && { release: () => link.raw });
      const codec = lines();
      const report = (): void => {};
      const [receiver, tap] = [new Receiver<string>(codec, { report }), new Receiver<string>(codec, { report })];
      const endings: Ending[] = [];
      const connection = new LiveConnection<string, string>(link, {
        config: { codec, readBuffer: READ_BUFFER, writeBuffer: { frames: 9, bytes: 900 }, endTimeout: 1000 },
        ...{ receiver, tap, upgrade, counters: newCounters(), epoch: 4, ending: () => {} },
        ended: (how) => endings.push(how),
      });
      const [own, all]: string[][] = [[], []];
      receiver.inbound.subscribe((frame) => all!.push(frame));
      return { connection, link, receiver, endings, own: own!, all: all! };
    }

    it('gives its frames to those alone who have the connection, until `join()` [S6]', async () => {
      const { connection, link, own, all } = tapped();
      connection.inbound.subscribe((frame) => own.push(frame));
      await turn();
      link.chunk('one\n');
      expect([own, all]).to.eql([['one'], []]);
      connection.join();
      link.chunk('two\n');
      await turn();
      expect([own, all]).to.eql([['one', 'two'], ['two']]); // prettier-ignore
    });

    it('takes a hold along, and a `for await` gives back to whom the frames belong then', async () => {
      const { connection, link, own, all } = tapped();
      const release = connection.pause();
      const loop = (async () => {
        for await (const frame of connection) if (own.push(frame) === 1) break;
      })();
      link.chunk('one\ntwo\nthree\n');
      await turn();
      expect(own).to.eql([]);
      release();
      await loop;
      expect(own).to.eql(['one']);
      const again = connection.pause();
      connection.join();
      await turn();
      expect(all).to.eql([]);
      again();
      await turn();
      expect(all).to.eql(['two', 'three']);
    });

    it('that is over before `join()` leaves the socket nothing', async () => {
      const { connection, link, receiver, all } = tapped();
      link.chunk('one\n');
      link.lost();
      connection.join();
      await turn();
      expect([all, receiver.heldBytes]).to.eql([[], 0]);
    });

    describe('upgrade()', () => {
      /** Upgrades that the spec plays. */
      function upgrading(releases = true) {
        const secure = new Subject<Link>();
        const asked: unknown[][] = [];
        const upgrade: Upgrade = (...given) => {
          asked.push(given);
          return secure;
        };
        return { ...tapped({ upgrade, releases }), secure, asked };
      }

      it('waits until what was written before has left, and then takes the stream from the link', async () => {
        const { connection, link, asked } = upgrading();
        const options = { servername: 'x' };
        void connection.write('starttls');
        void connection.upgrade(options);
        await turn();
        expect(asked).to.eql([]);
        link.confirm();
        await turn();
        expect(asked).to.eql([[link.raw, options, { endpoint: link.endpoint, epoch: 4 }, undefined]]);
      });

      it('goes on over the new link: what came before it does not count, half a frame neither', async () => {
        const { connection, link, secure, own } = upgrading();
        link.chunk('evil\nev');
        const upgraded = outcome(connection.upgrade());
        await turn();
        const above = fakeLink();
        secure.next(above);
        expect(await upgraded).to.equal('written');
        expect(connection.raw).to.equal(above.raw);
        connection.inbound.subscribe((frame) => own.push(frame));
        await turn();
        above.chunk('il\ngood\n');
        void connection.write('hi');
        expect([own, link.texts, above.texts]).to.eql([['il', 'good'], [], ['hi\n']]);
        connection.destroy();
        expect([above.destroyed, secure.observed]).to.eql([true, false]);
      });

      it('is for once, and for a handshake that is not over', async () => {
        const { connection, secure, asked } = upgrading();
        const first = outcome(connection.upgrade());
        expect(await outcome(connection.upgrade())).to.be.instanceOf(ConfigError);
        secure.next(fakeLink());
        await turn();
        secure.next(fakeLink());
        expect(await first).to.equal('written');
        expect(await outcome(connection.upgrade())).to.be.instanceOf(ConfigError);
        expect(asked).to.have.length(1);
        for (const late of [upgrading().connection, made().connection, tapped().connection]) {
          late.join();
          expect(await outcome(late.upgrade())).to.be.instanceOf(ConfigError);
        }
      });

      it('that fails ends the connection for that reason', async () => {
        const { connection, secure, endings } = upgrading();
        const upgraded = outcome(connection.upgrade());
        await turn();
        const error = new TlsError({ cause: coded('ERR_SSL_WRONG_VERSION_NUMBER') });
        secure.error(error);
        expect(await upgraded).to.equal(error);
        expect(endings.map(({ reason }) => reason)).to.eql([error]);
      });

      it('is given up with the connection, and rejects with its loss', async () => {
        for (const early of [true, false]) {
          const { connection, link, secure, endings, asked } = upgrading();
          const upgraded = outcome(connection.upgrade());
          if (!early) await turn();
          connection.destroy();
          expect(await upgraded).to.equal(endings[0]!.lost);
          expect([secure.observed, link.destroyed, asked.length]).to.eql([false, true, early ? 0 : 1]);
        }
      });

      it('is refused over a stream that can carry no other, and leaves no rejection alone [S9]', async () => {
        const { connection } = upgrading(false);
        expect(await outcome(connection.upgrade())).to.be.instanceOf(ConfigError);
        connection.destroy();
        await turn();
      });
    });
  });
});
