import { expect } from 'chai';
import { Observable, timer } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { lines } from '../lib/codec/lines.js';
import type { TcpSocketConfig } from '../lib/config.js';
import type { Connection } from '../lib/connection/connection.js';
import type { Link } from '../lib/connection/link.js';
import { ConnectError, type TcpError } from '../lib/errors.js';
import { Receiver } from '../lib/inbound/receive.js';
import { Lifeline } from '../lib/lifeline.js';
import { Monitor } from '../lib/monitor/monitor.js';
import { Outlet } from '../lib/outbound/outlet.js';
import { resolveConfig } from '../lib/resolve-config.js';
import { fakeLink, type FakeLink } from './support/fake-link.js';
import { virtualTurns } from './support/virtual-socket.js';

interface Parts {
  readonly lifeline: Lifeline<string, string>;
  readonly links: FakeLink[];
  readonly statuses: string[];
  readonly errors: string[];
  readonly overs: (string | undefined)[];
  changes: number;
  closing: boolean;
  readonly outlet: Outlet<string>;
  readonly monitor: Monitor<Connection<string, string>>;
  readonly at: (ms: number, action: () => void) => void;
}

/** How a dial goes, by its index. */
type Dials = (index: number) => 'opens' | 'fails' | 'hangs';

/** A lifeline over fake links in virtual time. Returns the time when nothing is left to happen. */
function run(dials: Dials, script: (parts: Parts) => void, given: TcpSocketConfig<string, string> = {}): number {
  const scheduler = new TestScheduler((actual, expected) => void expect(actual).to.eql(expected));
  const faults: unknown[] = [];
  const guard = (action: () => void): void => {
    try {
      action();
    } catch (fault) {
      faults.push(fault);
    }
  };
  scheduler.run(() => {
    const reconnect = { random: () => 1 };
    const config = resolveConfig<string, string>({
      host: 'h',
      port: 1,
      codec: lines(),
      settle: 0,
      reconnect,
      ...given,
    });
    const monitor = new Monitor<Connection<string, string>>(100);
    const links: FakeLink[] = [];
    let count = 0;
    const dial = (): Observable<Link> =>
      new Observable((subscriber) => {
        const how = dials(count++);
        if (how === 'fails') return subscriber.error(new ConnectError('connect', {}));
        if (how === 'hangs') return;
        const link = fakeLink();
        links.push(link);
        subscriber.next(link);
        return () => link.destroy();
      });
    const outlet = new Outlet<string>(config, {
      ...{ accepted: () => {}, changed: () => {}, written: () => {} },
      ...{ undelivered: (error) => monitor.undelivered(error), refused: (error) => monitor.refused(error) },
      where: () => ({}),
    });
    const parts: Omit<Parts, 'lifeline'> = {
      ...{ links, statuses: [], errors: [], overs: [], changes: 0, closing: false, outlet, monitor },
      at: (ms, action) => void timer(ms).subscribe(() => guard(action)),
    };
    monitor.status.values.subscribe(({ type }) => parts.statuses.push(type));
    monitor.errors.errors.subscribe(({ code }) => parts.errors.push(code));
    const lifeline = new Lifeline<string, string>({
      ...{ config, dial, outlet, monitor },
      receiver: new Receiver<string>(config.codec, { report: () => {} }),
      closing: () => parts.closing,
      changed: () => parts.changes++,
      over: (error?: TcpError) => parts.overs.push(error?.code),
    });
    guard(() => script(Object.assign(parts, { lifeline })));
  });
  if (faults.length > 0) throw faults[0];
  return scheduler.now();
}

const opens: Dials = () => 'opens';

describe('Lifeline', () => {
  virtualTurns();

  it('dials when it is started, tells each step, and counts', () => {
    run(opens, ({ lifeline, statuses, monitor, at, links }) => {
      expect(statuses).to.eql(['idle']);
      lifeline.start();
      expect(statuses).to.eql(['idle', 'connecting', 'open']);
      expect(lifeline.connected).to.be.true;
      at(10, () => links[0]!.lost());
      at(11, () => expect([statuses.at(-1), lifeline.connected]).to.eql(['backoff', false]));
      at(100, () => expect(monitor.counters).to.include({ dials: 2, epoch: 2, drops: 1 }));
      at(110, () => lifeline.stop());
    });
  });

  it('gives each connection a number of its own, and counts failed dials as none', () => {
    run(
      (index) => (index === 1 ? 'fails' : 'opens'),
      ({ lifeline, monitor, at, links }) => {
        const epochs: number[] = [];
        monitor.connections.subscribe(({ epoch }) => epochs.push(epoch));
        lifeline.start();
        at(10, () => links[0]!.lost());
        at(1000, () => expect(epochs).to.eql([1, 2]));
        at(1000, () => expect(monitor.counters).to.include({ dials: 3, epoch: 2, drops: 1 }));
        at(1001, () => lifeline.stop());
      },
    );
  });

  it('lets the queue flow into what opens, and takes its frames back when that is lost [S2]', () => {
    run(opens, ({ lifeline, outlet, monitor, at, links }) => {
      lifeline.start();
      for (const message of ['a', 'b']) outlet.offer(message);
      lifeline.wake();
      at(5, () => expect(outlet.queue.inFlightFrames).to.equal(2));
      at(10, () => links[0]!.lost());
      at(11, () => expect(outlet.queue).to.include({ frames: 2, inFlightFrames: 0 }));
      at(11, () => expect(monitor.counters.framesRetried).to.equal(2));
      at(100, () => links[1]!.confirm());
      at(110, () => expect(links.map(({ texts }) => texts)).to.eql([['a\nb\n'], ['a\n', 'b\n']]));
      at(120, () => lifeline.stop());
    });
  });

  it('says that something changed when a connection is ready, is lost, or a dial fails', () => {
    run(
      (index) => (index === 1 ? 'fails' : 'opens'),
      (parts) => {
        const { lifeline, at, links } = parts;
        lifeline.start();
        expect(parts.changes).to.equal(1);
        at(10, () => links[0]!.lost());
        at(11, () => expect(parts.changes).to.equal(2));
        at(61, () => expect(parts.changes).to.equal(3));
        at(300, () => expect(parts.changes).to.equal(4));
        at(301, () => lifeline.stop());
      },
    );
  });

  it('tells no step of its own while the socket is closing', () => {
    run(opens, (parts) => {
      const { lifeline, at, links, statuses } = parts;
      lifeline.start();
      parts.closing = true;
      at(10, () => links[0]!.lost());
      at(100, () => expect([links.length, statuses]).to.eql([2, ['idle', 'connecting', 'open']]));
      at(110, () => lifeline.stop());
    });
  });

  it('is over, without an error, with a connection that ends as asked while closing', () => {
    run(opens, (parts) => {
      const { lifeline, at, links, overs } = parts;
      lifeline.start();
      parts.closing = true;
      at(10, () => lifeline.endLive());
      at(20, () => {
        expect(links[0]!.ends).to.equal(1);
        links[0]!.fin();
        links[0]!.lost();
      });
      at(30, () => expect([overs, links.length]).to.eql([[undefined], 1]));
    });
  });

  it('goes on after a connection that its user ended', () => {
    run(opens, ({ lifeline, at, links, overs, monitor, errors }) => {
      lifeline.start();
      at(10, () => monitor.connections.subscribe((connection) => void connection.end()).unsubscribe());
      at(20, () => {
        links[0]!.fin();
        links[0]!.lost();
      });
      at(200, () => expect([overs, links.length, errors]).to.eql([[], 2, ['TCP_CONNECTION_LOST']]));
      at(210, () => lifeline.stop());
    });
  });

  it('is over with the error that ends the reconnecting', () => {
    const once = { reconnect: { maxAttempts: 0 } };
    run(() => 'fails', ({ lifeline, at, overs, errors }) => {
      lifeline.start();
      at(1, () => expect([overs, errors]).to.eql([['TCP_RECONNECT_LIMIT'], ['TCP_CONNECT']]));
    }, once); // prettier-ignore
    run(() => 'fails', ({ lifeline, at, overs }) => {
      lifeline.start();
      at(1, () => expect(overs).to.eql(['TCP_CONNECT']));
    }, { reconnect: false }); // prettier-ignore
  });

  it('hurried cuts a wait short, and does nothing in any other phase', () => {
    run(
      (index) => (index === 0 ? 'fails' : 'opens'),
      ({ lifeline, at, links }) => {
        lifeline.start();
        at(10, () => lifeline.hurry());
        at(10, () => expect(links.length).to.equal(1));
        at(20, () => lifeline.hurry());
        at(30, () => links[0]!.lost());
        at(30, () => expect(links.length, 'no dial was granted').to.equal(1));
        at(500, () => lifeline.stop());
      },
    );
  });

  it('redials at once, and gives the old connection up', () => {
    run(opens, ({ lifeline, at, links, errors, monitor }) => {
      lifeline.start();
      at(10, () => lifeline.redial());
      at(10, () => expect(links.map(({ destroyed }) => destroyed)).to.eql([true, false]));
      at(20, () => expect(errors).to.eql(['TCP_CONNECTION_LOST']));
      at(20, () => expect(monitor.counters).to.include({ dials: 2, drops: 1 }));
      at(30, () => lifeline.stop());
    });
  });

  it('detached hands nothing more over, though its connection is still there', () => {
    run(opens, ({ lifeline, at, links, monitor }) => {
      lifeline.start();
      lifeline.detach();
      expect(lifeline.connected).to.be.false;
      expect(links[0]!.destroyed).to.be.false;
      const late: unknown[] = [];
      monitor.connections.subscribe((connection) => late.push(connection)).unsubscribe();
      expect(late).to.eql([]);
      at(10, () => lifeline.stop());
    });
  });

  for (const [phase, dials] of [
    ['open', opens],
    ['dialling', () => 'hangs'],
    ['waiting', () => 'fails'],
  ] as [string, Dials][]) {
    it(`stopped while ${phase} leaves nothing open, says nothing, and needs no more time [S11]`, () => {
      const end = run(dials, ({ lifeline, at, links, overs, statuses }) => {
        lifeline.start();
        at(10, () => {
          const told = statuses.length;
          lifeline.stop();
          lifeline.stop();
          expect([overs, statuses.length]).to.eql([[], told]);
          for (const link of links) expect(link.destroyed).to.be.true;
        });
      });
      expect(end).to.equal(10);
    });
  }

  it('stopped while settling hands nothing over [S11]', () => {
    const end = run(
      (index) => (index === 0 ? 'fails' : 'opens'),
      ({ lifeline, outlet, at, links }) => {
        outlet.offer('a');
        lifeline.start();
        at(60, () => lifeline.stop());
        at(60, () => expect(links[0]!.texts).to.eql([]));
      },
      { settle: 1000 },
    );
    expect(end).to.equal(60);
  });
});
