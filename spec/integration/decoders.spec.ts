import { expect } from 'chai';
import { map } from 'rxjs';
import {
  bytes,
  FrameError,
  lengthPrefixed,
  lines,
  tcpSocket,
  type Codec,
  type TcpError,
  type TcpSocket,
  type TcpSocketConfig,
} from '../../lib/index.js';
import { collect, eventually, live, peers, SOON, turns, type Peers } from '../support/peers.js';

/** Of an error what tells it from the others. */
function brief(error: TcpError): string {
  return error.code === 'TCP_FRAME' ? `${error.code} ${error.kind} ${error.epoch}` : `${error.code} ${error.epoch}`;
}

describe('decoders', () => {
  const { serve, track } = peers();
  let server: Peers;

  beforeEach(async () => {
    server = await serve();
  });

  function open<In, Out>(codec: Codec<In, Out>, config: TcpSocketConfig<In, Out> = {}): TcpSocket<In, Out> {
    return track(tcpSocket({ port: server.port, codec, reconnect: SOON, settle: 0, ...config }));
  }

  describe('at the loss of a connection', () => {
    for (const [how, die] of [
      ['a FIN', 'fin'],
      ['a reset', 'reset'],
    ] as const) {
      it(`half a line is told as truncated at ${how}, before the loss, and is never glued to the next line [S7]`, async () => {
        const socket = open(lines());
        const [all, errors] = [collect(socket.inbound), collect(socket.errors.pipe(map(brief)))];
        const peer = await server.accepted();
        await peer.send('one\ntw');
        await eventually(() => socket.stats().bytesRead === 6);
        peer[die]();
        const next = await server.accepted();
        await next.send('o\nthree\n');
        await all.reach(3);
        expect(all.values).to.eql(['one', 'o', 'three']);
        expect(errors.values).to.eql(['TCP_FRAME truncated 1', 'TCP_CONNECTION_LOST 1']);
      });
    }

    it('half a header or half a body is told as truncated, and the next connection starts with a header [S7]', async () => {
      const socket = open(lengthPrefixed());
      const all = collect(socket.inbound.pipe(map((chunk) => chunk.toString())));
      const errors = collect(socket.errors.pipe(map(brief)));
      const hi = Buffer.from([0, 0, 0, 2, 0x68, 0x69]);
      for (let cut = 1; cut < hi.length; cut++) {
        const peer = await server.accepted();
        await peer.send(Buffer.concat([hi, hi.subarray(0, cut)]));
        await all.reach(cut);
        await eventually(() => socket.stats().bytesRead >= (hi.length + cut) * cut - (cut * (cut - 1)) / 2);
        peer.fin();
        await errors.reach(2 * cut);
      }
      const peer = await server.accepted();
      await peer.send(hi);
      expect(await all.reach(6)).to.eql(['hi', 'hi', 'hi', 'hi', 'hi', 'hi']);
      const expected = [1, 2, 3, 4, 5].flatMap((n) => [`TCP_FRAME truncated ${n}`, `TCP_CONNECTION_LOST ${n}`]);
      expect(errors.values).to.eql(expected);
    });

    it('between two frames nothing is truncated [S7]', async () => {
      const socket = open(lines());
      const [all, errors] = [collect(socket.inbound), collect(socket.errors.pipe(map(brief)))];
      const peer = await server.accepted();
      await peer.send('one\n');
      await all.reach(1);
      peer.fin();
      await (await server.accepted()).send('two\n');
      expect(await all.reach(2)).to.eql(['one', 'two']);
      expect(errors.values).to.eql(['TCP_CONNECTION_LOST 1']);
    });

    it('bytes that a hold keeps back are told as truncated once they are decoded, after the loss [S7]', async () => {
      const socket = open(lines());
      let release = (): void => {};
      const all = collect(socket.inbound, (line) => {
        if (line === 'one') release = socket.pause();
      });
      const errors = collect(socket.errors.pipe(map(brief)));
      const peer = await server.accepted();
      await peer.send('one\ntwo\nthr');
      await all.reach(1);
      peer.reset();
      const next = await server.accepted();
      await next.send('four\n');
      await turns();
      expect(errors.values).to.eql(['TCP_CONNECTION_LOST 1']);
      release();
      expect(await all.reach(3)).to.eql(['one', 'two', 'four']);
      expect(errors.values).to.eql(['TCP_CONNECTION_LOST 1', 'TCP_FRAME truncated 1']);
    });

    it('a decoder is made anew for each connection, and asked for its rest once [S7]', async () => {
      const calls: string[] = [];
      let made = 0;
      const codec: Codec<Buffer, Buffer> = {
        encode: (message) => message,
        decoder: (report) => {
          const id = ++made;
          const inner = bytes().decoder(report);
          return {
            push: (chunk) => {
              calls.push(`${id} ${chunk.toString()}`);
              inner.push(chunk);
            },
            next: () => inner.next(),
            end: () => {
              calls.push(`${id} end`);
              inner.end();
            },
          };
        },
      };
      const socket = open(codec);
      const all = collect(socket.inbound);
      const peer = await server.accepted();
      await peer.send('a');
      await all.reach(1);
      peer.fin();
      await (await server.accepted()).send('b');
      await all.reach(2);
      expect(calls).to.eql(['1 a', '1 end', '2 b']);
    });
  });

  describe('with reconnect: false', () => {
    it('a FIN between frames completes inbound [S7]', async () => {
      const socket = open(lines(), { reconnect: false });
      const all = collect(socket.inbound);
      const peer = await server.accepted();
      await peer.send('one\n');
      await all.reach(1);
      peer.fin();
      await all.ended;
      expect([all.values, all.end]).to.eql([['one'], {}]);
    });

    it('a FIN inside a frame errors inbound with the truncated frame [S7]', async () => {
      const socket = open(lines(), { reconnect: false });
      const [all, errors] = [collect(socket.inbound), collect(socket.errors.pipe(map(brief)))];
      const peer = await server.accepted();
      await peer.send('one\ntw');
      await all.reach(1);
      peer.fin();
      await Promise.all([all.ended, errors.ended]);
      expect(all.values).to.eql(['one']);
      expect(all.end?.error).to.be.instanceOf(FrameError).and.to.include({ kind: 'truncated', epoch: 1 });
      expect(errors.values).to.eql(['TCP_FRAME truncated 1', 'TCP_CONNECTION_LOST 1']);
    });

    it('a reset errors inbound with the loss, also between frames [S7]', async () => {
      const socket = open(lines(), { reconnect: false });
      const all = collect(socket.inbound);
      const peer = await server.accepted();
      await peer.send('one\n');
      await all.reach(1);
      peer.reset();
      await all.ended;
      expect(all.end?.error).to.include({ code: 'TCP_CONNECTION_LOST', clean: false });
    });

    it('a frame that cannot be decoded errors inbound with that error [S12]', async () => {
      const socket = open(lines({ maxFrameLength: 4 }), { reconnect: false });
      const [all, errors] = [collect(socket.inbound), collect(socket.errors.pipe(map(brief)))];
      const peer = await server.accepted();
      await peer.send('one\ntoo long\nthree\n');
      await Promise.all([all.ended, errors.ended]);
      expect(all.values).to.eql(['one']);
      expect(all.end?.error).to.include({ code: 'TCP_FRAME', kind: 'too-large' });
      expect(errors.values).to.eql(['TCP_FRAME too-large 1']);
      await peer.closed;
    });
  });

  describe('that meet bytes which are no frame', () => {
    it('drop the connection and dial again, after the good frames before it were delivered [S12]', async () => {
      const socket = open(lines({ maxFrameLength: 4 }));
      const all = collect(socket.inbound);
      const errors = collect(socket.errors.pipe(map(brief)));
      const statuses = collect(socket.status.pipe(map((status) => status.type)));
      const peer = await server.accepted();
      await peer.send('one\ntwo\ntoo long\nthree\n');
      await peer.closed;
      const next = await server.accepted();
      await next.send('four\n');
      expect(await all.reach(3)).to.eql(['one', 'two', 'four']);
      expect(errors.values).to.eql(['TCP_FRAME too-large 1']);
      expect(statuses.values).to.eql(['connecting', 'open', 'backoff', 'connecting', 'open']);
      expect(all.end).to.equal(undefined);
    });

    it('raise one error for it, which tells where, has no bytes in it, and is the cause of the backoff [S9][S12]', async () => {
      const socket = open(lengthPrefixed({ maxFrameLength: 1000 }));
      const errors = collect(socket.errors);
      const statuses = collect(socket.status);
      collect(socket.inbound);
      const { closed, endpoint } = await live(socket);
      const peer = await server.accepted();
      await peer.send('GET / HTTP/1.1\r\n\r\n');
      await server.accepted();
      const [error] = errors.values;
      expect(error).to.be.instanceOf(FrameError).and.to.include({ kind: 'too-large', epoch: 1 });
      expect(error?.endpoint).to.eql(endpoint);
      expect(`${String(error)} ${JSON.stringify(error)}`).to.not.match(/GET|HTTP/);
      expect(errors.values).to.have.length(1);
      const backoff = statuses.values.find(({ type }) => type === 'backoff');
      expect(backoff).to.have.property('cause', error);
      const lost = await closed;
      expect(lost).to.include({ endedBy: 'us', clean: false });
      expect(lost?.cause).to.equal(error);
    });

    it('of one’s own making are wrapped when they throw, in push, next, end or before [S12]', async () => {
      const broken = new Error('broken');
      const throwIf = (here: boolean): void => {
        if (here) throw broken;
      };
      for (const place of ['decoder', 'push', 'next', 'end']) {
        const codec: Codec<string, string> = {
          encode: (text) => Buffer.from(text),
          decoder: () => {
            throwIf(place === 'decoder');
            return {
              push: () => throwIf(place === 'push'),
              next: () => {
                throwIf(place === 'next');
                return undefined;
              },
              end: () => throwIf(place === 'end'),
            };
          },
        };
        const socket = open(codec);
        const errors = collect(socket.errors);
        collect(socket.inbound);
        const peer = await server.accepted();
        await peer.send('x');
        if (place === 'end') {
          await eventually(() => socket.stats().bytesRead === 1);
          peer.fin();
        }
        await server.accepted();
        const [error, ...others] = errors.values;
        expect(error, place).to.include({ code: 'TCP_FRAME', kind: 'decode', cause: broken });
        expect(others.map(brief), place).to.eql(place === 'end' ? ['TCP_CONNECTION_LOST 1'] : []);
        socket.destroy();
      }
    });

    it('harm nothing after the connection is gone: the error is told and the next connection read [S12]', async () => {
      const socket = open(lines({ maxFrameLength: 4 }));
      const peer = await server.accepted();
      const { closed } = await live(socket);
      await peer.send('one\ntoo long\nthree\n');
      await eventually(() => socket.stats().heldBytes > 0);
      peer.reset();
      await closed;
      const next = await server.accepted();
      const [all, errors] = [collect(socket.inbound), collect(socket.errors.pipe(map(brief)))];
      await next.send('four\n');
      expect(await all.reach(2)).to.eql(['one', 'four']);
      expect(errors.values).to.eql(['TCP_CONNECTION_LOST 1', 'TCP_FRAME too-large 1']);
      expect(server.count).to.equal(2);
    });

    it('skip what is too large where the codec can go on, tell it, and keep the connection [S12]', async () => {
      const socket = open(lines({ maxFrameLength: 4, onTooLarge: 'discard' }));
      const [all, errors] = [collect(socket.inbound), collect(socket.errors)];
      const peer = await server.accepted();
      await peer.send('one\nmuch too ');
      await peer.send('long\ntwo\nagain too long\nend\n');
      expect(await all.reach(3)).to.eql(['one', 'two', 'end']);
      expect(errors.values.map(brief)).to.eql(['TCP_FRAME too-large 1', 'TCP_FRAME too-large 1']);
      expect(errors.values[0]?.endpoint).to.eql({ host: 'localhost', port: server.port });
      expect([socket.stats().epoch, socket.stats().drops]).to.eql([1, 0]);
    });

    it('write what was queued on the next connection [S12]', async () => {
      const socket = open(lines({ maxFrameLength: 4 }));
      collect(socket.inbound);
      const peer = await server.accepted();
      await peer.send('too long\n');
      await peer.closed;
      const written = socket.write('hi');
      const next = await server.accepted();
      await next.heard('hi\n');
      await written;
    });
  });
});
