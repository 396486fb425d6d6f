import { asyncScheduler } from 'rxjs';
import { Play } from './support/play/play.js';
import { schedules } from './support/play/schedule.js';
import { holds } from './support/property.js';
import { virtualTurns } from './support/virtual-socket.js';

describe('StayingSocket, played at random', () => {
  virtualTurns(asyncScheduler);

  holds(
    'keeps its promises, whatever users call and whatever happens to connections [S1][S2][S3][S5][S6][S7][S8][S10]',
    250,
    schedules(),
    (schedule) => new Play(schedule).run(),
  );
});
