/** `handshake`: what is settled with the peer before a connection counts as open. */
import type * as net from 'node:net';
import { expect } from 'chai';
import {
  concat,
  defer,
  EMPTY,
  filter,
  firstValueFrom,
  ignoreElements,
  NEVER,
  Observable,
  of,
  take,
  tap,
  timer,
} from 'rxjs';
import type { ObservableInput } from 'rxjs';
import {
  ConnectError,
  connection,
  ConnectionLostError,
  ConnectTimeoutError,
  fixedLength,
  FrameError,
  lengthPrefixed,
  lines,
  mapCodec,
  ReconnectLimitError,
  tcpServer,
  tcpSocket,
  WriteError,
  type Codec,
  type Connection,
  type ConnectionStatus,
  type TcpError,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { FakeDials } from '../support/fake-stream.js';
import { atEnd, kept, leavesNothingOpen, outcome, turns } from '../support/fixture.js';
import { noneLeft, openHandles } from '../support/leaks.js';
import { eventually } from '../support/peers.js';
import { deadPort, listen, record, recordingServer, type Recording, type TestServer } from '../support/servers.js';
import { tape } from '../support/tape.js';
import { opens, refuses, virtualSocket, virtualTurns } from '../support/virtual-socket.js';

type Greeting = (connection: Connection<string, string>) => ObservableInput<unknown>;

const host = '127.0.0.1';
const soon = { initialDelay: 1, maxDelay: 1 };
const MINUTE = { initialDelay: 60_000, maxDelay: 60_000, jitter: 0 };

/** Says hello, and is content with whatever comes first. */
const greet: Greeting = async (live) => {
  void live.write('hello');
  await firstValueFrom(live.inbound);
};

const codesOf = (errors: readonly TcpError[]): string[] => errors.map(({ code }) => code);

/** A server that records what comes, and what each connection has said. */
async function serving(handler: (socket: net.Socket, index: number) => void = () => {}, port = 0) {
  const recordings: Recording[] = [];
  const server = await listen((socket, index) => {
    recordings.push(record(socket));
    handler(socket, index);
  }, port);
  const recording = async (index: number): Promise<Recording> => {
    await server.socket(index);
    return recordings[index]!;
  };
  return { ...server, recording, recordings };
}

const texts = ({ recordings }: { readonly recordings: readonly Recording[] }): string[] =>
  recordings.map(({ text }) => text);

/** Answers the first bytes of each connection with this. */
const answering =
  (text: string) =>
  (socket: net.Socket): void =>
    void socket.once('data', () => socket.write(text));

function open(server: { port: number }, config: TcpSocketConfig<string, string> = {}): TcpSocket<string, string> {
  const { port } = server;
  return kept(tcpSocket({ host, port, codec: lines(), handshake: greet, reconnect: soon, settle: 0, ...config }));
}

const isOpen = (status: ConnectionStatus): boolean => status.type === 'open';

describe('a handshake', () => {
  leavesNothingOpen();

  describe('comes first', () => {
    it('is over before anything that is queued is handed to the kernel [S4]', async () => {
      const server = await serving();
      const socket = open(server);
      const written = socket.write('queued');
      const recording = await server.recording(0);
      await recording.has('hello\n');
      await turns();
      expect(recording.text).to.equal('hello\n');
      expect(socket.stats()).to.include({ queuedFrames: 1, inFlightFrames: 0, epoch: 0 });
      (await server.socket(0)).write('welcome\n');
      await written;
      await recording.has('queued\n');
      expect(recording.text).to.equal('hello\nqueued\n');
    });

    it('keeps the status at `connecting`, and the connection from `connections`, until it is done', async () => {
      const server = await serving();
      const socket = open(server);
      const [statuses, connections] = [tape(socket.status), tape(socket.connections)];
      await (await server.recording(0)).has('hello\n');
      await turns();
      expect([statuses.values.map(({ type }) => type), connections.values]).to.eql([['connecting'], []]);
      (await server.socket(0)).write('welcome\n');
      await connections.at(0);
      expect(statuses.values.map(({ type }) => type)).to.eql(['connecting', 'open']);
      expect(connections.values[0]).to.include({ epoch: 1 });
      expect(socket.stats()).to.include({ epoch: 1, dials: 1, drops: 0 });
    });

    it('has the very connection that `connections` gives then', async () => {
      const server = await serving(answering('welcome\n'));
      let seen: unknown;
      const socket = open(server, {
        handshake: (live) => {
          seen = live;
          return greet(live);
        },
      });
      expect(await tape(socket.connections).at(0)).to.equal(seen);
    });

    it('runs anew on every connection, and only opened connections count as epochs', async () => {
      const server = await serving((peer, index) => answering(index === 1 ? 'no\n' : 'yes\n')(peer));
      const epochs: number[] = [];
      const socket = open(server, {
        handshake: async (live) => {
          epochs.push(live.epoch);
          void live.write('hello');
          if ((await firstValueFrom(live.inbound)) !== 'yes') throw new Error('refused');
        },
      });
      const connections = tape(socket.connections);
      await connections.at(0);
      (await server.socket(0)).resetAndDestroy();
      await connections.at(1);
      expect(epochs).to.eql([1, 2, 2]);
      expect(connections.values.map(({ epoch }) => epoch)).to.eql([1, 2]);
      expect(socket.stats()).to.include({ epoch: 2, dials: 3, drops: 1 });
    });

    it('lets `settle` begin when it is done', async () => {
      const server = await serving(answering('welcome\n'), await deadPort());
      const { port } = server;
      await server.close();
      const socket = open({ port }, { settle: 1 });
      const written = socket.write('queued');
      await tape(socket.errors).at(0);
      const again = await serving(answering('welcome\n'), port);
      await written;
      const recording = await again.recording(0);
      await recording.has('queued\n');
      expect(recording.text).to.equal('hello\nqueued\n');
    });

    it('waits, with `lazyConnect`, for the first message', async () => {
      const server = await serving(answering('welcome\n'));
      const socket = open(server, { lazyConnect: true });
      await turns();
      expect(server.sockets).to.eql([]);
      await socket.write('queued');
      await (await server.recording(0)).has('hello\nqueued\n');
    });

    it('its writes and those of the queue stay in order: what it wrote last leaves first [S1]', async () => {
      const server = await serving();
      const socket = open(server, {
        handshake: (live) => {
          for (let i = 0; i < 100; i++) void live.write(`h${String(i)}`);
          return EMPTY;
        },
      });
      for (let i = 0; i < 100; i++) socket.outbound.next(`q${String(i)}`);
      await socket.flush();
      const recording = await server.recording(0);
      await recording.has('q99\n');
      const expected = ['h', 'q'].flatMap((letter) => Array.from({ length: 100 }, (_, i) => `${letter}${String(i)}\n`));
      expect(recording.text).to.equal(expected.join(''));
    });
  });

  describe('alone is the demand', () => {
    it('alone sees its frames: `inbound` begins behind them, in the middle of a chunk too [S6]', async () => {
      const server = await serving(answering('welcome\nfirst\nsecond\nha'));
      const socket = open(server);
      const inbound = tape(socket.inbound);
      await inbound.at(1);
      (await server.socket(0)).write('lf\n');
      await inbound.at(2);
      expect(inbound.values).to.eql(['first', 'second', 'half']);
    });

    it('reads though the socket is held and nobody subscribes; what it leaves waits for them [S6]', async () => {
      const server = await serving(answering('welcome\nfirst\n'));
      const socket = open(server);
      const release = socket.pause();
      await tape(socket.status).first(isOpen);
      const inbound = tape(socket.inbound);
      await turns();
      expect(inbound.values).to.eql([]);
      expect(socket.stats()).to.include({ holds: 1, framesRead: 1 });
      expect(socket.stats().heldBytes).to.be.at.least(6);
      release();
      expect(await inbound.at(0)).to.equal('first');
    });

    it('leaves all that came to `inbound` when it reads nothing', async () => {
      const server = await serving((peer) => void peer.write('banner\nsecond\n'));
      const socket = open(server, {
        handshake: () => new Observable((to) => void setImmediate(() => setImmediate(() => to.complete()))),
      });
      const inbound = tape(socket.inbound);
      await inbound.at(1);
      expect(inbound.values).to.eql(['banner', 'second']);
    });

    it('has what it read past its reply: that does not come again', async () => {
      const server = await serving(answering('welcome\nmore\nrest\n'));
      const seen: string[] = [];
      const socket = open(server, {
        handshake: (live) => {
          void live.write('hello');
          return live.inbound.pipe(
            take(2),
            tap((line) => seen.push(line)),
          );
        },
      });
      const inbound = tape(socket.inbound);
      await inbound.at(0);
      expect([seen, inbound.values]).to.eql([['welcome', 'more'], ['rest']]);
    });

    it('gives back what its `for await` read ahead, in order [S6]', async () => {
      const many = Array.from({ length: 50 }, (_, i) => `frame ${String(i)}`);
      const server = await serving(answering(['banner', 'welcome', ...many].join('\n') + '\nha'));
      const socket = open(server, {
        readBuffer: 10,
        handshake: async (live) => {
          void live.write('hello');
          for await (const line of live) if (line === 'welcome') break;
        },
      });
      const inbound = tape(socket.inbound);
      await inbound.at(49);
      (await server.socket(0)).write('lf\n');
      await inbound.at(50);
      expect(inbound.values).to.eql([...many, 'half']);
    });

    it('leaves those who subscribed to its connection inside their subscription', async () => {
      const server = await serving(answering('welcome\nfirst\nsecond\n'));
      const inside: string[] = [];
      const socket = open(server, {
        handshake: (live) => {
          live.inbound.subscribe((line) => inside.push(line));
          return greet(live);
        },
      });
      await tape(socket.connections).at(0);
      await eventually(() => inside.length === 3);
      const inbound = tape(socket.inbound);
      await turns();
      (await server.socket(0)).write('third\n');
      await inbound.at(0);
      expect(inside).to.eql(['welcome', 'first', 'second', 'third']);
      expect(inbound.values, 'a late subscriber').to.eql(['third']);
    });

    it('leaves the holds that were taken inside: they hold the socket', async () => {
      const server = await serving(answering('welcome\nfirst\n'));
      let release = (): void => {};
      const socket = open(server, {
        handshake: async (live) => {
          await greet(live);
          release = live.pause();
        },
      });
      const inbound = tape(socket.inbound);
      await tape(socket.status).first(isOpen);
      await turns();
      expect([inbound.values, socket.stats().holds]).to.eql([[], 1]);
      release();
      expect(await inbound.at(0)).to.equal('first');
      expect(socket.stats().holds).to.equal(0);
    });

    it('is paced by its own holds', async () => {
      const server = await serving((peer) => void peer.write('one\ntwo\nthree\n'));
      const seen: string[] = [];
      const socket = open(server, {
        handshake: (live) => {
          const release = live.pause();
          setImmediate(() => {
            expect(seen).to.eql([]);
            release();
          });
          return live.inbound.pipe(
            take(2),
            tap((line) => seen.push(line)),
          );
        },
      });
      expect(await tape(socket.inbound).at(0)).to.equal('three');
      expect(seen).to.eql(['one', 'two']);
    });

    it('comes behind what an earlier connection has left, for `inbound`, and does not wait for that [S6]', async () => {
      const server = await serving((peer, index) => {
        answering(index === 0 ? 'welcome\nold 1\nold 2\n' : 'welcome\nnew\n')(peer);
      });
      const socket = open(server);
      const release = socket.pause();
      const inbound = tape(socket.inbound);
      const connections = tape(socket.connections);
      await connections.at(0);
      await eventually(() => socket.stats().heldBytes >= 12);
      (await server.socket(0)).resetAndDestroy();
      await connections.at(1);
      expect(inbound.values).to.eql([]);
      release();
      await inbound.at(2);
      expect(inbound.values).to.eql(['old 1', 'old 2', 'new']);
    });

    it('keeps nobody from what an earlier connection has left [S6]', async () => {
      const server = await serving((peer, index) => (index === 0 ? answering('welcome\nold\n')(peer) : undefined));
      const socket = open(server);
      const release = socket.pause();
      const inbound = tape(socket.inbound);
      const lost = (await tape(socket.connections).at(0)).closed;
      await eventually(() => socket.stats().heldBytes >= 4);
      (await server.socket(0)).resetAndDestroy();
      await lost;
      await (await server.recording(1)).has('hello\n');
      release();
      expect(await inbound.at(0)).to.equal('old');
      expect(socket.stats()).to.include({ epoch: 1 });
    });

    const text = mapCodec(fixedLength({ length: 4 }), {
      decode: (frame) => frame.toString(),
      encode: (message: string) => Buffer.from(message),
    });
    const prefixed = mapCodec(lengthPrefixed({ lengthFieldLength: 1 }), {
      decode: (frame) => frame.toString(),
      encode: (message: string) => Buffer.from(message),
    });
    const codecs: [string, Codec<string, string>, (message: string) => string][] = [
      ['lines()', lines(), (message) => `${message}\n`],
      ['lines({ copy: false })', lines({ copy: false }), (message) => `${message}\n`],
      ['fixedLength()', text, (message) => message],
      ['lengthPrefixed()', prefixed, (message) => `\u0004${message}`],
    ];
    for (const [name, codec, encode] of codecs) {
      it(`loses and changes no byte of a chunk of which it took the first frame, with ${name} [S6]`, async () => {
        const frames = Array.from({ length: 2000 }, (_, i) => String(1000 + i));
        const wire = Buffer.from(['okay', ...frames].map(encode).join(''));
        const server = await serving((peer) => {
          peer.once('data', () => {
            peer.write(wire.subarray(0, 3001));
            setImmediate(() => peer.write(wire.subarray(3001)));
          });
        });
        const seen: string[] = [];
        const socket = open(server, {
          codec,
          handshake: async (live) => {
            void live.write('helo');
            seen.push(await firstValueFrom(live.inbound));
          },
        });
        await tape(socket.connections).at(0);
        const inbound = tape(socket.inbound);
        await inbound.at(frames.length - 1);
        expect(seen).to.eql(['okay']);
        expect(inbound.values).to.eql(frames);
      });
    }
  });

  describe('that fails', () => {
    const mine = new Error('mine');
    const failing: [string, Greeting][] = [
      ['throws', () => { throw mine; }], // prettier-ignore
      ['rejects', () => Promise.reject(mine)],
      ['errors', (live) => concat(live.write('hello'), new Observable((to) => to.error(mine)))],
    ];
    for (const [name, handshake] of failing) {
      it(`because it ${name} is a failed attempt: the next is made, and the queue goes there whole [S2]`, async () => {
        const server = await serving();
        let runs = 0;
        const socket = open(server, { handshake: (live) => (runs++ === 0 ? handshake(live) : EMPTY) });
        const [errors, statuses] = [tape(socket.errors), tape(socket.status)];
        await socket.write('queued');
        await (await server.recording(1)).has('queued\n');
        expect(errors.values).to.have.length(1);
        expect(errors.values[0]).to.be.instanceOf(ConnectError);
        expect(errors.values[0]).to.deep.include({ phase: 'handshake', epoch: 0, endpoint: { host, port: server.port }, cause: mine }); // prettier-ignore
        expect(statuses.values.map(({ type }) => type)).to.eql(['connecting', 'backoff', 'connecting', 'open']);
        expect((await server.recording(0)).text).not.to.contain('queued');
        expect(socket.stats()).to.include({ dials: 2, drops: 0, epoch: 1, framesRetried: 0 });
      });
    }

    it('with a mistake in the program ends the socket, and every frame has its outcome [S3]', async () => {
      const wrong: [string, Greeting][] = [
        ['answers nothing', (() => undefined) as unknown as Greeting],
        ['throws a TypeError', () => { throw new TypeError('mine'); }], // prettier-ignore
      ];
      for (const [name, handshake] of wrong) {
        const server = await serving();
        const socket = open(server, { handshake });
        const inbound = tape(socket.inbound);
        const error = await outcome(socket.write('queued'));
        expect(error, name).to.be.instanceOf(WriteError).and.to.include({ fate: 'unsent' });
        await inbound.end;
        expect(inbound.error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'handshake' });
        expect((inbound.error as ConnectError).cause).to.be.instanceOf(TypeError);
      }
    });

    it('is retried or not as `retryable` says', async () => {
      const server = await serving();
      const asked: unknown[] = [];
      const retryable = (error: TcpError): boolean => asked.push(error) < 3;
      const socket = open(server, { handshake: () => Promise.reject(mine), reconnect: { ...soon, retryable } });
      const inbound = tape(socket.inbound);
      await inbound.end;
      expect([asked.length, inbound.error]).to.eql([3, asked[2]]);
    });

    it('ends a socket that does not reconnect, with its error', async () => {
      const server = await serving();
      const socket = open(server, { handshake: () => Promise.reject(mine), reconnect: false });
      const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
      await errors.end;
      expect(inbound.error).to.equal(errors.values[0]).and.to.include({ phase: 'handshake', cause: mine });
      expect(errors.values).to.have.length(1);
    });

    it('counts for maxAttempts [S8]', async () => {
      const server = await serving();
      const socket = open(server, {
        handshake: () => Promise.reject(mine),
        reconnect: { ...soon, maxAttempts: 2 },
      });
      const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
      await errors.end;
      expect(inbound.error).to.be.instanceOf(ReconnectLimitError);
      expect(codesOf(errors.values)).to.eql(['TCP_CONNECT', 'TCP_CONNECT', 'TCP_CONNECT', 'TCP_RECONNECT_LIMIT']);
      expect(server.sockets).to.have.length(3);
    });

    it('takes what was half read of it along: `inbound` sees nothing of it [S7]', async () => {
      const server = await serving((peer, index) => answering(index === 0 ? 'no\nrest\nha' : 'yes\ngood\n')(peer));
      const socket = open(server, {
        handshake: async (live) => {
          void live.write('hello');
          if ((await firstValueFrom(live.inbound)) === 'no') throw mine;
        },
      });
      const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
      expect(await inbound.at(0)).to.equal('good');
      expect(codesOf(errors.values)).to.eql(['TCP_CONNECT']);
    });

    it('rejects what it has written past the queue and is not written', async () => {
      const dials = new FakeDials();
      const outcomes: unknown[] = [];
      const dial = (): ReturnType<FakeDials['dial']> => {
        const stream = dials.dial();
        stream._write = () => {};
        return stream;
      };
      const socket = kept(
        tcpSocket({
          ...{ dial, codec: lines(), reconnect: false },
          handshake: (live) => {
            void outcome(live.write('hello')).then((how) => outcomes.push(how));
            return Promise.reject(mine);
          },
        }),
      );
      await tape(socket.errors).end;
      await eventually(() => outcomes.length > 0);
      expect(outcomes[0]).to.be.instanceOf(ConnectionLostError).and.to.include({ epoch: 1 });
    });
  });

  describe('that is overtaken', () => {
    const losses: [string, (peer: net.Socket) => unknown, string | undefined][] = [
      ['resets', (peer) => peer.resetAndDestroy(), undefined],
      ['sends its FIN', (peer) => peer.end(), undefined],
      ['sends its FIN inside a frame', (peer) => peer.end('half'), 'TCP_FRAME'],
    ];
    for (const [name, lose, cut] of losses) {
      it(`by the loss of its connection fails: the peer ${name}`, async () => {
        const server = await serving((peer, index) => {
          if (index === 0) peer.once('data', () => lose(peer));
          else answering('welcome\n')(peer);
        });
        const socket = open(server);
        const errors = tape(socket.errors);
        await socket.write('queued');
        await (await server.recording(1)).has('queued\n');
        expect(codesOf(errors.values).filter((code) => code !== 'TCP_FRAME')).to.eql(['TCP_CONNECT']);
        const error = errors.values.find(({ code }) => code === 'TCP_CONNECT') as ConnectError;
        expect(error).to.include({ phase: 'handshake', epoch: 0 });
        expect(error.cause).to.be.instanceOf(ConnectionLostError);
        if (cut !== undefined) expect(errors.values.length).to.be.at.most(2);
        expect(socket.stats()).to.include({ drops: 0, framesRetried: 0 });
      });
    }

    it('by bytes that are no frames fails, and its own error is the cause [S12]', async () => {
      const server = await serving((peer, index) => answering(index === 0 ? 'far too long\n' : 'ok\n')(peer));
      const socket = open(server, { codec: lines({ maxFrameLength: 8 }) });
      const errors = tape(socket.errors);
      await socket.write('queued');
      expect(errors.values).to.have.length(1);
      expect(errors.values[0]).to.be.instanceOf(ConnectError).and.to.include({ phase: 'handshake' });
      expect((errors.values[0] as ConnectError).cause)
        .to.be.instanceOf(FrameError)
        .and.to.include({ kind: 'too-large' });
    });

    it('by its own end() or destroy() of the connection fails', async () => {
      const server = await serving();
      let runs = 0;
      const ways: Greeting[] = [
        (live) => (live.destroy(mine), NEVER), // prettier-ignore
        (live) => live.end().then(() => NEVER),
        () => EMPTY,
      ];
      const mine = new Error('mine');
      const socket = open(server, { handshake: (live) => ways[runs++]!(live) });
      const errors = tape(socket.errors);
      await socket.write('queued');
      expect(codesOf(errors.values)).to.eql(['TCP_CONNECT', 'TCP_CONNECT']);
      const [first, second] = errors.values.map(({ cause }) => cause as ConnectionLostError);
      expect(first).to.be.instanceOf(ConnectionLostError).and.to.include({ endedBy: 'us', cause: mine });
      expect(second).to.be.instanceOf(ConnectionLostError).and.to.include({ endedBy: 'us' });
    });

    it('by the peer’s FIN loses no frame if it is done a moment later [S2]', async () => {
      const server = await serving((peer, index) =>
        peer.once('data', () => (index === 0 ? peer.end('welcome\n') : peer.write('welcome\n'))),
      );
      const socket = open(server, {
        handshake: async (live) => {
          await greet(live);
          if (live.epoch === 1) await Promise.race([turns(2), live.closed]);
        },
      });
      await socket.write('queued');
      await eventually(() => texts(server).join('').includes('queued'));
      expect(texts(server)[0], 'it would be lost there').not.to.contain('queued');
      expect(texts(server).at(-1)).to.equal('hello\nqueued\n');
    });

    it('by end() with nothing queued is given up at once, and nothing is left of it [S11]', async () => {
      const server = await serving();
      const before = openHandles().length;
      const socket = open(server);
      const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
      await (await server.recording(0)).has('hello\n');
      await socket.end();
      expect([inbound.ended, errors.values]).to.eql(['completed', []]);
      const peer = await server.socket(0);
      await eventually(() => peer.destroyed);
      await noneLeft(openHandles().slice(0, before));
    });

    it('by end() with something queued is waited for, and that is written [S3]', async () => {
      const server = await serving();
      const socket = open(server);
      const written = outcome(socket.write('queued'));
      await (await server.recording(0)).has('hello\n');
      const ended = socket.end();
      (await server.socket(0)).write('welcome\nunread\n');
      await ended;
      expect(await written).to.equal('written');
      await (await server.recording(0)).has('queued\n');
    });

    it('by the deadline of end() is given up, and what is queued has its outcome [S3]', async () => {
      const server = await serving();
      const socket = open(server);
      const written = outcome(socket.write('queued'));
      await (await server.recording(0)).has('hello\n');
      await socket.end({ timeout: 1 });
      expect(await written)
        .to.be.instanceOf(WriteError)
        .and.to.include({ fate: 'unsent' });
    });

    const ends: [string, (socket: TcpSocket<string, string>, abort: AbortController) => unknown][] = [
      ['destroy()', (socket) => socket.destroy()],
      ['destroy(error)', (socket) => socket.destroy(new Error('mine'))],
      ['an abort', (_socket, abort) => abort.abort()],
    ];
    for (const [name, end] of ends) {
      for (const inside of [true, false]) {
        it(`by ${name} ${inside ? 'inside it ' : ''}is let go, and the connection closed [S11]`, async () => {
          const server = await serving();
          const abort = new AbortController();
          let gone = 0;
          const socket: TcpSocket<string, string> = open(server, {
            signal: abort.signal,
            handshake: (live) => {
              void live.write('hello');
              if (inside) end(socket, abort);
              return new Observable(() => () => gone++);
            },
          });
          const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
          const peer = await server.socket(0);
          if (!inside) {
            await (await server.recording(0)).has('hello\n');
            end(socket, abort);
          }
          await inbound.end;
          await eventually(() => peer.destroyed);
          expect([inbound.ended, gone, errors.values]).to.eql([name === 'destroy()' ? 'completed' : 'errored', 1, []]);
          expect(socket.stats()).to.include({ epoch: 0, dials: 1 });
        });
      }
    }

    it('by redial() goes on: a dial is under way already', async () => {
      const server = await serving();
      const socket = open(server);
      await (await server.recording(0)).has('hello\n');
      socket.redial();
      await turns();
      expect(socket.stats()).to.include({ dials: 1 });
      (await server.socket(0)).write('welcome\n');
      await socket.write('queued');
      expect(server.sockets).to.have.length(1);
    });
  });

  describe('and time', () => {
    virtualTurns();
    const never: Greeting = () => NEVER;
    const later = (ms: number, action: () => void): void => void timer(ms).subscribe(action);

    it('that hangs runs into connectTimeout, counted from the begin of the dial, and is dialled again later and later [S8]', () => {
      const statuses: ConnectionStatus[] = [];
      const errors: [number, TcpError][] = [];
      virtualSocket(
        { handshake: never, connectTimeout: 1000, reconnect: { initialDelay: 100, random: () => 1 } },
        (dialled, index) => later(index === 0 ? 400 : 0, dialled.open),
        ({ socket, dials, at, now }) => {
          socket.status.subscribe((status) => statuses.push(status));
          socket.errors.subscribe((error) => errors.push([now(), error]));
          at(4500, () => {
            expect(dials.map((dialled) => [dialled.at, dialled.gone])).to.eql([
              [0, true],
              [1100, true],
              [2300, true],
              [3700, false],
            ]);
            socket.destroy();
            expect(dials[3]!.link.destroyed).to.be.true;
          });
        },
      );
      expect(errors.map(([time]) => time)).to.eql([1000, 2100, 3300]);
      for (const [, error] of errors)
        expect(error).to.be.instanceOf(ConnectTimeoutError).and.to.include({ phase: 'handshake', timeout: 1000 });
      expect(statuses.filter(isOpen)).to.eql([]);
      const waits = statuses.flatMap((status) => (status.type === 'backoff' ? [[status.attempt, status.delay]] : []));
      expect(waits).to.eql([[2, 100], [3, 200], [4, 400]]); // prettier-ignore
    });

    it('that fails at once waits longer each time, as a dial that is refused does [S8]', () => {
      const timesOf = (config: TcpSocketConfig<string, string>, play: typeof opens): number[] => {
        let times: number[] = [];
        virtualSocket(config, play, ({ socket, dials, at }) =>
          at(3000, () => {
            times = dials.map((dialled) => dialled.at);
            socket.destroy();
          }),
        );
        return times;
      };
      const failing: Greeting = () => new Observable((to) => to.error(new Error('no')));
      const times = timesOf({ handshake: failing }, opens);
      expect(times.length).to.be.within(5, 8);
      expect(times).to.eql(timesOf({}, refuses));
    });

    it('that is done resets nothing by itself: only an answer, or `stableAfter`, does [S8]', () => {
      const attempts: number[] = [];
      virtualSocket(
        { handshake: () => EMPTY, settle: 0 },
        (dialled) => {
          dialled.open();
          later(1, () => dialled.link.lost());
        },
        ({ socket, at }) => {
          socket.status.subscribe((status) => {
            if (status.type === 'connecting') attempts.push(status.attempt);
          });
          at(2000, () => socket.destroy());
        },
      );
      expect(attempts).to.eql(attempts.map((_, i) => i + 2));
      expect(attempts.length).to.be.within(4, 8);
    });

    it('has what the dial has left of connectTimeout, and no more once it is done', () => {
      const log: string[] = [];
      virtualSocket(
        { handshake: () => new Observable((to) => later(599, () => to.complete())), connectTimeout: 1000 },
        (dialled) => later(400, dialled.open),
        ({ socket, at, now }) => {
          socket.status.subscribe(({ type }) => log.push(`${String(now())} ${type}`));
          at(60_000, () => socket.destroy());
        },
      );
      expect(log.slice(0, 2)).to.eql(['0 connecting', '999 open']);
      expect(log.slice(2).map((line) => line.split(' ')[0])).to.eql(['60000', '60000']);
    });
  });

  describe('of connection()', () => {
    it('is done before the connection is emitted, and leaves it what it did not take', async () => {
      const server = await serving(answering('welcome\nfirst\n'));
      const emitted = tape(connection({ host, port: server.port, codec: lines(), handshake: greet }));
      const live = await emitted.at(0);
      atEnd(() => emitted.stop());
      expect(live).to.include({ epoch: 1 });
      expect(await firstValueFrom(live.inbound)).to.equal('first');
      await live.write('more');
      await (await server.recording(0)).has('hello\nmore\n');
      emitted.stop();
    });

    it('that fails is the error of the subscription', async () => {
      const mine = new Error('mine');
      const server = await serving();
      const config = { host, port: server.port, codec: lines() };
      const failed = tape(connection({ ...config, handshake: () => Promise.reject(mine) }));
      await failed.end;
      expect(failed.error).to.be.instanceOf(ConnectError).and.to.include({ phase: 'handshake', cause: mine });
      const late = tape(connection({ ...config, handshake: () => NEVER, connectTimeout: 20 }));
      await late.end;
      expect(late.error).to.be.instanceOf(ConnectTimeoutError).and.to.include({ phase: 'handshake', timeout: 20 });
      for (const i of [0, 1]) {
        const peer = await server.socket(i);
        await eventually(() => peer.destroyed);
      }
    });

    it('is given up with the subscription [S11]', async () => {
      const server = await serving();
      let gone = 0;
      const handshake: Greeting = (live) => concat(live.write('hello'), new Observable(() => () => gone++));
      const subscription = connection({ host, port: server.port, codec: lines(), handshake }).subscribe();
      await (await server.recording(0)).has('hello\n');
      subscription.unsubscribe();
      expect(gone).to.equal(1);
      const peer = await server.socket(0);
      await eventually(() => peer.destroyed);
    });
  });

  describe('of both sides', () => {
    /** Lets in who says the word. */
    const doorkeeper: Greeting = async (live) => {
      const word = await firstValueFrom(live.inbound);
      if (word !== 'sesame') throw new Error('wrong word');
      void live.write('come in');
    };
    const saying =
      (word: string): Greeting =>
      async (live) => {
        void live.write(word);
        await firstValueFrom(live.inbound);
      };

    async function guarded(config: { handshakeTimeout?: number } = {}) {
      const server = tcpServer({ host, codec: lines(), handshake: doorkeeper, ...config });
      atEnd(() => server.close({ timeout: 0 }));
      const { port } = await server.listening;
      return { server, port, connections: tape(server.connections), errors: tape(server.errors) };
    }

    it('is done on both before either has a frame of the other’s queue', async () => {
      const { port, connections, errors } = await guarded();
      const socket = open({ port }, { handshake: saying('sesame') });
      const inbound = tape(socket.inbound);
      void socket.write('first');
      const served = await connections.at(0);
      const heard = tape(served.inbound);
      await served.write('hi');
      expect([await heard.at(0), await inbound.at(0)]).to.eql(['first', 'hi']);
      expect([heard.values, inbound.values, errors.values]).to.eql([['first'], ['hi'], []]);
      await socket.end();
    });

    it('that the server refuses is no connection of it: its `errors` and `stats()` say so, and it goes on', async () => {
      const { server, port, connections, errors } = await guarded();
      const wrong = open({ port }, { handshake: saying('please'), reconnect: MINUTE });
      const failed = await tape(wrong.errors).at(0);
      expect(failed).to.be.instanceOf(ConnectError).and.to.include({ phase: 'handshake' });
      const refused = await errors.at(0);
      expect(refused).to.be.instanceOf(ConnectError).and.to.include({ phase: 'handshake' });
      expect(refused.cause).to.include({ message: 'wrong word' });
      expect(connections.values).to.eql([]);
      expect(server.stats()).to.include({ failed: 1 });
      wrong.destroy();
      const right = open({ port }, { handshake: saying('sesame') });
      await connections.at(0);
      await right.end();
    });

    it('that the client never begins ends at `handshakeTimeout` of the server', async () => {
      const { server, port, errors } = await guarded({ handshakeTimeout: 20 });
      const socket = open({ port }, { handshake: () => NEVER, reconnect: MINUTE });
      const late = await errors.at(0);
      expect(late).to.be.instanceOf(ConnectTimeoutError).and.to.include({ phase: 'handshake', timeout: 20 });
      expect(server.stats()).to.include({ failed: 1 });
      const lost = await tape(socket.errors).at(0);
      expect(lost).to.be.instanceOf(ConnectError).and.to.include({ phase: 'handshake' });
    });

    it('is given up when the server closes [S11]', async () => {
      const { server, port } = await guarded();
      const socket = open({ port }, { handshake: () => NEVER, reconnect: MINUTE });
      await eventually(() => server.stats().opening === 1);
      await server.close();
      await tape(socket.errors).at(0);
      expect(socket.stats()).to.include({ epoch: 0 });
    });
  });

  it('that waits for an answer keeps the queue from a server that accepts and is dead [S4]', async () => {
    // It accepts, and resets a moment later, as a proxy does whose server is gone.
    const server: TestServer & { recording(index: number): Promise<Recording> } = await recordingServer(
      (peer, index) => {
        if (index >= 5) return false;
        peer.once('data', () => peer.resetAndDestroy());
        return true;
      },
    );
    const socket = open(server, { retryLimit: 0 });
    const messages = Array.from({ length: 50 }, (_, i) => `message ${String(i)}`);
    const outcomes = messages.map((message) => outcome(socket.write(message)));
    const recording = await server.recording(5);
    await recording.has('hello\n');
    (await server.socket(5)).write('welcome\n');
    expect(new Set(await Promise.all(outcomes))).to.eql(new Set(['written']));
    await recording.has('message 49\n');
    expect(recording.text).to.equal(`hello\n${messages.join('\n')}\n`);
    expect(socket.stats()).to.include({ framesUndelivered: 0, framesRetried: 0 });
  });

  it('may be one Observable of many steps', async () => {
    const server = await serving((peer) => {
      peer.on('data', (chunk: Buffer) => void peer.write(`ok ${chunk.toString()}`));
    });
    const socket = open(server, {
      handshake: (live) => {
        const step = (line: string): Observable<unknown> =>
          concat(
            defer(() => live.write(line)),
            live.inbound.pipe(
              filter((reply) => reply === `ok ${line}`),
              take(1),
            ),
          );
        return concat(step('one'), step('two'), of('done')).pipe(ignoreElements());
      },
    });
    await socket.write('three');
    expect(await tape(socket.inbound).at(0)).to.equal('ok three');
    expect((await server.recording(0)).text).to.equal('one\ntwo\nthree\n');
  });
});
