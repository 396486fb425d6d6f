import { once } from 'node:events';
import * as net from 'node:net';
import { PassThrough, type Duplex } from 'node:stream';
import { expect } from 'chai';
import { timer, type Subscription } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { probe } from '../../lib/connection/probe.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { listen } from '../support/servers.js';

/** What a spec decides of a socket, and the lengths of what is written to it. */
interface Played {
  writable: boolean;
  writableLength: number;
  readonly lengths: number[];
}

/** A net.Socket that is connected to nothing. */
function recorder(): net.Socket & Played {
  const played: Played = { writable: true, writableLength: 0, lengths: [] };
  const write = (chunk: Uint8Array): boolean => played.lengths.push(chunk.length) > 0;
  const raw = Object.defineProperties(kept(new net.Socket()), {
    writable: { get: () => played.writable, set: (open: boolean) => (played.writable = open) },
    writableLength: { get: () => played.writableLength, set: (left: number) => (played.writableLength = left) },
  });
  return Object.assign(raw, { lengths: played.lengths, write });
}

/** Plays in virtual time, until nothing is left to happen; steps are at the ms of their keys. */
function played(raw: Duplex, steps: Record<number, (probing: Subscription) => void>): void {
  const scheduler = new TestScheduler(() => undefined);
  scheduler.run(() => {
    const probing = probe(raw);
    for (const [ms, step] of Object.entries(steps)) timer(Number(ms)).subscribe(() => step(probing));
  });
}

const off = (probing: Subscription): void => probing.unsubscribe();

describe('probe', () => {
  leavesNothingOpen();

  it('writes nothing, zero bytes of it, each second until it is unsubscribed', () => {
    const raw = recorder();
    const seen: number[] = [];
    played(raw, {
      999: () => seen.push(raw.lengths.length),
      1000.5: () => seen.push(raw.lengths.length),
      3500: off,
      10_000: () => seen.push(raw.lengths.length),
    });
    expect(seen).to.eql([0, 1, 3]);
    expect(new Set(raw.lengths)).to.eql(new Set([0]));
  });

  it('leaves a socket alone while something is being written, which finds out as well', () => {
    const raw = recorder();
    raw.writableLength = 10;
    played(raw, { 2500: () => (raw.writableLength = 0), 3500: off });
    expect(raw.lengths).to.eql([0]);
  });

  it('leaves a socket alone that is ended or destroyed', () => {
    const raw = recorder();
    raw.writable = false;
    played(raw, { 3500: off });
    expect(raw.lengths).to.eql([]);
  });

  for (const [name, raw] of [
    ['a stream that is no socket', () => new PassThrough()],
    ['TLS, where it reveals nothing', () => Object.assign(new net.Socket(), { encrypted: true, writable: true })],
  ] as const) {
    it(`has nothing to ask of ${name}`, () => {
      let writes = 0;
      const stream = Object.assign(kept(raw()), { write: () => ++writes > 0 });
      played(stream, { 3500: off });
      expect(writes).to.equal(0);
    });
  }

  it('sends not one byte to a peer that is there', async () => {
    const server = await listen();
    const raw = kept(net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true }));
    await once(raw, 'connect');
    const peer = await server.socket(0);
    raw.pause();
    await new Promise((written) => raw.write(Buffer.alloc(0), written));
    raw.end('bye');
    let text = '';
    for await (const chunk of peer) text += String(chunk);
    expect([text, raw.bytesWritten]).to.eql(['bye', 3]);
  });
});
