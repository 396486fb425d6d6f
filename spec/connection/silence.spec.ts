import { expect } from 'chai';
import { asyncScheduler, type SchedulerLike, type Subscription } from 'rxjs';
import { clock } from '../../lib/clock.js';
import { watchSilence } from '../../lib/connection/silence.js';
import { TurnEnd } from '../../lib/turn.js';
import { inVirtualTime, virtualTurns, type VirtualTime } from '../support/virtual-socket.js';

/** A peer whose every sign of life is the spec's, and who watches it. */
interface Watched extends VirtualTime {
  readonly peer: { heard: number; wanted: number; busy: boolean };
  readonly watch: Subscription;
}

/** Watches in virtual time; gives the times of the alarms, and of the last thing that happened. */
function alarms(
  limit: number,
  script: (stage: Watched) => void,
  scheduler?: SchedulerLike,
): { times: number[]; end: number } {
  const times: number[] = [];
  const end = inVirtualTime((time) => {
    const peer = { heard: 0, wanted: 0, busy: false };
    const audible = {
      heardAt: () => (peer.busy ? clock.now() : peer.heard),
      wantedSince: () => peer.wanted,
    };
    script({ ...time, peer, watch: watchSilence(limit, audible, () => times.push(time.now()), scheduler) });
  });
  return { times, end };
}

describe('watchSilence', () => {
  virtualTurns();

  it('tells once, to the ms, that nothing came for so long, and has nothing left to do then', () => {
    expect(alarms(100, () => undefined)).to.deep.equal({ times: [100], end: 100 });
  });

  it('counts from the last byte', () => {
    const { times } = alarms(100, ({ at, now, peer }) => {
      for (const ms of [30, 99, 180, 250]) at(ms, () => (peer.heard = now()));
    });
    expect(times).to.deep.equal([350]);
  });

  it('does not judge while nobody wants to hear, and begins anew with demand', () => {
    const { times } = alarms(100, ({ at, now, peer }) => {
      peer.wanted = Infinity;
      at(1_030, () => (peer.wanted = now()));
    });
    expect(times).to.deep.equal([1_130]);
  });

  it('begins anew each time that demand does', () => {
    const { times } = alarms(100, ({ at, now, peer }) => {
      at(60, () => (peer.wanted = Infinity));
      at(90, () => (peer.wanted = now()));
      at(170, () => (peer.wanted = Infinity));
      at(510, () => (peer.wanted = now()));
    });
    expect(times).to.deep.equal([610]);
  });

  it('counts from the byte that came after demand began', () => {
    const { times } = alarms(100, ({ at, now, peer }) => {
      at(40, () => (peer.wanted = now()));
      at(70, () => (peer.heard = now()));
    });
    expect(times).to.deep.equal([170]);
  });

  it('does not judge while bytes wait to be decoded', () => {
    const { times } = alarms(100, ({ at, now, peer }) => {
      peer.busy = true;
      at(930, () => {
        peer.busy = false;
        peer.heard = now();
      });
    });
    expect(times).to.deep.equal([1_030]);
  });

  it('is stopped by unsubscribing, and leaves no timer', () => {
    expect(alarms(100, ({ at, watch }) => at(60, () => watch.unsubscribe()))).to.deep.equal({ times: [], end: 60 });
    const late = alarms(100, ({ at, now, peer, watch }) => {
      at(50, () => (peer.heard = now()));
      at(120, () => watch.unsubscribe());
    });
    expect(late.times).to.deep.equal([]);
  });

  it('runs on the scheduler that it is given', () => {
    let scheduled = 0;
    const counting: SchedulerLike = {
      now: () => asyncScheduler.now(),
      schedule: (...args: Parameters<SchedulerLike['schedule']>) => {
        scheduled++;
        return asyncScheduler.schedule(...args);
      },
    };
    const { times } = alarms(100, ({ at, now, peer }) => at(50, () => (peer.heard = now())), counting);
    expect(times).to.deep.equal([150]);
    expect(scheduled).to.equal(2);
  });

  describe('when time is over, gives the kernel a turn to hand over what waits there', () => {
    let waiting: (() => void)[] = [];
    const { yield: giveWay } = TurnEnd;
    beforeEach(() => {
      waiting = [];
      TurnEnd.yield = (action) => void waiting.push(action);
    });
    afterEach(() => {
      TurnEnd.yield = giveWay;
    });
    const takeTurn = (): void => waiting.splice(0).forEach((action) => action());

    it('and does not tell before that turn is over', () => {
      const { times } = alarms(100, ({ at }) => {
        at(105, () => expect(waiting).to.have.length(1));
        at(110, takeTurn);
      });
      expect(times).to.deep.equal([110]);
    });

    it('and goes on watching, from the byte that came in that turn', () => {
      const { times } = alarms(100, ({ at, peer }) => {
        at(110, () => {
          peer.heard = 108;
          takeTurn();
        });
        at(209, takeTurn);
      });
      expect(times).to.deep.equal([209]);
    });

    it('and does not tell if demand has ended in that turn', () => {
      const { times } = alarms(100, ({ at, peer, watch }) => {
        at(110, () => {
          peer.wanted = Infinity;
          takeTurn();
        });
        at(500, () => watch.unsubscribe());
      });
      expect(times).to.deep.equal([]);
    });

    it('and does not tell if it was stopped in that turn', () => {
      const { times, end } = alarms(100, ({ at, watch }) => {
        at(110, () => {
          watch.unsubscribe();
          takeTurn();
        });
      });
      expect([times, end]).to.deep.equal([[], 110]);
    });
  });
});
