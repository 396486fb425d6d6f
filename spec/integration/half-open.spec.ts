/** What the peer's FIN means to a connection, in steps over fake links: `socket.allowHalfOpen`, and without. */
import { expect } from 'chai';
import { take } from 'rxjs';
import type { Connection, TcpSocketConfig } from '../../lib/index.js';
import { ConnectionLostError } from '../../lib/index.js';
import { opens, virtualSocket, virtualTurns, type VirtualStage } from '../support/virtual-socket.js';

type Config = TcpSocketConfig<string, string>;

/** A socket that reads, and what it tells, from the start. */
interface Told extends VirtualStage {
  readonly told: string[];
  readonly frames: string[];
  /** The first connection, and what its own `inbound` told. */
  readonly first: Connection<string, string>;
}

function told(config: Config, script: (stage: Told) => void): void {
  virtualSocket({ settle: 0, ...config }, opens, (stage) => {
    const { socket } = stage;
    const [log, frames]: [string[], string[]] = [[], []];
    socket.status.subscribe(({ type }) => log.push(type));
    socket.errors.subscribe(({ code }) => log.push(code));
    socket.inbound.subscribe({ next: (frame) => frames.push(frame), complete: () => log.push('inbound over') });
    let first: Connection<string, string> | undefined;
    socket.connections.pipe(take(1)).subscribe((live) => {
      first = live;
    });
    first!.inbound.subscribe({ complete: () => log.push('inbound of the first over') });
    script({ ...stage, told: log, frames, first: first! });
    stage.at(1_000, () => socket.destroy());
  });
}

const halfOpen: Config = { socket: { allowHalfOpen: true } };

describe('allowHalfOpen: a connection whose peer has sent its FIN', () => {
  virtualTurns();

  it('goes on being written to, by the queue and past it, and its inbound is over while that of the socket is not', () => {
    told(halfOpen, ({ socket, dials, first, told: log, frames, at }) => {
      const { link } = dials[0]!;
      at(10, () => {
        link.chunk('last\n');
        link.fin();
      });
      at(20, () => {
        socket.outbound.next('queued');
        void first.write('direct');
      });
      at(30, () => {
        expect(link.texts.join('').split('\n').sort()).to.deep.equal(['', 'direct', 'queued']);
        expect([link.ends, link.destroyed]).to.deep.equal([0, false]);
        expect(frames).to.deep.equal(['last']);
        expect(log).to.deep.equal(['open', 'inbound of the first over']);
      });
      at(900, () => expect(dials.length, 'no dial follows by itself').to.equal(1));
    });
  });

  it('is not judged by its silence, nor asked for a sign of life: it cannot give any', () => {
    const heartbeat = { interval: 50, timeout: 50, message: () => 'beat' };
    told({ ...halfOpen, heartbeat, idleTimeout: 100 }, ({ dials, told: log, at }) => {
      at(10, () => dials[0]!.link.fin());
      at(990, () => {
        expect(dials[0]!.link.texts).to.deep.equal([]);
        expect(log).to.deep.equal(['open', 'inbound of the first over']);
      });
    });
  });

  it('is still watched while it is written to', () => {
    told({ ...halfOpen, writeTimeout: 100 }, ({ socket, dials, told: log, at }) => {
      at(10, () => dials[0]!.link.fin());
      at(50, () => socket.outbound.next('never taken'));
      at(160, () => expect(log.slice(2)).to.deep.equal(['TCP_WRITE_STALL', 'backoff']));
    });
  });

  it('ends with its own end(): FIN after the writes, a clean loss that nobody but us asked for, and a redial [S8]', () => {
    told(halfOpen, ({ dials, first, told: log, at }) => {
      const { link } = dials[0]!;
      let closed: unknown = 'not yet';
      void first.closed.then((lost) => {
        closed = lost;
      });
      at(10, () => link.fin());
      at(20, () => void first.end());
      at(30, () => {
        expect(link.ends).to.equal(1);
        link.lost();
      });
      at(40, () => expect(log.slice(2)).to.deep.equal(['TCP_CONNECTION_LOST', 'backoff']));
      at(200, () => {
        expect(dials.length).to.equal(2);
        expect(closed).to.equal('not yet'); // promises are not virtual
      });
    });
  });

  it('ends with the end() of the socket, once what is queued is written', () => {
    told(halfOpen, ({ socket, dials, told: log, at }) => {
      const { link } = dials[0]!;
      at(10, () => link.fin());
      at(20, () => {
        socket.outbound.next('queued');
        void socket.end();
      });
      at(30, () => {
        expect([link.texts, link.ends]).to.deep.equal([['queued\n'], 0]);
        link.confirm();
      });
      at(40, () => {
        expect(link.ends).to.equal(1);
        link.lost();
      });
      at(50, () =>
        expect(log.slice(1)).to.deep.equal(['inbound of the first over', 'closing', 'inbound over', 'closed']),
      );
    });
  });
});

describe('without allowHalfOpen: a connection whose peer has sent its FIN', () => {
  virtualTurns();

  it('writes what is in flight, then sends its FIN, and the rest of the queue goes to the next [S1][S2]', () => {
    const large = 'x'.repeat(70_000);
    told({}, ({ socket, dials, told: log, first, at }) => {
      const { link } = dials[0]!;
      let outcome: unknown = 'none yet';
      at(10, () => {
        socket.outbound.next(large);
        socket.outbound.next('queued');
      });
      at(20, () => {
        link.fin();
        expect(link.ends, 'which goes out behind what was handed over').to.equal(1);
        first.write('past it').catch((error: unknown) => {
          outcome = error;
        });
      });
      at(30, () => link.confirm());
      at(40, () => {
        expect(link.texts).to.deep.equal([`${large}\n`]);
        link.lost();
        expect(log.slice(1)).to.deep.equal(['inbound of the first over', 'TCP_CONNECTION_LOST', 'backoff']);
        expect(outcome).to.equal('none yet'); // promises are not virtual
      });
      at(200, () => expect(dials[1]!.link.texts).to.deep.equal(['queued\n']));
    });
  });

  it('is given up at endTimeout if its peer takes nothing more: a loss by the peer', () => {
    told({ endTimeout: 300 }, ({ socket, dials, told: log, at }) => {
      const losses: unknown[] = [];
      socket.errors.subscribe((error) => losses.push(error));
      at(10, () => socket.outbound.next('stuck'));
      at(20, () => dials[0]!.link.fin());
      at(319, () => expect(losses).to.deep.equal([]));
      at(321, () => {
        expect(losses[0]).to.be.instanceOf(ConnectionLostError).and.include({ endedBy: 'peer', unconfirmed: 1 });
        expect(log.at(-1)).to.equal('backoff');
      });
    });
  });

  it('with a large frame under way in pieces sends its FIN after the last of them', () => {
    told({ writeTimeout: 60_000 }, ({ socket, dials, at }) => {
      const { link } = dials[0]!;
      at(10, () => socket.outbound.next('x'.repeat(200 * 1024)));
      at(20, () => link.fin());
      for (const ms of [30, 40, 50, 60]) {
        at(ms, () => {
          expect(link.ends, `after ${link.writes.length} pieces`).to.equal(link.writes.length === 4 ? 1 : 0);
          link.confirm();
        });
      }
      at(70, () => expect([link.ends, link.texts.join('').length]).to.deep.equal([1, 200 * 1024 + 1]));
    });
  });
});
