import { once } from 'node:events';
import * as net from 'node:net';
import { Duplex, PassThrough, type DuplexOptions } from 'node:stream';
import { expect } from 'chai';
import { timer } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { discard, linkOver, whenOpen } from '../../lib/connection/from-socket.js';
import type { Link } from '../../lib/connection/link.js';
import { SlabReader } from '../../lib/connection/slab-reader.js';
import { leavesNothingOpen, kept, turns } from '../support/fixture.js';
import { until } from '../support/leaks.js';
import { deadPort, listen } from '../support/servers.js';

const ENDPOINT = { host: 'somewhere', port: 7 };

/** A stream by hand: what the specs push comes in, what is written is kept. */
class HandMade extends Duplex {
  readonly written: string[] = [];
  readonly waiting: ((error?: Error | null) => void)[] = [];

  constructor(options: DuplexOptions = {}) {
    super({ allowHalfOpen: true, ...options });
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.written.push(chunk.toString());
    this.waiting.push(done);
  }
}

/** Makes bytes for as long as somebody reads, destroyed or not. */
class Endless extends HandMade {
  override _read(): void {
    this.push('more');
  }
  override destroy(): this {
    return this;
  }
}

type Heard = [event: string, what?: unknown][];

/** Opens a stream that is open already. */
function linkOf(raw: Duplex): Link {
  let open = false;
  whenOpen(raw, { opened: () => (open = true), failed: (error) => expect.fail(String(error)) });
  expect(open).to.be.true;
  return linkOver(raw, ENDPOINT);
}

function listenTo(link: Link, hook: (event: string, what?: unknown) => void = () => {}): Heard {
  const heard: Heard = [];
  const hear = (...event: Heard[number]): void => {
    heard.push(event);
    hook(...event);
  };
  link.listen({
    chunk: (chunk) => hear('chunk', chunk.toString()),
    fin: () => hear('fin'),
    lost: (error) => hear('lost', error?.message),
  });
  return heard;
}

/** A client's end, connected or connecting, and the server's. */
async function connected(): Promise<{ raw: net.Socket; peer: net.Socket }> {
  const server = await listen();
  const raw = kept(net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true }));
  await once(raw, 'connect');
  return { raw, peer: await server.socket(0) };
}

/** The same, read into a slab. */
async function reading(): Promise<{ link: Link; raw: net.Socket; peer: net.Socket }> {
  const server = await listen();
  const reader = new SlabReader();
  const raw = kept(net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true, onread: reader.onread }));
  await new Promise<void>((opened) => whenOpen(raw, { opened, failed: () => {} }));
  return { link: linkOver(raw, ENDPOINT, { reader }), raw, peer: await server.socket(0) };
}

const lost = (heard: Heard) => (): boolean => heard.some(([event]) => event === 'lost');

describe('from a stream to a link', () => {
  leavesNothingOpen();

  describe('opening', () => {
    it('takes a stream that has no phase of connecting as open at once', () => {
      const raw = kept(new PassThrough());
      const link = linkOf(raw);
      expect(link.raw).to.equal(raw);
      expect(link.endpoint).to.equal(ENDPOINT);
      expect(link.destroyed).to.be.false;
    });

    it('waits for a net.Socket that is connecting, and calls one of the two once', async () => {
      const server = await listen();
      const raw = kept(net.connect(server.port, '127.0.0.1'));
      const calls: string[] = [];
      whenOpen(raw, { opened: () => calls.push('opened'), failed: () => calls.push('failed') });
      expect(calls).to.eql([]);
      await once(raw, 'connect');
      expect(calls).to.eql(['opened']);
      raw.destroy(new Error('later'));
      await until(() => raw.closed);
      expect(calls).to.eql(['opened']);
    });

    it('takes a net.Socket that is connected as open at once', async () => {
      const { raw } = await connected();
      expect(linkOf(raw).destroyed).to.be.false;
    });

    for (const [name, stream, event] of [
      ['a TLSSocket over a connecting socket', { encrypted: true, connecting: true }, 'secureConnect'],
      ['a TLSSocket in its handshake', { encrypted: true, connecting: false, secureConnecting: true }, 'secureConnect'],
      ['a socket', { connecting: true }, 'connect'],
    ] as const) {
      it(`waits for '${event}' of ${name}`, () => {
        const raw = Object.assign(kept(new PassThrough()), stream);
        let opened = 0;
        whenOpen(raw, { opened: () => opened++, failed: () => {} });
        raw.emit(event === 'connect' ? 'secureConnect' : 'connect');
        expect(opened).to.equal(0);
        raw.emit(event);
        expect(opened).to.equal(1);
      });
    }

    it('tells the error of a socket that cannot connect, and leaves it destroyed', async () => {
      const raw = net.connect(await deadPort(), '127.0.0.1');
      const error = await new Promise<NodeJS.ErrnoException>((failed) => {
        whenOpen(raw, { opened: () => expect.fail('it opened'), failed });
      });
      expect(error.code).to.equal('ECONNREFUSED');
      expect(raw.destroyed).to.be.true;
    });

    it('tells of a stream that closes without an error before it is open', async () => {
      const raw = Object.assign(new PassThrough(), { connecting: true });
      const failed = new Promise<Error>((resolve) => whenOpen(raw, { opened: () => {}, failed: resolve }));
      raw.destroy();
      expect((await failed).message).to.equal('the stream closed before it was open');
    });

    it('tells a failure once, also when errors and a second close follow', async () => {
      const raw = Object.assign(new PassThrough(), { connecting: true });
      let failed = 0;
      whenOpen(raw, { opened: () => failed++, failed: () => failed++ });
      for (const event of ['error', 'error', 'close', 'connect', 'close']) raw.emit(event, new Error('again'));
      await turns(3);
      expect(failed).to.equal(1);
    });
  });

  describe('a link', () => {
    it('tells chunks, then the fin, then the loss, of a plain stream', async () => {
      const raw = new HandMade();
      const link = linkOf(raw);
      const heard = listenTo(link);
      raw.push('one');
      raw.push('two');
      await turns(3);
      raw.push(null);
      await turns(3);
      expect(heard).to.eql([['chunk', 'one'], ['chunk', 'two'], ['fin']]); // prettier-ignore
      link.end();
      await until(lost(heard));
      expect(heard.slice(3)).to.eql([['lost', undefined]]);
      expect(link.destroyed).to.be.true;
    });

    it('tells the same of a net.Socket', async () => {
      const { raw, peer } = await connected();
      const link = linkOf(raw);
      const heard = listenTo(link);
      peer.end('bye');
      await until(() => heard.length === 2);
      expect(heard).to.eql([['chunk', 'bye'], ['fin']]);
      link.end();
      await until(lost(heard));
      expect(heard).to.eql([['chunk', 'bye'], ['fin'], ['lost', undefined]]);
    });

    it('tells a reset with its error', async () => {
      const { raw, peer } = await connected();
      const heard = listenTo(linkOf(raw));
      peer.resetAndDestroy();
      await until(lost(heard));
      expect(heard).to.eql([['lost', 'read ECONNRESET']]);
    });

    it('tells a stream that somebody else destroyed', async () => {
      const raw = new HandMade();
      const heard = listenTo(linkOf(raw));
      raw.destroy();
      await until(lost(heard));
      expect(heard).to.eql([['lost', undefined]]);
    });

    it('gives no empty chunk', async () => {
      const raw = kept(new PassThrough({ objectMode: true }));
      const heard = listenTo(linkOf(raw));
      raw.write(Buffer.alloc(0));
      raw.write(Buffer.from('x'));
      await turns(3);
      expect(heard).to.eql([['chunk', 'x']]);
    });

    it('makes Buffers of other bytes and of text', async () => {
      const raw = kept(new PassThrough({ objectMode: true }));
      const chunks: Buffer[] = [];
      linkOf(raw).listen({ chunk: (chunk) => chunks.push(chunk), fin: () => {}, lost: () => {} });
      raw.write(new Uint8Array(Buffer.from('.ab.')).subarray(1, 3));
      raw.write('é');
      await turns(3);
      expect(chunks.map((chunk) => [Buffer.isBuffer(chunk), chunk.toString()])).to.eql([[true, 'ab'], [true, 'é']]); // prettier-ignore
    });

    it('is lost by a chunk that is no bytes, and takes the stream along', async () => {
      const raw = new PassThrough({ objectMode: true });
      const heard = listenTo(linkOf(raw));
      raw.write({ not: 'bytes' });
      await until(lost(heard));
      expect(heard).to.eql([['lost', 'the stream emitted something that is not bytes']]);
      expect(raw.destroyed).to.be.true;
    });

    it('gives no chunk from `pause()` on, until `resume()`', async () => {
      const { raw, peer } = await connected();
      const link = linkOf(raw);
      const heard = listenTo(link, () => link.pause());
      peer.write('one');
      await until(() => heard.length === 1);
      peer.write('two');
      await turns(50);
      expect(heard).to.eql([['chunk', 'one']]);
      link.resume();
      await until(() => heard.length === 2);
      expect(heard[1]).to.eql(['chunk', 'two']);
    });

    it('has the bytes that Node still held once it is lost, once', async () => {
      const { raw, peer } = await connected();
      const link = linkOf(raw);
      const heard = listenTo(link);
      link.pause();
      peer.write('kept');
      await until(() => raw.readableLength === 4);
      peer.resetAndDestroy();
      await until(lost(heard));
      expect(heard).to.eql([['lost', 'read ECONNRESET']]);
      expect([String(link.rest()), String(link.rest())]).to.eql(['kept', '']);
    });

    it('has them once it is destroyed too', async () => {
      const { raw, peer } = await connected();
      const link = linkOf(raw);
      listenTo(link);
      link.pause();
      peer.write('kept');
      await until(() => raw.readableLength === 4);
      link.destroy();
      expect([String(link.rest()), String(link.rest())]).to.eql(['kept', '']);
    });

    it('has them of a plain stream too, every chunk, and nothing that is not bytes', async () => {
      const raw = new PassThrough({ objectMode: true });
      const link = linkOf(raw);
      const heard = listenTo(link);
      link.pause();
      for (const text of ['a', { foreign: true }, Buffer.alloc(0), 'b']) raw.write(text);
      await turns(3);
      raw.destroy(new Error('broken'));
      await until(lost(heard));
      expect(heard).to.eql([['lost', 'broken']]);
      expect(String(link.rest())).to.equal('ab');
    });

    it('takes no more than was held out of a stream that goes on when it is destroyed', () => {
      const raw = new Endless();
      const link = linkOf(raw);
      listenTo(link);
      link.pause();
      raw.push('held');
      link.destroy();
      expect(String(link.rest())).to.match(/^held(more)*$/);
    });

    it('tells nothing of a stream that it destroyed, whatever comes of it [S10]', async () => {
      const raw = new PassThrough();
      const link = linkOf(raw);
      const heard = listenTo(link);
      link.pause();
      raw.write('unread');
      link.destroy();
      expect(link.destroyed).to.be.true;
      for (const event of ['data', 'end', 'error', 'close']) raw.emit(event, new Error('late'));
      await turns(5);
      expect(heard).to.eql([]);
      link.destroy();
    });

    it('tells one loss, however many errors and closes come [S9]', async () => {
      const raw = new HandMade();
      const heard = listenTo(linkOf(raw));
      for (const event of ['error', 'error', 'close', 'error']) raw.emit(event, new Error(event));
      await turns(5);
      raw.emit('error', new Error('much later'));
      expect(heard).to.eql([['lost', 'error']]);
    });

    it('hears errors of a stream to which nobody listens yet, and after its end [S9]', async () => {
      const raw = new HandMade();
      const link = linkOf(raw);
      raw.emit('error', new Error('early'));
      link.destroy();
      raw.emit('error', new Error('late'));
      await turns(3);
      expect(raw.listenerCount('error')).to.be.above(0);
    });

    it('takes its listeners off at the end, all but the one for errors [S11]', () => {
      const raw = new HandMade();
      const before = raw.eventNames().map((name) => [name, raw.listenerCount(name)]);
      const link = linkOf(raw);
      listenTo(link);
      link.destroy();
      const added = raw.eventNames().flatMap((name) => {
        const known = before.find(([event]) => event === name)?.[1] ?? 0;
        return raw.listenerCount(name) > Number(known) ? [name] : [];
      });
      expect(added).to.eql(['error']);
    });
  });

  describe('a link that reads into a slab', () => {
    it('tells chunks, then the fin, then the loss, also of what came before anybody listened', async () => {
      const { link, raw, peer } = await reading();
      peer.end('early bird');
      await turns();
      expect(raw.bytesRead).to.equal(0);
      const heard = listenTo(link);
      await until(() => heard.length === 2);
      link.end();
      await until(lost(heard));
      expect(heard).to.eql([['chunk', 'early bird'], ['fin'], ['lost', undefined]]);
    });

    it('lends its chunks: the next one is written over them, what was kept stays', async () => {
      const { link, peer } = await reading();
      const [lent, own]: [Buffer[], Buffer[]] = [[], []];
      const chunk = (bytes: Buffer, keep?: () => Buffer): void => {
        lent.push(bytes);
        own.push(keep!());
      };
      link.listen({ chunk, fin: () => {}, lost: () => {} });
      for (const text of ['one', 'two']) {
        peer.write(text);
        await until(() => own.at(-1)?.toString() === text);
      }
      expect(lent.map(String)).to.eql(['two', 'two']);
      expect(own.map(String)).to.eql(['one', 'two']);
    });

    it('reads no more than its limit, once', async () => {
      const { link, peer } = await reading();
      const heard = listenTo(link, () => heard.length === 1 && link.limit?.(2));
      peer.write('first');
      await until(() => heard.length === 1);
      peer.write('second');
      await until(() => heard.length === 3);
      expect(heard.map(([, text]) => text)).to.eql(['first', 'se', 'cond']);
    });

    it('gives no chunk once it is paused inside of one, until it is resumed, and holds nothing itself', async () => {
      const { link, raw, peer } = await reading();
      const heard = listenTo(link, (event) => event === 'chunk' && link.pause());
      peer.write('x'.repeat(200_000));
      await turns(50);
      expect(heard).to.have.length(1);
      expect(raw.readableLength).to.equal(0);
      link.resume();
      await until(() => heard.length === 2);
    });

    it('that is destroyed inside a chunk tells nothing more, and has no rest [S10]', async () => {
      const { link, raw, peer } = await reading();
      const heard = listenTo(link, () => link.destroy());
      peer.write('one');
      await until(() => raw.closed);
      link.resume();
      link.pause();
      expect(heard).to.eql([['chunk', 'one']]);
      expect(link.rest()).to.have.length(0);
    });

    for (const [end, event] of [
      ['FIN', ['fin']],
      ['reset', ['lost', 'read ECONNRESET']],
    ] as const) {
      it(`tells a ${end} of a peer that has said nothing`, async () => {
        const { link, peer } = await reading();
        const heard = listenTo(link);
        if (end === 'FIN') peer.end();
        else peer.resetAndDestroy();
        await until(() => heard.length > 0);
        expect(heard).to.eql([event]);
      });
    }
  });

  describe('a link that is paused', () => {
    for (const [mode, open] of [
      ['reads by events', async () => connected().then(({ raw, peer }) => ({ link: linkOf(raw), raw, peer }))],
      ['reads into a slab', reading],
    ] as const) {
      it(`and ${mode} tells of a reset, though more waits than there is room for [S6]`, async () => {
        const { link, peer } = await open();
        const heard = listenTo(link, (event) => event === 'chunk' && link.pause());
        link.pause();
        link.resume();
        peer.write(Buffer.alloc(1024 * 1024));
        await until(() => heard.length === 1);
        await turns(200);
        peer.resetAndDestroy();
        await until(lost(heard), Infinity);
        expect(heard.map(([what]) => what)).to.eql(['chunk', 'lost']);
        expect(String(heard[1]![1])).to.match(/ECONNRESET|EPIPE/);
      });
    }

    it('is asked each second whether it stands, until it is resumed, lost or destroyed [S11]', () => {
      for (const over of ['resume', 'destroy'] as const) {
        const raw = kept(new net.Socket());
        let writes = 0;
        Object.assign(raw, { writable: true, write: () => ++writes > 0, destroy: () => raw });
        const link = linkOf(raw);
        new TestScheduler(() => undefined).run(() => {
          listenTo(link);
          link.pause();
          link.pause();
          timer(2500).subscribe(() => link[over]());
          timer(9000).subscribe(() => undefined);
        });
        expect(writes, over).to.equal(2);
        raw.removeAllListeners();
        delete (raw as Partial<net.Socket>).destroy;
      }
    });
  });

  describe('writing', () => {
    it('calls back once the stream has taken the bytes', () => {
      const raw = kept(new HandMade());
      const link = linkOf(raw);
      const outcomes: unknown[] = [];
      link.write(Buffer.from('hi'), (error) => outcomes.push(error));
      expect([raw.written, outcomes]).to.eql([['hi'], []]);
      raw.waiting[0]!();
      return turns(2).then(() => expect(outcomes.map((error) => error ?? null)).to.eql([null]));
    });

    it('calls back with the error that a stream throws', () => {
      const raw = kept(new HandMade());
      raw.write = () => {
        throw new Error('no');
      };
      const outcomes: (string | undefined)[] = [];
      linkOf(raw).write(Buffer.from('hi'), (error) => outcomes.push(error?.message));
      expect(outcomes).to.eql(['no']);
    });

    it('calls back with an error for a stream that is destroyed', async () => {
      const raw = new HandMade();
      const link = linkOf(raw);
      raw.destroy();
      const error = await new Promise<unknown>((resolve) => link.write(Buffer.from('hi'), resolve));
      expect(error).to.include({ code: 'ERR_STREAM_DESTROYED' });
    });

    it('sends FIN after what was written, and goes on reading', async () => {
      const { raw, peer } = await connected();
      const link = linkOf(raw);
      const heard = listenTo(link);
      link.write(Buffer.from('last words'), () => {});
      link.end();
      let text = '';
      for await (const chunk of peer.iterator({ destroyOnReturn: false })) text += String(chunk);
      expect(text).to.equal('last words');
      peer.end('answer');
      await until(lost(heard));
      expect(heard).to.eql([['chunk', 'answer'], ['fin'], ['lost', undefined]]);
    });

    it('may be ended twice, and after its end', async () => {
      const raw = new HandMade();
      const link = linkOf(raw);
      link.end();
      link.end();
      link.destroy();
      link.end();
      await turns(3);
      expect(raw.destroyed).to.be.true;
    });
  });

  describe('a Duplex that does less than Node’s own', () => {
    for (const [name, options] of [
      ['without autoDestroy', { autoDestroy: false }],
      ['without emitClose', { emitClose: false }],
      ['without either', { autoDestroy: false, emitClose: false }],
    ] as const) {
      it(`${name} is lost once after an error`, async () => {
        const raw = new HandMade(options);
        const heard = listenTo(linkOf(raw));
        raw.emit('error', new Error('broken'));
        await turns(5);
        expect(heard).to.eql([['lost', 'broken']]);
        expect(raw.destroyed).to.be.true;
      });

      it(`${name} is lost once both sides have ended`, async () => {
        const raw = kept(new HandMade(options));
        const link = linkOf(raw);
        const heard = listenTo(link);
        raw.push('x');
        raw.push(null);
        link.end();
        await turns(20);
        expect(heard).to.eql([['chunk', 'x'], ['fin'], ['lost', undefined]]);
      });
    }
  });

  describe('discard', () => {
    it('destroys a stream and hears its last errors [S9]', async () => {
      const raw = new HandMade();
      discard(raw);
      expect(raw.destroyed).to.be.true;
      raw.emit('error', new Error('late'));
      await turns(2);
    });
  });
});
