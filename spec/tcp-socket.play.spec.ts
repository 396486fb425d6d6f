import { asyncScheduler } from 'rxjs';
import { TurnEnd } from '../lib/turn.js';
import { Play } from './support/play/play.js';
import { schedules } from './support/play/schedule.js';
import { holds } from './support/property.js';

describe('StayingSocket, played at random', () => {
  // Not `asapScheduler`, as in `virtualTurns`: under it the TestScheduler fails when a microtask cancels a timer of the same ms. So steps of one ms are one turn.
  const { queue, calm, yield: giveWay } = TurnEnd;
  before(() => {
    TurnEnd.queue = TurnEnd.calm = TurnEnd.yield = (action) => void asyncScheduler.schedule(action);
  });
  after(() => {
    TurnEnd.queue = queue;
    TurnEnd.calm = calm;
    TurnEnd.yield = giveWay;
  });

  holds(
    'keeps its promises, whatever users call and whatever happens to connections [S1][S2][S3][S5][S6][S7][S8][S10]',
    250,
    schedules(),
    (schedule) => new Play(schedule).run(),
  );
});
