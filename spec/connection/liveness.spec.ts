import { expect } from 'chai';
import { Subscription, type SchedulerAction, type SchedulerLike } from 'rxjs';
import { clock } from '../../lib/clock.js';
import { watchPeer, type LivenessConfig } from '../../lib/connection/liveness.js';
import type { IdleTimeoutError } from '../../lib/errors.js';
import { TurnEnd } from '../../lib/turn.js';
import { inVirtualTime, virtualTurns, type VirtualTime } from '../support/virtual-socket.js';

const where = { endpoint: { host: 'there', port: 1 }, epoch: 3 };

/** What a peer went through: when it was asked, and when it was found silent. */
interface Log {
  readonly asked: number[];
  readonly silent: [at: number, error: IdleTimeoutError][];
}

interface Played extends VirtualTime, Log {
  readonly peer: { heard: number; wanted: number };
  readonly watch: Subscription;
}

/** Watches a peer that is heard and wanted as the spec says. */
function watchedPeer(config: LivenessConfig): Omit<Played, keyof VirtualTime> {
  const log: Log = { asked: [], silent: [] };
  const peer = { heard: 0, wanted: 0 };
  const watch = watchPeer(config, {
    where,
    heardAt: () => peer.heard,
    wantedSince: () => peer.wanted,
    ask: () => log.asked.push(clock.now()),
    silent: (error) => log.silent.push([clock.now(), error]),
  });
  return { ...log, peer, watch };
}

function played(config: LivenessConfig, script: (stage: Played) => void): Log & { end: number } {
  let log: Log = { asked: [], silent: [] };
  const end = inVirtualTime((time) => {
    const watched = watchedPeer(config);
    log = watched;
    script({ ...time, ...watched });
  });
  return { ...log, end };
}

const timesOf = ({ silent }: Log): number[] => silent.map(([at]) => at);

/** Timers of an event loop that can be blocked: what became due meanwhile is done together after it. */
class Loop implements SchedulerLike {
  #now = 0;
  readonly #due: { readonly at: number; readonly work: () => void; done: boolean }[] = [];

  now(): number {
    return this.#now;
  }

  schedule<T>(work: (this: SchedulerAction<T>, state?: T) => void, delay = 0, state?: T): Subscription {
    const action = Object.assign(new Subscription(), {
      schedule: (next?: T, wait = 0): Subscription => {
        const entry = { at: this.#now + wait, work: () => work.call(action, next), done: false };
        this.#due.push(entry);
        action.add(() => (entry.done = true));
        return action;
      },
    });
    return action.schedule(state, delay);
  }

  /** Blocked until then; after that each timer that is due has its turn, and then the kernel. */
  passTo(now: number, kernel: () => void = () => undefined): void {
    const yielded: (() => void)[] = [];
    TurnEnd.yield = (action) => void yielded.push(action);
    this.#now = now;
    const due = this.#due.filter((entry) => entry.at <= now && !entry.done).sort((a, b) => a.at - b.at);
    for (const entry of due) {
      if (!entry.done) entry.work();
      entry.done = true;
    }
    kernel();
    for (const action of yielded) action();
  }
}

describe('watchPeer', () => {
  virtualTurns();

  it('has nothing to do where neither idleTimeout nor a heartbeat is asked for', () => {
    for (const config of [{}, { idleTimeout: 0 }, { idleTimeout: undefined, heartbeat: undefined }]) {
      const { end, asked, silent } = played(config, () => undefined);
      expect({ end, asked, silent }).to.deep.equal({ end: 0, asked: [], silent: [] });
    }
  });

  it('tells of silence at idleTimeout, to the ms, with an error that says where and for how long', () => {
    const log = played({ idleTimeout: 250 }, ({ at, peer }) => at(40, () => (peer.heard = 40)));
    expect(timesOf(log)).to.deep.equal([290]);
    const [[, error]] = log.silent as [[number, IdleTimeoutError]];
    expect(error).to.include({ code: 'TCP_IDLE_TIMEOUT', epoch: 3, endpoint: where.endpoint });
    expect(error.message).to.equal('nothing came from there:1 for 250 ms');
    expect(log.asked).to.deep.equal([]);
  });

  it('asks at each interval, whoever wants to hear, and finds the peer silent at interval + timeout after the last byte', () => {
    const heartbeat = { interval: 100, timeout: 70 };
    const log = played({ heartbeat }, ({ at, peer, watch }) => {
      peer.wanted = Infinity;
      at(450, () => (peer.wanted = 450));
      at(520, () => (peer.heard = 520));
      at(720, () => watch.unsubscribe());
    });
    expect(log.asked).to.deep.equal([100, 200, 300, 400, 500, 600, 700]);
    expect(timesOf(log)).to.deep.equal([690]);
    expect(log.silent[0]![1].message).to.include('170 ms');
  });

  it('watches for both at once, and unsubscribing stops all of it', () => {
    const heartbeat = { interval: 100, timeout: 50 };
    const both = played({ idleTimeout: 120, heartbeat }, ({ at, watch }) => at(160, () => watch.unsubscribe()));
    expect(timesOf(both)).to.deep.equal([120, 150]);
    const stopped = played({ idleTimeout: 120, heartbeat }, ({ at, watch }) => at(110, () => watch.unsubscribe()));
    expect([stopped.asked, stopped.silent, stopped.end]).to.deep.equal([[100], [], 110]);
  });

  describe('after an event loop that was blocked', () => {
    const { now } = clock;
    const giveWay = TurnEnd.yield;
    let loop: Loop;
    beforeEach(() => {
      loop = new Loop();
      clock.now = () => loop.now();
    });
    afterEach(() => {
      clock.now = now;
      TurnEnd.yield = giveWay;
    });

    for (const config of [{ idleTimeout: 150 }, { heartbeat: { interval: 100, timeout: 50 } }]) {
      it(`hears first what has come meanwhile: ${Object.keys(config).join()}`, () => {
        const { peer, silent } = watchedPeer({ ...config, scheduler: loop });
        loop.passTo(900, () => (peer.heard = 900));
        for (const ms of [1_000, 1_049]) loop.passTo(ms);
        expect(silent).to.deep.equal([]);
        loop.passTo(1_051);
        expect(silent).to.have.length(1);
      });
    }

    it('gives a peer that speaks when it is asked the whole timeout, for it was asked late', () => {
      const { asked, silent } = watchedPeer({ heartbeat: { interval: 100, timeout: 50 }, scheduler: loop });
      loop.passTo(900);
      expect([asked, silent]).to.deep.equal([[900], []]);
      loop.passTo(949);
      expect(silent).to.deep.equal([]);
      loop.passTo(951);
      expect(silent).to.have.length(1);
    });

    it('is not put off for ever by being blocked again and again: the first question counts', () => {
      const { silent } = watchedPeer({ heartbeat: { interval: 100, timeout: 350 }, scheduler: loop });
      for (const blocked of [500, 700]) loop.passTo(blocked);
      expect(silent).to.deep.equal([]);
      loop.passTo(900);
      expect(silent).to.have.length(1);
    });
  });
});
